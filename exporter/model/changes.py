"""Differences between two lists of providers, for the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.model.provider import HealthStatus, Provider


@dataclass(frozen=True, slots=True)
class HealthChange:
    """A provider whose health changed."""

    provider: str
    before: HealthStatus
    after: HealthStatus

    @property
    def is_worse(self) -> bool:
        """Whether the new health is worse."""
        return self.after.severity > self.before.severity


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences that are logged; providers are identified by slug."""

    health: tuple[HealthChange, ...] = ()
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of differences."""
        return len(self.health) + len(self.appeared) + len(self.vanished)


def changes_between(before: Sequence[Provider] | None, after: Sequence[Provider] | None) -> Changes:
    """Compare two lists; without a previous list there are no changes."""
    if before is None or after is None or before is after:
        return Changes()
    old = {provider.slug: provider.health for provider in before}
    new = {provider.slug: provider.health for provider in after}
    return Changes(
        health=tuple(
            HealthChange(slug, old[slug], health)
            for slug, health in new.items()
            if slug in old and old[slug] is not health
        ),
        appeared=tuple(slug for slug in new if slug not in old),
        vanished=tuple(slug for slug in old if slug not in new),
    )
