"""Tests of `exporter.model`."""
