"""Custom metrics as rows beside those of the table of instruments."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.metrics import Observation

from exporter.metrics.instruments import Instrument, Kind
from exporter.model.custom import CustomMetric, CustomMetrics, CustomReadings
from exporter.model.snapshot import Snapshot


def custom_gauges(metrics: CustomMetrics) -> Iterator[Instrument]:
    """Yield the row of each metric: it reads what a snapshot has of it."""
    return map(_gauge, metrics)


def series_of(readings: CustomReadings) -> Iterator[tuple[str, ...]]:
    """Yield what tells each series from all others."""
    for metric, series in readings.items():
        for sample in series.samples:
            yield metric.name, *sample.labels.values()


def _gauge(metric: CustomMetric) -> Instrument:
    def read(snapshot: Snapshot) -> Iterator[Observation]:
        for sample in snapshot.custom[metric].samples:
            yield Observation(sample.value, sample.labels)

    return Instrument(metric.name, Kind.GAUGE, metric.help, read=read)
