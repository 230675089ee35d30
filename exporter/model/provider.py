"""What the gateway answers: providers, and counts of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A whole number that a sample's double holds exactly."""


class HealthStatus(IntEnum):
    """Health as the gateway reports it; the number is the value of `gatewayz_provider_health_status`."""

    UNKNOWN = 0
    HEALTHY = 1
    DEGRADED = 2
    DOWN = 3

    @property
    def label(self) -> str:
        """The gateway's own word for it, in lower case."""
        return self.name.lower()

    @property
    def severity(self) -> int:
        """Order from best to worst: not knowing is worse than healthy and better than degraded."""
        return SEVERITY.index(self)


SEVERITY = (HealthStatus.HEALTHY, HealthStatus.UNKNOWN, HealthStatus.DEGRADED, HealthStatus.DOWN)


class Provider(msgspec.Struct, frozen=True):
    """One row of the gateway's list; None means that the gateway did not say."""

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

    def is_overdue(self, date: float, limit: float) -> bool:
        """Return whether an active provider's last health check is too old; one without any is not.

        Args:
            date: Unix time at which the gateway listed the provider.
            limit: Seconds between two health checks that are still on time.
        """
        if self.is_active is False or self.last_health_check is None:
            return False
        return date - self.last_health_check > limit


class ProviderList(msgspec.Struct, frozen=True):
    """A decoded list, and how many values of each field had to be left out of it."""

    providers: tuple[Provider, ...]
    rows: int
    """Length of the array, unusable rows included."""
    invalid_fields: Mapping[str, int]

    @property
    def is_empty(self) -> bool:
        """Tell whether the gateway listed nothing at all."""
        return self.rows == 0


class ProviderStats(msgspec.Struct, frozen=True):
    """The seven counts of the gateway, over all rows, inactive ones included."""

    total: Count
    active: Count
    inactive: Count
    healthy: Count
    degraded: Count
    down: Count
    unknown: Count

    @property
    def is_empty(self) -> bool:
        """Tell whether the gateway counted nothing at all."""
        return self.total == 0


Answer = ProviderList | ProviderStats
