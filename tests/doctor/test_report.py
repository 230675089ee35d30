"""Tests of `exporter.doctor.report`."""

from __future__ import annotations

import json

import pytest

from exporter.doctor.checks import CHECKS
from exporter.doctor.report import (
    LINE_WIDTH,
    MARK_WIDTH,
    MARKS,
    NAME_WIDTH,
    Finding,
    Result,
    State,
    all_passed,
    as_json,
    as_text,
    duration,
    sanitized,
    summary,
    truncated,
)


def result(state: State, remedy: str = "", check: str = "loki") -> Result:
    """Return the result of a check."""
    return Result(check, "http://loki:3100", Finding(state, "found", remedy))


def test_text() -> None:
    """A finding is one line; its remedy follows in indented lines of limited width."""
    lines = as_text(result(State.FAILED, "Do this.\n" + "word " * 60)).splitlines()

    assert "ok         loki                    found" == as_text(result(State.OK))
    assert "FAILED     loki                    found" == lines[0]
    assert " " * (MARK_WIDTH + NAME_WIDTH) + "> Do this." == lines[1]
    assert 5 < len(lines)
    assert LINE_WIDTH >= max(map(len, lines))


def test_columns_are_wide_enough() -> None:
    """A space follows every mark and every name."""
    assert max(map(len, MARKS.values())) < MARK_WIDTH
    assert max(len(check.name) for check in CHECKS) < NAME_WIDTH


@pytest.mark.parametrize(
    ("states", "is_good", "expected"),
    [
        ([State.OK, State.OK], True, "2 checks passed."),
        ([State.OK, State.SKIPPED], True, "1 check passed, 1 skipped."),
        (
            [State.OK, State.WAITING, State.NOT_TRIED, State.SKIPPED],
            False,
            "No check failed, 2 not complete yet, 1 skipped. Run this again in a minute.",
        ),
        ([State.WAITING, State.FAILED, State.NOT_TRIED], False, "1 check failed. Start with c1."),
    ],
)
def test_summary(states: list[State], is_good: bool, expected: str) -> None:
    """The summary has the numbers of checks and the first one that failed."""
    results = [result(state, check=f"c{number}") for number, state in enumerate(states)]

    assert (is_good, expected) == (all_passed(results), summary(results))


def test_json() -> None:
    """The JSON output has every check; address and remedy may be null."""
    results = [result(State.OK), Result("clocks", None, Finding(State.NOT_TRIED, "late", "Wait."))]

    assert {
        "ok": False,
        "checks": [
            {
                "check": "loki",
                "state": "ok",
                "address": "http://loki:3100",
                "found": "found",
                "remedy": None,
            },
            {"check": "clocks", "state": "not_tried", "address": None, "found": "late", "remedy": "Wait."},
        ],
    } == json.loads(as_json(results))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.16.0", "3.16.0"),
        ("a\n b\t\x1b[31mc", "a b \\x1b[31mc"),
        ('Get "http://me:sesame@host:1/x?key=abc": EOF', 'Get "http://...@host:1/x?...": EOF'),
    ],
    ids=["plain", "control characters", "URL"],
)
def test_sanitized(text: str, expected: str) -> None:
    """Removes line breaks, control characters, and credentials and queries of URLs."""
    assert expected == sanitized(text)


def test_truncated() -> None:
    """Truncates after 300 characters."""
    assert ("x" * 300, "x" * 300 + "...") == (truncated("x" * 300), truncated("x" * 301))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-3.0, "0 s"), (59.9, "59 s"), (60.0, "1 min"), (7199.0, "1 h"), (90_000.0, "1 d")],
)
def test_duration(seconds: float, expected: str) -> None:
    """Rounds down to one unit; a negative duration is 0."""
    assert expected == duration(seconds)
