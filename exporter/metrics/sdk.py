"""Adapter for what the OpenTelemetry SDK does not document: readers without a timeout, no exemplars.

Seen in opentelemetry-sdk 1.45.2. tests/metrics/test_sdk.py fails first when a later version differs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import ExemplarReservoir
from opentelemetry.sdk.metrics.export import (
    Metric,
    MetricExporter,
    MetricReader,
    MetricsData,
)
from prometheus_client import CollectorRegistry


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
    """A Prometheus reader without the SDK's collection timeout that also returns what it collected.

    The timeout of 10 s has no setting. It uses the wall clock, which can jump, and no caller waits.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        cardinality_limits: dict[type, int],
        *,
        target_info: bool,
        keep: bool,
    ) -> None:
        """Register with `registry`; with `keep`, store what is collected."""
        super().__init__(
            disable_target_info=not target_info,
            scope_info_enabled=False,
            registry=registry,
            cardinality_limits=cardinality_limits,
        )
        self._collector._callback = partial(self.collect, math.inf)  # type: ignore[assignment]
        self._keep = keep
        self.collected: Sequence[Metric] = ()
        """The metrics of the last collection, if they are kept."""

    def _receive_metrics(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> None:
        if self._keep:
            self.collected = _metrics(metrics_data)
        super()._receive_metrics(metrics_data, *args, **kwargs)


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
        self._collected: Sequence[Metric] = ()

    def read(self) -> Sequence[Metric]:
        """Collect, and return every metric."""
        self.collect(math.inf)
        return self._collected

    def _receive_metrics(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> None:
        self._collected = _metrics(metrics_data)

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the exporter is shut down by its owner."""


def _metrics(data: MetricsData) -> Sequence[Metric]:
    return [
        metric for whole in data.resource_metrics for scope in whole.scope_metrics for metric in scope.metrics
    ]
