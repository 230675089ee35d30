"""The proof of a case: what `/metrics` and the log say before it, while it lasts and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.errors import HINTS, Outcome
from exporter.model.endpoints import Endpoint
from tests.faults.cases import Case
from tests.faults.front import KEY, Front, Scrape, front, series, settings_for
from tests.faults.matrix import Row
from tests.faults.peer import Gateway

TAKES_PATIENCE, TAKES_TIME = "30", "2"
"""FETCH_TIMEOUT where something has to come, and where nothing will."""
ERRORS = "gatewayz_provider_scrape_errors_total"
FETCHES = "gatewayz_exporter_fetches_total"
LAST_SUCCESS = "gatewayz_exporter_last_success_timestamp_seconds"

Lines = list[dict[str, Any]]


def data_of(scrape: Scrape) -> Scrape:
    """Return the samples that come from the gateway's answers."""
    own = (ERRORS, "gatewayz_provider_metrics_last_update")
    return {
        key: value
        for key, value in scrape.items()
        if key[0].startswith("gatewayz_provider") and key[0] not in own
    }


def moved(before: Scrape, after: Scrape) -> Scrape:
    """Return by how much the counters of fetches and failures have grown."""
    grown = {key: after[key] - before[key] for key in after if key[0] in (ERRORS, FETCHES)}
    return {key: value for key, value in grown.items() if value}


def counted(outcomes: Mapping[Endpoint, Outcome]) -> Scrape:
    """Return by how much the counters have to grow for these outcomes."""
    failures = sum(outcome is not Outcome.OK for outcome in outcomes.values())
    fetches = {series(FETCHES, endpoint=e.value, outcome=o.value): 1.0 for e, o in outcomes.items()}
    return fetches | ({series(ERRORS): float(failures)} if failures else {})


def succeeded(before: Scrape, after: Scrape) -> set[Endpoint]:
    """Return the endpoints whose last success is another one than before."""
    keys = {endpoint: series(LAST_SUCCESS, endpoint=endpoint.value) for endpoint in Endpoint}
    return {endpoint for endpoint, key in keys.items() if before.get(key) != after.get(key)}


def records(lines: Lines, message: str) -> Lines:
    """Return the records with a message."""
    return [line for line in lines if line["message"] == message]


def detail(line: Mapping[str, Any]) -> str:
    """Return what the hint of a record says was seen, which stands in brackets after the remedy."""
    remedy = HINTS[Outcome(line["outcome"])]
    assert line["hint"].startswith(f"{remedy} (")
    assert line["hint"].endswith(")")
    return str(line["hint"][len(remedy) + 2 : -1])


def proved(case: Case, place: int, gateway: Gateway, url: str) -> Row:
    """Prove a case with an exporter of its own, and return its row of the matrix."""
    fetch_timeout = TAKES_TIME if case.outcome is Outcome.TIMEOUT else TAKES_PATIENCE
    with front(settings_for(url, FETCH_TIMEOUT=fetch_timeout)) as exporter:
        prove = proved_good if case.outcome is Outcome.OK else proved_failure
        metrics, log = prove(case, gateway, exporter)
    assert not gateway.was_reached_elsewhere()
    assert {f"Bearer {KEY}"} == {asked.headers["Authorization"] for asked in gateway.asked}
    return Row(case.group, place, case.title, case.outcome.value, metrics, gateway.without_ports(log))


def proved_failure(case: Case, gateway: Gateway, exporter: Front) -> tuple[str, str]:
    """Fail once after a good poll and before another; return what `/metrics` and the log said."""
    before, _ = polled_well(case, gateway, exporter)
    gateway.become(case.state)
    exporter.poll()
    during, lines = exporter.scrape(), exporter.rig.lines()

    assert "OK\n" == exporter.get("/-/healthy")
    outcomes = {e: case.outcome if e in case.failing else Outcome.OK for e in Endpoint}
    assert counted(outcomes) == moved(before, during)
    assert 0 == during[series("gatewayz_up")]
    assert data_of(before) == data_of(during)
    assert set(Endpoint) - set(case.failing) == succeeded(before, during)
    failed = records(lines, "Fetch failed")
    assert [(e.value, case.outcome.value, case.status, case.attempts, "error") for e in case.failing] == [
        tuple(line[name] for name in ("endpoint", "outcome", "status", "attempts", "level"))
        for line in failed
    ]
    details = [detail(line) for line in failed]
    assert [] == [text for text in details if case.detail not in text]
    assert KEY not in str(lines)

    after, lines = polled_well(case, gateway, exporter)
    recovered = records(lines, "Recovered")
    assert [(endpoint.value, 1) for endpoint in case.failing] == [
        (line["endpoint"], line["failures"]) for line in recovered
    ]
    assert data_of(before) == data_of(after)
    metrics = f"`gatewayz_up` 0, errors +{moved(before, during)[series(ERRORS)]:.0f}, all data kept"
    fresh = "".join(f", {endpoint.value} fresh" for endpoint in succeeded(before, during))
    seen = "; ".join(dict.fromkeys(details))
    return (
        f"{metrics}{fresh}; recovered",
        f"{len(failed)} x Fetch failed: {seen}; {len(recovered)} x Recovered",
    )


def polled_well(case: Case, gateway: Gateway, exporter: Front) -> tuple[Scrape, Lines]:
    """Return what `/metrics` and the log say of a good poll."""
    gateway.become(case.good_state)
    exporter.poll()
    scrape, lines = exporter.scrape(), exporter.rig.lines()
    assert 1 == scrape[series("gatewayz_up")], lines
    return scrape, lines


def proved_good(case: Case, gateway: Gateway, exporter: Front) -> tuple[str, str]:
    """Answer in the way of the case after a good poll; return what `/metrics` and the log said."""
    before, _ = polled_well(case, gateway, exporter)
    gateway.become(case.state)
    exporter.poll()
    during, lines = exporter.scrape(), exporter.rig.lines()

    assert [] == records(lines, "Fetch failed")
    assert KEY not in str(lines)
    assert counted(dict.fromkeys(Endpoint, Outcome.OK)) == moved(before, during)
    assert 1 == during[series("gatewayz_up")]
    shown = {name: during[series(name)] for name in case.shows}
    assert dict(case.shows) == shown
    if not case.shows:
        assert data_of(before) == data_of(during)
    warnings = [line["message"] for line in lines if line["level"] == "warning"]
    assert ([case.record] if case.record else []) == warnings
    values = ", ".join(f"`{name}` {value:.0f}" for name, value in shown.items())
    return f"`gatewayz_up` 1, {values or 'the recorded data'}", "; ".join(
        warnings
    ) or "Updated provider metrics"
