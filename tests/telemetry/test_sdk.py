"""Tests of `exporter.telemetry.sdk`: which signals are exported, and shutdown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExportResult
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
from tests.waiting import wait_until

SettingsFor = Callable[..., Settings]
NOTHING = TelemetrySettings(None, None, None, (), traced=True)
"""No signal is exported."""


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
    telemetry = Telemetry(NOTHING, metric_exporter=peer)
    telemetry.metrics.push()
    threading.Timer(0.2, peer.release.set).start()

    telemetry.shutdown(10)

    assert (1, True) == (len(peer.received), peer.is_shut_down)


def test_shutdown_is_limited(
    settings_for: SettingsFor, clock: MovedClock, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that never answers delays shutdown by no more than its time limit."""
    before = set(threading.enumerate())
    receiver.silent = True
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "4")
    settings = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_METRICS_EXPORTER="otlp")
    with rig(settings, clock, export=False) as exporting:
        exporting.poller.poll_once()
        begun = time.monotonic()
        exporting.telemetry.shutdown(1.0)

        assert time.monotonic() - begun < 3

    receiver.stop()
    # They try again, which takes from the random numbers that property tests of this process guard.
    assert wait_until(lambda: set(threading.enumerate()) <= before)


def test_failed_exports_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failed export is counted by signal, whether it returns a failure or raises an error."""

    def fail(*_: object) -> None:
        raise OSError("no route to the collector")

    monkeypatch.setattr(InMemorySpanExporter, "export", lambda *_: SpanExportResult.FAILURE)
    monkeypatch.setattr(InMemoryLogRecordExporter, "export", fail)
    monkeypatch.setattr(MemoryExporter, "export", lambda *_, **__: MetricExportResult.FAILURE)
    logs = InMemoryLogRecordExporter()
    telemetry = Telemetry(NOTHING, InMemorySpanExporter(), logs, MemoryExporter())
    telemetry.tracer.start_span("x").end()
    assert telemetry.logger_provider
    telemetry.logger_provider.get_logger("x").emit(body="x")
    telemetry.metrics.push()
    telemetry.shutdown(5)

    name = "gatewayz_exporter_telemetry_failures_total"
    series = exposed(telemetry.metrics.collect(Snapshot()))
    assert {"traces": 1.0, "logs": 1.0, "metrics": 1.0} == {
        dict(labels)["signal"]: value for (found, labels), value in series.items() if found == name
    }


def test_sdk_disabled(settings_for: SettingsFor, clock: MovedClock) -> None:
    """With OTEL_SDK_DISABLED records have no trace id; metrics are complete."""
    with rig(settings_for(OTEL_SDK_DISABLED="true"), clock, export=False) as disabled:
        disabled.poller.poll_once()

        assert "trace_id" not in disabled.lines()[0]
        assert 40 == disabled.value("gatewayz_providers_total")


@pytest.mark.parametrize("export", [True, False])
def test_trace_context_of_requests(
    settings_for: SettingsFor, clock: MovedClock, gateway: ReplayGateway, export: bool
) -> None:
    """Requests to the gateway have a `traceparent` header only if spans are exported."""
    with rig(settings_for(), clock, export=export) as running:
        running.poller.poll_once()

    assert {export} == {"traceparent" in asked.headers for asked in gateway.asked}
