"""Tests of `exporter.model.endpoints`."""

from __future__ import annotations

import pytest

from exporter.model.endpoints import Endpoint


@pytest.mark.parametrize(
    ("endpoint", "label", "path", "query", "mebibytes"),
    [
        (Endpoint.PROVIDERS, "providers", "/providers", "include_inactive=true", 64),
        (Endpoint.STATS, "stats", "/providers/stats", "", 1),
    ],
    ids=["providers", "stats"],
)
def test_endpoint(endpoint: Endpoint, label: str, path: str, query: str, mebibytes: int) -> None:
    """Label, path, query and size limit are those of the contract."""
    actual = (endpoint.value, endpoint.path, endpoint.query, endpoint.max_bytes)

    assert (label, path, query, mebibytes * 1_048_576) == actual
