"""Sends one item at a time in a daemon thread, so that a slow receiver never blocks the caller."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from exporter.errors import ThreadError
from exporter.system.threads import start

T = TypeVar("T")

LOGGER = logging.getLogger(__name__)

HINT = "Check the limits of threads and memory of this process."


class BackgroundSender(Generic[T]):
    """Sends items in the background; must be used from one thread."""

    def __init__(self, send: Callable[[T], object]) -> None:
        """Send with `send`, which may block; its errors are logged."""
        self._send = send
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an item is being sent."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, item: T) -> None:
        """Start to send an item; must not be called while busy, so that there is at most one thread.

        If the system refuses a thread, the item is dropped and the error is logged.
        """
        thread = threading.Thread(target=self._run, args=(item,), name="sender", daemon=True)
        try:
            start(thread)
        except ThreadError as error:
            LOGGER.error("Metrics not sent", extra={"hint": f"No thread for the delivery: {error}. {HINT}"})
        else:
            self._thread = thread

    def finish(self) -> None:
        """Wait until the current item has been sent."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, item: T) -> None:
        try:
            self._send(item)
        except Exception as error:
            # The text of the exception may quote a header.
            LOGGER.error("Unexpected %s in a delivery", type(error).__name__)
