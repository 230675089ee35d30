"""What was found is told in one screen to a person, and as one object to a program."""

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
    as_json,
    as_text,
    cut,
    is_well,
    shown,
    spoken,
    summary,
)

LONG = "word " * 60


def result(state: State, remedy: str = "", check: str = "loki") -> Result:
    """Return the result of a check."""
    return Result(check, "http://loki:3100", Finding(state, "found", remedy))


def test_line() -> None:
    """A check that is well is one line."""
    assert "ok         loki                    found" == as_text(result(State.OK))


def test_remedy() -> None:
    """What to do stands below, in lines that fit on a screen."""
    lines = as_text(result(State.FAILED, f"Do this.\n{LONG}")).splitlines()

    assert "FAILED     loki                    found" == lines[0]
    assert " " * (MARK_WIDTH + NAME_WIDTH) + "> Do this." == lines[1]
    assert 5 < len(lines)
    assert LINE_WIDTH >= max(map(len, lines))


def test_columns_are_wide_enough() -> None:
    """Every mark and every name of a check leaves a blank behind it."""
    assert max(map(len, MARKS.values())) < MARK_WIDTH
    assert max(len(check.name) for check in CHECKS) < NAME_WIDTH


@pytest.mark.parametrize("state", State)
def test_well(state: State) -> None:
    """Only what went well, and what there is no address for, leaves nothing to do."""
    assert (state in (State.OK, State.SKIPPED)) is is_well([result(State.OK), result(state)])


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([State.OK, State.OK], "All is well: 2 checks."),
        ([State.OK, State.SKIPPED], "All is well: 1 check, 1 skipped."),
        (
            [State.OK, State.WAITING, State.NOT_TRIED, State.SKIPPED],
            "Nothing has failed, but 2 cannot be told yet, 1 skipped. Run this again in a minute.",
        ),
        ([State.WAITING, State.FAILED, State.NOT_TRIED], "Not well: 1 failed. Begin with c1."),
    ],
)
def test_summary(states: list[State], expected: str) -> None:
    """The last line says whether all is well, and where to begin if it is not."""
    assert expected == summary([result(state, check=f"c{number}") for number, state in enumerate(states)])


def test_json() -> None:
    """For a program there is one object; what there is nothing to do about has no remedy."""
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
def test_shown(text: str, expected: str) -> None:
    """What a server said is one line that cannot steer a terminal, without what may be keys in its URLs."""
    assert expected == shown(text)


def test_cut() -> None:
    """What was found has a bounded length."""
    assert ("x" * 300, "x" * 300 + "...") == (cut("x" * 300), cut("x" * 301))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-3.0, "0 s"), (59.9, "59 s"), (60.0, "1 min"), (7199.0, "1 h"), (90_000.0, "1 d")],
)
def test_spoken(seconds: float, expected: str) -> None:
    """A duration has one unit; one that clocks make negative is none."""
    assert expected == spoken(seconds)
