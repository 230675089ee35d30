"""A slow gateway and a changing fleet leak no thread, no socket and no memory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.cases import HEAD, OPEN_LENGTH, STATS_BODY
from tests.faults.front import front
from tests.faults.matrix import Matrix, Row
from tests.faults.outside import MIB, Exporter, exporter, parsed, resident_memory, series
from tests.faults.peer import GOOD_ANSWERS, Answer, Drips, Gateway, Says, Silence, State, both
from tests.replay import LIST, LIST_NO_SLASH, STATS, answer

WARM_UP, POLLS = 30, 100
FAST = 0.02
"""Seconds between bytes; short enough to restart a socket's own timeout again and again."""
FLEETS, FLEET_WARM_UP, FLEET_SIZE = 2000, 200, 5

SLOW: Mapping[str, tuple[str, Mapping[str, Answer]]] = {
    "dripping": (
        "100 polls with slow headers (list) and a slow body (counts)",
        {
            **dict.fromkeys((LIST, LIST_NO_SLASH), Drips(HEAD, b"x: y\r\n", FAST)),
            STATS: Drips(OPEN_LENGTH, b"[", FAST),
        },
    ),
    "silent": ("100 polls without an answer", both(Silence())),
}


def least_use(running: Exporter) -> tuple[int, int, int]:
    """Return the minimum of threads, descriptors and memory within a second with some polls."""
    uses = []
    for _ in range(100):
        uses.append((running.threads(), running.descriptors(), running.memory()))
        time.sleep(0.01)
    threads, descriptors, memory = map(min, zip(*uses, strict=True))
    return threads, descriptors, memory


@pytest.mark.parametrize("name", SLOW)
def test_many_timeouts(name: str, tmp_path: Path, matrix: Matrix) -> None:
    """The exporter uses the same resources after 130 timeouts as after 30."""
    title, answers = SLOW[name]
    with Gateway() as gateway:
        gateway.become(State(answers))
        settings = {"SCRAPE_INTERVAL": "0.15", "FETCH_TIMEOUT": "0.1"}
        with exporter(gateway, tmp_path / "log", settings) as running:
            running.wait_for_polls(WARM_UP, "timeout")
            (threads, descriptors, memory), asked = least_use(running), len(gateway.asked)
            running.wait_for_polls(POLLS, "timeout")
            after = least_use(running)

            # A thread that never ends would keep its endpoint from being fetched again.
            assert len(gateway.asked) - asked > POLLS / 2
            assert (threads, descriptors) == after[:2]
            assert after[2] - memory < 8 * MIB
            assert 0 == running.end()
    metrics, log = "no leaked thread, socket or memory", "2 x Fetch failed in each poll"
    matrix(Row("The network", 200 + list(SLOW).index(name), title, "timeout", metrics, log))


def test_replaced_fleets(matrix: Matrix) -> None:
    """With 2,000 disjoint fleets memory stays flat, no series overflows and no counter falls."""
    fetches = series("gatewayz_exporter_fetches_total", endpoint="providers", outcome="ok")
    with Gateway() as gateway, front(gateway.url) as running:
        replies = {**GOOD_ANSWERS, STATS: Says(answer(200, STATS_BODY))}
        gateway.become(State(replies))
        memory, ok = 0, 0.0
        for number in range(FLEETS):
            slugs = {f"p{number}-{row}" for row in range(FLEET_SIZE)}
            rows = [{"slug": slug, "health_status": "healthy"} for slug in slugs]
            replies[LIST] = replies[LIST_NO_SLASH] = Says(answer(200, json.dumps(rows).encode()))
            running.rig.poller.poll_once()
            running.rig.lines()
            if number == FLEET_WARM_UP:
                memory = resident_memory(os.getpid())
            if number % 100 == 0:
                text = running.get("/metrics")
                samples = parsed(text)
                assert "overflow" not in text
                assert ok < samples[fetches]
                ok = samples[fetches]
                infos = [dict(labels) for name, labels in samples if name == "gatewayz_provider_info"]
                assert slugs == {labels["provider"] for labels in infos}
        growth = resident_memory(os.getpid()) - memory
        samples = running.scrape()

    assert FLEETS == samples[fetches]
    assert growth < 10 * MIB
    title, metrics = "2,000 polls with disjoint fleets", "the current fleet, flat memory, no counter falls"
    matrix(Row("Records", 200, title, "ok", metrics, "Provider appeared, Provider vanished"))
