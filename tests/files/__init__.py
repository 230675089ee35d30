"""Tests of `exporter.files`."""
