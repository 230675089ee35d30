"""Starts threads, and raises `ThreadError` when the system is at its limit of threads or memory.

Python raises a bare `RuntimeError` then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from exporter.errors import ThreadError

T = TypeVar("T")

REFUSED = "the system refuses another thread"


def start(thread: threading.Thread) -> None:
    """Start a thread.

    Raises:
        ThreadError: When the system refuses it.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise ThreadError(REFUSED) from error


async def run_in_thread(work: Callable[[], T]) -> T:
    """Return the result of `work` in a thread of the pool.

    Raises:
        ThreadError: When the pool needs another thread and the system refuses it.
    """
    started = threading.Event()

    def run() -> T:
        started.set()
        return work()

    try:
        return await run_in_threadpool(run)
    except RuntimeError as error:
        if started.is_set():
            raise
        raise ThreadError(REFUSED) from error
