"""Tests of the checks of Grafana."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.clock import SystemClock
from exporter.doctor import grafana
from exporter.doctor.context import Context
from exporter.doctor.report import Finding, State, failed, ok
from exporter.doctor.targets import GRAFANA, Targets
from exporter.files.secret import Secret
from exporter.transport.auth import Credentials
from exporter.transport.probe import ProbeError
from tests.doctor.backends import SOURCE_HEALTH, UIDS, Response, source
from tests.doctor.chain import Chain, unexpected_poll
from tests.grafana.double import GrafanaDouble

ROOT = Path(__file__).parents[2]
HEALTH, SOURCES, SEARCH = "/api/health", "/api/datasources", "/api/search"
LOKI_HEALTH, TEMPO_HEALTH = SOURCE_HEALTH.format("loki"), SOURCE_HEALTH.format("tempo")
GOOD = "Prometheus, Loki, Tempo"
NO_PROVIDER = failed("missing: GatewayZ Provider", grafana.NO_DASHBOARDS)
BAD_LOKI = failed("Loki: the test in Grafana fails", grafana.FAILING_SOURCES)
SEVERAL = [source("prometheus", uid="other", name="Other"), *map(source, ("prometheus", "loki", "tempo"))]


def test_dashboards_of_the_project() -> None:
    """The dashboards that are looked for are those of grafana/dashboards/."""
    files = [json.loads(path.read_text("utf-8")) for path in (ROOT / "grafana/dashboards").glob("*.json")]

    assert {board["uid"]: board["title"] for board in files} == dict(grafana.DASHBOARDS)


def test_without_token(chain: Chain) -> None:
    """Without a token only the health of Grafana is checked."""
    del chain.credentials[GRAFANA]

    states = [result.finding.state for name, result in chain.run().items() if name.startswith("grafana")]
    assert [State.OK, State.SKIPPED, State.SKIPPED] == states
    assert [HEALTH] == [asked.path for asked in chain.backends[GRAFANA].asked]


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        (HEALTH, {"database": "failing"}, failed("its database fails", grafana.DATABASE_DOWN)),
        (SOURCES, [source("loki")], failed("none of type prometheus, tempo", grafana.NO_SOURCES)),
        (SOURCES, SEVERAL, ok(GOOD)),
        (LOKI_HEALTH, {"status": "ERROR", "message": "no"}, BAD_LOKI),
        (LOKI_HEALTH, Response(400, {"status": "ERROR"}), BAD_LOKI),
        (LOKI_HEALTH, Response(500), BAD_LOKI),
        (TEMPO_HEALTH, Response(404, {"message": "not implemented"}), ok(GOOD)),
        (TEMPO_HEALTH, Response(501), ok(GOOD)),
        (SEARCH, [{"uid": UIDS[0]}, {"uid": UIDS[2]}], NO_PROVIDER),
    ],
)
def test_grafana(chain: Chain, path: str, answer: Any, expected: Finding) -> None:
    """Returns finding and remedy for each answer of Grafana."""
    chain.answers(GRAFANA)[path] = answer
    check = {HEALTH: "grafana", SEARCH: "grafana dashboards"}.get(path, "grafana data sources")

    assert expected == chain.finding(check)


def test_recorded_grafana() -> None:
    """Reads recorded answers of Grafana: its health, and the refusal of an unknown token."""
    credentials = {GRAFANA: Credentials(None, Secret("unknown"))}
    with GrafanaDouble(prefix="/sub") as double:
        context = Context({}, Targets({GRAFANA: double.url}, credentials), SystemClock(), unexpected_poll)
        assert ok("version 9.4.0-pre") == grafana.grafana(context)
        with pytest.raises(ProbeError) as caught:
            grafana.dashboards(context)

    assert 401 == caught.value.status
