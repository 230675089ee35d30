"""What each channel receives by HTTP: the requests of the real Alertmanager."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.stack import servers
from tests.stack.channels import Webhook
from tests.stack.servers import Programs, Server
from tests.stack.substitution import hastened, substituted
from tests.stack.test_messages import GOLDEN, GRAFANA, ODD, RUNBOOKS
from tests.waiting import wait_until

FACTOR = 60
"""By which all waits are shorter; a minute is a second."""
ROUTING_KEY = "very0secret0key0of0pagerduty0000"
FILES = {
    "slack": "SLACK_API_URL_FILE",
    "msteams": "MSTEAMS_WEBHOOK_URL_FILE",
    "webhook": "WEBHOOK_URL_FILE",
    "watchdog": "WATCHDOG_URL_FILE",
}
"""The variables that hold a URL, by channel."""
BEGIN, END = "2026-01-02T03:04:05Z", "2026-01-02T05:06:07Z"
FAR = "2100-01-01T00:00:00Z"
PATH = "docs/runbooks/GatewayzProviderDown.md"
SLUGS = {**ODD, "open braces": "{{ .Nothing", "YAML with braces": "a: {b: '{{ nothing }}'}"}
"""Slugs that Alertmanager could parse."""


@dataclass
class Channels:
    """An Alertmanager with every channel that speaks HTTP, and what receives its requests."""

    alertmanager: Server
    hooks: Mapping[str, Webhook]

    def post(self, *alerts: Mapping[str, Any]) -> None:
        """Send alerts to Alertmanager."""
        requests.post(f"{self.alertmanager.url}/api/v2/alerts", json=alerts, timeout=5).raise_for_status()

    def received(self, channel: str, job: str, number: int = 1) -> list[Mapping[str, Any]]:
        """Return the messages about a job as soon as a channel has that many."""

        def about() -> list[Mapping[str, Any]]:
            return [message for message in self.hooks[channel].messages if job in json.dumps(message)]

        wait_until(lambda: len(about()) >= number, 30)
        return about()


def alert(job: str, *, begin: str = BEGIN, end: str = FAR, **own: str) -> dict[str, Any]:
    """Return an alert as Prometheus sends it."""
    fixed = {"alertname": "GatewayzProviderDown", "severity": "critical", "category": "provider"}
    labels = {**fixed, "job": job, **own}
    return {
        "labels": labels,
        "annotations": {
            "summary": "An active provider is down.",
            "description": f"The gateway still routes to {labels.get('provider')}, which is reported down.",
            "runbook_url": PATH,
        },
        "startsAt": begin,
        "endsAt": end,
        "generatorURL": "http://localhost:9090/graph?g0.expr=a+%3E+3&g0.tab=1",
    }


@contextmanager
def started(programs: Programs, folder: Path, **variables: str) -> Iterator[Channels]:
    """Start Alertmanager with every channel at once, and PagerDuty at an address of this machine."""
    with ExitStack() as links:
        hooks = {name: links.enter_context(Webhook()) for name in (*FILES, "pagerduty")}
        for name, hook in hooks.items():
            (folder / name).write_text(f"{hook.url}\n", encoding="utf-8")
        (folder / "routing-key").write_text(f"{ROUTING_KEY}\n", encoding="utf-8")
        # A second, so that alerts that are sent together are in one message on a slow machine, too.
        changes = {
            "group_wait: 10s": f"group_wait: {FACTOR}s",
            "global:": f"global:\n  pagerduty_url: '{hooks['pagerduty'].url}'",
        }
        config = hastened(substituted("alertmanager/alertmanager.yml", changes), FACTOR)
        variables |= {
            **{variable: str(folder / name) for name, variable in FILES.items()},
            "PAGERDUTY_ROUTING_KEY_FILE": str(folder / "routing-key"),
            "NOTIFY_HEALTH_CHANGES": "true",
            "GRAFANA_URL": GRAFANA,
        }
        ports = servers.Ports()
        running = servers.alertmanager(programs, folder / "run", ports, config=config, **variables)
        yield Channels(links.enter_context(running), hooks)


@pytest.fixture(scope="module")
def channels(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channels]:
    """Every channel, with a root for runbooks."""
    with started(programs, tmp_path_factory.mktemp("payloads"), RUNBOOK_URL=RUNBOOKS) as running:
        yield running


@pytest.mark.parametrize("channel", ["pagerduty", "msteams", "webhook"])
def test_golden(channels: Channels, channel: str) -> None:
    """The requests about a provider that goes down and recovers are those of the file."""
    job = f"golden-{channel}"
    channels.post(alert(job, provider=ODD["HTML"]))
    channels.received(channel, job)
    channels.post(alert(job, provider=ODD["HTML"], end=END))

    received = channels.received(channel, job, 2)
    text = json.dumps(received, indent=2, ensure_ascii=False) + "\n"
    # The port, and hashes of routes and of labels.
    text = text.replace(channels.alertmanager.url, "https://am.example.com")
    text = re.sub(r'("(?:dedup_key|fingerprint)": ")\w+"', r'\g<1>..."', text)
    assert (GOLDEN / f"notification-{channel}.json").read_text(encoding="utf-8") == text
    # Both events of an incident have the same key.
    assert 1 == len({message.get("dedup_key") for message in received})


@pytest.mark.parametrize("kind", SLUGS)
def test_any_slug_pages(channels: Channels, kind: str) -> None:
    """PagerDuty gets the slug as it is: Alertmanager neither parses it as YAML nor runs it as a template."""
    job, slug = f"slug: {kind}.", SLUGS[kind]
    channels.post(alert(job, provider=slug))

    (event,) = channels.received("pagerduty", job)
    payload = event["payload"]
    summary = f"GatewayzProviderDown ({slug}): An active provider is down."
    assert (slug, summary) == (payload["component"], payload["summary"])
    lines = f"1 alert\n- {slug}: The gateway still routes to {slug}, which is reported down."
    assert payload["custom_details"]["firing"].startswith(lines)


def test_many_alerts_page(channels: Channels) -> None:
    """Of twelve providers ten are listed, and the title, which PagerDuty does not update, has no number."""
    # Alertmanager does not wait for a group of old alerts to be complete.
    now = datetime.now(UTC).isoformat()
    channels.post(*(alert("many", begin=now, provider=f"p-{number:02}") for number in range(12)))

    (event,) = channels.received("pagerduty", "many")
    assert "GatewayzProviderDown: An active provider is down." == event["payload"]["summary"]
    firing = event["payload"]["custom_details"]["firing"]
    assert firing.startswith("12 alerts\n- p-00: ")
    assert firing.endswith("\n... and 2 more")
    assert 10 == firing.count("\n- p-")


def test_alert_of_others(channels: Channels) -> None:
    """A critical alert with nothing but a name pages, with what PagerDuty asks for."""
    channels.post({"labels": {"alertname": "OthersAlert", "severity": "critical"}})

    (event,) = channels.received("pagerduty", "OthersAlert")
    found = [event["payload"][name] for name in ("summary", "source", "severity")]
    assert ["OthersAlert", "alertmanager", "critical"] == found
    assert ["Dashboard", "Logs"] == [link["text"] for link in event["links"]]


def test_without_a_root_of_runbooks(programs: Programs, tmp_path: Path) -> None:
    """A path is no link: PagerDuty gets none, and Teams the path."""
    with started(programs, tmp_path) as channels:
        channels.post(alert("rootless", provider="x"))

        (event,) = channels.received("pagerduty", "rootless")
        (card,) = channels.received("msteams", "rootless")

    assert ["Dashboard", "Logs"] == [link["text"] for link in event["links"]]
    assert f"\nRunbook: {PATH} · [Traces](" in card["attachments"][0]["content"]["body"][1]["text"]
