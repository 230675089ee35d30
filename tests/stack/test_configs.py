"""Every configuration file is accepted by the checker of the server that reads it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml

from tests.stack.chain import Chain
from tests.stack.machine import VERSION_FLAGS
from tests.stack.servers import Programs, run
from tests.stack.substitution import ROOT

CHECKS = {
    "prometheus": ("promtool", "check", "config", "prometheus/prom.yml"),
    "alertmanager": ("amtool", "check-config", "alertmanager/alertmanager.yml"),
    "otelcol": ("otelcol", "validate", "--config=otel/collector.yaml"),
    "loki": ("loki", "-verify-config", "-config.file=loki/loki.yaml"),
    "tempo": ("tempo", "-config.verify", "-config.file=tempo/tempo.yaml"),
}
NAMES_OF_THE_CONTRACT = {
    'gatewayz_providers_total non-counter metrics should not have "_total" suffix',
    "gatewayz_provider_response_time_ms metric names should not contain abbreviated units",
}
"""What promtool's linter reports about the exposition."""


def queries_from_traces() -> list[Mapping[str, str]]:
    """Return the queries that the data source of Tempo has for metrics, with their names."""
    path = ROOT / "grafana" / "provisioning" / "datasources" / "datasources.yaml"
    sources = {source["uid"]: source for source in yaml.safe_load(path.read_text("utf-8"))["datasources"]}
    found: list[Mapping[str, str]] = sources["tempo"]["jsonData"]["tracesToMetrics"]["queries"]
    return found


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=name, marks=[pytest.mark.needs(name)] if name in VERSION_FLAGS else [])
        for name, command in CHECKS.items()
    ],
)
def test_config(programs: Programs, command: tuple[str, ...]) -> None:
    """The file is valid, as it stands in the project, and nothing in it is deprecated."""
    name, *arguments = command
    code, output = run(programs[name], *arguments)

    assert (0, False) == (code, "deprecated" in output.lower()), output


@pytest.mark.parametrize("query", queries_from_traces(), ids=lambda query: query["name"])
def test_query_from_traces(programs: Programs, query: Mapping[str, str]) -> None:
    """The queries from a trace to metrics are PromQL."""
    text = query["query"].replace("$${__tags}", 'service="provider-metrics-exporter"')

    code, output = run(programs["promtool"], "--experimental", "promql", "format", text)

    assert 0 == code, output


def test_exposition_against_the_linter(programs: Programs, stack: Chain) -> None:
    """Prometheus' linter finds nothing in the live exposition but what the contract's names bring."""
    stack.exporter.record("Updated provider metrics")
    _, output = run(programs["promtool"], "check", "metrics", input=stack.scrape())

    complaints = {line.strip() for line in output.splitlines() if line.strip()}
    assert NAMES_OF_THE_CONTRACT == complaints
