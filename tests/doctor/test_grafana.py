"""Tests of the checks of Grafana."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.clock import SystemClock
from exporter.doctor.context import Context
from exporter.doctor.grafana import (
    DASHBOARDS,
    DATABASE_DOWN,
    FAILING_SOURCES,
    NO_DASHBOARDS,
    NO_SOURCES,
    dashboards,
    grafana,
)
from exporter.doctor.probe import ProbeError
from exporter.doctor.report import Finding, State, failed, ok
from exporter.doctor.targets import GRAFANA, Credentials, Targets
from exporter.files.secret import Secret
from tests.doctor.backends import SOURCE_HEALTH, UIDS, Response, source
from tests.doctor.chain import GRAFANA_TOKEN, Chain, unexpected_poll
from tests.grafana.double import GrafanaDouble

ROOT = Path(__file__).parents[2]
HEALTH, SOURCES = "/api/health", "/api/datasources"
LOKI_HEALTH, TEMPO_HEALTH = SOURCE_HEALTH.format("loki"), SOURCE_HEALTH.format("tempo")
GOOD = "Prometheus, Loki, Tempo"
BAD_LOKI = failed("Loki: the test in Grafana fails", FAILING_SOURCES)
SEVERAL = [source("prometheus", uid="other", name="Other"), *map(source, ("prometheus", "loki", "tempo"))]


def test_healthy_grafana(chain: Chain) -> None:
    """Findings have version, data sources and dashboards; requests have the token."""
    assert ["version 13.2.0", GOOD, "all 3"] == chain.found(
        "grafana", "grafana data sources", "grafana dashboards"
    )
    assert {f"Bearer {GRAFANA_TOKEN}"} == {asked.authorization for asked in chain.backends[GRAFANA].asked}


def test_dashboards_of_the_project() -> None:
    """The dashboards that are looked for are those of grafana/dashboards/."""
    files = [json.loads(path.read_text("utf-8")) for path in (ROOT / "grafana/dashboards").glob("*.json")]

    assert {board["uid"]: board["title"] for board in files} == dict(DASHBOARDS)


def test_without_token(chain: Chain) -> None:
    """Without a token only the health of Grafana is checked."""
    del chain.credentials[GRAFANA]
    results = chain.run()

    assert [State.OK, State.SKIPPED, State.SKIPPED] == [
        result.finding.state for name, result in results.items() if name.startswith("grafana")
    ]
    assert [HEALTH] == [asked.path for asked in chain.backends[GRAFANA].asked]


@pytest.mark.parametrize("status", [401, 403])
def test_refused_token(chain: Chain, status: int) -> None:
    """The remedy for a refused token has its variables."""
    chain.answers(GRAFANA)[SOURCES] = Response(status, {"message": "no"})
    finding = chain.finding("grafana data sources")

    assert finding.found.endswith(f"HTTP status {status}")
    assert "GRAFANA_TOKEN or GRAFANA_TOKEN_FILE" in finding.remedy


@pytest.mark.parametrize(
    ("check", "path", "answer", "expected"),
    [
        ("", HEALTH, {"database": "failing"}, failed("its database fails", DATABASE_DOWN)),
        (
            " data sources",
            SOURCES,
            [source("loki"), source("alertmanager")],
            failed("none of type prometheus, tempo", NO_SOURCES),
        ),
        (" data sources", LOKI_HEALTH, {"status": "ERROR", "message": "no"}, BAD_LOKI),
        (" data sources", LOKI_HEALTH, Response(400, {"status": "ERROR"}), BAD_LOKI),
        (" data sources", LOKI_HEALTH, Response(500), BAD_LOKI),
        (" data sources", TEMPO_HEALTH, Response(404, {"message": "not implemented"}), ok(GOOD)),
        (" data sources", TEMPO_HEALTH, Response(501), ok(GOOD)),
        (" data sources", SOURCES, SEVERAL, ok(GOOD)),
        (
            " dashboards",
            "/api/search",
            [{"uid": UIDS[0]}, {"uid": UIDS[2]}],
            failed("missing: GatewayZ Provider", NO_DASHBOARDS),
        ),
    ],
)
def test_grafana(chain: Chain, check: str, path: str, answer: Any, expected: Finding) -> None:
    """Returns finding and remedy for each answer of Grafana."""
    chain.answers(GRAFANA)[path] = answer

    assert expected == chain.finding(f"grafana{check}")


def test_recorded_grafana() -> None:
    """Reads recorded answers of Grafana: its health, and the refusal of an unknown token."""
    credentials = {GRAFANA: Credentials(None, Secret("unknown"))}
    with GrafanaDouble(prefix="/sub") as double:
        context = Context({}, Targets({GRAFANA: double.url}, credentials), SystemClock(), unexpected_poll)
        assert ok("version 9.4.0-pre") == grafana(context)
        with pytest.raises(ProbeError) as caught:
            dashboards(context)

    assert 401 == caught.value.status
