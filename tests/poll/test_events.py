"""Tests of `exporter.poll.events`: constant messages with the fields of the contract."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from exporter.errors import Outcome
from exporter.model.changes import Changes, HealthChange
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Answer, HealthStatus, Provider, ProviderList, ProviderStats
from exporter.model.snapshot import Fetch, Poll, Snapshot
from exporter.poll.events import EMPTY_HINT, TRUNCATED_HINT, PollLog
from tests.clocks import START_DATE, MovedClock

Record = tuple[str, str, dict[str, object]]

BY_DEFAULT = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
LISTED = ProviderList((Provider("a"), Provider("b")), 2, {})
COUNTS = ProviderStats(total=40, active=34, inactive=6, healthy=21, degraded=6, down=5, unknown=8)
NOTHING = Snapshot(providers=(), stats=ProviderStats(0, 0, 0, 0, 0, 0, 0))
FULL = Snapshot(providers=LISTED.providers, stats=COUNTS)
KNOWN = {"providers_total": 40, "providers_active": 34, "providers_healthy": 21}
VALUES: dict[str, object] = {**KNOWN, "providers_listed": 2, "duration_ms": 1234.568}
NO_CHANGE = Changes()
UPDATED: Record = ("INFO", "Updated provider metrics", VALUES)


def good(endpoint: Endpoint, answer: Answer | None = None) -> Fetch:
    """Return a successful fetch."""
    usual: Answer = LISTED if endpoint is Endpoint.PROVIDERS else COUNTS
    return Fetch(endpoint, Outcome.OK, answer or usual, status=200, attempts=1)


FIELDS: dict[str, Any] = {"status": 500, "attempts": 3, "request_id": "req_1", "hint": "Look at its log."}


def failed(endpoint: Endpoint) -> Fetch:
    """Return a fetch that failed with a response."""
    return Fetch(endpoint, Outcome.SERVER_ERROR, None, **FIELDS)


def failure(level: str, endpoint: str) -> Record:
    """Return the record of a failed fetch."""
    return level, "Fetch failed", {"endpoint": endpoint, "outcome": "server_error", **FIELDS}


LIST_OK, STATS_OK = good(Endpoint.PROVIDERS), good(Endpoint.STATS)
LIST_FAILED, STATS_FAILED = failed(Endpoint.PROVIDERS), failed(Endpoint.STATS)


class Log:
    """A poll log with its captured records."""

    def __init__(self, clock: MovedClock, caplog: pytest.LogCaptureFixture) -> None:
        """Create a poll log."""
        self._log = PollLog(clock)
        self._caplog = caplog

    def write(
        self, *fetches: Fetch, snapshot: Snapshot = FULL, changes: Changes = NO_CHANGE
    ) -> Sequence[Record]:
        """Return level, message and fields of the records of a poll."""
        self._caplog.clear()
        self._log.write(Poll(START_DATE, 1.2345678, 1, 2, fetches), snapshot, changes)
        return [(record.levelname, record.getMessage(), fields_of(record)) for record in self._caplog.records]

    def changes(self, changes: Changes) -> Sequence[Record]:
        """Return the records of a successful poll with these changes, without the summary."""
        *written, last = self.write(LIST_OK, STATS_OK, changes=changes)
        assert last == UPDATED
        return written


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return the `extra` fields of a record."""
    return {name: value for name, value in vars(record).items() if name not in BY_DEFAULT}


@pytest.fixture
def log(clock: MovedClock, caplog: pytest.LogCaptureFixture) -> Log:
    """A poll log whose records are captured from level info."""
    caplog.set_level(logging.INFO, logger="exporter.poll.events")
    return Log(clock, caplog)


# Summary


@pytest.mark.parametrize(
    ("fetches", "snapshot", "fields"),
    [
        ((LIST_OK, STATS_OK), FULL, VALUES),
        ((LIST_OK, STATS_OK), NOTHING, {**dict.fromkeys(VALUES, 0), "duration_ms": 1234.568}),
        ((LIST_FAILED, STATS_OK), FULL, {**VALUES, "failed_endpoint": "providers"}),
        ((LIST_OK, STATS_FAILED), FULL, {**VALUES, "failed_endpoint": "stats"}),
        (
            (LIST_FAILED, STATS_OK),
            Snapshot(stats=COUNTS),
            {**KNOWN, "duration_ms": 1234.568, "failed_endpoint": "providers"},
        ),
        (
            (LIST_OK, STATS_FAILED),
            Snapshot(providers=LISTED.providers),
            {"providers_listed": 2, "duration_ms": 1234.568, "failed_endpoint": "stats"},
        ),
    ],
    ids=["success", "zeros", "list failed", "counts failed", "no list", "no counts"],
)
def test_summary(
    log: Log, fetches: tuple[Fetch, Fetch], snapshot: Snapshot, fields: dict[str, object]
) -> None:
    """The summary has a field for each known value, and is a warning if an endpoint failed."""
    complete: Record = ("INFO", "Updated provider metrics", fields)
    partial: Record = ("WARNING", "Updated provider metrics in part", fields)

    *failures, summary = log.write(*fetches, snapshot=snapshot)

    assert summary == (partial if "failed_endpoint" in fields else complete)
    assert [failure("ERROR", str(fields[name])) for name in fields if name == "failed_endpoint"] == failures


# Failures and recoveries


def test_repeated_failure(log: Log) -> None:
    """The first failure of an endpoint is an error; consecutive ones are warnings; both have no summary."""
    assert failure("ERROR", "providers") == log.write(LIST_FAILED, STATS_OK)[0]
    assert failure("WARNING", "providers") == log.write(LIST_FAILED, STATS_OK)[0]
    expected = [failure("WARNING", "providers"), failure("ERROR", "stats")]
    assert expected == log.write(LIST_FAILED, STATS_FAILED)


def test_recovery(log: Log, clock: MovedClock) -> None:
    """The first success after failures is logged once, with their number and duration."""
    for _ in range(3):
        log.write(LIST_OK, STATS_FAILED)
        clock.sleep(60.00049)

    recovered = {"endpoint": "stats", "failures": 3, "down_seconds": 180.001}
    assert [("INFO", "Recovered", recovered), UPDATED] == log.write(LIST_OK, STATS_OK)
    assert [UPDATED] == log.write(LIST_OK, STATS_OK)
    assert failure("ERROR", "stats") == log.write(LIST_OK, STATS_FAILED)[0]
    clock.sleep(5)
    recovered = {"endpoint": "stats", "failures": 1, "down_seconds": 5.0}
    assert ("INFO", "Recovered", recovered) == log.write(LIST_OK, STATS_OK)[0]


# Changes of providers


def test_changes(log: Log) -> None:
    """Each change is one record, and worse health is a warning."""
    worse = HealthChange("a", HealthStatus.HEALTHY, HealthStatus.UNKNOWN)
    better = HealthChange("b", HealthStatus.DOWN, HealthStatus.DEGRADED)

    assert [
        ("INFO", "Provider appeared", {"provider": "c"}),
        ("INFO", "Provider appeared", {"provider": "d"}),
        ("INFO", "Provider vanished", {"provider": "e"}),
        ("WARNING", "Provider health changed", {"provider": "a", "from": "healthy", "to": "unknown"}),
        ("INFO", "Provider health changed", {"provider": "b", "from": "down", "to": "degraded"}),
    ] == log.changes(Changes((worse, better), appeared=("c", "d"), vanished=("e",)))


def test_many_changes(log: Log) -> None:
    """Up to 50 changes are one record each; more are one record with counts, a warning if any is worse."""
    down = HealthChange("a", HealthStatus.HEALTHY, HealthStatus.DOWN)
    written = log.changes(Changes(appeared=tuple(f"p{number}" for number in range(50))))

    assert [f"p{number}" for number in range(50)] == [fields["provider"] for _, _, fields in written]
    counts = {"health_changes": 20, "appeared": 16, "vanished": 15}
    changes = Changes((down,) * 20, tuple("b" * 16), tuple("c" * 15))
    assert [("WARNING", "Providers changed", counts)] == log.changes(changes)
    better = HealthChange("a", HealthStatus.DOWN, HealthStatus.HEALTHY)
    assert ["INFO"] == [level for level, _, _ in log.changes(Changes((better,) * 51))]


# Empty and truncated lists


def warnings(log: Log, message: str, *lengths: int | None) -> Sequence[Sequence[Record]]:
    """Return the warnings for polls with lists of these lengths; None is a failed fetch."""
    lists = [
        LIST_FAILED if rows is None else good(Endpoint.PROVIDERS, ProviderList(LISTED.providers, rows, {}))
        for rows in lengths
    ]
    return [[record for record in log.write(each, STATS_OK) if record[1] == message] for each in lists]


def test_empty_list(log: Log) -> None:
    """A warning is logged when the list becomes empty."""
    warning: Record = ("WARNING", "No providers listed", {"providers_listed": 0, "hint": EMPTY_HINT})

    assert [[warning], [], [], [warning]] == warnings(log, "No providers listed", 0, 0, 1, 0)


@pytest.mark.parametrize(
    ("rows", "warned"), [(0, False), (999, False), (1000, True), (1001, False), (1500, False), (2000, True)]
)
def test_truncated_list(log: Log, rows: int, warned: bool) -> None:
    """A list whose length is a multiple of 1000 may be truncated by the gateway's database."""
    fields = {"providers_listed": rows, "hint": TRUNCATED_HINT}
    warning: Record = ("WARNING", "Provider list may be cut", fields)

    assert [[warning] * warned] == warnings(log, "Provider list may be cut", rows)


def test_truncated_list_is_logged_once(log: Log) -> None:
    """The warning is repeated only after a list of another length, not after a failed fetch."""
    found = warnings(log, "Provider list may be cut", 1000, 1000, None, 2000, 999, 999, 1000, 1000)

    assert [1, 0, 0, 0, 0, 0, 1, 0] == [len(each) for each in found]


def test_order_of_a_poll(log: Log, clock: MovedClock) -> None:
    """Fetches come first, then a truncated list, then changes, then the summary."""
    log.write(LIST_FAILED, STATS_OK)
    clock.sleep(60)
    changes = Changes((HealthChange("x", HealthStatus.DOWN, HealthStatus.HEALTHY),), ("y",), ("z",))

    truncated = good(Endpoint.PROVIDERS, ProviderList(LISTED.providers, 1000, {}))
    written = log.write(truncated, STATS_FAILED, changes=changes)

    assert [
        "Recovered",
        "Fetch failed",
        "Provider list may be cut",
        "Provider appeared",
        "Provider vanished",
        "Provider health changed",
        "Updated provider metrics in part",
    ] == [message for _, message, _ in written]
