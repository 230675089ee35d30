"""Packages of npm, pinned by the lock file of a folder, and installed once into the cache of the builds."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.stack.build import cache, made_once
from tests.stack.machine import find


def installed(source: Path) -> Path:
    """Return a copy of a folder with the packages of its lock file; the first call installs them.

    Raises:
        RuntimeError: When npm cannot install them; the text has its output.
    """
    content = b"".join(path.read_bytes() for path in sorted(source.iterdir()) if path.is_file())
    folder = cache() / f"{source.name}-{hashlib.sha256(content).hexdigest()[:12]}"
    with made_once(folder) as work:
        if work:
            shutil.copytree(source, work, ignore=shutil.ignore_patterns("node_modules"))
            run(work, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            work.rename(folder)
    return folder


def run(folder: Path, name: str, *arguments: str, standard_input: str = "") -> str:
    """Return what node or npm writes in a folder.

    Raises:
        RuntimeError: When it fails; the text has its output.
    """
    tools = {tool: found.path for tool in ("node", "npm") if (found := find(tool))}
    path = os.pathsep.join([*(str(tool.parent) for tool in tools.values()), os.environ["PATH"]])
    result = subprocess.run(
        [str(tools[name]), *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path},
        input=standard_input,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{name} {' '.join(arguments)} failed:\n{result.stdout}{result.stderr[-4000:]}")
    return result.stdout
