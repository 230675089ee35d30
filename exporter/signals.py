"""The signals that ask the program to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from types import FrameType

Handler = Callable[[int, FrameType | None], object] | signal.Handlers


def handle_stop(handler: Handler) -> None:
    """Call `handler` on SIGTERM, on Ctrl-C, and when the terminal closes unless nohup keeps that away."""
    for number in _stop_signals():
        signal.signal(number, handler)


def _stop_signals() -> Iterator[signal.Signals]:
    yield signal.SIGTERM
    yield signal.SIGINT
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield signal.SIGHUP
