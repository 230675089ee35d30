"""Tests of `exporter.web.page.query`."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import pytest

from exporter.model.history import History
from exporter.model.provider import HealthStatus, Provider
from exporter.model.snapshot import Snapshot
from exporter.web.page.query import Query, select
from tests.fleet import NOW, provider, snapshot_of
from tests.model.test_history import poll

UNKNOWN, DEGRADED, DOWN = HealthStatus.UNKNOWN, HealthStatus.DEGRADED, HealthStatus.DOWN
NO_HISTORY = History(0, 60, NOW)


def slugs(snapshot: Snapshot, query: Query, history: History = NO_HISTORY) -> list[str]:
    """Return the slugs of the selected providers, in order."""
    return [each.slug for each in select(query, snapshot, history)]


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ({}, Query()),
        (
            {"q": " x ", "state": "down", "can": "vision", "sort": "name", "desc": "1"},
            Query("x", "down", "vision", "name", "1"),
        ),
        ({"state": "ill", "can": "fly", "sort": "colour", "desc": "2", "other": "x"}, Query()),
        ({"q": "x" * 300}, Query("x" * 256)),
    ],
)
def test_parameters(parameters: Mapping[str, str], query: Query) -> None:
    """Parameters are trimmed; invalid ones count as absent."""
    assert query == Query.of(parameters)


@pytest.mark.parametrize(
    "query", [Query(), Query("a&b=c#d"), Query(state="down", desc="1"), Query(can="vision", sort="uptime")]
)
def test_address(query: Query) -> None:
    """The address of a selection leads to it; that of the default has no parameters."""
    address = urlsplit(query.address())

    assert query == Query.of(dict(parse_qsl(address.query)))
    assert ("./", query != Query()) == (address.path, bool(address.query))


def test_addresses_of_orders() -> None:
    """The link of an order keeps the selection; that of the current order reverses it."""
    query = Query("x", sort="name")

    assert "./?q=x&sort=uptime" == query.sorted_by("uptime")
    assert "./?q=x&sort=name&desc=1" == query.sorted_by("name")
    assert "./?q=x&sort=name" == Query("x", sort="name", desc="1").sorted_by("name")
    assert "./?q=x" == query.sorted_by("state")


def test_default_order() -> None:
    """Worst health first, then overdue, then by name; inactive providers last. It can be reversed."""
    expected = [
        provider("z-down", DOWN),
        provider("z-overdue", DEGRADED, age=9999),
        provider("a-degraded", DEGRADED, is_active=None),
        provider("a-unknown", UNKNOWN),
        provider("z-healthy-overdue", age=86_400),
        provider("2", name="alpha"),
        provider("1", name="Beta"),
        provider("gamma", name=""),
        provider("3", name="same"),
        provider("4", name="same"),
        provider("a-off", is_active=False),
        provider("b-off", DOWN, age=None, is_active=False),
    ]

    snapshot, order = snapshot_of(*reversed(expected)), [each.slug for each in expected]

    assert order == slugs(snapshot, Query())
    assert order[::-1] == slugs(snapshot, Query(desc="1"))


@pytest.mark.parametrize(
    ("sort", "expected"), [("name", "cabd"), ("time", "bacd"), ("checked", "cbad"), ("uptime", "bacd")]
)
@pytest.mark.parametrize("desc", ["", "1"])
def test_orders(sort: str, expected: str, desc: str) -> None:
    """Each order compares one value; providers without it are last in both directions."""
    fleet = (
        provider("a", name="Beta", age=10, response_time_ms=20.0),
        provider("b", name="Gamma", age=20, response_time_ms=10.0),
        provider("c", name="alpha", age=30, response_time_ms=30.0),
        provider("d", name="Z", age=None, response_time_ms=None, is_active=False),
    )
    history = History(3600, 60, NOW)
    for healths in ((1, DOWN, 1), (DOWN, DOWN, 1)):
        listed = zip("abc", healths, strict=True)
        history.record(poll(NOW, [Provider(slug, health=HealthStatus(health)) for slug, health in listed]))
    last = "d" if sort != "name" else ""
    known = expected.removesuffix(last)

    assert list((known[::-1] if desc else known) + last) == slugs(
        snapshot_of(*fleet), Query(sort=sort, desc=desc), history
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [("ALPHA", ["one"]), ("TWO", ["two"]), ("o", ["one", "two"]), ("STRASSE", ["two"]), ("a\no", [])],
)
def test_search(query: str, expected: list[str]) -> None:
    """A search matches name or slug, and ignores case."""
    fleet = (provider("one", DOWN, name="Alpha"), provider("two", name="Straße"), provider("x", name=""))

    assert expected == slugs(snapshot_of(*fleet), Query(query))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(state="down"), ["down"]),
        (Query(state="healthy"), ["late", "sees"]),
        (Query(state="overdue"), ["late"]),
        (Query(state="inactive"), ["off"]),
        (Query(state="unknown"), []),
        (Query(can="vision"), ["sees"]),
        (Query("late", "healthy", "vision"), []),
    ],
)
def test_filters(query: Query, expected: list[str]) -> None:
    """Filters select by state of active providers, inactive ones, and known capabilities, together."""
    fleet = (
        provider("down", DOWN),
        provider("late", age=9999),
        provider("off", DOWN, is_active=False),
        provider("sees", supports_vision=True),
    )

    assert expected == slugs(snapshot_of(*fleet), query)


def test_no_list() -> None:
    """Without a list nothing is selected."""
    assert [] == slugs(Snapshot(), Query("x"))
