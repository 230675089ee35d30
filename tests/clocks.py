"""Clocks that tests control."""

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
    """A clock that advances only by sleeps, timeouts and assignments to `now`."""

    def __init__(self, patience: float = 5.0) -> None:
        """Wait for real threads up to `patience` real seconds before a timeout."""
        self.now = 0.0
        self.patience = patience

    def date(self) -> float:
        """Return the Unix time."""
        return START_DATE + self.now

    def age(self) -> float:
        """Return seconds since the start of the test, plus 1000."""
        return 1000.0 + self.now

    def sleep(self, seconds: float) -> None:
        """Advance by `seconds` at once."""
        self.now += seconds

    def receive(self, items: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Return the next item, or advance by `seconds` and return None."""
        try:
            return items.get(timeout=min(seconds, self.patience))
        except queue.Empty:
            self.now += seconds
            return None


class RunningClock(MovedClock):
    """The clock of the machine, which tests can set ahead by `now`."""

    def __init__(self) -> None:
        """Start at the time of the machine."""
        super().__init__()
        self._real = SystemClock()

    def date(self) -> float:
        """Return the Unix time plus `now`."""
        return self._real.date() + self.now

    def age(self) -> float:
        """Return seconds since boot plus `now`."""
        return self._real.age() + self.now

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        time.sleep(seconds)

    def receive(self, items: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Return the next item, or None after `seconds`."""
        return self._real.receive(items, seconds)


class ScriptedClock(MovedClock):
    """A clock that skips waits and runs actions at given times."""

    def __init__(self) -> None:
        """Start without actions."""
        super().__init__()
        self._script: list[tuple[float, Callable[[], object]]] = []

    def at(self, moment: float, action: Callable[[], object]) -> None:
        """Schedule an action for a time since the start."""
        self._script = sorted([*self._script, (moment, action)], key=itemgetter(0))

    def receive(self, items: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Wait in real time while a fetch runs; otherwise advance by `seconds` and run the due actions."""
        while any(thread.name.startswith("fetch-") for thread in threading.enumerate()) or not items.empty():
            # A thread may still run for a moment after it has put its result.
            with contextlib.suppress(queue.Empty):
                return items.get(timeout=0.05)
        target = self.now + seconds
        while self._script and self._script[0][0] <= target:
            moment, action = self._script.pop(0)
            self.now = moment
            action()
        self.now = target
        return None
