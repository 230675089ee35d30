"""Instruments for custom metrics, in addition to the table of instruments."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.metrics.instruments import Group, Instrument, Kind, Sample
from exporter.model.custom import CustomMetric, CustomMetrics
from exporter.model.endpoints import Endpoint
from exporter.model.snapshot import Snapshot


def custom_gauges(metrics: CustomMetrics) -> Iterator[Instrument]:
    """Yield an instrument for each metric."""
    return map(_gauge, metrics)


def _gauge(metric: CustomMetric) -> Instrument:
    labels = (
        *(["provider"] if metric.source is Endpoint.PROVIDERS else []),
        *(name for name, _ in metric.constant_labels),
        *(label.name for label in metric.labels),
    )

    def read(snapshot: Snapshot) -> Iterator[Sample]:
        for sample in snapshot.custom[metric].samples:
            # As in the table of instruments, 0.0 instead of -0.0.
            yield tuple(sample.labels.values()), sample.value + 0

    return Instrument(metric.name, Kind.GAUGE, metric.help, labels, read, Group.CUSTOM)
