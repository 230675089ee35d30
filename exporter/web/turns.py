"""Turns for work that anybody may ask for: one at a time, few wait, and pauses bound its share of the CPU."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from exporter.system.threads import run_in_thread

T = TypeVar("T")

MAX_WAITING = 50
"""Those who have or want a turn. To wait costs next to nothing; who is refused may ask again at once."""
PAUSE = 4.0
"""After a turn, in times of the CPU time that it took: turns take at most a fifth of one core."""


class Turns:
    """Runs work in a thread, for the event loop; Python code in another thread slows polls and scrapes."""

    def __init__(self) -> None:
        """Begin with nobody in turn."""
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._next = 0.0
        """When the pause ends, by the clock of the event loop."""

    async def run(self, work: Callable[[], T]) -> T | None:
        """Return what `work` returns; None, at once, when too many wait.

        Raises:
            ThreadError: When the system refuses the thread for it.
        """
        if self._waiting >= MAX_WAITING:
            return None
        self._waiting += 1
        try:
            async with self._turn:
                return await self._run(work)
        finally:
            self._waiting -= 1

    async def _run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._next - loop.time())
        cpu = _Cpu()
        try:
            return await run_in_thread(lambda: cpu.measure(work))
        finally:
            self._next = loop.time() + PAUSE * cpu.seconds


class _Cpu:
    """Measures the CPU time of work, in the thread that does it."""

    seconds = 0.0

    def measure(self, work: Callable[[], T]) -> T:
        begun = time.thread_time()
        try:
            return work()
        finally:
            self.seconds = time.thread_time() - begun
