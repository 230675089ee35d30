"""Tests of `exporter.model.store`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import pytest

from exporter.errors import Outcome
from exporter.model.custom import NO_SERIES, CustomMetric, CustomSample, CustomSeries
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Answer, Provider, ProviderList, ProviderStats
from exporter.model.snapshot import Fetch, Poll, Snapshot, Timing
from exporter.model.store import SnapshotStore
from tests.clocks import START_DATE, MovedClock
from tests.metrics.custom.metrics import gauge, info
from tests.model.answers import COUNTS, DOWN, HEALTHY, LISTED, NO_COUNTS, NOTHING_LISTED, listing, poll_of

STALE_AFTER = 180.0
LIMIT, TRAITS = gauge("limit"), info()
Answers = tuple[ProviderList | None, ProviderStats | None]
SERIES = CustomSeries((CustomSample(1.0, {"provider": "a"}),))


@pytest.fixture
def store(clock: MovedClock) -> SnapshotStore:
    """An empty store."""
    return SnapshotStore(Timing(stale_after=STALE_AFTER), clock)


def test_store_starts_empty(store: SnapshotStore) -> None:
    """Before the first poll there are no data, and nothing goes stale."""
    assert Snapshot() == store.current == store.refresh()
    assert math.inf == store.current.stale_at
    assert store.known_providers() is None


def test_good_poll(store: SnapshotStore, clock: MovedClock) -> None:
    """A successful poll sets all values of the snapshot, dated at its end."""
    poll = poll_of(LISTED, COUNTS)
    clock.sleep(2.5)

    snapshot = store.record(poll)

    end = START_DATE + 2.5
    assert snapshot is store.current
    assert snapshot == Snapshot(
        providers=LISTED.providers,
        stats=COUNTS,
        invalid_fields={"id": 1},
        health_since={"a": None, "b": None},
        last_success={Endpoint.PROVIDERS: end, Endpoint.STATS: end},
        last_update=end,
        last_poll=poll,
        stale_at=1002.5 + STALE_AFTER,
    )
    assert (True, True) == (snapshot.up, snapshot.complete)


def test_failing_since(store: SnapshotStore) -> None:
    """An endpoint fails since its first failure after a success, until it succeeds."""

    def since(date: float, *answers: ProviderList | ProviderStats | None) -> dict[Endpoint, float]:
        poll = poll_of(*answers)  # type: ignore[arg-type]
        return dict(store.record(dataclasses.replace(poll, date=date)).failing_since)

    assert {Endpoint.STATS: 1.0} == since(1.0, LISTED, None)
    assert {Endpoint.PROVIDERS: 2.0, Endpoint.STATS: 1.0} == since(2.0, None, None)
    assert {Endpoint.PROVIDERS: 2.0} == since(3.0, None, COUNTS)
    assert {} == since(4.0, LISTED, COUNTS)
    assert {Endpoint.PROVIDERS: 5.0} == since(5.0, None, COUNTS)


@pytest.mark.parametrize("answers", [(LISTED, None), (None, COUNTS)], ids=["counts fail", "list fails"])
def test_half_a_success(store: SnapshotStore, answers: Answers) -> None:
    """An endpoint that fails from the start does not affect the other."""
    snapshot = store.record(poll_of(*answers))

    providers, stats = answers
    assert (providers.providers if providers else None, stats) == (snapshot.providers, snapshot.stats)
    assert [Endpoint.PROVIDERS if providers else Endpoint.STATS] == list(snapshot.last_success)
    assert (None, False, False) == (snapshot.last_update, snapshot.up, snapshot.complete)


def test_failing_endpoint(store: SnapshotStore, clock: MovedClock) -> None:
    """A failing endpoint keeps its last good answer and date; the other is updated; old snapshots stay."""
    first = store.record(poll_of(LISTED, COUNTS))
    copy = dataclasses.replace(first, last_success=dict(first.last_success))
    clock.sleep(60)
    counts = ProviderStats(3, 3, 0, 3, 0, 0, 0)

    poll = poll_of(None, counts)
    snapshot = store.record(poll)

    assert (LISTED.providers, counts) == (snapshot.providers, snapshot.stats)
    assert {Endpoint.PROVIDERS: START_DATE, Endpoint.STATS: START_DATE + 60} == dict(snapshot.last_success)
    assert (START_DATE, poll) == (snapshot.last_update, snapshot.last_poll)
    assert (False, True) == (snapshot.up, snapshot.complete)
    assert copy == first

    newer = store.record(poll_of(listing(Provider("c")), counts))

    assert ((Provider("c"),), {}) == (newer.providers, dict(newer.invalid_fields))
    assert (Provider("c"),) == store.known_providers()


# Staleness


@pytest.mark.parametrize("start", [0.0, 0.1, 0.6, 7.3])
def test_staleness(store: SnapshotStore, clock: MovedClock, start: float) -> None:
    """Data go stale exactly at `stale_at`, for any fraction of the clock; all other values are kept."""
    clock.now = start
    fresh = store.record(poll_of(LISTED, COUNTS))
    clock.sleep(STALE_AFTER - 0.5)
    assert fresh == store.refresh()
    clock.now = fresh.stale_at - 1000.0
    assert fresh.stale_at == clock.age()

    stale = store.refresh()

    assert dataclasses.replace(fresh, providers=None, stats=None, stale_at=math.inf) == stale
    assert stale is store.current
    assert LISTED.providers == store.known_providers()
    assert not stale.complete


def test_endpoints_go_stale_one_by_one(store: SnapshotStore, clock: MovedClock) -> None:
    """Endpoints go stale separately; `stale_at` is the earliest time."""
    store.record(poll_of(LISTED, COUNTS))
    clock.sleep(60)
    assert 1000 + STALE_AFTER == store.record(poll_of(None, COUNTS)).stale_at
    clock.sleep(STALE_AFTER - 60)

    first = store.refresh()
    clock.sleep(60)
    second = store.refresh()

    assert (None, COUNTS, 1060 + STALE_AFTER) == (first.providers, first.stats, first.stale_at)
    assert (None, None, math.inf) == (second.providers, second.stats, second.stale_at)


def test_back_after_staleness(store: SnapshotStore, clock: MovedClock) -> None:
    """The first successful poll after staleness restores all data."""
    store.record(poll_of(LISTED, COUNTS))
    clock.sleep(10 * STALE_AFTER)
    store.refresh()

    snapshot = store.record(poll_of(LISTED, COUNTS))

    assert (LISTED.providers, COUNTS) == (snapshot.providers, snapshot.stats)
    assert (clock.date(), clock.age() + STALE_AFTER) == (snapshot.last_update, snapshot.stale_at)


# Empty answers


@pytest.mark.parametrize("age", [None, 60, STALE_AFTER - 0.5, STALE_AFTER, 86_400.0])
@pytest.mark.parametrize(
    ("answer", "before", "lost"),
    [
        (NOTHING_LISTED, (LISTED, COUNTS), True),
        (NO_COUNTS, (LISTED, COUNTS), True),
        (NOTHING_LISTED, (NOTHING_LISTED, COUNTS), False),
        (NO_COUNTS, (LISTED, NO_COUNTS), False),
        (NOTHING_LISTED, (None, None), False),
        (NO_COUNTS, (None, None), False),
        (listing(Provider("z")), (LISTED, COUNTS), False),
        (ProviderStats(1, 1, 0, 1, 0, 0, 0), (LISTED, COUNTS), False),
    ],
)
def test_would_lose_data(
    store: SnapshotStore, clock: MovedClock, answer: Answer, before: Answers, lost: bool, age: float | None
) -> None:
    """Only an empty answer after one with data loses data, at any age and after failures."""
    store.record(poll_of(*before))
    if age is not None:
        clock.sleep(age)
        store.record(poll_of(None, None))

    endpoint = Endpoint.PROVIDERS if isinstance(answer, ProviderList) else Endpoint.STATS
    assert lost is store.would_lose_data(endpoint, answer)


# Health since


def since(store: SnapshotStore, answer: ProviderList | None) -> dict[str, float | None]:
    """Record a list or a failed fetch, and return `health_since`."""
    return dict(store.record(poll_of(answer, COUNTS)).health_since)


def test_health_that_changes(store: SnapshotStore, clock: MovedClock) -> None:
    """The time is unknown in the first list, also after failures, and then that of the last change."""
    changed = listing(Provider("a", health=DOWN), Provider("b", health=DOWN))
    assert {} == since(store, None)

    for answer, a in ((LISTED, None), (changed, 120), (changed, 120), (LISTED, 240)):
        clock.sleep(60)
        assert {"a": a and START_DATE + a, "b": None} == since(store, answer)


def test_health_of_new_providers(store: SnapshotStore, clock: MovedClock) -> None:
    """A new provider has the time of its first list, even after an empty one; a removed one is forgotten."""
    since(store, LISTED)

    clock.sleep(60)
    other = listing(Provider("a", health=HEALTHY), Provider("c"))
    assert {"a": None, "c": START_DATE + 60} == since(store, other)
    clock.sleep(60)
    assert {"a": None, "b": START_DATE + 120} == since(store, LISTED)
    since(store, NOTHING_LISTED)
    clock.sleep(60)
    assert {"a": START_DATE + 180, "b": START_DATE + 180} == since(store, LISTED)


@pytest.mark.parametrize("pause", [60.0, 10 * STALE_AFTER], ids=["fresh", "stale"])
def test_health_over_failed_polls(store: SnapshotStore, clock: MovedClock, pause: float) -> None:
    """Failed polls do not change the time, even if data go stale."""
    since(store, listing(Provider("a", health=DOWN)))
    clock.sleep(60)
    expected = {"a": START_DATE + 60, "b": START_DATE + 60}
    assert expected == since(store, LISTED)

    clock.sleep(pause)
    assert expected == since(store, None)
    clock.sleep(pause)
    assert expected == since(store, LISTED)


# Custom metrics


def record(store: SnapshotStore, outcome: Outcome = Outcome.OK) -> Mapping[CustomMetric, CustomSeries]:
    """Record a fetch with series of `LIMIT`, and return the custom metrics of the snapshot."""
    is_good = outcome is Outcome.OK
    custom = {LIMIT: SERIES} if is_good else {}
    fetch = Fetch(Endpoint.PROVIDERS, outcome, LISTED if is_good else None, custom=custom)
    return store.record(Poll(START_DATE, 0.5, 1, 2, (fetch,))).custom


def test_defined_custom_metrics(store: SnapshotStore) -> None:
    """A snapshot has all defined custom metrics, with or without series; a changed one has no series."""
    assert {} == record(store)

    store.define((LIMIT, TRAITS))
    assert {LIMIT: SERIES, TRAITS: NO_SERIES} == store.refresh().custom

    other = gauge("limit", help="Another.")
    store.define((other,))
    assert {other: NO_SERIES} == store.refresh().custom


def test_stale_custom_metrics(store: SnapshotStore, clock: MovedClock) -> None:
    """Series are kept after a failed fetch and removed when the answer is stale."""
    store.define((LIMIT,))
    record(store)
    assert {LIMIT: SERIES} == record(store, Outcome.TIMEOUT)

    clock.now += STALE_AFTER

    assert {LIMIT: NO_SERIES} == store.refresh().custom
