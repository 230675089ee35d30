"""Pictures of a provider's history as SVG paths: a bar of slots, a sparkline and a chart with axes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from exporter.model.history import Slot

SLOT_WIDTH = 2
BAR_HEIGHT, SPARK_HEIGHT = 20, 20
CHART_WIDTH, CHART_HEIGHT = 720, 180
MAX_INTERVALS = 6
"""Intervals that the text of a bar names."""
TICKS = 4
MINUTE = 60.0
SECONDS_FROM = 10_000.0
"""From this length of an axis in milliseconds on, its labels are in seconds."""
_RUN = re.compile(rb"([\x01-\x04])\1*")
_STATES: Mapping[int, tuple[str, str, int]] = MappingProxyType(
    {
        1: ("good", "healthy", BAR_HEIGHT),
        2: ("none", "unknown", 4),
        3: ("warn", "degraded", 13),
        4: ("bad", "down", 7),
    }
)
"""Tone, word and height of a slot by 1 + its severity; the heights differ for those who see no colours."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """All slots of one health: a path of horizontal lines, which a dash pattern divides into slots."""

    tone: str
    path: str
    width: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis of the chart."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Response times with axes; the path is empty without any."""

    path: str
    rows: Sequence[Tick]
    columns: Sequence[Tick]
    summary: str


def bar(ranks: bytes) -> list[Stroke]:
    """Return the strokes for slots as `History.worst` returns them; they stand on the lower edge."""
    paths: dict[int, list[str]] = {}
    for run in _RUN.finditer(ranks):
        rank = run[0][0]
        middle = BAR_HEIGHT - _STATES[rank][2] / 2
        length = SLOT_WIDTH * len(run[0]) - 0.5
        paths.setdefault(rank, []).append(f"M{SLOT_WIDTH * run.start()} {middle:g}h{length:g}")
    return [Stroke(_STATES[rank][0], "".join(paths[rank]), _STATES[rank][2]) for rank in sorted(paths)]


def bar_text(ranks: bytes, end: float, width: float) -> str:
    """Return what a bar shows as text, such as `down 13:15 to 14:00 UTC`.

    Args:
        ranks: As for `bar`.
        end: Unix time at which the last slot ends.
        width: Seconds of a slot.
    """
    if not ranks.strip(b"\0"):
        return "no data"
    start = end - len(ranks) * width
    before, after = len(ranks) - len(ranks.lstrip(b"\0")), len(ranks) - len(ranks.rstrip(b"\0"))
    runs = [run for run in _RUN.finditer(ranks) if run[0][0] != 1]
    parts = []
    for run in runs[-MAX_INTERVALS:]:
        first, last = (_clock(start + place * width, width) for place in run.span())
        parts.append(f"{_STATES[run[0][0]][1]} {first} to {last}")
    parts = parts or ["healthy" if before or after else "healthy throughout"]
    if len(runs) > MAX_INTERVALS:
        parts.insert(0, f"{len(runs) - MAX_INTERVALS} more before")
    if before:
        parts.append(f"no data before {_clock(start + before * width, width)}")
    if after:
        parts.append(f"no data after {_clock(end - after * width, width)}")
    return ", ".join(parts) + " (UTC)"


def sparkline(slots: Sequence[Slot]) -> str:
    """Return a path of the mean response times, scaled to the largest; empty without any."""
    largest = max((slot.response_time_ms or 0.0 for slot in slots), default=0.0)
    if not largest:
        return ""
    return _line(slots, SLOT_WIDTH, SPARK_HEIGHT - 1, largest, 0.5)


def chart(slots: Sequence[Slot]) -> Chart:
    """Return the chart of the mean response times in ms over all slots."""
    times = [slot.response_time_ms for slot in slots if slot.response_time_ms is not None]
    if not times:
        return Chart("", (), (), "No response times are known.")
    top = _ceiling(max(times))
    step = CHART_WIDTH / len(slots)
    rows = [
        Tick(CHART_HEIGHT * (1 - number / TICKS), _duration(top * number / TICKS, top))
        for number in range(TICKS + 1)
    ]
    every = max(1, len(slots) // 6)
    width = slots[1].start - slots[0].start if len(slots) > 1 else MINUTE
    columns = [
        Tick(number * step, _clock(slots[number].start, width)) for number in range(0, len(slots), every)
    ]
    mean = sum(times) / len(times)
    summary = f"Response times: {min(times):,.0f} to {max(times):,.0f} ms, {mean:,.0f} ms on average."
    return Chart(_line(slots, step, CHART_HEIGHT, top), rows, columns, summary)


def _line(slots: Sequence[Slot], step: float, height: float, top: float, margin: float = 0.0) -> str:
    """Return a path through the known response times, with gaps; a single one is a dash of a slot's width."""
    parts: list[str] = []
    is_drawing = False
    for number, slot in enumerate(slots):
        if slot.response_time_ms is None:
            is_drawing = False
            continue
        y = margin + height * (1 - slot.response_time_ms / top)
        parts.append(f"{'L' if is_drawing else 'M'}{number * step:.4g} {y:.3g}h{step:.4g}")
        is_drawing = True
    return "".join(parts)


def _ceiling(value: float) -> float:
    """Return 1, 2, 4 or 8 times a power of ten that is not less than a value, so that quarters are round."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value)


def _duration(milliseconds: float, top: float) -> str:
    """Return a label of an axis that ends at `top` milliseconds."""
    return f"{milliseconds / 1000:,g} s" if top >= SECONDS_FROM else f"{milliseconds:,g} ms"


def _clock(date: float, width: float) -> str:
    """Return the time of day, with seconds if slots are shorter than a minute."""
    # The end of a slot is rounded, since lengths such as 37.5 s occur.
    when = datetime.fromtimestamp(round(date), UTC)
    return f"{when:%H:%M}" if width >= MINUTE else f"{when:%H:%M:%S}"
