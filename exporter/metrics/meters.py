"""Meter providers: collection for the exposition, and push by OTLP.

What is collected when: a gauge group is collected when a sample of it differs from the last collection. Each
gauge of `Group.PROVIDERS` is a group of its own; the gauges of any other `Group` share one. Counters, the
histogram and `process_*` are collected every time.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from types import MappingProxyType

from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider, ObservableGauge
from opentelemetry.sdk.metrics.export import (
    Gauge,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry, Metric, ProcessCollector

from exporter import SCOPE, __version__
from exporter.metrics.counted import counted
from exporter.metrics.custom.gauges import custom_gauges
from exporter.metrics.instruments import (
    INSTRUMENTS,
    EventRecorder,
    Group,
    Instrument,
    Sample,
    Signal,
    register_gauge,
    register_lost_records,
)
from exporter.metrics.push import BackgroundSender
from exporter.metrics.sdk import NoExemplars, PrometheusReader, PushReader
from exporter.model.custom import CustomMetrics
from exporter.model.snapshot import Snapshot

MIN_SERIES = 64
"""Gauges with fewer series do not get a new provider by changing."""
CARDINALITY_LIMITS: Mapping[type, int] = MappingProxyType({ObservableGauge: sys.maxsize})
"""The SDK's default of 2000 would merge all further series into one overflow series."""


class Metrics:
    """All metrics: one collection for the exposition and for the push.

    Counters and the histogram live in a provider that is never replaced, because their values would start
    again. For the poller's thread only: the Prometheus reader does not support concurrent collections.
    """

    def __init__(
        self,
        resource: Resource,
        records_lost: Callable[[], int] = lambda: 0,
        exporter: MetricExporter | None = None,
    ) -> None:
        """Create the providers.

        Args:
            resource: Describes this process.
            records_lost: Returns how many log records were dropped since the start.
            exporter: Sends what `push` collects; None disables the push.
        """
        self._resource = resource
        self._exporter = counted(exporter, lambda: self.events.telemetry_failed(Signal.METRICS))
        self._sender = BackgroundSender(self._export)
        self._push_reader = PushReader(self._exporter, dict(CARDINALITY_LIMITS)) if self._exporter else None
        self._event_provider = _Provider(resource, self._push_reader, target_info=True)
        self._process = ProcessCollector(registry=None)
        self.events = EventRecorder(self._event_provider.meter)
        register_lost_records(self._event_provider.meter, records_lost)
        self._groups = self._gauge_groups(INSTRUMENTS)
        self._custom: CustomMetrics = ()
        self._custom_groups: Sequence[_GaugeGroup] = ()

    def collect(self, snapshot: Snapshot) -> Sequence[Metric]:
        """Return every metric family, sorted by name, gauges with the values of `snapshot`.

        A family of unchanged gauges is the object that was returned before.
        """
        custom = tuple(snapshot.custom)
        if custom != self._custom:
            self._custom = custom
            self._custom_groups = self._gauge_groups(custom_gauges(custom))
        groups = (*self._groups, *self._custom_groups)
        # Discarded providers are full of reference cycles; free them before new ones allocate.
        discarded = [group.update(snapshot) for group in groups]
        if any(discarded):
            gc.collect()
        families = chain(
            *(group.collect() for group in groups), self._event_provider.collect(), self._process.collect()
        )
        # The SDK's own order depends on which family had a value first.
        return sorted(families, key=attrgetter("name"))

    def release(self) -> None:
        """Free the samples that `collect` returned last, when they have been encoded.

        The families of unchanged gauges are returned again, without samples.
        """
        for group in (*self._groups, *self._custom_groups):
            group.release()

    def push(self) -> None:
        """Start sending every metric with the values of the last `collect`; returns at once.

        Skipped while the previous push is running: the next one sends the current values. Gauges have no
        temporality, so that they are not collected again.
        """
        if self._push_reader is None or self._sender.is_busy:
            return
        now = time.time_ns()
        gauges = (group.collected(now) for group in (*self._groups, *self._custom_groups))
        metrics = [*chain(*gauges), *self._push_reader.read()]
        # One scope: of two equal scopes in a resource the OTLP encoder keeps only the last.
        scope = ScopeMetrics(InstrumentationScope(SCOPE, __version__), metrics, schema_url="")
        whole = ResourceMetrics(self._resource, [scope], self._resource.schema_url)
        self._sender.start(MetricsData([whole]))

    def shutdown(self) -> None:
        """Wait for the running push, then close the exporter."""
        self._sender.finish()
        if self._exporter is not None:
            self._exporter.shutdown()

    def _gauge_groups(self, instruments: Iterable[Instrument]) -> Sequence[_GaugeGroup]:
        gauges = [instrument for instrument in instruments if instrument.read is not None]
        alone = [[gauge] for gauge in gauges if gauge.group is Group.PROVIDERS]
        shared = [
            [gauge for gauge in gauges if gauge.group is group]
            for group in Group
            if group is not Group.PROVIDERS
        ]
        is_pushed = self._exporter is not None
        return [_GaugeGroup(members, self._resource, is_pushed) for members in (*alone, *shared) if members]

    def _export(self, data: MetricsData) -> None:
        from opentelemetry.instrumentation.utils import suppress_instrumentation

        # The export itself must create no telemetry.
        with suppress_instrumentation():
            if self._exporter is not None:
                self._exporter.export(data)


class _GaugeGroup:
    """Gauges that are collected together, if a sample has changed.

    The SDK never frees an attribute set of an observable instrument. When most of the series that a provider
    has seen are gone, the group gets a new one.
    """

    def __init__(self, gauges: Sequence[Instrument], resource: Resource, is_pushed: bool) -> None:
        self._gauges = gauges
        self._resource = resource
        self._is_pushed = is_pushed
        self._samples: Sequence[Sequence[Sample]] = [[] for _ in gauges]
        self._seen = 0
        self._provider: _Provider | None = None
        self._families: Sequence[Metric] | None = ()

    def update(self, snapshot: Snapshot) -> bool:
        """Read the samples from `snapshot`; return whether the provider was discarded."""
        samples = [list(gauge.read(snapshot)) for gauge in self._gauges if gauge.read]
        if samples == self._samples:
            return False
        self._seen += sum(map(_new_series, self._samples, samples))
        self._samples, self._families = samples, None
        live = sum(map(len, samples))
        if self._provider is None or self._seen <= 2 * max(live, MIN_SERIES):
            return False
        self._provider.close()
        self._provider, self._seen = None, live
        return True

    def collect(self) -> Sequence[Metric]:
        """Return the families with the current samples; those of the last collection if none has changed."""
        if self._families is None:
            self._provider = self._provider or self._open()
            self._families = list(self._provider.collect())
        return self._families

    def release(self) -> None:
        """Free the samples of the families."""
        for family in self._families or ():
            family.samples.clear()

    def collected(self, now: int) -> Iterable[SdkMetric]:
        """Yield the metrics of the last collection, with the time `now` in Unix nanoseconds."""
        for metric in self._provider.reader.collected if self._provider else ():
            yield _at(metric, now)

    def _open(self) -> _Provider:
        provider = _Provider(self._resource, target_info=False, keep=self._is_pushed)
        for index, gauge in enumerate(self._gauges):
            register_gauge(provider.meter, gauge, partial(self._current, index))
        return provider

    def _current(self, index: int) -> Sequence[Sample]:
        return self._samples[index]


def _new_series(before: Sequence[Sample], after: Sequence[Sample]) -> int:
    """Return the number of series that were not there before."""
    old, new = ([labels for labels, _ in samples] for samples in (before, after))
    return 0 if old == new else len(set(new).difference(old))


def _at(metric: SdkMetric, now: int) -> SdkMetric:
    points = [
        NumberDataPoint(point.attributes, point.start_time_unix_nano, now, point.value)
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint)
    ]
    return SdkMetric(metric.name, metric.description, metric.unit, Gauge(points))


class _Provider:
    """A meter provider with a Prometheus reader and, for metrics with temporality, a push reader."""

    def __init__(
        self,
        resource: Resource,
        push_reader: PushReader | None = None,
        *,
        target_info: bool,
        keep: bool = False,
    ) -> None:
        self._registry = CollectorRegistry()
        self.reader = PrometheusReader(
            self._registry, dict(CARDINALITY_LIMITS), target_info=target_info, keep=keep
        )
        # No exemplars are published. Collecting them inside a span costs a quarter of a collection, checking
        # each point for them a tenth of the rest.
        self._provider = MeterProvider(
            [self.reader, push_reader] if push_reader else [self.reader],
            resource,
            shutdown_on_exit=False,
            exemplar_filter=AlwaysOffExemplarFilter(),
            views=[View(instrument_name="*", exemplar_reservoir_factory=lambda aggregation: NoExemplars)],
        )
        self.meter = self._provider.get_meter(SCOPE, __version__)

    def collect(self) -> Iterable[Metric]:
        # Nothing is received if no instrument has a point.
        self.reader.collected = ()
        return self._registry.collect()

    def close(self) -> None:
        self._provider.shutdown()
