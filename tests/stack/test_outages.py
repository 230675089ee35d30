"""Loki and the collector go away and come back: what was accepted arrives, and the exporter does not mind."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.stack.chain import Chain, chain
from tests.stack.servers import wait_until

pytestmark = pytest.mark.stack

OUTAGE_SECONDS = 60.0
POLLS = '{service="provider-metrics-exporter"} | json | message="Updated provider metrics"'


def told(running: Chain) -> list[str]:
    """Return the trace ids of all polls that the exporter has told on stdout."""
    lines = [json.loads(line) for line in running.exporter.output if line.startswith("{")]
    return [line["trace_id"] for line in lines if line["message"] == "Updated provider metrics"]


def stored(running: Chain) -> Counter[str]:
    """Return how often each poll's record is in Loki, by trace id."""
    return Counter(json.loads(line)["trace_id"] for _, line in running.log_lines(POLLS))


def memory(running: Chain) -> float:
    """Return the exporter's resident memory in MiB."""
    (line,) = [
        line for line in running.scrape().splitlines() if line.startswith("process_resident_memory_bytes ")
    ]
    return float(line.split()[1]) / 1024 / 1024


def let_polls_go_on(running: Chain, seconds: float) -> None:
    """Let the time pass, and see that polls go on all the while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        running.exporter.record("Updated provider metrics", 5)


def all_stored(running: Chain, ids: list[str]) -> bool:
    """Tell whether Loki has every one of these records."""
    return set(ids) <= set(stored(running))


def test_loki_away_for_a_minute(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """Loki is down for a minute while polls go on: when it is back, every record arrives, once."""
    with chain(programs, tmp_path) as running:
        wait_until(lambda: stored(running))
        running.loki.stop()
        let_polls_go_on(running, OUTAGE_SECONDS)
        running.loki.start()
        expected = told(running)

        wait_until(lambda: all_stored(running, expected), 90, every=1)

        assert len(expected) > OUTAGE_SECONDS / 2
        assert {1} == set(stored(running).values())


def test_collector_killed(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """What the collector has accepted outlives its death, and the exporter goes on without it."""
    with chain(programs, tmp_path) as running:
        wait_until(lambda: stored(running))
        running.loki.stop()
        let_polls_go_on(running, 5)
        accepted = told(running)
        # More than the exporter's own delay before it sends.
        let_polls_go_on(running, 3)
        before = memory(running)
        running.collector.kill()

        let_polls_go_on(running, 15)
        grown = memory(running) - before
        running.loki.start()
        running.collector.start()

        wait_until(lambda: all_stored(running, accepted), 90, every=1)
        assert {1} == set(stored(running).values())
        assert grown < 10
        code, seconds = running.exporter.end()
        assert (0, True) == (code, seconds < 5)
