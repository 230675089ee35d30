"""Prometheus exporter for the providers of an AI gateway, built on OpenTelemetry."""

SERVICE_NAME = "provider-metrics-exporter"
SCOPE = "exporter"
"""Name of the instrumentation scope."""

__version__ = "0.1.0"
