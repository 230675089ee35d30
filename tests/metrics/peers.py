"""Receivers of pushed metrics, and comparisons of pushes with the exposition."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as OtlpMetric
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData, NumberDataPoint
from prometheus_client import Metric

from exporter.model.provider import HealthStatus, Provider
from exporter.model.snapshot import Snapshot

Series = tuple[str, frozenset[tuple[str, str]]]


def fleet(generation: int, size: int) -> Snapshot:
    """Return a snapshot whose providers occur in no other generation."""
    providers = tuple(Provider(f"p{generation}-{n}", health=HealthStatus.DOWN) for n in range(size))
    return Snapshot(providers=providers)


class MemoryExporter(MetricExporter):
    """Stores metrics, with `blocked` only after `release` is set."""

    def __init__(self, *, blocked: bool = False) -> None:
        """Start without metrics."""
        super().__init__()
        self.received: list[MetricsData] = []
        self.release = threading.Event()
        self.is_shut_down = False
        if not blocked:
            self.release.set()

    def export(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> MetricExportResult:
        """Store metrics."""
        assert self.release.wait(10)
        self.received.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Do nothing."""
        return True

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        """Record the shutdown."""
        self.is_shut_down = True

    def points(self, name: str) -> list[list[NumberDataPoint]]:
        """Return the points of a metric in each push."""
        return [
            [point for point in metric.data.data_points if isinstance(point, NumberDataPoint)]
            for data in self.received
            for part in data.resource_metrics
            for scope in part.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]

    def values(self, name: str) -> list[float]:
        """Return the sum of a metric's points in each push."""
        return [sum(point.value for point in points) for points in self.points(name)]


def exposed(families: Iterable[Metric]) -> dict[Series, float]:
    """Return the exporter's own series of an exposition."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("gatewayz_")
    }


def pushed(metrics: Iterable[ResourceMetrics]) -> dict[Series, float]:
    """Return the series of a push, with the names and labels that Prometheus gives them."""
    parts = (scope.metrics for part in metrics for scope in part.scope_metrics)
    found = [pair for part in parts for metric in part for pair in _series(metric)]
    assert len(found) == len(dict(found))
    return dict(found)


def _series(metric: OtlpMetric) -> Iterator[tuple[Series, float]]:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, str(kind)).data_points:
        labels = frozenset((item.key, item.value.string_value) for item in point.attributes)
        if kind == "histogram":
            bounds = [*map(str, point.explicit_bounds), "+Inf"]
            for bound, count in zip(bounds, accumulate(point.bucket_counts), strict=True):
                yield (f"{metric.name}_bucket", labels | {("le", bound)}), count
            yield (f"{metric.name}_count", labels), point.count
            yield (f"{metric.name}_sum", labels), point.sum
        else:
            total = "_total" if kind == "sum" and metric.sum.is_monotonic else ""
            yield (metric.name + total, labels), getattr(point, point.WhichOneof("value"))
