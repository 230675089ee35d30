"""Tests of `exporter.metrics.meters`: collection, replacement of the gauges' provider, push."""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource

from exporter.errors import Outcome
from exporter.metrics.meters import MIN_SERIES, Metrics
from exporter.model.custom import CustomMetric, CustomSample, CustomSeries
from exporter.model.endpoints import Endpoint
from exporter.model.snapshot import Snapshot
from exporter.telemetry import otlp
from exporter.telemetry.otlp import MAX_POINTS
from tests.metrics.custom.metrics import gauge
from tests.metrics.peers import MemoryExporter, exposed, fleet, pushed
from tests.otlp import OtlpReceiver

LIMIT = gauge("limit")
FAILED_FETCH = (Endpoint.STATS, Outcome.TIMEOUT, 0.1)
ERRORS = "gatewayz_provider_scrape_errors"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    """A receiver for pushed metrics."""
    with OtlpReceiver() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


@pytest.fixture
def exporter(receiver: OtlpReceiver) -> MetricExporter:
    """The OTLP exporter to the receiver."""
    made = otlp.metric_exporter("http/protobuf")
    assert made is not None
    return made


def limits(*tiers: str, metric: CustomMetric = LIMIT) -> Snapshot:
    """Return a snapshot with one series of a custom metric for each tier."""
    samples = tuple(CustomSample(1.0, {"provider": "a", "tier": tier}) for tier in tiers)
    return Snapshot(custom={metric: CustomSeries(samples)})


def test_gauges_of_the_collected_snapshot() -> None:
    """A collection has only the values of its snapshot; families are unique and sorted by name."""
    metrics = Metrics(Resource.create())
    metrics.collect(fleet(1, 3))

    families = metrics.collect(fleet(2, 2))

    (health,) = [family for family in families if family.name == "gatewayz_provider_health_status"]
    assert ["p2-0", "p2-1"] == [sample.labels["provider"] for sample in health.samples]
    names = [family.name for family in families]
    assert sorted(set(names)) == names
    assert 1 == names.count("target")


def test_changing_fleet(receiver: OtlpReceiver, exporter: MetricExporter) -> None:
    """When providers change, the gauges' provider is replaced; counters keep their values and start time."""
    metrics = Metrics(Resource.create(), exporter=exporter)
    gauges, starts = set(), set()
    for generation in range(6):
        receiver.metrics.clear()
        metrics.events.fetched(*FAILED_FETCH)
        series = exposed(metrics.collect(fleet(generation, MIN_SERIES)))
        metrics.push()
        metrics._sender.finish()
        gauges.add(id(metrics._gauges))
        starts |= {
            point.start_time_unix_nano
            for part in receiver.metrics
            for metric in part.scope_metrics[0].metrics
            for point in metric.sum.data_points
            if metric.name == ERRORS
        }

        assert series == pushed(receiver.metrics)
    assert 1 < len(gauges)
    assert (1, True) == (len(starts), 0 not in starts)
    assert 6 == series[f"{ERRORS}_total", frozenset()]


def test_changed_custom_metric() -> None:
    """A changed definition replaces the gauges, without series of the old one; equal definitions do not."""
    metrics = Metrics(Resource.create())
    metrics.collect(limits("x"))
    gauges = metrics._gauges
    metrics.collect(limits("y"))
    assert gauges is metrics._gauges

    other = gauge("other", help="Another.")
    families = {family.name: family for family in metrics.collect(limits("z", metric=other))}

    assert gauges is not metrics._gauges
    assert "Another." == families["gatewayz_limit"].documentation
    assert [{"provider": "a", "tier": "z"}] == [each.labels for each in families["gatewayz_limit"].samples]
    assert "gatewayz_limit" not in {family.name for family in metrics.collect(Snapshot())}


def test_changing_custom_series() -> None:
    """Changing series of custom metrics are freed like those of providers."""
    metrics = Metrics(Resource.create())
    gauges: set[int] = set()
    for generation in range(6):
        metrics.collect(limits(*(f"{generation}-{number}" for number in range(MIN_SERIES))))
        gauges.add(id(metrics._gauges))
        assert len(metrics._seen) <= 2 * MIN_SERIES

    assert 1 < len(gauges)


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


def test_large_fleet(receiver: OtlpReceiver, exporter: MetricExporter) -> None:
    """More series than the SDK's default limit of 2000 are pushed, in requests of limited size."""
    metrics = Metrics(Resource.create(), exporter=exporter)

    series = exposed(metrics.collect(fleet(0, 2_100)))
    metrics.push()
    metrics.shutdown()

    assert len(series) > 3 * MAX_POINTS
    assert series == pushed(receiver.metrics)
    assert math.ceil(len(series) / MAX_POINTS) == receiver.paths.count("/v1/metrics")
    assert max(int(headers["Content-Length"]) for headers in receiver.headers) < 4 * 1024 * 1024
