"""The same signals ask every part of the program to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from exporter.signals import handle_stop

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _kept_handlers() -> Iterator[None]:
    """Give back the handlers of this process."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_that_stop() -> None:
    """SIGTERM, Ctrl-C and a closed terminal are heeded."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    heard: list[int] = []

    handle_stop(lambda number, frame: heard.append(number))
    for number in NUMBERS:
        os.kill(os.getpid(), number)

    assert list(NUMBERS) == heard


def test_nohup() -> None:
    """SIGHUP stays ignored where it was."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    handle_stop(signal.SIG_DFL)

    assert (signal.SIG_DFL, signal.SIG_IGN) == (
        signal.getsignal(signal.SIGTERM),
        signal.getsignal(signal.SIGHUP),
    )
