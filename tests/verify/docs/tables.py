"""Tables of the documentation and files that `make generate` writes from the code and the rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from exporter.config.flags import FLAGS, Flag
from exporter.config.settings import VARIABLES, Variable
from exporter.metrics.instruments import INSTRUMENTS, Instrument
from exporter.model.fields import FIELDS
from tests.marks import write_between
from tests.promql import rules
from tests.verify.docs import sizing
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
    """Return the table of settings."""
    head = (row("Variable", "Default", "Meaning"), "|---|---|---|")
    return "\n".join([*head, *map(variable, VARIABLES)])


def flag(flag: Flag) -> str:
    """Return the row of a flag."""
    name = f"`{flag.name}={flag.metavar}`" if flag.metavar else f"`{flag.name}`"
    variables = ", ".join(f"`{variable}`" for variable in flag.variables)
    return row(name, f"`{flag.default}`" if flag.default else "", variables, flag.meaning)


def flags() -> str:
    """Return the table of the flags."""
    head = (row("Flag", "Default", "Overrides", "Meaning"), "|---|---|---|---|")
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
        "sizes": (sizing.PAGE, sizing.table),
    }
)
"""Page and generator of each table, by the name in its marks."""


def marks(name: str) -> tuple[str, str]:
    """Return the lines before and after a table."""
    return f"<!-- {name}: written by `make generate` -->", f"<!-- end of the {name} -->"


def gauges() -> str:
    """Return the gauges of fields for the benchmark's contestants, which do not import the exporter."""
    rows = [
        {"path": field.path, "converter": field.convert.__name__, **asdict(field.gauge)}
        for field in FIELDS
        if field.gauge
    ]
    return json.dumps(rows, indent=2) + "\n"


FILES: Mapping[str, Callable[[], str]] = MappingProxyType({"bench/gauges.json": gauges})
"""Generated files."""


def main() -> None:
    """Write the tables and the files."""
    for name, (page, table) in TABLES.items():
        write_between(ROOT / page, *marks(name), table())
    for path, content in FILES.items():
        (ROOT / path).write_text(content(), encoding="utf-8")


if __name__ == "__main__":
    main()
