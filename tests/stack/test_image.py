"""The image of the exporter, built from its Dockerfile: the files in it, their modes, and its commands."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import __version__
from tests.buildah import Buildah, Image, busybox_root
from tests.dockerfile import copies, parse
from tests.namespaces import require_root
from tests.stack.substitution import ROOT

pytestmark = [pytest.mark.needs("buildah"), pytest.mark.needs("busybox")]

STAGES = parse(ROOT / "Dockerfile")
BASE = STAGES[0].base
DOCKERFILES = [ROOT / "Dockerfile", *ROOT.glob("deploy/railway/*/Dockerfile")]
SOURCES = {source for path in DOCKERFILES for source, _ in copies(parse(path))}
"""Files and folders that are copied into some image."""
SECRETS = (
    *(".env", "prometheus/password", "grafana/provisioning/datasources/own.txt", "loki/own.txt"),
    *("exporter/x.pyc", "exporter/model/__pycache__/x.pyc"),
)
"""Files of a working tree that no image may contain."""
PYTHON = """#!/bin/sh
# Stands in for Python in the build: creates the folders of the virtual environment.
mkdir -p /venv/bin /venv/lib
"""
IMPORT_ALL = """
import importlib, importlib.resources, pkgutil, exporter
modules = [module for module in pkgutil.walk_packages(exporter.__path__, "exporter.")]
names = [module.name for module in modules if not (module.ispkg or module.name == "exporter.__main__")]
for name in names:
    importlib.import_module(name)
from exporter.web.page.pages import StatusPage
assert StatusPage(60).headers
print(exporter.__file__, len(names))
"""


def tracked() -> list[str]:
    """Return the files that git knows."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that was made with umask 077, and then used: with secrets and compiled files."""
    folder = tmp_path_factory.mktemp("clone")
    for name in tracked():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    for name in SECRETS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("secret", encoding="utf-8")
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Buildah:
    """A builder that has a stand-in for the Python image."""
    require_root()
    builder = Buildah(tmp_path_factory.mktemp("buildah"))
    root = busybox_root(tmp_path_factory.mktemp("root") / "python")
    python = root / "usr" / "local" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    builder.base(BASE, root)
    return builder


@pytest.fixture(scope="module")
def image(builder: Buildah, clone: Path) -> Image:
    """The image of the exporter."""
    return builder.build(clone / "Dockerfile", clone)


def run(image: Image, *arguments: str) -> tuple[int, str, str]:
    """Run Python of this process in the image's working directory with its variables."""
    folder = image.root / image.config["WorkingDir"].lstrip("/")
    environment = {**image.environment, "PYTHONPATH": f"{image.root}{image.environment['PYTHONPATH']}"}
    command = [sys.executable, *arguments]
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return result.returncode, result.stdout, result.stderr


def test_build_context(builder: Buildah, clone: Path, tmp_path: Path) -> None:
    """The builder gets the files that are copied into images: no secret, test or history."""
    everything = tmp_path / "Dockerfile"
    everything.write_text("FROM scratch\nCOPY . /\n", encoding="utf-8")

    context = builder.build(everything, clone)

    assert context.files("/") == sorted(
        name
        for name in tracked()
        if any(name == source or name.startswith(f"{source}/") for source in SOURCES)
    )


def test_package(image: Image) -> None:
    """The image has the whole package, and nothing else of the project."""
    package = [name.removeprefix("exporter/") for name in tracked() if name.startswith("exporter/")]

    assert sorted(package) == image.files("/app/exporter")
    assert ["exporter"] == [path.name for path in (image.root / "app").iterdir()]


def test_every_user_can_read(image: Image) -> None:
    """Files and folders of the package are readable for all, although those of the clone are not."""
    found = [image.root / "app" / "exporter", *(image.root / "app" / "exporter").rglob("*")]

    assert [] == [path for path in found if path.stat().st_mode & 0o077 != (0o55 if path.is_dir() else 0o44)]


def test_entry_point_and_health_check(image: Image) -> None:
    """Both commands run with the files of the image; the check fails while no exporter listens."""
    python, *entry_point = image.config["Entrypoint"]
    _, *health_check = json.loads(STAGES[-1].one("HEALTHCHECK").partition("CMD ")[2])
    code, _, errors = run(image, *health_check)

    assert "python" == python
    assert (0, f"provider-metrics-exporter {__version__}\n", "") == run(image, *entry_point, "--version")
    assert (1, "no answer on port 8001") == (code, errors.partition(":")[0])


def test_console_command(image: Image) -> None:
    """`provider-metrics-exporter` is on the path, and passes its arguments to the program."""
    script = image.root / "venv" / "bin" / "provider-metrics-exporter"

    assert 0o755 == script.stat().st_mode & 0o777
    result = subprocess.run(
        ["/bin/sh", script, "--version"],
        env={"PATH": f"{Path(sys.executable).parent}:/bin", "PYTHONPATH": f"{image.root}/app"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"provider-metrics-exporter {__version__}\n" == result.stdout
    assert str(script.parent).removeprefix(str(image.root)) in image.environment["PATH"].split(":")


def test_imports(image: Image) -> None:
    """Every module and the template can be loaded, and that writes no file."""
    before = image.files("/")

    _, output, errors = run(image, "-c", IMPORT_ALL)

    modules = [name for name in image.files("/app") if name.endswith(".py") and "/__" not in name]
    assert ("", f"{image.root}/app/exporter/__init__.py {len(modules)}\n") == (errors, output)
    assert before == image.files("/")
