"""Tests of `exporter.model.snapshot`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from exporter.config.settings import load_settings
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Provider
from exporter.model.snapshot import Snapshot, Timing
from tests.clocks import START_DATE
from tests.model.answers import NO_COUNTS


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


def test_complete() -> None:
    """A snapshot is complete with list and counts, even empty ones."""
    snapshots = (Snapshot(), Snapshot(providers=()), Snapshot(stats=NO_COUNTS))

    assert [False] * 3 == [snapshot.complete for snapshot in snapshots]
    assert Snapshot(providers=(), stats=NO_COUNTS).complete
