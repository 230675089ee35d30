"""Checks of Prometheus and Alertmanager."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import msgspec

from exporter.doctor.context import Context
from exporter.doctor.report import Finding, State, duration, failed, ok, plural, sanitized
from exporter.doctor.targets import ALERTMANAGER, PROMETHEUS
from exporter.errors import Outcome
from exporter.transport.probe import ProbeError

UP, UNKNOWN = "up", "unknown"
ALERT_PREFIX = "Gatewayz"
SERIES_WORD = "gatewayz"

NO_TARGET = (
    "Add the job to scrape_configs, as in prometheus/prom.yml; with another name, set PROMETHEUS_JOB to it."
)
DOWN = (
    "Prometheus cannot scrape the exporter: from where Prometheus runs, check name and port of the target, "
    "and scheme, tls_config and basic_auth of its job."
)
NO_SERIES = (
    "The target is up, but its series are not stored: check limits and relabelling in the job, and the log."
)
NO_RULES = "Add prometheus/rules/*.yml to rule_files, and reload Prometheus."
BAD_RULES = "The expression fails when it is evaluated: see Status > Rule health in Prometheus."
NO_ALERTMANAGER = "Prometheus has no Alertmanager: add `alerting` as in prometheus/prom.yml, and reload it."


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


def prometheus(context: Context) -> Finding:
    """Return the version of Prometheus."""
    build = context.get_json(_Build, PROMETHEUS, "/api/v1/status/buildinfo")
    return ok(_version(build.data.version))


def _if_served(what: str) -> Callable[[Callable[[Context], Finding]], Callable[[Context], Finding]]:
    """Skip a check if the server has no such API: of Prometheus' APIs, Mimir has those of data and rules."""

    def decorate(check: Callable[[Context], Finding]) -> Callable[[Context], Finding]:
        @wraps(check)
        def checked(context: Context) -> Finding:
            try:
                return check(context)
            except ProbeError as error:
                if error.status != 404:
                    raise
                return Finding(State.SKIPPED, f"this server has no API for {what}")

        return checked

    return decorate


@_if_served("targets")
def target(context: Context) -> Finding:
    """Check the targets of the exporter's job."""
    job = context.targets.job
    # In the first seconds after its start Prometheus has no target at all.
    targets = [one for one in context.retry(lambda: _targets(context), bool) if one.labels.get("job") == job]
    if not targets:
        return failed(f"no target of job {sanitized(job)}", NO_TARGET)
    names = ", ".join(sanitized(one.labels.get("instance", "")) for one in targets)
    down = [one for one in targets if one.health not in (UP, UNKNOWN)]
    if down:
        reasons = "; ".join(
            f"{sanitized(one.labels.get('instance', ''))}: {sanitized(one.last_error)}" for one in down
        )
        return failed(f"down: {reasons}", DOWN)
    if any(one.health == UNKNOWN for one in targets):
        interval = sanitized(targets[0].scrape_interval) or "its scrape_interval"
        return Finding(
            State.WAITING,
            f"{names}: not scraped yet",
            f"Prometheus scrapes every {interval}: wait for the first scrape.",
        )
    return ok(f"{names}: up, scraped every {sanitized(targets[0].scrape_interval)}")


def series(context: Context) -> Finding:
    """Count the exporter's series, and measure their age by Prometheus' own clock."""
    job = json.dumps(context.targets.job, ensure_ascii=False)
    age = _query(context, f"time() - max(timestamp(gatewayz_up{{job={job}}}))")
    count = _query(context, f'count({{__name__=~"gatewayz_.+", job={job}}})')
    if age is None or count is None:
        return failed("none", NO_SERIES)
    return ok(f"{count:.0f}, scraped {duration(age)} ago")


def rules(context: Context) -> Finding:
    """Check that the recording rules and alerts are loaded and succeed."""
    groups = context.get_json(_Rules, PROMETHEUS, "/api/v1/rules").data.groups
    ours = [rule for group in groups for rule in group.rules if _is_ours(rule)]
    alerts = [rule for rule in ours if rule.type == "alerting"]
    recorded = len(ours) - len(alerts)
    counts = f"{plural(len(alerts), 'alert')}, {plural(recorded, 'recording rule')}"
    if not alerts or not recorded:
        return failed(counts, NO_RULES)
    bad = [rule for rule in ours if rule.health == "err"]
    if bad:
        names = ", ".join(sanitized(rule.name) for rule in bad[:3])
        return failed(f"{len(bad)} of {len(ours)} fail: {names}: {sanitized(bad[0].last_error)}", BAD_RULES)
    firing = [rule for rule in alerts if rule.state == "firing"]
    return ok(f"{counts}, {len(firing)} firing")


def alertmanager(context: Context) -> Finding:
    """Return the version of Alertmanager."""
    status = context.get_json(_AlertmanagerStatus, ALERTMANAGER, "/api/v2/status")
    return ok(_version(status.version_info.version))


@_if_served("Alertmanagers")
def alerting(context: Context) -> Finding:
    """Check that Prometheus has an Alertmanager."""
    answer = context.get_json(_Alertmanagers, PROMETHEUS, "/api/v1/alertmanagers")
    urls = [sanitized(one.url) for one in answer.data.active_alertmanagers]
    return ok(f"to {', '.join(urls)}") if urls else failed("no Alertmanager", NO_ALERTMANAGER)


def _version(version: str) -> str:
    """Return a version as text; a program built from source may have none."""
    return f"version {sanitized(version) or 'unknown'}"


def _targets(context: Context) -> list[_Target]:
    answer = context.get_json(_Targets, PROMETHEUS, "/api/v1/targets", {"state": "active"})
    return answer.data.active_targets


def _is_ours(rule: _Rule) -> bool:
    return rule.name.startswith(ALERT_PREFIX) if rule.type == "alerting" else SERIES_WORD in rule.name


def _query(context: Context, expression: str) -> float | None:
    """Return the value of an instant query, None for an empty result."""
    answer: Any = context.get_json(_Query, PROMETHEUS, "/api/v1/query", {"query": expression})
    if not answer.data.result:
        return None
    try:
        return float(answer.data.result[0].value[1])
    except ValueError as error:
        raise ProbeError(Outcome.WRONG_SHAPE, "a value that is not a number") from error
