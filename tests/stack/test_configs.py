"""Every configuration file is accepted by the checker of the server that reads it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.stack.chain import Chain
from tests.stack.substitution import ROOT

CHECKS = {
    "prometheus": ("promtool", "check", "config", "prometheus/prom.yml"),
    "alertmanager": ("amtool", "check-config", "alertmanager/alertmanager.yml"),
    "otelcol": ("otelcol", "validate", "--config=otel/collector.yaml"),
}
CHECKS_OF_THE_MACHINE = {
    "loki": ("loki", "-verify-config", "-config.file=loki/loki.yaml"),
    "tempo": ("tempo", "-config.verify", "-config.file=tempo/tempo.yaml"),
}
"""By servers that a machine has or has not."""

KNOWN_COMPLAINTS = {
    'gatewayz_providers_total non-counter metrics should not have "_total" suffix': "a name of the contract",
    "gatewayz_provider_response_time_ms metric names should not contain abbreviated units": (
        "a name of the contract"
    ),
}
"""What promtool's linter says of the exposition, and why it stays."""


def queries_from_traces() -> list[Mapping[str, str]]:
    """Return the queries that the data source of Tempo has for metrics, with their names."""
    path = ROOT / "grafana" / "provisioning" / "datasources" / "datasources.yaml"
    sources = {source["uid"]: source for source in yaml.safe_load(path.read_text("utf-8"))["datasources"]}
    found: list[Mapping[str, str]] = sources["tempo"]["jsonData"]["tracesToMetrics"]["queries"]
    return found


@pytest.mark.parametrize(
    "command",
    [
        *(pytest.param(command, id=name) for name, command in CHECKS.items()),
        *(
            pytest.param(command, id=name, marks=pytest.mark.needs(name))
            for name, command in CHECKS_OF_THE_MACHINE.items()
        ),
    ],
)
def test_config(programs: Mapping[str, Path], command: tuple[str, ...]) -> None:
    """The file is valid, as it stands in the project, and nothing in it is deprecated."""
    program, *arguments = command

    result = subprocess.run(
        [str(programs[program]), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )

    output = result.stdout + result.stderr
    assert (0, False) == (result.returncode, "deprecated" in output.lower()), output


@pytest.mark.parametrize("query", queries_from_traces(), ids=lambda query: query["name"])
def test_query_from_traces(programs: Mapping[str, Path], query: Mapping[str, str]) -> None:
    """The queries from a trace to metrics are PromQL."""
    text = query["query"].replace("$${__tags}", 'service="provider-metrics-exporter"')

    result = subprocess.run(
        [str(programs["promtool"]), "--experimental", "promql", "format", text],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == result.returncode, result.stderr


def test_exposition_against_the_linter(programs: Mapping[str, Path], stack: Chain) -> None:
    """Prometheus' linter finds nothing in the live exposition but what the contract's names bring."""
    stack.exporter.record("Updated provider metrics")
    result = subprocess.run(
        [str(programs["promtool"]), "check", "metrics"],
        input=stack.scrape(),
        capture_output=True,
        text=True,
        check=False,
    )

    complaints = {line.strip() for line in (result.stdout + result.stderr).splitlines() if line.strip()}
    assert set(KNOWN_COMPLAINTS) == complaints
