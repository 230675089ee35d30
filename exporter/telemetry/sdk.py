"""Providers, instrumentation and shutdown of the process's traces, logs and metrics.

What only an export by OTLP needs is imported where it is used: most exporters start without it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from starlette.middleware import Middleware

from exporter import SCOPE, __version__
from exporter.config.settings import TelemetrySettings
from exporter.errors import SettingsError, ThreadError
from exporter.metrics.counted import counted
from exporter.metrics.instruments import Signal
from exporter.metrics.meters import Metrics
from exporter.system.threads import start
from exporter.telemetry import otlp

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import LogRecordExporter


def open_telemetry(settings: TelemetrySettings, records_lost: Callable[[], int]) -> Telemetry:
    """Return the telemetry of the process.

    Args:
        settings: Signals to export, and their protocols.
        records_lost: Returns the number of log records lost since the start.

    Raises:
        SettingsError: When the SDK rejects a value of an OTEL_* variable.
    """
    try:
        return Telemetry(settings, records_lost=records_lost)
    except (ValueError, RuntimeError, OSError) as error:
        raise SettingsError([f"OTEL_*: the OpenTelemetry SDK rejects a value: {error}"]) from error


class Telemetry:
    """The OpenTelemetry SDK of one process."""

    def __init__(
        self,
        settings: TelemetrySettings,
        span_exporter: SpanExporter | None = None,
        log_exporter: LogRecordExporter | None = None,
        metric_exporter: MetricExporter | None = None,
        records_lost: Callable[[], int] = lambda: 0,
    ) -> None:
        """Create the providers; instrument `requests` only if spans are exported, because it costs time.

        Args:
            settings: Signals to export, and their protocols.
            span_exporter: Replaces the OTLP exporter of spans.
            log_exporter: Replaces the OTLP exporter of log records.
            metric_exporter: Replaces the OTLP exporter of metrics.
            records_lost: Returns the number of log records lost since the start.
        """
        resource = Resource.create()
        self.metrics = Metrics(
            resource, records_lost, metric_exporter or otlp.metric_exporter(settings.metrics_protocol)
        )
        failed = self.metrics.events.telemetry_failed
        self._spans = counted(
            span_exporter or otlp.span_exporter(settings.traces_protocol), partial(failed, Signal.TRACES)
        )
        self.tracer_provider = _tracer_provider(resource, self._spans) if settings.traced else None
        self.logger_provider = _logger_provider(
            resource,
            counted(log_exporter or otlp.log_exporter(settings.logs_protocol), partial(failed, Signal.LOGS)),
        )
        self.tracer = self._tracers().get_tracer(SCOPE, __version__)
        self._uninstrument: Callable[[], object] = lambda: None
        if self._exports_spans():
            from opentelemetry.instrumentation.requests import RequestsInstrumentor

            instrumentor = RequestsInstrumentor()
            self._uninstrument = instrumentor.uninstrument
            instrumentor.instrument(
                tracer_provider=self._tracers(),
                meter_provider=NoOpMeterProvider(),
                excluded_urls=",".join(re.escape(endpoint) for endpoint in settings.endpoints),
            )

    def scrape_middleware(self) -> Sequence[Middleware]:
        """Return middleware that traces scrapes; empty if no spans are exported."""
        if not self._exports_spans():
            return ()
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

        return (
            Middleware(
                OpenTelemetryMiddleware,
                tracer_provider=self._tracers(),
                meter_provider=NoOpMeterProvider(),
                exclude_spans=["receive", "send"],
            ),
        )

    def shutdown(self, seconds: float) -> None:
        """Export queued data for at most `seconds`, then return."""
        self._uninstrument()
        closers = [
            threading.Thread(target=closing.shutdown, daemon=True)
            for closing in (self.tracer_provider, self.logger_provider, self.metrics)
            if closing is not None
        ]
        for closer in closers:
            # Without a thread the export could exceed the time limit, so it is skipped.
            with suppress(ThreadError):
                start(closer)
        for closer in closers:
            if closer.ident is not None:
                closer.join(seconds / len(closers))

    def _exports_spans(self) -> bool:
        return self._spans is not None and self.tracer_provider is not None

    def _tracers(self) -> trace.TracerProvider:
        return self.tracer_provider or trace.NoOpTracerProvider()


def _tracer_provider(resource: Resource, exporter: SpanExporter | None) -> TracerProvider:
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _logger_provider(resource: Resource, exporter: LogRecordExporter | None) -> LoggerProvider | None:
    if exporter is None:
        return None
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider(resource, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return provider
