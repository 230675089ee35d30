"""A gateway that drips, or a fleet that changes, leaves nothing behind: no thread, no socket, no memory."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest
import requests

from exporter.model.endpoints import MEBIBYTE, Endpoint
from tests.faults.cases import STATS_BODY
from tests.faults.front import KEY, Scrape, front, parsed, series, settings_for
from tests.faults.matrix import Row
from tests.faults.peer import PATIENCE, Answer, Drips, Gateway, Says, Silence, State
from tests.process import program
from tests.replay import LIST, LIST_NO_SLASH, STATS, answer

WARM_UP, POLLS = 30, 100
MOST_MEMORY = 8 * MEBIBYTE
FAST = 0.02
"""Seconds from byte to byte: often enough for a socket's own timeout to begin anew and anew."""
FLEETS, FLEET_WARM_UP = 2000, 200
MOST_MEMORY_FOR_FLEETS = 10 * MEBIBYTE
FLEET_SIZE = 5


@dataclass(frozen=True)
class Use:
    """What a process holds."""

    threads: int
    descriptors: int
    memory: int
    """Bytes of resident memory."""


def use_of(process: int) -> Use:
    """Return what a process holds just now."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    threads, kibibytes = (
        int(found[1]) for name in ("Threads", "VmRSS") if (found := re.search(rf"{name}:\s+(\d+)", status))
    )
    return Use(threads, len(os.listdir(f"/proc/{process}/fd")), kibibytes * 1024)


def use_between_polls(process: int) -> Use:
    """Return the least that a process holds within a second, in which some polls come and go."""
    uses = []
    for _ in range(100):
        uses.append(use_of(process))
        time.sleep(0.01)
    return Use(
        min(use.threads for use in uses),
        min(use.descriptors for use in uses),
        min(use.memory for use in uses),
    )


def scrape(url: str) -> Scrape:
    """Return what `/metrics` says."""
    response = requests.get(f"{url}/metrics", timeout=PATIENCE)
    response.raise_for_status()
    return parsed(response.text)


def wait_for_timeouts(url: str, number: int) -> None:
    """Wait until each endpoint has had so many timeouts, and nothing else."""
    deadline = time.monotonic() + 5 * PATIENCE
    keys = [series("gatewayz_exporter_fetches_total", endpoint=e.value, outcome="timeout") for e in Endpoint]
    while min((said := scrape(url))[key] for key in keys) < number:
        assert time.monotonic() < deadline, said
        time.sleep(0.1)


DRIPPING: Mapping[str, tuple[str, Mapping[str, Answer]]] = MappingProxyType(
    {
        "dripping": (
            "100 polls of a gateway that drips headers (list) and body (counts)",
            {
                **dict.fromkeys((LIST, LIST_NO_SLASH), Drips(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", FAST)),
                STATS: Drips(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b"[", FAST),
            },
        ),
        "silent": (
            "100 polls of a gateway that says nothing",
            {target: Silence() for target in (LIST, LIST_NO_SLASH, STATS)},
        ),
    }
)


@pytest.mark.parametrize("name", DRIPPING)
def test_many_timeouts(name: str, matrix: Callable[[Row], None]) -> None:
    """The program is after 130 timeouts what it was after 30, and serves all the while."""
    title, answers = DRIPPING[name]
    with Gateway() as gateway:
        gateway.become(State(answers))
        settings = {"SCRAPE_INTERVAL": "0.15", "FETCH_TIMEOUT": "0.1", "METRICS_HOST": "127.0.0.1"}
        with program(
            GATEWAY_API_URL=f"http://{gateway.address}", ADMIN_KEY=KEY, METRICS_PORT="0", **settings
        ) as running:
            url = running.url()
            wait_for_timeouts(url, WARM_UP)
            before, asked = use_between_polls(running.process.pid), len(gateway.asked)
            wait_for_timeouts(url, WARM_UP + POLLS)
            after = use_between_polls(running.process.pid)

            # A thread that never came back would keep its endpoint from being asked again.
            assert len(gateway.asked) - asked > POLLS / 2
            assert before.threads == after.threads
            assert before.descriptors == after.descriptors
            assert after.memory - before.memory < MOST_MEMORY
            assert 0 == running.end()[0]
    place = 200 + list(DRIPPING).index(name)
    metrics = "no thread, no socket and no memory left behind"
    matrix(Row("The network", place, title, "timeout", metrics, "2 x Fetch failed at each poll"))


def test_fleet_that_is_replaced_at_every_poll(matrix: Callable[[Row], None]) -> None:
    """2,000 fleets without a provider in common: memory is flat, no series overflows, no counter falls."""
    fetches = series("gatewayz_exporter_fetches_total", endpoint="providers", outcome="ok")
    with Gateway() as gateway, front(settings_for(f"http://{gateway.address}")) as exporter:
        replies = {STATS: Says(answer(200, STATS_BODY))}
        gateway.become(State(replies))
        memory, ok = 0, 0.0
        for number in range(FLEETS):
            rows = [{"slug": f"p{number}-{row}", "health_status": "healthy"} for row in range(FLEET_SIZE)]
            replies[LIST] = replies[LIST_NO_SLASH] = Says(answer(200, json.dumps(rows).encode()))
            exporter.rig.poller.poll_once()
            exporter.rig.lines()
            if number == FLEET_WARM_UP:
                memory = use_of(os.getpid()).memory
            if number % 100 == 0:
                text = exporter.get("/metrics")
                said = parsed(text)
                assert "overflow" not in text
                assert ok < said[fetches]
                ok = said[fetches]
                slugs = {
                    dict(labels)["provider"] for name, labels in said if name == "gatewayz_provider_info"
                }
                assert {row["slug"] for row in rows} == slugs
        grown = use_of(os.getpid()).memory - memory
        said = exporter.scrape()

    assert FLEETS == said[fetches]
    assert grown < MOST_MEMORY_FOR_FLEETS
    title = "2,000 polls, each with a fleet of which no provider was there before"
    metrics = "exactly the present fleet, memory flat, no counter falls"
    matrix(Row("Records", 200, title, "ok", metrics, "Provider appeared, Provider vanished"))
