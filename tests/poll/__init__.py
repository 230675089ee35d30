"""Tests of `exporter.poll`."""
