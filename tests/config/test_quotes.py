"""Quotes around values."""

from __future__ import annotations

import pytest

from exporter.config.quotes import unquoted


@pytest.mark.parametrize("text", ['"a', "a'", "\"a'", '"', 'a"b"c', ""])
def test_other_text(text: str) -> None:
    """Other quotes stay."""
    assert text == unquoted(text)


@pytest.mark.parametrize(("text", "expected"), [('"a"', "a"), ("'a'", "a"), ('" a "', "a"), ('""', "")])
def test_unquoted(text: str, expected: str) -> None:
    """Removes a pair of equal quotes around the whole text."""
    assert expected == unquoted(text)
