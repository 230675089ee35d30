"""Tests of `exporter.transport`."""
