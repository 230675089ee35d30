"""Tests of the checks of Prometheus and Alertmanager."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.doctor.metrics import BAD_RULES, DOWN, NO_ALERTMANAGER, NO_RULES, NO_SERIES, NO_TARGET
from exporter.doctor.report import Finding, State, failed, ok
from exporter.doctor.targets import ALERTMANAGER, PROMETHEUS
from tests.doctor.backends import rule, rules, target, targets, values
from tests.doctor.chain import Chain

RECORDING = rule("job_provider:gatewayz_uptime:ratio1h", "recording")
ALERT = rule("GatewayzProviderDown")
BAD = rule("GatewayzExporterDown", health="err", lastError="many-to-many")
TARGETS, QUERY, RULES = "/api/v1/targets", "/api/v1/query", "/api/v1/rules"
NO_TARGETS: Any = {"status": "success", "data": {"activeTargets": []}}


def test_healthy_servers(chain: Chain) -> None:
    """Findings have version, target, series, rules and Alertmanager."""
    assert [
        "version 3.16.0",
        "exporter:8001: up, scraped every 1m",
        "556, scraped 31 s ago",
        "2 alerts, 1 recording rule, 1 firing",
        "to http://alertmanager:9093/api/v2/alerts",
        "version 0.31.1",
    ] == chain.found(
        "prometheus",
        "prometheus target",
        "prometheus series",
        "prometheus rules",
        "prometheus alerting",
        "alertmanager",
    )


@pytest.mark.parametrize(
    ("check", "path", "answer", "expected"),
    [
        ("target", TARGETS, NO_TARGETS, failed("no target of job provider_metrics", NO_TARGET)),
        ("target", TARGETS, targets(), failed("no target of job provider_metrics", NO_TARGET)),
        (
            "target",
            TARGETS,
            targets(target(), target(health="down", lastError="lookup exporter: no such host")),
            failed("down: exporter:8001: lookup exporter: no such host", DOWN),
        ),
        (
            "target",
            TARGETS,
            targets(target(health="unknown", lastScrape="0001-01-01T00:00:00Z")),
            Finding(
                State.WAITING,
                "exporter:8001: not scraped yet",
                "Prometheus scrapes every 1m: wait for the first scrape.",
            ),
        ),
        (
            "target",
            TARGETS,
            targets(target(), target(labels={"job": "provider_metrics", "instance": "second:8001"})),
            ok("exporter:8001, second:8001: up, scraped every 1m"),
        ),
        ("series", QUERY, values(age=None), failed("none", NO_SERIES)),
        ("series", QUERY, values(count=None), failed("none", NO_SERIES)),
        ("rules", RULES, rules(), failed("0 alerts, 0 recording rules", NO_RULES)),
        ("rules", RULES, rules(ALERT), failed("1 alert, 0 recording rules", NO_RULES)),
        ("rules", RULES, rules(RECORDING), failed("0 alerts, 1 recording rule", NO_RULES)),
        (
            "rules",
            RULES,
            rules(ALERT, RECORDING, BAD),
            failed("1 of 3 fail: GatewayzExporterDown: many-to-many", BAD_RULES),
        ),
        (
            "alerting",
            "/api/v1/alertmanagers",
            {"data": {"activeAlertmanagers": []}},
            failed("no Alertmanager", NO_ALERTMANAGER),
        ),
    ],
)
def test_prometheus(chain: Chain, check: str, path: str, answer: Any, expected: Finding) -> None:
    """Returns finding and remedy for each answer of Prometheus."""
    chain.answers(PROMETHEUS)[path] = answer

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


def test_value_that_is_not_a_number(chain: Chain) -> None:
    """Fails as for a wrong server."""
    chain.answers(PROMETHEUS)[QUERY] = values(age="soon")

    assert chain.finding("prometheus series").found.endswith(": a value that is not a number")


@pytest.mark.parametrize(
    ("version", "found"), [("", "version unknown"), (None, "{}: JSON of another shape")], ids=repr
)
def test_alertmanager(chain: Chain, version: str | None, found: str) -> None:
    """An Alertmanager without a version passes, another server fails."""
    chain.answers(ALERTMANAGER)["/api/v2/status"] = {"versionInfo": {"version": version}}

    assert [found.format(chain.backends[ALERTMANAGER].url)] == chain.found("alertmanager")
