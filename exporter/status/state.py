"""All that pages and documents are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from exporter.model.history import History
from exporter.model.provider import Provider
from exporter.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Past:
    """What a Prometheus has kept of the providers."""

    uptimes: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: MappingProxyType({}))
    """Shares by window (`24h`, `14d`, `30d`; shortest first) and slug."""
    problem: str = ""
    """Why it could not be read the last time; empty if it could."""


NO_PAST = Past()


class Precision(Enum):
    """How exactly the beginning of a health is known."""

    EXACT = "exact"
    SLOT = "slot"
    """To a slot of the history."""
    BEFORE = "before"
    """It began before that time."""


@dataclass(frozen=True, slots=True)
class Since:
    """When a provider's health began."""

    date: float
    """Unix time."""
    precision: Precision


@dataclass(frozen=True, slots=True)
class State:
    """The current snapshot, and what is known beside it."""

    snapshot: Snapshot
    history: History
    date: float
    """Unix time for ages."""
    overdue: bool = False
    """The poll loop hangs or has died."""
    past: Past = NO_PAST

    def provider(self, slug: str) -> Provider | None:
        """Return a listed provider; None if it is not listed."""
        return next((each for each in self.snapshot.providers or () if each.slug == slug), None)

    def since(self, provider: Provider) -> Since:
        """Return when the health of a listed provider began."""
        exact = self.snapshot.health_since.get(provider.slug)
        if exact is not None:
            return Since(exact, Precision.EXACT)
        earlier = self.history.earlier(provider.slug)
        if earlier is None or earlier.health is not provider.health:
            return Since(self.history.start, Precision.BEFORE)
        return Since(earlier.since, Precision.SLOT if earlier.began else Precision.BEFORE)

    def long_uptimes(self, slug: str) -> Mapping[str, float]:
        """Return the uptimes of a provider in Prometheus, by window."""
        return {window: shares[slug] for window, shares in self.past.uptimes.items() if slug in shares}
