"""The two endpoints are where the gateway's contract has them."""

from __future__ import annotations

import pytest

from exporter.model.endpoints import MEBIBYTE, ROUTES, Endpoint


@pytest.mark.parametrize(
    ("endpoint", "label", "path", "query", "mebibytes"),
    [
        (Endpoint.PROVIDERS, "providers", "/providers", "include_inactive=true", 64),
        (Endpoint.STATS, "stats", "/providers/stats", "", 1),
    ],
    ids=["providers", "stats"],
)
def test_endpoint(endpoint: Endpoint, label: str, path: str, query: str, mebibytes: int) -> None:
    """An endpoint has the label, path, query and size limit of the design, inactive providers included."""
    actual = (endpoint.value, endpoint.path, endpoint.query, endpoint.max_bytes)

    assert (label, path, query, mebibytes * 1_048_576) == actual


def test_every_endpoint_has_a_route() -> None:
    """There is one route for each endpoint, and none besides."""
    assert list(Endpoint) == list(ROUTES)


def test_mebibyte() -> None:
    """A mebibyte is 2 to the 20th bytes."""
    assert 2**20 == MEBIBYTE
