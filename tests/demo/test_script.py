"""Tests of `exporter.demo.script`."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from itertools import groupby, pairwise

import pytest

from exporter.demo.script import (
    GATEWAY,
    HEALTH_STATUSES,
    PROVIDERS,
    SCRIPT,
    Event,
    GatewayState,
    Record,
    describe,
    state_at,
)
from tests.replay import recorded_body

START = 1_800_000_000.0
CALM_HOUR = 1.5
DAY = tuple(state_at(step / 2, START + step / 2) for step in range(48))
"""The state at every half hour."""
SLUGS = tuple(provider.slug for provider in PROVIDERS)
FAULTS = tuple(event for event in SCRIPT if event.who == GATEWAY)
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


def by_slug(state: GatewayState) -> dict[str, Record]:
    """Return the records of a state by slug."""
    return {str(record["slug"]): record for record in state.records}


LISTED = tuple(by_slug(state) for state in DAY if state.records)


def course(slug: str, field: str) -> list[object]:
    """Return the successive values of a field over the day, None while the provider is not listed."""
    return [value for value, _ in groupby(listed.get(slug, {}).get(field) for listed in LISTED)]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("health_status", ["healthy", "degraded", "down", "healthy"]),
        ("health_status", ["unknown"]),
        ("slug", ["deepinfra", None, "deepinfra"]),
        ("is_active", [False]),
        ("average_response_time_ms", [None]),
        ("last_health_check_at", [None]),
    ],
)
def test_courses(field: str, expected: list[object]) -> None:
    """Some provider takes each course that the dashboards have to show."""
    assert expected in [course(slug, field) for slug in SLUGS]


def test_special_providers() -> None:
    """One healthy provider has no response time, one active provider was never checked."""
    records = by_slug(state_at(CALM_HOUR, START))
    fields = ("is_active", "health_status", "average_response_time_ms", "last_health_check_at")

    assert (True, "healthy", None) == tuple(records["perplexity"][field] for field in fields[:3])
    assert (True, "unknown", None, None) == tuple(records["novita"][field] for field in fields)


def test_faults() -> None:
    """The gateway is slow, empty, refuses the key and fails; each fault and each pause lasts an hour."""
    assert [("delay_seconds", 0.9), ("records", ()), ("status", 401), ("status", 500)] == [
        change for event in FAULTS for change in event.fields.items()
    ]
    assert all(event.end - event.start >= 1 for event in FAULTS)
    assert all(after.start - before.end >= 1 for before, after in pairwise(FAULTS))


def test_events() -> None:
    """Events have a known subject, and start after three hours or last all day; it ends as it starts."""
    assert {event.who for event in SCRIPT} <= {*SLUGS, GATEWAY}
    assert [] == [event for event in SCRIPT if event.start < 3 and (event.start, event.end) != (0, 24)]
    courses = [course(slug, "health_status") for slug in SLUGS]
    assert [values[0] for values in courses] == [values[-1] for values in courses]


def test_stats() -> None:
    """At every half hour the stats count all records."""
    for state in DAY:
        active = sum(record["is_active"] is True for record in state.records)
        health = Counter(record["health_status"] for record in state.records)
        counts = {"total": len(state.records), "active": active, "inactive": len(state.records) - active}
        counts |= {status: health[status] for status in HEALTH_STATUSES}

        assert list(counts.items()) == list(state.stats().items())
        assert list(json.loads(recorded_body("07-stats.http"))) == list(counts)


def test_records() -> None:
    """Records have the fields of the gateway, unique ids, names and slugs, and are sorted by bytes."""
    (recorded, *_) = json.loads(recorded_body("04-list-include-inactive.http"))

    assert {tuple(recorded)} == {tuple(record) for listed in LISTED for record in listed.values()}
    names = [str(record["name"]) for record in state_at(CALM_HOUR, START).records]
    assert (sorted(names, key=str.encode), "xAI") == (names, names[-1])
    for field in ("id", "name", "slug"):
        assert len(PROVIDERS) == len({getattr(provider, field) for provider in PROVIDERS})


def test_response_times() -> None:
    """Response times are integers that change slowly, also at midnight, and not without health checks."""
    times = [listed["openrouter"]["average_response_time_ms"] for listed in (*LISTED, LISTED[0])]
    numbers = [number for number in times if isinstance(number, int)]

    assert times == numbers
    assert len(set(numbers)) > 10
    assert all(abs(after - before) < 30 for before, after in pairwise(numbers))
    assert [910] == course("hyperbolic", "average_response_time_ms")


def test_timestamps() -> None:
    """Timestamps have six decimals, or none for whole seconds, and end in Z."""
    fields = ("last_health_check_at", "created_at", "updated_at")
    records = state_at(CALM_HOUR, START + 1.23).records
    stamps = [str(record[field]) for record in records for field in fields if record[field] is not None]

    assert all(map(TIMESTAMP.fullmatch, stamps))
    assert {True, False} == {"." in stamp for stamp in stamps}


@pytest.mark.parametrize("seconds", [0.0, 3.7, 86_400.5])
def test_ages_of_health_checks(seconds: float) -> None:
    """Health checks are seconds old, those of two providers more than five days and unchanged."""
    now = START + seconds
    checks = {
        slug: datetime.fromisoformat(str(record["last_health_check_at"]))
        for slug, record in by_slug(state_at(CALM_HOUR, now)).items()
        if record["last_health_check_at"]
    }
    ages = {slug: now - check.timestamp() for slug, check in checks.items()}

    assert {"hyperbolic", "lepton"} == {slug for slug, age in ages.items() if not 0 <= age < 10}
    assert all(ages[slug] > 5 * 86_400 for slug in ("hyperbolic", "lepton"))
    later, earlier = (by_slug(state_at(hour, now + 100 * hour))["hyperbolic"] for hour in (2, 1))
    assert ("healthy", True, later) == (later["health_status"], later["is_active"], earlier)


def test_describe() -> None:
    """Returns one line per event, sorted by time, with hours, seconds from the start, subject and text."""
    lines = describe(24).splitlines()

    def words(event: Event) -> list[str]:
        hours = f"{event.start:02d}:00-{event.end:02d}:00"
        return [hours, f"(+{event.start}s", "to", f"+{event.end}s)", event.who, *event.text.split()]

    assert sorted(map(words, SCRIPT)) == sorted(map(str.split, lines))
    assert sorted(line[:5] for line in lines) == [line[:5] for line in lines]


@pytest.mark.parametrize(
    ("day_seconds", "text"),
    [(1200, "(+6m40s to +7m30s)"), (120, "10:00-12:00  (+50s to +1m0s)"), (10, "(+1.2s to +2.1s)")],
)
def test_offsets(day_seconds: float, text: str) -> None:
    """Times from one minute up have minutes and seconds."""
    assert text in describe(day_seconds)
