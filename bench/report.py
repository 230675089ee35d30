"""The results of a run as Markdown: goals, then all figures."""

from __future__ import annotations

import os
import platform
import re
import statistics
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from bench.contestants import BY_HAND, CONTESTANTS, LIMIT, OFF, OURS, PAUSED, PLAIN, PUSHED
from bench.fleet import Moment
from bench.measure import CONNECTIONS, IDLE, POLL, START, Figures
from bench.scrape import AS_PROMETHEUS, ASKS, OPENMETRICS

SUMMED = ("bodies", "differing bodies")
"""Figures that are summed over the rounds; others are medians."""
COLUMNS = (*(contestant.name for contestant in CONTESTANTS), LIMIT)
PACKAGES = ("opentelemetry-sdk", "opentelemetry-exporter-prometheus", "prometheus-client", "uvicorn")
WIDTH = 120
"""Length of a line of text."""
MILLI, BARE, KILOBYTE, MINUTE = 1000.0, 1.0, 0.001, 60_000.0


@dataclass
class Results:
    """All figures of a run, by size, contestant and name."""

    values: defaultdict[tuple[int, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    loads: list[float] = field(default_factory=list)
    """Load average of the machine before each round."""

    def add(self, size: int, contestant: str, figures: Figures) -> None:
        """Add the figures of one round."""
        for name, value in figures.items():
            self.values[size, contestant, name].append(value)

    def note_load(self) -> None:
        """Add the current load average."""
        self.loads.append(os.getloadavg()[0])

    def get(self, size: int, contestant: str, name: str) -> float | None:
        """Return a figure over all rounds, None where it was not measured."""
        values = self.values.get((size, contestant, name))
        if not values:
            return None
        return sum(values) if name in SUMMED else statistics.median(values)

    def sizes(self) -> Sequence[int]:
        """Return the sizes, in order."""
        return sorted({size for size, _, _ in self.values})


Get = Callable[[str], float | None]
"""Returns a figure of one contestant at one size by name."""
Value = Callable[[Get], float | None]


@dataclass(frozen=True)
class Goal:
    """A ratio of the exporter to another contestant, and its limit by size."""

    title: str
    other: str
    value: Value
    limits: Mapping[int, float]
    at_least: bool = False
    ours: str = OURS
    """Name of the exporter's run."""


def _figure(name: str) -> Value:
    return lambda get: get(name)


def _quiet(get: Get) -> float | None:
    """Return the CPU time of a poll and a scrape when one poll in twenty changes a health."""
    checked, changed = get(POLL[Moment.CHECKED]), get(POLL[Moment.CHANGED])
    return None if checked is None or changed is None else 0.95 * checked + 0.05 * changed


def _poll_and_scrapes(get: Get) -> float | None:
    """Return the CPU time of a poll and four scrapes, the first of which is measured with the poll."""
    first, more = get(POLL[Moment.BUSY]), get(f"cpu {AS_PROMETHEUS}")
    return None if first is None or more is None else first + 3 * more


GOALS = (
    Goal(
        "CPU of a scrape",
        PLAIN,
        _figure(f"cpu {OPENMETRICS}"),
        {30: 1 / 15, 1_000: 1 / 300, 10_000: 1 / 250},
    ),
    Goal("CPU of a scrape, gzip", PLAIN, _figure(f"cpu {AS_PROMETHEUS}"), {10_000: 1 / 2_000}),
    Goal("CPU of a poll and a scrape, quiet", BY_HAND, _quiet, {30: 1.2, 1_000: 0.7, 10_000: 0.7}),
    Goal("CPU of a poll and a scrape, quiet", PLAIN, _quiet, {30: 0.6, 1_000: 0.3, 10_000: 0.3}),
    Goal(
        "CPU of a poll and a scrape, busy",
        BY_HAND,
        _figure(POLL[Moment.BUSY]),
        {30: 1.4, 1_000: 1.25, 10_000: 1.25},
    ),
    Goal(
        "CPU of a poll and a scrape, busy",
        PLAIN,
        _figure(POLL[Moment.BUSY]),
        {30: 1.1, 1_000: 1.0, 10_000: 1.0},
    ),
    Goal(
        "CPU of a poll and a scrape, metrics pushed",
        OFF,
        _figure(POLL[Moment.CHECKED]),
        {30: 1.3, 1_000: 1.5, 10_000: 1.5},
        ours=PUSHED,
    ),
    Goal("CPU of a poll and four scrapes", PLAIN, _poll_and_scrapes, {30: 0.35, 1_000: 0.3, 10_000: 0.3}),
    Goal("CPU of a poll and four scrapes", BY_HAND, _poll_and_scrapes, {30: 1.0, 1_000: 0.9, 10_000: 0.9}),
    Goal(
        "Scrapes a second, 8 connections, gzip",
        LIMIT,
        _figure(f"rate 8 {AS_PROMETHEUS}"),
        {30: 0.04, 1_000: 0.05, 10_000: 0.2},
        at_least=True,
    ),
    Goal(
        "p99 of a scrape during a poll",
        PLAIN,
        _figure("p99 during polls"),
        {30: 1.0, 1_000: 1 / 5, 10_000: 1 / 20},
    ),
    Goal("Resident memory", PLAIN, _figure("resident"), {30: 1.3, 1_000: 1.2, 10_000: 1.05}),
    Goal("Start to first data", PLAIN, _figure(START), {30: 1.4, 1_000: 1.3, 10_000: 0.8}),
)


@dataclass(frozen=True)
class Line:
    """A figure of all contestants, and the factor to its unit."""

    title: str
    name: str
    factor: float = MILLI


def _lines() -> Iterator[Line]:
    yield Line("Start to first data, ms", START)
    yield Line("CPU of a minute without poll or scrape, ms", IDLE, MINUTE)
    yield Line("CPU of a poll and a scrape, ms: busy", POLL[Moment.BUSY])
    yield Line("CPU of a poll and a scrape, ms: no health changed", POLL[Moment.CHECKED])
    yield Line("CPU of a poll and a scrape, ms: two healths changed", POLL[Moment.CHANGED])
    yield from (Line(f"CPU of a scrape, ms: {ask}", f"cpu {ask}") for ask in ASKS)
    for connections in CONNECTIONS:
        noun = "connection" if connections == 1 else "connections"
        for ask in ASKS:
            rate = f"{connections} {ask}"
            yield Line(f"Scrapes a second, {connections} {noun}: {ask}", f"rate {rate}", BARE)
            yield Line(f"p50, ms, {connections} {noun}: {ask}", f"p50 {rate}")
            yield Line(f"p99, ms, {connections} {noun}: {ask}", f"p99 {rate}")
    yield Line("p99 during polls, ms", "p99 during polls")
    yield Line("Scrapes during polls", "scrapes during polls", BARE)
    yield Line("Resident memory, MiB", "resident", BARE)
    yield Line("Peak of it, MiB", "peak", BARE)
    yield from (Line(f"Kilobytes: {ask}", f"bytes {ask}", KILOBYTE) for ask in ASKS)


def as_markdown(results: Results, command: str, nginx: str) -> str:
    """Return the report; `nginx` is the version of nginx."""
    parts = [machine(results.loads, command, nginx), _goals(results), _bodies(results)]
    parts += [f"### {size:,} providers\n\n{_figures(results, size)}" for size in results.sizes()]
    return "\n\n".join(parts)


def machine(loads: Sequence[float], command: str, nginx: str = "") -> str:
    """Return command, machine and versions; `nginx` is its version if it is used."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    packages = ", ".join(
        [*([f"nginx {nginx}"] if nginx else []), *(f"{name} {version(name)}" for name in PACKAGES)]
    )
    text = (
        f"`{command}`: {os.cpu_count()} CPUs ({cpu.group(1) if cpu else platform.machine()}), "
        f"Python {platform.python_version()}, {packages}. "
        f"Load of the machine before the rounds: {min(loads):.1f} to {max(loads):.1f}."
    )
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _goals(results: Results) -> str:
    rows = []
    for goal in GOALS:
        cells = [_verdict(results, goal, size) for size in results.sizes()]
        rows.append([goal.title, goal.other, *cells])
    sizes = [f"{size:,}" for size in results.sizes()]
    return "### Goals\n\n" + table(["Ours", "against", *sizes], rows)


def _verdict(results: Results, goal: Goal, size: int) -> str:
    ours = goal.value(lambda name: results.get(size, goal.ours, name))
    theirs = goal.value(lambda name: results.get(size, goal.other, name))
    if ours is None or not theirs:
        return ""
    ratio, limit = ours / theirs, goal.limits.get(size)
    if limit is None:
        return _ratio(ratio)
    met = ratio >= limit if goal.at_least else ratio <= limit
    sign, verdict = "≥" if goal.at_least else "≤", "met" if met else "**missed**"
    return f"{_ratio(ratio)} ({sign} {_ratio(limit)}: {verdict})"


def _bodies(results: Results) -> str:
    rows = [
        [contestant.name, *(_differing(results, size, contestant.name) for size in results.sizes())]
        for contestant in (*CONTESTANTS, *PAUSED)
    ]
    sizes = [f"{size:,}" for size in results.sizes()]
    return "### Bodies that match no moment of the gateway\n\n" + table(["", *sizes], rows)


def _differing(results: Results, size: int, contestant: str) -> str:
    differing, bodies = (results.get(size, contestant, name) for name in ("differing bodies", "bodies"))
    return "" if differing is None or bodies is None else f"{differing:g} of {bodies:,.0f}"


def _figures(results: Results, size: int) -> str:
    rows = []
    for line in _lines():
        values = [results.get(size, column, line.name) for column in COLUMNS]
        rows.append([line.title, *("" if value is None else number(value * line.factor) for value in values)])
    return table(["", *COLUMNS], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Return a number with three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _ratio(value: float) -> str:
    return number(value) if value > 1 / 3 or value == 0 else f"1/{number(1 / value)}"
