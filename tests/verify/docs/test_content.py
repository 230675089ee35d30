"""Pages agree with the program."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from operator import attrgetter
from pathlib import Path

import bcrypt
import pytest
import yaml

from exporter.check import as_json
from exporter.errors import Outcome
from exporter.metrics.instruments import INSTRUMENTS, ReloadedFile
from exporter.model.provider import HealthStatus
from exporter.model.snapshot import Snapshot
from exporter.webconfig.config import read as read_web_config
from generate.pictures import FOLDER, MOMENTS, MOST_BYTES, Picture
from tests.certificates import Folder
from tests.promql import RECORDED
from tests.verify.docs.pages import ROOT, code_blocks, read, section, table


def first_column(page: str, title: str) -> list[str]:
    """Return the code words in the first column of a section's table."""
    return [word for cell, *_ in table(section(page, title)) for word in re.findall(r"`([^`]+)`", cell)]


def test_outcomes() -> None:
    """The table lists all outcomes in order."""
    text = section("docs/metrics.md", "Labels").split("### Outcomes")[1]

    assert [f"`{outcome}`" for outcome in Outcome] == [outcome for outcome, _ in table(text)]


def test_labels() -> None:
    """The table lists all labels, and the values of those with a fixed set."""
    used = {label for instrument in INSTRUMENTS for label in instrument.labels}
    values = dict(table(section("docs/metrics.md", "Labels")))

    assert used == set(first_column("docs/metrics.md", "Labels"))
    assert [status.label for status in HealthStatus] == re.findall(r"`(\w+)`", values["`state`"])
    assert [file.value for file in ReloadedFile] == re.findall(r"`(\w+)`", values["`file`"])


def test_recorded_series() -> None:
    """The table lists exactly the recorded series."""
    assert sorted(RECORDED) == sorted(first_column("docs/metrics.md", "Recorded series"))


def test_log_messages() -> None:
    """The table lists every message of a log record."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "exporter").rglob("*.py"))
    calls = re.findall(r'"msg": "([^"]+)"', source)
    message = r'LOGGER\.(?:info|warning|log)\(\s*(?:[^",()]*(?:if [^",()]*)?,\s*)?"([^"]+)"'
    calls += re.findall(message, source)
    rows = table(section("docs/logs-and-traces.md", "Log records"))
    explained = {name for cell, *_ in rows for name in cell.split(", ")}

    assert {"Fetch failed", "Recovered", "Listening", "Log records lost"} <= set(calls)
    assert set() == set(calls) - explained


def test_contract_query() -> None:
    """The query of the contract is the first example."""
    (recipes,) = code_blocks("docs/logs-and-traces.md", "logql")

    assert '{service="provider-metrics-exporter"} | json | providers_total > 0' == recipes.splitlines()[1]


def test_example_of_a_web_config(tmp_path: Path) -> None:
    """The example of docs/security.md is valid, with certificates of those names."""
    folder = Folder(tmp_path)
    example, prometheus = code_blocks("docs/security.md", "yaml")
    folder.file.write_text(example)
    reading = read_web_config(folder.file)

    assert () == reading.problems
    assert () == reading.config.warnings
    assert "provider_metrics" == yaml.safe_load(prometheus)["scrape_configs"][0]["job_name"]


def test_password_hash() -> None:
    """The command of docs/security.md prints a valid hash."""
    (command,) = code_blocks("docs/security.md", "sh")
    program, *arguments = shlex.split(command)
    # Without a terminal it reads the password from standard input.
    own = [sys.executable, *arguments]
    output = subprocess.check_output(own, input="a password\n", text=True, start_new_session=True)

    assert ".venv/bin/python" == program
    assert bcrypt.checkpw(b"a password", output.split()[-1].encode())


def test_picture_of_packages() -> None:
    """The picture in docs/how-it-works.md shows the layers that the import contract enforces."""
    _, picture = code_blocks("docs/how-it-works.md", "text")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]

    assert [layer.split(" | ") for layer in layers] == [line[:36].split() for line in picture.splitlines()]


@pytest.mark.parametrize(
    "picture", [each for moment in MOMENTS for each in moment.pictures], ids=attrgetter("name")
)
def test_picture(picture: Picture) -> None:
    """The pictures of the status page are small PNG files."""
    content = (FOLDER / f"{picture.name}.png").read_bytes()

    assert b"\x89PNG" == content[:4]
    assert len(content) <= MOST_BYTES


def test_all_pictures_are_made() -> None:
    """The folder has no other pictures than those of the demo and of Grafana."""
    made = {f"{each.name}.png" for moment in MOMENTS for each in moment.pictures}
    drawn_by_grafana = {"dashboard.png", "dashboard-outage.png", "dashboard-provider.png"}

    assert made | drawn_by_grafana == {path.name for path in FOLDER.iterdir()}


def test_fields_of_a_check() -> None:
    """The page lists the fields of `check --json`."""
    *names, last = (f"`{name}`" for name in json.loads(as_json(Snapshot())))

    assert f"{', '.join(names)} and {last}" in " ".join(read("docs/configuration.md").split())


def test_readme_is_short() -> None:
    """Without its tables the README has fewer than 110 lines."""
    text = re.sub(r"^\|.*\n", "", read("README.md"), flags=re.MULTILINE)

    assert len(text.splitlines()) < 110
