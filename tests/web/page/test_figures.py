"""Tests of `exporter.web.page.figures`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from exporter.model.history import Slot
from exporter.model.provider import HealthStatus
from exporter.web.page.figures import CHART_HEIGHT, Stroke, Tick, bar, bar_text, chart, sparkline

NOON = 1_782_907_200.0
"""2026-07-01 12:00 UTC."""
QUARTER = 900.0
NONE, GOOD, UNKNOWN, WARN, BAD = (bytes([rank]) for rank in range(5))


def slots(*times: float | None) -> Sequence[Slot]:
    """Return slots from noon on with these response times."""
    return [
        Slot(NOON + number * QUARTER, HealthStatus.HEALTHY, 1, 1, time) for number, time in enumerate(times)
    ]


def test_bar() -> None:
    """Slots of one health are one path of lines, a line for each run; worse ones are lower."""
    assert [
        Stroke("good", "M0 10h3.5M6 10h1.5", 20),
        Stroke("none", "M10 18h1.5", 4),
        Stroke("warn", "M8 13.5h1.5", 13),
        Stroke("bad", "M4 16.5h1.5", 7),
    ] == bar(GOOD * 2 + BAD + GOOD + WARN + UNKNOWN + NONE)


def test_empty_bar() -> None:
    """Without data there is nothing to draw."""
    assert [] == bar(NONE * 96) == bar(b"")


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        (b"", "no data"),
        (NONE * 4, "no data"),
        (GOOD * 4, "healthy throughout (UTC)"),
        (NONE * 2 + GOOD * 2, "healthy, no data before 11:30 (UTC)"),
        (GOOD + BAD + NONE, "down 11:30 to 11:45, no data after 11:45 (UTC)"),
        (GOOD + BAD * 2 + WARN, "down 11:15 to 11:45, degraded 11:45 to 12:00 (UTC)"),
        (UNKNOWN + NONE + GOOD, "unknown 11:15 to 11:30 (UTC)"),
        (
            (BAD + GOOD) * 8,
            "2 more before, down 09:00 to 09:15, down 09:30 to 09:45, down 10:00 to 10:15, "
            "down 10:30 to 10:45, down 11:00 to 11:15, down 11:30 to 11:45 (UTC)",
        ),
    ],
)
def test_text_of_a_bar(ranks: bytes, expected: str) -> None:
    """The text has all intervals that are not healthy with their times, the last ones if there are many."""
    assert expected == bar_text(ranks, NOON, QUARTER)


def test_slow_answers() -> None:
    """From ten seconds on, the axis is in seconds."""
    assert ["0 s", "5 s", "10 s", "15 s", "20 s"] == [tick.label for tick in chart(slots(19_000)).rows]


def test_short_slots() -> None:
    """Times have seconds if slots are shorter than a minute."""
    short = [replace(slot, start=NOON + 5 * number) for number, slot in enumerate(slots(10, 20))]

    assert "down 11:59:50 to 11:59:55 (UTC)" == bar_text(BAD + GOOD, NOON, 5)
    assert ["12:00:00", "12:00:05"] == [tick.label for tick in chart(short).columns]


def test_sparkline() -> None:
    """A sparkline is scaled to the largest response time, and has gaps where there is none."""
    assert "M0 19.5h2L2 0.5h2M6 10h2" == sparkline(slots(0.0, 200.0, None, 100.0))
    assert "" == sparkline(slots(None, 0.0)) == sparkline(())


def test_chart() -> None:
    """A chart has round marks from zero to above the largest, times, and a summary."""
    found = chart(slots(*[100.0] * 95, 350.0))

    assert [
        Tick(CHART_HEIGHT, "0 ms"),
        Tick(135.0, "100 ms"),
        Tick(90.0, "200 ms"),
        Tick(45.0, "300 ms"),
        Tick(0.0, "400 ms"),
    ] == found.rows
    assert ["12:00", "16:00", "20:00", "00:00", "04:00", "08:00"] == [tick.label for tick in found.columns]
    assert [0.0, 120.0] == [tick.place for tick in found.columns[:2]]
    assert found.path.startswith("M0 135h7.5L7.5 135h7.5")
    assert found.path.endswith("L712.5 22.5h7.5")
    assert "Response times: 100 to 350 ms, 103 ms on average." == found.summary


@pytest.mark.parametrize(
    ("time", "top"), [(1.0, 1), (1.01, 2), (3.0, 4), (7.9, 8), (8.1, 10), (0.0, 1), (431.0, 800)]
)
def test_top_of_a_chart(time: float, top: float) -> None:
    """The largest mark is 1, 2, 4 or 8 times a power of ten, whose quarters are round."""
    assert f"{top:,g} ms" == chart(slots(time)).rows[-1].label


def test_empty_chart() -> None:
    """Without response times there is a sentence instead."""
    found = chart(slots(None))

    assert ("", (), (), "No response times are known.") == (
        found.path,
        found.rows,
        found.columns,
        found.summary,
    )
