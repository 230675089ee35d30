"""Text that is safe for a terminal."""

from __future__ import annotations

import pytest

from exporter.system.terminal import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain-ü", "plain-ü"), ("a\x1b[31mb", "a\\x1b[31mb"), ("a\nb\u202e", "a\\nb\\u202e")],
    ids=["plain", "escape sequence", "newline and direction"],
)
def test_printable(text: str, expected: str) -> None:
    """Escapes control characters and direction marks only."""
    assert expected == printable(text)
