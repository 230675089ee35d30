"""Tests of `exporter.gateway`."""
