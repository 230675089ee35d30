"""Pages agree with the program."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import bcrypt
import yaml

from exporter.check import as_json
from exporter.errors import Outcome
from exporter.metrics.instruments import INSTRUMENTS, ReloadedFile
from exporter.model.provider import HealthStatus
from exporter.model.snapshot import Snapshot
from exporter.webconfig.config import read as read_web_config
from tests.certificates import Folder
from tests.promql import RECORDED
from tests.verify.docs.pages import ROOT, code_blocks, read, section, table
from tests.verify.docs.pictures import MOST_BYTES, PICTURE


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
    calls += re.findall(
        r'LOGGER\.(?:info|warning|log)\(\s*(?:[^",()]*(?:if [^",()]*)?,\s*)?"([^"]+)"', source
    )
    explained = {
        name
        for cell, *_ in table(section("docs/logs-and-traces.md", "Log records"))
        for name in cell.split(", ")
    }

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
    result = subprocess.run(
        [sys.executable, *arguments],
        input="a password\n",
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )

    assert ".venv/bin/python" == program
    assert bcrypt.checkpw(b"a password", result.stdout.split()[-1].encode())


def test_picture_of_packages() -> None:
    """The picture in docs/how-it-works.md shows the layers that the import contract enforces."""
    _, picture = code_blocks("docs/how-it-works.md", "text")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = [layer.split(" | ") for layer in contracts[0]["layers"]]

    assert layers == [line[:28].split() for line in picture.splitlines()]


def test_picture() -> None:
    """The screenshot of the status page is a small PNG file."""
    picture = PICTURE.read_bytes()

    assert b"\x89PNG" == picture[:4]
    assert len(picture) <= MOST_BYTES


def test_fields_of_a_check() -> None:
    """The page lists the fields of `check --json`."""
    document = json.loads(as_json(Snapshot()))

    assert " and ".join(", ".join(f"`{name}`" for name in document).rsplit(", ", 1)) in " ".join(
        read("docs/configuration.md").split()
    )


def test_readme_is_short() -> None:
    """Without its tables the README has fewer than 110 lines."""
    text = re.sub(r"^\|.*\n", "", read("README.md"), flags=re.MULTILINE)

    assert len(text.splitlines()) < 110
