"""Tests of `exporter.demo`."""
