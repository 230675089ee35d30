"""Tests of the matrix as Markdown."""

from __future__ import annotations

from pathlib import Path

from tests.faults.matrix import BEGIN, END, Row, as_markdown, write_into

ROWS = (
    Row("B", 0, "a | b", "ok", "x", "y"),
    Row("A", 1, "second", "timeout", "x", "y"),
    Row("A", 0, "first", "dns", "x", "y"),
)
HEAD = "| Case | Outcome | `/metrics` | Log |\n| --- | --- | --- | --- |\n"
TEXT = (
    f"### A\n\n{HEAD}| first | dns | x | y |\n| second | timeout | x | y |\n\n"
    f"### B\n\n{HEAD}| a \\| b | ok | x | y |"
)


def test_as_markdown() -> None:
    """Rows are sorted by group and place; pipes in cells are escaped."""
    assert TEXT == as_markdown(ROWS)


def test_write_into(tmp_path: Path) -> None:
    """Replaces only the text between the marks."""
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")

    write_into(document, ROWS)

    assert f"before\n{BEGIN}\n\n{TEXT}\n\n{END}\nafter\n" == document.read_text(encoding="utf-8")
