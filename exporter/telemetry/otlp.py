"""OTLP exporters for traces, logs and metrics, by gRPC or HTTP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace.export import SpanExporter

from exporter.transport.session import ProxiedSession

if TYPE_CHECKING:
    from opentelemetry.sdk._logs.export import LogRecordExporter

MAX_POINTS = 4_000
"""Keeps requests below the usual limit of collectors (4 MiB by gRPC), even with the longest labels."""
CREDENTIAL_PROVIDER = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}CREDENTIAL_PROVIDER"


def span_exporter(protocol: str | None) -> SpanExporter | None:
    """Return a span exporter for `grpc` or `http/protobuf`; None without a protocol."""
    if protocol is None:
        return None
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(session=_session("TRACES"))


def log_exporter(protocol: str | None) -> LogRecordExporter | None:
    """Return a log exporter for `grpc` or `http/protobuf`; None without a protocol."""
    if protocol is None:
        return None
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter(session=_session("LOGS"))


def metric_exporter(protocol: str | None) -> MetricExporter | None:
    """Return a metric exporter for `grpc` or `http/protobuf`; None without a protocol."""
    if protocol is None:
        return None
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

        return GrpcExporter(max_export_batch_size=MAX_POINTS)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(max_export_batch_size=MAX_POINTS, session=_session("METRICS"))


def _session(signal: str) -> ProxiedSession | None:
    """Return a session without the certificates and passwords that are meant for the gateway.

    None if a credential provider is configured: the SDK then uses the provider's session.
    """
    names = (CREDENTIAL_PROVIDER.format(part) for part in ("", f"{signal}_"))
    return None if any(map(os.environ.get, names)) else ProxiedSession()
