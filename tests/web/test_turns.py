"""Work has its turn one at a time, few wait, and there is a pause after each that goes with what it cost."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest

from exporter.web import turns
from exporter.web.turns import MAX_WAITING, Turns

COST = 0.05


def test_one_at_a_time() -> None:
    """No two pieces of work run together, and each has its own result, in the order in which they came."""
    running: list[int] = []
    together: list[int] = []

    def work(number: int) -> int:
        running.append(number)
        together.append(len(running))
        time.sleep(0.001)
        running.remove(number)
        return number

    async def run() -> list[int | None]:
        turn = Turns()
        return await asyncio.gather(*(turn.run(partial(work, number)) for number in range(20)))

    assert list(range(20)) == asyncio.run(run())
    assert [1] * 20 == together


def test_few_wait() -> None:
    """Whoever comes when too many wait is refused at once; who waits has a turn in the end."""
    let_go = threading.Event()

    async def run() -> tuple[list[bool | None], list[bool | None]]:
        turn = Turns()
        asked = [asyncio.create_task(turn.run(lambda: let_go.wait(20))) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        refused = [await asyncio.wait_for(turn.run(bool), 10) for _ in range(3)]
        let_go.set()
        return refused, [*await asyncio.gather(*asked), await turn.run(lambda: True)]

    assert ([None] * 3, [True] * (MAX_WAITING + 1)) == asyncio.run(run())


def test_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn begins after a pause of four times the CPU time of the one before, which may have failed."""
    ticks = itertools.count(0.0, COST)
    monkeypatch.setattr(turns, "time", SimpleNamespace(thread_time=lambda: next(ticks)))
    begun = []

    def work() -> None:
        begun.append(time.monotonic())

    def fail() -> None:
        work()
        raise ValueError("a bug")

    async def run() -> None:
        turn = Turns()
        await turn.run(work)
        with pytest.raises(ValueError, match="a bug"):
            await turn.run(fail)
        await turn.run(work)

    asyncio.run(run())

    assert all(later - earlier >= 4 * COST for earlier, later in itertools.pairwise(begun))
