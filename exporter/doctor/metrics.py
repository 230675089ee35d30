"""The checks of `doctor` on who takes the metrics: Prometheus and Alertmanager."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from exporter.doctor.context import Case
from exporter.doctor.probe import NoAnswer
from exporter.doctor.report import Finding, State, counted, failed, ok, shown, spoken
from exporter.doctor.targets import ALERTMANAGER, PROMETHEUS
from exporter.errors import Outcome

UP, UNKNOWN = "up", "unknown"
ALERT_PREFIX = "Gatewayz"
SERIES_WORD = "gatewayz"

NO_TARGET = (
    "Add the job to scrape_configs, as in prometheus/prom.yml; with another name, set PROMETHEUS_JOB to it."
)
DOWN = (
    "Prometheus cannot read the exporter: from where Prometheus runs, check name and port of the target, and "
    "scheme, tls_config and basic_auth of its job."
)
NO_SERIES = (
    "The target is up, but nothing of it is stored: look for limits and relabelling in the job, and the log."
)
NO_RULES = "Add prometheus/rules/*.yml to rule_files, and reload Prometheus."
BAD_RULES = "The expression fails when it is evaluated: see Status > Rule health in Prometheus."
NO_ALERTMANAGER = (
    "Prometheus sends alerts to nobody: add `alerting` as in prometheus/prom.yml, and reload it."
)


class _Version(msgspec.Struct):
    version: str


class _Build(msgspec.Struct):
    data: _Version


class _Target(msgspec.Struct, rename="camel"):
    labels: dict[str, str]
    health: str
    last_error: str = ""
    scrape_interval: str = ""


class _TargetList(msgspec.Struct, rename="camel"):
    active_targets: list[_Target]


class _Targets(msgspec.Struct):
    data: _TargetList


class _Sample(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Vector(msgspec.Struct):
    result: list[_Sample]


class _Query(msgspec.Struct):
    data: _Vector


class _Rule(msgspec.Struct, rename="camel"):
    type: str
    name: str
    health: str = ""
    last_error: str = ""
    state: str = ""


class _Group(msgspec.Struct):
    rules: list[_Rule]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Rules(msgspec.Struct):
    data: _Groups


class _Alertmanager(msgspec.Struct):
    url: str


class _AlertmanagerList(msgspec.Struct, rename="camel"):
    active_alertmanagers: list[_Alertmanager]


class _Alertmanagers(msgspec.Struct):
    data: _AlertmanagerList


class _AlertmanagerStatus(msgspec.Struct, rename="camel"):
    version_info: _Version


def prometheus(case: Case) -> Finding:
    """Ask Prometheus who it is."""
    build = case.ask_for(_Build, PROMETHEUS, "/api/v1/status/buildinfo")
    return ok(_told(build.data.version))


def target(case: Case) -> Finding:
    """Look for the exporter among the targets."""
    job = case.addresses.job
    # For some seconds after its start Prometheus has no target at all.
    targets = [one for one in case.patiently(lambda: _targets(case), bool) if one.labels.get("job") == job]
    if not targets:
        return failed(f"no target of job {shown(job)}", NO_TARGET)
    names = ", ".join(shown(one.labels.get("instance", "")) for one in targets)
    down = [one for one in targets if one.health not in (UP, UNKNOWN)]
    if down:
        reasons = "; ".join(
            f"{shown(one.labels.get('instance', ''))}: {shown(one.last_error)}" for one in down
        )
        return failed(f"down: {reasons}", DOWN)
    if any(one.health == UNKNOWN for one in targets):
        pause = shown(targets[0].scrape_interval) or "its scrape_interval"
        return Finding(
            State.WAITING,
            f"{names}: not scraped yet",
            f"Prometheus scrapes every {pause}: wait for the first.",
        )
    return ok(f"{names}: up, scraped every {shown(targets[0].scrape_interval)}")


def series(case: Case) -> Finding:
    """Ask for our series, and how old they are by Prometheus' own clock."""
    job = json.dumps(case.addresses.job, ensure_ascii=False)
    ages = _query(case, f"time() - max(timestamp(gatewayz_up{{job={job}}}))")
    count = _query(case, f'count({{__name__=~"gatewayz_.+", job={job}}})')
    if ages is None or count is None:
        return failed("none", NO_SERIES)
    return ok(f"{count:.0f}, scraped {spoken(ages)} ago")


def rules(case: Case) -> Finding:
    """Look for our recording rules and alerts."""
    groups = case.ask_for(_Rules, PROMETHEUS, "/api/v1/rules").data.groups
    ours = [rule for group in groups for rule in group.rules if _is_ours(rule)]
    alerts = [rule for rule in ours if rule.type == "alerting"]
    recorded = len(ours) - len(alerts)
    counts = f"{counted(len(alerts), 'alert')}, {counted(recorded, 'recording rule')}"
    if not alerts or not recorded:
        return failed(counts, NO_RULES)
    bad = [rule for rule in ours if rule.health == "err"]
    if bad:
        names = ", ".join(shown(rule.name) for rule in bad[:3])
        return failed(f"{len(bad)} of {len(ours)} fail: {names}: {shown(bad[0].last_error)}", BAD_RULES)
    firing = [rule for rule in alerts if rule.state == "firing"]
    return ok(f"{counts}, {len(firing)} firing")


def alertmanager(case: Case) -> Finding:
    """Ask Alertmanager who it is."""
    status = case.ask_for(_AlertmanagerStatus, ALERTMANAGER, "/api/v2/status")
    return ok(_told(status.version_info.version))


def alert_way(case: Case) -> Finding:
    """Ask Prometheus to whom it sends alerts."""
    answer = case.ask_for(_Alertmanagers, PROMETHEUS, "/api/v1/alertmanagers")
    urls = [shown(one.url) for one in answer.data.active_alertmanagers]
    return ok(f"to {', '.join(urls)}") if urls else failed("to nobody", NO_ALERTMANAGER)


def _told(version: str) -> str:
    """Return a version; a program that its user has built may have none."""
    return f"version {shown(version) or 'not told'}"


def _targets(case: Case) -> list[_Target]:
    answer = case.ask_for(_Targets, PROMETHEUS, "/api/v1/targets", {"state": "active"})
    return answer.data.active_targets


def _is_ours(rule: _Rule) -> bool:
    return rule.name.startswith(ALERT_PREFIX) if rule.type == "alerting" else SERIES_WORD in rule.name


def _query(case: Case, expression: str) -> float | None:
    """Return the value of an instant query, None where there is none."""
    answer: Any = case.ask_for(_Query, PROMETHEUS, "/api/v1/query", {"query": expression})
    if not answer.data.result:
        return None
    try:
        return float(answer.data.result[0].value[1])
    except ValueError as error:
        raise NoAnswer(Outcome.WRONG_SHAPE, "a value that is no number") from error
