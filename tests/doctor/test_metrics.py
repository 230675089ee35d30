"""Tests of the checks of Prometheus and Alertmanager."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.doctor.metrics import BAD_RULES, DOWN, NO_ALERTMANAGER, NO_RULES, NO_SERIES, NO_TARGET
from exporter.doctor.report import Finding, State, failed, ok
from exporter.doctor.targets import PROMETHEUS
from tests.doctor.backends import Response, rule, rules, success, target, targets, values
from tests.doctor.chain import Chain

RECORDING = rule("job_provider:gatewayz_uptime:ratio1h", "recording")
ALERT = rule("GatewayzProviderDown")
MANY = "GatewayzExporterDown: many-to-many"
BAD = rule("GatewayzExporterDown", health="err", lastError="many-to-many")
TARGETS, QUERY = "/api/v1/targets", "/api/v1/query"
PATHS = {"target": TARGETS, "series": QUERY, "rules": "/api/v1/rules", "alerting": "/api/v1/alertmanagers"}
NO_TARGETS = success(activeTargets=[])
NO_HOST = "lookup exporter: no such host"
DOWN_TARGET = target(health="down", lastError=NO_HOST)
SECOND = target(labels={"job": "provider_metrics", "instance": "second:8001"})
WAIT = "Prometheus scrapes every 1m: wait for the first scrape."
NOT_SCRAPED = Finding(State.WAITING, "exporter:8001: not scraped yet", WAIT)


@pytest.mark.parametrize(
    ("check", "answer", "expected"),
    [
        ("target", NO_TARGETS, failed("no target of job provider_metrics", NO_TARGET)),
        ("target", targets(), failed("no target of job provider_metrics", NO_TARGET)),
        ("target", targets(target(), DOWN_TARGET), failed(f"down: exporter:8001: {NO_HOST}", DOWN)),
        ("target", targets(target(health="unknown", lastScrape="0001-01-01T00:00:00Z")), NOT_SCRAPED),
        ("target", targets(target(), SECOND), ok("exporter:8001, second:8001: up, scraped every 1m")),
        ("series", values(age=None), failed("none", NO_SERIES)),
        ("series", values(count=None), failed("none", NO_SERIES)),
        ("rules", rules(), failed("0 alerts, 0 recording rules", NO_RULES)),
        ("rules", rules(ALERT), failed("1 alert, 0 recording rules", NO_RULES)),
        ("rules", rules(RECORDING), failed("0 alerts, 1 recording rule", NO_RULES)),
        ("rules", rules(ALERT, RECORDING, BAD), failed(f"1 of 3 fail: {MANY}", BAD_RULES)),
        ("alerting", success(activeAlertmanagers=[]), failed("no Alertmanager", NO_ALERTMANAGER)),
        ("target", Response(404), Finding(State.SKIPPED, "this server has no API for targets")),
        ("alerting", Response(404), Finding(State.SKIPPED, "this server has no API for Alertmanagers")),
    ],
)
def test_prometheus(chain: Chain, check: str, answer: Any, expected: Finding) -> None:
    """Returns finding and remedy for each answer of Prometheus."""
    chain.answers(PROMETHEUS)[PATHS[check]] = answer

    assert expected == chain.finding(f"prometheus {check}")


def test_targets_after_the_start(chain: Chain) -> None:
    """Waits for the first targets of a Prometheus that has just started."""
    found = targets(target())
    chain.answers(PROMETHEUS)[TARGETS] = lambda _: found if chain.clock.now >= 5 else NO_TARGETS

    assert State.OK is chain.finding("prometheus target").state
    assert 5 == chain.clock.now


def test_job(chain: Chain) -> None:
    """The name of the job is quoted in queries."""
    chain.job = 'a"b'
    chain.answers(PROMETHEUS)[TARGETS] = targets(target(labels={"job": 'a"b', "instance": "x"}))

    assert ok("x: up, scraped every 1m") == chain.finding("prometheus target")
    queries = [asked.query["query"][0] for asked in chain.backends[PROMETHEUS].asked if asked.path == QUERY]
    assert [True, True] == [r'job="a\"b"' in query for query in queries]
