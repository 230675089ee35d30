"""The Dockerfile and what it copies: all that can be said of the image without a container engine."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest
import requests

from exporter import SERVICE_NAME, __version__
from exporter.cli import cli
from exporter.config.settings import VARIABLES
from tests.process import program
from tests.replay import ReplayGateway

ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"KEY|PASSWORD|SECRET|TOKEN|CREDENTIAL", re.IGNORECASE)
NOT_OF_THE_TREE = frozenset(
    {".git", ".venv", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__"}
)
IMPORT_ALL = """
import importlib, importlib.resources, pkgutil, exporter
modules = [module for module in pkgutil.walk_packages(exporter.__path__, "exporter.")]
names = [module.name for module in modules if not (module.ispkg or module.name == "exporter.__main__")]
for name in names:
    importlib.import_module(name)
assert importlib.resources.files("exporter.web").joinpath("status.html").read_text("utf-8")
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
"""Runs before the program, tells of all that it writes to, and writes once to show that it does."""


@dataclass
class Stage:
    """One stage of the Dockerfile: where it comes from, its name, and its instructions in their order."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """Return the arguments of every such instruction."""
        return [text for name, text in self.instructions if name == instruction]

    def one(self, instruction: str) -> str:
        """Return the arguments of the only such instruction."""
        (text,) = self.all(instruction)
        return text


def parse(text: str) -> list[Stage]:
    """Return the stages: comments dropped, continued lines joined."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    stages: list[Stage] = []
    for line in filter(None, re.sub(r"\\\n\s*", "", lines).splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].instructions.append((instruction, rest.strip()))
    return stages


STAGES = parse((ROOT / "Dockerfile").read_text(encoding="utf-8"))
FINAL = STAGES[-1]
RAILWAY = [
    stage
    for path in sorted((ROOT / "deploy" / "railway").glob("*/Dockerfile"))
    for stage in parse(path.read_text(encoding="utf-8"))
]
"""The stages of the images for Railway, which take their files from the same folder."""


def copies(stages: Sequence[Stage]) -> list[list[str]]:
    """Return source and target of what stages copy from the project."""
    return [copy.split() for stage in stages for copy in stage.all("COPY") if "--from=" not in copy]


COPIES = copies(STAGES)
PATTERNS = [
    line
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return the NAME=value pairs of ENV, ARG or LABEL instructions."""
    split = (word.partition("=") for text in texts for word in shlex.split(text))
    return {name: value for name, _, value in split}


def variables() -> Mapping[str, str]:
    """Return the environment of the final image: its own and that of the stage it comes from."""
    by_name = {stage.name: stage for stage in STAGES if stage.name}
    return pairs([*by_name[FINAL.base].all("ENV"), *FINAL.all("ENV")])


def let_in(path: PurePosixPath) -> bool:
    """Return whether the builder gets a file: the last pattern that fits it, or a folder of it, decides."""
    result = True
    for pattern in PATTERNS:
        expression = re.escape(pattern.lstrip("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(expression, str(part)) for part in (path, *path.parents)):
            result = pattern.startswith("!")
    return result


def files(folder: Path) -> Iterator[PurePosixPath]:
    """Yield every file of the project below a folder, seen from the project's root."""
    for path in folder.iterdir():
        if path.name in NOT_OF_THE_TREE:
            continue
        if path.is_dir():
            yield from files(path)
        else:
            yield PurePosixPath(path.relative_to(ROOT).as_posix())


def copied(pairs: Sequence[Sequence[str]] = COPIES) -> Iterator[tuple[Path, PurePosixPath]]:
    """Yield every file that is copied, and its place in the image."""
    for source, target in pairs:
        path = ROOT / source
        if path.is_dir():
            inside = (ROOT / name for name in files(path) if let_in(name))
            yield from ((name, PurePosixPath(target) / name.relative_to(path)) for name in inside)
        else:
            yield path, PurePosixPath(target)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder with the copied files where the image has them."""
    for path, place in copied():
        target = tmp_path / str(place).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return tmp_path


def run(image: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the image's working directory, with nothing but the image's environment."""
    environment = {name: value for name, value in variables().items() if name != "PATH"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=image / FINAL.one("WORKDIR").lstrip("/"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_bases_are_pinned() -> None:
    """Every stage comes from a full release of Python, or from a stage before it."""
    names = [stage.name for stage in STAGES]
    foreign = [stage.base for number, stage in enumerate(STAGES) if stage.base not in names[:number]]

    assert [] == [base for base in foreign if not re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base)]
    assert 1 == len(foreign)


def test_packages_are_checked_by_hash() -> None:
    """The one installation takes the pinned requirements by their hashes, and only wheels."""
    (install,) = [text for stage in STAGES for text in stage.all("RUN") if " install " in text]

    assert {"--require-hashes", "--only-binary=:all:"} <= set(install.split())
    assert ["requirements/run.txt", install.split()[-1]] in COPIES


def test_the_final_image_cannot_install() -> None:
    """The final stage has neither pip nor what could bring it back, and copies only what was made to run."""
    gone = FINAL.all("RUN")[0].split(" && ")[0].split()

    assert ["rm", "-rf"] == gone[:2]
    assert {"ensurepip", "*", "pip*"} == {PurePosixPath(path).name for path in gone[2:]}
    assert ["--from=build /venv /venv", "--from=build /app /app"] == FINAL.all("COPY")


def test_user() -> None:
    """It runs as a user that is not root and known by number, as Kubernetes needs it, and owns no file."""
    assert "65532:65532" == FINAL.one("USER")
    assert [] == [copy for copy in FINAL.all("COPY") if "--chown" in copy]


def test_nothing_is_written() -> None:
    """Python writes no byte code and holds no output back."""
    assert "1" == variables()["PYTHONDONTWRITEBYTECODE"] == variables()["PYTHONUNBUFFERED"]


def test_root_may_be_read_only(monkeypatch: pytest.MonkeyPatch, gateway: ReplayGateway) -> None:
    """With the image's environment the running program writes to no file while it polls, answers and ends."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        # What measures coverage writes a file.
        monkeypatch.delenv(name)
    settings = {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": "test-admin-key", "METRICS_PORT": "0"}
    image = {name: value for name, value in variables().items() if name != "PATH"}

    with program(code=REPORT_WRITES, **settings, **image) as running:
        url = running.url()
        running.record("Updated provider metrics")
        answers = [requests.get(f"{url}{path}", timeout=10) for path in ("/metrics", "/", "/-/ready")]
        code, _ = running.end()

    assert (0, [200, 200, 200]) == (code, [answer.status_code for answer in answers])
    assert [f"writes {os.devnull}\n"] == [line for line in running.output if line.startswith("writes")]


def test_health_check() -> None:
    """The program itself is the health check, without a shell, bounded in time."""
    options, _, command = FINAL.one("HEALTHCHECK").partition("CMD ")
    entrypoint = json.loads(FINAL.one("ENTRYPOINT"))

    assert ["python", "-m", "exporter"] == entrypoint
    assert [*entrypoint, "healthcheck"] == json.loads(command)
    assert "healthcheck" in cli.commands
    assert {"--interval", "--timeout", "--start-period", "--retries"} == {
        option.split("=")[0] for option in options.split()
    }


def test_port_and_signal() -> None:
    """It says on which port it listens by default, and is stopped by the signal that it heeds."""
    (port,) = [variable.default for variable in VARIABLES if variable.name == "METRICS_PORT"]

    assert (port, "SIGTERM") == (FINAL.one("EXPOSE"), FINAL.one("STOPSIGNAL"))
    # Ports below this one would need a capability.
    assert int(port) >= 1024


def test_no_secret() -> None:
    """No stage has a variable that could hold a secret, nor a setting of the exporter."""
    names = {name for stage in STAGES for name in pairs([*stage.all("ENV"), *stage.all("ARG")])}

    assert [] == [name for name in names if SECRET.search(name)]
    assert set() == names & {variable.name for variable in VARIABLES}


def test_fits_every_architecture() -> None:
    """Nothing is said of an architecture, so that whoever builds it can choose."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").lower()

    named = ("--platform", "amd64", "arm64", "x86_64", "aarch64", "manylinux")
    assert [] == [word for word in named if word in text]


def test_labels() -> None:
    """Title, description and version are the project's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    labels = pairs(FINAL.all("LABEL"))

    assert __version__ == pairs(FINAL.all("ARG"))["VERSION"]
    assert {
        "org.opencontainers.image.title": SERVICE_NAME,
        "org.opencontainers.image.description": project["description"],
        "org.opencontainers.image.version": "${VERSION}",
    } == labels


def test_copied_files_exist() -> None:
    """Each source of a COPY is there and, if it is a file, let in."""
    for source, _ in COPIES:
        assert (ROOT / source).is_dir() or ((ROOT / source).is_file() and let_in(PurePosixPath(source)))


def test_whole_package_is_copied() -> None:
    """No file of the package is kept out."""
    package = {ROOT / name for name in files(ROOT / "exporter")}

    assert package == {path for path, _ in copied()} - {ROOT / "requirements" / "run.txt"}


def test_nothing_else_is_let_in() -> None:
    """The builder gets no file that is not copied: no .env, no tests, no history."""
    expected = {path for path, _ in copied(COPIES + copies(RAILWAY))}

    assert expected == {ROOT / name for name in files(ROOT) if let_in(name)}
    assert [] == [name for name in (".env", ".git/config", "exporter/x.pyc") if let_in(PurePosixPath(name))]


def test_program_runs_from_the_copied_files(image: Path) -> None:
    """With the copied files alone it tells its version, as the image would start it."""
    _, *arguments = json.loads(FINAL.one("ENTRYPOINT"))

    result = run(image, *arguments, "--version")

    assert (0, f"provider-metrics-exporter {__version__}\n", "") == (
        result.returncode,
        result.stdout,
        result.stderr,
    )


def test_modules_import_from_the_copied_files(image: Path) -> None:
    """Every module can be imported, the template be read, and no file is written by that."""
    before = sorted(image.rglob("*"))

    result = run(image, "-c", IMPORT_ALL)

    modules = [path for path, _ in copied() if path.suffix == ".py" and not path.stem.startswith("__")]
    assert "" == result.stderr
    assert f"{image}/app/exporter/__init__.py {len(modules)}\n" == result.stdout
    assert before == sorted(image.rglob("*"))
