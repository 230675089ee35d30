"""Tests of `exporter.webconfig`."""
