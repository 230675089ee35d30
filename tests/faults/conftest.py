"""Collects the rows of the matrix from the tests of all processes, and prints them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest

from tests.faults.matrix import Matrix, Row, as_markdown, write_into

PROPERTY = "matrix"


@pytest.fixture
def matrix(record_property: Callable[[str, object], None]) -> Matrix:
    """Records the row of a case."""
    return lambda row: record_property(PROPERTY, astuple(row))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the matrix, and write it to the document of `--matrix`; workers have only a part of it."""
    if hasattr(config, "workerinput"):
        return
    properties = [pair for test in terminalreporter.stats.get("passed", []) for pair in test.user_properties]
    rows = [Row(*value) for name, value in properties if name == PROPERTY]
    if rows:
        terminalreporter.write_line(f"\n{as_markdown(rows)}\n")
        if document := config.getoption("--matrix"):
            write_into(Path(document), rows)
