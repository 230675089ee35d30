"""Grafana: itself, its data sources, and our dashboards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.clock import SystemClock
from exporter.doctor.context import Case
from exporter.doctor.grafana import DASHBOARDS, NO_DASHBOARDS, NO_SOURCES, SICK_SOURCES, dashboards, grafana
from exporter.doctor.probe import NoAnswer
from exporter.doctor.report import Finding, State
from exporter.doctor.targets import GRAFANA, Addresses, Identity
from exporter.files.secret import Secret
from tests.doctor.backends import SOURCE_HEALTH, Refusal, source
from tests.doctor.walks import GRAFANA_TOKEN, Chain, chain, nobody_polls
from tests.grafana.double import GrafanaDouble

ROOT = Path(__file__).parents[2]


@pytest.fixture
def good() -> Iterator[Chain]:
    """A chain that is well."""
    with chain() as running:
        yield running


def judged(good: Chain, check: str) -> tuple[State, str, str]:
    """Return how a check ends."""
    finding = good.walk()[check].finding
    return finding.state, finding.found, finding.remedy


def test_all_well(good: Chain) -> None:
    """What is found is told, and every request but the first needs the token."""
    results = good.walk()

    assert ["version 13.2.0", "Prometheus, Loki, Tempo", "all 3"] == [
        results[name].finding.found for name in ("grafana", "grafana data sources", "grafana dashboards")
    ]
    assert {f"Bearer {GRAFANA_TOKEN}"} == {asked.authorization for asked in good.backends[GRAFANA].asked}


def test_dashboards_are_ours() -> None:
    """The dashboards that are looked for are those of grafana/dashboards/."""
    files = [json.loads(path.read_text("utf-8")) for path in (ROOT / "grafana/dashboards").glob("*.json")]

    assert {board["uid"]: board["title"] for board in files} == dict(DASHBOARDS)


def test_sick_database(good: Chain) -> None:
    """A Grafana whose database is down is asked nothing more."""
    good.answers(GRAFANA)["/api/health"] = {"database": "failing", "version": "13.2.0"}

    assert ["grafana", "grafana data sources", "grafana dashboards"] == list(good.sick())


def test_without_token(good: Chain) -> None:
    """Without a token only Grafana itself is looked at."""
    del good.identities[GRAFANA]
    results = good.walk()

    assert [State.OK, State.SKIPPED, State.SKIPPED] == [
        results[name].finding.state for name in ("grafana", "grafana data sources", "grafana dashboards")
    ]
    assert ["/api/health"] == [asked.path for asked in good.backends[GRAFANA].asked]


@pytest.mark.parametrize("status", [401, 403])
def test_refused_token(good: Chain, status: int) -> None:
    """A token that is not taken is told by its variable."""
    good.answers(GRAFANA)["/api/datasources"] = Refusal(status, {"message": "no"})
    state, found, remedy = judged(good, "grafana data sources")

    assert (State.FAILED, True) == (state, found.endswith(f"HTTP status {status}"))
    assert "GRAFANA_TOKEN or GRAFANA_TOKEN_FILE" in remedy


def test_missing_source(good: Chain) -> None:
    """Each kind of data that the dashboards show has a source."""
    good.answers(GRAFANA)["/api/datasources"] = [source("loki"), source("alertmanager")]

    assert (State.FAILED, "none of type prometheus, tempo", NO_SOURCES) == judged(
        good, "grafana data sources"
    )


@pytest.mark.parametrize(
    "answer", [{"status": "ERROR", "message": "no"}, Refusal(400, {"status": "ERROR"}), Refusal(500)]
)
def test_sick_source(good: Chain, answer: Any) -> None:
    """A source that Grafana cannot reach is named as it is called there."""
    good.answers(GRAFANA)[SOURCE_HEALTH.format("loki")] = answer

    assert (State.FAILED, "Loki: Grafana gets no good answer", SICK_SOURCES) == judged(
        good, "grafana data sources"
    )


@pytest.mark.parametrize("status", [404, 501])
def test_source_that_cannot_ask_itself(good: Chain, status: int) -> None:
    """A source of a version without a health check is not held to be sick."""
    good.answers(GRAFANA)[SOURCE_HEALTH.format("tempo")] = Refusal(
        status, {"message": "Method not implemented"}
    )

    assert State.OK is judged(good, "grafana data sources")[0]


def test_several_sources_of_a_type(good: Chain) -> None:
    """Of several sources of a type, the one that is provisioned is asked."""
    good.answers(GRAFANA)["/api/datasources"].insert(0, source("prometheus", uid="other", name="Other"))

    assert (State.OK, "Prometheus, Loki, Tempo", "") == judged(good, "grafana data sources")


def test_missing_dashboard(good: Chain) -> None:
    """A dashboard that is not there is named."""
    del good.answers(GRAFANA)["/api/search"][1]

    assert (State.FAILED, "missing: GatewayZ Provider", NO_DASHBOARDS) == judged(good, "grafana dashboards")


def case(double: GrafanaDouble, token: str) -> Case:
    """Return a case that leads to the recorded Grafana."""
    identities = {GRAFANA: Identity(None, Secret(token))}
    return Case({}, Addresses({GRAFANA: double.url}, identities), SystemClock(), nobody_polls)


def test_recorded_grafana() -> None:
    """The recorded answers of a real Grafana are understood: health, and a token that it does not know."""
    with GrafanaDouble(prefix="/sub") as double:
        assert Finding(State.OK, "version 9.4.0-pre") == grafana(case(double, "unknown"))
        with pytest.raises(NoAnswer) as caught:
            dashboards(case(double, "unknown"))

    assert 401 == caught.value.status
