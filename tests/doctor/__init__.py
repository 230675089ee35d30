"""Tests of `exporter.doctor`."""
