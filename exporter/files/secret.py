"""A text that must not appear in any output."""

from __future__ import annotations


class Secret:
    """A text that never shows itself: not in `repr`, not in `str`, not in a dump of its owner."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Wrap `text`."""
        self._text = text

    def __repr__(self) -> str:
        """Return a mask of fixed length."""
        return "Secret(********)"

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self._text
