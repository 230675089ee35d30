"""Finds programs of the machine that `make stack` does not build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.stack.build import NoToolchainError, build_all, cache

VERSION_FLAGS = {
    **dict.fromkeys(("loki", "tempo"), "-version"),
    **dict.fromkeys(("grafana", "chromium", "node", "npm", "buildah"), "--version"),
    "busybox": "--help",
}
"""The flag that prints the version."""
VERSION = re.compile(r"\d+\.\d+[\w.+-]*")
ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Found:
    """A program of this machine, and the version that it prints."""

    path: Path
    version: str


def bin_folder() -> Path:
    """Return the folder that is searched after PATH."""
    return cache() / "bin"


def find(name: str) -> Found | None:
    """Return a program from PATH or from `bin_folder`; None if it is in neither."""
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), str(bin_folder()))))
    return Found(Path(path), _version(path, VERSION_FLAGS[name])) if path else None


def find_all() -> Mapping[str, Found]:
    """Return the found programs by name."""
    return {name: found for name in VERSION_FLAGS if (found := find(name))}


def described(found: Mapping[str, Found]) -> list[str]:
    """Return a line for each program: its version and its path, or that it was not found."""
    return [
        f"{name}: found {found[name].version}, {found[name].path}" if name in found else f"{name}: not found"
        for name in VERSION_FLAGS
    ]


def all_programs(report: Callable[[str], None]) -> Mapping[str, Path]:
    """Return the paths of all built and found programs by name.

    Args:
        report: Receives a line about each build.

    Raises:
        NoToolchainError: When there is no Go, or its proxy does not answer.
        RuntimeError: When a build fails.
    """
    return {**build_all(report), **{name: found.path for name, found in find_all().items()}}


def _version(path: str, flag: str) -> str:
    try:
        result = subprocess.run(
            [path, flag], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except OSError as error:
        return f"a program that does not start ({error.strerror})"
    stated = VERSION.search(result.stdout + result.stderr)
    return stated[0] if stated else "an unknown version"


if __name__ == "__main__":
    # Before the tests start in several processes, which would all build.
    with suppress(NoToolchainError):
        build_all(lambda line: print(line, flush=True))
    print("\n".join(described(find_all())))
