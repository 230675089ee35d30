"""Tests of `exporter.model.provider`."""

from __future__ import annotations

import msgspec
import pytest

from exporter.model.provider import Answer, HealthStatus, Provider
from tests.clocks import START_DATE
from tests.model.answers import COUNTS, NO_COUNTS, listing


def test_health_status() -> None:
    """Numbers are those of the contract; unknown is worse than healthy and better than degraded."""
    by_severity = sorted(HealthStatus, key=lambda status: status.severity)

    assert {"unknown": 0, "healthy": 1, "degraded": 2, "down": 3} == {
        status.label: status.value for status in HealthStatus
    }
    assert ["healthy", "unknown", "degraded", "down"] == [status.label for status in by_severity]
    assert [0, 1, 2, 3] == [status.severity for status in by_severity]


@pytest.mark.parametrize(
    ("is_active", "age", "overdue"),
    [
        (True, 0, False),
        (True, 3600, False),
        (True, 3600.5, True),
        (True, -60, False),
        (True, None, False),
        (None, 3601, True),
        (None, 3599, False),
        (None, None, False),
        (False, 3601, False),
        (False, None, False),
    ],
)
def test_overdue(is_active: bool | None, age: float | None, overdue: bool) -> None:
    """A provider is overdue if it is not inactive and its last check is older than the limit."""
    checked = None if age is None else START_DATE - age

    provider = Provider("a", is_active=is_active, last_health_check=checked)

    assert overdue is provider.is_overdue(START_DATE, 3600.0)


def test_defaults() -> None:
    """Missing fields are empty, unknown or None, never a number."""
    expected = ("a", "", "", HealthStatus.UNKNOWN, *[None] * 7, "", "", ())

    assert expected == msgspec.structs.astuple(Provider("a"))


@pytest.mark.parametrize(
    ("answer", "empty"),
    [
        (listing(), True),
        (listing(Provider("a")), False),
        (listing(rows=1), False),
        (NO_COUNTS, True),
        (COUNTS, False),
    ],
    ids=["no rows", "one provider", "one invalid row", "zeros", "counts"],
)
def test_empty_answer(answer: Answer, empty: bool) -> None:
    """A list is empty without rows, not without valid rows; counts are empty if the total is 0."""
    assert empty is answer.is_empty
