"""The order of providers from the worst down."""

from __future__ import annotations

from exporter.model.provider import Provider
from exporter.model.snapshot import Snapshot


def rank(provider: Provider, snapshot: Snapshot) -> tuple[bool, int, bool, str, str]:
    """Return a sort key: worst health first, then overdue ones, then by name; inactive ones last."""
    inactive = provider.is_active is False
    severity = 0 if inactive else provider.health.severity
    name = (provider.name or provider.slug).casefold()
    return (inactive, -severity, not snapshot.is_overdue(provider), name, provider.slug)
