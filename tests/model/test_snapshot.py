"""Tests of `exporter.model.snapshot`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from exporter.config.settings import load_settings
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Provider, ProviderList, ProviderStats
from exporter.model.snapshot import Snapshot, Timing
from tests.clocks import START_DATE
from tests.model.answers import COUNTS, LISTED, NO_COUNTS, poll_of


def test_overdue_when_listed() -> None:
    """A check is overdue by its age when the list was fetched; without a list it is not."""
    provider = Provider("a", last_health_check=START_DATE - 3500)
    snapshot = Snapshot(providers=(provider,), last_success={Endpoint.PROVIDERS: START_DATE})

    assert not snapshot.is_overdue(provider)
    assert dataclasses.replace(snapshot, timing=Timing(health_check_overdue=3499)).is_overdue(provider)
    assert not Snapshot(providers=(provider,)).is_overdue(provider)


def test_default_timing() -> None:
    """The default timing is that of the settings."""
    settings = load_settings({"GATEWAY_API_URL": "https://gateway.example", "ADMIN_KEY": "test-admin-key"})

    assert Timing() == Timing(
        settings.interval, settings.stale_after, settings.fetch_timeout, settings.health_check_overdue
    )


def test_snapshot_is_frozen() -> None:
    """A snapshot cannot be changed."""
    snapshot: Any = Snapshot()

    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.providers = ()


@pytest.mark.parametrize(
    ("providers", "stats", "succeeded"),
    [(LISTED, COUNTS, True), (LISTED, None, False), (None, COUNTS, False), (None, None, False)],
    ids=["both", "list only", "counts only", "none"],
)
def test_up(providers: ProviderList | None, stats: ProviderStats | None, succeeded: bool) -> None:
    """The gateway is up if both fetches of the last poll succeeded."""
    poll = poll_of(providers, stats)

    assert succeeded is poll.succeeded
    assert succeeded is Snapshot(last_poll=poll).up
    assert not Snapshot().up


@pytest.mark.parametrize(
    ("snapshot", "complete"),
    [
        (Snapshot(), False),
        (Snapshot(providers=()), False),
        (Snapshot(stats=NO_COUNTS), False),
        (Snapshot(providers=(), stats=NO_COUNTS), True),
    ],
    ids=["nothing", "list", "counts", "both, empty"],
)
def test_complete(snapshot: Snapshot, complete: bool) -> None:
    """A snapshot is complete with list and counts, even empty ones."""
    assert complete is snapshot.complete
