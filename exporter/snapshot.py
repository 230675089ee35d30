"""What is known of the gateway: frozen values, and the one place that keeps the current ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType
from typing import Annotated

import msgspec

from exporter.clock import Clock
from exporter.custom.metric import (
    NO_READINGS,
    NO_SERIES,
    CustomMetric,
    CustomMetrics,
    CustomReadings,
    CustomSeries,
)
from exporter.endpoints import Endpoint
from exporter.errors import Outcome

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


@dataclass(frozen=True, slots=True)
class Kept:
    """The last good answer of an endpoint, with the age at which it goes stale."""

    answer: Answer
    stale_at: float
    custom: CustomReadings


class SnapshotStore:
    """Keeps each endpoint's last good answer and derives the current `Snapshot` from them.

    Used by the poller's thread alone; what leaves it is frozen.
    """

    def __init__(self, timing: Timing, clock: Clock) -> None:
        """Start empty; answers older than `timing.stale_after` are left out of snapshots."""
        self._clock = clock
        self._kept: dict[Endpoint, Kept] = {}
        self._custom: CustomMetrics = ()
        self.current = Snapshot(timing=timing)

    def would_lose_data(self, endpoint: Endpoint, answer: Answer) -> bool:
        """Return whether `answer` is empty after one that was not, however old that is.

        The gateway answers like that when its database is down (gateway contract, "Ambiguous answers"). The
        age does not matter: believing the answer later would report that every provider has recovered.
        """
        kept = self._kept.get(endpoint)
        return answer.is_empty and kept is not None and not kept.answer.is_empty

    def define(self, custom: CustomMetrics) -> None:
        """Have these custom metrics in snapshots from now on, and what else was read of them until now."""
        self._custom = custom

    def record(self, poll: Poll) -> Snapshot:
        """Take in the answers of a poll that has just ended, and return the new current snapshot."""
        stale_at = self._clock.age() + self.current.timing.stale_after
        good = {
            fetch.endpoint: Kept(fetch.answer, stale_at, fetch.custom)
            for fetch in poll.fetches
            if fetch.answer is not None
        }
        before = self.known_providers()
        self._kept.update(good)
        date = self._clock.date()
        self.current = replace(
            self.current,
            last_poll=poll,
            last_success=MappingProxyType({**self.current.last_success, **dict.fromkeys(good, date)}),
            last_update=date if poll.succeeded else self.current.last_update,
            health_since=MappingProxyType(self._health_since(before, date)),
        )
        return self.refresh()

    def refresh(self) -> Snapshot:
        """Leave out what has gone stale by now, and return the new current snapshot."""
        providers = self._fresh(Endpoint.PROVIDERS)
        stats = self._fresh(Endpoint.STATS)
        invalid = (
            providers.invalid_fields if isinstance(providers, ProviderList) else self.current.invalid_fields
        )
        self.current = replace(
            self.current,
            providers=providers.providers if isinstance(providers, ProviderList) else None,
            stats=stats if isinstance(stats, ProviderStats) else None,
            invalid_fields=invalid,
            stale_at=self._stale_at(),
            custom=MappingProxyType({metric: self._series(metric) for metric in self._custom}),
        )
        return self.current

    def known_providers(self) -> tuple[Provider, ...] | None:
        """Return the last good list, however old; None before the first."""
        kept = self._kept.get(Endpoint.PROVIDERS)
        return kept.answer.providers if kept and isinstance(kept.answer, ProviderList) else None

    def _fresh(self, endpoint: Endpoint) -> Answer | None:
        kept = self._kept.get(endpoint)
        return kept.answer if kept and self._clock.age() < kept.stale_at else None

    def _series(self, metric: CustomMetric) -> CustomSeries:
        if self._fresh(metric.source) is None:
            return NO_SERIES
        return self._kept[metric.source].custom.get(metric, NO_SERIES)

    def _stale_at(self) -> float:
        ends = (kept.stale_at for kept in self._kept.values())
        return min((end for end in ends if self._clock.age() < end), default=math.inf)

    def _health_since(self, before: Sequence[Provider] | None, date: float) -> dict[str, float | None]:
        known = {provider.slug: provider.health for provider in before or ()}
        since = self.current.health_since
        first = before is None
        return {
            provider.slug: since.get(provider.slug)
            if known.get(provider.slug) is provider.health
            else (None if first else date)
            for provider in self.known_providers() or ()
        }
