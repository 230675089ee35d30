"""Who is told what: routes by amtool, groups and inhibition by the real Alertmanager."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.stack import servers
from tests.stack.servers import Server, wait_until
from tests.stack.substitution import DURATION, MILLISECONDS, ROOT
from tests.stack.test_rules import ALERTS

pytestmark = pytest.mark.stack

CONFIG = yaml.safe_load((ROOT / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
PROVIDER_ROUTE = '    # - matchers: [provider="slug-of-the-provider"]\n    #   receiver: page\n'
"""The example for an operator."""

RECEIVERS = {"critical": "people", "warning": "people", "info": "readers"}

DOWN = "GatewayzExporterDown"
UNREACHABLE = "GatewayzGatewayUnreachable"
REFUSED = "GatewayzKeyRefused"
PROVIDER_ALERTS = [name for name, rule in ALERTS.items() if rule["labels"]["category"] == "provider"]
LEFT_BEHIND = (
    UNREACHABLE,
    REFUSED,
    "GatewayzDataStale",
    "GatewayzInvalidFields",
    "GatewayzListAndStatsDisagree",
    "GatewayzNoProviders",
    "GatewayzFileNotReloaded",
    "GatewayzReplicaFailing",
)
"""What a dead exporter leaves behind."""
LESSER = (
    "GatewayzProviderDegraded",
    "GatewayzProviderSlow",
    "GatewayzProviderFlapping",
    "GatewayzProviderHealthUnknown",
)
"""Troubles of a provider that do not count while it is down."""

MUTED = {
    *((source, target) for source in (DOWN, UNREACHABLE, REFUSED) for target in PROVIDER_ALERTS),
    *((DOWN, target) for target in LEFT_BEHIND),
    *((source, "GatewayzDataStale") for source in (UNREACHABLE, REFUSED)),
    (REFUSED, UNREACHABLE),
    *(("GatewayzProviderDown", target) for target in LESSER),
}
"""Which alert mutes which, of the same job and, where both have one, provider."""
OFTEN_MUTED_AT_THEIR_END = {(source, target) for source, target in MUTED if target in PROVIDER_ALERTS} - {
    ("GatewayzProviderDown", target) for target in LESSER
}


def labels(name: str, job: str = "j", provider: str = "p") -> dict[str, str]:
    """Return the labels that an alert would have."""
    rule = ALERTS[name]["labels"]
    of_one = {"provider": provider} if name.startswith("GatewayzProvider") and "Healthy" not in name else {}
    return {"alertname": name, "job": job, **rule, **of_one}


def milliseconds(duration: str) -> int:
    """Return a duration of a rule as a number."""
    found = DURATION.fullmatch(duration)
    assert found
    return int(found[1]) * MILLISECONDS[found[2]]


def routed(programs: Mapping[str, Path], config: Path, alert: Mapping[str, str]) -> str:
    """Return the receiver that amtool finds."""
    arguments = [f"{name}={value}" for name, value in alert.items()]
    result = subprocess.run(
        [str(programs["amtool"]), "config", "routes", "test", f"--config.file={config}", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


@pytest.mark.parametrize("name", ALERTS)
def test_route(programs: Mapping[str, Path], name: str) -> None:
    """Each alert goes to people, and what is for information only to readers."""
    expected = RECEIVERS[ALERTS[name]["labels"]["severity"]]

    assert expected == routed(programs, ROOT / "alertmanager" / "alertmanager.yml", labels(name))


@pytest.mark.parametrize(
    "alert",
    [{"alertname": "Other"}, {"alertname": "Other", "severity": "page"}, {"job": "j"}],
    ids=["no severity", "another severity", "no name"],
)
def test_route_of_others(programs: Mapping[str, Path], alert: Mapping[str, str]) -> None:
    """An alert with none of our severities still reaches people."""
    assert "people" == routed(programs, ROOT / "alertmanager" / "alertmanager.yml", alert)


def test_route_of_one_provider(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """The example in the file sends one provider elsewhere, and no other."""
    text = (ROOT / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    assert PROVIDER_ROUTE in text
    config = tmp_path / "alertmanager.yml"
    route = PROVIDER_ROUTE.replace("# ", "").replace("#", " ").replace("slug-of-the-provider", "mine")
    config.write_text(text.replace(PROVIDER_ROUTE, route), encoding="utf-8")

    assert ["page", "people", "people"] == [
        routed(programs, config, labels("GatewayzProviderDown", provider="mine")),
        routed(programs, config, labels("GatewayzProviderDown", provider="other")),
        routed(programs, config, labels("GatewayzExporterDown")),
    ]


def test_no_channel_is_in_the_file() -> None:
    """The receivers are the three, and empty: channels come from the environment."""
    assert [{"name": "page"}, {"name": "readers"}, {"name": "people"}] == CONFIG["receivers"]


def test_the_worse_comes_sooner_and_more_often() -> None:
    """Of two severities the worse waits less, and is repeated more often."""
    critical = next(route for route in CONFIG["route"]["routes"] if "critical" in route["matchers"][0])

    for name in ("group_wait", "group_interval", "repeat_interval"):
        assert milliseconds(critical[name]) < milliseconds(CONFIG["route"][name])


def test_alerts_of_the_inhibition_exist() -> None:
    """Every alert that mutes or is muted by name is an alert of the rules."""
    matchers = [
        matcher
        for rule in CONFIG["inhibit_rules"]
        for side in ("source_matchers", "target_matchers")
        for matcher in rule[side]
        if matcher.startswith("alertname")
    ]
    named = {name for matcher in matchers for name in matcher.split('"')[1].split("|")}

    assert {DOWN, UNREACHABLE, REFUSED} <= named
    assert set() == named - set(ALERTS)


@pytest.mark.parametrize(
    ("source", "target"), sorted(OFTEN_MUTED_AT_THEIR_END), ids=lambda name: name.removeprefix("Gatewayz")
)
def test_what_mutes_ends_first(source: str, target: str) -> None:
    """What mutes ends two evaluations before what it muted: else nobody is told that the latter is over."""
    evaluation = yaml.safe_load((ROOT / "prometheus/prom.yml").read_text(encoding="utf-8"))["global"]

    assert milliseconds(ALERTS[target]["keep_firing_for"]) >= (
        milliseconds(ALERTS[source]["keep_firing_for"]) + 2 * milliseconds(evaluation["evaluation_interval"])
    )


@pytest.mark.parametrize("source", [UNREACHABLE, REFUSED])
def test_stale_data_end_before_their_reason(source: str) -> None:
    """An alert that nobody heard of while it was muted is over before that is, or it would be told then."""
    ends = milliseconds(ALERTS["GatewayzDataStale"]["keep_firing_for"])

    assert ends < milliseconds(ALERTS[source]["keep_firing_for"])


@pytest.fixture(scope="module")
def alertmanager(programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An Alertmanager without channels."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with servers.alertmanager(programs, folder, servers.Ports()) as running:
        yield running


def post(server: Server, *alerts: Mapping[str, str]) -> None:
    """Let alerts fire for an hour."""
    end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = [{"labels": alert, "endsAt": end} for alert in alerts]
    requests.post(f"{server.url}/api/v2/alerts", json=body, timeout=5).raise_for_status()


def muted_by(server: Server, job: str) -> dict[str, set[str]]:
    """Return the names of what mutes each alert of a job, by the name of that."""
    found: list[Mapping[str, Any]] = server.get("/api/v2/alerts")
    names = {alert["fingerprint"]: alert["labels"]["alertname"] for alert in found}
    return {
        alert["labels"]["alertname"]: {names[source] for source in alert["status"]["inhibitedBy"]}
        for alert in found
        if alert["labels"]["job"] == job
    }


@pytest.mark.parametrize("source", ALERTS)
def test_inhibition(alertmanager: Server, source: str) -> None:
    """An alert mutes those that the table says, of its own job, and no other."""
    targets = [name for name in ALERTS if name != source]
    job, other = f"{source}-1", f"{source}-2"
    post(alertmanager, labels(source, job))
    for target in targets:
        # Each with a job of its own, so that targets do not mute each other.
        post(alertmanager, labels(source, f"{job}-{target}"), labels(target, f"{job}-{target}"))
        post(alertmanager, labels(target, f"{other}-{target}"))

    def seen() -> dict[str, set[str]]:
        return {target: muted_by(alertmanager, f"{job}-{target}")[target] for target in targets}

    expected = {target: {source} if (source, target) in MUTED else set() for target in targets}
    wait_until(lambda: expected == seen(), 10)
    assert expected == seen()
    assert {frozenset()} == {
        frozenset(muted_by(alertmanager, f"{other}-{target}")[target]) for target in targets
    }


@pytest.mark.parametrize("target", LESSER)
def test_another_provider_is_not_muted(alertmanager: Server, target: str) -> None:
    """A provider that is down mutes nothing of another one of the same job."""
    job = f"providers-{target}"
    post(alertmanager, labels("GatewayzProviderDown", job, "p"), labels(target, job, "q"))

    assert set() == wait_until(lambda: muted_by(alertmanager, job))[target]


def test_a_dead_exporter_sends_one_alert(alertmanager: Server) -> None:
    """Of all alerts on a job at once, the exporter's own alone is left."""
    left = {"GatewayzTelemetryNotDelivered", "GatewayzNotificationsFailing"}
    post(alertmanager, *(labels(name, "all") for name in ALERTS if name not in left))

    def free() -> set[str]:
        return {name for name, sources in muted_by(alertmanager, "all").items() if not sources}

    wait_until(lambda: {DOWN} == free(), 10)
    assert {DOWN} == free()


def test_one_group_for_a_trouble(alertmanager: Server) -> None:
    """Twenty providers that are down are one group, another trouble and another job are others."""
    alerts = [labels("GatewayzProviderDown", "group", str(number)) for number in range(20)]
    post(
        alertmanager,
        *alerts,
        labels("GatewayzProviderDown", "group-2"),
        labels("GatewayzProviderSlow", "group"),
    )

    groups = wait_until(lambda: alertmanager.get("/api/v2/alerts/groups"))
    found = {
        (group["labels"]["job"], group["labels"]["alertname"]): len(group["alerts"])
        for group in groups
        if group["labels"]["job"].startswith("group")
    }

    assert {
        ("group", "GatewayzProviderDown"): 20,
        ("group", "GatewayzProviderSlow"): 1,
        ("group-2", "GatewayzProviderDown"): 1,
    } == found
