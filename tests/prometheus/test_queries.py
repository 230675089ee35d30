"""Tests of `exporter.prometheus.queries`; tests/stack tries the queries on a real Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporter.clock import SystemClock
from exporter.config.access import Access
from exporter.config.prometheus import PrometheusSettings
from exporter.errors import Outcome
from exporter.files.secret import Secret
from exporter.model.history import Slot
from exporter.model.provider import HealthStatus
from exporter.prometheus.queries import Prometheus
from exporter.transport.auth import Credentials
from exporter.transport.probe import ProbeError
from tests.http_server import answer
from tests.prometheus.server import NUMBER, SLOT, START, PrometheusServer, matrix, vector


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    """A server without series."""
    with PrometheusServer() as running:
        yield running


def client(server: PrometheusServer, job: str = "provider_metrics", tenant: str = "") -> Prometheus:
    """Return a client with a token."""
    credentials = Credentials(None, Secret("token"))
    return Prometheus(
        PrometheusSettings(f"{server.url}/sub", job, Access(tenant, credentials)), SystemClock()
    )


def slots(server: PrometheusServer) -> dict[str, tuple[Slot, ...]]:
    """Return the slots of three quarters of an hour."""
    return dict(client(server).slots(NUMBER, NUMBER + 2, SLOT))


def test_slots(server: PrometheusServer) -> None:
    """A slot has the values that are evaluated at its end, and is steady if no health in it differs."""
    server.series = {
        "count_over_time": matrix({"a": {0: 15, 1: 15}, "b": {2: 3}}),
        "sum_over_time": matrix({"a": {0: 15, 1: 9}, "b": {2: 0}}),
        "max_over_time": matrix({"a": {0: 1, 1: 3}, "b": {2: 0}}),
        "min_over_time": matrix({"a": {0: 1, 1: 1}, "b": {2: 0}}),
        "avg_over_time": matrix({"a": {0: 250.5}}),
    }

    assert {
        "a": (
            Slot(START, HealthStatus.HEALTHY, 15, 15, 250.5),
            Slot(START + SLOT, HealthStatus.DOWN, 15, 9, None, is_steady=False),
        ),
        "b": (Slot(START + 2 * SLOT, HealthStatus.UNKNOWN, 3, 0, None),),
    } == slots(server)


def test_range_queries(server: PrometheusServer) -> None:
    """The queries are for the job, evaluated at the ends of the slots, with tenant and token."""
    client(server, 'a "job"', "team").slots(NUMBER, NUMBER + 2, 37.5)
    asked = server.asked[0]

    assert ("/sub/api/v1/query_range", "Bearer token", "team") == (
        asked.path,
        asked.authorization,
        asked.headers["X-Scope-OrgID"],
    )
    assert {
        "query": ['count_over_time(job_provider:gatewayz_usable:bool{job="a \\"job\\""}[37500ms])'],
        "start": [f"{(NUMBER + 1) * 37.5}"],
        "end": [f"{(NUMBER + 3) * 37.5}"],
        "step": ["37.5"],
    } == asked.query


def test_uptimes(server: PrometheusServer) -> None:
    """Uptimes are the recorded ones of each window."""
    server.series = {"ratio1d": vector({"a": 0.99}), "ratio30d": vector({"a": 0.5, "b": 1})}

    assert {"24h": {"a": 0.99}, "14d": {}, "30d": {"a": 0.5, "b": 1.0}} == client(server).uptimes()
    assert 'job_provider:gatewayz_uptime:ratio1d{job="provider_metrics"}' == server.asked[0].query["query"][0]
    assert "X-Scope-OrgID" not in server.asked[0].headers


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "4", "1.5", "x", ""])
def test_values_that_cannot_be(server: PrometheusServer, value: str) -> None:
    """A health that does not exist is left out; so is an uptime that is no share."""
    server.series = {"max_over_time": matrix({"a": {0: value, 1: 1}}), "ratio1d": vector({"a": value})}

    assert [START + SLOT] == [slot.start for slot in slots(server)["a"]]
    assert {} == client(server).uptimes()["24h"]


def test_series_without_a_provider(server: PrometheusServer) -> None:
    """Series of other labels are left out."""
    server.series = {"max_over_time": [{"metric": {"job": "x"}, "values": [[START, "1"]]}]}

    assert {} == slots(server)


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (answer(401), Outcome.UNAUTHORIZED),
        (answer(503), Outcome.SERVER_ERROR),
        (answer(422, b'{"status":"error","error":"too many samples"}'), Outcome.CLIENT_ERROR),
        (answer(200, b"<html>"), Outcome.NOT_JSON),
        (
            answer(200, b'{"status":"success","data":{"result":[{"metric":{},"values":7}]}}'),
            Outcome.WRONG_SHAPE,
        ),
        (answer(200, b'{"status":"success"}'), Outcome.WRONG_SHAPE),
    ],
    ids=["401", "503", "422", "HTML", "other shape", "no data"],
)
def test_failures(server: PrometheusServer, raw: bytes, outcome: Outcome) -> None:
    """Any other answer is an error with its outcome."""
    server.raw = raw

    with pytest.raises(ProbeError) as raised:
        slots(server)

    assert outcome is raised.value.outcome
