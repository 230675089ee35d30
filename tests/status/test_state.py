"""Tests of `exporter.status.state`."""

from __future__ import annotations

import pytest

from exporter.model.history import History
from exporter.model.provider import HealthStatus
from exporter.status.state import Past, Precision, Since, State
from tests.fleet import HEALTHY, NOW, provider, snapshot_of
from tests.model.test_history import QUARTER, slots

GOOD, DOWN = HealthStatus.HEALTHY, HealthStatus.DOWN
DAY = 86_400.0


def state(earlier: tuple[HealthStatus, ...] = (), since: float | None = None) -> State:
    """Return a state in which `calm` is healthy, with slots before the start and the date of a change."""
    history = History(DAY, 60, NOW)
    # `fill` skips slots outside of the window.
    history.extent(NOW)
    history.fill("calm", slots(*earlier, end=NOW))
    return State(snapshot_of(HEALTHY, health_since={"calm": since}), history, NOW)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (state((DOWN, GOOD), since=NOW - 5), Since(NOW - 5, Precision.EXACT)),
        (state((DOWN, GOOD)), Since(NOW - QUARTER, Precision.SLOT)),
        (state((GOOD, DOWN)), Since(NOW, Precision.BEFORE)),
        (state(), Since(NOW, Precision.BEFORE)),
    ],
    ids=["changed since the start", "changed before", "changed while the exporter was away", "not known"],
)
def test_since(known: State, expected: Since) -> None:
    """A health has begun when the exporter saw it, or in a slot of the past, or before the start."""
    assert expected == known.since(HEALTHY)


def test_since_before_all_data() -> None:
    """A health that is the only one in the past has begun before the provider's own first slot."""
    known = state((GOOD, GOOD))
    known.history.fill("other", slots(GOOD, GOOD, GOOD, end=NOW))

    assert Since(NOW - 2 * QUARTER, Precision.BEFORE) == known.since(HEALTHY)


def test_provider() -> None:
    """A provider is found by its slug."""
    known = state()

    assert (HEALTHY, None) == (known.provider("calm"), known.provider("other"))


def test_long_uptimes() -> None:
    """A provider has the uptimes of the windows that Prometheus knows."""
    past = Past({"24h": {"calm": 0.5}, "14d": {}, "30d": {"calm": 1.0, "other": 0.1}})
    known = State(snapshot_of(provider("calm")), History(DAY, 60, NOW), NOW, past=past)

    assert {"24h": 0.5, "30d": 1.0} == known.long_uptimes("calm")
