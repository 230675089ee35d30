"""Tests of `exporter.model.changes`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest

from exporter.model.changes import Changes, HealthChange, changes_between
from exporter.model.provider import HealthStatus, Provider

UNKNOWN, HEALTHY, DEGRADED, DOWN = HealthStatus
A, B, C, D = (Provider(slug, health=HEALTHY) for slug in "abcd")
A_UNKNOWN, B_DEGRADED, B_DOWN = Provider("a"), Provider("b", health=DEGRADED), Provider("b", health=DOWN)
OTHER_VALUES = Provider("a", name="A", id="1", health=HEALTHY, is_active=True, response_time_ms=5.0)
HEALTH = (HealthChange("b", HEALTHY, DOWN), HealthChange("a", HEALTHY, UNKNOWN))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, (A, B), Changes()),
        ((A, B), None, Changes()),
        (None, None, Changes()),
        ((), (), Changes()),
        ((A, B), (B, A), Changes()),
        ((A,), (OTHER_VALUES,), Changes()),
        ((A, B), (C, D, B), Changes(appeared=("c", "d"), vanished=("a",))),
        ((A, B), (), Changes(vanished=("a", "b"))),
        ((), (A, B), Changes(appeared=("a", "b"))),
        ((A, B, C), (C, B_DOWN, A_UNKNOWN), Changes(HEALTH)),
        ((A, B), (B_DEGRADED, C), Changes((HealthChange("b", HEALTHY, DEGRADED),), ("c",), ("a",))),
    ],
)
def test_changes_between(
    before: Sequence[Provider] | None, after: Sequence[Provider] | None, expected: Changes
) -> None:
    """Slugs of one list only and health are compared, in the order of the lists; other values are not."""
    changes = changes_between(before, after)

    assert expected == changes
    assert len(changes.health) + len(changes.appeared) + len(changes.vanished) == len(changes)


def test_is_worse() -> None:
    """From best to worst: healthy, unknown, degraded, down."""
    by_severity = [HEALTHY, UNKNOWN, DEGRADED, DOWN]

    for before, after in permutations(by_severity, 2):
        is_worse = by_severity.index(after) > by_severity.index(before)
        assert is_worse is HealthChange("a", before, after).is_worse
