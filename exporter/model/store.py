"""The store of the last good answers, from which each snapshot is made."""

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
