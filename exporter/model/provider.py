"""Answers of the gateway as frozen values: the list of providers and the counts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""An integer that a float represents exactly."""


class HealthStatus(IntEnum):
    """Health of a provider; the number is the value of `gatewayz_provider_health_status`."""

    UNKNOWN = 0
    HEALTHY = 1
    DEGRADED = 2
    DOWN = 3

    @property
    def label(self) -> str:
        """Word for it in the gateway's JSON and in the label `state`."""
        return self.name.lower()

    @property
    def severity(self) -> int:
        """Position from best to worst; unknown is between healthy and degraded."""
        return SEVERITY.index(self)


SEVERITY = (HealthStatus.HEALTHY, HealthStatus.UNKNOWN, HealthStatus.DEGRADED, HealthStatus.DOWN)


class Provider(msgspec.Struct, frozen=True):
    """One row of the gateway's list; None if the gateway has no value."""

    slug: str
    name: str = ""
    id: str = ""
    health: HealthStatus = HealthStatus.UNKNOWN
    is_active: bool | None = None
    supports_streaming: bool | None = None
    supports_function_calling: bool | None = None
    supports_vision: bool | None = None
    supports_image_generation: bool | None = None
    response_time_ms: float | None = None
    last_health_check: float | None = None
    """Unix seconds."""
    site_url: str = ""
    """An http(s) URL, as the next one; empty if there is none."""
    status_page_url: str = ""
    published: tuple[float | None, ...] = ()
    """Values of the fields that are only published, in the order of `PUBLISHED_ONLY`."""

    def is_overdue(self, date: float, limit: float) -> bool:
        """Return whether the last health check of a provider is too old, unless it is inactive or has none.

        Args:
            date: Unix time of the list.
            limit: Largest age in seconds that is not overdue.
        """
        if self.is_active is False or self.last_health_check is None:
            return False
        return date - self.last_health_check > limit


CAPABILITIES = (
    ("streaming", "supports_streaming"),
    ("functions", "supports_function_calling"),
    ("vision", "supports_vision"),
    ("images", "supports_image_generation"),
)
"""Name of each capability, and its attribute of `Provider`."""


class ProviderList(msgspec.Struct, frozen=True):
    """A decoded list, and the number of invalid values by field."""

    providers: tuple[Provider, ...]
    rows: int
    """Length of the array, invalid rows included."""
    invalid_fields: Mapping[str, int]

    @property
    def is_empty(self) -> bool:
        """Whether the array is empty."""
        return self.rows == 0


class ProviderStats(msgspec.Struct, frozen=True):
    """The seven counts of the gateway, inactive providers included."""

    total: Count
    active: Count
    inactive: Count
    healthy: Count
    degraded: Count
    down: Count
    unknown: Count

    @property
    def is_empty(self) -> bool:
        """Whether the gateway counts no providers."""
        return self.total == 0


Answer = ProviderList | ProviderStats
