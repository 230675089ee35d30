"""Exporter and Prometheus: what the gateway reports is what Prometheus answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.metrics.instruments import CERTIFICATE_EXPIRY, INSTRUMENTS
from exporter.model.fields import FIELDS
from tests.replay import GOOD, LIST, answer, recorded_body, recording
from tests.samples import value_at
from tests.stack import servers
from tests.stack.chain import Chain
from tests.stack.servers import Server, wait_until

TEXT_ONLY = {"metrics_path: /metrics": "metrics_path: /metrics\n    scrape_protocols: [PrometheusText0.0.4]"}
ROWS = json.loads(recorded_body(GOOD[LIST]))
ABSENT = {CERTIFICATE_EXPIRY.name} | {
    field.gauge.name
    for field in FIELDS
    if field.gauge and {None} == {value_at(field.path, record) for record in ROWS}
}
"""Gauges without a value: no recorded row has these fields; test_web_access.py tests the certificate."""
STATUS = {"unknown": 0, "healthy": 1, "degraded": 2, "down": 3}


class Prometheus:
    """Questions to a running Prometheus."""

    def __init__(self, server: Server) -> None:
        """Ask this one."""
        self.server = server

    def query(self, expression: str) -> list[Mapping[str, Any]]:
        """Return the series of an instant query."""
        series: list[Mapping[str, Any]] = self.server.get("/api/v1/query", query=expression)["data"]["result"]
        return series

    def values(self, name: str) -> dict[str, float]:
        """Return the values of a metric by provider, or by nothing."""
        found = self.query(f'{name}{{job="provider_metrics"}}')
        return {series["metric"].get("provider", ""): float(series["value"][1]) for series in found}


@pytest.fixture(scope="module", params=[{}, TEXT_ONLY], ids=["openmetrics", "text"])
def prometheus(
    request: pytest.FixtureRequest,
    programs: Mapping[str, Path],
    stack: Chain,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the exporter, in each of the formats."""
    folder = tmp_path_factory.mktemp("prometheus")
    ports = servers.Ports(loki=stack.ports.loki, collector_metrics=stack.ports.collector_metrics)
    with (
        servers.alertmanager(programs, folder / "alertmanager", ports),
        servers.prometheus(programs, folder, ports, stack.exporter_address, request.param) as server,
    ):
        running = Prometheus(server)
        wait_until(lambda: running.values("gatewayz_up") == {"": 1.0})
        yield running


def test_target_is_up(prometheus: Prometheus) -> None:
    """The exporter is a healthy target of the job with the contract's name."""
    targets = prometheus.server.get("/api/v1/targets")["data"]["activeTargets"]
    (target,) = [target for target in targets if target["labels"]["job"] == "provider_metrics"]

    assert ("up", "") == (target["health"], target["lastError"])


@pytest.mark.parametrize(
    "job",
    ["prometheus", "alertmanager", "otel-collector", pytest.param("loki", marks=pytest.mark.needs("loki"))],
)
def test_other_targets_are_up(prometheus: Prometheus, job: str) -> None:
    """The servers of the stack are scraped as well."""
    assert wait_until(lambda: prometheus.query(f'up{{job="{job}"}} == 1'))


@pytest.mark.parametrize(
    "instrument", [row for row in INSTRUMENTS if row.name not in ABSENT], ids=lambda row: row.name
)
def test_every_metric_is_there(prometheus: Prometheus, instrument: Any) -> None:
    """Each metric of the table can be queried by its name."""
    name = instrument.name + ("_count" if instrument.kind == "histogram" else "")

    assert wait_until(lambda: prometheus.values(name))


def test_values_of_the_list(prometheus: Prometheus) -> None:
    """Health, activity, response times and capabilities are those that the gateway lists."""
    rows = json.loads(recorded_body(GOOD[LIST]))

    assert {row["slug"]: STATUS[row["health_status"]] for row in rows} == prometheus.values(
        "gatewayz_provider_health_status"
    )
    assert {
        row["slug"]: row["average_response_time_ms"]
        for row in rows
        if row["average_response_time_ms"] is not None
    } == prometheus.values("gatewayz_provider_response_time_ms")
    for flag in (
        "is_active",
        "supports_streaming",
        "supports_function_calling",
        "supports_vision",
        "supports_image_generation",
    ):
        assert {row["slug"]: row[flag] for row in rows} == prometheus.values(f"gatewayz_provider_{flag}")


def test_values_of_the_counts(prometheus: Prometheus) -> None:
    """The seven counts are those that the gateway counts."""
    counts = json.loads(recorded_body("07-stats.http"))

    assert {name: {"": value} for name, value in counts.items()} == {
        name: prometheus.values(f"gatewayz_providers_{name}") for name in counts
    }


def test_provider_that_leaves(prometheus: Prometheus, stack: Chain) -> None:
    """A provider that left is stale in Prometheus at the next scrape, and comes back when it does."""
    rows = json.loads(recorded_body(GOOD[LIST]))
    assert "aimo" in prometheus.values("gatewayz_provider_health_status")
    try:
        stack.gateway.answers[LIST] = answer(
            200, json.dumps([row for row in rows if row["slug"] != "aimo"]).encode()
        )
        # Far below the five minutes for which a series without a staleness marker would linger.
        wait_until(lambda: "aimo" not in prometheus.values("gatewayz_provider_health_status"), 10)
        # Series of rules hold what was known last, on purpose.
        assert [] == prometheus.query('{__name__=~"gatewayz_.+",provider="aimo"}')
    finally:
        stack.gateway.answers[LIST] = recording(GOOD[LIST])
    wait_until(lambda: "aimo" in prometheus.values("gatewayz_provider_health_status"), 10)


def test_nothing_is_complained_about(prometheus: Prometheus) -> None:
    """Prometheus has no warning and no error about the exporter's scrapes in its log."""
    lines = [line for line in prometheus.server.log.splitlines() if "level=INFO" not in line]

    assert [] == [line for line in lines if "provider_metrics" in line or "scrape" in line]
