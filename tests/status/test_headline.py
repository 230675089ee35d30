"""Tests of `exporter.status.headline`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.model.endpoints import Endpoint
from exporter.model.provider import HealthStatus
from exporter.model.snapshot import Snapshot, Timing
from exporter.status.headline import Headline, Tone, headline, tally
from tests.fleet import (
    EMPTY,
    FLEET,
    HEALTHY,
    MISSING,
    NOW,
    STALE,
    WAITING,
    after,
    poll,
    provider,
    snapshot_of,
)

RUNBOOKS = Path(__file__).parents[2] / "docs/runbooks"
UNKNOWN, DEGRADED, DOWN = HealthStatus.UNKNOWN, HealthStatus.DEGRADED, HealthStatus.DOWN
LOST = "The gateway's list is empty, as when its database is down"
SHOWING = ": showing data from 12:03:03 UTC"
LATE = Timing(health_check_overdue=7200)
FAILING = replace(
    after("dns", "timeout"), failing_since={Endpoint.PROVIDERS: NOW - 120, Endpoint.STATS: NOW - 60}
)
OLD = (provider("a", DOWN, age=9e6), provider("b", age=9e6), provider("c", age=9e6, is_active=False))


@pytest.mark.parametrize(
    ("sentence", "tone", "snapshot"),
    [
        ("All good", "good", FLEET),
        ("1 provider down", "bad", snapshot_of(HEALTHY, provider("a", DOWN))),
        ("2 providers down", "bad", snapshot_of(*map(provider, "abc", (DOWN, DOWN, DEGRADED)))),
        ("1 provider degraded", "warn", snapshot_of(provider("a", DEGRADED))),
        ("1 provider with an overdue health check", "warn", snapshot_of(HEALTHY, provider("a", age=3604))),
        ("Health checks are overdue: 2 of 3 active providers", "warn", snapshot_of(HEALTHY, *OLD)),
        ("All good", "good", snapshot_of(provider("a", age=7000), timing=LATE)),
        ("1 provider of unknown health", "none", snapshot_of(provider("a", UNKNOWN))),
        ("All good", "good", snapshot_of(HEALTHY, provider("a", DOWN, is_active=False))),
        ("No provider is active", "warn", snapshot_of(provider("a", is_active=False))),
        ("The gateway lists no provider", "warn", EMPTY),
        ("No data yet: the first poll is still running", "none", WAITING),
        ("The gateway refuses the admin key: no data", "bad", MISSING),
        ("Gateway unreachable: data are stale, the last list is from 11:56:26 UTC", "bad", STALE),
        (f"{LOST}{SHOWING}", "bad", after("empty", "empty")),
        (f"Gateway unreachable{SHOWING}", "bad", after("dns", "timeout")),
        (f"Gateway unreachable since 12:01:06 UTC{SHOWING}", "bad", FAILING),
        (f"Gateway fails (unauthorized, timeout){SHOWING}", "bad", after("unauthorized", "timeout")),
        (f"Gateway fails (timeout, server error){SHOWING}", "bad", after("timeout", "server_error")),
        (f"/providers fails (server error){SHOWING}", "bad", after("server_error", "ok")),
        ("Providers all good, but /providers/stats fails (timeout)", "warn", after("ok", "timeout")),
        ("1 provider down", "bad", snapshot_of(provider("a", DOWN), last_poll=poll(stats="timeout"))),
    ],
)
def test_headline(sentence: str, tone: Tone, snapshot: Snapshot) -> None:
    """The headline is the worst problem."""
    found = headline(snapshot, False, NOW)

    assert (tone, sentence) == (found.tone, found.sentence)


@pytest.mark.parametrize(
    ("data", "snapshot"),
    [
        ("showing data from 12:03:03 UTC", FLEET),
        ("showing data from earlier", snapshot_of(HEALTHY, last_success={})),
        ("no data", WAITING),
        ("no data", STALE),
    ],
)
def test_overdue_exposition(data: str, snapshot: Snapshot) -> None:
    """An overdue exposition is the headline, whatever the data."""
    expected = Headline("bad", f"The poller hangs: {data}", "GatewayzPollsLate")

    assert expected == headline(snapshot, True, NOW)


@pytest.mark.parametrize(
    ("runbook", "snapshot"),
    [
        ("", FLEET),
        ("", WAITING),
        ("GatewayzKeyRefused", MISSING),
        ("GatewayzGatewayUnreachable", STALE),
        ("GatewayzGatewayUnreachable", after("unauthorized", "timeout")),
        ("GatewayzGatewayUnreachable", after("ok", "timeout")),
        ("GatewayzDatabaseDown", after("empty", "empty")),
        ("GatewayzHealthChecksOverdue", snapshot_of(HEALTHY, *OLD)),
        ("GatewayzHealthChecksOverdue", snapshot_of(HEALTHY, provider("a", age=3604))),
        ("GatewayzProviderDown", snapshot_of(provider("a", DOWN))),
        ("GatewayzProviderDegraded", snapshot_of(provider("a", DEGRADED))),
        ("GatewayzProviderHealthUnknown", snapshot_of(provider("a", UNKNOWN))),
        ("GatewayzNoProviders", EMPTY),
    ],
)
def test_runbook(runbook: str, snapshot: Snapshot) -> None:
    """Each problem has the runbook of its alert, which exists."""
    assert runbook == headline(snapshot, False, NOW).runbook
    assert not runbook or (RUNBOOKS / f"{runbook}.md").is_file()


def test_tally() -> None:
    """Active providers are counted by health and overdue checks, inactive ones separately."""
    fleet = [provider(health.label, health) for health in HealthStatus]
    others = (provider("silent", age=9999), provider("off", DOWN, is_active=False))

    assert {
        "down": 1,
        "degraded": 1,
        "unknown": 1,
        "healthy": 2,
        "active": 5,
        "inactive": 1,
        "overdue": 1,
    } == tally(snapshot_of(*fleet, *others))
