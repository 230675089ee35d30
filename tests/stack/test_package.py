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
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from exporter import SERVICE_NAME, __version__
from tests.stack.substitution import ROOT
from tests.waiting import wait_until


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command with nothing of the project in its environment, and return its output."""
    arguments = list(map(str, command))
    result = subprocess.run(arguments, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert 0 == result.returncode, f"{command}:\n{result.stdout}{result.stderr}"
    return result.stdout


ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OTEL_"))}
"""With it Python finds only what is installed."""
NAME = f"{SERVICE_NAME.replace('-', '_')}-{__version__}"
ARCHIVE, WHEEL = f"{NAME}.tar.gz", f"{NAME}-py3-none-any.whl"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what `make dist` makes: the archive, and the wheel that was built from it alone."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a fresh environment, with the wheel and the pinned packages."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder)
    pip = (folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps")
    run(*pip, "--require-hashes", "--requirement", ROOT / "requirements" / "run.txt")
    run(*pip, built / WHEEL)
    return folder / "bin"


def test_names(built: Path) -> None:
    """Both carry the version that stands in the package."""
    assert {ARCHIVE, WHEEL} == {path.name for path in built.iterdir()}


def test_wheel_has_every_file(built: Path) -> None:
    """The wheel has every tracked file of the package as it is, templates too, and nothing else."""
    tracked = run("git", "ls-files", "-z", "exporter").split("\0")[:-1]
    with zipfile.ZipFile(built / WHEEL) as archive:
        own = [name for name in archive.namelist() if ".dist-info/" not in name]
        contents = {name: archive.read(name) for name in own}

    assert "exporter/web/page/overview.html" in tracked
    assert {name: (ROOT / name).read_bytes() for name in tracked} == contents


def test_archive_has_what_it_takes(built: Path) -> None:
    """The archive has the package, the pins and the texts, and nothing of the stack or of this machine."""
    with tarfile.open(built / ARCHIVE) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    texts = {"CHANGELOG.md", "PKG-INFO", "README.md", "pyproject.toml", "requirements/run.txt"}
    assert texts | {".gitignore"} == {name for name in names if not name.startswith("exporter/")}
    assert "exporter/web/page/overview.html" in names


def test_wheel_is_the_same_from_the_tree(built: Path, tmp_path: Path) -> None:
    """The wheel that is built from the archive has what one from the tree has, byte for byte."""
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path)

    assert (built / WHEEL).read_bytes() == (tmp_path / WHEEL).read_bytes()


def test_nothing_is_missing(installed: Path) -> None:
    """The pins are all that the package asks for."""
    assert "No broken requirements found." in run(installed / "python", "-m", "pip", "check")


def test_version_and_help(installed: Path, tmp_path: Path) -> None:
    """The command is on the path of its environment, and prints its version and its settings."""
    assert f"{SERVICE_NAME} {__version__}\n" == run(installed / SERVICE_NAME, "--version", cwd=tmp_path)
    assert "GATEWAY_API_URL" in run(installed / SERVICE_NAME, "--help", cwd=tmp_path)


@pytest.fixture
def demo(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The demo, and where it listens; it ends well when it is asked to."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [installed / SERVICE_NAME, "demo", "--day", "60"],
            cwd=tmp_path,
            env={**ENVIRONMENT, "METRICS_PORT": "0"},
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

    def metrics() -> str:
        text = requests.get(f"{demo}/metrics", timeout=5).text
        return text if "\ngatewayz_up 1" in text else ""

    text = wait_until(metrics)
    page = requests.get(f"{demo}/", timeout=5)

    assert f'gatewayz_exporter_build_info{{version="{__version__}"}} 1.0' in text
    assert (200, True) == (page.status_code, "</html>" in page.text)
