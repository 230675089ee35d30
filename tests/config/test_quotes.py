"""Quotes around values."""

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
    """Removes a pair of equal quotes around the whole text only."""
    assert expected == unquoted(text)
