"""Panels, variables and queries of the committed dashboards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent.parent / "grafana" / "dashboards"
FILES = sorted(path.name for path in FOLDER.glob("*.json"))

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Query:
    """One query of a dashboard.

    Attributes:
        where: File, and panel, variable or annotation.
        source: Type of its data source.
        text: PromQL, LogQL or TraceQL with Grafana's variables.
        is_instant: Whether it is an instant query.
    """

    where: str
    source: str
    text: str
    is_instant: bool = False


@cache
def parsed(file: str) -> Tree:
    """Return a dashboard as a tree."""
    tree: Tree = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    return tree


def placed(board: Tree) -> list[Tree]:
    """Return everything on the grid of a board: rows and panels, those of closed rows too."""
    return [each for outer in board["panels"] for each in (outer, *outer.get("panels", ()))]


def panels(file: str) -> list[Tree]:
    """Return its panels without rows."""
    return [panel for panel in placed(parsed(file)) if panel["type"] != "row"]


def source_of(panel: Tree) -> str:
    """Return the type of a panel's data source; empty for a list of alerts, which has none."""
    return str(panel.get("datasource", {}).get("type", ""))


def variables(file: str) -> Mapping[str, Tree]:
    """Return its variables by name."""
    return {variable["name"]: variable for variable in parsed(file)["templating"]["list"]}


def marks(file: str) -> list[Tree]:
    """Return its annotations with a query."""
    return [row for row in parsed(file)["annotations"]["list"] if "expr" in row]


def queries(file: str) -> Iterator[Query]:
    """Yield every query of its panels, variables and annotations."""
    for panel in panels(file):
        for target in panel.get("targets", ()):
            text = target.get("expr") or target["query"]
            where = f"{file}: {panel['title']} {target['refId']}"
            yield Query(where, target["datasource"]["type"], text, bool(target.get("instant")))
    for name, variable in variables(file).items():
        if variable["type"] == "query":
            where = f"{file}: variable {name}"
            yield Query(where, variable["datasource"]["type"], variable["query"]["query"])
    for row in marks(file):
        yield Query(f"{file}: annotation {row['name']}", row["datasource"]["type"], row["expr"])


ALL_QUERIES = [query for file in FILES for query in queries(file)]


def texts(tree: Any) -> Iterator[str]:
    """Yield every text of a tree, without keys."""
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from texts(value)
    elif isinstance(tree, str):
        yield tree


def used_variables(text: str) -> set[str]:
    """Return the names of Grafana's variables in a text."""
    return set(re.findall(r"\$\{?([A-Za-z_]\w*)", text))
