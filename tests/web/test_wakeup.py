"""An event loop notices every signal."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from exporter.web.wakeup import wake_on_signals

PATIENCE = 10.0


@pytest.fixture
def handled() -> Iterator[asyncio.Event]:
    """Is set by the Python handler of SIGUSR1."""
    event = asyncio.Event()
    before = signal.signal(signal.SIGUSR1, lambda number, frame: event.set())
    yield event
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def elsewhere() -> Iterator[threading.Thread]:
    """A thread that waits for the end of the test; a signal for it does not interrupt the main thread."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield thread
    done.set()
    thread.join()


def test_signal_in_another_thread(handled: asyncio.Event, elsewhere: threading.Thread) -> None:
    """The handler runs at once, although the signal does not interrupt the wait of the loop."""

    async def wait_for_signal() -> bool:
        assert elsewhere.ident is not None
        with wake_on_signals(asyncio.get_running_loop()):
            sender = threading.Timer(0.2, signal.pthread_kill, (elsewhere.ident, signal.SIGUSR1))
            sender.start()
            begun = asyncio.get_running_loop().time()
            await asyncio.wait_for(handled.wait(), PATIENCE)
            return asyncio.get_running_loop().time() - begun < PATIENCE / 2

    assert asyncio.run(wait_for_signal())
    assert -1 == signal.set_wakeup_fd(-1)


def test_thread_without_signals() -> None:
    """In any other thread it does nothing: signals are not handled there."""

    async def enter() -> int:
        with wake_on_signals(asyncio.get_running_loop()):
            return 1

    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(enter())))
    thread.start()
    thread.join()

    assert [1] == results
