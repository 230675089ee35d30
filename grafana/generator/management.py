"""The dashboard of all providers, which is Grafana's home page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, piechart, stat, table
from grafana_foundation_sdk.models.dashboard import Dashboard, DataTransformerConfig

from grafana.generator import links, states
from grafana.generator.frame import Frame, PanelBuilder, Section, alerts, build, health_changes
from grafana.generator.freshness import data_age, exporter_state
from grafana.generator.panels import (
    Properties,
    Text,
    bars,
    colored,
    colored_by,
    events,
    lines,
    named,
    pie,
    rows,
    timeline,
    trace,
    value,
)
from grafana.generator.queries import (
    ABILITIES,
    HEALTH,
    IS_ACTIVE,
    RESPONSE_TIME,
    count,
    count_active,
    failed_fetches,
    per_provider,
    uptime,
)
from grafana.generator.sources import (
    JOB,
    METRICS,
    ONE_OF,
    SERVICE,
    STREAM,
    TRACES,
    column,
    job_variable,
    metric,
    providers_variable,
    records,
    trace_variable,
    traces,
)
from grafana.generator.states import UPTIME, thresholds

NOTHING_KNOWN = "Nothing is known"

POLLS = (
    f'{STREAM} |~ "Updated provider metrics|Fetch failed|Recovered" | json'
    " | line_format `{{.message}}"
    "{{if .providers_total}}: {{.providers_total}} providers, {{.providers_active}} active,"
    " {{.providers_healthy}} healthy, {{.duration_ms}} ms{{end}}"
    "{{if .outcome}}: {{.endpoint}} {{.outcome}}. {{.hint}}{{end}}"
    "{{if .failures}}: {{.endpoint}} after {{.failures}} failures, {{.down_seconds}} s{{end}}`"
)


def board() -> Dashboard:
    """Return the dashboard."""
    frame = Frame(
        uid=links.MANAGEMENT,
        title="GatewayZ Provider Management",
        description="Health, response times and capabilities of the providers that the gateway routes to.",
        variables=[job_variable(), providers_variable(), trace_variable()],
        annotations=[health_changes('provider=~"$provider"'), alerts(JOB)],
        links=[links.board("One provider", links.PROVIDER), links.board("The exporter", links.EXPORTER)],
    )
    sections = [
        Section("Provider Statistics Overview", _overview()),
        Section("Provider Health Status", _health()),
        Section("Provider Performance Metrics", [_response_times()]),
        Section("Provider Capabilities", [_ability(*ability) for ability in ABILITIES.items()]),
        Section("Provider Details Table", [_details()]),
        Section("Correlation", _correlation()),
    ]
    return build(frame, sections)


def _overview() -> Sequence[PanelBuilder]:
    return [
        _count(
            "Total",
            "Providers that the gateway counts, inactive ones included. If the table below has fewer, the "
            "gateway's list may be cut: see the runbook of GatewayzListAndStatsDisagree.",
            f"max(gatewayz_providers_total{{{JOB}}})",
            "text",
        ),
        _count(
            "Active",
            "Providers that the gateway routes to. If there are none, see the runbook of "
            "GatewayzNoProviders.",
            f"max(gatewayz_providers_active{{{JOB}}})",
            states.GREEN,
        ),
        _count(
            "Inactive",
            "Providers that the gateway does not route to. They keep their last health for ever, so that "
            "nothing here judges it. Switch them on in the gateway if they should serve.",
            f"max(gatewayz_providers_inactive{{{JOB}}})",
            states.ORANGE,
        ),
        _count(
            "Healthy",
            "Active providers that are healthy, from the list. If these are few, look at the timeline below "
            "for when it began, and at the details for who.",
            count_active("gatewayz_provider_health_status", 1),
            states.GREEN,
        ),
        data_age(),
        exporter_state(),
    ]


def _count(title: str, description: str, expr: str, color: str) -> stat.Panel:
    return value(Text(title, description, NOTHING_KNOWN), "short", metric(expr), colors=thresholds(color))


def _health() -> Sequence[PanelBuilder]:
    health = Text(
        "Providers by Health Status",
        "Health of the active providers as last reported to the gateway. For anything that is not healthy, "
        "open the provider from the table below.",
        NOTHING_KNOWN,
    )
    activity = Text(
        "Providers by Active Status",
        "Listed providers that the gateway routes to, and those that it does not. If one is missing here "
        "that you expect, switch it on in the gateway.",
        NOTHING_KNOWN,
    )
    history = Text(
        "Health of Each Provider",
        "Health of the active providers over time; a gap is a time without data or in which the provider "
        "was not active. Many that change at once point at the gateway or its health checks, one alone at "
        "that provider. Blue marks are changes from the log, where no more than fifty came at once, red "
        "ones are alerts.",
        "No active provider in this time",
    )
    by_health = {
        number: metric(count_active("gatewayz_provider_health_status", number), known.text)
        for number, known in states.HEALTH.items()
    }
    by_activity = {
        number: metric(count("gatewayz_provider_is_active", number), known.text)
        for number, known in states.ACTIVE.items()
    }
    return [
        pie(health, states.HEALTH, by_health).span(12),
        pie(activity, states.ACTIVE, by_activity).span(12),
        timeline(history, states.HEALTH, metric(HEALTH, "{{provider}}", over_time=True)),
    ]


def _response_times() -> PanelBuilder:
    text = Text(
        "Average Response Time by Provider",
        "Average response time as last reported to the gateway, of the active providers that are not down: "
        "one that is down keeps its last value, which says nothing. For a rise, click the line and compare "
        "with the provider's own week.",
        "No response time was reported",
    )
    panel = lines(text, "ms", metric(RESPONSE_TIME, "{{provider}}", over_time=True)).height(10).span(24)
    return panel.data_links([links.provider("__field.labels.provider")])


def _ability(name: str, title: str) -> piechart.Panel:
    text = Text(
        title,
        f"Active providers with and without {title.lower()}. If too few are with it, requests that need it "
        "have nowhere to go when one fails: switch on another in the gateway.",
        NOTHING_KNOWN,
    )
    shares = {
        number: metric(count_active(f"gatewayz_provider_supports_{name}", number), known.text)
        for number, known in states.ABILITY.items()
    }
    return pie(text, states.ABILITY, shares)


@dataclass(frozen=True)
class Column:
    """A column of the table of providers: its head, what fills it, and how that looks."""

    title: str
    expr: str
    properties: Properties


LAST_CHECK = per_provider("gatewayz_provider_last_health_check_timestamp_seconds")
LISTED = f'scalar(max(gatewayz_exporter_last_success_timestamp_seconds{{{JOB}, endpoint="providers"}}))'
OVERDUE_SECONDS = f"scalar(max(gatewayz_exporter_health_check_overdue_seconds{{{JOB}}}))"
OVERDUE = (
    f"(({LISTED} - {LAST_CHECK} > bool {OVERDUE_SECONDS})"
    f" or 2 * {per_provider('gatewayz_provider_is_active')}) and on (provider) ({IS_ACTIVE})"
)
"""0 on time, 1 overdue, 2 never checked; of active providers, as nobody checks the others."""
NAME = f"max by (provider, name) (gatewayz_provider_info{{{ONE_OF}}})"
"""Gives the table its rows and their names; the value is always 1."""

COLUMNS = (
    Column("Health", HEALTH, colored(states.HEALTH)),
    Column("Active", per_provider("gatewayz_provider_is_active"), colored(states.YES_NO)),
    Column(
        "Response Time", per_provider("gatewayz_provider_response_time_ms"), {"unit": "ms", "decimals": 0}
    ),
    Column("Last Health Check", f"1000 * {LAST_CHECK}", {"unit": "dateTimeFromNow"}),
    Column("Health Check", OVERDUE, colored(states.CHECK)),
    *(
        Column(title, per_provider(f"gatewayz_provider_supports_{name}"), colored(states.YES_NO))
        for name, title in ABILITIES.items()
    ),
    Column("Uptime 24 h", uptime("1d"), {"unit": "percentunit", "decimals": 2, **colored_by(UPTIME)}),
)


def _details() -> table.Panel:
    text = Text(
        "All Providers",
        "Every listed provider, those that are down first; click one for its own dashboard. Health and "
        "health checks are judged of active ones only. A check older than HEALTH_CHECK_OVERDUE is overdue: "
        "the health beside it may no longer be true, see the runbook of GatewayzHealthChecksOverdue. Uptime "
        "counts healthy and degraded, over the time with data.",
        "No provider is listed",
    )
    panel = rows(text, METRICS, column(NAME), *(column(each.expr) for each in COLUMNS))
    panel = panel.transformations([DataTransformerConfig(id_val="merge", options={}), _organized()])
    panel = panel.sort_by([common.TableSortByFieldState().display_name("Health").desc(True)]).filterable(True)
    for each in COLUMNS:
        panel = named(panel, each.title, each.properties)
    for title in ("Name", "Provider"):
        panel = named(panel, title, {"links": [links.provider("__data.fields.Provider").build()]})
    return panel


def _organized() -> DataTransformerConfig:
    """Return the columns' heads and order; letters are those of the queries, A being the names."""
    values = {
        f"Value #{letter}": each.title for letter, each in zip(ascii_uppercase[1:], COLUMNS, strict=False)
    }
    heads = {"name": "Name", "provider": "Provider", **values}
    options = {
        "excludeByName": {"Time": True, "Value #A": True},
        "indexByName": {name: index for index, name in enumerate(heads)},
        "renameByName": heads,
    }
    return DataTransformerConfig(id_val="organize", options=options)


def _correlation() -> Sequence[PanelBuilder]:
    told = Text(
        "Latest Polls",
        "What the exporter says of its last polls. Open a record for its trace; the hint of a failed fetch "
        "says what to do.",
        "No poll was logged: see whether the collector and Loki are up",
    )
    failed = Text(
        "Failed Fetches by Outcome",
        "Fetches from the gateway that failed, by endpoint and kind of failure; the bars overlap a little. "
        "Click one for its traces, in Explore; what each outcome means is in the log beside it.",
        "No fetch has failed",
    )
    polls = Text(
        "Recent Polls",
        "Traces of the last polls. A long one shows which request took the time: click its id and choose "
        "Show this trace below.",
        "No trace has arrived: see whether the collector and Tempo are up",
    )
    one = Text(
        "Trace of a Poll",
        "The spans of the poll whose id was clicked in the table above: requests, retries, conversion. "
        "Before a click there are none.",
        "Click a trace id in the table above",
    )
    table_of_polls = rows(polls, TRACES, traces(f'{{{SERVICE} && name="poll"}}')).height(9)
    return [
        events(told, records(POLLS)),
        bars(failed, "short", metric(failed_fetches(), "{{endpoint}} {{outcome}}", over_time=True))
        .height(10)
        .data_links([links.failed_fetches()]),
        named(table_of_polls, "traceID", {"links": [links.trace_here(links.MANAGEMENT).build()]}),
        trace(one, traces("${trace}")),
    ]
