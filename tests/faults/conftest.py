"""Collects the rows of the matrix from the tests of all processes, and prints them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path

import pytest

from tests.faults.matrix import Row, as_markdown, write_into

PROPERTY = "matrix"


@pytest.fixture
def matrix(record_property: Callable[[str, object], None]) -> Callable[[Row], None]:
    """Records the row of a case."""
    return lambda row: record_property(PROPERTY, astuple(row))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the matrix, and write it to the document of `--matrix`."""
    rows = list(_rows(terminalreporter))
    if rows:
        terminalreporter.write_line(f"\n{as_markdown(rows)}\n")
    document = config.getoption("--matrix")
    if document is not None and rows:
        write_into(Path(document), rows)


def _rows(terminalreporter: pytest.TerminalReporter) -> Iterator[Row]:
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == PROPERTY:
                yield Row(*value)
