"""The SDK is set up so that metrics always work, and spans and records leave only when they are asked to."""

from __future__ import annotations

import gc
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate, count
from pathlib import Path
from typing import Any

import pytest
import trustme
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as OtlpMetric
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter import SCOPE, SERVICE_NAME, __version__
from exporter.config.settings import Settings, TelemetrySettings
from exporter.errors import Outcome
from exporter.metrics.meters import MIN_SERIES, Metrics
from exporter.model.custom import CustomMetric, CustomSample, CustomSeries
from exporter.model.endpoints import Endpoint
from exporter.model.provider import HealthStatus, Provider
from exporter.model.snapshot import Snapshot
from exporter.telemetry import otlp
from exporter.telemetry.otlp import POINTS_A_REQUEST
from exporter.telemetry.sdk import Telemetry
from exporter.transport.session import ProxiedSession
from tests.clocks import MovedClock
from tests.faults.certificates import Tls, server_contexts, write_authority
from tests.metrics.custom.metrics import gauge
from tests.otlp import OtlpReceiver
from tests.replay import ReplayGateway
from tests.rig import rig

Labels = frozenset[tuple[str, str]]
LIMIT = gauge("limit")


def fleet(generation: int, size: int) -> Snapshot:
    """Return a snapshot with providers that no other generation has."""
    providers = tuple(Provider(f"p{generation}-{n}", health=HealthStatus.DOWN) for n in range(size))
    return Snapshot(providers=providers)


def test_gauges_of_the_collected_snapshot() -> None:
    """A collection has the values of its snapshot alone, whatever was collected before."""
    metrics = Metrics(Resource.create())
    metrics.collect(fleet(1, 3))

    families = {family.name: family for family in metrics.collect(fleet(2, 2))}

    slugs = [sample.labels["provider"] for sample in families["gatewayz_provider_health_status"].samples]
    assert ["p2-0", "p2-1"] == slugs


def test_families_are_sorted_and_unique() -> None:
    """Families come by name and each only once, whichever had a value first."""
    metrics = Metrics(Resource.create())
    metrics.collect(Snapshot())

    names = [family.name for family in metrics.collect(fleet(1, 1))]

    assert sorted(set(names)) == names
    assert 1 == names.count("target")


def test_counters_survive_the_replacement_of_the_gauges() -> None:
    """A fleet that changes for ever wears out the gauges' provider, and no count is lost by that."""
    metrics = Metrics(Resource.create())
    worn: set[int] = set()
    for generation in range(6):
        metrics.events.fetched(*fetched())
        metrics.collect(fleet(generation, MIN_SERIES))
        worn.add(id(metrics._gauges))

    families = {family.name: family for family in metrics.collect(Snapshot())}

    assert 1 < len(worn)
    assert 6 == sum(sample.value for sample in families["gatewayz_provider_scrape_errors"].samples)


def limits(*tiers: str, metric: CustomMetric = LIMIT) -> Snapshot:
    """Return a snapshot in which a custom metric has a series for each tier."""
    samples = tuple(CustomSample(1.0, {"provider": "a", "tier": tier}) for tier in tiers)
    return Snapshot(custom={metric: CustomSeries(samples)})


def test_custom_gauges_need_another_room_when_they_change() -> None:
    """A changed definition has its own gauges and no trace of those before; an unchanged one stays."""
    metrics = Metrics(Resource.create())
    metrics.collect(limits("x"))
    room = metrics._gauges
    metrics.collect(limits("y"))
    assert room is metrics._gauges

    other = gauge("other", help="Another.")
    families = {family.name: family for family in metrics.collect(limits("z", metric=other))}

    assert room is not metrics._gauges
    assert ["Another.", [{"provider": "a", "tier": "z"}]] == [
        families["gatewayz_limit"].documentation,
        [sample.labels for sample in families["gatewayz_limit"].samples],
    ]
    assert "gatewayz_limit" not in {family.name for family in metrics.collect(Snapshot())}


def test_custom_series_wear_out_the_gauges() -> None:
    """Series of custom metrics that change for ever are given back as those of providers are."""
    metrics = Metrics(Resource.create())
    worn: set[int] = set()
    for generation in range(6):
        metrics.collect(limits(*(f"{generation}-{number}" for number in range(MIN_SERIES))))
        worn.add(id(metrics._gauges))
        assert len(metrics._seen) <= 2 * MIN_SERIES

    assert 1 < len(worn)


def fetched() -> tuple[Endpoint, Outcome, float]:
    """Return one failed fetch."""
    return Endpoint.STATS, Outcome.TIMEOUT, 0.1


def test_spans_and_records_leave_by_otlp(settings_for: Callable[..., Settings], clock: MovedClock) -> None:
    """With an endpoint, the spans of a poll and its record arrive there, tied by the trace id."""
    with OtlpReceiver() as receiver:
        settings = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
        try:
            with rig(settings, clock, export=False) as exporting:
                exporting.poller.poll_once()
        finally:
            del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]

        (poll,) = [span for span in receiver.spans if span.name == "poll"]
        (record,) = receiver.records
        body = json.loads(record.body.string_value)

    assert {"/v1/traces", "/v1/logs"} == set(receiver.paths)
    assert (poll.trace_id, poll.trace_id.hex()) == (record.trace_id, body["trace_id"])
    assert [] == list(record.attributes)
    assert {"poll", "convert", "publish", "GET", "fetch /providers", "fetch /providers/stats"} == {
        span.name for span in receiver.spans
    }


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    """A receiver to which everything leaves that is to leave."""
    with OtlpReceiver() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


def otlp_exporter() -> MetricExporter:
    """Return what sends metrics as the environment says, to the receiver."""
    made = otlp.metric_exporter("http/protobuf")
    assert made is not None
    return made


def published(families: Iterable[Metric]) -> dict[tuple[str, Labels], float]:
    """Return the values by name and labels that /metrics would show, but those that libraries add there."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("gatewayz_")
    }


def sent(metrics: Iterable[ResourceMetrics]) -> dict[tuple[str, Labels], float]:
    """Return the values of a push in the same way: a collector's names and labels for them."""
    found = [
        pair
        for part in metrics
        for scope in part.scope_metrics
        for metric in scope.metrics
        for pair in samples(metric)
    ]
    assert len(found) == len(dict(found))
    return dict(found)


def samples(metric: OtlpMetric) -> Iterator[tuple[tuple[str, Labels], float]]:
    """Yield the names, labels and values that Prometheus makes of a metric of OTLP."""
    kind = metric.WhichOneof("data")
    for point in getattr(metric, str(kind)).data_points:
        labels = frozenset((item.key, item.value.string_value) for item in point.attributes)
        if kind == "histogram":
            bounds = [*map(str, point.explicit_bounds), "+Inf"]
            for bound, count_ in zip(bounds, accumulate(point.bucket_counts), strict=True):
                yield (f"{metric.name}_bucket", labels | {("le", bound)}), count_
            yield (f"{metric.name}_count", labels), point.count
            yield (f"{metric.name}_sum", labels), point.sum
        else:
            total = "_total" if kind == "sum" and metric.sum.is_monotonic else ""
            yield (metric.name + total, labels), getattr(point, point.WhichOneof("value"))


def test_metrics_leave_by_otlp(
    settings_for: Callable[..., Settings], clock: MovedClock, receiver: OtlpReceiver
) -> None:
    """Each poll sends what it publishes: the same names, labels and values, of the same resource."""
    settings = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_METRICS_EXPORTER="otlp")
    with rig(settings, clock, export=False) as exporting:
        for _ in range(2):
            receiver.metrics.clear()
            exporting.poller.poll_once()
            exporting.telemetry.metrics._sender.finish()
            exposed = published(text_string_to_metric_families(exporting.text))

            assert len(exposed) > 500
            assert exposed == sent(receiver.metrics)

    (pushed,) = receiver.metrics
    resource = {item.key: item.value.string_value for item in pushed.resource.attributes}
    (scope,) = pushed.scope_metrics
    assert SERVICE_NAME == resource["service.name"]
    assert (SCOPE, __version__) == (scope.scope.name, scope.scope.version)
    assert {""} == {metric.unit for metric in scope.metrics}
    assert 2 == receiver.paths.count("/v1/metrics")


def test_stale_data_are_not_sent(
    settings_for: Callable[..., Settings], clock: MovedClock, receiver: OtlpReceiver
) -> None:
    """When data go stale and leave the exposition, that is sent as well."""
    settings = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_METRICS_EXPORTER="otlp")
    with rig(settings, clock, export=False) as exporting:
        exporting.poller.poll_once()
        exporting.telemetry.metrics._sender.finish()
        receiver.metrics.clear()
        clock.sleep(settings.stale_after)
        exporting.poller.publish()
        exporting.telemetry.metrics._sender.finish()

        assert {} == exporting.series("gatewayz_provider_health_status")
        assert published(text_string_to_metric_families(exporting.text)) == sent(receiver.metrics)


def test_settings_of_the_gateway_do_not_reach_the_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each signal is sent with the certificate and the headers of OTLP, whatever else is set for requests."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    with OtlpReceiver(tls=server_contexts()[Tls.GOOD]) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(write_authority(tmp_path / "ca.pem")))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20mine")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        http = "http/protobuf"
        telemetry = Telemetry(TelemetrySettings(http, http, http, (receiver.url,), traced=True))
        telemetry.tracer.start_span("one").end()
        assert telemetry.logger_provider is not None
        telemetry.logger_provider.get_logger("test").emit(body="one")
        telemetry.metrics.push()
        telemetry.shutdown(20)

    assert {"/v1/traces", "/v1/logs", "/v1/metrics"} == set(receiver.paths)
    assert {"Bearer mine"} == {lower(headers)["authorization"] for headers in receiver.headers}


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize("part", ["", "LOGS_"])
def test_credential_provider_brings_its_own_session(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a credential provider the SDK is left to use the session of that provider."""
    assert isinstance(otlp._session("LOGS"), ProxiedSession)
    monkeypatch.setenv(f"OTEL_PYTHON_EXPORTER_OTLP_HTTP_{part}CREDENTIAL_PROVIDER", "cloud")

    assert None is otlp._session("LOGS")


def test_metrics_are_not_sent_by_themselves(
    settings_for: Callable[..., Settings], clock: MovedClock, receiver: OtlpReceiver
) -> None:
    """With an endpoint, but not asked to, no metrics leave."""
    with rig(settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url), clock, export=False) as exporting:
        exporting.poller.poll_once()

    assert {"/v1/traces", "/v1/logs"} == set(receiver.paths)


def test_sending_metrics_is_not_traced(receiver: OtlpReceiver) -> None:
    """That metrics are sent makes no span, even where the address is not known as one to leave out."""
    spans = InMemorySpanExporter()
    settings = TelemetrySettings("http/protobuf", None, None, (), traced=True)
    telemetry = Telemetry(settings, spans, metric_exporter=otlp_exporter())

    telemetry.metrics.push()
    telemetry.metrics._sender.finish()
    telemetry.shutdown(5)

    assert ["/v1/metrics"] == receiver.paths
    assert () == spans.get_finished_spans()


class Held(MetricExporter):
    """Takes metrics when it is let go."""

    def __init__(self) -> None:
        """Hold everything back."""
        super().__init__()
        self.taken: list[MetricsData] = []
        self.let_go = threading.Event()
        self.is_shut = False

    def export(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> MetricExportResult:
        """Take metrics."""
        assert self.let_go.wait(10)
        self.taken.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Do nothing."""
        return True

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        """Take note."""
        self.is_shut = True

    def values(self, name: str) -> list[float]:
        """Return the sum of a metric's points in each push that was taken."""
        return [
            sum(point.value for point in metric.data.data_points if isinstance(point, NumberDataPoint))
            for data in self.taken
            for part in data.resource_metrics
            for scope in part.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]


def test_push_never_waits() -> None:
    """While a push is under way others are left out, and the next one says all that has come since."""
    peer = Held()
    metrics = Metrics(Resource.create(), exporter=peer)
    for size in (1, 2, 3):
        metrics.events.fetched(*fetched())
        metrics.collect(fleet(0, size))
        metrics.push()
    assert [] == peer.taken
    peer.let_go.set()
    metrics._sender.finish()
    metrics.push()
    metrics.shutdown()

    assert [1, 3] == peer.values("gatewayz_providers_listed")
    assert [1, 3] == peer.values("gatewayz_provider_scrape_errors")
    assert peer.is_shut


def test_push_at_the_end() -> None:
    """At the end a push that is under way is waited for, and then the connection is let go."""
    peer = Held()
    telemetry = Telemetry(TelemetrySettings(None, None, None, (), traced=False), metric_exporter=peer)
    telemetry.metrics.push()
    threading.Timer(0.2, peer.let_go.set).start()

    telemetry.shutdown(10)

    assert (1, True) == (len(peer.taken), peer.is_shut)


class FailingSpans(InMemorySpanExporter):
    """Fails with a result."""

    def export(self, spans: object) -> SpanExportResult:
        """Take nothing."""
        return SpanExportResult.FAILURE


class FailingLogs(InMemoryLogRecordExporter):
    """Fails with an exception."""

    def export(self, batch: object) -> LogRecordExportResult:
        """Take nothing."""
        raise OSError("no way to the collector")


class FailingMetrics(Held):
    """Fails with a result."""

    def export(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> MetricExportResult:
        """Take nothing."""
        return MetricExportResult.FAILURE


def test_failed_exports_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Each export that fails counts for its signal, whether by its result or by an exception."""
    telemetry = Telemetry(
        TelemetrySettings(None, None, None, (), traced=True),
        FailingSpans(),
        FailingLogs(),  # type: ignore[no-untyped-call]
        FailingMetrics(),
    )
    telemetry.tracer.start_span("x").end()
    assert telemetry.logger_provider
    telemetry.logger_provider.get_logger("x").emit(body="x")
    telemetry.metrics.push()
    telemetry.metrics._sender.finish()
    assert telemetry.tracer_provider
    telemetry.tracer_provider.force_flush()
    telemetry.logger_provider.force_flush()

    (family,) = [
        family
        for family in telemetry.metrics.collect(Snapshot())
        if family.name == "gatewayz_exporter_telemetry_failures"
    ]
    telemetry.shutdown(5)

    assert {"traces": 1.0, "logs": 1.0, "metrics": 1.0} == {
        sample.labels["signal"]: sample.value for sample in family.samples
    }


def test_only_the_caller_collects() -> None:
    """Nothing is collected in another thread, nor at the end, when the poller is gone."""
    threads: list[threading.Thread] = []

    def lost() -> int:
        threads.append(threading.current_thread())
        return 0

    peer = Held()
    peer.let_go.set()
    metrics = Metrics(Resource.create(), lost, peer)
    metrics.collect(Snapshot())
    metrics.push()
    metrics.shutdown()
    gc.collect()

    assert [threading.current_thread()] * 2 == threads
    assert 1 == len(peer.taken)


def test_sent_counters_survive_the_replacement_of_the_gauges(receiver: OtlpReceiver) -> None:
    """What is sent of a fleet that changes for ever has the live providers alone, and counts on."""
    metrics = Metrics(Resource.create(), exporter=otlp_exporter())
    worn, starts = set(), set()
    for generation in range(6):
        receiver.metrics.clear()
        metrics.events.fetched(*fetched())
        exposed = published(metrics.collect(fleet(generation, MIN_SERIES)))
        metrics.push()
        metrics._sender.finish()
        worn.add(id(metrics._gauges))
        starts |= {
            point.start_time_unix_nano
            for part in receiver.metrics
            for metric in part.scope_metrics[0].metrics
            for point in metric.sum.data_points
            if metric.name == "gatewayz_provider_scrape_errors"
        }

        assert exposed == sent(receiver.metrics)
    assert 1 < len(worn)
    assert 1 == len(starts)
    assert (6, 0 not in starts) == (exposed["gatewayz_provider_scrape_errors_total", frozenset()], True)


def test_large_fleet_is_sent_whole(receiver: OtlpReceiver) -> None:
    """Beyond the SDK's limit of 2000 sets no provider is folded into another, in requests of bounded size."""
    metrics = Metrics(Resource.create(), exporter=otlp_exporter())

    exposed = published(metrics.collect(fleet(0, 2_100)))
    metrics.push()
    metrics.shutdown()

    assert len(exposed) > 3 * POINTS_A_REQUEST
    assert exposed == sent(receiver.metrics)
    assert math.ceil(len(exposed) / POINTS_A_REQUEST) == receiver.paths.count("/v1/metrics")
    assert max(int(headers["Content-Length"]) for headers in receiver.headers) < 4 * 1024 * 1024


def test_temporality_and_aggregation(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's variables decide what is sent, and nothing of that is seen on /metrics."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"
    )
    metrics = Metrics(Resource.create(), exporter=otlp_exporter())
    counts = []
    for _ in range(2):
        receiver.metrics.clear()
        metrics.events.fetched(*fetched())
        exposed = published(metrics.collect(Snapshot()))
        metrics.push()
        metrics._sender.finish()
        (part,) = receiver.metrics
        pushed = {metric.name: metric for metric in part.scope_metrics[0].metrics}
        (point,) = pushed["gatewayz_provider_scrape_errors"].sum.data_points
        counts.append((exposed["gatewayz_provider_scrape_errors_total", frozenset()], point.as_int))

    assert [(1, 1), (2, 1)] == counts
    assert "exponential_histogram" == pushed["gatewayz_exporter_fetch_duration_seconds"].WhichOneof("data")
    assert "gatewayz_exporter_fetch_duration_seconds_bucket" in {name for name, _ in exposed}


def test_shutdown_is_bounded(settings_for: Callable[..., Settings], clock: MovedClock) -> None:
    """A receiver that never answers holds the end of the process for no longer than it is given."""
    with OtlpReceiver(silent=True) as receiver:
        settings = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_METRICS_EXPORTER="otlp")
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
        try:
            with rig(settings, clock, export=False) as exporting:
                exporting.poller.poll_once()
                begun = time.monotonic()
                exporting.telemetry.shutdown(1.0)
                took = time.monotonic() - begun
        finally:
            del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]

    assert took < 3


def test_without_traces_logs_have_no_ids(settings_for: Callable[..., Settings], clock: MovedClock) -> None:
    """With OTEL_SDK_DISABLED there are no spans and so no ids, while the metrics are all there."""
    with rig(settings_for(OTEL_SDK_DISABLED="true"), clock, export=False) as disabled:
        disabled.poller.poll_once()

        assert "trace_id" not in disabled.lines()[0]
        assert 40 == disabled.value("gatewayz_providers_total")


def test_without_endpoint_logs_have_ids(settings_for: Callable[..., Settings], clock: MovedClock) -> None:
    """Without an endpoint nothing leaves, but the tracer runs so that records can be told apart by poll."""
    with rig(settings_for(), clock, export=False) as quiet:
        quiet.poller.poll_once()
        quiet.poller.poll_once()

        ids = {line["trace_id"] for line in quiet.lines()}
        assert 2 == len(ids)
        assert None is quiet.telemetry.logger_provider


@pytest.mark.parametrize("export", [True, False])
def test_gateway_learns_of_traces_that_leave(
    settings_for: Callable[..., Settings], clock: MovedClock, gateway: ReplayGateway, export: bool
) -> None:
    """A request carries the trace's id where spans leave, and is not even traced where they do not."""
    with rig(settings_for(), clock, export=export) as running:
        running.poller.poll_once()

    assert {export} == {"traceparent" in asked.headers for asked in gateway.asked}


def test_clock_that_jumps_during_a_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both collections end well though the machine's date jumps by an hour whenever it is looked at."""
    dates = count(0, 3600 * 10**9)
    monkeypatch.setattr(
        "opentelemetry.sdk.metrics._internal.measurement_consumer.time_ns", lambda: next(dates)
    )
    peer = Held()
    peer.let_go.set()
    metrics = Metrics(Resource.create(), exporter=peer)

    families = {family.name: family for family in metrics.collect(fleet(0, 3))}
    metrics.push()
    metrics.shutdown()

    assert [3] == peer.values("gatewayz_providers_listed")
    assert next(dates) > 3600 * 10**9
    assert 3 == len(families["gatewayz_provider_health_status"].samples)


def test_grpc_is_imported_only_when_asked_for() -> None:
    """Importing the program does not import gRPC, which takes time and memory."""
    code = "import exporter.app, sys; print([name for name in sys.modules if name.startswith('grpc')])"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == result.stdout.strip()


def test_grpc_exporters(
    settings_for: Callable[..., Settings], clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the protocol grpc all exporters are the gRPC ones, and a dead receiver disturbs nothing."""
    # Else they try again long after this test.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    settings = settings_for(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_METRICS_EXPORTER="otlp",
    )
    with rig(settings, clock, export=False) as exporting:
        exporting.poller.poll_once()

        assert "grpc" in type(exporting.telemetry._spans._exporter).__module__
        assert "grpc" in type(exporting.telemetry.metrics._exporter._exporter).__module__
        assert 40 == exporting.value("gatewayz_providers_total")
        exporting.telemetry.shutdown(0.5)
