"""Stores the last good answers and derives snapshots from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from exporter.clock import Clock
from exporter.model.custom import NO_SERIES, CustomMetric, CustomMetrics, CustomReadings, CustomSeries
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Answer, Provider, ProviderList, ProviderStats
from exporter.model.snapshot import Poll, Snapshot, Timing


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The last good answer of an endpoint, and the age at which it goes stale."""

    answer: Answer
    stale_at: float
    custom: CustomReadings


class SnapshotStore:
    """Stores the last good answer of each endpoint and derives the current `Snapshot`.

    Must be used in the poll loop's thread only; the snapshots are frozen.
    """

    def __init__(self, timing: Timing, clock: Clock) -> None:
        """Start empty; snapshots omit answers older than `timing.stale_after`."""
        self._clock = clock
        self._stored: dict[Endpoint, StoredAnswer] = {}
        self._custom: CustomMetrics = ()
        self.current = Snapshot(timing=timing)

    def would_lose_data(self, endpoint: Endpoint, answer: Answer) -> bool:
        """Return whether `answer` is empty while the stored one is not.

        The gateway returns empty answers when its database is down (gateway contract, "Ambiguous answers").
        Stale data count as well: accepting the answer later would look like a recovery of all providers.
        """
        stored = self._stored.get(endpoint)
        return answer.is_empty and stored is not None and not stored.answer.is_empty

    def define(self, custom: CustomMetrics) -> None:
        """Set the custom metrics of the following snapshots."""
        self._custom = custom

    def record(self, poll: Poll) -> Snapshot:
        """Store the answers of a poll that has just ended, and return the new snapshot."""
        stale_at = self._clock.age() + self.current.timing.stale_after
        good = {
            fetch.endpoint: StoredAnswer(fetch.answer, stale_at, fetch.custom)
            for fetch in poll.fetches
            if fetch.answer is not None
        }
        before = self.known_providers()
        self._stored.update(good)
        date = self._clock.date()
        self.current = replace(
            self.current,
            last_poll=poll,
            last_success=MappingProxyType({**self.current.last_success, **dict.fromkeys(good, date)}),
            failing_since=MappingProxyType(
                {
                    fetch.endpoint: self.current.failing_since.get(fetch.endpoint, poll.date)
                    for fetch in poll.fetches
                    if fetch.answer is None
                }
            ),
            last_update=date if poll.succeeded else self.current.last_update,
            health_since=MappingProxyType(self._health_since(before, date)),
        )
        return self.refresh()

    def refresh(self) -> Snapshot:
        """Remove stale data, and return the new snapshot."""
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
        """Return the last good list, even if stale; None before the first."""
        stored = self._stored.get(Endpoint.PROVIDERS)
        return stored.answer.providers if stored and isinstance(stored.answer, ProviderList) else None

    def _fresh(self, endpoint: Endpoint) -> Answer | None:
        stored = self._stored.get(endpoint)
        return stored.answer if stored and self._clock.age() < stored.stale_at else None

    def _series(self, metric: CustomMetric) -> CustomSeries:
        if self._fresh(metric.source) is None:
            return NO_SERIES
        return self._stored[metric.source].custom.get(metric, NO_SERIES)

    def _stale_at(self) -> float:
        ends = (stored.stale_at for stored in self._stored.values())
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
