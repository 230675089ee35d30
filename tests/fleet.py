"""Snapshots for tests of what is said of them."""

from __future__ import annotations

from exporter.errors import Outcome
from exporter.model.endpoints import Endpoint
from exporter.model.provider import HealthStatus, Provider, ProviderStats
from exporter.model.snapshot import Fetch, Poll, Snapshot

NOW = 1_782_907_386.0
"""2026-07-01 12:03:06 UTC."""


def provider(
    slug: str, health: object = HealthStatus.HEALTHY, age: float | None = 5, **values: object
) -> Provider:
    """Return an active provider, whose last health check was `age` seconds ago."""
    checked = None if age is None else NOW - age
    usual = {"name": slug.title(), "health": health, "is_active": True, "last_health_check": checked}
    return Provider(slug, **{**usual, **values})  # type: ignore[arg-type]


def fetch(endpoint: Endpoint, outcome: Outcome = Outcome.OK, **values: object) -> Fetch:
    """Return a fetch that took a quarter of a second."""
    usual: dict[str, object] = {"status": 200, "attempts": 1, "duration_seconds": 0.25}
    return Fetch(endpoint, outcome, None, **{**usual, **values})  # type: ignore[arg-type]


def poll_of(*fetches: Fetch) -> Poll:
    """Return a poll that started four seconds ago."""
    return Poll(NOW - 4, 1.25, 0xABC, 0xDEF, fetches)


def poll(providers: str = "ok", stats: str = "ok") -> Poll:
    """Return a poll with these outcomes."""
    return poll_of(fetch(Endpoint.PROVIDERS, Outcome(providers)), fetch(Endpoint.STATS, Outcome(stats)))


def snapshot_of(*providers: Provider, **values: object) -> Snapshot:
    """Return a snapshot with these providers, by default after a successful poll."""
    usual: dict[str, object] = {
        "providers": providers,
        "stats": ProviderStats(1234, 1, 2, 3, 4, 5, 6),
        "last_success": dict.fromkeys(Endpoint, NOW - 3),
        "last_update": NOW - 3,
        "last_poll": poll(),
    }
    return Snapshot(**{**usual, **values})  # type: ignore[arg-type]


def after(providers: str, stats: str) -> Snapshot:
    """Return a snapshot with a healthy provider after a poll with these outcomes."""
    return snapshot_of(HEALTHY, last_poll=poll(providers, stats))


HEALTHY = provider("calm")
FLEET = snapshot_of(HEALTHY)
WAITING = Snapshot()
MISSING = Snapshot(last_poll=poll("forbidden", "forbidden"))
STALE = Snapshot(last_success=dict.fromkeys(Endpoint, NOW - 400), last_poll=poll("timeout", "connect"))
EMPTY = snapshot_of()
