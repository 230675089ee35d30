"""Tests of `exporter.telemetry.sdk`: which signals are exported, and shutdown."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from exporter import SCOPE, SERVICE_NAME, __version__
from exporter.config.settings import Settings, TelemetrySettings
from exporter.model.snapshot import Snapshot
from exporter.telemetry import otlp
from exporter.telemetry.sdk import Telemetry
from tests.clocks import MovedClock
from tests.metrics.peers import MemoryExporter, exposed, pushed
from tests.otlp import OtlpReceiver
from tests.replay import ReplayGateway
from tests.rig import rig

SettingsFor = Callable[..., Settings]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    """A receiver for all exported signals."""
    with OtlpReceiver() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


def test_traces_and_logs(settings_for: SettingsFor, clock: MovedClock, receiver: OtlpReceiver) -> None:
    """With an endpoint spans and records are exported with the same trace id; metrics are not."""
    with rig(settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url), clock, export=False) as exporting:
        exporting.poller.poll_once()

    (poll,) = [span for span in receiver.spans if span.name == "poll"]
    (record,) = receiver.records
    body = json.loads(record.body.string_value)
    assert {"/v1/traces", "/v1/logs"} == set(receiver.paths)
    assert (poll.trace_id, poll.trace_id.hex()) == (record.trace_id, body["trace_id"])
    assert [] == list(record.attributes)
    assert {"poll", "convert", "publish", "GET", "fetch /providers", "fetch /providers/stats"} == {
        span.name for span in receiver.spans
    }


def test_metrics(settings_for: SettingsFor, clock: MovedClock, receiver: OtlpReceiver) -> None:
    """Each publication is pushed with the same series as the exposition, even when data go stale."""
    settings = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_METRICS_EXPORTER="otlp")
    with rig(settings, clock, export=False) as exporting:

        def check() -> None:
            exporting.telemetry.metrics._sender.finish()
            assert exposed(text_string_to_metric_families(exporting.text)) == pushed(receiver.metrics)

        for _ in range(2):
            receiver.metrics.clear()
            exporting.poller.poll_once()
            check()
            assert len(pushed(receiver.metrics)) > 500
        receiver.metrics.clear()
        clock.sleep(settings.stale_after)
        exporting.poller.publish()
        check()
        assert {} == exporting.series("gatewayz_provider_health_status")

    (part,) = receiver.metrics
    resource = {item.key: item.value.string_value for item in part.resource.attributes}
    (scope,) = part.scope_metrics
    assert SERVICE_NAME == resource["service.name"]
    assert (SCOPE, __version__) == (scope.scope.name, scope.scope.version)
    assert {""} == {metric.unit for metric in scope.metrics}
    assert 3 == receiver.paths.count("/v1/metrics")


def test_push_is_not_traced(receiver: OtlpReceiver) -> None:
    """A push creates no span, even if its URL is not excluded."""
    spans = InMemorySpanExporter()
    settings = TelemetrySettings("http/protobuf", None, None, (), traced=True)
    telemetry = Telemetry(settings, spans, metric_exporter=otlp.metric_exporter("http/protobuf"))

    telemetry.metrics.push()
    telemetry.shutdown(5)

    assert ["/v1/metrics"] == receiver.paths
    assert () == spans.get_finished_spans()


def test_shutdown_waits_for_the_push() -> None:
    """Shutdown waits for the running push, then shuts the exporter down."""
    peer = MemoryExporter(blocked=True)
    telemetry = Telemetry(TelemetrySettings(None, None, None, (), traced=False), metric_exporter=peer)
    telemetry.metrics.push()
    threading.Timer(0.2, peer.release.set).start()

    telemetry.shutdown(10)

    assert (1, True) == (len(peer.received), peer.is_shut_down)


def test_shutdown_is_limited(
    settings_for: SettingsFor, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that never answers delays shutdown by no more than its time limit."""
    with OtlpReceiver(silent=True) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        settings = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_METRICS_EXPORTER="otlp")
        with rig(settings, clock, export=False) as exporting:
            exporting.poller.poll_once()
            begun = time.monotonic()
            exporting.telemetry.shutdown(1.0)
            took = time.monotonic() - begun

    assert took < 3


class FailingSpans(InMemorySpanExporter):
    """Fails with a result."""

    def export(self, spans: object) -> SpanExportResult:
        """Return a failure."""
        return SpanExportResult.FAILURE


class FailingLogs(InMemoryLogRecordExporter):
    """Fails with an exception."""

    def export(self, batch: object) -> Any:
        """Raise an error."""
        raise OSError("no route to the collector")


class FailingMetrics(MemoryExporter):
    """Fails with a result."""

    def export(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> MetricExportResult:
        """Return a failure."""
        return MetricExportResult.FAILURE


def test_failed_exports_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Each failed export is counted by signal."""
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
    telemetry.shutdown(5)

    series = exposed(telemetry.metrics.collect(Snapshot()))
    assert {"traces": 1.0, "logs": 1.0, "metrics": 1.0} == {
        dict(labels)["signal"]: value
        for (name, labels), value in series.items()
        if name == "gatewayz_exporter_telemetry_failures_total"
    }


def test_sdk_disabled(settings_for: SettingsFor, clock: MovedClock) -> None:
    """With OTEL_SDK_DISABLED records have no trace id; metrics are complete."""
    with rig(settings_for(OTEL_SDK_DISABLED="true"), clock, export=False) as disabled:
        disabled.poller.poll_once()

        assert "trace_id" not in disabled.lines()[0]
        assert 40 == disabled.value("gatewayz_providers_total")


def test_no_endpoint(settings_for: SettingsFor, clock: MovedClock) -> None:
    """Without an endpoint nothing is exported, but records have the trace id of their poll."""
    with rig(settings_for(), clock, export=False) as quiet:
        quiet.poller.poll_once()
        quiet.poller.poll_once()

        assert 2 == len({line["trace_id"] for line in quiet.lines()})
        assert None is quiet.telemetry.logger_provider


@pytest.mark.parametrize("export", [True, False])
def test_trace_context_of_requests(
    settings_for: SettingsFor, clock: MovedClock, gateway: ReplayGateway, export: bool
) -> None:
    """Requests to the gateway have a `traceparent` header only if spans are exported."""
    with rig(settings_for(), clock, export=export) as running:
        running.poller.poll_once()

    assert {export} == {"traceparent" in asked.headers for asked in gateway.asked}


def test_dead_grpc_receiver(
    settings_for: SettingsFor, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gRPC receiver that is down does not affect polls."""
    # Otherwise the exporters retry long after this test.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    settings = settings_for(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_METRICS_EXPORTER="otlp",
    )
    with rig(settings, clock, export=False) as exporting:
        exporting.poller.poll_once()

        assert "grpc" in type(exporting.telemetry._spans._exporter).__module__
        assert 40 == exporting.value("gatewayz_providers_total")
        exporting.telemetry.shutdown(0.5)
