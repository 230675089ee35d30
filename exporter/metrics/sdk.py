"""Adapter for what the OpenTelemetry SDK does not document: readers without a timeout, no exemplars.

Seen in opentelemetry-sdk 1.45.2. tests/metrics/test_sdk.py fails first when a later version differs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import ExemplarReservoir
from opentelemetry.sdk.metrics.export import (
    Metric,
    MetricExporter,
    MetricReader,
    MetricsData,
    ResourceMetrics,
)


class NoExemplars(ExemplarReservoir):
    """A reservoir that stores no exemplars."""

    __slots__ = ()

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Accept the arguments of any reservoir."""

    def offer(self, *args: object) -> None:
        """Drop the measurement."""

    def collect(self, point_attributes: object) -> list[Any]:
        """Return no exemplars."""
        return []


class PrometheusReader(PrometheusMetricReader):
    """Disables the SDK's collection timeout: it uses the wall clock, which can jump, and no caller waits."""

    # Marked final, but the SDK has no setting for its timeout of 10 s.
    def collect(self, timeout_millis: float = math.inf) -> None:  # type: ignore[misc]
        """Collect without a timeout."""
        super().collect(math.inf)


class PushReader(MetricReader):
    """Collects on request and returns the metrics.

    The SDK's periodic reader exports in the thread that collects, which is the poller's here.
    """

    def __init__(self, exporter: MetricExporter, cardinality_limits: dict[type, int]) -> None:
        """Use the temporality and aggregation that `exporter` prefers."""
        super().__init__(
            exporter._preferred_temporality,
            exporter._preferred_aggregation,
            cardinality_limits=cardinality_limits,
        )
        self._collected: Sequence[ResourceMetrics] = ()

    def read(self) -> Iterator[Metric]:
        """Collect, and yield every metric."""
        self.collect(math.inf)
        for resource_metrics in self._collected:
            for scope_metrics in resource_metrics.scope_metrics:
                yield from scope_metrics.metrics
        self._collected = ()

    def _receive_metrics(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> None:
        self._collected = metrics_data.resource_metrics

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the exporter is shut down by its owner."""
