"""Removes quotes, which `docker --env-file` and Kubernetes pass as part of a value."""

from __future__ import annotations

QUOTES = frozenset({'"', "'"})


def unquoted(text: str) -> str:
    """Return the text without surrounding quotes."""
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES
    return text[1:-1].strip() if is_quoted else text
