"""One fetch in a daemon thread of its own, so that no peer can hold the poller.

A thread that hangs, in a resolver for instance, is left behind, and its endpoint is not fetched again until
it has come back: the number of threads stays bounded, and none is waited for when the process ends.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass

from opentelemetry import context, trace

from exporter.clock import Clock
from exporter.errors import GatewayError, Outcome, ThreadError
from exporter.gateway.client import GatewayClient, Reply
from exporter.model.endpoints import Endpoint
from exporter.system.threads import start

LOGGER = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Turn:
    """An endpoint's turn in a poll, on its way through two threads."""

    endpoint: Endpoint
    span: trace.Span
    started: float
    """Age, by the clock."""
    running: bool = True


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a thread brought back."""

    turn: Turn
    result: Reply | GatewayError
    at: float
    """Age, by the clock, when the answer was complete or the fetch had failed."""


Inbox = queue.SimpleQueue[Arrival | None]
"""Where results arrive; None only wakes the reader."""


class Fetcher:
    """Starts fetches of one endpoint, one at a time; results arrive in the inbox."""

    def __init__(self, client: GatewayClient, inbox: Inbox, clock: Clock) -> None:
        """Fetch with `client`."""
        self._client = client
        self._inbox = inbox
        self._clock = clock
        self._turn: Turn | None = None

    def start(self, turn: Turn, deadline: float) -> None:
        """Begin, or bring the result at once.

        It is a timeout while the endpoint's previous thread still hangs, and `internal` without a thread.
        """
        if self._turn is not None and self._turn.running:
            self._client.cut()
            error = GatewayError(Outcome.TIMEOUT, "the previous fetch of this endpoint still hangs")
            self._inbox.put(Arrival(turn, error, self._clock.age()))
            return
        name = f"fetch-{turn.endpoint}"
        try:
            start(threading.Thread(target=self._run, args=(turn, deadline), name=name, daemon=True))
        except ThreadError as error:
            self._inbox.put(Arrival(turn, GatewayError(Outcome.INTERNAL, str(error)), self._clock.age()))
        else:
            self._turn = turn

    def cut(self) -> GatewayError:
        """Break off what is running, and return what stands for its result: what arrives later is late."""
        return self._client.cut()

    def forget_redirect(self) -> None:
        """Let the next fetch begin at the documented address."""
        self._client.forget_redirect()

    def close(self) -> None:
        """Break off what is running, and let go of the connections."""
        self._client.cut()
        self._client.close()

    def _run(self, turn: Turn, deadline: float) -> None:
        token = context.attach(trace.set_span_in_context(turn.span))
        try:
            result = self._get(deadline)
            at = self._clock.age()
        finally:
            context.detach(token)
            turn.running = False
        self._inbox.put(Arrival(turn, result, at))

    def _get(self, deadline: float) -> Reply | GatewayError:
        try:
            return self._client.get(deadline)
        except GatewayError as error:
            return error
        except Exception as error:
            LOGGER.exception("Unexpected error in a fetch")
            return GatewayError(Outcome.INTERNAL, type(error).__name__)
