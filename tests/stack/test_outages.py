"""Loki and the collector go away and come back: what was accepted arrives, and the exporter does not mind."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.process import Program, program
from tests.replay import ReplayGateway
from tests.stack import servers
from tests.stack.conftest import exporter_environment
from tests.stack.servers import wait_until
from tests.stack.tempo import TempoStandIn

pytestmark = pytest.mark.stack

OUTAGE_SECONDS = 60.0
POLLS = '{service="provider-metrics-exporter"} | json | message="Updated provider metrics"'


@dataclass
class Chain:
    """Exporter, collector and Loki of one test's own, for it breaks them."""

    exporter: Program
    address: str
    collector: servers.Server
    loki: servers.Server

    def told(self) -> list[str]:
        """Return the trace ids of all polls that the exporter has told on stdout."""
        lines = [json.loads(line) for line in self.exporter.output if line.startswith("{")]
        return [line["trace_id"] for line in lines if line["message"] == "Updated provider metrics"]

    def stored(self) -> Counter[str]:
        """Return how often each poll's record is in Loki, by trace id."""
        answered = self.loki.get("/loki/api/v1/query_range", query=POLLS, limit=5000)
        lines = [line for stream in answered["data"]["result"] for _, line, *_ in stream["values"]]
        return Counter(json.loads(line)["trace_id"] for line in lines)

    def memory(self) -> float:
        """Return the exporter's resident memory in MiB."""
        text = requests.get(f"http://{self.address}/metrics", timeout=5).text
        (line,) = [line for line in text.splitlines() if line.startswith("process_resident_memory_bytes ")]
        return float(line.split()[1]) / 1024 / 1024


@contextmanager
def chain(programs: Mapping[str, Path], folder: Path, **more: str) -> Iterator[Chain]:
    """Start the three, and end them."""
    ports = servers.Ports()
    with ExitStack() as open_things:
        gateway = open_things.enter_context(ReplayGateway())
        tempo = open_things.enter_context(TempoStandIn())
        loki = open_things.enter_context(servers.loki(programs, folder / "loki", ports))
        collector = open_things.enter_context(
            servers.collector(programs, folder / "otelcol", ports, tempo.port)
        )
        exporter = open_things.enter_context(program(**exporter_environment(gateway, ports, **more)))
        address = exporter.url().removeprefix("http://")
        yield Chain(exporter, address, collector, loki)


def let_polls_go_on(running: Chain, seconds: float) -> None:
    """Let the time pass, and see that polls go on all the while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        running.exporter.record("Updated provider metrics", 5)


def all_stored(running: Chain, ids: list[str]) -> Any:
    """Return whether Loki has every one of these records."""
    return set(ids) <= set(running.stored())


def test_loki_away_for_a_minute(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """Loki is down for a minute while polls go on: when it is back, every record arrives, once."""
    with chain(programs, tmp_path) as running:
        wait_until(running.stored)
        running.loki.stop()
        let_polls_go_on(running, OUTAGE_SECONDS)
        running.loki.start()
        told = running.told()

        wait_until(lambda: all_stored(running, told), 90, every=1)

        assert len(told) > OUTAGE_SECONDS / 2
        assert {1} == set(running.stored().values())


def test_collector_killed(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """What the collector has accepted outlives its death, and the exporter goes on without it."""
    with chain(programs, tmp_path) as running:
        wait_until(running.stored)
        running.loki.stop()
        let_polls_go_on(running, 5)
        accepted = running.told()
        # More than the exporter's own delay before it sends.
        let_polls_go_on(running, 3)
        before = running.memory()
        running.collector.kill()

        let_polls_go_on(running, 15)
        grown = running.memory() - before
        running.loki.start()
        running.collector.start()

        wait_until(lambda: all_stored(running, accepted), 90, every=1)
        assert {1} == set(running.stored().values())
        assert grown < 10
        code, seconds = running.exporter.end()
        assert (0, True) == (code, seconds < 5)
