"""The OpenTelemetry SDK: providers, readers, OTLP exporters, instrumentation, shutdown.

The only module that imports the SDK; all others use its API.
"""

from __future__ import annotations

import gc
import math
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    ExemplarReservoir,
    MeterProvider,
    ObservableGauge,
)
from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricReader,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from starlette.middleware import Middleware

from exporter import __version__
from exporter.custom.gauges import custom_gauges, series_of
from exporter.custom.metric import CustomMetrics
from exporter.errors import SettingsError, ThreadError
from exporter.instruments import (
    INSTRUMENTS,
    EventRecorder,
    Signal,
    identity,
    register_gauges,
    register_lost_records,
)
from exporter.sender import Sender
from exporter.settings import TelemetrySettings
from exporter.snapshot import Snapshot
from exporter.threads import start
from exporter.transport import ProxiedSession

SCOPE = "exporter"
FEWEST_SETS = 64
"""Fleets smaller than this do not wear out a provider of gauges by changing."""
POINTS_A_REQUEST = 4_000
"""So that a request stays below what collectors take, 4 MiB by gRPC, even with the longest labels."""
CREDENTIAL_PROVIDER = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}CREDENTIAL_PROVIDER"
CARDINALITY_LIMITS: Mapping[type, int] = MappingProxyType({ObservableGauge: sys.maxsize})
"""The default of 2000 would fold all further providers into one overflow series."""


def open_telemetry(settings: TelemetrySettings, records_lost: Callable[[], int]) -> Telemetry:
    """Return the telemetry of the process.

    Args:
        settings: Which signals leave, and how.
        records_lost: Returns how many log records were dropped, since the start.

    Raises:
        SettingsError: When the SDK refuses the value of one of its own variables.
    """
    try:
        return Telemetry(settings, records_lost=records_lost)
    except (ValueError, RuntimeError, OSError) as error:
        raise SettingsError([f"OTEL_*: the OpenTelemetry SDK refuses a value: {error}"]) from error


class Telemetry:
    """Everything that is made of the SDK, for one process."""

    def __init__(
        self,
        settings: TelemetrySettings,
        span_exporter: SpanExporter | None = None,
        log_exporter: LogRecordExporter | None = None,
        metric_exporter: MetricExporter | None = None,
        records_lost: Callable[[], int] = lambda: 0,
    ) -> None:
        """Make the providers, and instrument `requests` if a span leaves: it costs time.

        Args:
            settings: Which signals leave, and how.
            span_exporter: Takes the spans in place of an OTLP exporter.
            log_exporter: Takes the log records in place of an OTLP exporter.
            metric_exporter: Takes the metrics in place of an OTLP exporter.
            records_lost: Returns how many log records were dropped, since the start.
        """
        resource = Resource.create()
        self.metrics = Metrics(
            resource, records_lost, metric_exporter or _otlp_metric_exporter(settings.metrics_protocol)
        )
        failed = self.metrics.events.telemetry_failed
        self._spans = _counted(
            span_exporter or _otlp_span_exporter(settings.traces_protocol), partial(failed, Signal.TRACES)
        )
        self.tracer_provider = _tracer_provider(resource, self._spans) if settings.traced else None
        self.logger_provider = _logger_provider(
            resource,
            _counted(
                log_exporter or _otlp_log_exporter(settings.logs_protocol), partial(failed, Signal.LOGS)
            ),
        )
        self.tracer = self._tracers().get_tracer(SCOPE, __version__)
        self._instrumentor = RequestsInstrumentor()
        if self._spans_leave():
            self._instrumentor.instrument(
                tracer_provider=self._tracers(),
                meter_provider=NoOpMeterProvider(),
                excluded_urls=",".join(re.escape(endpoint) for endpoint in settings.endpoints),
            )

    def scrape_middleware(self) -> Sequence[Middleware]:
        """Return what traces a route of the web side: nothing if no span leaves."""
        if not self._spans_leave():
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
        """Send what is still queued, for at most `seconds`; then leave, delivered or not."""
        if self._spans_leave():
            self._instrumentor.uninstrument()
        closers = [
            threading.Thread(target=closing.shutdown, daemon=True)
            for closing in (self.tracer_provider, self.logger_provider, self.metrics)
            if closing is not None
        ]
        for closer in closers:
            # Without a thread nothing is sent: it could take longer than there is time.
            with suppress(ThreadError):
                start(closer)
        for closer in closers:
            if closer.ident is not None:
                closer.join(seconds / len(closers))

    def _spans_leave(self) -> bool:
        return self._spans is not None and self.tracer_provider is not None

    def _tracers(self) -> trace.TracerProvider:
        return self.tracer_provider or trace.NoOpTracerProvider()


class Metrics:
    """The meters, the one way to collect them, and the one way to send them.

    There are two rooms. Gauges live in one that is replaced from time to time: the SDK never frees an
    attribute set of an observable instrument, so a changing fleet wears it out, nor an instrument, so other
    custom metrics need another room. What counts events lives in another that never is, since counters would
    begin anew.

    For the poller's thread alone: the Prometheus reader is not made for concurrent collections.
    """

    def __init__(
        self,
        resource: Resource,
        records_lost: Callable[[], int] = lambda: 0,
        exporter: MetricExporter | None = None,
    ) -> None:
        """Make both rooms.

        Args:
            resource: Whose metrics they are.
            records_lost: Returns how many log records were dropped, since the start.
            exporter: Takes what `push` sends; None: nothing is sent.
        """
        self._resource = resource
        self._exporter = _counted(exporter, lambda: self.events.telemetry_failed(Signal.METRICS))
        self._sender = Sender(self._export)
        self._snapshot = Snapshot()
        self._events = self._room(target_info=True)
        self._process = ProcessCollector(registry=None)
        self.events = EventRecorder(self._events.meter)
        register_lost_records(self._events.meter, records_lost)
        self._open_gauges(set(), ())

    def collect(self, snapshot: Snapshot) -> Sequence[Metric]:
        """Return every metric family by name, the gauges with the values of `snapshot`."""
        self._snapshot = snapshot
        custom = tuple(snapshot.custom)
        live = {tuple(identity(provider).values()) for provider in snapshot.providers or ()}
        live.update(series_of(snapshot.custom))
        self._seen |= live
        if custom != self._custom or len(self._seen) > 2 * max(len(live), FEWEST_SETS):
            self._gauges.close()
            del self._gauges
            # What is left of a large fleet hangs together in circles; nothing new is to settle among it.
            gc.collect()
            self._open_gauges(live, custom)
        families = chain(self._gauges.collect(), self._events.collect(), self._process.collect())
        # The SDK's own order depends on which family had a value first.
        return sorted(families, key=attrgetter("name"))

    def push(self) -> None:
        """Begin to send every metric, the gauges with the values of the last `collect`; never waits.

        While the push before is still under way, this one is left out: the next one says it all.
        """
        if self._exporter is None or self._sender.is_busy:
            return
        metrics = [*self._gauges.read(), *self._events.read()]
        # In one scope of one resource: of two that are equal, the encoder keeps the last alone.
        scope = ScopeMetrics(InstrumentationScope(SCOPE, __version__), metrics, schema_url="")
        whole = ResourceMetrics(self._resource, [scope], self._resource.schema_url)
        self._sender.start(MetricsData([whole]))

    def shutdown(self) -> None:
        """Wait for the push that is under way, and let its connection go."""
        self._sender.finish()
        if self._exporter is not None:
            self._exporter.shutdown()

    def _open_gauges(self, live: set[tuple[str, ...]], custom: CustomMetrics) -> None:
        self._seen = live
        self._custom = custom
        self._gauges = self._room(target_info=False)
        register_gauges(self._gauges.meter, lambda: self._snapshot, (*INSTRUMENTS, *custom_gauges(custom)))

    def _room(self, *, target_info: bool) -> _Room:
        push_reader = _PushReader(self._exporter) if self._exporter is not None else None
        return _Room(self._resource, push_reader, target_info=target_info)

    def _export(self, data: MetricsData) -> None:
        # What the exporter does and says must not be sent as well.
        with suppress_instrumentation():
            if self._exporter is not None:
                self._exporter.export(data)


class _Room:
    """A meter provider with a Prometheus reader of its own, and one for what is sent."""

    def __init__(self, resource: Resource, push_reader: _PushReader | None, *, target_info: bool) -> None:
        self._registry = CollectorRegistry()
        self._push_reader = push_reader
        reader = _Reader(
            disable_target_info=not target_info,
            scope_info_enabled=False,
            registry=self._registry,
            cardinality_limits=dict(CARDINALITY_LIMITS),
        )
        # Nobody publishes exemplars: to keep them costs a quarter of a collection inside a span, and to look
        # at each point whether there are any costs a tenth of the rest.
        self._provider = MeterProvider(
            [reader, push_reader] if push_reader else [reader],
            resource,
            shutdown_on_exit=False,
            exemplar_filter=AlwaysOffExemplarFilter(),
            views=[View(instrument_name="*", exemplar_reservoir_factory=lambda aggregation: _NoExemplars)],
        )
        self.meter = self._provider.get_meter(SCOPE, __version__)

    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()

    def read(self) -> Iterator[SdkMetric]:
        if self._push_reader is not None:
            yield from self._push_reader.read()

    def close(self) -> None:
        self._provider.shutdown()


class _NoExemplars(ExemplarReservoir):
    """Keeps nothing, and has nothing."""

    __slots__ = ()

    def __init__(self, *given: object, **options: object) -> None:
        pass

    def offer(self, *measurement: object) -> None:
        pass

    def collect(self, point_attributes: object) -> list[Any]:
        return []


class _Reader(PrometheusMetricReader):
    """Has no deadline: the SDK takes it from a clock that jumps, and nobody waits for a collection here."""

    # Final by intent of the SDK, which has no setting for its ten seconds.
    def collect(self, timeout_millis: float = math.inf) -> None:  # type: ignore[misc]
        """Collect, and take the time that it takes."""
        super().collect(math.inf)


class _PushReader(MetricReader):
    """Collects when it is told to, and hands over what it has instead of waiting for a peer to take it.

    The SDK's own reader for pushes exports in the thread that collects, which is the poller's here.
    """

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(
            exporter._preferred_temporality,
            exporter._preferred_aggregation,
            cardinality_limits=dict(CARDINALITY_LIMITS),
        )
        self._collected: Sequence[ResourceMetrics] = ()

    def read(self) -> Iterator[SdkMetric]:
        self.collect(math.inf)
        for resource_metrics in self._collected:
            for scope_metrics in resource_metrics.scope_metrics:
                yield from scope_metrics.metrics
        self._collected = ()

    def _receive_metrics(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> None:
        self._collected = metrics_data.resource_metrics

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        pass


class _CountedExporter:
    """An exporter of any signal, with a call of `failed` for each export that does not succeed."""

    def __init__(self, exporter: Any, failed: Callable[[], None]) -> None:
        self._exporter = exporter
        self._failed = failed

    def export(self, batch: Any) -> Any:
        result = None
        try:
            result = self._exporter.export(batch)
        finally:
            # The SDK has a type for the result of each signal, with the same names.
            if result is None or result.name != "SUCCESS":
                self._failed()
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exporter, name)


def _counted(exporter: Any, failed: Callable[[], None]) -> Any:
    return None if exporter is None else _CountedExporter(exporter, failed)


def _tracer_provider(resource: Resource, exporter: SpanExporter | None) -> TracerProvider:
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _logger_provider(resource: Resource, exporter: LogRecordExporter | None) -> LoggerProvider | None:
    if exporter is None:
        return None
    provider = LoggerProvider(resource, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return provider


def _otlp_span_exporter(protocol: str | None) -> SpanExporter | None:
    if protocol is None:
        return None
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(session=_otlp_session("TRACES"))


def _otlp_log_exporter(protocol: str | None) -> LogRecordExporter | None:
    if protocol is None:
        return None
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter(session=_otlp_session("LOGS"))


def _otlp_metric_exporter(protocol: str | None) -> MetricExporter | None:
    if protocol is None:
        return None
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

        return GrpcExporter(max_export_batch_size=POINTS_A_REQUEST)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(max_export_batch_size=POINTS_A_REQUEST, session=_otlp_session("METRICS"))


def _otlp_session(signal: str) -> ProxiedSession | None:
    """Return a session that certificates and passwords for the gateway do not reach.

    None where a credential provider is configured: the SDK then uses the session of that provider.
    """
    names = (CREDENTIAL_PROVIDER.format(part) for part in ("", f"{signal}_"))
    return None if any(map(os.environ.get, names)) else ProxiedSession()
