"""The clock as a dependency, so that tests can control it."""

from __future__ import annotations

import queue
import time
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """A source of time; all values are seconds."""

    def date(self) -> float:
        """Return the Unix time, for logs and metrics; it can jump."""

    def age(self) -> float:
        """Return a monotonic time that includes suspension of the machine, for ages and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""

    def receive(self, items: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Return the next item, or None after `seconds` without one."""


class SystemClock:
    """The clocks of the machine."""

    def date(self) -> float:
        """Return the Unix time."""
        return time.time()

    def age(self) -> float:
        """Return seconds since boot, including suspension if the system counts it."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        time.sleep(seconds)

    def receive(self, items: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Return the next item, or None after `seconds` without one."""
        try:
            return items.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
