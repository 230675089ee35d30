"""Quotes around values."""

from __future__ import annotations

import pytest

from exporter.config.quotes import unquoted

OTHER = ('"a', "a'", "\"a'", '"', 'a"b"c', "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [('"a"', "a"), ("'a'", "a"), ('" a "', "a"), ('""', ""), *((text, text) for text in OTHER)],
)
def test_unquoted(text: str, expected: str) -> None:
    """Removes a pair of equal quotes around the whole text; other quotes stay."""
    assert expected == unquoted(text)
