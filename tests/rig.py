"""An exporter for tests: all parts but the web server, with spans and log records in memory."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.settings import Settings
from exporter.metrics.exposition import Format, Variant
from exporter.model.custom import CustomMetrics
from exporter.poll.poller import Poller
from exporter.telemetry import logs
from exporter.telemetry.sdk import Telemetry
from tests.clocks import MovedClock

TEXT = Variant(Format.TEXT, gzip=False)
OPENMETRICS = Variant(Format.OPENMETRICS, gzip=False)

Labels = Mapping[str, str]


@dataclass
class Rig:
    """A poller with telemetry and log."""

    settings: Settings
    clock: MovedClock
    telemetry: Telemetry
    poller: Poller
    _spans: InMemorySpanExporter
    _records: InMemoryLogRecordExporter
    _stdout: io.StringIO

    @property
    def text(self) -> str:
        """The current exposition in the text format."""
        return self.poller.published.current.encode(TEXT).decode()

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a series in the current exposition; None without the series."""
        return self.series(name).get(tuple(sorted(labels.items())))

    def series(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return all series with a name, by labels."""
        return {
            tuple(sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name
        }

    def spans(self) -> list[ReadableSpan]:
        """Return and clear the finished spans."""
        if self.telemetry.tracer_provider is not None:
            self.telemetry.tracer_provider.force_flush()
        spans = list(self._spans.get_finished_spans())
        self._spans.clear()
        return spans

    def lines(self) -> list[dict[str, Any]]:
        """Return the parsed log lines since the last call."""
        text = self._stdout.getvalue()
        self._stdout.seek(0)
        self._stdout.truncate()
        return [json.loads(line) for line in text.splitlines()]

    def messages(self) -> list[str]:
        """Return the messages since the last call."""
        return [line["message"] for line in self.lines()]

    def otlp_bodies(self) -> Sequence[Any]:
        """Return the bodies of all OTLP log records."""
        if self.telemetry.logger_provider is not None:
            self.telemetry.logger_provider.force_flush()
        return [item.log_record.body for item in self._records.get_finished_logs()]


@contextmanager
def rig(
    settings: Settings, clock: MovedClock, *, export: bool = True, custom: Callable[[], CustomMetrics] = tuple
) -> Iterator[Rig]:
    """Set up a rig and tear it down; without `export` spans and records are not captured."""
    spans, records, stdout = InMemorySpanExporter(), InMemoryLogRecordExporter(), io.StringIO()
    telemetry = Telemetry(settings.telemetry, *((spans, records) if export else ()))
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure(logging.StreamHandler(stdout), settings.log_level, clock)
    logs.export(telemetry.logger_provider)
    poller = Poller(settings, clock, telemetry.tracer, telemetry.metrics, custom)
    try:
        yield Rig(settings, clock, telemetry, poller, spans, records, stdout)
    finally:
        poller.stop()
        poller.close()
        telemetry.shutdown(5)
        logging.captureWarnings(False)
        root.handlers[:], root.level = before
