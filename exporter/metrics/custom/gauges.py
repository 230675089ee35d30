"""Instruments for custom metrics, in addition to the table of instruments."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.metrics import Observation

from exporter.metrics.instruments import Instrument, Kind
from exporter.model.custom import CustomMetric, CustomMetrics, CustomReadings
from exporter.model.snapshot import Snapshot


def custom_gauges(metrics: CustomMetrics) -> Iterator[Instrument]:
    """Yield an instrument for each metric."""
    return map(_gauge, metrics)


def series_of(readings: CustomReadings) -> Iterator[tuple[str, ...]]:
    """Yield name and label values of each series."""
    for metric, series in readings.items():
        for sample in series.samples:
            yield metric.name, *sample.labels.values()


def _gauge(metric: CustomMetric) -> Instrument:
    def read(snapshot: Snapshot) -> Iterator[Observation]:
        for sample in snapshot.custom[metric].samples:
            yield Observation(sample.value, sample.labels)

    return Instrument(metric.name, Kind.GAUGE, metric.help, read=read)
