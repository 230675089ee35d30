"""Time that tests move."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from operator import itemgetter
from typing import TypeVar

from exporter.clock import Clock, SystemClock

T = TypeVar("T")

START_DATE = 1_787_191_300.0
"""2026-08-20T02:01:40Z, shortly after the health checks in the recorded list."""


class MovedClock(Clock):
    """A clock that stands still unless somebody sleeps, waits in vain or moves it."""

    def __init__(self, patience: float = 5.0) -> None:
        """Wait for real threads at most `patience` real seconds before a wait counts as in vain."""
        self.now = 0.0
        self.patience = patience

    def date(self) -> float:
        """Return the Unix time."""
        return START_DATE + self.now

    def age(self) -> float:
        """Return seconds since the test began."""
        return 1000.0 + self.now

    def sleep(self, seconds: float) -> None:
        """Move by `seconds` at once."""
        self.now += seconds

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Return what arrives, or None after moving by `seconds`."""
        try:
            return inbox.get(timeout=min(seconds, self.patience))
        except queue.Empty:
            self.now += seconds
            return None


class RunningClock(MovedClock):
    """A clock that runs as the machine's own does, and that can be moved ahead as well."""

    def __init__(self) -> None:
        """Begin where the machine's clock is."""
        super().__init__()
        self._real = SystemClock()

    def date(self) -> float:
        """Return the Unix time, as far ahead as the clock was moved."""
        return self._real.date() + self.now

    def age(self) -> float:
        """Return seconds since boot, as far ahead as the clock was moved."""
        return self._real.age() + self.now

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Return what arrives within `seconds`."""
        return self._real.receive(inbox, seconds)


class ScriptedClock(MovedClock):
    """A clock that runs through its waits in no time, and does things at given moments on the way."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        super().__init__()
        self._script: list[tuple[float, Callable[[], object]]] = []

    def at(self, moment: float, action: Callable[[], object]) -> None:
        """Do something when the time since the start has come to `moment`."""
        self._script = sorted([*self._script, (moment, action)], key=itemgetter(0))

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Wait for real while a fetch runs; else move on, to the next moment of the script at most."""
        while any(thread.name.startswith("fetch-") for thread in threading.enumerate()) or not inbox.empty():
            # A thread that has brought its result may take a moment more to end.
            with contextlib.suppress(queue.Empty):
                return inbox.get(timeout=0.05)
        target = self.now + seconds
        while self._script and self._script[0][0] <= target:
            moment, action = self._script.pop(0)
            self.now = moment
            action()
        self.now = target
        return None
