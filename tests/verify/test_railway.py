"""The files for Railway: consistent with compose, and with Railway's addresses."""

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

ONE_SHOTS = {"grafana-access", "otel-collector-volume", "demo-gateway"}
"""Services of compose that Railway does not need."""
NAME = re.compile(r"(?<![\w.-])(" + "|".join(sorted(COMPOSE)) + r")(?:\.railway\.internal)?:\d+")
SECRET_VARIABLES = {"GF_SECURITY_ADMIN_PASSWORD"}

every_service = pytest.mark.parametrize("service", SERVICES)


def config(service: str) -> Any:
    """Return a service's railway.json."""
    return json.loads((FOLDER / service / "railway.json").read_text(encoding="utf-8"))


def stages(service: str) -> list[Stage]:
    """Return the stages of the Dockerfile that a service is built from."""
    return parse(ROOT / config(service)["build"]["dockerfilePath"])


def rows() -> Mapping[str, list[str]]:
    """Return the cells of the page's table of services, by service."""
    found = re.findall(r"^\| `([a-z-]+)` \|(.*)\|$", PAGE, re.MULTILINE)
    return {service: [cell.strip() for cell in cells.split("|")] for service, cells in found}


def test_services() -> None:
    """Each server of the stack has its folder, under the name that it has in compose."""
    assert sorted(set(COMPOSE) - ONE_SHOTS) == SERVICES


@every_service
def test_image(service: str) -> None:
    """The image is built by a Dockerfile that is there, from the release that compose runs."""
    final = stages(service)[-1]

    assert "DOCKERFILE" == config(service)["build"]["builder"]
    if service != SERVICE_NAME:
        assert COMPOSE[service]["image"] == final.base
        # Railway's volumes are root's.
        assert "0:0" == final.one("USER")


@every_service
def test_changes_are_watched(service: str) -> None:
    """A change of anything that the image is made of makes a new one."""
    build = config(service)["build"]
    sources = {source for source, _ in copies(stages(service))} | {build["dockerfilePath"]}
    watched = [pattern.removesuffix("**") for pattern in build["watchPatterns"]]

    for source in sources:
        path = f"/{source}/" if (ROOT / source).is_dir() else f"/{source}"
        assert [pattern for pattern in watched if path.startswith(pattern)], source
    assert [] == [pattern for pattern in watched if not (ROOT / pattern.strip("/")).exists()]


@every_service
def test_page(service: str) -> None:
    """The page's table has the port that the image exposes, and the volume where the data are."""
    port, volume, _ = rows()[service]
    exposed = [number for text in stages(service)[-1].all("EXPOSE") for number in text.split()]
    data = {
        mount.partition(":")[2] for mount in COMPOSE[service].get("volumes", ()) if isinstance(mount, str)
    }

    assert port.strip("`") in exposed
    expected = {"/data"} if service == "grafana" else data
    assert expected == {volume.strip("`")} - {""}


def test_page_has_no_other_service() -> None:
    """Every row of the table is a service."""
    assert SERVICES == sorted(rows())


@pytest.mark.parametrize("service", ["grafana", "otel-collector", "prometheus", "tempo"])
def test_addresses(service: str, tmp_path: Path) -> None:
    """What the Dockerfile runs gives each address of a service its longer name, and changes nothing else."""
    first = stages(service)[0]
    ((source, target),) = copies([first])
    (command,) = first.all("RUN")
    shutil.copytree(ROOT / source, tmp_path / "configuration")

    subprocess.run(
        ["/bin/sh", "-c", command.replace(target, str(tmp_path / "configuration"))], check=True, timeout=10
    )

    (file,) = re.findall(rf"{target}/(\S+)", command)
    before = (ROOT / source / file).read_text(encoding="utf-8")
    after = (tmp_path / "configuration" / file).read_text(encoding="utf-8")
    addresses = [found[0] for found in NAME.finditer(after)]
    assert len(addresses) == len(NAME.findall(before)) > 0
    assert [] == [address for address in addresses if ".railway.internal:" not in address]
    assert before == after.replace(".railway.internal", "")


def test_no_other_configuration_has_addresses() -> None:
    """The configurations that are copied as they are name no other service."""
    texts = [
        (ROOT / path).read_text(encoding="utf-8")
        for path in ("loki/loki.yaml", "alertmanager/alertmanager.yml")
    ]

    assert [] == [found[0] for text in texts for found in NAME.finditer(text)]


def test_grafana_is_that_of_compose() -> None:
    """Its variables are those of compose, but for the password, and for where the volume is."""
    expected = {**COMPOSE["grafana"]["environment"]}
    image = pairs(stages("grafana")[-1].all("ENV"))

    assert "/data" == image.pop("GF_PATHS_DATA")
    assert {name: value for name, value in expected.items() if name not in SECRET_VARIABLES} == image
    assert all(f"`{name}`" in PAGE for name in SECRET_VARIABLES)


def test_variables_of_the_page_exist() -> None:
    """The settings that the page tells to set are settings of the exporter."""
    known = {variable.name for variable in VARIABLES} | {"OTEL_EXPORTER_OTLP_ENDPOINT"}

    assert set(re.findall(r"`([A-Z_]+)`?=?", rows()[SERVICE_NAME][2])) <= known


def secrets(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run secrets.sh with something in start.sh's place that shows its arguments and environment."""
    shutil.copy(FOLDER / "alertmanager" / "secrets.sh", folder)
    (folder / "start.sh").write_text('echo "$@"; env; cat "$SLACK_API_URL_FILE"\n', encoding="utf-8")
    return subprocess.run(
        ["/bin/sh", str(folder / "secrets.sh"), "--an-argument"],
        env={"PATH": os.environ["PATH"], "TMPDIR": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


def test_every_secret_file_has_a_variable(tmp_path: Path) -> None:
    """For each file that start.sh reads there is a variable that holds what would be in it."""
    script = (ROOT / "alertmanager" / "start.sh").read_text(encoding="utf-8")
    names = set(re.findall(r"\b([A-Z_]+)_FILE\b", script))

    lines = secrets(tmp_path, **dict.fromkeys(names, "hidden")).stdout.splitlines()

    assert {f"{name}_FILE={tmp_path}/{name}" for name in names} == {
        line for line in lines if "_FILE=" in line
    }
    assert {"hidden"} == {(tmp_path / name).read_text(encoding="utf-8") for name in names}


def test_secrets_become_files(tmp_path: Path) -> None:
    """A secret of a variable is in a file for root alone, and in no variable any more."""
    lines = secrets(
        tmp_path, SLACK_API_URL="http://own.test/hidden", SMTP_AUTH_PASSWORD=""
    ).stdout.splitlines()

    assert ("--an-argument", "http://own.test/hidden") == (lines[0], lines[-1])
    assert [f"SLACK_API_URL_FILE={tmp_path}/SLACK_API_URL"] == [line for line in lines if "SLACK" in line]
    assert [] == [line for line in lines if "SMTP" in line]
    assert 0o600 == (tmp_path / "SLACK_API_URL").stat().st_mode & 0o777
