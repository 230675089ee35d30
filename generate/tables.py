"""Tables of the documentation and files that `make generate` writes from the code and the rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from types import MappingProxyType

from exporter.config.flags import FLAGS
from exporter.config.settings import VARIABLES
from exporter.metrics.instruments import INSTRUMENTS
from exporter.model.fields import FIELDS
from generate import openapi, sizing
from generate.marks import write_between
from tests.promql import rules
from tests.verify.docs.pages import ROOT


def table(head: str, rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; its head is separated by commas."""
    titles = head.split(", ")
    lines = [f"| {' | '.join(cells)} |" for cells in (titles, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(titles), *lines[1:]])


def code(text: str) -> str:
    """Return a text as code, if there is any."""
    return f"`{text}`" if text else ""


def settings() -> str:
    """Return the table of settings."""
    rows = ((code(one.name), code(one.default), one.meaning) for one in VARIABLES)
    return table("Variable, Default, Meaning", rows)


def flags() -> str:
    """Return the table of the flags."""
    rows = []
    for flag in FLAGS:
        name = f"{flag.name}={flag.metavar}" if flag.metavar else flag.name
        rows.append((code(name), code(flag.default), ", ".join(map(code, flag.variables)), flag.meaning))
    return table("Flag, Default, Overrides, Meaning", rows)


def metrics() -> str:
    """Return the table of the metrics."""
    rows = []
    for one in INSTRUMENTS:
        labels = "{" + ",".join(one.labels) + "}" if one.labels else ""
        rows.append((code(one.name + labels), one.kind, one.help))
    return table("Metric, Type, Meaning", rows)


def alerts() -> str:
    """Return the table of the alerts, by category and severity."""
    severities = ("critical", "warning", "info", "none")
    rows = []
    for rule in rules():
        if name := rule.get("alert"):
            severity, category = rule["labels"]["severity"], rule["labels"]["category"]
            link, summary = f"[{name}](runbooks/{name}.md)", rule["annotations"]["summary"]
            key = category, severities.index(severity)
            rows.append((key, (link, severity, category, rule["for"], summary)))
    return table(
        "Alert, Severity, Category, For, Summary", [row for _, row in sorted(rows, key=itemgetter(0))]
    )


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
    names = [({"path": one.path, "converter": one.convert.__name__}, one.gauge) for one in FIELDS]
    return json.dumps([own | asdict(gauge) for own, gauge in names if gauge], indent=2) + "\n"


FILES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"bench/gauges.json": gauges, "docs/openapi.json": openapi.document}
)
"""Generated files."""


def main() -> None:
    """Write the tables and the files."""
    for name, (page, generate) in TABLES.items():
        write_between(ROOT / page, *marks(name), generate())
    for path, content in FILES.items():
        (ROOT / path).write_text(content(), encoding="utf-8")


if __name__ == "__main__":
    main()
