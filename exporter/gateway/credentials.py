"""The current admin key, reloaded when its file changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter.config.adminkey import read_key
from exporter.errors import SettingsError
from exporter.files.reload import Messages, Reloader
from exporter.files.secret import Secret


@dataclass(frozen=True, slots=True)
class _KeyVersion:
    """The result of reading the key's file once."""

    path: Path
    key: Secret
    """Empty when there are problems."""
    problems: tuple[str, ...] = ()

    @property
    def is_outdated(self) -> bool:
        # A new key can have the time, size and inode of the old one, and the file is small.
        newest = _read(self.path)
        return (newest.key.reveal(), newest.problems) != (self.key.reveal(), self.problems)


class AdminKey:
    """The key for the next request; may be called from any thread."""

    def __init__(self, key: Secret, path: Path | None, on_change: Callable[[bool], None]) -> None:
        """Start with a valid key.

        Args:
            key: Read at startup.
            path: Its file; None: the key never changes.
            on_change: Called with False when reloads begin to fail, and with True when they succeed again.
        """
        self._key = key
        self._file: Reloader[_KeyVersion] | None = None
        if path is not None:
            messages = Messages("Admin key reloaded", "Admin key unchanged", "Admin key not reloaded")
            self._file = Reloader(_KeyVersion(path, key), lambda: _read(path), messages, on_change)

    def current(self) -> Secret:
        """Return the key of the file, or the last valid one while the file is invalid."""
        return self._file.newest().key if self._file else self._key

    def reload(self) -> None:
        """Read the file if there is one, and log the result."""
        if self._file:
            self._file.reload()


def _read(path: Path) -> _KeyVersion:
    try:
        return _KeyVersion(path, read_key(path))
    except SettingsError as error:
        return _KeyVersion(path, Secret(""), error.problems)
