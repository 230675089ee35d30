"""Runs each fetch in its own daemon thread, so that no peer can block the poller.

A thread can hang, for example in a resolver. Its endpoint is not fetched again until it returns, so that the
number of threads is bounded.
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
class FetchTask:
    """A fetch of one endpoint in a poll."""

    endpoint: Endpoint
    span: trace.Span
    started: float
    """By the clock's `age`."""
    running: bool = True


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The result of a fetch task."""

    task: FetchTask
    result: Reply | GatewayError
    finished: float
    """By the clock's `age`, when the response was complete or the fetch failed."""


ResultQueue = queue.SimpleQueue[FetchResult | None]
"""None only wakes the reader."""


class Fetcher:
    """Starts fetches of one endpoint, one at a time, and queues their results."""

    def __init__(self, client: GatewayClient, results: ResultQueue, clock: Clock) -> None:
        """Fetch with `client`."""
        self._client = client
        self._results = results
        self._clock = clock
        self._task: FetchTask | None = None

    def start(self, task: FetchTask, deadline: float) -> None:
        """Start a fetch.

        The result is `timeout` while the previous thread hangs, and `internal` if no thread can start.
        """
        if self._task is not None and self._task.running:
            self._client.abort()
            self._fail(task, Outcome.TIMEOUT, "the previous fetch of this endpoint still hangs")
            return
        name = f"fetch-{task.endpoint}"
        try:
            start(threading.Thread(target=self._run, args=(task, deadline), name=name, daemon=True))
        except ThreadError as error:
            self._fail(task, Outcome.INTERNAL, str(error))
        else:
            self._task = task

    def abort(self) -> GatewayError:
        """Abort the running fetch, and return the error to report instead of its result."""
        return self._client.abort()

    def reset_redirect(self) -> None:
        """Reset the redirect target: the next fetch starts at the configured URL."""
        self._client.reset_redirect()

    def close(self) -> None:
        """Abort the running fetch, and close the connections."""
        self._client.abort()
        self._client.close()

    def _fail(self, task: FetchTask, outcome: Outcome, detail: str) -> None:
        self._results.put(FetchResult(task, GatewayError(outcome, detail), self._clock.age()))

    def _run(self, task: FetchTask, deadline: float) -> None:
        token = context.attach(trace.set_span_in_context(task.span))
        try:
            result = self._get(deadline)
            finished = self._clock.age()
        finally:
            context.detach(token)
            task.running = False
        self._results.put(FetchResult(task, result, finished))

    def _get(self, deadline: float) -> Reply | GatewayError:
        try:
            return self._client.get(deadline)
        except GatewayError as error:
            return error
        except Exception as error:
            LOGGER.exception("Unexpected error in a fetch")
            return GatewayError(Outcome.INTERNAL, type(error).__name__)
