"""The history of providers in time slots, and of changes."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Sequence
from types import MappingProxyType

import pytest

from exporter.errors import Outcome
from exporter.model.changes import Changes, HealthChange
from exporter.model.endpoints import Endpoint
from exporter.model.history import MAX_CHANGES, MAX_SLOTS, Change, ChangeKind, Earlier, History, Slot
from exporter.model.provider import HealthStatus, Provider, ProviderList
from exporter.model.snapshot import Fetch, Poll, Snapshot

DAY, QUARTER = 86_400.0, 900.0
HEALTHY, DOWN = HealthStatus.HEALTHY, HealthStatus.DOWN
START = 1_800_000_000.0
"""The beginning of a slot."""


def poll(date: float, providers: Sequence[Provider] | None = None, outcome: Outcome = Outcome.OK) -> Poll:
    """Return a poll with the outcome of its list, and a list if there are providers."""
    answer = None
    if providers is not None:
        answer = ProviderList(tuple(providers), len(providers), MappingProxyType({}))
    listed, counts = Fetch(Endpoint.PROVIDERS, outcome, answer), Fetch(Endpoint.STATS, Outcome.OK, None)
    return Poll(date, 0.1, 0, 0, (listed, counts))


def after(*polls: tuple[float, Provider]) -> History:
    """Return a history of a day after polls: seconds after START, and the provider that was listed."""
    history = History(DAY, 60, START)
    for seconds, provider in polls:
        history.record(poll(START + seconds, [provider]))
    return history


def filled(history: History, slug: str = "a") -> Sequence[Slot]:
    """Return the slots with data."""
    return [slot for slot in history.slots(slug) if slot.health is not None]


def provider(health: HealthStatus = HealthStatus.HEALTHY, time: float | None = 100.0) -> Provider:
    """Return a provider."""
    return Provider("a", health=health, is_active=True, response_time_ms=time)


def slots(*healths: HealthStatus | None, end: float = START, mixed: Sequence[int] = ()) -> list[Slot]:
    """Return slots of a quarter of an hour, the last of which ends at a time; `mixed` ones are not steady."""
    return [
        Slot(end - QUARTER * (len(healths) - place), health, 15, 15, 100.0, place not in mixed)
        for place, health in enumerate(healths)
    ]


def test_slots_of_a_day() -> None:
    """A day has 96 slots of a quarter of an hour, the last of which holds the newest poll."""
    slots = after((0, provider())).slots("a")

    assert [START - 95 * QUARTER + number * QUARTER for number in range(MAX_SLOTS)] == [
        slot.start for slot in slots
    ]
    assert [None] * 95 + [HealthStatus.HEALTHY] == [slot.health for slot in slots]


@pytest.mark.parametrize(
    ("interval", "slots"), [(0.1, 96), (450, 96), (451, 95), (900, 48), (43_200, 1), (86_400, 1)]
)
def test_long_intervals(interval: float, slots: int) -> None:
    """A slot holds at least two polls, so that it is not empty while polls succeed."""
    history = History(DAY, interval, START)
    history.record(poll(START, [provider()]))

    assert (slots, DAY / slots) == (len(history.slots("a")), history.slot_seconds)


def test_unknown_provider() -> None:
    """A provider that was never listed has no slots."""
    assert () == after((0, provider())).slots("b")


def test_worst_and_mean() -> None:
    """A slot has the worst health, the counts of polls, and the mean response time."""
    history = after(
        (0, provider(HealthStatus.HEALTHY, 100.0)),
        (60, provider(HealthStatus.DOWN, 9_000.0)),
        (120, provider(HealthStatus.DEGRADED, 200.0)),
        (180, provider(HealthStatus.UNKNOWN, None)),
    )

    assert [Slot(START, HealthStatus.DOWN, 4, 2, 150.0)] == filled(history)


def test_worst_of_all_slots() -> None:
    """The worst health of all slots is the same by number as in the slots."""
    states = (HealthStatus.HEALTHY, HealthStatus.UNKNOWN, HealthStatus.DEGRADED, HealthStatus.DOWN)
    history = after(*((number * QUARTER, provider(health)) for number, health in enumerate(states)))

    assert bytes(MAX_SLOTS - 4) + b"\1\2\3\4" == history.worst("a")
    assert [0 if slot.health is None else slot.health.severity + 1 for slot in history.slots("a")] == [
        *history.worst("a")
    ]
    assert b"" == history.worst("b")


def test_next_slot() -> None:
    """A poll in a later slot leaves the slots between without data."""
    history = after((0, provider(time=100.0)), (2 * QUARTER, provider(HealthStatus.DEGRADED, 300.0)))

    assert [
        Slot(START, HealthStatus.HEALTHY, 1, 1, 100.0),
        Slot(START + 2 * QUARTER, HealthStatus.DEGRADED, 1, 1, 300.0),
    ] == filled(history)


@pytest.mark.parametrize(("days", "expected"), [(1, 1), (0.9, 2), (3650, 1)])
def test_the_oldest_slot_is_overwritten(days: float, expected: int) -> None:
    """A slot is cleared when its place is needed again, after whatever time without polls."""
    assert expected == len(filled(after((0, provider()), (days * DAY, provider()))))


def test_clock_set_back() -> None:
    """Polls of a clock that was set back count to the newest slot."""
    history = after((0, provider(time=100.0)), (-DAY, provider(time=200.0)))

    assert [Slot(START, HealthStatus.HEALTHY, 2, 2, 150.0)] == filled(history)


def test_inactive() -> None:
    """An inactive provider has no data."""
    assert () == after((0, Provider("a", is_active=False))).slots("a")


def test_activity_unknown() -> None:
    """A provider whose activity is unknown counts as active."""
    assert 1 == len(filled(after((0, Provider("a", health=HealthStatus.HEALTHY)))))


def test_no_response_time() -> None:
    """Without a response time of a provider that is not down there is no mean."""
    history = after((0, provider(time=None)), (60, provider(HealthStatus.DOWN, 100.0)))

    assert [None] == [slot.response_time_ms for slot in filled(history)]


def test_enormous_response_time() -> None:
    """A response time that no float of four bytes holds counts as the largest."""
    assert [1e9] == [slot.response_time_ms for slot in filled(after((0, provider(time=1e300))))]


def test_most_polls_of_a_slot() -> None:
    """Counters stop at their largest value instead of overflowing."""
    history = after(*[(0, provider())] * 65_540)

    assert [Slot(START, HealthStatus.HEALTHY, 65_535, 65_535, 100.0)] == filled(history)


def test_uptime() -> None:
    """Uptime is the share of polls in which the provider was healthy or degraded."""
    states = (HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.DOWN, HealthStatus.UNKNOWN)
    history = after(*((number * QUARTER, provider(health)) for number, health in enumerate(states)))

    assert 0.5 == history.uptime("a")


def test_uptime_without_polls() -> None:
    """Without polls uptime is unknown."""
    assert History(DAY, 60, START).uptime("a") is None


def test_failed_list() -> None:
    """A poll without a list adds no data."""
    history = after((0, provider()))

    history.record(poll(START + 60, None, Outcome.TIMEOUT))

    assert [1] == [slot.polls for slot in filled(history)]


PAST = (
    Slot(START - DAY, HealthStatus.DOWN, 9, 0, None),
    Slot(START - DAY + QUARTER, HealthStatus.DOWN, 9, 3, 5.0),
    Slot(START - QUARTER, HealthStatus.HEALTHY, 100_000, 99_999, 1e30),
    Slot(START, HealthStatus.DOWN, 1, 1, 1.0),
    Slot(START + QUARTER, HealthStatus.DOWN, 1, 1, 1.0),
)


def test_fill() -> None:
    """Slots of the past are set if they are within the history and have no data; it begins with the first."""
    history = after((0, provider()))
    newest = round(START / QUARTER)

    assert (newest - MAX_SLOTS + 1, newest) == history.extent(START)
    history.fill("a", PAST)

    assert [
        PAST[1],
        Slot(START - QUARTER, HealthStatus.HEALTHY, 65_535, 65_535, 1e9),
        Slot(START, HealthStatus.HEALTHY, 1, 1, 100.0),
    ] == filled(history)
    assert START - DAY + QUARTER == history.since


def test_fill_before_the_first_poll() -> None:
    """The past can be set before the first poll, which continues it."""
    history = History(DAY, 60, START)
    history.extent(START)
    history.fill("a", PAST[:4])
    history.record(poll(START, [provider()]))

    assert [START - DAY + QUARTER, START - QUARTER, START] == [slot.start for slot in filled(history)]
    assert 2 == filled(history)[-1].polls


def test_turned_off() -> None:
    """A history of length 0 keeps nothing."""
    history = History(0, 60, START)

    history.record(poll(START, [provider()], Outcome.TIMEOUT), Changes(appeared=("a",)))

    assert ((), ()) == (history.slots("a"), history.changes())


def test_changes_newest_first() -> None:
    """Changes are returned newest first, with how long the health before had lasted if that is known."""
    history = History(DAY, 60, START)
    worse = HealthChange("a", HealthStatus.HEALTHY, HealthStatus.DOWN)
    better = HealthChange("a", HealthStatus.DOWN, HealthStatus.HEALTHY)
    since = Snapshot(health_since={"a": START})

    history.record(poll(START), Changes((worse,), ("b",), ("c",)))
    history.record(poll(START + 60), Changes((better,)), since)

    assert (
        Change(START + 60, ChangeKind.HEALTH, "a", "down", "healthy", 60.0),
        Change(START, ChangeKind.HEALTH, "a", "healthy", "down", None),
        Change(START, ChangeKind.VANISHED, "c"),
        Change(START, ChangeKind.APPEARED, "b"),
    ) == history.changes()


@pytest.mark.parametrize(
    ("healths", "mixed", "expected"),
    [
        ((DOWN, HEALTHY, HEALTHY), (), (HEALTHY, 2, True)),
        ((HEALTHY, DOWN), (), (DOWN, 1, True)),
        ((DOWN, DOWN), (), (DOWN, 2, False)),
        ((DOWN, DOWN, DOWN), (0, 1), (DOWN, 2, True)),
        ((DOWN, DOWN), (0, 1), (DOWN, 1, True)),
        ((DOWN, HEALTHY, None, HEALTHY), (), (HEALTHY, 1, False)),
    ],
    ids=["change", "change in the end", "all", "flapping before", "flapping", "gap"],
)
def test_earlier(
    healths: Sequence[HealthStatus | None], mixed: Sequence[int], expected: tuple[HealthStatus, int, bool]
) -> None:
    """The last health in slots of another server is known up to a change, a mixed slot or a gap."""
    history, (health, number, began) = History(DAY, 60, START), expected

    history.fill("a", slots(*healths, mixed=mixed))

    assert Earlier(health, START - number * QUARTER, began, START) == history.earlier("a")


@pytest.mark.parametrize(
    "known",
    [(), slots(None), slots(HEALTHY, end=START + QUARTER), slots(HEALTHY, None, None)],
    ids=["none", "no data", "after the start", "long before"],
)
def test_nothing_earlier(known: Sequence[Slot]) -> None:
    """Without slots shortly before the start nothing is known."""
    history = History(DAY, 60, START)

    history.fill("a", known)

    assert None is history.earlier("a")


@pytest.mark.parametrize("seconds", [0, DAY])
def test_start(seconds: float) -> None:
    """The start is that of the first list, whatever failed before; the history before it is forgotten."""
    history = History(seconds, 60, START)
    if seconds:
        history.fill("a", slots(HEALTHY))

    history.record(poll(START + 60, None, Outcome.TIMEOUT))
    history.record(poll(START + 7200, [provider()]))
    history.record(poll(START + 7260, [provider()]))

    assert (START + 7200, None) == (history.start, history.earlier("a"))


def test_failing_and_recovered() -> None:
    """An endpoint that fails, and that recovers, is a change each; the failures between are none."""
    history = History(DAY, 60, START)
    outcomes = (Outcome.TIMEOUT, Outcome.DNS, Outcome.OK, Outcome.OK)

    before = Snapshot()
    for number, outcome in enumerate(outcomes):
        each = poll(START + 60 * number, None, outcome)
        history.record(each, Changes(), before)
        first = before.failing_since.get(Endpoint.PROVIDERS, each.date)
        failing = {} if outcome is Outcome.OK else {Endpoint.PROVIDERS: first}
        before = Snapshot(last_poll=each, failing_since=failing)

    assert (
        Change(START + 120, ChangeKind.RECOVERED, "/providers", "dns", "", 120.0),
        Change(START, ChangeKind.FAILING, "/providers", "", "timeout"),
    ) == history.changes()


def test_most_changes() -> None:
    """Only the last thousand changes are kept."""
    history = History(DAY, 60, START)

    history.record(poll(START), Changes(appeared=tuple(map(str, range(MAX_CHANGES + 1)))))

    assert ["1000", "1"] == [history.changes()[place].subject for place in (0, -1)]


def test_vanished_providers_are_forgotten() -> None:
    """Providers that have left the list are forgotten when they are more than the listed ones."""
    history = History(DAY, 60, START)

    for number in range(200):
        history.record(poll(START, [Provider(str(number))]))

    assert [True, False] == [bool(history.slots(slug)) for slug in ("199", "0")]


def test_memory_of_a_provider() -> None:
    """A provider takes at most 1.5 KiB."""
    providers = [Provider(f"provider-{number}", health=HealthStatus.HEALTHY) for number in range(1000)]
    history = History(DAY, 60, START)
    tracemalloc.start()

    for number in range(MAX_SLOTS):
        history.record(poll(START + number * QUARTER, providers))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken / len(providers) <= 1536
    assert sys.getsizeof(bytearray(MAX_SLOTS * 11)) <= 1536
