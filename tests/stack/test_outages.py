"""Loki and the collector go away and come back: what was accepted arrives, and the exporter goes on.

Each test runs with the real Loki, where the machine has it, and with a receiver of OTLP over HTTP instead.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.outside import MIB
from tests.stack.chain import Chain, chain
from tests.stack.loki import LokiStandIn
from tests.stack.servers import Programs, Server
from tests.waiting import wait_until

NEEDS_LOKI = pytest.mark.needs("loki")
MESSAGE = "Updated provider metrics"
POLLS = f'{{service="provider-metrics-exporter"}} | json | message="{MESSAGE}"'


@pytest.fixture(params=["receiver", pytest.param("loki", marks=NEEDS_LOKI)])
def running(request: pytest.FixtureRequest, programs: Programs, tmp_path: Path) -> Iterator[Chain]:
    """A chain whose log records go to a receiver, or to Loki, once the first of them has arrived."""
    built = {name: path for name, path in programs.items() if name != "loki"}
    with chain(programs if request.param == "loki" else built, tmp_path) as links:
        wait_until(lambda: stored(links))
        yield links


def logged(running: Chain) -> list[str]:
    """Return the trace ids of all polls that the exporter has logged to standard output."""
    lines = [json.loads(line) for line in running.exporter.output if line.startswith("{")]
    return [line["trace_id"] for line in lines if line["message"] == MESSAGE]


def stored(running: Chain) -> Counter[str]:
    """Return how often each poll's record is in Loki, or came to its place, by trace id."""
    return Counter(json.loads(line)["trace_id"] for line in lines_of_polls(running))


def lines_of_polls(running: Chain) -> list[str]:
    """Return the lines of all polls' records."""
    if isinstance(running.logs, LokiStandIn):
        lines = [record.body.string_value for record in running.logs.records]
        return [line for line in lines if json.loads(line)["message"] == MESSAGE]
    return [line for _, line in running.log_lines(POLLS)]


def let_polls_go_on(running: Chain, seconds: float) -> None:
    """Wait, and assert that polls go on meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        running.exporter.record(MESSAGE, 5)


def all_stored(running: Chain, ids: list[str]) -> bool:
    """Return whether Loki has every one of these records."""
    return set(ids) <= set(stored(running))


@pytest.mark.parametrize(
    ("running", "seconds"),
    [("receiver", 20.0), pytest.param("loki", 60.0, marks=NEEDS_LOKI)],
    indirect=["running"],
    ids=["receiver", "loki"],
)
def test_loki_away(running: Chain, seconds: float) -> None:
    """Loki is down while polls go on, itself for a minute: when it is back, every record arrives, once."""
    running.logs.stop()
    let_polls_go_on(running, seconds)
    running.logs.start()
    expected = logged(running)

    wait_until(lambda: all_stored(running, expected), 90, every=1)

    assert len(expected) > seconds / 2
    assert {1} == set(stored(running).values())


@pytest.mark.parametrize("end", [Server.kill, Server.stop])
def test_collector_away(running: Chain, end: Callable[[Server], None]) -> None:
    """What the collector has accepted outlives its end without Loki; the exporter goes on without both."""
    running.logs.stop()
    let_polls_go_on(running, 5)
    accepted = logged(running)
    # More than the exporter's own delay before it sends.
    let_polls_go_on(running, 3)
    before = running.value("process_resident_memory_bytes")
    end(running.collector)

    let_polls_go_on(running, 15)
    grown = running.value("process_resident_memory_bytes") - before
    running.collector.start()
    running.logs.start()

    wait_until(lambda: all_stored(running, accepted), 90, every=1)
    assert {1} == set(stored(running).values())
    assert grown < 10 * MIB
    code, seconds = running.exporter.end()
    assert (0, True) == (code, seconds < 5)
