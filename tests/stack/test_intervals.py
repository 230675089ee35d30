"""Alerts at any interval: silent while all is well, in time when something dies, resolved once after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exporter.errors import Outcome
from tests.stack.timeline import RESOLUTION, Pace, World, firing, series

MINUTE, HOUR = 60, 3600
PACES = (
    Pace(15, 15, 5),
    Pace(15, 60, 50),
    Pace(60, 60, 5),
    Pace(60, 60, 55),
    Pace(180, 180, 5),
    Pace(180, 180, 170),
    Pace(300, 300, 5),
    Pace(300, 300, 290),
    Pace(900, 300, 5),
    Pace(900, 60, 55),
    Pace(3600, 300, 5),
    Pace(3600, 300, 290),
)
"""Early and late in the cycle of polls; scrapes every five minutes leave gaps in instant vectors."""
DOWN, CHANGED, STALE = (
    ("GatewayzProviderDown", "x"),
    ("GatewayzProviderHealthChanged", "x"),
    ("GatewayzDataStale",),
)

JOB = "provider_metrics"
"""Prometheus must always know it."""

every_pace = pytest.mark.parametrize("pace", PACES, ids=lambda pace: pace.name)
OUTAGES: Mapping[str, tuple[World, int]] = {
    "GatewayzGatewayUnreachable": (World(gateway=Outcome.TIMEOUT), 3),
    "GatewayzKeyRefused": (World(gateway=Outcome.UNAUTHORIZED), 2),
    "GatewayzDatabaseDown": (World(gateway=Outcome.EMPTY), 1),
    "GatewayzExporterDown": (World(is_alive=False), 2),
    "GatewayzExporterGone": (World(is_alive=False, has_target=False), 6),
}
"""What dies, by the alert that says so, with the minutes of its `for`."""
OF_THE_EXPORTER = ("GatewayzExporterDown", "GatewayzExporterGone")
"""They do not wait for a poll."""

Spans = Mapping[tuple[str, ...], list[tuple[float, float]]]
"""Minutes in which an alert fires, by name and, where it has one, provider."""


@dataclass(frozen=True)
class Outage:
    """A time in which something is dead."""

    alert: str
    begin: int
    over: int
    restart: int | None = None
    """When the exporter is started again meanwhile."""

    @classmethod
    def of(cls, alert: str, pace: Pace) -> Outage:
        """Return an outage of two polls; without a target the alerts on providers end after an hour."""
        begin = max(HOUR, 2 * pace.poll) + 100
        polls = 0 if alert in OF_THE_EXPORTER else 2 * pace.poll
        return cls(alert, begin, begin + max(50 * MINUTE, polls))

    def scenario(self, second: float) -> World:
        """Return what is true: x is down from half an hour on, until half an hour after the outage."""
        is_down = HOUR / 2 <= second < self.over + HOUR / 2
        world = OUTAGES[self.alert][0] if self.begin <= second < self.over else World()
        process = int(self.restart is not None and second >= self.restart)
        return replace(world, health={"x": "down"} if is_down else {}, process=process)

    def check(self, found: Spans, pace: Pace) -> None:
        """Check that what died is reported once and in time, and that x is down until it recovers."""
        delay = pace.scrape + (0 if self.alert in OF_THE_EXPORTER else pace.poll)
        ((first, last),) = found[self.alert,]
        assert first * MINUTE <= self.begin + delay + (OUTAGES[self.alert][1] + 2) * MINUTE
        assert self.over - delay <= last * MINUTE <= self.over + delay + 5 * MINUTE
        ((down, up),) = found[DOWN]
        assert down * MINUTE < self.begin
        assert self.over + HOUR / 2 <= up * MINUTE
        for stale, fresh in found.get(STALE, ()):
            assert self.begin < stale * MINUTE
            assert fresh <= last


@every_pace
def test_outages(programs: Mapping[str, Path], tmp_path: Path, pace: Pace) -> None:
    """A job that is well is silent for hours; what dies in others is reported once, in time, by one alert."""
    outages = {name: Outage.of(name, pace) for name in OUTAGES}
    dead = outages["GatewayzDatabaseDown"]
    # An exporter that starts meanwhile believes the empty list.
    restart = dead.begin + pace.poll + 10 * MINUTE
    outages["restart"] = replace(dead, restart=restart, over=restart + 40 * MINUTE)
    end = max(outage.over for outage in outages.values()) + HOUR + 2 * pace.poll
    inputs = [series(outage.scenario, pace, end, job) for job, outage in outages.items()]
    inputs.append(series(lambda _: World(), pace, end, JOB))

    found: dict[str, dict[tuple[str, ...], list[tuple[float, float]]]] = {job: {} for job in (JOB, *outages)}
    for (alert, job, *provider), spans in firing(programs["promtool"], tmp_path, inputs, end).items():
        found[job][alert, *provider] = spans

    assert {} == found[JOB]
    for job, outage in outages.items():
        more = {("GatewayzNoProviders",)} if job == "restart" else set()
        assert {DOWN, CHANGED, (outage.alert,), *more} == set(found[job]) - {STALE}, job
        outage.check(found[job], pace)


@every_pace
def test_one_of_two_replicas(programs: Mapping[str, Path], tmp_path: Path, pace: Pace) -> None:
    """While one of two replicas is dead, that is all there is to say, once."""
    begin, over, end = HOUR, 2 * HOUR, 3 * HOUR
    later = replace(pace, phase=max(RESOLUTION, pace.scrape // 2))

    def dies(second: float) -> World:
        return World(is_alive=not begin <= second < over)

    inputs = [series(lambda _: World(), pace, end), series(dies, later, end, instance="b")]
    found = firing(programs["promtool"], tmp_path, inputs, end)

    assert {("GatewayzReplicaFailing", JOB)} == set(found)
    ((first, last),) = found["GatewayzReplicaFailing", JOB]
    assert begin <= first * MINUTE <= begin + pace.scrape + 18 * MINUTE
    assert over <= last * MINUTE <= over + pace.scrape + 4 * MINUTE


@every_pace
def test_retired_job(programs: Mapping[str, Path], tmp_path: Path, pace: Pace) -> None:
    """Of a job that is taken away no alert begins but the one that says so; those on its providers end."""
    begin = max(HOUR, 2 * pace.poll) + 100
    end = begin + 3 * HOUR

    def retires(second: float) -> World:
        return World(health={"x": "down"} if second >= HOUR / 2 else {}, has_target=second < begin)

    inputs = [series(lambda _: World(), pace, end), series(retires, pace, end, job="old", instance="b")]
    found = firing(programs["promtool"], tmp_path, inputs, end)

    changed, down, gone = (
        ("GatewayzProviderHealthChanged", "old", "x"),
        ("GatewayzProviderDown", "old", "x"),
        ("GatewayzExporterGone", "old"),
    )
    assert {changed, down, gone} == set(found)
    ((first, last),) = found[gone]
    assert begin <= first * MINUTE <= begin + pace.scrape + 8 * MINUTE
    assert end - MINUTE <= last * MINUTE
    ((first, last),) = found[down]
    assert first * MINUTE < begin
    assert begin + HOUR <= last * MINUTE <= begin + HOUR + pace.scrape + 5 * MINUTE
