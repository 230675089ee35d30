"""Alerts at any interval: silent while all is well, in time when something dies, resolved once after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
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
JOB = "provider_metrics"
DOWN = ("GatewayzProviderDown", JOB, "x")
CHANGED = ("GatewayzProviderHealthChanged", JOB, "x")
STALE = ("GatewayzDataStale", JOB)

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


def outage(world: World, begin: int, end: int) -> Callable[[float], World]:
    """Return a scenario: x is down from half an hour on, and `world` is true from `begin` to `end`."""

    def scenario(second: float) -> World:
        health = {"x": "down"} if HOUR / 2 <= second < end + HOUR / 2 else {}
        return replace(world if begin <= second < end else World(), health=health)

    return scenario


@every_pace
def test_healthy_is_silent(programs: Mapping[str, Path], tmp_path: Path, pace: Pace) -> None:
    """While all is well, no alert fires for hours."""
    end = 6 * HOUR

    assert {} == firing(programs["promtool"], tmp_path, [series(lambda _: World(), pace, end)], end)


@pytest.mark.parametrize("name", OUTAGES)
@every_pace
def test_outage(programs: Mapping[str, Path], tmp_path: Path, pace: Pace, name: str) -> None:
    """What died is reported once and in time; a provider that was down before stays so until it recovers."""
    world, wait = OUTAGES[name]
    begin = max(HOUR, 2 * pace.poll) + 100
    # Without a target the alerts on providers end after an hour.
    over = begin + (50 * MINUTE if name in OF_THE_EXPORTER else max(50 * MINUTE, 2 * pace.poll))
    end = over + HOUR + 2 * pace.poll

    found = firing(programs["promtool"], tmp_path, [series(outage(world, begin, over), pace, end)], end)

    delay = pace.scrape + (0 if name in OF_THE_EXPORTER else pace.poll)
    assert {DOWN, CHANGED, (name, JOB)} == set(found) - {STALE}
    ((first, last),) = found[name, JOB]
    assert first * MINUTE <= begin + delay + (wait + 2) * MINUTE
    assert over - delay <= last * MINUTE <= over + delay + 5 * MINUTE
    ((down, up),) = found[DOWN]
    assert down * MINUTE < begin
    assert over + HOUR / 2 <= up * MINUTE
    for first, last in found.get(STALE, ()):
        assert begin < first * MINUTE
        assert last <= found[name, JOB][-1][1]


@every_pace
def test_restart_while_the_database_is_down(programs: Mapping[str, Path], tmp_path: Path, pace: Pace) -> None:
    """An exporter that starts meanwhile believes the empty list; the outage is reported once nevertheless."""
    begin = max(HOUR, 2 * pace.poll) + 100
    restart = begin + pace.poll + 10 * MINUTE
    over = restart + 40 * MINUTE
    end = over + HOUR + 2 * pace.poll
    empty = outage(World(gateway=Outcome.EMPTY), begin, over)

    def scenario(second: float) -> World:
        return replace(empty(second), process=int(second >= restart))

    found = firing(programs["promtool"], tmp_path, [series(scenario, pace, end)], end)

    delay = pace.scrape + pace.poll
    assert {DOWN, CHANGED, ("GatewayzDatabaseDown", JOB), ("GatewayzNoProviders", JOB)} == set(found) - {
        STALE
    }
    ((first, last),) = found["GatewayzDatabaseDown", JOB]
    assert first * MINUTE <= begin + delay + 3 * MINUTE
    assert over - delay <= last * MINUTE <= over + delay + 5 * MINUTE
    ((down, up),) = found[DOWN]
    assert down * MINUTE < begin
    assert over + HOUR / 2 <= up * MINUTE


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
