"""The matrix of faults as Markdown tables, with one observed row per case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from tests.marks import write_between

BEGIN, END = "<!-- matrix: written by `make faults` -->", "<!-- end of the matrix -->"
HEAD = ("Case", "Outcome", "`/metrics`", "Log")


@dataclass(frozen=True, order=True)
class Row:
    """The result of one case; the texts are the same in every run."""

    group: str
    """Heading of the table, such as "Answers of the gateway"."""
    place: int
    """Position in the group."""
    case: str
    """The fault, in the words of an operator."""
    outcome: str
    """Label `outcome` of the fetch; other cases have a text of their own."""
    metrics: str
    """The observed metrics."""
    log: str
    """The observed log records."""


def as_markdown(rows: Iterable[Row]) -> str:
    """Return one table for each group, in the order of the table of cases."""
    parts = []
    for group, members in groupby(sorted(set(rows)), attrgetter("group")):
        lines = [_line(HEAD), _line(["---"] * len(HEAD))]
        lines += [_line(astuple(member)[2:]) for member in members]
        parts.append(f"### {group}\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def write_into(document: Path, rows: Iterable[Row]) -> None:
    """Write the matrix between its marks in the document."""
    write_between(document, BEGIN, END, as_markdown(rows))


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
