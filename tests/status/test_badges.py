"""Tests of `exporter.status.badges`."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from exporter.model.history import History
from exporter.model.provider import HealthStatus, Provider
from exporter.model.snapshot import Snapshot
from exporter.status import badges
from exporter.status.state import Past, State
from tests.model.test_history import DAY, START, poll

NO_HISTORY, NOTHING = History(0, 60, START), Past()


def state(*providers: Provider, history: History = NO_HISTORY, past: Past = NOTHING) -> State:
    """Return a state with these providers."""
    return State(Snapshot(providers=providers), history, START, past=past)


def title(badge: bytes | None) -> str | None:
    """Return the title of a badge."""
    assert badge is not None
    return ElementTree.fromstring(badge).findtext("{http://www.w3.org/2000/svg}title")


@pytest.mark.parametrize("health", HealthStatus)
def test_health(health: HealthStatus) -> None:
    """The badge says name and health in the colour of the health."""
    badge = badges.health("a", state(Provider("a", "A & B", health=health)))

    assert f"A & B: {health.label}" == title(badge)
    assert badges.COLOURS[health.label].encode() in (badge or b"")


@pytest.mark.parametrize(
    ("usable", "polls", "text", "colour"),
    [
        (1, 1, "100 %", "healthy"),
        (9999, 10_000, "99.99 %", "healthy"),
        (19_999, 20_000, "99.99 %", "healthy"),
        (99, 100, "99 %", "healthy"),
        (98, 100, "98 %", "degraded"),
        (94, 100, "94 %", "down"),
        (0, 1, "0 %", "down"),
        (0, 0, "unknown", "unknown"),
    ],
)
def test_uptime(usable: int, polls: int, text: str, colour: str) -> None:
    """Uptime is rounded down, so that only an uptime without a failure is 100 %."""
    history = History(DAY, 60, START)
    for number in range(polls):
        health = HealthStatus.HEALTHY if number < usable else HealthStatus.DOWN
        history.record(poll(START, [Provider("a", health=health)]))

    badge = badges.uptime("a", "", state(Provider("a"), history=history))

    assert f"a uptime: {text}" == title(badge)
    assert badges.COLOURS[colour].encode() in (badge or b"")


def test_long_name() -> None:
    """A long name is cut."""
    badge = badges.health("a", state(Provider("a", "n" * 500)))

    assert "n" * 39 + "…: unknown" == title(badge)


def test_not_listed() -> None:
    """There is no badge of a provider that is not listed, nor before the first list."""
    for known in (State(Snapshot(), NO_HISTORY, START), state(Provider("b"))):
        assert [None, None] == [badges.health("a", known), badges.uptime("a", "", known)]


@pytest.mark.parametrize(("window", "expected"), [("30d", "99.9 %"), ("14d", "unknown"), ("1y", "unknown")])
def test_long_uptime(window: str, expected: str) -> None:
    """The badge of a longer window has what Prometheus knows."""
    past = Past({"30d": {"a": 0.999}, "14d": {"b": 1.0}})

    badge = badges.uptime("a", window, state(Provider("a"), past=past))

    assert f"a uptime {window}: {expected}" == title(badge)
