"""Limits work that clients trigger: one task at a time, a bounded queue and a bounded share of the CPU."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from exporter.system.threads import run_in_thread

T = TypeVar("T")

MAX_PENDING = 50
"""Tasks that run or wait. A waiting task costs almost nothing."""
PAUSE_FACTOR = 4.0
"""Pause after a task, as a multiple of its CPU time: tasks use at most a fifth of one core."""


class Throttle:
    """Runs tasks one by one in a thread, because Python code in other threads delays polls and scrapes.

    Must be used in the event loop.
    """

    def __init__(self) -> None:
        """Start with an empty queue."""
        self._lock = asyncio.Lock()
        self._pending = 0
        self._next_start = 0.0
        """End of the pause, in the event loop's time."""

    async def run(self, task: Callable[[], T]) -> T | None:
        """Return the result of `task`, or None at once if the queue is full.

        Raises:
            ThreadError: When the system refuses a thread.
        """
        if self._pending >= MAX_PENDING:
            return None
        self._pending += 1
        try:
            async with self._lock:
                return await self._run(task)
        finally:
            self._pending -= 1

    async def _run(self, task: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._next_start - loop.time())
        timer = _CpuTimer()
        try:
            return await run_in_thread(lambda: timer.measure(task))
        finally:
            self._next_start = loop.time() + PAUSE_FACTOR * timer.seconds


class _CpuTimer:
    """Measures the CPU time of a task, in the thread that runs it."""

    seconds = 0.0

    def measure(self, task: Callable[[], T]) -> T:
        start = time.thread_time()
        try:
            return task()
        finally:
            self.seconds = time.thread_time() - start
