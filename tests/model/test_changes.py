"""Two lists of providers are compared by slug and health."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from exporter.model.changes import Changes, HealthChange, changes_between
from exporter.model.provider import HealthStatus, Provider

UNKNOWN, HEALTHY, DEGRADED, DOWN = HealthStatus
A, B, C = (Provider(slug, health=HEALTHY) for slug in "abc")


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, (A, B)), ((A, B), None), (None, None)],
    ids=["first list", "no list", "never a list"],
)
def test_nothing_to_compare_with(before: Sequence[Provider] | None, after: Sequence[Provider] | None) -> None:
    """Where one of the lists is not there, nothing has changed."""
    assert Changes() == changes_between(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), ()),
        ((A, B), (Provider("a", health=HEALTHY), Provider("b", health=HEALTHY))),
        ((A, B), (B, A)),
        ((A,), (Provider("a", name="A", id="1", health=HEALTHY, is_active=True, response_time_ms=5.0),)),
    ],
    ids=["empty", "equal", "other order", "other values"],
)
def test_no_change(before: Sequence[Provider], after: Sequence[Provider]) -> None:
    """Order and values other than health are no changes for the log."""
    changes = changes_between(before, after)

    assert (Changes(), 0) == (changes, len(changes))


def test_same_list() -> None:
    """A list that is still in force is not compared with itself."""
    same = (A, B)

    assert Changes() == changes_between(same, same)


def test_appeared_and_vanished() -> None:
    """Slugs that only one of the lists has are named in the order of their list."""
    changes = changes_between((A, B), (C, Provider("d"), B))

    assert Changes(appeared=("c", "d"), vanished=("a",)) == changes
    assert 3 == len(changes)


def test_all_vanished() -> None:
    """A list that is empty now has lost all its providers."""
    assert Changes(vanished=("a", "b")) == changes_between((A, B), ())


def test_all_appeared() -> None:
    """An empty list is a list to compare with: all that comes after it is new."""
    assert Changes(appeared=("a", "b")) == changes_between((), (A, B))


def test_renamed_slug() -> None:
    """A provider under a new slug is another provider."""
    assert Changes(appeared=("c",), vanished=("a",)) == changes_between((A,), (C,))


def test_health_changes() -> None:
    """A provider in both lists with another health is named with both."""
    changes = changes_between((A, B, C), (C, Provider("b", health=DOWN), Provider("a", health=UNKNOWN)))

    assert (HealthChange("b", HEALTHY, DOWN), HealthChange("a", HEALTHY, UNKNOWN)) == changes.health
    assert ((), ()) == (changes.appeared, changes.vanished)
    assert 2 == len(changes)


def test_everything_at_once() -> None:
    """All kinds of changes are counted together."""
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
def test_for_the_worse(before: HealthStatus, after: HealthStatus, worse: bool) -> None:
    """Health goes from healthy by unknown and degraded to down for the worse, and back for the better."""
    assert worse is HealthChange("a", before, after).is_worse
