"""The README says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.errors import Outcome
from exporter.instruments import INSTRUMENTS, Instrument
from exporter.settings import VARIABLES, Variable

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


def test_make_verbs_exist() -> None:
    """Every `make` line of the README has its rule in the Makefile."""
    rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert set(re.findall(r"\bmake ([a-z]+)(?=  |`|\n)", README)) <= set(rules)
