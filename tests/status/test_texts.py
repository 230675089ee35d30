"""Tests of `exporter.status.texts`."""

from __future__ import annotations

import pytest

from exporter.status.texts import iso, moment, percent, span
from tests.fleet import NOW


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0.0, "just now 12:03:06 UTC"),
        (0.9, "just now 12:03:05 UTC"),
        (-0.9, "just now 12:03:06 UTC"),
        (1.0, "1 s ago 12:03:05 UTC"),
        (119.9, "119 s ago 12:01:06 UTC"),
        (120.0, "2 min ago 12:01:06 UTC"),
        (7199.0, "119 min ago 10:03:07 UTC"),
        (7200.0, "2 h ago 10:03:06 UTC"),
        (43_386.0, "12 h ago 00:00:00 UTC"),
        (43_387.0, "12 h ago 2026-06-30 23:59:59 UTC"),
        (172_799.0, "47 h ago 2026-06-29 12:03:07 UTC"),
        (172_800.0, "2 days ago 2026-06-29 12:03:06 UTC"),
        (-300.0, "in 5 min 12:08:06 UTC"),
    ],
)
def test_moment(age: float, expected: str) -> None:
    """Ages are rounded down to whole units; times of other days have a date."""
    found = moment(NOW - age, NOW)

    assert found is not None
    assert expected == f"{found.relative} {found.absolute}"
    assert iso(NOW - age) == found.iso


def test_no_moment() -> None:
    """An unknown time stays unknown."""
    assert moment(None, NOW) is None


@pytest.mark.parametrize(
    ("date", "expected"),
    [(NOW, "2026-07-01T12:03:06Z"), (NOW + 0.99, "2026-07-01T12:03:06Z"), (0, "1970-01-01T00:00:00Z")],
)
def test_iso(date: float, expected: str) -> None:
    """Dates are whole seconds in UTC, rounded down."""
    assert expected == iso(date)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (0.9, "0 s"), (119.9, "119 s"), (3600, "60 min"), (86_400, "24 h"), (2_592_000, "30 days")],
)
def test_span(seconds: float, expected: str) -> None:
    """Lengths of time are rounded down to whole units."""
    assert expected == span(seconds)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (1.0, "100 %"),
        (0.99999, "99.99 %"),
        (0.9987, "99.87 %"),
        (0.5, "50 %"),
        (0.0001, "0.01 %"),
        (0.0, "0 %"),
    ],
)
def test_percent(share: float, expected: str) -> None:
    """Shares are rounded down: only a whole one is 100 %."""
    assert expected == percent(share)
