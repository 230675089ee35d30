"""What a poll says in the log: constant messages with the fields of the design."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from exporter.errors import Outcome
from exporter.model.changes import Changes, HealthChange
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Answer, HealthStatus, Provider, ProviderList, ProviderStats
from exporter.model.snapshot import Fetch, Poll, Snapshot
from exporter.poll.events import CUT_HINT, EMPTY_HINT, MAX_CHANGES, Journal
from tests.clocks import START_DATE, MovedClock

Record = tuple[str, str, dict[str, object]]

BY_DEFAULT = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
LISTED = ProviderList((Provider("a"), Provider("b")), 2, {})
COUNTS = ProviderStats(total=40, active=34, inactive=6, healthy=21, degraded=6, down=5, unknown=8)
FULL = Snapshot(providers=LISTED.providers, stats=COUNTS)
VALUES: dict[str, object] = {
    "providers_total": 40,
    "providers_active": 34,
    "providers_healthy": 21,
    "providers_listed": 2,
    "duration_ms": 1234.568,
}
NO_CHANGE = Changes()
UPDATED: Record = ("INFO", "Updated provider metrics", VALUES)


def good(endpoint: Endpoint, answer: Answer | None = None) -> Fetch:
    """Return a fetch that went well."""
    usual: Answer = LISTED if endpoint is Endpoint.PROVIDERS else COUNTS
    return Fetch(endpoint, Outcome.OK, answer or usual, status=200, attempts=1)


def failed(endpoint: Endpoint) -> Fetch:
    """Return a fetch that failed with an answer."""
    return Fetch(
        endpoint,
        Outcome.SERVER_ERROR,
        None,
        hint="Look at its log.",
        status=500,
        attempts=3,
        request_id="req_1",
    )


def failure(level: str, endpoint: str) -> Record:
    """Return the record of a failed fetch."""
    fields: dict[str, object] = {
        "endpoint": endpoint,
        "outcome": "server_error",
        "status": 500,
        "attempts": 3,
        "request_id": "req_1",
        "hint": "Look at its log.",
    }
    return level, "Fetch failed", fields


LIST_OK, STATS_OK = good(Endpoint.PROVIDERS), good(Endpoint.STATS)
LIST_FAILED, STATS_FAILED = failed(Endpoint.PROVIDERS), failed(Endpoint.STATS)


class Log:
    """A journal, and the records that it writes."""

    def __init__(self, clock: MovedClock, caplog: pytest.LogCaptureFixture) -> None:
        """Begin with a new journal."""
        self._journal = Journal(clock)
        self._caplog = caplog

    def write(
        self, *fetches: Fetch, snapshot: Snapshot = FULL, changes: Changes = NO_CHANGE
    ) -> Sequence[Record]:
        """Return level, message and fields of what is written for a poll."""
        self._caplog.clear()
        self._journal.write(Poll(START_DATE, 1.2345678, 1, 2, fetches), snapshot, changes)
        return [(record.levelname, record.getMessage(), fields_of(record)) for record in self._caplog.records]

    def changes(self, changes: Changes) -> Sequence[Record]:
        """Return what is written for a good poll with these changes, without the sum of it."""
        *written, last = self.write(LIST_OK, STATS_OK, changes=changes)
        assert last == UPDATED
        return written


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return what was given to a record as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in BY_DEFAULT}


@pytest.fixture
def log(clock: MovedClock, caplog: pytest.LogCaptureFixture) -> Log:
    """A journal whose records are captured from level info on."""
    caplog.set_level(logging.INFO, logger="exporter.poll.events")
    return Log(clock, caplog)


# The sum of a poll


def test_good_poll(log: Log) -> None:
    """A good poll without changes is one record with the values in force."""
    assert [UPDATED] == log.write(LIST_OK, STATS_OK)


def test_empty_gateway(log: Log) -> None:
    """Zeros are values, and not left out of the record."""
    empty = ProviderStats(0, 0, 0, 0, 0, 0, 0)

    ((level, message, fields),) = log.write(LIST_OK, STATS_OK, snapshot=Snapshot(providers=(), stats=empty))

    assert ("INFO", "Updated provider metrics") == (level, message)
    assert fields == {
        "providers_total": 0,
        "providers_active": 0,
        "providers_healthy": 0,
        "providers_listed": 0,
        "duration_ms": 1234.568,
    }


@pytest.mark.parametrize(
    ("fetches", "endpoint"),
    [((LIST_FAILED, STATS_OK), "providers"), ((LIST_OK, STATS_FAILED), "stats")],
    ids=["list", "counts"],
)
def test_half_a_success(log: Log, fetches: tuple[Fetch, Fetch], endpoint: str) -> None:
    """When one endpoint fails, the sum is a warning with the values in force and the endpoint."""
    assert [
        failure("ERROR", endpoint),
        ("WARNING", "Updated provider metrics in part", {**VALUES, "failed_endpoint": endpoint}),
    ] == log.write(*fetches)


@pytest.mark.parametrize(
    ("fetches", "snapshot", "fields"),
    [
        (
            (LIST_FAILED, STATS_OK),
            Snapshot(stats=COUNTS),
            {
                "providers_total": 40,
                "providers_active": 34,
                "providers_healthy": 21,
                "duration_ms": 1234.568,
                "failed_endpoint": "providers",
            },
        ),
        (
            (LIST_OK, STATS_FAILED),
            Snapshot(providers=LISTED.providers),
            {"providers_listed": 2, "duration_ms": 1234.568, "failed_endpoint": "stats"},
        ),
    ],
    ids=["no list", "no counts"],
)
def test_unknown_values_have_no_field(
    log: Log, fetches: tuple[Fetch, Fetch], snapshot: Snapshot, fields: dict[str, object]
) -> None:
    """What is not known, or stale, has no field in the sum."""
    assert fields == log.write(*fetches, snapshot=snapshot)[-1][2]


def test_both_fail(log: Log) -> None:
    """When both endpoints fail nothing was updated, and nothing says so."""
    assert [failure("ERROR", "providers"), failure("ERROR", "stats")] == log.write(LIST_FAILED, STATS_FAILED)


# Failures and recoveries


def test_failure_without_an_answer(log: Log) -> None:
    """A failure before any answer has the same fields, empty ones where nothing is known."""
    fetch = Fetch(Endpoint.STATS, Outcome.DNS, None, hint="Check its spelling.", attempts=1)

    record = log.write(LIST_OK, fetch)[0]

    fields = {
        "endpoint": "stats",
        "outcome": "dns",
        "status": None,
        "attempts": 1,
        "request_id": None,
        "hint": "Check its spelling.",
    }
    assert ("ERROR", "Fetch failed", fields) == record


def test_failure_that_lasts(log: Log) -> None:
    """The first failure in a row is an error, those after it are warnings."""
    levels = [log.write(LIST_FAILED, STATS_OK)[0] for _ in range(3)]

    assert [
        failure("ERROR", "providers"),
        failure("WARNING", "providers"),
        failure("WARNING", "providers"),
    ] == levels


def test_endpoints_fail_for_themselves(log: Log) -> None:
    """An endpoint that begins to fail is an error, though the other has failed before."""
    log.write(LIST_FAILED, STATS_OK)

    assert [failure("WARNING", "providers"), failure("ERROR", "stats")] == log.write(
        LIST_FAILED, STATS_FAILED
    )


def test_recovery(log: Log, clock: MovedClock) -> None:
    """The first success after failures says how many there were, and for how long."""
    for _ in range(3):
        log.write(LIST_OK, STATS_FAILED)
        clock.sleep(60.00049)

    recovered = ("INFO", "Recovered", {"endpoint": "stats", "failures": 3, "down_seconds": 180.001})
    assert [recovered, UPDATED] == log.write(LIST_OK, STATS_OK)


def test_recovery_is_said_once(log: Log, clock: MovedClock) -> None:
    """After a recovery all is as if nothing had failed: silence, and an error for the next failure."""
    log.write(LIST_OK, STATS_FAILED)
    clock.sleep(60)
    log.write(LIST_OK, STATS_OK)
    clock.sleep(60)

    assert [UPDATED] == log.write(LIST_OK, STATS_OK)
    assert failure("ERROR", "stats") == log.write(LIST_OK, STATS_FAILED)[0]
    clock.sleep(5)
    recovered = {"endpoint": "stats", "failures": 1, "down_seconds": 5.0}
    assert ("INFO", "Recovered", recovered) == log.write(LIST_OK, STATS_OK)[0]


def test_recovery_of_one(log: Log, clock: MovedClock) -> None:
    """Of two failing endpoints, the one that comes back says so while the other goes on failing."""
    log.write(LIST_FAILED, STATS_FAILED)
    clock.sleep(60)

    recovered = {"endpoint": "providers", "failures": 1, "down_seconds": 60.0}
    assert [
        ("INFO", "Recovered", recovered),
        failure("WARNING", "stats"),
        ("WARNING", "Updated provider metrics in part", {**VALUES, "failed_endpoint": "stats"}),
    ] == log.write(LIST_OK, STATS_FAILED)


# Changes of the fleet


def test_appeared_and_vanished(log: Log) -> None:
    """Each provider that came or left is one record with its slug."""
    assert [
        ("INFO", "Provider appeared", {"provider": "c"}),
        ("INFO", "Provider appeared", {"provider": "d"}),
        ("INFO", "Provider vanished", {"provider": "a"}),
    ] == log.changes(Changes(appeared=("c", "d"), vanished=("a",)))


@pytest.mark.parametrize(
    ("before", "after", "level"),
    [
        (HealthStatus.HEALTHY, HealthStatus.DOWN, "WARNING"),
        (HealthStatus.HEALTHY, HealthStatus.UNKNOWN, "WARNING"),
        (HealthStatus.UNKNOWN, HealthStatus.DEGRADED, "WARNING"),
        (HealthStatus.DOWN, HealthStatus.DEGRADED, "INFO"),
        (HealthStatus.UNKNOWN, HealthStatus.HEALTHY, "INFO"),
    ],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_health_changed(log: Log, before: HealthStatus, after: HealthStatus, level: str) -> None:
    """A change of health is info, and a warning when it is for the worse."""
    fields = {"provider": "a", "from": before.label, "to": after.label}

    assert [(level, "Provider health changed", fields)] == log.changes(
        Changes(health=(HealthChange("a", before, after),))
    )


def test_first_list(log: Log) -> None:
    """The first list is no news but its sum: there is nothing to compare it with."""
    assert [] == log.changes(NO_CHANGE)


def test_many_changes_one_by_one(log: Log) -> None:
    """Fifty changes are still one record each."""
    written = log.changes(Changes(appeared=tuple(f"p{number}" for number in range(50))))

    assert 50 == MAX_CHANGES
    assert [f"p{number}" for number in range(50)] == [fields["provider"] for _, _, fields in written]


def test_too_many_changes(log: Log) -> None:
    """Above fifty changes of all kinds together, one record with counts stands for all."""
    down = HealthChange("a", HealthStatus.HEALTHY, HealthStatus.DOWN)
    changes = Changes((down,) * 20, tuple("b" * 16), tuple("c" * 15))

    assert 51 == len(changes)
    assert [
        ("WARNING", "Providers changed", {"health_changes": 20, "appeared": 16, "vanished": 15})
    ] == log.changes(changes)


# An empty list


def of_rows(count: int) -> Fetch:
    """Return a good fetch of a list with this many rows."""
    return good(Endpoint.PROVIDERS, ProviderList(LISTED.providers, count, {}))


def test_empty_list_is_warned_once(log: Log) -> None:
    """An empty list is a warning when it begins, and again after one that was not empty."""
    empties = [
        [record for record in log.write(of_rows(rows), STATS_OK) if record[1] == "No providers listed"]
        for rows in (0, 0, 1, 0)
    ]

    warning = ("WARNING", "No providers listed", {"providers_listed": 0, "hint": EMPTY_HINT})
    assert [[warning], [], [], [warning]] == empties


# A list that may be cut


def cuts(log: Log, *fetches: Fetch) -> Sequence[Record]:
    """Return the warnings that a list may be cut, for a poll with these fetches."""
    return [record for record in log.write(*fetches) if record[1] == "Provider list may be cut"]


@pytest.mark.parametrize(
    ("rows", "warned"), [(0, False), (999, False), (1000, True), (1001, False), (1500, False), (2000, True)]
)
def test_round_thousand(log: Log, rows: int, warned: bool) -> None:
    """A list of exactly a round thousand of rows may have been cut by the gateway's database."""
    warning: Record = (
        "WARNING",
        "Provider list may be cut",
        {"providers_listed": rows, "hint": CUT_HINT},
    )

    assert ([warning] if warned else []) == cuts(log, of_rows(rows), STATS_OK)


def test_round_thousand_is_warned_once(log: Log) -> None:
    """The warning comes once, and again after the list had another length."""
    lengths = [1000, 1000, 2000, 999, 999, 1000, 1000]

    assert [1, 0, 0, 0, 0, 1, 0] == [len(cuts(log, of_rows(rows), STATS_OK)) for rows in lengths]


def test_round_thousand_over_a_failure(log: Log) -> None:
    """A failed fetch in between is no other length."""
    cuts(log, of_rows(1000), STATS_OK)
    cuts(log, LIST_FAILED, STATS_OK)

    assert [] == cuts(log, of_rows(1000), STATS_OK)


def test_order_of_a_poll(log: Log, clock: MovedClock) -> None:
    """A poll tells of its fetches first, then of a cut list, then of changes, and its sum last."""
    log.write(LIST_FAILED, STATS_OK)
    clock.sleep(60)
    changes = Changes((HealthChange("x", HealthStatus.DOWN, HealthStatus.HEALTHY),), ("y",), ("z",))

    written = log.write(of_rows(1000), STATS_FAILED, changes=changes)

    assert [
        "Recovered",
        "Fetch failed",
        "Provider list may be cut",
        "Provider appeared",
        "Provider vanished",
        "Provider health changed",
        "Updated provider metrics in part",
    ] == [message for _, message, _ in written]
