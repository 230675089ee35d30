"""The snapshot: everything that is known of the gateway at one moment, in frozen values."""

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
    """One endpoint's turn in a poll: an answer, or the outcome that took its place."""

    endpoint: Endpoint
    outcome: Outcome
    answer: Answer | None
    hint: str = ""
    status: int | None = None
    attempts: int = 0
    request_id: str | None = None
    duration_seconds: float = 0.0
    custom: CustomReadings = field(default_factory=lambda: NO_READINGS)
    """What custom metrics found in the answer."""


@dataclass(frozen=True, slots=True)
class Poll:
    """One cycle of the poller."""

    date: float
    """Unix seconds of its start."""
    duration_seconds: float
    trace_id: int
    span_id: int
    fetches: tuple[Fetch, ...]

    @property
    def succeeded(self) -> bool:
        """Tell whether both endpoints answered well."""
        return all(fetch.outcome is Outcome.OK for fetch in self.fetches)


@dataclass(frozen=True, slots=True)
class Timing:
    """How the exporter is set, in seconds. It is published, so that rules and boards compare with it.

    The defaults are those of the settings.
    """

    poll_interval: float = 60.0
    stale_after: float = 180.0
    fetch_timeout: float = 10.0
    health_check_overdue: float = 3600.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the metrics and the status page say about the gateway, at one moment."""

    providers: tuple[Provider, ...] | None = None
    """None before the first list and after the last one went stale."""
    stats: ProviderStats | None = None
    """None before the first counts and after the last ones went stale."""
    invalid_fields: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    health_since: Mapping[str, float | None] = field(default_factory=lambda: MappingProxyType({}))
    """By slug, the Unix time at which its present health was first seen; None if it always had it."""
    last_success: Mapping[Endpoint, float] = field(default_factory=lambda: MappingProxyType({}))
    """Unix seconds at which the endpoint last answered well; survives staleness."""
    last_update: float | None = None
    """Unix seconds of the last poll in which both endpoints answered well; survives staleness."""
    last_poll: Poll | None = None
    stale_at: float = math.inf
    """Age at which the first of the data here goes stale."""
    custom: CustomReadings = field(default_factory=lambda: NO_READINGS)
    """Of every custom metric that is defined; one without series has found nothing, or that went stale."""
    timing: Timing = Timing()

    @property
    def up(self) -> bool:
        """Tell whether the last poll succeeded on both endpoints."""
        return self.last_poll is not None and self.last_poll.succeeded

    @property
    def complete(self) -> bool:
        """Tell whether list and counts are both there and fresh."""
        return self.providers is not None and self.stats is not None

    def is_overdue(self, provider: Provider) -> bool:
        """Return whether the provider's last health check was too old when the list was fetched.

        The date is that of the list: with polls far apart its checks look older from poll to poll.
        """
        listed = self.last_success.get(Endpoint.PROVIDERS)
        return listed is not None and provider.is_overdue(listed, self.timing.health_check_overdue)
