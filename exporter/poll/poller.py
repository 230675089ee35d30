"""The wheel: poll, convert, publish, and again at the next beat; data that go stale leave in between.

One thread owns the snapshot, the meters and the publishing. Nobody else calls them, so there are no torn
snapshots and no scrape that waits for a collection.
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
from exporter.model.provider import Answer, ProviderList
from exporter.model.snapshot import Fetch, Poll, Timing
from exporter.model.store import SnapshotStore
from exporter.poll.events import Journal

LOGGER = logging.getLogger(__name__)

TICK_SECONDS = 5.0
"""Longest wait in one go: waiting does not count the time that a machine is suspended, ages do."""


class Poller:
    """Polls the gateway and publishes what it says."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        tracer: trace.Tracer,
        metrics: Metrics,
        custom: Callable[[], CustomMetrics] = tuple,
        reload_custom: Callable[[], None] = lambda: None,
    ) -> None:
        """Publish the exposition of an exporter that has not polled yet; nothing is sent.

        Args:
            settings: All of them.
            clock: For beats, deadlines and dates.
            tracer: Makes the spans of polls.
            metrics: Collected once for each exposition.
            custom: Returns the custom metrics that are defined now; asked before each poll.
            reload_custom: Reads their file; called in the thread of `run`.
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
        self._journal = Journal(clock)
        self._inbox = ResultQueue()
        told = partial(metrics.events.reload_changed, ReloadedFile.ADMIN_KEY)
        self._key = AdminKey(settings.admin_key, settings.admin_key_file, told)
        self._fetchers = {endpoint: self._fetcher(endpoint, self._key) for endpoint in Endpoint}
        self._reload_custom = reload_custom
        self._reload_requested = False
        self._stopping = threading.Event()
        self.published = Published(self._expose())

    def run(self) -> None:
        """Poll at once and then at each beat, until `stop`."""
        beat = self._clock.age()
        while self._wait(beat):
            self.poll_once()
            beat = next_beat(beat, self._settings.interval, self._clock.age())

    def stop(self) -> None:
        """Let `run` return soon; may be called from any thread."""
        self._stopping.set()
        self._inbox.put(None)

    def reload(self) -> None:
        """Let `run` read the admin key and the custom metrics again soon; may be called from any thread."""
        self._reload_requested = True
        self._inbox.put(None)

    def close(self) -> None:
        """Let go of the connections; to be called when `run` is over."""
        for fetcher in self._fetchers.values():
            fetcher.close()

    def poll_once(self) -> None:
        """Fetch both endpoints side by side, publish the outcome and write it to the log."""
        with self._tracer.start_as_current_span("poll") as span:
            date, started = self._clock.date(), self._clock.age()
            before = self._store.known_providers()
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
            with self._tracer.start_as_current_span("publish"):
                self.publish()
            self._journal.write(poll, snapshot, changes_between(before, self._store.known_providers()))
            if not poll.succeeded:
                span.set_status(Status(StatusCode.ERROR))

    def publish(self) -> None:
        """Replace the exposition, with the bodies that scrapers asked for last time ready in it; push it."""
        before = self.published.current
        exposition = self._expose(before)
        for variant in before.asked:
            exposition.encode(variant)
        self.published.current = exposition
        self._metrics.push()

    def _expose(self, before: Exposition | None = None) -> Exposition:
        snapshot = self._store.refresh()
        families = self._metrics.collect(snapshot)
        next_poll_ends = self._clock.age() + self._settings.interval + self._settings.fetch_timeout
        return Exposition(families, snapshot, min(next_poll_ends, snapshot.stale_at), before)

    def _wait(self, until: float) -> bool:
        """Let time pass until the beat; False when asked to stop before it."""
        while self._receive(until) is not None:
            pass  # A result that came after its deadline.
        return not self._stopping.is_set()

    def _receive(self, until: float) -> FetchResult | None:
        """Return the next result, or None at `until` and when asked to stop; replace what goes stale.

        After `until` it returns the results that are there already, one a call.
        """
        while not self._stopping.is_set():
            now = self._clock.age()
            if self._reload_requested:
                self._reload_requested = False
                self._key.reload()
                self._reload_custom()
            if now >= self._store.current.stale_at:
                self.publish()
            wake = min(until, self._store.current.stale_at, now + TICK_SECONDS)
            arrival = self._clock.receive(self._inbox, max(0.0, wake - now))
            if arrival is not None:
                return arrival
            if now >= until:
                return None
        return None

    def _fetch_all(self, custom: CustomMetrics) -> tuple[Fetch, ...]:
        """Fetch both endpoints; every fetch has ended when this returns, be it by its deadline."""
        deadline = self._clock.age() + self._settings.fetch_timeout
        turns = [self._start(endpoint, deadline) for endpoint in Endpoint]
        fetches: list[Fetch] = []
        while turns and (arrival := self._receive(deadline)):
            # Late by its own time, and not by ours: the other answer may have taken long to decode.
            if arrival.task in turns and arrival.finished <= deadline:
                turns.remove(arrival.task)
                fetches.append(self._end(arrival, custom))
        for turn in turns:
            error = self._fetchers[turn.endpoint].abort()
            if self._stopping.is_set():
                turn.span.end()
            else:
                fetches.append(self._end(FetchResult(turn, error, deadline), custom))
        return tuple(sorted(fetches, key=lambda fetch: list(Endpoint).index(fetch.endpoint)))

    def _fetcher(self, endpoint: Endpoint, key: AdminKey) -> Fetcher:
        settings = self._settings
        client = GatewayClient(endpoint, settings.gateway_url, key, self._clock, settings.authorities)
        return Fetcher(client, self._inbox, self._clock)

    def _start(self, endpoint: Endpoint, deadline: float) -> FetchTask:
        span = self._tracer.start_span(
            f"fetch {endpoint.path}",
            attributes={"http.method": "GET", "http.url": self._settings.gateway_url + endpoint.path},
        )
        turn = FetchTask(endpoint, span, self._clock.age())
        self._fetchers[endpoint].start(turn, deadline)
        return turn

    def _end(self, arrival: FetchResult, custom: CustomMetrics) -> Fetch:
        """Decode the answer, and close the fetch and its span.

        The duration ends with the last byte, and continues with the decoding of this answer alone.
        """
        turn, result = arrival.task, arrival.result
        with trace.use_span(turn.span, end_on_exit=True):
            decoding_started = self._clock.age()
            answer, readings = self._answer(turn.endpoint, result, custom)
            error = answer if isinstance(answer, GatewayError) else None
            if error:
                error.names = self._settings.names
                self._fetchers[turn.endpoint].reset_redirect()
            fetch = Fetch(
                endpoint=turn.endpoint,
                outcome=error.outcome if error else Outcome.OK,
                answer=None if isinstance(answer, GatewayError) else answer,
                hint=error.hint if error else "",
                status=(error or result).status,
                attempts=(error or result).attempts,
                request_id=(error or result).request_id,
                duration_seconds=arrival.finished - turn.started + self._clock.age() - decoding_started,
                custom=readings,
            )
            _describe(turn.span, fetch)
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
                raise GatewayError(Outcome.EMPTY, "an empty answer after one that was not")
        except GatewayError as error:
            error.status, error.attempts = result.status, result.attempts
            error.request_id = result.request_id
            return error, NO_READINGS
        return answer, self._custom_values.read(custom, endpoint, document, answer)


def next_beat(beat: float, interval: float, now: float) -> float:
    """Return the first beat after `now` on the grid that `beat` is on: a slow poll skips, it never shifts."""
    return beat + interval * (math.floor((now - beat) / interval) + 1)


def _describe(span: trace.Span, fetch: Fetch) -> None:
    """Put the fetch's figures on its span."""
    span.set_attribute("duration_ms", round(fetch.duration_seconds * 1000, 3))
    if fetch.status is not None:
        span.set_attribute("http.status_code", fetch.status)
    if isinstance(fetch.answer, ProviderList):
        span.set_attribute("provider_count", len(fetch.answer.providers))
    if fetch.outcome is not Outcome.OK:
        span.set_attribute("error.type", fetch.outcome.value)
        span.set_status(Status(StatusCode.ERROR, fetch.hint))
