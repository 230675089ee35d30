"""Metrics by OTLP: what is pushed through the collector into Prometheus is what /metrics shows.

The configuration is that of docs/otlp-metrics.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter import SERVICE_NAME
from tests.process import program
from tests.replay import GOOD, LIST, ReplayGateway, answer, recorded_body
from tests.stack import servers
from tests.stack.chain import exporter_environment
from tests.stack.servers import Server, wait_until
from tests.verify.docs.pages import code_blocks

Labels = frozenset[tuple[str, str]]
Series = dict[tuple[str, Labels], float]

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
        """Return what was pushed by one exporter, but what rules make of it."""
        chosen = f'{{instance="{instance}",__name__!~".*:.*|ALERTS.*"}}'
        found = self.prometheus.get("/api/v1/query", query=chosen)["data"]["result"]
        return {name_and_labels(dict(one["metric"])): float(one["value"][1]) for one in found}

    def value(self, query: str) -> float | None:
        """Return the value of a query for one series, None where there is none."""
        found = self.prometheus.get("/api/v1/query", query=query)["data"]["result"]
        return float(found[0]["value"][1]) if found else None


def name_and_labels(metric: dict[str, str]) -> tuple[str, Labels]:
    """Take a series apart, without the labels that a scrape or the intake adds; buckets by their number."""
    name = metric.pop("__name__")
    if "le" in metric:
        metric["le"] = str(float(metric["le"]))
    # Prometheus knows no label that is empty.
    return name, frozenset(
        (key, value) for key, value in metric.items() if value and key not in ("job", "instance")
    )


def exposed(text: str) -> Series:
    """Return the series of an exposition in the same way."""
    return {
        name_and_labels({"__name__": sample.name, **sample.labels}): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def merged(one: Any, other: Any) -> Any:
    """Return two documents as one, the way a person would add the second to the first."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return {**one, **{key: merged(one.get(key), value) for key, value in other.items()}}


@pytest.fixture(scope="module")
def intake(programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    """The project's collector and Prometheus, with what the page says to add to their files."""
    folder = tmp_path_factory.mktemp("intake")
    ports = servers.Ports()
    for_prometheus, for_collector = code_blocks("docs/otlp-metrics.md", "yaml")
    prometheus = servers.prometheus(programs, folder / "prometheus", ports, NOBODY)
    config = folder / "prometheus" / "prom.yml"
    whole = merged(yaml.safe_load(config.read_text()), yaml.safe_load(for_prometheus))
    config.write_text(yaml.safe_dump(whole))
    prometheus = replace(prometheus, command=[*prometheus.command, "--web.enable-otlp-receiver"])
    collector = servers.collector(programs, folder / "otelcol", ports, servers.free_port())
    more = folder / "otelcol" / "metrics.yaml"
    assert for_collector.count("http://prometheus:9090") == 1
    more.write_text(for_collector.replace("http://prometheus:9090", prometheus.url))
    collector = replace(collector, command=[*collector.command, f"--config={more}"])
    with ExitStack() as running:
        running.enter_context(prometheus)
        running.enter_context(collector)
        yield Intake(ports, collector, prometheus)


@dataclass(frozen=True)
class Way:
    """A way from the exporter to Prometheus."""

    name: str
    job: str = JOB

    def environment(self, intake: Intake) -> dict[str, str]:
        """Return what the exporter is told of it."""
        collector = f"http://127.0.0.1:{intake.ports.otlp_grpc}"
        prometheus = f"{intake.prometheus.url}/api/v1/otlp/v1/metrics"
        own = {
            "grpc": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": collector},
            "direct": {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": prometheus},
        }
        instance = {"OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={self.name}"}
        return {**METRICS_ALONE, **instance, **own.get(self.name, {})}


WAYS = (Way("http"), Way("grpc"), Way("direct", job=SERVICE_NAME))


def is_pushed(name: str) -> bool:
    """Tell whether a metric of /metrics has its like among those that are pushed."""
    return not name.startswith("process_") and name != "target_info"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_what_is_pushed_is_what_is_published(intake: Intake, way: Way) -> None:
    """Names, labels and values are those of /metrics, but for what the page names as different."""
    with ReplayGateway() as gateway:
        environment = exporter_environment(gateway.url, intake.ports, SCRAPE_INTERVAL="3600")
        with program(**{**environment, **way.environment(intake)}) as running:
            url = running.url()
            running.record("Updated provider metrics")
            published = exposed(requests.get(f"{url}/metrics", timeout=5).text)
            pushed = wait_until(lambda: intake.series(way.name))
            code, _ = running.end()

    (target,) = [series for series in pushed if series[0] == "target_info"]
    assert ("telemetry_sdk_name", "opentelemetry") in target[1]
    assert {series: value for series, value in published.items() if is_pushed(series[0])} == {
        series: value for series, value in pushed.items() if series != target
    }
    assert len(pushed) > 500
    assert 1 == intake.value(f'gatewayz_up{{job="{way.job}",instance="{way.name}"}}')
    assert (0, []) == (code, [line for line in running.output if "not delivered" in line])


def test_large_fleet_by_grpc(intake: Intake) -> None:
    """A fleet whose metrics are more than a collector takes in one request by gRPC arrives whole."""
    row = json.loads(recorded_body(GOOD[LIST]))[0]
    rows = [{**row, "slug": f"provider-with-a-name-of-some-length-{number}"} for number in range(LARGE)]
    large = 'gatewayz_provider_health_state{instance="large"}'
    with ReplayGateway() as gateway:
        gateway.answers[LIST] = answer(200, json.dumps(rows).encode())
        environment = exporter_environment(gateway.url, intake.ports, SCRAPE_INTERVAL="3600")
        way = {**Way("grpc").environment(intake), "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=large"}
        with program(**{**environment, **way}) as running:
            running.record("Updated provider metrics", 60)
            wait_until(lambda: intake.value(f"count({large})") == 4 * LARGE)
            running.end()

    assert LARGE == intake.value(f"sum({large})")
    assert [] == [line for line in running.output if "not delivered" in line]


def test_provider_that_leaves(intake: Intake) -> None:
    """A provider that left is not pushed any more, and its last value lingers, as the page says."""
    one = 'gatewayz_provider_is_active{instance="leaving",provider="aimo"}'
    other = one.replace("aimo", "alibaba")
    rows = json.loads(recorded_body(GOOD[LIST]))
    with ReplayGateway() as gateway:
        environment = exporter_environment(gateway.url, intake.ports)
        with program(**{**environment, **Way("leaving").environment(intake)}):
            wait_until(lambda: intake.value(one) is not None)
            gateway.answers[LIST] = answer(
                200, json.dumps([row for row in rows if row["slug"] != "aimo"]).encode()
            )
            wait_until(lambda: intake.value('gatewayz_providers_listed{instance="leaving"}') == 39)
            left = intake.value(f"timestamp({one})")
            wait_until(lambda: (intake.value(f"time() - timestamp({one})") or 0) > 5)

            assert left == intake.value(f"timestamp({one})")
            assert 1 == intake.value(one)
            assert None is intake.value(f"timestamp({one}) > time() - 5")
            assert wait_until(lambda: intake.value(f"timestamp({other}) > time() - 5"))


def test_collector_that_was_away(intake: Intake) -> None:
    """What is pushed when the collector is back carries on every count, and nothing is sent twice."""
    name = 'gatewayz_exporter_fetches_total{instance="patient",endpoint="stats",outcome="ok"}'
    with ReplayGateway() as gateway:
        environment = exporter_environment(gateway.url, intake.ports, OTEL_EXPORTER_OTLP_TIMEOUT="1")
        with program(**{**environment, **Way("patient").environment(intake)}) as running:
            url = running.url()
            wait_until(lambda: intake.value(name))
            intake.collector.stop()
            detail = running.record("Telemetry not delivered")["detail"]
            intake.collector.start()
            fetches = exposed(requests.get(f"{url}/metrics", timeout=5).text)[FETCHES]
            wait_until(lambda: (intake.value(name) or 0) >= fetches)

    assert "metrics" in detail
    assert 0 == intake.value(f"resets({name}[5m])")
