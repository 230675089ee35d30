"""Escapes text for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape control characters, and characters that hide text."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
