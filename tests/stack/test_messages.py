"""What people read: messages rendered by Alertmanager's own templates, and the links in them."""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.stack import servers
from tests.stack.grammar import syntax_errors
from tests.stack.servers import Programs
from tests.stack.substitution import ROOT
from tests.stack.test_routing import labels
from tests.stack.test_rules import ALERTS

GOLDEN = ROOT / "tests" / "golden"
GRAFANA, RUNBOOKS = "https://grafana.example.com", "https://example.com/main"
ALERTMANAGER = "https://am.example.com"
BEGIN, END = "2026-01-02T03:04:05Z", "2026-01-02T05:06:07Z"
NEVER = "0001-01-01T00:00:00Z"
HOUR_BEFORE, AT_THE_END = "1767319445000", "1767330367000"
"""Milliseconds: an hour before the begin, and the end."""

ODD = {
    "quote": 'a"b',
    "backslash": r"a\b\n",
    "blank": " a  b ",
    "plus and percent": "a+b%20c",
    "HTML": "<b>&amp;</b>",
    "emoji": "🦙☃",
    "apostrophe and backtick": "o'b`c",
    "braces": "{{ .x }}{a}",
    "address": "a/b?c=d&e#f",
    "line break": "a\nb",
    "link of Slack": "<!channel>|x",
    "link of Markdown": "[x](https://evil.example.com)*`",
}
"""Slugs that a gateway could have, and that some language would make something of."""

odd_slug = pytest.mark.parametrize("slug", ODD.values(), ids=ODD)
BODIES = {"slack.text": "text", "email.text": "text", "email.html": "html", "msteams.text": "text"}
"""The bodies of messages, and how they are rendered."""
TITLES = ("slack.color", "slack.title", "email.subject", "msteams.title")
"""What else a message has."""


def alert(name: str, status: str = "firing", **own: str) -> dict[str, Any]:
    """Return an alert as Alertmanager gives it to a template."""
    found = labels(name, "provider_metrics") | own
    annotations = ALERTS[name]["annotations"] if name in ALERTS else {}
    description = f"Something is wrong with {found.get('provider', 'all & everything')}."
    return {
        "status": status,
        "labels": found,
        "annotations": {**annotations, "description": description},
        "startsAt": BEGIN,
        "endsAt": END if status == "resolved" else NEVER,
        "generatorURL": "http://localhost:9090/graph?g0.expr=a+%3E+3&g0.tab=1",
    }


def data(alerts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a template gets for a group of alerts."""

    def common(kind: str) -> dict[str, str]:
        return dict(sorted(set.intersection(*(set(one[kind].items()) for one in alerts))))

    firing = any(one["status"] == "firing" for one in alerts)
    return {
        "receiver": "people",
        "status": "firing" if firing else "resolved",
        "externalURL": ALERTMANAGER,
        "groupLabels": {name: common("labels")[name] for name in ("alertname", "job")},
        "commonLabels": common("labels"),
        "commonAnnotations": common("annotations"),
        "alerts": alerts,
    }


class Renderer:
    """Alertmanager's tool on the templates as start.sh leaves them."""

    def __init__(self, programs: Programs, folder: Path, **roots: str) -> None:
        """Let start.sh write them."""
        self._amtool, self._folder = programs["amtool"], folder
        with servers.alertmanager(programs, folder, servers.Ports(), **roots):
            pass

    def __call__(self, name: str, *alerts: Mapping[str, Any], kind: str = "text") -> str:
        """Return what a template makes of a group of alerts."""
        file = self._folder / "data.json"
        file.write_text(json.dumps(data(alerts)), encoding="utf-8")
        options = (
            f"--template.glob={self._folder}/alertmanager/templates/*.tmpl",
            f"--template.data={file}",
            f"--template.type={kind}",
            f'--template.text={{{{ template "gatewayz.{name}" . }}}}',
        )
        command = [str(self._amtool), "template", "render", *options]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (0, "") == (result.returncode, result.stderr)
        return result.stdout

    def message(self, *alerts: Mapping[str, Any]) -> dict[str, str]:
        """Return all texts of a message, by template."""
        plain = {name: self(name, *alerts) for name in TITLES}
        return {**plain, **{name: self(name, *alerts, kind=kind) for name, kind in BODIES.items()}}


@pytest.fixture(scope="module")
def render(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """The templates with roots of links."""
    folder = tmp_path_factory.mktemp("messages")
    return Renderer(programs, folder, GRAFANA_URL=f"{GRAFANA}/", RUNBOOK_URL=f"{RUNBOOKS}/")


def links(text: str) -> list[str]:
    """Return the links of a message of any kind, as a program that opens them would see them."""
    patterns = (r'href="([^"]*)"', r"<(http[^|>]*)\|", r"\]\((http[^)]*)\) ?(?:·|\n|$)")
    found = next(filter(None, (re.findall(pattern, text) for pattern in patterns)), [])
    return [html.unescape(link) for link in found or re.findall(r"http\S+", text)]


def linked(text: str, path: str) -> list[str]:
    """Return the links that go to a path of Grafana or Alertmanager."""
    return [link for link in links(text) if link.startswith((f"{GRAFANA}{path}", f"{ALERTMANAGER}{path}"))]


def bodies(message: Mapping[str, str]) -> list[str]:
    """Return the bodies of a message."""
    return [message[name] for name in BODIES]


def pane(link: str) -> dict[str, Any]:
    """Return the one pane of a link to Explore."""
    asked = parse_qs(urlsplit(link).query, strict_parsing=True)
    assert {"orgId": ["1"], "left": asked["left"]} == asked
    found: dict[str, Any] = json.loads(asked["left"][0])
    return found


def down(slug: str = "x", status: str = "firing", **own: str) -> dict[str, Any]:
    """Return an alert on a provider that is down."""
    return alert("GatewayzProviderDown", status, provider=slug, **own)


def critical(slug: str, status: str = "firing") -> dict[str, Any]:
    """Return an alert on a provider that an operator calls critical."""
    return down(slug, status, severity="critical")


MESSAGES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "provider": [
        critical("openai"),
        critical(ODD["HTML"]),
        critical("mistral", "resolved"),
    ],
    "exporter-resolved": [alert("GatewayzExporterDown", "resolved")],
}
"""The messages whose texts are in golden files, by the names of these."""


@pytest.mark.parametrize("name", MESSAGES)
def test_golden(render: Renderer, name: str) -> None:
    """Whole messages: one that lists providers, resolved ones too, and one that the exporter is back."""
    message = render.message(*MESSAGES[name])

    text = "".join(f"==== {part}\n{content}\n" for part, content in message.items())
    assert (GOLDEN / f"message-{name}.txt").read_text(encoding="utf-8") == text


SLOW = "GatewayzProviderSlow"


@pytest.mark.parametrize(
    ("alerts", "title", "color"),
    [
        ([critical("x")], "[FIRING:1] GatewayzProviderDown (critical): x", "danger"),
        (
            [alert(SLOW, provider="x"), alert(SLOW, "resolved", provider="y")],
            f"[FIRING:1] {SLOW} (warning): x",
            "warning",
        ),
        (
            [alert("GatewayzProviderHealthChanged", provider="x")],
            "[INFO:1] GatewayzProviderHealthChanged (info): x",
            "#439fe0",
        ),
        ([critical(slug) for slug in "xyz"], "[FIRING:3] GatewayzProviderDown (critical)", "danger"),
        (
            [critical(slug, "resolved") for slug in "xy"],
            "[RESOLVED:2] GatewayzProviderDown (critical)",
            "good",
        ),
        ([alert("GatewayzExporterDown")], "[FIRING:1] GatewayzExporterDown (critical)", "danger"),
    ],
    ids=["critical", "warning", "info", "several", "resolved", "exporter"],
)
def test_title(render: Renderer, alerts: Sequence[Mapping[str, Any]], title: str, color: str) -> None:
    """Status, count, severity and a lone provider are in title and subject; the colour says how bad it is."""
    message = render.message(*alerts)

    assert {title} == {message[name] for name in TITLES if name != "slack.color"}
    assert color == message["slack.color"]


@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_long_list_is_cut(render: Renderer, status: str) -> None:
    """Of twelve alerts ten are listed and two are counted."""
    message = render.message(*(down(f"p-{number:02}", status) for number in range(12)))

    for text in bodies(message):
        assert [f"p-{number:02}" for number in range(10)] == sorted(set(re.findall(r"p-\d\d", text)))
        assert "and 2 more" in text


@odd_slug
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_link_to_the_provider(render: Renderer, slug: str, status: str) -> None:
    """The provider's dashboard gets its slug as it is, and times from an hour before until now or its end."""
    for text in bodies(render.message(down(slug, status))):
        (link,) = linked(text, "/d/gatewayz-provider?")

        assert {
            "var-job": ["provider_metrics"],
            "var-provider": [slug],
            "from": [HOUR_BEFORE],
            "to": ["now" if status == "firing" else AT_THE_END],
        } == parse_qs(urlsplit(link).query, strict_parsing=True)


@odd_slug
def test_link_to_the_logs(render: Renderer, slug: str) -> None:
    """Explore opens on the log records of the provider, for whatever slug."""
    for text in bodies(render.message(down(slug))):
        link, _ = linked(text, "/explore?")

        found = pane(link)
        (query,) = found["queries"]
        assert ("loki", {"from": HOUR_BEFORE, "to": "now"}) == (found["datasource"], found["range"])
        assert {"type": "loki", "uid": "loki"} == query["datasource"]
        before, _, value = query["expr"].partition("provider=")
        assert '{service="provider-metrics-exporter"} | json | ' == before
        # What Go quotes, JSON reads, but for signs that no sensible slug has.
        assert slug == json.loads(value)


@pytest.mark.needs("node", "npm")
def test_grammars_take_the_queries(render: Renderer) -> None:
    """What the links ask Loki for any slug is LogQL, and what they ask Tempo is TraceQL."""
    asked: dict[str, list[str]] = {"logql": [], "traceql": []}
    for slug in ODD.values():
        to_logs, to_traces = linked(render("slack.text", down(slug)), "/explore?")
        asked["logql"].append(pane(to_logs)["queries"][0]["expr"])
        asked["traceql"].append(pane(to_traces)["queries"][0]["query"])

    assert {language: [[]] * len(ODD) for language in asked} == syntax_errors(asked)


@odd_slug
def test_link_to_a_silence(render: Renderer, slug: str) -> None:
    """The silence that the link proposes is for this alert and no other; there is none for what is over."""
    for text in bodies(render.message(down(slug))):
        (link,) = linked(text, "/#/silences/new?filter=")

        assert "+" not in link
        text = unquote(link.partition("filter=")[2])
        pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*")', text)
        assert {**labels("GatewayzProviderDown", "provider_metrics"), "provider": slug} == {
            name: json.loads(value) for name, value in pairs
        }
    resolved = render.message(down(slug, "resolved"))
    assert [] == [link for text in bodies(resolved) for link in linked(text, "/#/silences")]


@pytest.mark.parametrize(
    ("name", "job", "dashboard"),
    [
        ("ProvidersHealthyLow", "provider_metrics", "provider-management"),
        ("HealthChecksOverdue", "provider_metrics", "provider-management"),
        ("ExporterDown", "provider_metrics", "exporter"),
        ("DataStale", "provider_metrics", "exporter"),
        ("TelemetryNotDelivered", "otel-collector", "exporter"),
        ("NotificationsFailing", "alertmanager", "exporter"),
        *(("ServerDown", job, "exporter") for job in ("prometheus", "loki", "tempo", "grafana")),
    ],
)
def test_link_to_other_dashboards(render: Renderer, name: str, job: str, dashboard: str) -> None:
    """What is about all providers leads to all of them, the rest to the exporter; of a job that it knows."""
    variable = f"var-job={job}&" if job == "provider_metrics" else ""
    for text in bodies(render.message(alert(f"Gatewayz{name}", job=job))):
        (link,) = linked(text, "/d/")

        assert link.startswith(f"{GRAFANA}/d/gatewayz-{dashboard}?{variable}from=")


@pytest.mark.parametrize("name", ["ProviderDown", "ProvidersHealthyLow", "ExporterDown"])
@odd_slug
def test_odd_job_in_a_link(render: Renderer, name: str, slug: str) -> None:
    """The name of a job is one parameter of each dashboard's link, whatever it contains."""
    for text in bodies(render.message(alert(f"Gatewayz{name}", job=slug, provider="a"))):
        (link,) = linked(text, "/d/")

        assert [slug] == parse_qs(urlsplit(link).query, strict_parsing=True)["var-job"]


def test_dashboards_exist() -> None:
    """The dashboards in links of messages are those of the project."""
    text = (ROOT / "alertmanager" / "templates" / "links.tmpl").read_text(encoding="utf-8")

    uids = {json.loads(file.read_text())["uid"] for file in (ROOT / "grafana/dashboards").glob("*.json")}
    assert uids == set(re.findall("/d/([a-z-]+)", text))


@odd_slug
def test_nothing_is_markup(render: Renderer, slug: str) -> None:
    """A slug is text: Slack, Teams and mail programs see none of it as their markup."""
    message = render.message(down(slug))

    escaped = slug.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f"*{escaped}*: Something is wrong with {escaped}." in message["slack.text"]
    assert message["slack.title"].endswith(f": {escaped}")
    assert f"<b>{slug}</b>: Something" in html.unescape(message["email.html"])
    assert "<b>&amp;</b>" not in message["email.html"]
    assert f"{slug}: Something is wrong with {slug}." in message["email.text"]
    escaped = re.sub(r"[\\`*\[\]]", r"\\\g<0>", slug)
    assert f"**{escaped}**: Something is wrong with {escaped}." in message["msteams.text"]
    assert message["msteams.title"].endswith(f": {escaped}")


def test_runbook(programs: Programs, render: Renderer, tmp_path: Path) -> None:
    """A runbook is a link where its root is known, else its path; another's whole URL stays as it is."""
    path = "docs/runbooks/GatewayzExporterDown.md"
    without = Renderer(programs, tmp_path)
    foreign = alert("GatewayzExporterDown")
    foreign["annotations"]["runbook_url"] = "https://other.example.com/x"

    for text in bodies(render.message(alert("GatewayzExporterDown"))):
        assert f"{RUNBOOKS}/{path}" in text
    for text in bodies(without.message(alert("GatewayzExporterDown"))):
        assert f"Runbook: {path}" in text
        assert (False, False) == (f'href="{path}' in text, f"({path}" in text)
        assert "http://localhost:3000/d/gatewayz-exporter?" in text
    for text in bodies(render.message(foreign)):
        assert (True, False) == ("https://other.example.com/x" in text, RUNBOOKS in text)


def test_alert_of_others(render: Renderer) -> None:
    """An alert with nothing but a name becomes a message as well."""
    own = {"labels": {"alertname": "Other", "job": "x"}, "annotations": {}, "generatorURL": ""}
    bare = {**own, "status": "firing", "startsAt": BEGIN, "endsAt": NEVER}

    message = render.message(bare)

    assert "[FIRING:1] Other" == message["slack.title"]
    for text in bodies(message):
        assert "since 2026-01-02 03:04 UTC" in text
        assert (False, False) == ("Runbook" in text, "Query" in text)
