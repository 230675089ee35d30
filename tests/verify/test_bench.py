"""Tests of the benchmark: its contestants are comparable; no figure is asserted."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.check import DiffersError, compare, first_data, torn
from bench.contestants import CONTESTANTS, OURS, start
from bench.fleet import Moment, fleet
from bench.measure import START
from bench.report import GOALS, Results, as_markdown
from bench.scrape import TEXT, Scrape, fingerprint, last_update, scrape, series
from exporter.gateway.decode import decode, parse
from exporter.model.endpoints import Endpoint
from exporter.model.fields import FIELDS
from exporter.model.provider import HealthStatus, ProviderList
from generate.sizing import fleet_gateway

ROOT = Path(__file__).parents[2]
SIZE, LARGER = 30, 1_000
SERIES = sum(field.gauge is not None for field in FIELDS) + 1 + len(HealthStatus)
"""Per provider: gauges, info and health states."""
EXPOSITION = b"""# TYPE gatewayz_provider_is_active gauge
gatewayz_provider_is_active{provider="a"} 1.0
gatewayz_provider_is_active{provider="b"} 0.0
# TYPE gatewayz_provider_metrics_last_update gauge
gatewayz_provider_metrics_last_update 1.5e+09
process_open_fds 7.0
"""


def test_contestants_publish_the_same(tmp_path: Path) -> None:
    """All contestants have the same series and values; no provider lacks any."""
    with ExitStack() as stack:
        gateway = stack.enter_context(fleet_gateway(SIZE))
        begun = [stack.enter_context(start(one, gateway.url, tmp_path)) for one in CONTESTANTS]
        with ThreadPoolExecutor() as pool:
            list(pool.map(first_data, begun))
        published = {running.name: series(scrape(running.url, TEXT).text) for running in begun}

    for name, found in published.items():
        compare(published[OURS], found, name)
    assert SERIES * SIZE == sum("'provider'" in key for key in published[OURS])


def test_differences() -> None:
    """Reports missing, additional and different series, except for the time of the poll."""
    expected = {"a[]": 1.0, "b[]": 2.0, "gatewayz_provider_metrics_last_update[]": 3.0}

    compare(expected, {**expected, "gatewayz_provider_metrics_last_update[]": 4.0}, "other")
    timeless = {"a[]": 1.0, "b[]": 2.0}
    for actual in (timeless, {**expected, "c[]": 0.0}, {**expected, "b[]": 0.0}):
        with pytest.raises(DiffersError, match=r"^other differs from ours in \d series, such as\n\S+: "):
            compare(expected, actual, "other")


def test_moments_of_a_fleet() -> None:
    """Moments of a fleet differ in the list only; all fields are valid, and the same in every run."""
    moments = fleet(LARGER)
    lists = [decode(Endpoint.PROVIDERS, parse(moment.providers)) for moment in moments.values()]

    assert fleet(LARGER) == moments
    assert len(moments) == len({moment.providers for moment in moments.values()})
    assert 1 == len({moment.stats for moment in moments.values()})
    for one in lists:
        assert isinstance(one, ProviderList)
        assert (LARGER, {}) == (len(one.providers), dict(one.invalid_fields))


@pytest.mark.parametrize(("moment", "expected"), [("BUSY", 20), ("CHECKED", 0), ("CHANGED", 2)])
def test_healths_that_change(moment: str, expected: int) -> None:
    """A busy poll swaps the health of a hundredth of the pairs, a quiet one of none or of one pair."""
    moments = fleet(LARGER)
    first, later = (json.loads(moments[one].providers) for one in (Moment.FIRST, Moment[moment]))

    changed = [a["health_status"] != b["health_status"] for a, b in zip(first, later, strict=True)]
    checked = [
        a["last_health_check_at"] != b["last_health_check_at"] for a, b in zip(first, later, strict=True)
    ]
    assert LARGER // 10 == sum(checked)
    assert expected - expected // 10 <= sum(changed) <= expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"process_open_fds 7.0", b"process_open_fds 8.0", 0),
        (b"last_update 1.5e+09", b"last_update 1.6e+09", 0),
        (b'{provider="b"} 0.0', b'{provider="b"} 1.0', 1),
        (b'gatewayz_provider_is_active{provider="b"} 0.0\n', b"", 1),
    ],
)
def test_torn_bodies_are_counted(old: bytes, new: bytes, expected: int) -> None:
    """Counts a body with series or values that no moment of the fleet has."""
    bodies = (EXPOSITION, EXPOSITION.replace(old, new))
    answers = [Scrape(TEXT, body, 0.0, 0.0) for body in bodies]

    assert bodies[0] != bodies[1]
    assert expected == torn(answers, {Moment.FIRST: fingerprint(EXPOSITION)})


def test_last_update() -> None:
    """Reads the time of the last poll, 0 if there is none."""
    assert (1.5e9, 0.0) == (last_update(EXPOSITION), last_update(b"process_open_fds 7.0\n"))


def test_report() -> None:
    """The report compares the medians of the rounds with each other and with the goal."""
    results = Results()
    for seconds in (3.0, 9.0, 2.0):
        results.add(SIZE, OURS, {START: seconds, "bodies": 10, "differing bodies": 0})
        results.add(SIZE, GOALS[-1].other, {START: 0.5, "bodies": 10, "differing bodies": 2})
    results.loads.append(0.5)

    text = as_markdown(results, "the command", "1.2.3")

    assert " nginx 1.2.3, " in " ".join(text.split())
    assert "| Start to first data | plain OTel | 6 (≤ 1.4: **missed**) |" in text
    assert "| Start to first data, ms | 3,000 | 500 |  |  |" in text
    assert "| plain OTel | 6 of 30 |" in text
    assert "| CPU of a poll and a scrape, busy | plain OTel |  |" in text
