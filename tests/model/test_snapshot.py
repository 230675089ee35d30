"""What is known of the gateway at one moment, and how it grows old."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from exporter.config.settings import load_settings
from exporter.errors import Outcome
from exporter.model.custom import NO_SERIES, CustomMetric, CustomSample, CustomSeries
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Answer, HealthStatus, Provider, ProviderList, ProviderStats
from exporter.model.snapshot import Fetch, Poll, Snapshot, Timing
from exporter.model.store import SnapshotStore
from tests.clocks import START_DATE, MovedClock
from tests.metrics.custom.metrics import gauge, info

STALE_AFTER = 180.0
HEALTHY, DOWN = HealthStatus.HEALTHY, HealthStatus.DOWN
COUNTS = ProviderStats(total=2, active=2, inactive=0, healthy=1, degraded=0, down=1, unknown=0)
NO_COUNTS = ProviderStats(total=0, active=0, inactive=0, healthy=0, degraded=0, down=0, unknown=0)


def listing(*providers: Provider, rows: int | None = None, **invalid: int) -> ProviderList:
    """Return a list of providers, by default with as many rows."""
    return ProviderList(providers, len(providers) if rows is None else rows, invalid)


LISTED = listing(Provider("a", health=HEALTHY), Provider("b", health=DOWN), id=1)
NOTHING_LISTED = listing()
LIMIT, TRAITS = gauge("limit"), info()
SERIES = CustomSeries((CustomSample(1.0, {"provider": "a"}),))


def poll_of(providers: ProviderList | None, stats: ProviderStats | None, date: float = START_DATE) -> Poll:
    """Return a poll with these answers; an endpoint without one has failed."""
    answers: dict[Endpoint, Answer | None] = {Endpoint.PROVIDERS: providers, Endpoint.STATS: stats}
    fetches = tuple(
        Fetch(endpoint, Outcome.OK if answer else Outcome.TIMEOUT, answer)
        for endpoint, answer in answers.items()
    )
    return Poll(date, 0.5, 1, 2, fetches)


@pytest.fixture
def store(clock: MovedClock) -> SnapshotStore:
    """A store by a clock that the test moves."""
    return SnapshotStore(Timing(stale_after=STALE_AFTER), clock)


# Values


def test_health_status_has_the_numbers_of_the_contract() -> None:
    """Health is 0 unknown, 1 healthy, 2 degraded, 3 down, with the gateway's words for it."""
    assert {"unknown": 0, "healthy": 1, "degraded": 2, "down": 3} == {
        status.label: status.value for status in HealthStatus
    }


def test_severity() -> None:
    """Not knowing is worse than healthy and better than degraded; down is worst."""
    ordered = sorted(HealthStatus, key=lambda status: status.severity)

    assert ["healthy", "unknown", "degraded", "down"] == [status.label for status in ordered]
    assert [0, 1, 2, 3] == [status.severity for status in ordered]


@pytest.mark.parametrize(
    ("is_active", "reported", "overdue"),
    [
        (True, START_DATE, False),
        (True, START_DATE - 3600, False),
        (True, START_DATE - 3600.5, True),
        (True, START_DATE + 60, False),
        (True, None, False),
        (None, START_DATE - 3601, True),
        (None, START_DATE - 3599, False),
        (None, None, False),
        (False, START_DATE - 3601, False),
        (False, None, False),
    ],
    ids=[
        "now",
        "an hour ago",
        "over an hour ago",
        "in the future",
        "never",
        "perhaps active, late",
        "perhaps active, in time",
        "perhaps active, never",
        "inactive, late",
        "inactive, never",
    ],
)
def test_overdue(is_active: bool | None, reported: float | None, overdue: bool) -> None:
    """A provider that is not inactive is overdue when its last check is older than the limit."""
    provider = Provider("a", is_active=is_active, last_health_check=reported)

    assert overdue is provider.is_overdue(START_DATE, 3600.0)


def test_overdue_as_of_the_list(store: SnapshotStore, clock: MovedClock) -> None:
    """A check is overdue by its age when the list was fetched, and does not grow older until the next."""
    provider = Provider("a", last_health_check=START_DATE - 3500)
    store.record(poll_of(listing(provider), COUNTS))
    clock.sleep(150)
    snapshot = store.refresh()

    assert not snapshot.is_overdue(provider)
    assert replace(snapshot, timing=Timing(health_check_overdue=3499)).is_overdue(provider)
    assert not Snapshot(providers=(provider,)).is_overdue(provider)


def test_default_timing() -> None:
    """Without a word of the settings the timing is that of their defaults."""
    settings = load_settings({"GATEWAY_API_URL": "https://gateway.example", "ADMIN_KEY": "test-admin-key"})

    assert Timing() == Timing(
        settings.interval, settings.stale_after, settings.fetch_timeout, settings.health_check_overdue
    )


def test_provider_of_which_only_the_slug_is_known() -> None:
    """What the gateway does not say is empty, unknown or nothing, never a number."""
    provider = Provider("a")

    assert ("", "", HealthStatus.UNKNOWN) == (provider.name, provider.id, provider.health)
    assert {None} == {
        provider.is_active,
        provider.supports_streaming,
        provider.supports_function_calling,
        provider.supports_vision,
        provider.supports_image_generation,
        provider.response_time_ms,
        provider.last_health_check,
    }


@pytest.mark.parametrize(
    ("answer", "empty"),
    [(listing(), True), (listing(Provider("a")), False), (listing(rows=1), False)],
    ids=["no rows", "one provider", "one bad row"],
)
def test_empty_list(answer: ProviderList, empty: bool) -> None:
    """A list is empty when the gateway sent no rows, not when none could be used."""
    assert empty is answer.is_empty


@pytest.mark.parametrize(("answer", "empty"), [(NO_COUNTS, True), (COUNTS, False)], ids=["zeros", "counts"])
def test_empty_stats(answer: ProviderStats, empty: bool) -> None:
    """Counts are empty when they count no provider."""
    assert empty is answer.is_empty


def test_snapshot_is_frozen() -> None:
    """A snapshot that was given out never changes."""
    snapshot: Any = Snapshot()

    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.providers = ()


@pytest.mark.parametrize(
    ("providers", "stats", "succeeded"),
    [(LISTED, COUNTS, True), (LISTED, None, False), (None, COUNTS, False), (None, None, False)],
    ids=["both", "list only", "counts only", "none"],
)
def test_poll_succeeds_as_a_whole(
    providers: ProviderList | None, stats: ProviderStats | None, succeeded: bool
) -> None:
    """A poll has succeeded when both endpoints answered well, and only then is the gateway up."""
    poll = poll_of(providers, stats)

    assert succeeded is poll.succeeded
    assert succeeded is Snapshot(last_poll=poll).up


def test_down_before_the_first_poll() -> None:
    """A gateway that nobody asked yet is not up."""
    assert not Snapshot().up


@pytest.mark.parametrize(
    ("snapshot", "complete"),
    [
        (Snapshot(), False),
        (Snapshot(providers=()), False),
        (Snapshot(stats=NO_COUNTS), False),
        (Snapshot(providers=(), stats=NO_COUNTS), True),
    ],
    ids=["nothing", "list", "counts", "both, empty"],
)
def test_complete(snapshot: Snapshot, complete: bool) -> None:
    """Data are complete when list and counts are there, be they empty."""
    assert complete is snapshot.complete


# The store


def test_store_starts_empty(store: SnapshotStore) -> None:
    """Before the first poll nothing is known, and nothing can go stale."""
    assert Snapshot() == store.current == store.refresh()
    assert math.inf == store.current.stale_at
    assert store.known_providers() is None


def test_good_poll(store: SnapshotStore, clock: MovedClock) -> None:
    """A good poll puts everything into the snapshot, dated at its end."""
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


@pytest.mark.parametrize(
    ("providers", "stats"), [(LISTED, None), (None, COUNTS)], ids=["counts fail", "list fails"]
)
def test_half_a_success(
    store: SnapshotStore, providers: ProviderList | None, stats: ProviderStats | None
) -> None:
    """One endpoint that fails from the start does not block the other."""
    poll = poll_of(providers, stats)

    snapshot = store.record(poll)

    assert (providers.providers if providers else None, stats) == (snapshot.providers, snapshot.stats)
    assert [Endpoint.PROVIDERS if providers else Endpoint.STATS] == list(snapshot.last_success)
    assert snapshot.last_update is None
    assert (False, False) == (snapshot.up, snapshot.complete)


def test_failing_endpoint_keeps_its_last_answer(store: SnapshotStore, clock: MovedClock) -> None:
    """The last good answer of an endpoint stays in force with its date while it fails, the other moves on."""
    store.record(poll_of(LISTED, COUNTS))
    clock.sleep(60)
    counts = ProviderStats(3, 3, 0, 3, 0, 0, 0)

    poll = poll_of(None, counts)
    snapshot = store.record(poll)

    assert (LISTED.providers, counts) == (snapshot.providers, snapshot.stats)
    assert {Endpoint.PROVIDERS: START_DATE, Endpoint.STATS: START_DATE + 60} == dict(snapshot.last_success)
    assert (START_DATE, poll) == (snapshot.last_update, snapshot.last_poll)
    assert (False, True) == (snapshot.up, snapshot.complete)


def test_newer_answer_replaces_older(store: SnapshotStore, clock: MovedClock) -> None:
    """A provider that left is gone with the next list."""
    store.record(poll_of(LISTED, COUNTS))
    clock.sleep(60)

    snapshot = store.record(poll_of(listing(Provider("c")), COUNTS))

    assert ((Provider("c"),), {}) == (snapshot.providers, dict(snapshot.invalid_fields))
    assert (Provider("c"),) == store.known_providers()


def test_earlier_snapshots_stay_as_they_were(store: SnapshotStore, clock: MovedClock) -> None:
    """A snapshot that somebody holds is not touched by later polls."""
    first = store.record(poll_of(LISTED, COUNTS))
    before = dataclasses.replace(first)
    clock.sleep(60)

    store.record(poll_of(NOTHING_LISTED, NO_COUNTS))

    assert before == first
    assert {Endpoint.PROVIDERS: START_DATE, Endpoint.STATS: START_DATE} == dict(first.last_success)


# Staleness


def test_fresh_until_just_before(store: SnapshotStore, clock: MovedClock) -> None:
    """Data are there until just before STALE_AFTER."""
    before = store.record(poll_of(LISTED, COUNTS))
    clock.sleep(STALE_AFTER - 0.5)

    assert before == store.refresh()


@pytest.mark.parametrize("begin", [0.0, 0.1, 0.6, 7.3])
def test_stale_exactly_at_the_end(store: SnapshotStore, clock: MovedClock, begin: float) -> None:
    """Data are gone at the very moment that the snapshot names, whatever the fraction of the clock."""
    clock.now = begin
    stale_at = store.record(poll_of(LISTED, COUNTS)).stale_at
    clock.now = stale_at - 1000.0
    assert stale_at == clock.age()

    snapshot = store.refresh()

    assert (None, None, math.inf) == (snapshot.providers, snapshot.stats, snapshot.stale_at)
    assert not snapshot.complete


def test_what_survives_staleness(store: SnapshotStore, clock: MovedClock) -> None:
    """Dates of successes, invalid fields, the last poll and the known providers outlive the data."""
    fresh = store.record(poll_of(LISTED, COUNTS))
    clock.sleep(STALE_AFTER)

    stale = store.refresh()

    assert dataclasses.replace(fresh, providers=None, stats=None, stale_at=math.inf) == stale
    assert stale is store.current
    assert LISTED.providers == store.known_providers()


def test_staleness_without_a_refresh(store: SnapshotStore, clock: MovedClock) -> None:
    """A poll that fails at the end of all patience leaves the stale data out as well."""
    store.record(poll_of(LISTED, COUNTS))
    clock.sleep(STALE_AFTER)

    snapshot = store.record(poll_of(None, None))

    assert (None, None, {"id": 1}) == (snapshot.providers, snapshot.stats, dict(snapshot.invalid_fields))


def test_endpoints_go_stale_one_by_one(store: SnapshotStore, clock: MovedClock) -> None:
    """Each endpoint has its own age, and the snapshot names the next that goes stale."""
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
    """The first good poll after staleness has everything again."""
    store.record(poll_of(LISTED, COUNTS))
    clock.sleep(10 * STALE_AFTER)
    store.refresh()

    snapshot = store.record(poll_of(LISTED, COUNTS))

    assert (LISTED.providers, COUNTS) == (snapshot.providers, snapshot.stats)
    assert (clock.date(), clock.age() + STALE_AFTER) == (snapshot.last_update, snapshot.stale_at)


# Empty answers


@pytest.mark.parametrize(
    ("endpoint", "empty"),
    [(Endpoint.PROVIDERS, NOTHING_LISTED), (Endpoint.STATS, NO_COUNTS)],
    ids=["list", "counts"],
)
class TestWouldLoseData:
    """An empty answer after one that was not is suspect."""

    def test_at_start(self, store: SnapshotStore, endpoint: Endpoint, empty: Answer) -> None:
        """A gateway that is empty at start is simply empty."""
        assert not store.would_lose_data(endpoint, empty)

    def test_after_data(self, store: SnapshotStore, endpoint: Endpoint, empty: Answer) -> None:
        """An empty answer after data would lose them."""
        store.record(poll_of(LISTED, COUNTS))

        assert store.would_lose_data(endpoint, empty)

    @pytest.mark.parametrize("age", [STALE_AFTER - 0.5, STALE_AFTER, 86_400.0])
    def test_at_any_age(
        self, store: SnapshotStore, clock: MovedClock, endpoint: Endpoint, empty: Answer, age: float
    ) -> None:
        """However old the data are: to believe the answer would report that every provider recovered."""
        store.record(poll_of(LISTED, COUNTS))

        clock.sleep(age)
        store.refresh()

        assert store.would_lose_data(endpoint, empty)

    def test_after_empty(self, store: SnapshotStore, endpoint: Endpoint, empty: Answer) -> None:
        """An empty answer after an empty one loses nothing."""
        store.record(poll_of(NOTHING_LISTED, NO_COUNTS))

        assert not store.would_lose_data(endpoint, empty)

    def test_after_failures(
        self, store: SnapshotStore, clock: MovedClock, endpoint: Endpoint, empty: Answer
    ) -> None:
        """Failed polls in between do not make an empty answer less suspect."""
        store.record(poll_of(LISTED, COUNTS))
        clock.sleep(60)
        store.record(poll_of(None, None))

        assert store.would_lose_data(endpoint, empty)

    def test_data_of_the_other_endpoint(
        self, store: SnapshotStore, endpoint: Endpoint, empty: Answer
    ) -> None:
        """What the other endpoint answered does not matter."""
        if endpoint is Endpoint.PROVIDERS:
            store.record(poll_of(NOTHING_LISTED, COUNTS))
        else:
            store.record(poll_of(LISTED, NO_COUNTS))

        assert not store.would_lose_data(endpoint, empty)


@pytest.mark.parametrize(
    ("endpoint", "answer"),
    [(Endpoint.PROVIDERS, listing(Provider("z"))), (Endpoint.STATS, ProviderStats(1, 1, 0, 1, 0, 0, 0))],
    ids=["list", "counts"],
)
def test_smaller_answers_lose_nothing(store: SnapshotStore, endpoint: Endpoint, answer: Answer) -> None:
    """An answer that is only smaller than the last is taken for what it is."""
    store.record(poll_of(LISTED, COUNTS))

    assert not store.would_lose_data(endpoint, answer)


# Since when


def since(store: SnapshotStore, answer: ProviderList | None) -> dict[str, float | None]:
    """Record a list, or a failed poll, and return since when each provider has its health."""
    return dict(store.record(poll_of(answer, COUNTS)).health_since)


def test_health_of_the_first_list(store: SnapshotStore) -> None:
    """Nobody knows how long a provider has had the health of the first list."""
    assert {"a": None, "b": None} == since(store, LISTED)


def test_first_list_after_failures(store: SnapshotStore, clock: MovedClock) -> None:
    """The first list is the first, also when it comes late."""
    assert {} == since(store, None)
    clock.sleep(60)

    assert {"a": None, "b": None} == since(store, LISTED)


def test_health_that_changes(store: SnapshotStore, clock: MovedClock) -> None:
    """A change of health is dated when it is seen, and keeps its date while it lasts."""
    since(store, LISTED)
    changed = listing(Provider("a", health=DOWN), Provider("b", health=DOWN))

    clock.sleep(60)
    assert {"a": START_DATE + 60, "b": None} == since(store, changed)
    clock.sleep(60)
    assert {"a": START_DATE + 60, "b": None} == since(store, changed)
    clock.sleep(60)
    assert {"a": START_DATE + 180, "b": None} == since(store, LISTED)


def test_health_of_newcomers(store: SnapshotStore, clock: MovedClock) -> None:
    """A provider that is new has its health since it came, and one that left is forgotten."""
    since(store, LISTED)

    clock.sleep(60)
    assert {"a": None, "c": START_DATE + 60} == since(
        store, listing(Provider("a", health=HEALTHY), Provider("c"))
    )
    clock.sleep(60)
    assert {"a": None, "b": START_DATE + 120} == since(store, LISTED)


def test_newcomers_to_an_empty_gateway(store: SnapshotStore, clock: MovedClock) -> None:
    """An empty list is a list: what comes after it is new."""
    since(store, NOTHING_LISTED)
    clock.sleep(60)

    assert {"a": START_DATE + 60, "b": START_DATE + 60} == since(store, LISTED)


@pytest.mark.parametrize("pause", [60.0, 10 * STALE_AFTER], ids=["fresh", "stale"])
def test_health_over_failed_polls(store: SnapshotStore, clock: MovedClock, pause: float) -> None:
    """Failed polls do not change since when, be they so many that the data go stale."""
    since(store, listing(Provider("a", health=DOWN)))
    clock.sleep(60)
    kept = {"a": START_DATE + 60, "b": START_DATE + 60}
    assert kept == since(store, LISTED)

    clock.sleep(pause)
    assert kept == since(store, None)
    clock.sleep(pause)
    assert kept == since(store, LISTED)


# Custom metrics


def custom_poll(providers: Mapping[CustomMetric, CustomSeries] | None) -> Poll:
    """Return a poll in which the list has these custom metrics, or failed."""
    good = Fetch(Endpoint.PROVIDERS, Outcome.OK, LISTED, custom=providers or {})
    failed = Fetch(Endpoint.PROVIDERS, Outcome.TIMEOUT, None)
    return Poll(START_DATE, 0.5, 1, 2, (failed if providers is None else good,))


def test_custom_metrics_that_are_defined(store: SnapshotStore) -> None:
    """A snapshot has every custom metric that is defined, with what was read of it or nothing."""
    assert {} == store.record(custom_poll({LIMIT: SERIES})).custom

    store.define((LIMIT, TRAITS))

    assert {LIMIT: SERIES, TRAITS: NO_SERIES} == store.refresh().custom


def test_custom_metrics_stay_and_go_with_their_answer(store: SnapshotStore, clock: MovedClock) -> None:
    """A failed fetch leaves them as they are; they go when the answer is stale."""
    store.define((LIMIT,))
    store.record(custom_poll({LIMIT: SERIES}))
    assert {LIMIT: SERIES} == store.record(custom_poll(None)).custom

    clock.now += STALE_AFTER

    assert {LIMIT: NO_SERIES} == store.refresh().custom


def test_custom_metrics_that_are_defined_anew(store: SnapshotStore) -> None:
    """What was read of a metric before it was changed does not count for it."""
    store.define((LIMIT,))
    store.record(custom_poll({LIMIT: SERIES}))
    other = gauge("limit", help="Another.")

    store.define((other,))

    assert {other: NO_SERIES} == store.refresh().custom
