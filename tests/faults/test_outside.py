"""What the matrix shows of a log."""

from __future__ import annotations

import pytest

from tests.faults.outside import warnings

IN_PART = {"level": "warning", "message": "Updated provider metrics in part", "failed_endpoint": "/providers"}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [("timeout", "no warnings"), ("connect", '"Fetch failed", "Updated provider metrics in part"')],
)
def test_warnings(outcome: str, expected: str) -> None:
    """Timeouts, which a loaded machine has, are left out with the polls that they made incomplete."""
    failed = {"level": "error", "message": "Fetch failed", "endpoint": "/providers", "outcome": outcome}
    good = {"level": "info", "message": "Recovered", "endpoint": "/providers"}

    assert expected == warnings([failed, IN_PART, good])
