"""The signals that stop the program, or make it reload its files."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

Handler = Callable[[int, FrameType | None], object] | signal.Handlers


def handle_stop(handler: Handler) -> None:
    """Call `handler` on SIGTERM and SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def handle_reload(handler: Handler) -> None:
    """Call `handler` on SIGHUP."""
    signal.signal(signal.SIGHUP, handler)


def handle_hangup(handler: Handler) -> None:
    """Call `handler` on SIGHUP, unless the program was started with SIGHUP ignored, as by nohup."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, handler)
