"""Tests of `exporter.metrics.sdk`: these fail first when undocumented parts of the SDK change."""

from __future__ import annotations

from itertools import count

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from exporter.errors import Outcome
from exporter.metrics.meters import Metrics
from exporter.model.endpoints import Endpoint
from exporter.model.snapshot import Snapshot
from exporter.telemetry import otlp
from tests.metrics.peers import MemoryExporter, exposed, fleet
from tests.otlp import OtlpReceiver

HOUR = 3600 * 10**9
"""Nanoseconds."""
ERRORS = "gatewayz_provider_scrape_errors"


def test_jumping_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both readers collect everything although the wall clock jumps; points have no exemplars of spans."""
    dates = count(0, HOUR)
    monkeypatch.setattr(
        "opentelemetry.sdk.metrics._internal.measurement_consumer.time_ns", lambda: next(dates)
    )
    peer = MemoryExporter()
    metrics = Metrics(Resource.create(), exporter=peer)
    with TracerProvider().get_tracer("test").start_as_current_span("fetch"):
        metrics.events.fetched(Endpoint.STATS, Outcome.TIMEOUT, 0.1)

    families = {family.name: family for family in metrics.collect(fleet(0, 3))}
    metrics.push()
    metrics.shutdown()

    assert [3] == peer.values("gatewayz_providers_listed")
    assert next(dates) > HOUR
    assert 3 == len(families["gatewayz_provider_health_status"].samples)
    (part,) = peer.received[0].resource_metrics
    points = [point for metric in part.scope_metrics[0].metrics for point in metric.data.data_points]
    assert len(points) > 30
    assert [] == [point for point in points if point.exemplars]


def test_preferences_of_the_exporter(monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver) -> None:
    """The SDK's variables set temporality and aggregation of the push, but not of the exposition."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"
    )
    counts = []
    metrics = Metrics(Resource.create(), exporter=otlp.metric_exporter("http/protobuf"))
    for _ in range(2):
        receiver.metrics.clear()
        metrics.events.fetched(Endpoint.STATS, Outcome.TIMEOUT, 0.1)
        series = exposed(metrics.collect(Snapshot()))
        metrics.push()
        metrics._sender.finish()
        (part,) = receiver.metrics
        sent = {metric.name: metric for metric in part.scope_metrics[0].metrics}
        (point,) = sent[ERRORS].sum.data_points
        counts.append((series[f"{ERRORS}_total", frozenset()], point.as_int))

    assert [(1, 1), (2, 1)] == counts
    assert "exponential_histogram" == sent["gatewayz_exporter_fetch_duration_seconds"].WhichOneof("data")
    assert "gatewayz_exporter_fetch_duration_seconds_bucket" in {name for name, _ in series}
