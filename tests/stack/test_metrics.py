"""Exporter and Prometheus: what the gateway reports is what Prometheus answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.replay import GOOD, LIST, answer, recorded_body, recording
from tests.stack import servers
from tests.stack.chain import Chain
from tests.stack.exposition import Series, exposed, name_and_labels
from tests.stack.servers import Programs, Server
from tests.waiting import wait_until

TEXT_ONLY = {"metrics_path: /metrics": "metrics_path: /metrics\n    scrape_protocols: [PrometheusText0.0.4]"}
HEALTH = "gatewayz_provider_health_status"


def scraped(prometheus: Server, names: str) -> Series:
    """Return the series of the exporter whose names match a pattern."""
    found = prometheus.query(f'{{job="provider_metrics",__name__=~"{names}"}}')
    return {name_and_labels(dict(one["metric"])): float(one["value"][1]) for one in found}


def providers(prometheus: Server) -> set[str]:
    """Return the slugs of the providers that have a health."""
    return {series["metric"]["provider"] for series in prometheus.query(HEALTH)}


@pytest.fixture(scope="module", params=[{}, TEXT_ONLY], ids=["openmetrics", "text"])
def prometheus(
    request: pytest.FixtureRequest, programs: Programs, stack: Chain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A Prometheus that scrapes the exporter, in each of the formats."""
    folder = tmp_path_factory.mktemp("prometheus")
    ports = servers.Ports(loki=stack.ports.loki, collector_metrics=stack.ports.collector_metrics)
    with (
        servers.alertmanager(programs, folder / "alertmanager", ports),
        servers.prometheus(programs, folder, ports, stack.exporter_address, request.param) as server,
    ):
        wait_until(lambda: server.value("gatewayz_up") == 1)
        yield server


def test_target_is_up(prometheus: Server) -> None:
    """The exporter is a healthy target of the job with the contract's name."""
    target = prometheus.targets()["provider_metrics"]

    assert ("up", "") == (target["health"], target["lastError"])


@pytest.mark.parametrize(
    "job",
    ["prometheus", "alertmanager", "otel-collector", pytest.param("loki", marks=pytest.mark.needs("loki"))],
)
def test_other_targets_are_up(prometheus: Server, job: str) -> None:
    """The servers of the stack are scraped as well."""
    assert wait_until(lambda: prometheus.query(f'up{{job="{job}"}} == 1'))


def test_every_series_is_there(prometheus: Server, stack: Chain) -> None:
    """Prometheus has every series of the exposition; those of the gateway's data have the same values."""

    def of_the_gateway(series: Series) -> Series:
        return {key: value for key, value in series.items() if key[0].startswith("gatewayz_provider")}

    def same() -> bool:
        published = {
            key: value for key, value in exposed(stack.scrape()).items() if key[0].startswith("gatewayz_")
        }
        seen = scraped(prometheus, "gatewayz_.+")
        return set(published) == set(seen) and of_the_gateway(published) == of_the_gateway(seen)

    assert wait_until(same)
    assert 40 == prometheus.value(f"count({HEALTH})")


def test_provider_that_leaves(prometheus: Server, stack: Chain) -> None:
    """A provider that left is stale in Prometheus at the next scrape, and comes back when it does."""
    assert "aimo" in providers(prometheus)
    others = [row for row in json.loads(recorded_body(GOOD[LIST])) if row["slug"] != "aimo"]
    try:
        stack.gateway.answers[LIST] = answer(200, json.dumps(others).encode())
        # Far below the five minutes for which a series without a staleness marker would linger.
        wait_until(lambda: "aimo" not in providers(prometheus), 10)
        # Series of rules hold the last known value, on purpose.
        assert [] == prometheus.query('{__name__=~"gatewayz_.+",provider="aimo"}')
    finally:
        stack.gateway.answers[LIST] = recording(GOOD[LIST])
    wait_until(lambda: "aimo" in providers(prometheus), 10)


def test_nothing_is_complained_about(prometheus: Server) -> None:
    """Prometheus has no warning and no error about the exporter's scrapes in its log."""
    lines = [line for line in prometheus.log.splitlines() if "level=INFO" not in line]

    assert [] == [line for line in lines if "provider_metrics" in line or "scrape" in line]
