"""Tests of `exporter.web.page`."""
