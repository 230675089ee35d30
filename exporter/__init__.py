"""Prometheus exporter for the providers of an AI gateway, built on OpenTelemetry."""

SERVICE_NAME = "provider-metrics-exporter"

__version__ = "0.1.0"
