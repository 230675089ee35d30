"""The matrix of faults as Markdown tables, with one observed row per case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from generate.marks import write_between

BEGIN, END = "<!-- matrix: written by `make faults` -->", "<!-- end of the matrix -->"
HEAD = ("Case", "Outcome", "`/metrics`", "Log")


@dataclass(frozen=True, order=True)
class Row:
    """The result of one case; the texts are the same in every run."""

    group: str
    """Heading of the table, such as "Answers"."""
    place: int
    """Position in the group."""
    case: str
    """The fault in the words of an operator."""
    outcome: str
    """Label `outcome` of the fetch, or another result."""
    metrics: str
    """The observed metrics."""
    log: str
    """The observed log records."""


Matrix = Callable[[Row], None]
"""The fixture `matrix`."""


def as_markdown(rows: Iterable[Row]) -> str:
    """Return one table for each group."""
    parts = []
    for group, members in groupby(sorted(set(rows)), attrgetter("group")):
        lines = [HEAD, ["---"] * len(HEAD), *(astuple(member)[2:] for member in members)]
        parts.append(f"### {group}\n\n" + "\n".join(map(_line, lines)))
    return "\n\n".join(parts)


def write_into(document: Path, rows: Iterable[Row]) -> None:
    """Write the matrix between its marks in the document."""
    write_between(document, BEGIN, END, as_markdown(rows))


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
