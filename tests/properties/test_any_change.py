"""Property: for any two consecutive lists the log has exactly their differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.provider import HealthStatus
from tests.properties.inside import FEW, inside
from tests.properties.strategies import slugs

Fleet = Mapping[str, HealthStatus]

BEST_TO_WORST = ("healthy", "unknown", "degraded", "down")
MOST_RECORDS = 50
"""Limit of records about changes in one poll."""
MESSAGES = ("Provider appeared", "Provider vanished", "Provider health changed", "Providers changed")

health = st.sampled_from(HealthStatus)
fleets = st.dictionaries(slugs, health, max_size=6)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Fleet, Fleet]:
    """Two lists with common providers, in any order."""
    before = draw(fleets)
    stay = {slug: draw(st.just(before[slug]) | health) for slug in before if draw(st.booleans())}
    after = {**stay, **draw(fleets)}
    return before, {slug: after[slug] for slug in draw(st.permutations(list(after)))}


@st.composite
def large_pairs(draw: st.DrawFn) -> tuple[Fleet, Fleet]:
    """Two lists with about as many changes as have records of their own."""
    changed = draw(st.integers(MOST_RECORDS - 2, MOST_RECORDS + 4))
    kinds = draw(st.lists(st.sampled_from("avh"), min_size=changed, max_size=changed))
    to = draw(st.sampled_from([HealthStatus.HEALTHY, HealthStatus.DOWN]))
    named = [(f"slug-{number}", kind) for number, kind in enumerate(kinds)]
    unchanged = {"unchanged": HealthStatus.UNKNOWN}
    before = {slug: HealthStatus.DEGRADED for slug, kind in named if kind != "a"}
    return unchanged | before, unchanged | {slug: to for slug, kind in named if kind != "v"}


def differences(before: Fleet, after: Fleet) -> tuple[set[str], set[str], set[tuple[str, str, str]]]:
    """Return the slugs that appeared and vanished, and the changes of health."""
    both = set(before) & set(after)
    moved = {(slug, before[slug].label, after[slug].label) for slug in both if before[slug] != after[slug]}
    return set(after) - set(before), set(before) - set(after), moved


def is_worse(change: tuple[str, str, str]) -> bool:
    """Return whether a change of health is for the worse."""
    return BEST_TO_WORST.index(change[2]) > BEST_TO_WORST.index(change[1])


def records(*pair: Fleet) -> list[dict[str, Any]]:
    """Return the records of changes in the second of two polls with these lists."""
    before, after = (
        [{"slug": slug, "health_status": status.label} for slug, status in fleet.items()] for fleet in pair
    )
    with inside() as polling:
        polling.poll(before)
        first = polling.rig.messages()
        polling.poll(after)
        second = polling.rig.lines()
    assert [] == [message for message in first if message in MESSAGES]
    assert 1 == len({line["trace_id"] for line in second})
    assert not after or "Fetch failed" not in [line["message"] for line in second]
    return [line for line in second if line["message"] in MESSAGES]


@FEW
@given(pair=pairs() | large_pairs())
def test_records(pair: tuple[Fleet, Fleet]) -> None:
    """The second poll has a record for each difference, or one record with the counts."""
    appeared, vanished, changed = differences(*pair)
    if pair[0] and not pair[1]:
        # An empty list after one with providers is a failed fetch.
        appeared, vanished, changed = set(), set(), set()

    found = records(*pair)

    levels = {change: "warning" if is_worse(change) else "info" for change in changed}
    if len(appeared) + len(vanished) + len(changed) > MOST_RECORDS:
        (summary,) = found
        counts = (len(changed), len(appeared), len(vanished))
        assert counts == tuple(summary[name] for name in ("health_changes", "appeared", "vanished"))
        assert max(levels.values(), default="info") == summary["level"]
    else:
        names = ("message", "provider", "from", "to", "level")
        actual = [tuple(line.get(name) for name in names) for line in found]
        expected: list[tuple[str | None, ...]] = [
            *(("Provider appeared", slug, None, None, "info") for slug in appeared),
            *(("Provider vanished", slug, None, None, "info") for slug in vanished),
            *(("Provider health changed", *change, level) for change, level in levels.items()),
        ]
        assert sorted(expected, key=repr) == sorted(actual, key=repr)
