"""The poll loop: poll on a fixed schedule, publish the result, and remove data when they go stale.

It also enforces the deadline of a fetch: it aborts the fetch, even if the thread of the fetch hangs.

One thread owns the snapshot, the meters and the publishing. So snapshots are consistent, and no scrape waits
for a collection.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from functools import partial

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.errors import GatewayError, Outcome
from exporter.gateway.client import GatewayClient, Reply
from exporter.gateway.credentials import AdminKey
from exporter.gateway.decode import decode, parse
from exporter.gateway.fetcher import Fetcher, FetchResult, FetchTask, ResultQueue
from exporter.metrics.custom.values import CustomValues
from exporter.metrics.exposition import Exposition, Published
from exporter.metrics.instruments import ReloadedFile
from exporter.metrics.meters import Metrics
from exporter.model.changes import changes_between
from exporter.model.custom import NO_READINGS, CustomMetrics, CustomReadings
from exporter.model.endpoints import Endpoint
from exporter.model.history import History
from exporter.model.provider import Answer, ProviderList
from exporter.model.snapshot import Fetch, Poll, Timing
from exporter.model.store import SnapshotStore
from exporter.poll.events import PollLog

LOGGER = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 5.0
"""Limit of a single wait: waits do not count the time that the machine is suspended, ages do."""


class Poller:
    """Polls the gateway and publishes the result."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        tracer: trace.Tracer,
        metrics: Metrics,
        custom: Callable[[], CustomMetrics] = tuple,
        reload_custom: Callable[[], None] = lambda: None,
    ) -> None:
        """Publish an exposition without data; send no request yet.

        Args:
            settings: All settings.
            clock: For schedule, deadlines and dates.
            tracer: Creates the spans of polls.
            metrics: Collected once for each exposition.
            custom: Returns the current custom metrics; called before each poll.
            reload_custom: Reloads the file of custom metrics; called in the thread of `run`.
        """
        self._settings = settings
        self._clock = clock
        self._tracer = tracer
        self._metrics = metrics
        timing = Timing(
            settings.interval, settings.stale_after, settings.fetch_timeout, settings.health_check_overdue
        )
        self._store = SnapshotStore(timing, clock)
        self._custom = custom
        self._custom_values = CustomValues(clock)
        self._store.define(custom())
        self._log = PollLog(clock)
        self._results = ResultQueue()
        on_reload = partial(metrics.events.reload_changed, ReloadedFile.ADMIN_KEY)
        self._key = AdminKey(settings.admin_key, settings.admin_key_file, on_reload)
        self._fetchers = {endpoint: self._fetcher(endpoint, self._key) for endpoint in Endpoint}
        self._reload_custom = reload_custom
        self._reload_requested = False
        self._stopping = threading.Event()
        self.history = History(settings.history, settings.interval, clock.date())
        self.published = Published(self._expose())

    def run(self) -> None:
        """Poll at once, then on schedule until `stop`."""
        start = self._clock.age()
        while self._wait(start):
            self.poll_once()
            start = next_start(start, self._settings.interval, self._clock.age())

    def stop(self) -> None:
        """Make `run` return soon; thread-safe."""
        self._stopping.set()
        self._results.put(None)

    def reload(self) -> None:
        """Make `run` reload the admin key and the custom metrics soon; thread-safe."""
        self._reload_requested = True
        self._results.put(None)

    def close(self) -> None:
        """Close the connections; must be called after `run` has returned."""
        for fetcher in self._fetchers.values():
            fetcher.close()

    def poll_once(self) -> None:
        """Fetch both endpoints concurrently, then publish and log the outcome."""
        with self._tracer.start_as_current_span("poll") as span:
            date, started = self._clock.date(), self._clock.age()
            before, earlier = self._store.known_providers(), self._store.current
            custom = self._custom()
            self._store.define(custom)
            fetches = self._fetch_all(custom)
            if self._stopping.is_set():
                return
            for fetch in fetches:
                self._metrics.events.fetched(fetch.endpoint, fetch.outcome, fetch.duration_seconds)
            with self._tracer.start_as_current_span("convert"):
                ids = span.get_span_context()
                duration = self._clock.age() - started
                poll = Poll(date, duration, ids.trace_id, ids.span_id, fetches)
                snapshot = self._store.record(poll)
                changes = changes_between(before, self._store.known_providers())
                self.history.record(poll, changes, earlier)
            with self._tracer.start_as_current_span("publish"):
                self.publish()
            self._log.write(poll, snapshot, changes)
            if not poll.succeeded:
                span.set_status(Status(StatusCode.ERROR))

    def publish(self) -> None:
        """Replace the exposition and push the metrics.

        Variants that scrapers requested from the previous exposition are encoded before the replacement.
        """
        previous = self.published.current
        exposition = self._expose(previous)
        for variant in previous.requested:
            exposition.encode(variant)
        self.published.current = exposition
        self._metrics.push()

    def _expose(self, previous: Exposition | None = None) -> Exposition:
        snapshot = self._store.refresh()
        families = self._metrics.collect(snapshot)
        next_poll_ends = self._clock.age() + self._settings.interval + self._settings.fetch_timeout
        exposition = Exposition(families, snapshot, min(next_poll_ends, snapshot.stale_at), previous)
        self._metrics.release()
        return exposition

    def _wait(self, until: float) -> bool:
        """Wait until an age; return False if `stop` was called."""
        while self._receive(until) is not None:
            pass  # Discard results that come after their deadline.
        return not self._stopping.is_set()

    def _receive(self, until: float) -> FetchResult | None:
        """Return the next result, or None at `until` or after `stop`; publish anew when data go stale.

        After `until` it returns only results that are already in the queue.
        """
        while not self._stopping.is_set():
            now = self._clock.age()
            if self._reload_requested:
                self._reload_requested = False
                self._key.reload()
                self._reload_custom()
            if now >= self._store.current.stale_at:
                self.publish()
            wake = min(until, self._store.current.stale_at, now + MAX_WAIT_SECONDS)
            result = self._clock.receive(self._results, max(0.0, wake - now))
            if result is not None:
                return result
            if now >= until:
                return None
        return None

    def _fetch_all(self, custom: CustomMetrics) -> tuple[Fetch, ...]:
        """Fetch both endpoints; at the deadline, abort those that have not ended."""
        deadline = self._clock.age() + self._settings.fetch_timeout
        tasks = [self._start(endpoint, deadline) for endpoint in Endpoint]
        fetches: list[Fetch] = []
        while tasks and (result := self._receive(deadline)):
            # The time of the result counts: decoding the other answer may have delayed this thread.
            if result.task in tasks and result.finished <= deadline:
                tasks.remove(result.task)
                fetches.append(self._end(result, custom))
        for task in tasks:
            error = self._fetchers[task.endpoint].abort()
            if self._stopping.is_set():
                task.span.end()
            else:
                # A start can be slower than the deadline, on an overloaded machine.
                finished = max(deadline, task.started)
                fetches.append(self._end(FetchResult(task, error, finished), custom))
        return tuple(sorted(fetches, key=lambda fetch: list(Endpoint).index(fetch.endpoint)))

    def _fetcher(self, endpoint: Endpoint, key: AdminKey) -> Fetcher:
        settings = self._settings
        client = GatewayClient(endpoint, settings.gateway_url, key, self._clock, settings.authorities)
        return Fetcher(client, self._results, self._clock)

    def _start(self, endpoint: Endpoint, deadline: float) -> FetchTask:
        span = self._tracer.start_span(
            f"fetch {endpoint.path}",
            attributes={"http.method": "GET", "http.url": self._settings.gateway_url + endpoint.path},
        )
        task = FetchTask(endpoint, span, self._clock.age())
        self._fetchers[endpoint].start(task, deadline)
        return task

    def _end(self, result: FetchResult, custom: CustomMetrics) -> Fetch:
        """Decode the answer and end the span.

        The duration is the time to the last byte plus the time to decode this answer.
        """
        task, reply = result.task, result.result
        with trace.use_span(task.span, end_on_exit=True):
            decoding_started = self._clock.age()
            answer, readings = self._answer(task.endpoint, reply, custom)
            error = answer if isinstance(answer, GatewayError) else None
            if error:
                error.names = self._settings.names
                self._fetchers[task.endpoint].reset_redirect()
            fetch = Fetch(
                endpoint=task.endpoint,
                outcome=error.outcome if error else Outcome.OK,
                answer=None if isinstance(answer, GatewayError) else answer,
                hint=error.hint if error else "",
                status=(error or reply).status,
                attempts=(error or reply).attempts,
                request_id=(error or reply).request_id,
                duration_seconds=result.finished - task.started + self._clock.age() - decoding_started,
                custom=readings,
            )
            _describe(task.span, fetch)
        return fetch

    def _answer(
        self, endpoint: Endpoint, result: Reply | GatewayError, custom: CustomMetrics
    ) -> tuple[Answer | GatewayError, CustomReadings]:
        if isinstance(result, GatewayError):
            return result, NO_READINGS
        try:
            document = parse(result.body)
            answer = decode(endpoint, document)
            if self._store.would_lose_data(endpoint, answer):
                raise GatewayError(Outcome.EMPTY, "an empty answer after one with data")
        except GatewayError as error:
            error.status, error.attempts = result.status, result.attempts
            error.request_id = result.request_id
            return error, NO_READINGS
        return answer, self._custom_values.read(custom, endpoint, document, answer)


def next_start(start: float, interval: float, now: float) -> float:
    """Return the first scheduled start after `now`; slow polls skip starts but do not shift the schedule."""
    return start + interval * (math.floor((now - start) / interval) + 1)


def _describe(span: trace.Span, fetch: Fetch) -> None:
    """Set the attributes and status of a fetch's span."""
    span.set_attribute("duration_ms", round(fetch.duration_seconds * 1000, 3))
    if fetch.status is not None:
        span.set_attribute("http.status_code", fetch.status)
    if isinstance(fetch.answer, ProviderList):
        span.set_attribute("provider_count", len(fetch.answer.providers))
    if fetch.outcome is not Outcome.OK:
        span.set_attribute("error.type", fetch.outcome.value)
        span.set_status(Status(StatusCode.ERROR, fetch.hint))
