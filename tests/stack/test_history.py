"""A restart keeps the history that a real Prometheus has."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any, NamedTuple

import pytest
import requests

from exporter.status.texts import iso
from tests.process import Program, program
from tests.replay import GOOD, KEY, LIST, ReplayGateway, answer, recorded_body
from tests.stack import servers
from tests.stack.chain import OWN
from tests.stack.servers import Programs, Server
from tests.stack.substitution import shortened_rules
from tests.waiting import wait_until

SLOT = 2.0
POLLS = {**OWN, "ADMIN_KEY": KEY, "SCRAPE_INTERVAL": "1", "HISTORY": "120s"}
"""Sixty slots of two seconds."""
RECORDED_SECONDS = 12
STATUS = "job_provider:gatewayz_health_status:max"
CHANGED = f'{STATUS}{{provider="openai"}} == 2 and {STATUS}{{provider="openai"}} offset {3 * SLOT:g}s == 2'
"""It has been degraded for three slots."""


def listed(**healths: str) -> bytes:
    """Return the recorded list with some other healths."""
    records = json.loads(recorded_body(GOOD[LIST]))
    changed = [
        {**each, "health_status": healths.get(each["slug"], each["health_status"])} for each in records
    ]
    return answer(200, json.dumps(changed).encode())


class Recorded(NamedTuple):
    """What an exporter has left behind."""

    gateway: ReplayGateway
    prometheus: Server
    changed: float
    """Unix time at which the gateway began to list a provider as degraded."""


def provider(url: str, slug: str) -> Mapping[str, Any]:
    """Return the document of a provider."""
    answered = requests.get(f"{url}/api/v1/providers/{slug}", timeout=5)
    answered.raise_for_status()
    document: Mapping[str, Any] = answered.json()
    return document


@pytest.fixture(scope="module")
def running(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """A gateway, and a Prometheus that has scraped an exporter for some seconds; the exporter has ended."""
    folder, ports = tmp_path_factory.mktemp("history"), servers.Ports()
    with ExitStack() as links:
        gateway = links.enter_context(ReplayGateway())
        gateway.answers[LIST] = listed(openai="healthy")
        exporter = links.enter_context(program(GATEWAY_API_URL=gateway.url, **POLLS))
        rules = shortened_rules(folder / "rules")
        own, address = folder / "prometheus", exporter.address()
        prometheus = links.enter_context(servers.prometheus(programs, own, ports, address, rules=rules))
        recorded = 'count_over_time(job_provider:gatewayz_usable:bool{provider="groq"}[1m])'
        wait_until(lambda: prometheus.query(f"{recorded} > {RECORDED_SECONDS}"), 60)
        gateway.answers[LIST] = listed(openai="degraded")
        changed = time.time()
        wait_until(lambda: prometheus.query(CHANGED), 60)
        exporter.end()
        yield Recorded(gateway, prometheus, changed)


def restarted(recorded: Recorded) -> AbstractContextManager[Program]:
    """Run another exporter, which may read what Prometheus has recorded of the first one."""
    return program(GATEWAY_API_URL=recorded.gateway.url, PROMETHEUS_URL=recorded.prometheus.url, **POLLS)


def test_bars_are_back(running: Recorded) -> None:
    """A new exporter has the slots of the time before it, with health, polls and response times."""
    started = time.time()
    with restarted(running) as exporter:
        url = exporter.url()

        def before(slug: str) -> list[Mapping[str, Any]]:
            slots = provider(url, slug)["slots"]
            return [slot for slot in slots if slot["health"] and slot["start"] < iso(started - SLOT)]

        wait_until(lambda: exporter.record("History read from Prometheus"))
        healthy, down = wait_until(lambda: before("groq")), wait_until(lambda: before("aimo"))

    assert len(healthy) > RECORDED_SECONDS / SLOT - 3
    assert {("healthy", 96.0)} == {(slot["health"], slot["response_time_ms"]) for slot in healthy}
    # On a loaded machine a slot of two seconds can lack the evaluation of one rule.
    assert all(slot["usable"] == slot["polls"] for slot in healthy)
    assert sum(slot["polls"] for slot in healthy) > RECORDED_SECONDS / 2
    assert {("down", 0, None)} == {
        (slot["health"], slot["usable"], slot["response_time_ms"]) for slot in down
    }


def test_since(running: Recorded) -> None:
    """A new exporter knows since when a provider is degraded, to a slot; of others it knows no change."""
    with restarted(running) as exporter:
        url = exporter.url()
        since = wait_until(lambda: provider(url, "openai")["provider"]["health_since"])
        page = requests.get(f"{url}/providers/openai", timeout=5).text
        others = provider(url, "groq")["provider"]["health_since"]

    assert iso(running.changed - 2 * SLOT) <= since <= iso(running.changed + 3 * SLOT)
    assert (True, None) == ("since about" in page, others)


def test_long_uptimes(running: Recorded) -> None:
    """The uptimes that rules have recorded are shown as soon as they are known."""
    with restarted(running) as exporter:
        url = exporter.url()
        uptimes = wait_until(lambda: provider(url, "groq")["provider"]["long_uptimes"])
        badge = requests.get(f"{url}/badge/groq/uptime.svg?window=30d", timeout=5).text

    assert {1.0} == set(uptimes.values())
    assert "30d" in uptimes
    assert "groq uptime 30d: 100 %" in badge.lower()
