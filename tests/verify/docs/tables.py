"""Generates the tables of the documentation (`make docs`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from exporter.config.flags import FLAGS, Flag
from exporter.config.settings import VARIABLES, Variable
from exporter.metrics.instruments import INSTRUMENTS, Instrument
from tests.marks import write_between
from tests.promql import rules
from tests.verify.docs.pages import ROOT


def row(*cells: str) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def variable(variable: Variable) -> str:
    """Return the row of an environment variable."""
    return row(f"`{variable.name}`", f"`{variable.default}`" if variable.default else "", variable.meaning)


def instrument(instrument: Instrument) -> str:
    """Return the row of a metric."""
    labels = "{" + ",".join(instrument.labels) + "}" if instrument.labels else ""
    return row(f"`{instrument.name}{labels}`", instrument.kind, instrument.help)


def settings() -> str:
    """Return the table of the settings."""
    head = (row("Variable", "Default", "Meaning"), "|---|---|---|")
    return "\n".join([*head, *map(variable, VARIABLES)])


def flag(flag: Flag) -> str:
    """Return the row of a flag."""
    name = f"`{flag.name}={flag.metavar}`" if flag.metavar else f"`{flag.name}`"
    variables = ", ".join(f"`{variable}`" for variable in flag.variables)
    return row(name, f"`{flag.default}`" if flag.default else "", variables, flag.meaning)


def flags() -> str:
    """Return the table of the flags."""
    head = (row("Flag", "Default", "Wins over", "Meaning"), "|---|---|---|---|")
    return "\n".join([*head, *map(flag, FLAGS)])


def metrics() -> str:
    """Return the table of the metrics."""
    head = (row("Metric", "Type", "Meaning"), "|---|---|---|")
    return "\n".join([*head, *map(instrument, INSTRUMENTS)])


def alerts() -> str:
    """Return the table of the alerts, by category and severity."""
    found = sorted((rule for rule in rules() if "alert" in rule), key=_order)
    head = (row("Alert", "Severity", "Category", "For", "Summary"), "|---|---|---|---|---|")
    return "\n".join([*head, *map(_alert, found)])


def _order(rule: Mapping[str, Any]) -> tuple[str, int]:
    labels = rule["labels"]
    return labels["category"], ("critical", "warning", "info", "none").index(labels["severity"])


def _alert(rule: Mapping[str, Any]) -> str:
    name, labels = rule["alert"], rule["labels"]
    link = f"[{name}](runbooks/{name}.md)"
    return row(link, labels["severity"], labels["category"], rule["for"], rule["annotations"]["summary"])


TABLES: Mapping[str, tuple[str, Callable[[], str]]] = MappingProxyType(
    {
        "settings": ("README.md", settings),
        "flags": ("docs/configuration.md", flags),
        "metrics": ("README.md", metrics),
        "alerts": ("docs/alerts.md", alerts),
    }
)
"""Page and generator of each table, by the name in its marks."""


def marks(name: str) -> tuple[str, str]:
    """Return the lines before and after a table."""
    return f"<!-- {name}: written by `make docs` -->", f"<!-- end of the {name} -->"


def main() -> None:
    """Write every table into its page."""
    for name, (page, table) in TABLES.items():
        write_between(ROOT / page, *marks(name), table())


if __name__ == "__main__":
    main()
