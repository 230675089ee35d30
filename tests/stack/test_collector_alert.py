"""GatewayzTelemetryNotDelivered by a real collector: silent under load, firing when nothing is delivered."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.process import program
from tests.replay import ReplayGateway
from tests.stack import servers
from tests.stack.chain import exporter_environment
from tests.stack.loki import LokiStandIn
from tests.stack.servers import Programs, Server
from tests.stack.substitution import hastened_rules
from tests.stack.tempo import TempoStandIn
from tests.waiting import wait_until

FACTOR = 60
"""By which all waits of the rules are shorter; a minute is a second."""
LOADED_SECONDS = 40.0
ALERT = 'ALERTS{alertname="GatewayzTelemetryNotDelivered"}'
QUEUE = 'otelcol_exporter_queue_size{exporter="otlp_http/loki"}'


@dataclass
class Delivery:
    """A loaded collector, what takes its log records, and a Prometheus with the rules."""

    logs: LokiStandIn
    prometheus: Server

    def ask(self, query: str) -> list[Mapping[str, object]]:
        """Return the series that a query finds."""
        return self.prometheus.query(query)


@pytest.fixture
def delivery(programs: Programs, tmp_path: Path) -> Iterator[Delivery]:
    """An exporter that polls ten times a second and sends everything by the collector."""
    ports = servers.Ports()
    rules = hastened_rules(tmp_path / "rules", FACTOR)
    with ExitStack() as links:
        gateway = links.enter_context(ReplayGateway())
        tempo = links.enter_context(TempoStandIn())
        logs = LokiStandIn(port=ports.loki)
        logs.start()
        links.callback(logs.stop)
        links.enter_context(servers.collector(programs, tmp_path / "otelcol", ports, tempo.port))
        environment = exporter_environment(gateway.url, ports, SCRAPE_INTERVAL="100ms")
        exporter = links.enter_context(program(**environment))
        own = tmp_path / "prometheus"
        prometheus = links.enter_context(
            servers.prometheus(programs, own, ports, exporter.address(), rules=rules)
        )
        yield Delivery(logs, prometheus)


def test_loaded_and_failing(delivery: Delivery) -> None:
    """While records are delivered the queue is not always empty, and the alert is not even pending."""
    # Until there are two samples of each counter, nothing is known of what is sent.
    for signal in ("log_records", "spans"):
        wait_until(partial(delivery.ask, f"increase(otelcol_exporter_sent_{signal}[15s]) > 0"))
    wait_until(lambda: not delivery.ask(ALERT))
    end = time.monotonic() + LOADED_SECONDS
    while time.monotonic() < end:
        assert [] == delivery.ask(ALERT)
        time.sleep(0.5)
    assert delivery.ask(f"max_over_time({QUEUE}[1m]) > 0")

    delivery.logs.stop()
    wait_until(lambda: delivery.ask(f'{ALERT[:-1]},alertstate="firing",exporter="otlp_http/loki"}}'), 90)

    delivery.logs.start()
    wait_until(lambda: not delivery.ask(ALERT), 90)
