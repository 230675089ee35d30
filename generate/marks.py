"""Documents with a generated part between two marks."""

from __future__ import annotations

from pathlib import Path


def write_between(document: Path, begin: str, end: str, text: str) -> None:
    """Replace the text between two marks of the document."""
    head, rest = document.read_text(encoding="utf-8").split(begin, 1)
    tail = rest.split(end, 1)[1]
    document.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}", encoding="utf-8")
