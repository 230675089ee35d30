"""The snapshot: the state of the gateway at one moment, in frozen values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from exporter.errors import Outcome
from exporter.model.custom import NO_READINGS, CustomReadings
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Answer, Provider, ProviderStats


@dataclass(frozen=True, slots=True)
class Fetch:
    """One fetch of an endpoint: an answer, or the outcome of a failure."""

    endpoint: Endpoint
    outcome: Outcome
    answer: Answer | None
    hint: str = ""
    status: int | None = None
    attempts: int = 0
    request_id: str | None = None
    duration_seconds: float = 0.0
    custom: CustomReadings = field(default_factory=lambda: NO_READINGS)
    """Values of custom metrics in the answer."""


@dataclass(frozen=True, slots=True)
class Poll:
    """One poll of both endpoints."""

    date: float
    """Unix time of the start."""
    duration_seconds: float
    trace_id: int
    span_id: int
    fetches: tuple[Fetch, ...]

    @property
    def succeeded(self) -> bool:
        """Whether both fetches succeeded."""
        return all(fetch.outcome is Outcome.OK for fetch in self.fetches)


@dataclass(frozen=True, slots=True)
class Timing:
    """Timing settings in seconds. They are published, so that rules and dashboards can use them.

    The defaults are those of the settings.
    """

    poll_interval: float = 60.0
    stale_after: float = 180.0
    fetch_timeout: float = 10.0
    health_check_overdue: float = 3600.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the gateway that the metrics and the status page publish."""

    providers: tuple[Provider, ...] | None = None
    """None before the first list, and when the list is stale."""
    stats: ProviderStats | None = None
    """None before the first counts, and when the counts are stale."""
    invalid_fields: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    health_since: Mapping[str, float | None] = field(default_factory=lambda: MappingProxyType({}))
    """By slug, the Unix time at which the current health was first listed; None if it never changed."""
    last_success: Mapping[Endpoint, float] = field(default_factory=lambda: MappingProxyType({}))
    """Unix time of the last successful fetch; remains when the data are stale."""
    failing_since: Mapping[Endpoint, float] = field(default_factory=lambda: MappingProxyType({}))
    """Unix time of the first of the consecutive failed fetches of an endpoint, if the last one failed."""
    last_update: float | None = None
    """Unix time of the last successful poll; remains when the data are stale."""
    last_poll: Poll | None = None
    stale_at: float = math.inf
    """Age at which the next of these data go stale."""
    custom: CustomReadings = field(default_factory=lambda: NO_READINGS)
    """All defined custom metrics; those without values, or with stale ones, have no series."""
    timing: Timing = Timing()

    @property
    def up(self) -> bool:
        """Whether the last poll succeeded."""
        return self.last_poll is not None and self.last_poll.succeeded

    @property
    def complete(self) -> bool:
        """Whether both list and counts are fresh."""
        return self.providers is not None and self.stats is not None

    def is_overdue(self, provider: Provider) -> bool:
        """Return whether the provider's last health check was too old when the list was fetched.

        The current time would make checks look older until the next poll.
        """
        listed = self.last_success.get(Endpoint.PROVIDERS)
        return listed is not None and provider.is_overdue(listed, self.timing.health_check_overdue)
