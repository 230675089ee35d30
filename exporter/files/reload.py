"""Reloads a file when it changes, and keeps the last valid version while it is invalid."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

LOGGER = logging.getLogger(__name__)

STILL_IN_USE = "The last valid version is still in use."


class Version(Protocol):
    """The result of reading a file once."""

    @property
    def problems(self) -> Sequence[str]:
        """One sentence each; a version with problems is invalid."""

    @property
    def is_outdated(self) -> bool:
        """Whether reading again would give another version."""


V = TypeVar("V", bound=Version)


@dataclass(frozen=True, slots=True)
class Messages:
    """Log messages of one kind of file."""

    reloaded: str
    unchanged: str
    not_reloaded: str


def _accept(current: Version, new: Version) -> Iterable[str]:
    return ()


class Reloader(Generic[V]):
    """Returns the last valid version of a file; may be called from any thread."""

    def __init__(
        self,
        version: V,
        read: Callable[[], V],
        messages: Messages,
        on_change: Callable[[bool], None],
        refuse: Callable[[V, V], Iterable[str]] = _accept,
    ) -> None:
        """Start with a valid version.

        Args:
            version: Read at startup, without problems.
            read: Reads the file again.
            messages: What is logged.
            on_change: Called with False when reloads begin to fail, and with True when they succeed again.
            refuse: Returns why a valid version, the second argument, must not replace the current one.
        """
        self._current = version
        self._latest = version
        self._read = read
        self._messages = messages
        self._on_change = on_change
        self._refuse = refuse
        self._succeeded = True
        self._lock = threading.Lock()

    @property
    def current(self) -> V:
        """The last valid version, without a check of the file."""
        return self._current

    def newest(self) -> V:
        """Return the last valid version, after reading the file again if it has changed."""
        with self._lock:
            if self._latest.is_outdated:
                self._read_again()
            return self._current

    def reload(self) -> None:
        """Read the file if it has changed or is invalid, and log the result in any case."""
        with self._lock:
            if self._latest.is_outdated or not self._succeeded:
                self._read_again()
            else:
                LOGGER.info(self._messages.unchanged)

    def _read_again(self) -> None:
        self._latest = self._read()
        problems = [*self._latest.problems]
        if not problems:
            problems += self._refuse(self._current, self._latest)
        if self._succeeded == bool(problems):
            self._succeeded = not problems
            self._on_change(self._succeeded)
        if problems:
            LOGGER.warning(self._messages.not_reloaded, extra={"hint": " ".join((STILL_IN_USE, *problems))})
        else:
            self._current = self._latest
            LOGGER.info(self._messages.reloaded)
