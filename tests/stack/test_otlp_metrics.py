"""Metrics by OTLP: what is pushed through the collector into Prometheus is what /metrics shows.

The configuration is that of docs/otlp-metrics.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests
import yaml

from exporter import SERVICE_NAME
from tests.http_server import free_port
from tests.process import program
from tests.replay import GOOD, LIST, ReplayGateway, answer, recorded_body
from tests.stack import servers
from tests.stack.chain import exporter_environment
from tests.stack.exposition import Series, exposed, name_and_labels
from tests.stack.servers import Programs, Server
from tests.verify.docs.pages import code_blocks
from tests.waiting import wait_until

JOB = "provider_metrics"
"""What the collector's file names the exporter."""
NOBODY = "127.0.0.1:9"
"""Where Prometheus would scrape an exporter: this one is not scraped."""
FETCHES = ("gatewayz_exporter_fetches_total", frozenset({("endpoint", "stats"), ("outcome", "ok")}))
LARGE = 4_000
METRICS_ALONE = {
    "OTEL_METRICS_EXPORTER": "prometheus,otlp",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}


@dataclass(frozen=True)
class Intake:
    """A collector, and Prometheus behind it."""

    ports: servers.Ports
    collector: Server
    prometheus: Server

    def series(self, instance: str) -> Series:
        """Return the series that one exporter pushed, without those of rules."""
        found = self.prometheus.query(f'{{instance="{instance}",__name__!~".*:.*|ALERTS.*"}}')
        return {name_and_labels(dict(one["metric"])): float(one["value"][1]) for one in found}


def merged(one: Any, other: Any) -> Any:
    """Return two documents as one, the way a person would add the second to the first."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return {**one, **{key: merged(one.get(key), value) for key, value in other.items()}}


@pytest.fixture(scope="module")
def intake(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    """The project's collector and Prometheus, with what the page says to add to their files."""
    folder = tmp_path_factory.mktemp("intake")
    ports = servers.Ports()
    for_prometheus, for_collector = code_blocks("docs/otlp-metrics.md", "yaml")
    prometheus = servers.prometheus(programs, folder / "prometheus", ports, NOBODY)
    config = folder / "prometheus" / "prom.yml"
    whole = merged(yaml.safe_load(config.read_text()), yaml.safe_load(for_prometheus))
    config.write_text(yaml.safe_dump(whole))
    prometheus = replace(prometheus, command=[*prometheus.command, "--web.enable-otlp-receiver"])
    collector = servers.collector(programs, folder / "otelcol", ports, free_port())
    more = folder / "otelcol" / "metrics.yaml"
    assert for_collector.count("http://prometheus:9090") == 1
    more.write_text(for_collector.replace("http://prometheus:9090", prometheus.url))
    collector = replace(collector, command=[*collector.command, f"--config={more}"])
    with ExitStack() as running:
        running.enter_context(prometheus)
        running.enter_context(collector)
        yield Intake(ports, collector, prometheus)


WAYS = {"http": JOB, "grpc": JOB, "direct": SERVICE_NAME}
"""Ways from an exporter to Prometheus, and the job there."""


def environment(
    intake: Intake, gateway: ReplayGateway, instance: str, way: str = "http", **more: str
) -> dict[str, str]:
    """Return the environment of an exporter."""
    collector = f"http://127.0.0.1:{intake.ports.otlp_grpc}"
    prometheus = f"{intake.prometheus.url}/api/v1/otlp/v1/metrics"
    own = {
        "grpc": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": collector},
        "direct": {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": prometheus},
    }
    attributes = {"OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={instance}"}
    return exporter_environment(
        gateway.url, intake.ports, **METRICS_ALONE, **attributes, **own.get(way, {}), **more
    )


def is_pushed(name: str) -> bool:
    """Return whether a metric of /metrics is pushed as well."""
    return not name.startswith("process_") and name != "target_info"


@pytest.mark.parametrize("way", WAYS)
def test_what_is_pushed_is_what_is_published(intake: Intake, gateway: ReplayGateway, way: str) -> None:
    """Names, labels and values are those of /metrics, but for what the page names as different."""
    with program(**environment(intake, gateway, way, way, SCRAPE_INTERVAL="3600")) as running:
        url = running.url()
        running.record("Updated provider metrics")
        published = exposed(requests.get(f"{url}/metrics", timeout=5).text)
        pushed = wait_until(lambda: intake.series(way))
        code, _ = running.end()

    (target,) = [series for series in pushed if series[0] == "target_info"]
    assert ("telemetry_sdk_name", "opentelemetry") in target[1]
    assert {series: value for series, value in published.items() if is_pushed(series[0])} == {
        series: value for series, value in pushed.items() if series != target
    }
    assert len(pushed) > 500
    assert 1 == intake.prometheus.value(f'gatewayz_up{{job="{WAYS[way]}",instance="{way}"}}')
    assert (0, []) == (code, [line for line in running.output if "not delivered" in line])


def test_large_fleet_by_grpc(intake: Intake, gateway: ReplayGateway) -> None:
    """A fleet whose metrics are more than a collector takes in one request by gRPC arrives whole."""
    row = json.loads(recorded_body(GOOD[LIST]))[0]
    rows = [{**row, "slug": f"provider-with-a-name-of-some-length-{number}"} for number in range(LARGE)]
    large = 'gatewayz_provider_health_state{instance="large"}'
    gateway.answers[LIST] = answer(200, json.dumps(rows).encode())
    with program(**environment(intake, gateway, "large", "grpc", SCRAPE_INTERVAL="3600")) as running:
        running.record("Updated provider metrics", 60)
        wait_until(lambda: intake.prometheus.value(f"count({large})") == 4 * LARGE)
        running.end()

    assert LARGE == intake.prometheus.value(f"sum({large})")
    assert [] == [line for line in running.output if "not delivered" in line]


def test_provider_that_leaves(intake: Intake, gateway: ReplayGateway) -> None:
    """A provider that left is not pushed any more, and its last value lingers, as the page says."""
    one = 'gatewayz_provider_is_active{instance="leaving",provider="aimo"}'
    other = one.replace("aimo", "alibaba")
    others = [row for row in json.loads(recorded_body(GOOD[LIST])) if row["slug"] != "aimo"]
    with program(**environment(intake, gateway, "leaving")):
        wait_until(lambda: intake.prometheus.value(one) is not None)
        gateway.answers[LIST] = answer(200, json.dumps(others).encode())
        wait_until(lambda: intake.prometheus.value('gatewayz_providers_listed{instance="leaving"}') == 39)
        left = intake.prometheus.value(f"timestamp({one})")
        wait_until(lambda: (intake.prometheus.value(f"time() - timestamp({one})") or 0) > 5)

        assert left == intake.prometheus.value(f"timestamp({one})")
        assert 1 == intake.prometheus.value(one)
        assert None is intake.prometheus.value(f"timestamp({one}) > time() - 5")
        assert wait_until(lambda: intake.prometheus.value(f"timestamp({other}) > time() - 5"))


def test_collector_that_was_away(intake: Intake, gateway: ReplayGateway) -> None:
    """What is pushed when the collector is back carries on every count, and nothing is sent twice."""
    name = 'gatewayz_exporter_fetches_total{instance="patient",endpoint="stats",outcome="ok"}'
    with program(**environment(intake, gateway, "patient", OTEL_EXPORTER_OTLP_TIMEOUT="1")) as running:
        url = running.url()
        wait_until(lambda: intake.prometheus.value(name))
        intake.collector.stop()
        detail = running.record("Telemetry not delivered")["detail"]
        intake.collector.start()
        fetches = exposed(requests.get(f"{url}/metrics", timeout=5).text)[FETCHES]
        wait_until(lambda: (intake.prometheus.value(name) or 0) >= fetches)

    assert "metrics" in detail
    assert 0 == intake.prometheus.value(f"resets({name}[5m])")
