"""The admin key: a secret that never shows itself, in a file that may change while the exporter runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from exporter.errors import SettingsError
from exporter.files import read_file
from exporter.quotes import unquoted

LOGGER = logging.getLogger(__name__)


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


def check_key(text: str) -> Secret:
    """Return the key, if it can be sent as a bearer token.

    Raises:
        SettingsError: Without a word of the key.
    """
    if unquoted(text) != text:
        raise SettingsError(
            ["ADMIN_KEY, or its file, is in quotes, which would be part of the key: remove them."]
        )
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise SettingsError(
            ["ADMIN_KEY, or its file, has blanks or characters that are not printable ASCII."]
        )
    return Secret(text)


def read_key(path: Path) -> Secret:
    """Return the key that the file holds, white space around it left out.

    Raises:
        SettingsError: With the reason, but without the path, which may be the key itself in the wrong
            variable, and without a word of the file.
    """
    try:
        text = read_file(path).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError([f"ADMIN_KEY_FILE cannot be read: {reason}."]) from error
    if not text:
        raise SettingsError(["ADMIN_KEY_FILE names a file that is empty."])
    return check_key(text)


class AdminKey:
    """The key in force: what its file says at the moment, and the last good one while the file is of no use.

    Both fetch threads ask it before each request. The file is small: to read it is the surest way to find out
    that it has changed.
    """

    def __init__(self, key: Secret, path: Path | None, on_change: Callable[[bool], None]) -> None:
        """Begin with a good key; without a path it stays for ever.

        Args:
            key: The key that was read at the start.
            path: Its file.
            on_change: Told whether the file is of use, each time that this changes.
        """
        self._key = key
        self._path = path
        self._on_change = on_change
        self._problem = ""
        self._reading = threading.Lock()

    def current(self) -> Secret:
        """Return the key to send now."""
        if self._path is None:
            return self._key
        with self._reading:
            self._read(self._path, report=False)
            return self._key

    def reload(self) -> None:
        """Read the file now and log the outcome in any case; without a file do nothing."""
        if self._path is not None:
            with self._reading:
                self._read(self._path, report=True)

    def _read(self, path: Path, *, report: bool) -> None:
        try:
            self._replace(read_key(path), report)
        except SettingsError as error:
            self._keep(str(error), report)

    def _replace(self, key: Secret, report: bool) -> None:
        if self._problem:
            self._problem = ""
            self._on_change(True)
        if key.reveal() != self._key.reveal():
            self._key = key
            LOGGER.info("Admin key reloaded")
        elif report:
            LOGGER.info("Admin key unchanged")

    def _keep(self, problem: str, report: bool) -> None:
        """Log why the file cannot be used, once for each reason unless a report is asked for."""
        if not self._problem:
            self._on_change(False)
        if report or problem != self._problem:
            self._problem = problem
            LOGGER.warning("Admin key not reloaded", extra={"hint": f"{problem} The last good key is used."})
