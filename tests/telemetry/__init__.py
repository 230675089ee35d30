"""Tests of `exporter.telemetry`."""
