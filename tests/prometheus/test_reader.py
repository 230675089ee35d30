"""Tests of `exporter.prometheus.reader`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from exporter.config.prometheus import PrometheusSettings
from exporter.model.history import History
from exporter.prometheus.queries import Prometheus
from exporter.prometheus.reader import FIRST_PAUSE, FRESH_SECONDS, LONGEST_PAUSE, PastReader
from exporter.status.state import Past
from tests.clocks import MovedClock
from tests.http_server import answer
from tests.prometheus.server import SLOT, START, PrometheusServer, matrix, vector
from tests.waiting import wait_until

GOOD = {
    "count_over_time": matrix({"a": {-1: 15}}),
    "sum_over_time": matrix({"a": {-1: 15}}),
    "max_over_time": matrix({"a": {-1: 1}}),
    "min_over_time": matrix({"a": {-1: 1}}),
    "ratio30d": vector({"a": 0.75}),
}
KNOWN = Past({"24h": {}, "14d": {}, "30d": {"a": 0.75}})


class Clock(MovedClock):
    """A clock that begins at START."""

    def date(self) -> float:
        """Return the Unix time."""
        return START + self.now


@dataclass
class Reading:
    """A reader, its server, and what it fills."""

    server: PrometheusServer
    history: History
    clock: Clock
    reader: PastReader


@pytest.fixture
def reading() -> Iterator[Reading]:
    """A reader of a good server, which has not read."""
    clock = Clock()
    history = History(86_400, 60, clock.date())
    with PrometheusServer(series=dict(GOOD)) as server:
        settings = PrometheusSettings(server.url, "provider_metrics")
        reader = PastReader(Prometheus(settings, clock), history, clock)
        yield Reading(server, history, clock, reader)
        reader.stop()


def test_read(reading: Reading, caplog: pytest.LogCaptureFixture) -> None:
    """The history is filled once, and the uptimes are known."""
    caplog.set_level(logging.INFO)
    reading.reader.read()
    reading.reader.read()

    assert KNOWN == reading.reader.current()
    assert (1.0, START - SLOT) == (reading.history.uptime("a"), reading.history.since)
    assert ["History read from Prometheus"] == caplog.messages
    assert 5 == sum("query_range" in asked.target for asked in reading.server.asked)


def test_failure(reading: Reading, caplog: pytest.LogCaptureFixture) -> None:
    """A failure is named in what is known, which remains, and in one log record with its cause."""
    reading.reader.read()
    reading.server.raw = answer(401)
    reading.reader.read()
    reading.reader.read()

    past = reading.reader.current()
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert (KNOWN.uptimes, "HTTP status 401") == (past.uptimes, past.problem)
    assert ("Prometheus not read", "unauthorized") == (record.message, record.outcome)  # type: ignore[attr-defined]
    assert "check PROMETHEUS_URL" in record.hint  # type: ignore[attr-defined]

    reading.server.raw = None
    reading.reader.read()

    assert "" == reading.reader.current().problem


def test_pauses(reading: Reading) -> None:
    """After a success nothing is due for minutes; after failures less soon each time."""
    reading.server.raw = answer(503)
    pauses = []
    for _ in range(7):
        reading.reader.read()
        pauses.append(reading.reader.due - reading.clock.age())
    reading.server.raw = None
    reading.reader.read()

    assert [FIRST_PAUSE, 30, 60, 120, 240, LONGEST_PAUSE, LONGEST_PAUSE] == pauses
    assert FRESH_SECONDS == reading.reader.due - reading.clock.age()


def test_thread(reading: Reading) -> None:
    """The thread reads at once, and again only when what is known is wanted and old; it ends soon."""
    reading.reader.start()
    wait_until(lambda: reading.history.uptime("a"))
    wait_until(lambda: "30d" in reading.reader.current().uptimes)
    asked = len(reading.server.asked)
    reading.reader.current()
    assert asked == len(reading.server.asked)

    reading.reader.stop()

    wait_until(lambda: "past" not in [thread.name for thread in threading.enumerate()])
