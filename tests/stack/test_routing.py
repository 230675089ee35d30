"""Routes by amtool, groups, inhibition and the dead man's switch by the real Alertmanager."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.promql import rules
from tests.stack import servers
from tests.stack.channels import Webhook
from tests.stack.servers import Programs, Server, run
from tests.stack.substitution import DURATION, MILLISECONDS, ROOT, hastened, substituted
from tests.waiting import wait_until

FILE = ROOT / "alertmanager" / "alertmanager.yml"
CONFIG = yaml.safe_load(FILE.read_text(encoding="utf-8"))
PROVIDER_ROUTE = '    # - matchers: [provider="slug-of-the-provider"]\n    #   receiver: nobody\n'
"""The example for an operator."""

RECEIVERS = {"critical": "pager,people", "warning": "people", "info": "readers", "none": "watchdog"}

DOWN = "GatewayzExporterDown"
GONE = "GatewayzExporterGone"
UNREACHABLE = "GatewayzGatewayUnreachable"
REFUSED = "GatewayzKeyRefused"
DATABASE = "GatewayzDatabaseDown"
WATCHDOG = "GatewayzWatchdog"

RULES = [rule for rule in rules() if "alert" in rule]
ALERTS = {rule["alert"]: rule for rule in RULES}
"""One rule of each name: those of the same name differ in severity only."""

PROVIDER_ALERTS = [name for name, rule in ALERTS.items() if rule["labels"]["category"] == "provider"]
NO_ANSWERS = (DOWN, GONE, UNREACHABLE, REFUSED, DATABASE)
"""Alerts on outages without new data about the providers."""
LEFT_BEHIND = (
    *(UNREACHABLE, REFUSED, DATABASE, "GatewayzInvalidFields", "GatewayzListAndStatsDisagree"),
    *("GatewayzNoProviders", "GatewayzFileNotReloaded", "GatewayzReplicaFailing", "GatewayzPollsLate"),
    *("GatewayzTelemetryFailing", "GatewayzLogRecordsLost", "GatewayzCertificateExpiring"),
)
"""What a dead exporter leaves behind."""
LESSER = tuple(f"GatewayzProvider{what}" for what in ("Degraded", "Slow", "Flapping", "HealthUnknown"))
"""Troubles of a provider that do not count while it is down."""

MUTED = {
    *((source, target) for source in NO_ANSWERS for target in (*PROVIDER_ALERTS, "GatewayzDataStale")),
    *((source, target) for source in (DOWN, GONE) for target in LEFT_BEHIND),
    *((source, UNREACHABLE) for source in (REFUSED, DATABASE)),
    *((DATABASE, target) for target in ("GatewayzNoProviders", "GatewayzListAndStatsDisagree")),
    *(("GatewayzProviderDown", target) for target in LESSER),
}
"""Which alert mutes which, of the same job and, where both have one, provider."""
OFTEN_MUTED_AT_THEIR_END = {
    (source, target) for source, target in MUTED if source in NO_ANSWERS and target in PROVIDER_ALERTS
}
"""Of the rules that exist."""


def labels(name: str, job: str = "j", **own: str) -> dict[str, str]:
    """Return the labels that an alert would have."""
    rule = ALERTS[name]["labels"]
    of_one = {"provider": "p"} if name.startswith("GatewayzProvider") and "Healthy" not in name else {}
    return {"alertname": name, "job": job, **rule, **of_one, **own}


def milliseconds(duration: str) -> int:
    """Return a duration of a rule as a number."""
    found = DURATION.fullmatch(duration)
    assert found
    return int(found[1]) * MILLISECONDS[found[2]]


def keeps_firing(name: str) -> list[int]:
    """Return how long the rules of a name keep firing, in milliseconds."""
    return [milliseconds(rule.get("keep_firing_for", "0s")) for rule in RULES if rule["alert"] == name]


def routed(programs: Programs, alert: Mapping[str, str], config: Path = FILE) -> str:
    """Return the receiver that amtool finds."""
    alert_labels = [f"{name}={value}" for name, value in alert.items()]
    options = ("config", "routes", "test", f"--config.file={config}")
    code, output = run(programs["amtool"], *options, *alert_labels)
    assert 0 == code, output
    return output.strip()


@pytest.mark.parametrize(
    ("name", "severity"), sorted({(rule["alert"], rule["labels"]["severity"]) for rule in RULES})
)
def test_route(programs: Programs, name: str, severity: str) -> None:
    """Each alert goes to the receivers of its severity."""
    assert RECEIVERS[severity] == routed(programs, labels(name, severity=severity))


@pytest.mark.parametrize(
    "alert",
    [{"alertname": "Other"}, {"alertname": "Other", "severity": "page"}, {"job": "j"}],
    ids=["no severity", "another severity", "no name"],
)
def test_route_of_others(programs: Programs, alert: Mapping[str, str]) -> None:
    """An alert with none of our severities still reaches people."""
    assert "people" == routed(programs, alert)


def test_route_of_one_provider(programs: Programs, tmp_path: Path) -> None:
    """The example in the file sends one provider elsewhere, and no other."""
    text = FILE.read_text(encoding="utf-8")
    assert PROVIDER_ROUTE in text
    config = tmp_path / "alertmanager.yml"
    route = PROVIDER_ROUTE.replace("# ", "").replace("#", " ").replace("slug-of-the-provider", "mine")
    config.write_text(text.replace(PROVIDER_ROUTE, route), encoding="utf-8")

    name = "GatewayzProviderDown"
    mine, other = (labels(name, severity="critical", provider=slug) for slug in ("mine", "other"))
    receivers = [routed(programs, alert, config) for alert in (mine, other, labels(DOWN))]
    assert ["nobody", "pager,people", "pager,people"] == receivers


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

    assert set(NO_ANSWERS) <= named
    assert set() == named - set(ALERTS)
    assert WATCHDOG not in named


@pytest.mark.parametrize(
    ("source", "target"), sorted(OFTEN_MUTED_AT_THEIR_END), ids=lambda name: name.removeprefix("Gatewayz")
)
def test_what_mutes_ends_first(source: str, target: str) -> None:
    """The source resolves two evaluations before its target, or no message says that the target is over."""
    settings = yaml.safe_load((ROOT / "prometheus/prom.yml").read_text(encoding="utf-8"))["global"]
    two_evaluations = 2 * milliseconds(settings["evaluation_interval"])

    assert min(keeps_firing(target)) >= max(keeps_firing(source)) + two_evaluations


@pytest.mark.parametrize("source", [UNREACHABLE, REFUSED])
def test_stale_data_end_before_their_reason(source: str) -> None:
    """A muted alert is over before its source: otherwise it would be sent late, for the first time."""
    assert max(keeps_firing("GatewayzDataStale")) < min(keeps_firing(source))


@pytest.fixture(scope="module")
def alertmanager(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An Alertmanager without channels."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with servers.alertmanager(programs, folder, servers.Ports()) as running:
        yield running


def post(server: Server, *alerts: Mapping[str, str], seconds: float = 3600) -> None:
    """Let alerts fire for so long; less than nothing ends them."""
    end = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    body = [{"labels": alert, "endsAt": end} for alert in alerts]
    requests.post(f"{server.url}/api/v2/alerts", json=body, timeout=5).raise_for_status()


def muted(server: Server) -> dict[tuple[str, str], set[str]]:
    """Return the names of what mutes each alert, by its job and name."""
    found: list[Mapping[str, Any]] = server.get("/api/v2/alerts")
    names = {alert["fingerprint"]: alert["labels"]["alertname"] for alert in found}
    return {
        (alert["labels"]["job"], alert["labels"]["alertname"]): {
            names[source] for source in alert["status"]["inhibitedBy"]
        }
        for alert in found
    }


@pytest.mark.parametrize("source", ALERTS)
def test_inhibition(alertmanager: Server, source: str) -> None:
    """An alert mutes those that the table says, of its own job, and no other."""
    targets = [name for name in ALERTS if name != source]
    # Each with a job of its own, so that targets do not mute each other, and once more without the source.
    with_source = {target: f"{source}-{target}" for target in targets}
    without = {target: f"{source}-no-{target}" for target in targets}
    post(
        alertmanager,
        *(labels(source, job) for job in with_source.values()),
        *(labels(target, job) for jobs in (with_source, without) for target, job in jobs.items()),
    )

    expected = {(job, target): set[str]() for target, job in without.items()}
    for target, job in with_source.items():
        expected[job, target] = {source} if (source, target) in MUTED else set()

    def seen() -> dict[tuple[str, str], set[str]]:
        every = muted(alertmanager)
        return {key: every[key] for key in expected}

    wait_until(lambda: expected == seen(), 10)
    assert expected == seen()


def test_another_provider_is_not_muted(alertmanager: Server) -> None:
    """A provider that is down mutes nothing of another one of the same job."""
    targets = [labels(target, "providers", provider="q") for target in LESSER]
    post(alertmanager, labels("GatewayzProviderDown", "providers"), *targets)

    found = wait_until(lambda: muted(alertmanager))
    assert [] == [source for target in LESSER for source in found["providers", target]]


def test_one_group_for_a_trouble(alertmanager: Server) -> None:
    """Twenty providers that are down are one group, another trouble and another job are others."""
    name, another = "GatewayzProviderDown", "GatewayzProviderSlow"
    alerts = [labels(name, "group", provider=str(number)) for number in range(20)]
    post(alertmanager, *alerts, labels(name, "group-2"), labels(another, "group"))

    groups = wait_until(lambda: alertmanager.get("/api/v2/alerts/groups"))
    sizes = {tuple(sorted(group["labels"].values())): len(group["alerts"]) for group in groups}

    assert {(name, "group"): 20, (another, "group"): 1, (name, "group-2"): 1} == {
        key: size for key, size in sizes.items() if key[1].startswith("group")
    }


FACTOR = 20
"""By which the waits of the tests of the watchdog are shorter; a minute is three seconds."""
MINUTE = 60 / FACTOR


@pytest.fixture
def watched(programs: Programs, tmp_path: Path) -> Iterator[tuple[Server, Webhook, Webhook]]:
    """An Alertmanager with a dead man's switch and a webhook for everything else."""
    # Longer than Alertmanager's own timers can be late.
    with Webhook(latency=MINUTE / 10) as switch, Webhook() as other:
        for name, hook in {"switch": switch, "other": other}.items():
            (tmp_path / name).write_text(hook.url, encoding="utf-8")
        config = hastened(substituted("alertmanager/alertmanager.yml", {}), FACTOR)
        urls = {"WATCHDOG_URL_FILE": str(tmp_path / "switch"), "WEBHOOK_URL_FILE": str(tmp_path / "other")}
        variables = {**urls, "NOTIFY_HEALTH_CHANGES": "true"}
        ports = servers.Ports()
        with servers.alertmanager(programs, tmp_path / "run", ports, config=config, **variables) as running:
            yield running, switch, other


def test_watchdog_calls_each_minute(watched: tuple[Server, Webhook, Webhook]) -> None:
    """The switch is called each minute while the alert fires, whatever else fires, and nobody else is."""
    server, switch, other = watched
    begun = time.monotonic()
    post(server, labels(WATCHDOG), *(labels(name) for name in NO_ANSWERS))

    wait_until(lambda: len(switch.messages) >= 4, 4.5 * MINUTE)
    # Four calls take three minutes: not more often, and not every second minute, which would take six.
    assert 2.5 * MINUTE < time.monotonic() - begun
    assert {("firing", "watchdog", WATCHDOG)} == {
        (message["status"], message["receiver"], message["commonLabels"]["alertname"])
        for message in switch.messages
    }
    wait_until(lambda: other.messages)
    assert WATCHDOG not in {message["commonLabels"]["alertname"] for message in other.messages}


def test_watchdog_that_stops_is_not_resolved(watched: tuple[Server, Webhook, Webhook]) -> None:
    """When the alert ends the calls stop, and none says that it is resolved."""
    server, switch, other = watched
    post(server, labels(WATCHDOG))
    wait_until(lambda: switch.messages)
    post(server, labels(WATCHDOG), seconds=-1)
    wait_until(lambda: not server.get("/api/v2/alerts/groups"))

    assert ({"firing"}, []) == ({message["status"] for message in switch.messages}, other.messages)
