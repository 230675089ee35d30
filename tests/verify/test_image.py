"""The Dockerfiles and .dockerignore: which files are in the image, and whether the program runs from it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import pytest
import requests

from exporter import __version__
from exporter.config.settings import VARIABLES
from tests.dockerfile import copies, pairs, parse
from tests.process import program
from tests.replay import ReplayGateway

ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"KEY|PASSWORD|SECRET|TOKEN|CREDENTIAL", re.IGNORECASE)
CACHES = (".git", ".venv", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__")
STAGES = parse(ROOT / "Dockerfile")
FINAL = STAGES[-1]
COPIES = copies(STAGES)
RAILWAY = copies([stage for path in ROOT.glob("deploy/railway/*/Dockerfile") for stage in parse(path)])
"""Copied into the images for Railway, which are built from the same folder."""
ENVIRONMENT = pairs([text for stage in STAGES if stage.name == FINAL.base for text in stage.all("ENV")])
IGNORE = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
PATTERNS = [line for line in IGNORE if line and not line.startswith("#")]
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
REPORT_WRITES = """
import os, sys
def report(event, arguments):
    opened = event == "open" and isinstance(arguments[2], int)
    writes = opened and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event in ("os.mkdir", "os.rename", "os.remove", "os.symlink", "os.link"):
        print("writes", arguments[0], flush=True)
sys.addaudithook(report)
open(os.devnull, "w").close()
"""
"""Prints the name of every file that the process writes; writes one file, to show that it works."""


def is_visible(path: PurePosixPath) -> bool:
    """Return whether .dockerignore includes a file: the last matching pattern decides."""
    result = True
    for pattern in PATTERNS:
        expression = re.escape(pattern.lstrip("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(expression, str(part)) for part in (path, *path.parents)):
            result = pattern.startswith("!")
    return result


def files(folder: Path) -> Iterator[PurePosixPath]:
    """Yield every file of the project below a folder, relative to the project."""
    for path in folder.iterdir():
        if path.is_dir() and path.name not in CACHES:
            yield from files(path)
        elif path.name not in CACHES:
            yield PurePosixPath(path.relative_to(ROOT).as_posix())


def copied(pairs: Sequence[Sequence[str]]) -> Iterator[tuple[Path, PurePosixPath]]:
    """Yield every copied file, and its path in the image."""
    for source, target in pairs:
        path = ROOT / source
        if path.is_dir():
            inside = (ROOT / name for name in files(path) if is_visible(name))
            yield from ((name, PurePosixPath(target) / name.relative_to(path)) for name in inside)
        else:
            yield path, PurePosixPath(target)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder with the copied files where the image has them."""
    for path, place in copied(COPIES):
        target = tmp_path / str(place).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return tmp_path


def run(image: Path, *arguments: str) -> tuple[int, str, str]:
    """Run Python in the image's working directory with its environment; return code, output and errors."""
    folder, command = image / FINAL.one("WORKDIR").lstrip("/"), [sys.executable, *arguments]
    result = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    return result.returncode, result.stdout, result.stderr


def test_bases_are_pinned() -> None:
    """Every stage is based on a full release of Python or on an earlier stage."""
    names = [stage.name for stage in STAGES]
    (base,) = [stage.base for number, stage in enumerate(STAGES) if stage.base not in names[:number]]

    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base)


def test_packages_are_checked_by_hash() -> None:
    """The installation uses the pinned requirements with hashes, and only wheels."""
    (install,) = [text for stage in STAGES for text in stage.all("RUN") if " install " in text]

    assert {"--require-hashes", "--only-binary=:all:"} <= set(install.split())
    assert ["requirements/run.txt", install.split()[-1]] in COPIES


def test_final_image_cannot_install() -> None:
    """The final stage removes pip and what could restore it, and copies only from the build stage."""
    removed = FINAL.all("RUN")[0].split(" && ")[0].split()

    assert ["rm", "-rf"] == removed[:2]
    assert {"ensurepip", "*", "pip*"} == {PurePosixPath(path).name for path in removed[2:]}
    assert ["--from=build /venv /venv", "--from=build /app /app"] == FINAL.all("COPY")


def test_user() -> None:
    """The user is numeric, not root, and owns no file."""
    assert "65532:65532" == FINAL.one("USER")
    assert [] == [copy for copy in FINAL.all("COPY") if "--chown" in copy]


def test_no_secret() -> None:
    """No stage has a variable that could hold a secret, or a setting of the exporter."""
    names = {name for stage in STAGES for name in pairs([*stage.all("ENV"), *stage.all("ARG")])}

    assert [] == [name for name in names if SECRET.search(name)]
    assert set() == names & {variable.name for variable in VARIABLES}


def test_fits_every_architecture() -> None:
    """The file contains no architecture."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").lower()

    assert [] == re.findall("--platform|amd64|arm64|x86_64|aarch64|manylinux", text)


def test_metadata() -> None:
    """Version, port, signal and health check are those of the program."""
    (port,) = [variable.default for variable in VARIABLES if variable.name == "METRICS_PORT"]
    options, _, command = FINAL.one("HEALTHCHECK").partition("CMD ")

    assert __version__ == pairs(FINAL.all("ARG"))["VERSION"]
    assert (port, "SIGTERM") == (FINAL.one("EXPOSE"), FINAL.one("STOPSIGNAL"))
    assert [*json.loads(FINAL.one("ENTRYPOINT")), "healthcheck"] == json.loads(command)
    used = {option.split("=")[0] for option in options.split()}
    assert {"--interval", "--timeout", "--start-period", "--retries"} == used


def test_read_only_root(gateway: ReplayGateway) -> None:
    """With the image's environment the program writes no file while it polls, responds and stops."""
    settings = {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": "test-admin-key", "METRICS_PORT": "0"}

    with program(code=REPORT_WRITES, **settings, **ENVIRONMENT) as running:
        url = running.url()
        running.record("Updated provider metrics")
        answers = [requests.get(f"{url}{path}", timeout=10) for path in ("/metrics", "/", "/-/ready")]
        code, _ = running.end()

    assert (0, [200, 200, 200]) == (code, [answer.status_code for answer in answers])
    assert [f"writes {os.devnull}\n"] == [line for line in running.output if line.startswith("writes")]


def test_build_context() -> None:
    """The builder gets exactly the files that are copied: the whole package, no .env, tests or history."""
    package = {path for path, _ in copied(COPIES)} - {ROOT / "requirements" / "run.txt"}

    assert package == {ROOT / name for name in files(ROOT / "exporter")}
    assert {path for path, _ in copied(COPIES + RAILWAY)} == {
        ROOT / name for name in files(ROOT) if is_visible(name)
    }
    hidden = (".env", ".git/config", "exporter/x.pyc")
    assert [] == [name for name in hidden if is_visible(PurePosixPath(name))]


def test_entry_point_and_health_check(image: Path) -> None:
    """Both commands run with the copied files only; the check fails while no exporter listens."""
    _, *entry_point = json.loads(FINAL.one("ENTRYPOINT"))
    _, *health_check = json.loads(FINAL.one("HEALTHCHECK").partition("CMD ")[2])
    code, _, errors = run(image, *health_check)

    assert (0, f"provider-metrics-exporter {__version__}\n", "") == run(image, *entry_point, "--version")
    assert (1, "no answer on port 8001") == (code, errors.partition(":")[0])


def test_imports(image: Path) -> None:
    """Every module and the template can be loaded, and that writes no file."""
    before = sorted(image.rglob("*"))

    _, output, errors = run(image, "-c", IMPORT_ALL)

    modules = [path for path, _ in copied(COPIES) if path.suffix == ".py" and not path.stem.startswith("__")]
    assert ("", f"{image}/app/exporter/__init__.py {len(modules)}\n") == (errors, output)
    assert before == sorted(image.rglob("*"))
