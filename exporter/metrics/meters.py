"""Meter providers: collection for the exposition, and push by OTLP."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from types import MappingProxyType

from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider, ObservableGauge
from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry, Metric, ProcessCollector

from exporter import SCOPE, __version__
from exporter.metrics.counted import counted
from exporter.metrics.custom.gauges import custom_gauges, series_of
from exporter.metrics.instruments import (
    INSTRUMENTS,
    EventRecorder,
    Signal,
    identity,
    register_gauges,
    register_lost_records,
)
from exporter.metrics.push import BackgroundSender
from exporter.metrics.sdk import NoExemplars, PrometheusReader, PushReader
from exporter.model.custom import CustomMetrics
from exporter.model.snapshot import Snapshot

MIN_SERIES = 64
"""A fleet smaller than this does not get a new provider by changing."""
CARDINALITY_LIMITS: Mapping[type, int] = MappingProxyType({ObservableGauge: sys.maxsize})
"""The SDK's default of 2000 would merge all further series into one overflow series."""


class Metrics:
    """The meter providers, with the one collection for the exposition and for the push.

    Two providers: gauges live in one that is replaced from time to time, because the SDK never frees an
    attribute set of an observable instrument, nor an instrument. A changing fleet accumulates dead series,
    and changed custom metrics need new instruments. Counters and the histogram live in a provider that is
    never replaced, because their values would start again.

    For the poller's thread only: the Prometheus reader does not support concurrent collections.
    """

    def __init__(
        self,
        resource: Resource,
        records_lost: Callable[[], int] = lambda: 0,
        exporter: MetricExporter | None = None,
    ) -> None:
        """Create both providers.

        Args:
            resource: Describes this process.
            records_lost: Returns how many log records were dropped since the start.
            exporter: Sends what `push` collects; None disables the push.
        """
        self._resource = resource
        self._exporter = counted(exporter, lambda: self.events.telemetry_failed(Signal.METRICS))
        self._sender = BackgroundSender(self._export)
        self._snapshot = Snapshot()
        self._event_provider = self._provider(target_info=True)
        self._process = ProcessCollector(registry=None)
        self.events = EventRecorder(self._event_provider.meter)
        register_lost_records(self._event_provider.meter, records_lost)
        self._open_gauges(set(), ())

    def collect(self, snapshot: Snapshot) -> Sequence[Metric]:
        """Return every metric family, sorted by name, gauges with the values of `snapshot`."""
        self._snapshot = snapshot
        custom = tuple(snapshot.custom)
        live = {tuple(identity(provider).values()) for provider in snapshot.providers or ()}
        live.update(series_of(snapshot.custom))
        self._seen |= live
        if custom != self._custom or len(self._seen) > 2 * max(len(live), MIN_SERIES):
            self._gauges.close()
            del self._gauges
            # The old provider is full of reference cycles; free it before the new one allocates.
            gc.collect()
            self._open_gauges(live, custom)
        families = chain(self._gauges.collect(), self._event_provider.collect(), self._process.collect())
        # The SDK's own order depends on which family had a value first.
        return sorted(families, key=attrgetter("name"))

    def push(self) -> None:
        """Start sending every metric with the values of the last `collect`; returns at once.

        Skipped while the previous push is running: the next one sends the current values.
        """
        if self._exporter is None or self._sender.is_busy:
            return
        metrics = [*self._gauges.read(), *self._event_provider.read()]
        # One scope: of two equal scopes in a resource the OTLP encoder keeps only the last.
        scope = ScopeMetrics(InstrumentationScope(SCOPE, __version__), metrics, schema_url="")
        whole = ResourceMetrics(self._resource, [scope], self._resource.schema_url)
        self._sender.start(MetricsData([whole]))

    def shutdown(self) -> None:
        """Wait for the running push, then close the exporter."""
        self._sender.finish()
        if self._exporter is not None:
            self._exporter.shutdown()

    def _open_gauges(self, live: set[tuple[str, ...]], custom: CustomMetrics) -> None:
        self._seen = live
        self._custom = custom
        self._gauges = self._provider(target_info=False)
        register_gauges(self._gauges.meter, lambda: self._snapshot, (*INSTRUMENTS, *custom_gauges(custom)))

    def _provider(self, *, target_info: bool) -> _Provider:
        push_reader = PushReader(self._exporter, dict(CARDINALITY_LIMITS)) if self._exporter else None
        return _Provider(self._resource, push_reader, target_info=target_info)

    def _export(self, data: MetricsData) -> None:
        # The export itself must create no telemetry.
        with suppress_instrumentation():
            if self._exporter is not None:
                self._exporter.export(data)


class _Provider:
    """A meter provider with a Prometheus reader and, if metrics are pushed, a push reader."""

    def __init__(self, resource: Resource, push_reader: PushReader | None, *, target_info: bool) -> None:
        self._registry = CollectorRegistry()
        self._push_reader = push_reader
        reader = PrometheusReader(
            disable_target_info=not target_info,
            scope_info_enabled=False,
            registry=self._registry,
            cardinality_limits=dict(CARDINALITY_LIMITS),
        )
        # No exemplars are published. Collecting them inside a span costs a quarter of a collection, checking
        # each point for them a tenth of the rest.
        self._provider = MeterProvider(
            [reader, push_reader] if push_reader else [reader],
            resource,
            shutdown_on_exit=False,
            exemplar_filter=AlwaysOffExemplarFilter(),
            views=[View(instrument_name="*", exemplar_reservoir_factory=lambda aggregation: NoExemplars)],
        )
        self.meter = self._provider.get_meter(SCOPE, __version__)

    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()

    def read(self) -> Iterator[SdkMetric]:
        if self._push_reader is not None:
            yield from self._push_reader.read()

    def close(self) -> None:
        self._provider.shutdown()
