"""The package: built, installed into a fresh environment, and run there from an empty folder.

It needs the package index, as `make` does.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from exporter import SERVICE_NAME, __version__
from tests.stack.servers import wait_until

ROOT = Path(__file__).parent.parent.parent


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command with nothing of the project in its environment, and return its output."""
    result = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment(), capture_output=True, text=True, check=False
    )
    assert 0 == result.returncode, f"{command}:\n{result.stdout}{result.stderr}"
    return result.stdout


def environment() -> dict[str, str]:
    """Return an environment in which Python finds only what is installed."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OTEL_"))}


@dataclass(frozen=True)
class Built:
    """What `make dist` makes."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The archive of the source, and the wheel that was built from that archive alone."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return Built(sdist, wheel)


@dataclass(frozen=True)
class Environment:
    """A fresh environment with the wheel in it."""

    bin: Path
    folder: Path
    """Empty: where its commands run."""

    def program(self, *arguments: str) -> str:
        """Run the program, and return its output."""
        return run(self.bin / SERVICE_NAME, *arguments, cwd=self.folder)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with the pinned packages, as somebody would install it."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder / "venv")
    binaries = folder / "venv" / "bin"
    pip = (binaries / "python", "-m", "pip", "install", "--quiet", "--no-deps")
    run(*pip, "--require-hashes", "--requirement", ROOT / "requirements" / "run.txt")
    run(*pip, built.wheel)
    (folder / "empty").mkdir()
    return Environment(binaries, folder / "empty")


def contents(wheel: Path) -> Mapping[str, bytes]:
    """Return the files of a wheel, but those about itself."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def test_names(built: Built) -> None:
    """Both carry the version that stands in the package."""
    name = SERVICE_NAME.replace("-", "_")

    assert f"{name}-{__version__}.tar.gz" == built.sdist.name
    assert f"{name}-{__version__}-py3-none-any.whl" == built.wheel.name


def test_wheel_has_every_file(built: Built) -> None:
    """The wheel has every tracked file of the package as it is, templates too, and nothing else."""
    tracked = run("git", "ls-files", "-z", "exporter").split("\0")[:-1]

    assert "exporter/web/status.html" in tracked
    assert {name: (ROOT / name).read_bytes() for name in tracked} == contents(built.wheel)


def test_archive_has_what_it_takes(built: Built) -> None:
    """The archive has the package, the pins and the texts, and nothing of the stack or of this machine."""
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    texts = {name for name in names if not name.startswith("exporter/")}
    assert texts == {
        ".gitignore",
        "CHANGELOG.md",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "requirements/run.txt",
    }
    assert "exporter/web/status.html" in names


def test_wheel_is_the_same_from_the_tree(built: Built, tmp_path: Path) -> None:
    """The wheel that is built from the archive has what one from the tree has, byte for byte."""
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")

    assert built.wheel.read_bytes() == wheel.read_bytes()


def test_nothing_is_missing(installed: Environment) -> None:
    """The pins are all that the package asks for."""
    assert "No broken requirements found." in run(installed.bin / "python", "-m", "pip", "check")


def test_version_and_help(installed: Environment) -> None:
    """The command is on the path of its environment, and tells its version and its settings."""
    assert f"{SERVICE_NAME} {__version__}\n" == installed.program("--version")
    assert "GATEWAY_API_URL" in installed.program("--help")


@pytest.fixture
def demo(installed: Environment) -> Iterator[str]:
    """The demo, and where it listens; it ends well when it is asked to."""
    log = installed.folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [installed.bin / SERVICE_NAME, "demo", "--day", "60"],
            cwd=installed.folder,
            env={**environment(), "METRICS_PORT": "0"},
            stdout=output,
            stderr=output,
        )
    try:
        found = wait_until(lambda: re.search(r"Metrics +(\S+)/metrics", log.read_text(encoding="utf-8")))
        yield found[1]
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(10)
        assert '"level": "error"' not in log.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait(10)


def test_demo(demo: str) -> None:
    """The installed program polls, publishes and shows its page."""
    text = wait_until(
        lambda: [
            body for body in [requests.get(f"{demo}/metrics", timeout=5).text] if "\ngatewayz_up 1" in body
        ]
    )[0]
    page = requests.get(f"{demo}/", timeout=5)

    assert f'gatewayz_exporter_build_info{{version="{__version__}"}} 1.0' in text
    assert (200, True) == (page.status_code, "</html>" in page.text)
