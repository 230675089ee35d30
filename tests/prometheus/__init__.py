"""Tests of `exporter.prometheus`."""
