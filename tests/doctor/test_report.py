"""Tests of `exporter.doctor.report`."""

from __future__ import annotations

import json

import pytest

from exporter.doctor import report
from exporter.doctor.checks import CHECKS
from exporter.doctor.report import MARK_WIDTH, NAME_WIDTH, Finding, Result, State

OK, FAILED, WAITING, SKIPPED, NOT_TRIED = State
LATER = "No check failed, 2 not complete yet, 1 skipped. Run this again in a minute."


def result(state: State, remedy: str = "", check: str = "loki") -> Result:
    """Return the result of a check."""
    return Result(check, "http://loki:3100", Finding(state, "found", remedy))


def test_text() -> None:
    """A finding is one line of columns that are wide enough; its remedy follows in lines of limited width."""
    lines = report.as_text(result(FAILED, "Do this.\n" + "word " * 60)).splitlines()

    assert "ok         loki                    found" == report.as_text(result(OK))
    assert f"$ {'word ' * 60}" in report.as_text(result(FAILED, f"$ {'word ' * 60}"))
    assert "FAILED     loki                    found" == lines[0]
    assert " " * (MARK_WIDTH + NAME_WIDTH) + "> Do this." == lines[1]
    assert 5 < len(lines)
    assert report.LINE_WIDTH >= max(map(len, lines))
    assert max(map(len, report.MARKS.values())) < MARK_WIDTH
    assert max(len(check.name) for check in CHECKS) < NAME_WIDTH


@pytest.mark.parametrize(
    ("states", "is_good", "expected"),
    [
        ([OK, OK], True, "2 checks passed."),
        ([OK, SKIPPED], True, "1 check passed, 1 skipped."),
        ([OK, WAITING, NOT_TRIED, SKIPPED], False, LATER),
        ([WAITING, FAILED, NOT_TRIED], False, "1 check failed. Start with c1."),
    ],
)
def test_summary(states: list[State], is_good: bool, expected: str) -> None:
    """The summary has the numbers of checks and the first one that failed."""
    results = [result(state, check=f"c{number}") for number, state in enumerate(states)]

    assert (is_good, expected) == (report.all_passed(results), report.summary(results))


def test_unset_variables() -> None:
    """Checks that are skipped for want of a variable are one line, in lines of limited width."""
    names = [f"VARIABLE_{number}" for number in range(8)]
    unset = [Result(f"check {name}", None, report.not_set(name)) for name in (*names, names[0])]
    *lines, empty, end = report.end_as_text([result(OK), *unset]).splitlines()

    assert f"skipped    9 checks                not set: {', '.join(names)}" == " ".join(
        [lines[0], *(line.strip() for line in lines[1:])]
    )
    assert report.LINE_WIDTH >= max(map(len, lines))
    assert ("", "1 check passed, 9 skipped.") == (empty, end)
    assert "\n1 check passed." == report.end_as_text([result(OK)])


def test_json() -> None:
    """The JSON output has every check; address and remedy may be null."""
    results = [result(OK), Result("clocks", None, Finding(NOT_TRIED, "late", "Wait."))]

    loki = {"check": "loki", "state": "ok", "address": "http://loki:3100", "found": "found", "remedy": None}
    clocks = {"check": "clocks", "state": "not_tried", "address": None, "found": "late", "remedy": "Wait."}
    assert {"ok": False, "checks": [loki, clocks]} == json.loads(report.as_json(results))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.16.0-ü", "3.16.0-ü"),
        ("a\n b\t\x1b[31mc\u202e", "a b \\x1b[31mc\\u202e"),
        ('Get "http://me:sesame@host:1/x?key=abc": EOF', 'Get "http://...@host:1/x?...": EOF'),
    ],
    ids=["plain", "control characters", "URL"],
)
def test_sanitized(text: str, expected: str) -> None:
    """Removes line breaks, and credentials and queries of URLs; escapes control characters and directions."""
    assert expected == report.sanitized(text)


def test_truncated() -> None:
    """Truncates after 300 characters."""
    assert ("x" * 300, "x" * 300 + "...") == (report.truncated("x" * 300), report.truncated("x" * 301))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-3.0, "0 s"), (59.9, "59 s"), (60.0, "1 min"), (7199.0, "1 h"), (90_000.0, "1 d")],
)
def test_duration(seconds: float, expected: str) -> None:
    """Rounds down to one unit; a negative duration is 0."""
    assert expected == report.duration(seconds)
