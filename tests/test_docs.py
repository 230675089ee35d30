"""The README says what the program does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest
import yaml

from exporter.errors import Outcome
from exporter.instruments import INSTRUMENTS, Instrument
from exporter.settings import VARIABLES, Variable
from exporter.webconfig import read
from tests.certificates import Folder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def row(*cells: str) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def section(title: str) -> str:
    """Return the text of a section."""
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def names(text: str) -> list[str]:
    """Return the names in the first column of a section's table."""
    return re.findall(r"^\| `([A-Za-z_]+)", text, re.MULTILINE)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_variable(variable: Variable) -> None:
    """Each variable is in the table, with default and meaning."""
    default = f"`{variable.default}`" if variable.default else ""

    assert row(f"`{variable.name}`", default, variable.meaning) in section("Settings")


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.name)
def test_metric(instrument: Instrument) -> None:
    """Each metric is in the table, with labels, type and help."""
    labels = "{" + ",".join(instrument.labels) + "}" if instrument.labels else ""

    assert row(f"`{instrument.name}{labels}`", instrument.kind, instrument.help) in section("Metrics")


def test_tables_name_nothing_else() -> None:
    """There is no variable and no metric in the tables that does not exist."""
    assert [variable.name for variable in VARIABLES] == names(section("Settings"))
    assert [instrument.name for instrument in INSTRUMENTS] == names(section("Metrics"))


def test_outcomes() -> None:
    """All outcomes are named, in order."""
    text = " ".join(section("Metrics").split())

    assert "`outcome` is one of " + ", ".join(f"`{outcome}`" for outcome in Outcome) + "." in text


def test_log_messages() -> None:
    """Every constant message of a log record is in the table."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "exporter").glob("*.py"))
    calls = re.findall(r'"msg": "([^"]+)"', source)
    calls += re.findall(
        r'LOGGER\.(?:info|warning|log)\(\s*(?:[^",()]*(?:if [^",()]*)?,\s*)?"([^"]+)"', source
    )

    assert {"Fetch failed", "Recovered", "Listening", "Log records lost"} <= set(calls)
    for message in calls:
        assert message in section("Logs")


def code_blocks(page: str, language: str) -> list[str]:
    """Return the blocks of code of one language on a page of docs/."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [code for name, code in blocks if name == language]


def test_example_of_a_web_config_is_good(tmp_path: Path) -> None:
    """The complete file of docs/security.md can be used as it stands, with certificates of those names."""
    folder = Folder(tmp_path)
    example, prometheus = code_blocks("security.md", "yaml")
    folder.file.write_text(example)
    reading = read(folder.file)

    assert () == reading.problems
    assert () == reading.config.warnings
    assert "provider_metrics" == yaml.safe_load(prometheus)["scrape_configs"][0]["job_name"]


def test_hash_can_be_made() -> None:
    """The command of docs/security.md makes a hash that works."""
    (command,) = code_blocks("security.md", "")
    program, *arguments = shlex.split(command)
    # Without a terminal it reads the password from its input.
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


def test_make_verbs_exist() -> None:
    """Every `make` line of the README has its rule in the Makefile."""
    rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert set(re.findall(r"\bmake ([a-z]+)(?=  |`|\n)", README)) <= set(rules)
