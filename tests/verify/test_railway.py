"""The files for Railway agree with compose, and use Railway's addresses."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import SERVICE_NAME
from exporter.config.settings import VARIABLES
from tests.dockerfile import Stage, copies, pairs, parse

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "railway"
SERVICES = sorted(path.parent.name for path in FOLDER.glob("*/railway.json"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
PAGE = (ROOT / "docs" / "deployment" / "railway.md").read_text(encoding="utf-8")

NOT_NEEDED = {"grafana-access", "file-check", "otel-collector-volume", "demo-gateway"}
"""Services of compose that Railway does not need."""
NAME = re.compile(r"(?<![\w.-])(?:" + "|".join(sorted(COMPOSE)) + r")(?:\.railway\.internal)?:\d+")

every_service = pytest.mark.parametrize("service", SERVICES)


def config(service: str) -> Any:
    """Return a service's railway.json."""
    return json.loads((FOLDER / service / "railway.json").read_text(encoding="utf-8"))


def stages(service: str) -> list[Stage]:
    """Return the stages of a service's Dockerfile."""
    return parse(ROOT / config(service)["build"]["dockerfilePath"])


def rows() -> Mapping[str, list[str]]:
    """Return the cells of the page's table of services, by service."""
    found = re.findall(r"^\| `([a-z-]+)` \|(.*)\|$", PAGE, re.MULTILINE)
    return {service: [cell.strip() for cell in cells.split("|")] for service, cells in found}


def test_services() -> None:
    """Each server of the stack has a folder with its name in compose, and a row of the page's table."""
    assert sorted(set(COMPOSE) - NOT_NEEDED) == SERVICES
    assert SERVICES == sorted(rows())


@every_service
def test_image(service: str) -> None:
    """The image is built by a Dockerfile, from the release in compose."""
    final = stages(service)[-1]

    assert "DOCKERFILE" == config(service)["build"]["builder"]
    if service != SERVICE_NAME:
        assert COMPOSE[service]["image"] == final.base
        # Railway's volumes belong to root.
        assert "0:0" == final.one("USER")


@every_service
def test_watch_patterns(service: str) -> None:
    """A change of any source of the image builds a new one."""
    build = config(service)["build"]
    sources = {source for source, _ in copies(stages(service))} | {build["dockerfilePath"]}
    watched = tuple(pattern.removesuffix("**") for pattern in build["watchPatterns"])

    for source in sources:
        assert (f"/{source}/" if (ROOT / source).is_dir() else f"/{source}").startswith(watched), source
    assert [] == [pattern for pattern in watched if not (ROOT / pattern.strip("/")).exists()]


@every_service
def test_page(service: str) -> None:
    """The page's table has the port that the image exposes, and the volume for the data."""
    port, volume, _ = rows()[service]
    mounts = [mount for mount in COMPOSE[service].get("volumes", ()) if isinstance(mount, str)]
    data = {"/data"} if service == "grafana" else {mount.partition(":")[2] for mount in mounts}

    exposed = [number for text in stages(service)[-1].all("EXPOSE") for number in text.split()]
    assert port.strip("`") in exposed
    assert data == {volume.strip("`")} - {""}


@pytest.mark.parametrize("service", ["grafana", "otel-collector", "prometheus", "tempo"])
def test_addresses(service: str, tmp_path: Path) -> None:
    """The Dockerfile's command appends Railway's domain to the services' names, and changes nothing else."""
    first, folder = stages(service)[0], tmp_path / "configuration"
    ((source, target),) = copies([first])
    (command,) = first.all("RUN")
    shutil.copytree(ROOT / source, folder)

    subprocess.run(["/bin/sh", "-c", command.replace(target, str(folder))], check=True, timeout=10)

    (file,) = re.findall(rf"{target}/(\S+)", command)
    before, after = ((path / file).read_text(encoding="utf-8") for path in (ROOT / source, folder))
    assert len(NAME.findall(after)) == len(NAME.findall(before)) > 0
    assert [] == [address for address in NAME.findall(after) if ".railway.internal:" not in address]
    assert before == after.replace(".railway.internal", "")


@pytest.mark.parametrize("path", ["loki/loki.yaml", "alertmanager/alertmanager.yml"])
def test_no_other_configuration_has_addresses(path: str) -> None:
    """The configurations that are copied unchanged contain no address of a service."""
    assert [] == NAME.findall((ROOT / path).read_text(encoding="utf-8"))


def test_grafana() -> None:
    """Grafana's variables are those of compose, except for the password and the path of the volume."""
    expected, image = dict(COMPOSE["grafana"]["environment"]), pairs(stages("grafana")[-1].all("ENV"))

    assert "/data" == image.pop("GF_PATHS_DATA")
    expected = {name: value for name, value in expected.items() if name.startswith("GF_")}
    expected.pop("GF_SECURITY_ADMIN_PASSWORD", None)
    assert expected == image
    assert "`GF_SECURITY_ADMIN_PASSWORD`" in PAGE


def test_variables_of_the_page_exist() -> None:
    """The settings on the page are settings of the exporter."""
    known = {variable.name for variable in VARIABLES} | {"OTEL_EXPORTER_OTLP_ENDPOINT"}

    assert set(re.findall(r"`([A-Z_]+)`?=?", rows()[SERVICE_NAME][2])) <= known


def secrets(folder: Path, **variables: str) -> list[str]:
    """Run secrets.sh with a start.sh that prints its arguments, its environment and a secret."""
    shutil.copy(FOLDER / "alertmanager" / "secrets.sh", folder)
    (folder / "start.sh").write_text('echo "$@"; env; cat "$SLACK_API_URL_FILE"\n', encoding="utf-8")
    command = ["/bin/sh", str(folder / "secrets.sh"), "--an-argument"]
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), **variables}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=10).stdout.splitlines()


def test_every_secret_file_has_a_variable(tmp_path: Path) -> None:
    """For each file that start.sh reads there is a variable for its content."""
    script = (ROOT / "alertmanager" / "start.sh").read_text(encoding="utf-8")
    names = set(re.findall(r"\b([A-Z_]+)_FILE\b", script))

    lines = secrets(tmp_path, **dict.fromkeys(names, "hidden"))

    found = {line for line in lines if "_FILE=" in line}
    assert {f"{name}_FILE={tmp_path}/{name}" for name in names} == found
    assert {"hidden"} == {(tmp_path / name).read_text(encoding="utf-8") for name in names}


def test_secrets_become_files(tmp_path: Path) -> None:
    """The secret of a variable is moved to a file for root alone."""
    lines = secrets(tmp_path, SLACK_API_URL="http://own.test/hidden", SMTP_AUTH_PASSWORD="")

    assert ("--an-argument", "http://own.test/hidden") == (lines[0], lines[-1])
    assert [f"SLACK_API_URL_FILE={tmp_path}/SLACK_API_URL"] == [line for line in lines if "SLACK" in line]
    assert [] == [line for line in lines if "SMTP" in line]
    assert 0o600 == (tmp_path / "SLACK_API_URL").stat().st_mode & 0o777
