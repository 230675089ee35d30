"""From a provider that falls to a message, on the real Prometheus and Alertmanager, thirty times as fast."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from exporter.model.endpoints import Endpoint
from tests.process import Program, program
from tests.replay import LIST, LIST_NO_SLASH, STATS, ReplayGateway, answer
from tests.stack import servers
from tests.stack.chain import OWN
from tests.stack.channels import PASSWORD, USER, MailServer, Webhook
from tests.stack.fleet import bodies
from tests.stack.servers import Programs, Server
from tests.stack.substitution import hastened, hastened_rules, substituted
from tests.waiting import wait_until

FACTOR = 30
"""By which all waits are shorter; a minute is two seconds."""
NO_TARGETS = dict.fromkeys(("loki:3100", "tempo:3200", "otel-collector:8888", "grafana:3000"), "")
"""Servers that do not run here, so that Prometheus does not miss them."""
PROVIDERS = [f"provider-{number:02}" for number in range(30)]
GRAFANA = "https://grafana.example.com"
RUNBOOKS = "https://example.com/runbooks"


def answers(health: Mapping[str, str], checked: timedelta = timedelta(0)) -> dict[str, bytes]:
    """Return the gateway's answers, with health that was reported so long ago."""
    found = bodies(health, datetime.now(UTC) - checked)
    listed, counted = (answer(200, found[one], content_type="application/json") for one in Endpoint)
    return {LIST: listed, LIST_NO_SLASH: listed, STATS: counted}


def fleet(*down: str, checked: timedelta = timedelta(0)) -> dict[str, bytes]:
    """Return the gateway's answers with all providers healthy but those that are named."""
    return answers({slug: "down" if slug in down else "healthy" for slug in PROVIDERS}, checked)


@dataclass
class Stack:
    """Everything between a provider and a person."""

    gateway: ReplayGateway
    exporter: Program
    prometheus: Server
    alertmanager: Server
    webhook: Webhook
    mail: MailServer

    def suppressed(self) -> float:
        """Return how many notifications were suppressed because of another alert."""
        name = "alertmanager_notifications_suppressed_total"
        return self.prometheus.value(f'{name}{{reason="inhibition"}}') or 0

    def firing(self) -> set[str]:
        """Return the names of the alerts that Alertmanager has, but for the one that always fires."""
        names = {alert["labels"]["alertname"] for alert in self.alertmanager.get("/api/v2/alerts")}
        return names - {"GatewayzWatchdog"}

    def muted(self) -> dict[str, set[str]]:
        """Return the inhibited alerts, each with those that inhibit it."""
        alerts = self.alertmanager.get("/api/v2/alerts")
        names = {alert["fingerprint"]: alert["labels"]["alertname"] for alert in alerts}
        return {
            alert["labels"]["alertname"]: {names[source] for source in sources}
            for alert in alerts
            if (sources := alert["status"]["inhibitedBy"])
        }

    def group_passes_by(self, times: int = 3) -> None:
        """Wait until notifications of a muted group were suppressed several times."""
        before = self.suppressed()
        wait_until(lambda: self.suppressed() >= before + times, 30)

    def let_all_be_well(self) -> None:
        """Let every provider recover, wait until nothing fires, and forget all messages."""
        self.gateway.answers = fleet()
        wait_until(lambda: not self.firing(), 60)
        wait_until(lambda: all(map(self._is_over, (self.webhook.titles, self.mail.subjects))), 20)
        self.webhook.messages.clear()
        self.mail.mails.clear()

    def _is_over(self, titles: Sequence[str]) -> bool:
        begun, ended = (
            {title.split()[1] for title in titles if title.startswith(f"[{status}:")}
            for status in ("FIRING", "RESOLVED")
        )
        return begun == ended


@pytest.fixture(scope="module")
def stack(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole way, with both channels."""
    folder = tmp_path_factory.mktemp("notifications")
    ports = servers.Ports()
    rules = hastened_rules(folder / "rules", FACTOR)
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
        environment = {**OWN, "SCRAPE_INTERVAL": "2", "STALE_AFTER": "6"}
        exporter = links.enter_context(program(GATEWAY_API_URL=gateway.url, **environment))
        changes = {"scrape_interval: 60s": "scrape_interval: 2s", **NO_TARGETS}
        own = folder / "prometheus"
        prometheus = links.enter_context(
            servers.prometheus(programs, own, ports, exporter.address(), changes, rules=rules)
        )
        running = Stack(gateway, exporter, prometheus, alertmanager, webhook, mail)
        wait_until(lambda: prometheus.query("job_provider:gatewayz_health_status:held"))
        # Before the first scrape there is no exporter.
        running.let_all_be_well()
        yield running


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
            f"{GRAFANA}/d/gatewayz-provider?var-job=provider_metrics&var-provider=provider-07&",
            f"{stack.alertmanager.url}/#/silences/new?filter=",
            f"{RUNBOOKS}/docs/runbooks/GatewayzProviderDown.md",
            "/graph?g0.expr=",
        ):
            assert expected in text.replace("&amp;", "&")
    assert ("&to=now", False) == (re.findall(r"&to=\w+", fallen["text"])[0], "&to=now" in recovered["text"])


@pytest.mark.parametrize(
    ("answered", "alert", "slug"),
    [
        ({}, "GatewayzGatewayUnreachable", "provider-03"),
        (answers({}), "GatewayzDatabaseDown", "provider-04"),
    ],
    ids=["gateway", "database"],
)
def test_outage_while_a_provider_is_down(
    stack: Stack, answered: Mapping[str, bytes], alert: str, slug: str
) -> None:
    """An outage is one message; the provider is reported well when the gateway lists it again, not before."""
    stack.let_all_be_well()
    stack.gateway.answers = fleet(slug)
    wait_until(lambda: stack.webhook.titled("FIRING", slug), 30)

    stack.gateway.answers = dict(answered)
    wait_until(lambda: stack.webhook.titled("FIRING", alert), 40)
    wait_until(lambda: stack.prometheus.query("job:gatewayz_list_missing:bool == 1"), 30)
    stack.group_passes_by()

    assert {alert} == stack.muted()["GatewayzProviderDown"]
    begun = [f"[FIRING:1] GatewayzProviderDown (warning): {slug}", f"[FIRING:1] {alert} (critical)"]
    assert (begun, begun) == (stack.webhook.titles, stack.mail.subjects)

    stack.gateway.answers = fleet()
    wait_until(lambda: stack.webhook.titled("RESOLVED", slug), 40)
    wait_until(lambda: stack.webhook.titled("RESOLVED", alert), 20)
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
    failed = r"Alertmanager failed to send \d+ notifications by slack within a quarter of an hour\."
    assert re.search(failed, mail.part("plain"))


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
