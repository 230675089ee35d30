"""Times, ages and shares as a person or a program reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

SPANS = (("days", 86_400, 172_800), ("h", 3_600, 7_200), ("min", 60, 120), ("s", 1, 1))
"""Units of time: name, length in seconds and smallest age in seconds that uses the unit."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in the three formats that the page uses."""

    iso: str
    absolute: str
    relative: str


def moment(then: float | None, date: float) -> Moment | None:
    """Return the Unix time `then`, with its age as of the Unix time `date`; None for None."""
    if then is None:
        return None
    when, now = (datetime.fromtimestamp(unix, UTC) for unix in (then, date))
    day, hour = when.date().isoformat(), when.time().isoformat(timespec="seconds")
    absolute = f"{hour} UTC" if when.date() == now.date() else f"{day} {hour} UTC"
    return Moment(iso(then), absolute, _relative(date - then))


def span(seconds: float) -> str:
    """Return a length of time in whole units, rounded down."""
    whole = int(seconds)
    for unit, length, smallest in SPANS:
        if whole >= smallest:
            return f"{whole // length:,} {unit}"
    return "0 s"


def percent(share: float) -> str:
    """Return a share with up to two decimals, rounded down, so that only a whole one is 100 %."""
    return f"{int(share * 10_000) / 100:.4g} %"


def iso(date: float) -> str:
    """Return a Unix time in whole seconds as by RFC 3339."""
    return datetime.fromtimestamp(date, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _relative(age: float) -> str:
    """Format an age in whole units, rounded down; it is negative when clocks disagree."""
    if int(abs(age)) == 0:
        return "just now"
    return f"{span(age)} ago" if age > 0 else f"in {span(-age)}"
