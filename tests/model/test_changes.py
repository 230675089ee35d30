"""Tests of `exporter.model.changes`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from exporter.model.changes import Changes, HealthChange, changes_between
from exporter.model.provider import HealthStatus, Provider

UNKNOWN, HEALTHY, DEGRADED, DOWN = HealthStatus
A, B, C = (Provider(slug, health=HEALTHY) for slug in "abc")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, (A, B)),
        ((A, B), None),
        (None, None),
        ((), ()),
        ((A, B), (Provider("a", health=HEALTHY), Provider("b", health=HEALTHY))),
        ((A, B), (B, A)),
        ((A,), (Provider("a", name="A", id="1", health=HEALTHY, is_active=True, response_time_ms=5.0),)),
    ],
    ids=["first list", "no list", "never a list", "empty", "equal", "other order", "other values"],
)
def test_no_change(before: Sequence[Provider] | None, after: Sequence[Provider] | None) -> None:
    """Missing lists, order and other values are no changes."""
    changes = changes_between(before, after)

    assert (Changes(), 0) == (changes, len(changes))


@pytest.mark.parametrize(
    ("before", "after", "appeared", "vanished"),
    [
        ((A, B), (C, Provider("d"), B), ("c", "d"), ("a",)),
        ((A, B), (), (), ("a", "b")),
        ((), (A, B), ("a", "b"), ()),
    ],
    ids=["some", "all vanished", "all appeared"],
)
def test_appeared_and_vanished(
    before: Sequence[Provider],
    after: Sequence[Provider],
    appeared: tuple[str, ...],
    vanished: tuple[str, ...],
) -> None:
    """Slugs that only one list contains are returned in the order of that list."""
    changes = changes_between(before, after)

    assert Changes(appeared=appeared, vanished=vanished) == changes
    assert len(appeared + vanished) == len(changes)


def test_health_changes() -> None:
    """A provider with different health is returned with both values."""
    changes = changes_between((A, B, C), (C, Provider("b", health=DOWN), Provider("a", health=UNKNOWN)))

    assert (HealthChange("b", HEALTHY, DOWN), HealthChange("a", HEALTHY, UNKNOWN)) == changes.health
    assert ((), ()) == (changes.appeared, changes.vanished)
    assert 2 == len(changes)


def test_all_kinds() -> None:
    """The length counts all kinds of changes."""
    changes = changes_between((A, B), (Provider("b", health=DEGRADED), C))

    assert Changes((HealthChange("b", HEALTHY, DEGRADED),), ("c",), ("a",)) == changes
    assert 3 == len(changes)


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        (HEALTHY, UNKNOWN, True),
        (HEALTHY, DEGRADED, True),
        (HEALTHY, DOWN, True),
        (UNKNOWN, DEGRADED, True),
        (UNKNOWN, DOWN, True),
        (DEGRADED, DOWN, True),
        (DOWN, DEGRADED, False),
        (DOWN, UNKNOWN, False),
        (DOWN, HEALTHY, False),
        (DEGRADED, UNKNOWN, False),
        (DEGRADED, HEALTHY, False),
        (UNKNOWN, HEALTHY, False),
    ],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_is_worse(before: HealthStatus, after: HealthStatus, worse: bool) -> None:
    """From best to worst: healthy, unknown, degraded, down."""
    assert worse is HealthChange("a", before, after).is_worse
