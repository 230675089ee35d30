"""The Dockerfile: its base, user, variables and health check, and that the program writes no file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePosixPath

import requests

from exporter import __version__
from exporter.config.settings import VARIABLES
from tests.dockerfile import copies, pairs, parse
from tests.process import program
from tests.replay import ReplayGateway

ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"KEY|PASSWORD|SECRET|TOKEN|CREDENTIAL", re.IGNORECASE)
STAGES = parse(ROOT / "Dockerfile")
FINAL = STAGES[-1]
COPIES = copies(STAGES)
ENVIRONMENT = pairs([text for stage in STAGES if stage.name == FINAL.base for text in stage.all("ENV")])
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
