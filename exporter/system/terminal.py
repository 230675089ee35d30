"""Text from elsewhere, made safe for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape characters that a terminal acts on or that hide text."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
