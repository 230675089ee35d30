"""Tests of `exporter.telemetry.otlp`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from exporter.config.settings import TelemetrySettings
from exporter.telemetry import otlp
from exporter.telemetry.sdk import Telemetry
from exporter.transport.session import ProxiedSession
from tests.faults.certificates import Tls, server_contexts, write_authority
from tests.otlp import OtlpReceiver

HTTP = "http/protobuf"


def test_settings_of_the_gateway_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All signals use the certificate and headers of OTLP, and ignore netrc and REQUESTS_CA_BUNDLE."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    with OtlpReceiver(tls=server_contexts()[Tls.GOOD]) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(write_authority(tmp_path / "ca.pem")))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20mine")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        telemetry = Telemetry(TelemetrySettings(HTTP, HTTP, HTTP, (receiver.url,), traced=True))
        telemetry.tracer.start_span("one").end()
        assert telemetry.logger_provider is not None
        telemetry.logger_provider.get_logger("test").emit(body="one")
        telemetry.metrics.push()
        telemetry.shutdown(20)

    headers = [{name.lower(): value for name, value in each.items()} for each in receiver.headers]
    assert {"/v1/traces", "/v1/logs", "/v1/metrics"} == set(receiver.paths)
    assert {"Bearer mine"} == {each["authorization"] for each in headers}


@pytest.mark.parametrize("part", ["", "LOGS_"])
def test_credential_provider(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a credential provider the SDK uses the session of that provider."""
    assert isinstance(otlp._session("LOGS"), ProxiedSession)
    monkeypatch.setenv(f"OTEL_PYTHON_EXPORTER_OTLP_HTTP_{part}CREDENTIAL_PROVIDER", "cloud")

    assert None is otlp._session("LOGS")


@pytest.mark.parametrize("make", [otlp.span_exporter, otlp.log_exporter, otlp.metric_exporter])
def test_protocol(make: Callable[[str | None], object | None]) -> None:
    """The protocol selects the exporter; without a protocol there is none."""
    assert ".grpc." in type(make("grpc")).__module__
    assert ".http." in type(make(HTTP)).__module__
    assert None is make(None)
