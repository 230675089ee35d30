"""Custom metrics of the example, by way of the real Prometheus, and its rules by promtool."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.stack import servers
from tests.stack.chain import Chain
from tests.stack.servers import Server, wait_until
from tests.stack.substitution import ROOT


@pytest.fixture(scope="module")
def prometheus(
    programs: Mapping[str, Path], stack: Chain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A Prometheus that scrapes an exporter with the example's metrics."""
    folder = tmp_path_factory.mktemp("prometheus")
    ports = servers.Ports(loki=stack.ports.loki, collector_metrics=stack.ports.collector_metrics)
    with (
        servers.alertmanager(programs, folder / "alertmanager", ports),
        servers.prometheus(programs, folder, ports, stack.exporter_address, {}) as server,
    ):
        yield server


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("gatewayz_provider_timeout_seconds", 33),
        ("gatewayz_provider_expected_models", 30),
        ('gatewayz_provider_traits_info{priority="fast"}', 8),
        ("gatewayz_providers_impaired == 11", 1),
        ("gatewayz_provider_response_time_ms / 1000 / gatewayz_provider_timeout_seconds", None),
        (
            "gatewayz_provider_timeout_seconds * on (job, instance, provider) group_left (priority) "
            "gatewayz_provider_traits_info",
            33,
        ),
    ],
)
def test_query(prometheus: Server, query: str, count: int | None) -> None:
    """Prometheus has the series, and what the page asks of them is answered."""

    def found() -> bool:
        series = prometheus.get("/api/v1/query", query=query)["data"]["result"]
        return len(series) == count if count else bool(series)

    assert wait_until(found)


def test_help(prometheus: Server) -> None:
    """Prometheus knows type and help text of a custom metric."""

    def known() -> bool:
        metadata = prometheus.get("/api/v1/metadata")["data"]
        text = "Timeout of the gateway's requests to the provider."
        expected = [{"type": "gauge", "unit": "", "help": text}]
        return bool(expected == metadata.get("gatewayz_provider_timeout_seconds"))

    assert wait_until(known)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "--lint=all", "--lint-fatal", "examples/custom-metrics.rules.yml"),
        ("test", "rules", "tests/examples/custom-metrics.rules.yml"),
    ],
    ids=["check", "test"],
)
def test_rules(programs: Mapping[str, Path], arguments: tuple[str, ...]) -> None:
    """Promtool accepts the example's rules, and they fire when they should."""
    result = subprocess.run(
        [str(programs["promtool"]), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert 0 == result.returncode, result.stdout + result.stderr
