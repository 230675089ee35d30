"""Handlers of SIGTERM, SIGINT and SIGHUP."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from exporter.system.signals import handle_hangup, handle_reload, handle_stop

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _previous_handlers() -> Iterator[None]:
    """Restore the handlers of this process."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_stop_and_reload() -> None:
    """SIGTERM and SIGINT call the stop handler, SIGHUP the reload handler, also under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    received: list[tuple[str, int]] = []
    handle_stop(lambda number, frame: received.append(("stop", number)))
    handle_reload(lambda number, frame: received.append(("reload", number)))
    for number in NUMBERS:
        os.kill(os.getpid(), number)

    assert [("stop", signal.SIGTERM), ("stop", signal.SIGINT), ("reload", signal.SIGHUP)] == received


@pytest.mark.parametrize(
    ("before", "after"), [(signal.SIG_IGN, signal.SIG_IGN), (signal.SIG_DFL, signal.default_int_handler)]
)
def test_hangup(before: signal.Handlers, after: object) -> None:
    """SIGHUP stays ignored under nohup."""
    signal.signal(signal.SIGHUP, before)
    handle_hangup(signal.default_int_handler)

    assert after == signal.getsignal(signal.SIGHUP)
