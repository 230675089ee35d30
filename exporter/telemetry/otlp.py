"""OTLP exporters for traces, logs and metrics, by gRPC or HTTP."""

from __future__ import annotations

import os

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace.export import SpanExporter

from exporter.transport.session import ProxiedSession

POINTS_A_REQUEST = 4_000
"""So that a request stays below what collectors take, 4 MiB by gRPC, even with the longest labels."""
CREDENTIAL_PROVIDER = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}CREDENTIAL_PROVIDER"


def span_exporter(protocol: str | None) -> SpanExporter | None:
    """Return an exporter of spans by `grpc` or `http/protobuf`, None without a protocol."""
    if protocol is None:
        return None
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(session=_session("TRACES"))


def log_exporter(protocol: str | None) -> LogRecordExporter | None:
    """Return an exporter of log records by `grpc` or `http/protobuf`, None without a protocol."""
    if protocol is None:
        return None
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter(session=_session("LOGS"))


def metric_exporter(protocol: str | None) -> MetricExporter | None:
    """Return an exporter of metrics by `grpc` or `http/protobuf`, None without a protocol."""
    if protocol is None:
        return None
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

        return GrpcExporter(max_export_batch_size=POINTS_A_REQUEST)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(max_export_batch_size=POINTS_A_REQUEST, session=_session("METRICS"))


def _session(signal: str) -> ProxiedSession | None:
    """Return a session that certificates and passwords for the gateway do not reach.

    None where a credential provider is configured: the SDK then uses the session of that provider.
    """
    names = (CREDENTIAL_PROVIDER.format(part) for part in ("", f"{signal}_"))
    return None if any(map(os.environ.get, names)) else ProxiedSession()
