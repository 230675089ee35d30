"""The two endpoints of the gateway that are polled (gateway contract)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

MEBIBYTE = 1024 * 1024


class Endpoint(StrEnum):
    """An endpoint; the value is the label `endpoint`."""

    PROVIDERS = "providers"
    STATS = "stats"

    @property
    def path(self) -> str:
        """Path below `GATEWAY_API_URL`."""
        return ROUTES[self].path

    @property
    def query(self) -> str:
        """Query string without the question mark, possibly empty."""
        return ROUTES[self].query

    @property
    def max_bytes(self) -> int:
        """Size limit of the answer in bytes, after decompression."""
        return ROUTES[self].max_bytes


@dataclass(frozen=True, slots=True)
class Route:
    """Path, query and size limit of an endpoint."""

    path: str
    query: str
    max_bytes: int


ROUTES: Mapping[Endpoint, Route] = MappingProxyType(
    {
        # Without the query the gateway omits inactive providers from the list, but not from the counts.
        Endpoint.PROVIDERS: Route("/providers", "include_inactive=true", 64 * MEBIBYTE),
        Endpoint.STATS: Route("/providers/stats", "", MEBIBYTE),
    }
)
