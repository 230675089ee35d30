"""Time as an argument, so that tests can move it."""

from __future__ import annotations

import queue
import time
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """What the exporter needs of time; all values are seconds."""

    def date(self) -> float:
        """Return the Unix time, for people and metrics; it may jump."""

    def age(self) -> float:
        """Return a time that never runs back and counts suspension, for ages and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Return the next item of `inbox`, or None when none came within `seconds`."""


class SystemClock:
    """The machine's own clocks."""

    def date(self) -> float:
        """Return the Unix time."""
        return time.time()

    def age(self) -> float:
        """Return seconds since boot, suspension included where the system can tell."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Return the next item of `inbox`, or None when none came within `seconds`."""
        try:
            return inbox.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
