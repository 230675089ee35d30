"""Quotes that belong to a shell and not to the value."""

from __future__ import annotations

import pytest

from exporter.config.quotes import unquoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a"', "a"),
        ("'a'", "a"),
        ('" a "', "a"),
        ('""', ""),
        ('"a', '"a'),
        ("a'", "a'"),
        ("\"a'", "\"a'"),
        ('"', '"'),
        ('a"b"c', 'a"b"c'),
        ("", ""),
    ],
)
def test_unquoted(text: str, expected: str) -> None:
    """A pair of equal quotes around the whole text is removed, any other quote is not."""
    assert expected == unquoted(text)
