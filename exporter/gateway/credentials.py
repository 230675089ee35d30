"""The admin key that requests are sent with, read again when its file changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from exporter.config.adminkey import read_key
from exporter.errors import SettingsError
from exporter.files.secret import Secret

LOGGER = logging.getLogger(__name__)


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
