"""The service that reads all mounted files before the servers do, with the shell of its image."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.buildah import busybox_root
from tests.namespaces import require_root
from tests.stack.servers import COMPOSE
from tests.stack.substitution import ROOT

pytestmark = pytest.mark.needs("busybox")

SERVICE = COMPOSE["file-check"]
USER = int(SERVICE["user"].partition(":")[0])
FOLDERS = {Path(volume["source"]).name for volume in SERVICE["volumes"]} | {"deploy"}
"""Those of the stack, and that of the scale overlay."""


def run(folder: Path) -> tuple[int, str, str]:
    """Run the service's command over a folder; return exit code, output and errors."""
    tools = busybox_root(folder / "image") / "bin"
    _, *arguments = [text.replace("/files", str(folder / "files")) for text in SERVICE["command"]]
    result = subprocess.run(
        [tools / "sh", *arguments],
        env={"PATH": str(tools)},
        user=USER,
        group=USER,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def clone() -> Iterator[Path]:
    """A folder, which every user can reach, with the mounted folders in it."""
    require_root()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for mounted in FOLDERS:
            shutil.copytree(ROOT / mounted, folder / "files" / mounted)
        # Whatever the umask of the checkout was.
        for path in (folder / "files").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        (folder / "files").chmod(0o755)
        yield folder


def test_readable_files(clone: Path) -> None:
    """Where every user can read the files, it ends without a word."""
    assert (0, "", "") == run(clone)


def hide_file(folder: Path) -> Path:
    """Make a file readable for its owner only."""
    path = folder / "prom.yml"
    path.chmod(0o600)
    return path


def hide_folder(folder: Path) -> Path:
    """Make a folder readable for its owner only."""
    path = folder / "rules"
    path.chmod(0o700)
    return path


@pytest.mark.parametrize("hide", [hide_file, hide_folder])
def test_unreadable_file(clone: Path, hide: Callable[[Path], Path]) -> None:
    """What cannot be read is named, and what to do: the command mends it."""
    path = hide(clone / "files" / "prometheus")

    code, output, errors = run(clone)

    # In one stream: Docker does not keep the order of two.
    assert (1, "") == (code, errors)
    named, advice = output.split("The servers cannot read the files above.")
    assert str(path) in named
    assert "or, if SELinux is enforcing:" in advice
    (command,) = [line.strip() for line in output.splitlines() if "chmod" in line]
    assert FOLDERS == set(command.split()[3:])
    subprocess.run(command.split(), cwd=clone / "files", check=True)
    shutil.rmtree(clone / "image")
    assert (0, "", "") == run(clone)
