"""Tests one case: `/metrics` and the log before, during and after the fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.errors import HINTS, Outcome
from exporter.model.endpoints import Endpoint
from tests.faults.cases import Case
from tests.faults.front import Front, front
from tests.faults.matrix import Row
from tests.faults.outside import KEY, Scrape, series
from tests.faults.peer import Gateway

FETCH_TIMEOUT, SHORT_TIMEOUT = "30", "2"
"""The latter for cases that only the deadline ends."""
ERRORS = "gatewayz_provider_scrape_errors_total"
FETCHES = "gatewayz_exporter_fetches_total"
LAST_SUCCESS = "gatewayz_exporter_last_success_timestamp_seconds"

Lines = list[dict[str, Any]]


def data_of(scrape: Scrape) -> Scrape:
    """Return the samples that come from the gateway's answers."""
    own = (ERRORS, "gatewayz_provider_metrics_last_update")
    names = {key[0] for key in scrape if key[0].startswith("gatewayz_provider")} - set(own)
    return {key: value for key, value in scrape.items() if key[0] in names}


def increases(before: Scrape, after: Scrape) -> Scrape:
    """Return the increases of the counters of fetches and failures, without those that are 0."""
    counters = [key for key in after if key[0] in (ERRORS, FETCHES)]
    return {key: after[key] - before[key] for key in counters if after[key] != before[key]}


def counted(outcomes: Mapping[Endpoint, Outcome]) -> Scrape:
    """Return the expected increases for these outcomes."""
    failures = sum(outcome is not Outcome.OK for outcome in outcomes.values())
    fetches = {series(FETCHES, endpoint=e.value, outcome=o.value): 1.0 for e, o in outcomes.items()}
    return fetches | ({series(ERRORS): float(failures)} if failures else {})


def succeeded(before: Scrape, after: Scrape) -> list[str]:
    """Return the endpoints whose time of the last success changed."""
    keys = {endpoint.value: series(LAST_SUCCESS, endpoint=endpoint.value) for endpoint in Endpoint}
    return [endpoint for endpoint, key in keys.items() if before.get(key) != after.get(key)]


def detail(line: Mapping[str, Any]) -> str:
    """Return the detail in a record's hint, in brackets after the remedy."""
    remedy, hint = HINTS[Outcome(line["outcome"])], str(line["hint"])
    assert hint.startswith(f"{remedy} (")
    assert hint.endswith(")")
    return hint[len(remedy) + 2 : -1]


def proved(case: Case, place: int, gateway: Gateway, url: str) -> Row:
    """Test a case with an exporter of its own, and return its row of the matrix."""
    fetch_timeout = SHORT_TIMEOUT if case.outcome is Outcome.TIMEOUT else FETCH_TIMEOUT
    with front(url, FETCH_TIMEOUT=fetch_timeout) as exporter:
        before, _ = polled_well(case, gateway, exporter)
        gateway.become(case.state)
        exporter.poll()
        during, lines = exporter.scrape(), exporter.rig.lines()
        assert KEY not in str(lines)
        if case.outcome is Outcome.OK:
            metrics, log = proved_good(case, before, during, lines)
        else:
            metrics, log = proved_failure(case, before, during, lines)
            assert "OK\n" == exporter.get("/-/healthy")
            after, lines = polled_well(case, gateway, exporter)
            recovered = [(line["endpoint"], line["failures"]) for line in records(lines, "Recovered")]
            assert [(endpoint.value, 1) for endpoint in case.failing] == recovered
            assert data_of(before) == data_of(after)
            metrics, log = f"{metrics}; recovered", f"{log}; {len(recovered)} x Recovered"
    assert not gateway.was_reached_elsewhere()
    assert {f"Bearer {KEY}"} == {asked.authorization for asked in gateway.asked}
    return Row(case.group, place, case.title, case.outcome.value, metrics, gateway.without_ports(log))


def polled_well(case: Case, gateway: Gateway, exporter: Front) -> tuple[Scrape, Lines]:
    """Return `/metrics` and the log of a successful poll."""
    gateway.become(case.good_state)
    exporter.poll()
    scrape, lines = exporter.scrape(), exporter.rig.lines()
    assert 1 == scrape[series("gatewayz_up")], lines
    return scrape, lines


def records(lines: Lines, message: str) -> Lines:
    """Return the records with a message."""
    return [line for line in lines if line["message"] == message]


def proved_failure(case: Case, before: Scrape, during: Scrape, lines: Lines) -> tuple[str, str]:
    """Test a poll that failed; return metrics and log for the matrix."""
    outcomes = {e: case.outcome if e in case.failing else Outcome.OK for e in Endpoint}
    assert counted(outcomes) == increases(before, during)
    assert 0 == during[series("gatewayz_up")]
    assert data_of(before) == data_of(during)
    fresh = succeeded(before, during)
    assert [endpoint.value for endpoint in Endpoint if endpoint not in case.failing] == fresh
    failed = records(lines, "Fetch failed")
    names = ("endpoint", "outcome", "status", "attempts", "level")
    assert [(e.value, case.outcome.value, case.status, case.attempts, "error") for e in case.failing] == [
        tuple(line[name] for name in names) for line in failed
    ]
    details = [detail(line) for line in failed]
    assert [] == [text for text in details if case.detail not in text]
    errors = f"`gatewayz_up` 0, errors +{len(failed)}, data unchanged"
    others = "".join(f", {endpoint} updated" for endpoint in fresh)
    return f"{errors}{others}", f"{len(failed)} x Fetch failed: {' and '.join(dict.fromkeys(details))}"


def proved_good(case: Case, before: Scrape, during: Scrape, lines: Lines) -> tuple[str, str]:
    """Test a poll that succeeded; return metrics and log for the matrix."""
    assert [] == records(lines, "Fetch failed")
    assert counted(dict.fromkeys(Endpoint, Outcome.OK)) == increases(before, during)
    assert 1 == during[series("gatewayz_up")]
    shown = {name: during[series(name)] for name in case.shows}
    assert dict(case.shows) == shown
    if not case.shows:
        assert data_of(before) == data_of(during)
    warnings = [line["message"] for line in lines if line["level"] == "warning"]
    assert ([case.record] if case.record else []) == warnings
    values = ", ".join(f"`{name}` {value:.0f}" for name, value in shown.items()) or "the recorded data"
    return f"`gatewayz_up` 1, {values}", "; ".join(warnings) or "Updated provider metrics"
