"""Prometheus and Alertmanager: what is wrong there is named, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from exporter.doctor.metrics import BAD_RULES, DOWN, NO_ALERTMANAGER, NO_RULES, NO_SERIES, NO_TARGET
from exporter.doctor.report import State
from exporter.doctor.targets import ALERTMANAGER, PROMETHEUS
from tests.doctor.backends import Refusal, rule, rules, target, targets, values
from tests.doctor.walks import Chain, chain

RECORDING = rule("job_provider:gatewayz_uptime:ratio1h", "recording")
ALERT = rule("GatewayzProviderDown")


@pytest.fixture
def good() -> Iterator[Chain]:
    """A chain that is well."""
    with chain() as running:
        yield running


def judged(good: Chain, path: str, answer: Any, check: str) -> tuple[State, str, str]:
    """Return how a check ends when Prometheus answers this."""
    good.answers(PROMETHEUS)[path] = answer
    finding = good.walk()[check].finding
    return finding.state, finding.found, finding.remedy


def test_all_well(good: Chain) -> None:
    """What is found is told."""
    results = good.walk()

    assert {
        "prometheus": "version 3.16.0",
        "prometheus target": "exporter:8001: up, scraped every 1m",
        "prometheus series": "556, scraped 31 s ago",
        "prometheus rules": "2 alerts, 1 recording rule, 1 firing",
        "prometheus alerting": "to http://alertmanager:9093/api/v2/alerts",
        "alertmanager": "version 0.31.1",
    } == {name: results[name].finding.found for name in results if name.startswith(("prom", "alertm"))}
    assert {} == good.sick()


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], (State.FAILED, "no target of job provider_metrics", NO_TARGET)),
        (
            [target(), target(health="down", lastError="lookup exporter: no such host")],
            (State.FAILED, "down: exporter:8001: lookup exporter: no such host", DOWN),
        ),
        (
            [target(health="unknown", lastScrape="0001-01-01T00:00:00Z")],
            (
                State.WAITING,
                "exporter:8001: not scraped yet",
                "Prometheus scrapes every 1m: wait for the first.",
            ),
        ),
        (
            [target(), target(labels={"job": "provider_metrics", "instance": "second:8001"})],
            (State.OK, "exporter:8001, second:8001: up, scraped every 1m", ""),
        ),
    ],
    ids=["none", "one of two down", "just started", "two"],
)
def test_target(good: Chain, entries: list[Any], expected: tuple[State, str, str]) -> None:
    """The exporter's target is there and up; one that was not scraped yet is waited for."""
    assert expected == judged(good, "/api/v1/targets", targets(*entries), "prometheus target")


def test_prometheus_without_any_target_yet(good: Chain) -> None:
    """The first seconds of Prometheus, in which it has no target at all, are waited for."""
    known: Any = targets(target())
    none: Any = {"status": "success", "data": {"activeTargets": []}}
    answer = lambda _: known if good.clock.now >= 5 else none  # noqa: E731

    assert State.OK is judged(good, "/api/v1/targets", answer, "prometheus target")[0]
    assert 5 == good.clock.now
    assert NO_TARGET == judged(good, "/api/v1/targets", none, "prometheus target")[2]


def test_other_job(good: Chain) -> None:
    """The name of the job can be told, and goes into the queries as a text."""
    good.job = 'a"b'
    entry = target(labels={"job": 'a"b', "instance": "x"})
    expected = (State.OK, "x: up, scraped every 1m", "")

    assert expected == judged(good, "/api/v1/targets", targets(entry), "prometheus target")
    queries = [
        asked.query["query"][0] for asked in good.backends[PROMETHEUS].asked if asked.query.get("query")
    ]
    assert all(r'job="a\"b"' in query for query in queries)
    assert 2 == len(queries)


@pytest.mark.parametrize("answer", [values(age=None), values(count=None)], ids=["no sample", "no count"])
def test_no_series(good: Chain, answer: Any) -> None:
    """A target that is up and leaves no series is another trouble than one that is down."""
    assert (State.FAILED, "none", NO_SERIES) == judged(good, "/api/v1/query", answer, "prometheus series")


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([], "0 alerts, 0 recording rules"),
        ([ALERT], "1 alert, 0 recording rules"),
        ([RECORDING], "0 alerts, 1 recording rule"),
    ],
)
def test_rules_that_are_not_loaded(good: Chain, entries: list[Any], found: str) -> None:
    """Both kinds of our rules are needed; those of others do not count."""
    expected = (State.FAILED, found, NO_RULES)

    assert expected == judged(good, "/api/v1/rules", rules(*entries), "prometheus rules")


def test_rule_that_fails(good: Chain) -> None:
    """A rule that cannot be evaluated is named with its error."""
    bad = rule("GatewayzExporterDown", health="err", lastError="many-to-many")
    expected = (State.FAILED, "1 of 3 fail: GatewayzExporterDown: many-to-many", BAD_RULES)

    assert expected == judged(good, "/api/v1/rules", rules(ALERT, RECORDING, bad), "prometheus rules")


def test_no_alertmanager(good: Chain) -> None:
    """A Prometheus that sends alerts to nobody is told."""
    answer: Any = {"data": {"activeAlertmanagers": []}}
    expected = (State.FAILED, "to nobody", NO_ALERTMANAGER)

    assert expected == judged(good, "/api/v1/alertmanagers", answer, "prometheus alerting")


def test_starting_prometheus(good: Chain) -> None:
    """While Prometheus reads its log of the past, all that needs it is not tried."""
    good.answers(PROMETHEUS)["/api/v1/status/buildinfo"] = Refusal(503, "Service Unavailable")

    assert {
        "prometheus": State.FAILED,
        **dict.fromkeys(
            (f"prometheus {name}" for name in ("target", "series", "rules", "alerting")), State.NOT_TRIED
        ),
    } == good.sick()


def test_value_that_is_no_number(good: Chain) -> None:
    """A value that is none is garbage."""
    state, found, _ = judged(good, "/api/v1/query", values(age="soon"), "prometheus series")

    assert (State.FAILED, True) == (state, found.endswith(": a value that is no number"))


def test_built_without_a_version(good: Chain) -> None:
    """A server that was built without a version is well all the same."""
    good.answers(ALERTMANAGER)["/api/v2/status"] = {"versionInfo": {"version": ""}}

    assert (State.OK, "version not told") == good.told("alertmanager")


def test_sick_alertmanager(good: Chain) -> None:
    """An Alertmanager that is none is named alone."""
    good.answers(ALERTMANAGER)["/api/v2/status"] = {"versionInfo": None}

    assert {"alertmanager": State.FAILED} == good.sick()
