"""From a provider that falls to a message, on the real Prometheus and Alertmanager, thirty times as fast."""

from __future__ import annotations

import json
import re
import smtplib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.process import Program, program
from tests.replay import LIST, LIST_NO_SLASH, STATS, ReplayGateway, answer
from tests.stack import servers
from tests.stack.chain import KEY
from tests.stack.channels import PASSWORD, USER, MailServer, Webhook
from tests.stack.servers import Server, wait_until
from tests.stack.substitution import hastened, substituted

FACTOR = 30
"""By which all waits are shorter; a minute is two seconds."""
IN_SECONDS = {"> 1200": "> 40"}
"""The seconds of the rules that are no durations, divided by it."""
NO_TARGETS = dict.fromkeys(("loki:3100", "tempo:3200", "otel-collector:8888", "grafana:3000"), "")
"""Servers that do not run here, so that Prometheus does not miss them."""
PROVIDERS = [f"provider-{number:02}" for number in range(30)]
GRAFANA = "https://grafana.example.com"
RUNBOOKS = "https://example.com/runbooks"


def fleet(*down: str, checked: timedelta = timedelta(0)) -> dict[str, bytes]:
    """Return the gateway's answers with all providers healthy but those that are named.

    Args:
        down: Slugs of those that are down.
        checked: How long ago the health of all was reported.
    """
    then = (datetime.now(UTC) - checked).isoformat()
    state = {slug: "down" if slug in down else "healthy" for slug in PROVIDERS}
    rows = [
        {
            "id": number,
            "slug": slug,
            "name": slug.title(),
            "is_active": True,
            "health_status": status,
            "average_response_time_ms": 100,
            "last_health_check_at": then,
        }
        for number, (slug, status) in enumerate(state.items())
    ]
    counts = {name: list(state.values()).count(name) for name in ("healthy", "degraded", "down", "unknown")}
    stats = {"total": len(rows), "active": len(rows), "inactive": 0, **counts}
    listed = answer(200, json.dumps(rows).encode(), content_type="application/json")
    counted = answer(200, json.dumps(stats).encode(), content_type="application/json")
    return {LIST: listed, LIST_NO_SLASH: listed, STATS: counted}


NO_PROVIDERS = answer(200, b"[]", content_type="application/json")
NO_COUNTS = answer(
    200,
    json.dumps(
        dict.fromkeys(("total", "active", "inactive", "healthy", "degraded", "down", "unknown"), 0)
    ).encode(),
    content_type="application/json",
)
EMPTY = {LIST: NO_PROVIDERS, LIST_NO_SLASH: NO_PROVIDERS, STATS: NO_COUNTS}
"""What the gateway answers when its database is down."""


@dataclass
class Stack:
    """Everything between a provider and a person."""

    gateway: ReplayGateway
    exporter: Program
    prometheus: Server
    alertmanager: Server
    webhook: Webhook
    mail: MailServer

    def suppressed(self) -> int:
        """Return how many notifications were kept back because of another alert."""
        metrics = requests.get(f"{self.alertmanager.url}/metrics", timeout=5).text
        found = re.search(
            r'^alertmanager_notifications_suppressed_total{reason="inhibition"} (\d+)', metrics, re.M
        )
        return int(found[1]) if found else 0

    def firing(self) -> set[str]:
        """Return the names of the alerts that Alertmanager has, but for the one that always fires."""
        names = {alert["labels"]["alertname"] for alert in self.alertmanager.get("/api/v2/alerts")}
        return names - {"GatewayzWatchdog"}

    def muted(self) -> dict[str, set[str]]:
        """Return the alerts that are kept back, each with what keeps it."""
        alerts = self.alertmanager.get("/api/v2/alerts")
        names = {alert["fingerprint"]: alert["labels"]["alertname"] for alert in alerts}
        return {
            alert["labels"]["alertname"]: {names[source] for source in alert["status"]["inhibitedBy"]}
            for alert in alerts
            if alert["status"]["inhibitedBy"]
        }

    def group_passes_by(self, times: int = 3) -> None:
        """Wait until a group that is muted has been looked at again and again."""
        before = self.suppressed()
        wait_until(lambda: self.suppressed() >= before + times, 30)

    def let_all_be_well(self) -> None:
        """Let every provider recover, wait until nothing fires, and forget all messages."""
        self.gateway.answers = fleet()
        wait_until(lambda: not self.firing(), 60)
        wait_until(lambda: self._is_told(self.webhook.titles) and self._is_told(self.mail.subjects), 20)
        self.webhook.messages.clear()
        self.mail.mails.clear()

    def _is_told(self, titles: Sequence[str]) -> bool:
        begun, ended = (
            {title.split()[1] for title in titles if title.startswith(f"[{status}:")}
            for status in ("FIRING", "RESOLVED")
        )
        return begun == ended


@pytest.fixture(scope="module")
def stack(programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole way, with both channels."""
    folder = tmp_path_factory.mktemp("notifications")
    ports = servers.Ports()
    rules = folder / "rules"
    rules.mkdir()
    for name, changes in {"alerts.yml": IN_SECONDS, "recording.yml": {}}.items():
        text = hastened(substituted(f"prometheus/rules/{name}", changes), FACTOR)
        (rules / name).write_text(text, encoding="utf-8")
    with ExitStack() as links:
        webhook = links.enter_context(Webhook())
        mail = links.enter_context(MailServer(folder))
        (folder / "webhook").write_text(f"{webhook.url}\n", encoding="utf-8")
        (folder / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
        alertmanager = links.enter_context(
            servers.alertmanager(
                programs,
                folder / "alertmanager",
                ports,
                config=hastened(substituted("alertmanager/alertmanager.yml", {}), FACTOR),
                SLACK_API_URL_FILE=str(folder / "webhook"),
                SMTP_SMARTHOST=mail.smarthost,
                SMTP_FROM="alerts@example.com",
                EMAIL_TO="first@example.com, second@example.com",
                SMTP_AUTH_USERNAME=USER,
                SMTP_AUTH_PASSWORD_FILE=str(folder / "password"),
                SSL_CERT_FILE=str(mail.authority),
                GRAFANA_URL=GRAFANA,
                RUNBOOK_URL=RUNBOOKS,
            )
        )
        gateway = links.enter_context(ReplayGateway(answers=fleet()))
        exporter = links.enter_context(
            program(
                GATEWAY_API_URL=gateway.url,
                ADMIN_KEY=KEY,
                METRICS_HOST="127.0.0.1",
                METRICS_PORT="0",
                SCRAPE_INTERVAL="2",
                STALE_AFTER="6",
            )
        )
        changes = {
            "scrape_interval: 60s": "scrape_interval: 2s",
            "evaluation_interval: 30s": "evaluation_interval: 1s",
            "  - rules/": f"  - {rules}/",
            **NO_TARGETS,
        }
        prometheus = links.enter_context(
            servers.prometheus(
                programs, folder / "prometheus", ports, exporter.url().removeprefix("http://"), changes
            )
        )
        running = Stack(gateway, exporter, prometheus, alertmanager, webhook, mail)
        wait_until(lambda: series(prometheus, "job_provider:gatewayz_health_status:held"))
        # Before the first scrape there is no exporter.
        running.let_all_be_well()
        yield running


def series(prometheus: Server, query: str) -> list[Mapping[str, Any]]:
    """Return the series that a query finds."""
    found: list[Mapping[str, Any]] = prometheus.get("/api/v1/query", query=query)["data"]["result"]
    return found


def test_provider_falls_and_recovers(stack: Stack) -> None:
    """Slack and the mail server get a message with provider, severity and links, then one that it is over."""
    stack.gateway.answers = fleet("provider-07")
    wait_until(lambda: stack.webhook.messages and stack.mail.mails, 30)
    stack.gateway.answers = fleet()
    wait_until(lambda: len(stack.webhook.messages) == 2 and len(stack.mail.mails) == 2, 40)

    title = "GatewayzProviderDown (warning): provider-07"
    assert [f"[FIRING:1] {title}", f"[RESOLVED:1] {title}"] == stack.webhook.titles
    assert stack.webhook.titles == stack.mail.subjects
    assert {("first@example.com", "second@example.com")} == {mail.recipients for mail in stack.mail.mails}
    assert {"alerts@example.com"} == {mail.message["From"] for mail in stack.mail.mails}
    fallen, recovered = (message["attachments"][0] for message in stack.webhook.messages)
    assert ("warning", "good") == (fallen["color"], recovered["color"])
    bodies = [fallen["text"], stack.mail.mails[0].part("plain"), stack.mail.mails[0].part("html")]
    for text in bodies:
        for expected in (
            "The gateway still routes to provider-07, which is reported down.",
            f"{GRAFANA}/d/gatewayz-provider?var-job=provider_metrics&",
            "var-provider=provider-07&",
            f"{GRAFANA}/explore?schemaVersion=1&",
            "provider%3D%5C%22provider-07%5C%22",
            f"{stack.alertmanager.url}/#/silences/new?filter=",
            f"{RUNBOOKS}/docs/runbooks/GatewayzProviderDown.md",
            "/graph?g0.expr=",
        ):
            assert expected in text.replace("&amp;", "&")
    assert ("&to=now", False) == (
        re.findall(r"&to=\w+", fallen["text"])[0],
        "&to=now" in recovered["text"],
    )


def test_mail_server_wants_tls_and_the_password(stack: Stack) -> None:
    """The mail server of these tests takes nothing without them: what arrived, arrived with both."""
    host, port = stack.mail.smarthost.split(":")
    with smtplib.SMTP(host, int(port)) as client:
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("a@example.com", ["b@example.com"], "x")
        client.starttls(context=ssl.create_default_context(cafile=stack.mail.authority))
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(USER, "wrong")


def test_many_fall_together(stack: Stack) -> None:
    """Twelve providers that fall at once make one message, which lists ten, and one when they recover."""
    stack.let_all_be_well()
    fallen = PROVIDERS[:12]
    stack.gateway.answers = fleet(*fallen)

    wait_until(lambda: stack.webhook.titled("FIRING"), 30)
    stack.gateway.answers = fleet()
    wait_until(lambda: stack.webhook.titled("RESOLVED"), 40)

    expected = [
        "[FIRING:12] GatewayzProviderDown (warning)",
        "[RESOLVED:12] GatewayzProviderDown (warning)",
    ]
    assert expected == stack.webhook.titles
    text = stack.webhook.messages[0]["attachments"][0]["text"]
    assert fallen[:10] == re.findall(r"• \*(provider-\d+)\*", text)
    assert "… and 2 more" in text


def test_gateway_dies_while_a_provider_is_down(stack: Stack) -> None:
    """The provider is not called well while nobody knows, but once it is: after the gateway's return."""
    stack.let_all_be_well()
    stack.gateway.answers = fleet("provider-03")
    wait_until(lambda: stack.webhook.titled("FIRING", "provider-03"), 30)

    stack.gateway.answers = {}
    wait_until(lambda: stack.webhook.titled("FIRING", "GatewayzGatewayUnreachable"), 40)
    wait_until(lambda: series(stack.prometheus, "job:gatewayz_list_missing:bool == 1"), 30)
    stack.group_passes_by()

    assert {"GatewayzGatewayUnreachable"} == stack.muted()["GatewayzProviderDown"]
    assert [
        "[FIRING:1] GatewayzProviderDown (warning): provider-03",
        "[FIRING:1] GatewayzGatewayUnreachable (critical)",
    ] == stack.webhook.titles

    stack.gateway.answers = fleet()
    wait_until(lambda: stack.webhook.titled("RESOLVED", "provider-03"), 40)
    wait_until(lambda: stack.webhook.titled("RESOLVED", "GatewayzGatewayUnreachable"), 20)
    assert 4 == len(stack.webhook.titles)


def test_database_dies_while_a_provider_is_down(stack: Stack) -> None:
    """Empty answers are one outage: no provider is called well before the gateway lists providers again."""
    stack.let_all_be_well()
    stack.gateway.answers = fleet("provider-04")
    wait_until(lambda: stack.webhook.titled("FIRING", "provider-04"), 30)

    stack.gateway.answers = EMPTY
    wait_until(lambda: stack.webhook.titled("FIRING", "GatewayzDatabaseDown"), 40)
    wait_until(lambda: series(stack.prometheus, "job:gatewayz_list_missing:bool == 1"), 30)
    stack.group_passes_by()

    assert {"GatewayzDatabaseDown"} == stack.muted()["GatewayzProviderDown"]
    begun = [
        "[FIRING:1] GatewayzProviderDown (warning): provider-04",
        "[FIRING:1] GatewayzDatabaseDown (critical)",
    ]
    assert begun == stack.webhook.titles
    assert begun == stack.mail.subjects

    stack.gateway.answers = fleet()
    wait_until(lambda: stack.webhook.titled("RESOLVED", "provider-04"), 40)
    wait_until(lambda: stack.webhook.titled("RESOLVED", "GatewayzDatabaseDown"), 20)
    ended = [title.replace("FIRING", "RESOLVED") for title in begun]
    assert sorted([*begun, *ended]) == sorted(stack.webhook.titles)
    wait_until(lambda: len(stack.mail.subjects) == 4, 20)
    assert sorted(stack.webhook.titles) == sorted(stack.mail.subjects)


def test_channel_that_fails(stack: Stack) -> None:
    """When Slack refuses notifications, an e-mail reports it."""
    stack.let_all_be_well()
    stack.webhook.refusing = True
    stack.gateway.answers = fleet("provider-09")
    try:
        subject = "[FIRING:1] GatewayzNotificationsFailing (critical)"
        wait_until(lambda: subject in stack.mail.subjects, 40)
    finally:
        stack.webhook.refusing = False

    (mail,) = [mail for mail in stack.mail.mails if mail.message["Subject"] == subject]
    assert re.search(
        r"Alertmanager failed to send \d+ notifications by slack within a quarter of an hour\.",
        mail.part("plain"),
    )


def test_exporter_dies_while_a_provider_is_down(stack: Stack) -> None:
    """A dead exporter is one message: nothing of the provider that was down, nor of what fires later."""
    stack.let_all_be_well()
    stack.gateway.answers = fleet("provider-05", checked=timedelta(hours=2))
    wait_until(lambda: stack.webhook.titled("FIRING", "provider-05"), 30)

    stack.exporter.process.kill()
    wait_until(lambda: stack.webhook.titled("FIRING", "GatewayzExporterDown"), 40)
    later = "GatewayzHealthChecksOverdue"
    wait_until(lambda: later in stack.firing(), 40)
    stack.group_passes_by(6)

    assert {name: {"GatewayzExporterDown"} for name in ("GatewayzProviderDown", later)} == stack.muted()
    assert [
        "[FIRING:1] GatewayzProviderDown (warning): provider-05",
        "[FIRING:1] GatewayzExporterDown (critical)",
    ] == stack.webhook.titles
    assert stack.webhook.titles == stack.mail.subjects
