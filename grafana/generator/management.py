"""The dashboard of all providers, which is Grafana's home dashboard."""

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

NO_DATA = "No data"

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
            "Total Providers",
            "Number of providers by the gateway's stats, inactive ones included. If the table below has "
            "fewer, its list may be incomplete: see the runbook of GatewayzListAndStatsDisagree.",
            f"max(gatewayz_providers_total{{{JOB}}})",
            "text",
        ),
        _count(
            "Active Providers",
            "Providers that the gateway routes to. If there are none, see the runbook of "
            "GatewayzNoProviders.",
            f"max(gatewayz_providers_active{{{JOB}}})",
            states.GREEN,
        ),
        _count(
            "Inactive Providers",
            "Providers that the gateway does not route to. Their health is never updated, so the other "
            "panels ignore it. Activate them in the gateway if needed.",
            f"max(gatewayz_providers_inactive{{{JOB}}})",
            states.ORANGE,
        ),
        _count(
            "Healthy Providers",
            "Active providers that are healthy. If there are few, see the timeline below for the start, and "
            "the table for the providers.",
            count_active("gatewayz_provider_health_status", 1),
            states.GREEN,
        ),
        data_age(),
        exporter_state(),
    ]


def _count(title: str, description: str, expr: str, color: str) -> stat.Panel:
    return value(Text(title, description, NO_DATA), "short", metric(expr), colors=thresholds(color))


def _health() -> Sequence[PanelBuilder]:
    health = Text(
        "Providers by Health Status",
        "Health of the active providers as last reported to the gateway. For a provider that is not healthy, "
        "open its dashboard from the table below.",
        NO_DATA,
    )
    activity = Text(
        "Providers by Active Status",
        "Listed providers that the gateway routes to, and those that it does not. If one is missing, "
        "activate it in the gateway.",
        NO_DATA,
    )
    history = Text(
        "Health of Each Provider",
        "Health of the active providers over time; in a gap there are no data, or the provider was not "
        "active. If many change at once, check the gateway and its health checks; if one does, check that "
        "provider. Blue marks are health changes (if at most fifty per poll), red marks are alerts.",
        "No active provider in this time range",
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
        "Average response time of the active providers as last reported to the gateway. Providers that are "
        "down are left out: their last value is stale. After a rise, click the line and compare "
        "with the week of the provider.",
        "No response time in this time range",
    )
    panel = lines(text, "ms", metric(RESPONSE_TIME, "{{provider}}", over_time=True)).height(10).span(24)
    return panel.data_links([links.provider("__field.labels.provider")])


def _ability(name: str, title: str) -> piechart.Panel:
    text = Text(
        f"{title} Support",
        f"Active providers with and without {title.lower()}. With too few of them, such requests fail when "
        "one provider fails: activate another one in the gateway.",
        NO_DATA,
    )
    shares = {
        number: metric(count_active(f"gatewayz_provider_supports_{name}", number), known.text)
        for number, known in states.ABILITY.items()
    }
    return pie(text, states.ABILITY, shares)


@dataclass(frozen=True)
class Column:
    """A column of the table of providers: title, query, and field properties."""

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
"""0 on time, 1 overdue, 2 never checked; active providers only, as others are not checked."""
NAME = f"max by (provider, name) (gatewayz_provider_info{{{ONE_OF}}})"
"""The rows of the table and their names; the value is always 1."""

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
        "All listed providers, those that are down first; click one for its dashboard. Only active "
        "providers have health and health checks. A check older than HEALTH_CHECK_OVERDUE is overdue: "
        "the health may be stale, see the runbook of GatewayzHealthChecksOverdue. Uptime "
        "is the share of healthy and degraded in the time with data.",
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
    """Return titles and order of the columns; letters are those of the queries, A for the names."""
    values = {
        f"Value #{letter}": each.title for letter, each in zip(ascii_uppercase[1:], COLUMNS, strict=False)
    }
    titles = {"name": "Name", "provider": "Provider", **values}
    options = {
        "excludeByName": {"Time": True, "Value #A": True},
        "indexByName": {name: index for index, name in enumerate(titles)},
        "renameByName": titles,
    }
    return DataTransformerConfig(id_val="organize", options=options)


def _correlation() -> Sequence[PanelBuilder]:
    latest = Text(
        "Latest Polls",
        "Log records of the last polls. Open a record for its trace; failed fetches have a hint.",
        "No poll was logged: check that the collector and Loki are up",
    )
    failed = Text(
        "Failed Fetches by Outcome",
        "Failed fetches by endpoint and outcome; the bars overlap a little. "
        "Click one for its traces in Explore; the log beside it has hints.",
        "No fetch has failed",
    )
    polls = Text(
        "Recent Polls",
        "Traces of the last polls. To see which request was slow, click a trace id and choose "
        "Show this trace below.",
        "No trace has arrived: check that the collector and Tempo are up",
    )
    one = Text(
        "Trace of a Poll",
        "Spans of the poll that is selected in the table above: requests, retries, conversion.",
        "Click a trace id in the table above",
    )
    table_of_polls = rows(polls, TRACES, traces(f'{{{SERVICE} && name="poll"}}')).height(9)
    return [
        events(latest, records(POLLS)),
        bars(failed, "short", metric(failed_fetches(), "{{endpoint}} {{outcome}}", over_time=True))
        .height(10)
        .data_links([links.failed_fetches()]),
        named(table_of_polls, "traceID", {"links": [links.trace_here(links.MANAGEMENT).build()]}),
        trace(one, traces("${trace}")),
    ]
