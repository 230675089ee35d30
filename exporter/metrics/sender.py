"""One delivery at a time in a daemon thread of its own, so that no peer can hold the thread that sends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from exporter.errors import ThreadError
from exporter.system.threads import start

T = TypeVar("T")

LOGGER = logging.getLogger(__name__)

HINT = "Look at the limits of threads and memory of this process."


class Sender(Generic[T]):
    """Sends items in the background; for one thread to start them."""

    def __init__(self, send: Callable[[T], object]) -> None:
        """Send by `send`, which may take its time and whose errors are told in the log."""
        self._send = send
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an item is still on its way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, item: T) -> None:
        """Begin to send an item; to be called only when not busy, so that there is one thread at most.

        Without a thread the item is left out, which the log tells.
        """
        thread = threading.Thread(target=self._run, args=(item,), name="sender", daemon=True)
        try:
            start(thread)
        except ThreadError as error:
            LOGGER.error("Metrics not sent", extra={"hint": f"No thread for the delivery: {error}. {HINT}"})
        else:
            self._thread = thread

    def finish(self) -> None:
        """Wait until nothing is on its way."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, item: T) -> None:
        try:
            self._send(item)
        except Exception as error:
            # Its text may quote a header.
            LOGGER.error("Unexpected %s in a delivery", type(error).__name__)
