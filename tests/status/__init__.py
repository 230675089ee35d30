"""Tests of `exporter.status`."""
