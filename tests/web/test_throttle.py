"""Tests of `exporter.web.throttle`."""

from __future__ import annotations

import asyncio
import itertools
import time
from functools import partial
from types import SimpleNamespace

import pytest

from exporter.web import throttle
from exporter.web.throttle import PAUSE_FACTOR, Throttle

COST = 0.05


def test_one_at_a_time() -> None:
    """Tasks never overlap, and each call returns its own result."""
    running: list[int] = []
    overlaps: list[int] = []

    def task(number: int) -> int:
        running.append(number)
        overlaps.append(len(running))
        time.sleep(0.001)
        running.remove(number)
        return number

    async def run() -> list[int | None]:
        limited = Throttle()
        return await asyncio.gather(*(limited.run(partial(task, number)) for number in range(20)))

    assert list(range(20)) == asyncio.run(run())
    assert [1] * 20 == overlaps


def test_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause in proportion to the CPU time follows each task, even a failed one."""
    ticks = itertools.count(0.0, COST)
    monkeypatch.setattr(throttle, "time", SimpleNamespace(thread_time=lambda: next(ticks)))
    starts = []

    def task() -> None:
        starts.append(time.monotonic())

    def fail() -> None:
        task()
        raise ValueError("a bug")

    async def run() -> None:
        limited = Throttle()
        await limited.run(task)
        with pytest.raises(ValueError, match="a bug"):
            await limited.run(fail)
        await limited.run(task)

    asyncio.run(run())

    assert all(later - earlier >= PAUSE_FACTOR * COST for earlier, later in itertools.pairwise(starts))
