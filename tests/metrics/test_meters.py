"""Tests of `exporter.metrics.meters`: collection, replacement of the gauges' provider, push."""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Iterable, Mapping

import msgspec
import pytest
from opentelemetry.sdk.resources import Resource
from prometheus_client import Metric

from exporter.errors import Outcome
from exporter.metrics.exposition import Exposition, Format, Variant
from exporter.metrics.instruments import INSTRUMENTS
from exporter.metrics.meters import MIN_SERIES, Metrics
from exporter.model.custom import CustomMetric, CustomSample, CustomSeries
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Provider
from exporter.model.snapshot import Snapshot
from exporter.telemetry import otlp
from exporter.telemetry.otlp import MAX_POINTS
from tests.metrics.custom.metrics import gauge, label
from tests.metrics.peers import MemoryExporter, exposed, fleet, pushed
from tests.otlp import OtlpReceiver

LIMIT = gauge("limit", labels=(label("tier"),))
FAILED_FETCH = (Endpoint.STATS, Outcome.TIMEOUT, 0.1)
ERRORS = "gatewayz_provider_scrape_errors"
GAUGES = [row.name for row in INSTRUMENTS if row.read is not None]


@pytest.fixture
def pushing(receiver: OtlpReceiver) -> Metrics:
    """Metrics that are pushed to the receiver."""
    return Metrics(Resource.create(), exporter=otlp.metric_exporter("http/protobuf"))


def limits(*tiers: str, metric: CustomMetric = LIMIT) -> Snapshot:
    """Return a snapshot with one series of a custom metric for each tier."""
    samples = tuple(CustomSample(1.0, {"provider": "a", "tier": tier}) for tier in tiers)
    return Snapshot(custom={metric: CustomSeries(samples)})


def providers(metrics: Metrics) -> set[int]:
    """Return the identities of the gauges' meter providers."""
    return {id(group._provider) for group in metrics._groups}


def gauges(exposition: Exposition) -> list[str]:
    """Return the lines of gauges of the gateway."""
    lines = exposition.encode(Variant(Format.TEXT, gzip=False)).decode().splitlines()
    return [line for line in lines if line.startswith(("gatewayz_provider_", "gatewayz_providers_"))]


def by_name(families: Iterable[Metric]) -> Mapping[str, Metric]:
    """Return families by name."""
    return {family.name: family for family in families}


def test_gauges_of_the_collected_snapshot() -> None:
    """A collection has only the values of its snapshot; families are unique and sorted by name."""
    metrics = Metrics(Resource.create())
    metrics.collect(fleet(1, 3))

    families = metrics.collect(fleet(2, 2))

    health = by_name(families)["gatewayz_provider_health_status"]
    assert ["p2-0", "p2-1"] == [sample.labels["provider"] for sample in health.samples]
    names = [family.name for family in families]
    assert sorted(set(names)) == names
    assert 1 == names.count("target")


def test_release() -> None:
    """After a release, unchanged gauges are exposed as before, changed and vanished ones as they are."""
    metrics = Metrics(Resource.create())
    exposed, fresh = None, []
    for snapshot in (fleet(1, 3), fleet(1, 3), fleet(2, 2), Snapshot(), fleet(1, 3)):
        exposed = Exposition(metrics.collect(snapshot), snapshot, 0, exposed)
        metrics.release()
        fresh.append(Exposition(Metrics(Resource.create()).collect(snapshot), snapshot, 0))
        assert gauges(fresh[-1]) == gauges(exposed)

    assert 3 == len({tuple(gauges(each)) for each in (fresh[0], *fresh[2:])})


def test_memory_of_samples() -> None:
    """A release leaves no sample of a gauge."""
    metrics = Metrics(Resource.create())
    families = by_name(metrics.collect(fleet(1, 3)))
    metrics.release()

    assert [] == families["gatewayz_provider_health_status"].samples


def test_changing_fleet(receiver: OtlpReceiver, pushing: Metrics) -> None:
    """When providers change, the gauges' provider is replaced; counters keep their values and start time."""
    gauges: set[int] = set()
    starts = set()
    for generation in range(6):
        receiver.metrics.clear()
        pushing.events.fetched(*FAILED_FETCH)
        series = exposed(pushing.collect(fleet(generation, MIN_SERIES)))
        pushing.push()
        pushing._sender.finish()
        gauges |= providers(pushing)
        starts |= {
            point.start_time_unix_nano
            for part in receiver.metrics
            for metric in part.scope_metrics[0].metrics
            for point in metric.sum.data_points
            if metric.name == ERRORS
        }

        assert series == pushed(receiver.metrics)
    assert len(providers(pushing)) < len(gauges)
    assert (1, True) == (len(starts), 0 not in starts)
    assert 6 == series[f"{ERRORS}_total", frozenset()]


def test_changed_custom_metric() -> None:
    """A changed definition replaces the gauges, without series of the old one; equal definitions do not."""
    metrics = Metrics(Resource.create())
    metrics.collect(limits("x"))
    before = metrics._custom_groups
    metrics.collect(limits("y"))
    assert before is metrics._custom_groups

    other = gauge("limit", help="Another.", labels=(label("tier"),))
    families = by_name(metrics.collect(limits("z", metric=other)))

    assert "Another." == families["gatewayz_limit"].documentation
    assert [{"provider": "a", "tier": "z"}] == [each.labels for each in families["gatewayz_limit"].samples]
    assert "gatewayz_limit" not in by_name(metrics.collect(Snapshot()))


def test_changing_custom_series() -> None:
    """Changing series of custom metrics are freed like those of providers."""
    metrics = Metrics(Resource.create())
    opened: set[int] = set()
    for generation in range(6):
        metrics.collect(limits(*(f"{generation}-{number}" for number in range(MIN_SERIES))))
        (group,) = metrics._custom_groups
        opened.add(id(group._provider))
        assert group._seen <= 2 * MIN_SERIES

    assert 1 < len(opened)


def test_only_changed_groups_are_collected() -> None:
    """A gauge is collected when a sample differs from the last collection; equal ones keep their families."""
    metrics = Metrics(Resource.create())
    providers = tuple(Provider(slug, response_time_ms=1.0, last_health_check=1.0) for slug in "ab")
    before = by_name(metrics.collect(Snapshot(providers=providers)))
    checked = (msgspec.structs.replace(providers[0], last_health_check=2.0), providers[1])

    after = by_name(metrics.collect(Snapshot(providers=checked)))

    assert ["gatewayz_provider_last_health_check_timestamp_seconds"] == [
        name for name in GAUGES if before.get(name) is not after.get(name)
    ]


def test_push_of_unchanged_gauges() -> None:
    """A push has every gauge with the present time, also one that was not collected again."""
    peer = MemoryExporter()
    metrics = Metrics(Resource.create(), exporter=peer)
    for _ in range(2):
        metrics.collect(fleet(0, 3))
        metrics.push()
        metrics._sender.finish()

    first, second = peer.points("gatewayz_provider_health_status")
    assert [3] * 6 == [point.value for point in (*first, *second)]
    assert max(point.time_unix_nano for point in first) < min(point.time_unix_nano for point in second)


def test_push_does_not_block() -> None:
    """While a push runs others are skipped; the next one has all values; shutdown waits for it."""
    peer = MemoryExporter(blocked=True)
    metrics = Metrics(Resource.create(), exporter=peer)
    for size in (1, 2, 3):
        metrics.events.fetched(*FAILED_FETCH)
        metrics.collect(fleet(0, size))
        metrics.push()
    assert [] == peer.received
    peer.release.set()
    metrics._sender.finish()
    metrics.push()
    metrics.shutdown()

    assert [1, 3] == peer.values("gatewayz_providers_listed")
    assert [1, 3] == peer.values(ERRORS)
    assert peer.is_shut_down


def test_only_the_caller_collects() -> None:
    """Nothing is collected in another thread or at shutdown."""
    threads: list[threading.Thread] = []

    def lost() -> int:
        threads.append(threading.current_thread())
        return 0

    peer = MemoryExporter()
    metrics = Metrics(Resource.create(), lost, peer)
    metrics.collect(Snapshot())
    metrics.push()
    metrics.shutdown()
    gc.collect()

    assert [threading.current_thread()] * 2 == threads
    assert 1 == len(peer.received)


def test_large_fleet(receiver: OtlpReceiver, pushing: Metrics) -> None:
    """More series than the SDK's default limit of 2000 are pushed, in requests of limited size."""
    series = exposed(pushing.collect(fleet(0, 2_100)))
    pushing.push()
    pushing.shutdown()

    assert len(series) > 3 * MAX_POINTS
    assert series == pushed(receiver.metrics)
    assert math.ceil(len(series) / MAX_POINTS) == receiver.paths.count("/v1/metrics")
    assert max(int(headers["Content-Length"]) for headers in receiver.headers) < 4 * 1024 * 1024
