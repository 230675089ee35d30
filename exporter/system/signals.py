"""Installs signal handlers for stop, reload and hangup."""

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
    """Call `handler` on SIGHUP, unless it is ignored, as under nohup."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, handler)
