"""Tests of `exporter.model.endpoints`."""

from __future__ import annotations

from exporter.model.endpoints import MEBIBYTE, Endpoint


def test_endpoints() -> None:
    """Label, path, query and size limit are those of the contract."""
    found = {each.value: (each.path, each.query, each.max_bytes / MEBIBYTE) for each in Endpoint}

    assert ("/providers", "include_inactive=true", 64) == found["providers"]
    assert ("/providers/stats", "", 1) == found["stats"]
