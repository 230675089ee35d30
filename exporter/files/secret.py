"""Secrets, set by a variable or in a file, and masked in any output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from exporter.errors import SettingsError
from exporter.files.read import read_file


class Secret:
    """A text that `repr`, `str` and dumps of its owner mask."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Wrap `text`."""
        self._text = text

    def __repr__(self) -> str:
        """Return a mask of fixed length."""
        return "Secret(********)"

    def reveal(self) -> str:
        """Return the text itself, for the code that sends or compares it."""
        return self._text


def secret_or_file(environ: Mapping[str, str], name: str) -> str:
    """Return the value of a variable, or the text of the file that `<name>_FILE` names; empty if unset.

    Raises:
        SettingsError: When both are set, or the file cannot be read.
    """
    text, path = environ.get(name, ""), environ.get(f"{name}_FILE", "")
    if text and path:
        raise SettingsError([f"{name} and {name}_FILE are both set: keep one of them."])
    return read_secret(Path(path), f"{name}_FILE") if path else text


def read_secret(path: Path, variable: str) -> str:
    """Return the text of a file without surrounding whitespace.

    Raises:
        SettingsError: When it cannot be read or is empty. The sentence names the variable, not the path: the
            secret itself may be in the wrong variable.
    """
    try:
        text = read_file(path).decode().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError([f"{variable} cannot be read: {reason}."]) from error
    if not text:
        raise SettingsError([f"{variable} names an empty file."])
    return text
