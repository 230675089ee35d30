"""Reads the past in a thread of its own: once for the history, and the long uptimes whenever they are shown.

A Prometheus that is away, slow or wrong delays nothing else.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from exporter.clock import Clock
from exporter.model.history import History
from exporter.prometheus.queries import Prometheus
from exporter.status.state import NO_PAST, Past
from exporter.system.threads import start
from exporter.transport.probe import ProbeError

LOGGER = logging.getLogger(__name__)

FRESH_SECONDS = 300.0
"""Uptimes of days hardly change sooner."""
FIRST_PAUSE, LONGEST_PAUSE = 15.0, 300.0
"""Between attempts to fill the history, twice as long each time."""
HINT = "The history begins at the start of the exporter until Prometheus answers: check PROMETHEUS_URL."


class PastReader:
    """Returns what is known, and asks for more in the background; may be called from any thread."""

    def __init__(self, prometheus: Prometheus, history: History, clock: Clock) -> None:
        """Send no request yet."""
        self._prometheus = prometheus
        self._history = history
        self._clock = clock
        self._past = NO_PAST
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="past", daemon=True)
        self._filled = False
        self._pause = FIRST_PAUSE
        self.due = 0.0
        """Age of the clock at which reading again is worth it."""

    def start(self) -> None:
        """Begin to fill the history.

        Raises:
            ThreadError: When the system refuses a thread.
        """
        start(self._thread)

    def stop(self) -> None:
        """End the thread soon, at the latest after the current query."""
        self._stopping.set()
        self._wanted.set()

    def current(self) -> Past:
        """Return what is known; it will soon be renewed if it is old."""
        self._wanted.set()
        return self._past

    def _run(self) -> None:
        """Fill the history, with pauses between attempts, then renew the uptimes when they are wanted."""
        while not self._stopping.is_set():
            self.read()
            self._wanted.wait(None if self._filled else self._pause)
            self._stopping.wait(max(0.0, self.due - self._clock.age()))
            self._wanted.clear()

    def read(self) -> None:
        """Query what is missing or old; a failure is a problem of the past, and a log record once."""
        try:
            if not self._filled:
                self._fill()
            self._past = Past(self._prometheus.uptimes())
            self._pause = FIRST_PAUSE
            self.due = self._clock.age() + FRESH_SECONDS
        except ProbeError as error:
            if not self._past.problem:
                LOGGER.warning(
                    "Prometheus not read",
                    extra={"outcome": error.outcome.value, "hint": f"{error.detail}. {HINT}"},
                )
            self._past = replace(self._past, problem=error.detail)
            self.due = self._clock.age() + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def _fill(self) -> None:
        oldest, newest = self._history.extent(self._clock.date())
        found = self._prometheus.slots(oldest, newest, self._history.slot_seconds)
        for provider, slots in found.items():
            self._history.fill(provider, slots)
        self._filled = True
        LOGGER.info("History read from Prometheus", extra={"providers_listed": len(found)})
