"""The dashboard of all providers, which is Grafana's home dashboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from grafana_foundation_sdk.builders import piechart, stat
from grafana_foundation_sdk.models.common import LegendPlacement
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.generator import links, states, tables
from grafana.generator.frame import FROM_WARNING, Frame, PanelBuilder, Section, alerts, build, health_changes
from grafana.generator.freshness import data_age, exporter_state
from grafana.generator.panels import (
    Query,
    Text,
    alert_list,
    bars,
    events,
    lines,
    named,
    pie,
    ranking,
    rows,
    timeline,
    trace,
    value,
)
from grafana.generator.queries import (
    ABILITIES,
    DATA_AGE,
    HEALTH,
    HELD,
    RESPONSE_TIME,
    count,
    count_active,
    failed_fetches,
    last_count,
    last_count_active,
    last_count_by_activity,
    last_count_of_health,
    uptime,
)
from grafana.generator.sources import (
    JOB,
    SERVICE,
    STREAM,
    TRACE_ID,
    TRACES,
    job_variable,
    metric,
    providers_variable,
    records,
    trace_variable,
    traces,
)
from grafana.generator.states import (
    LAST_KNOWN,
    UPTIME,
    State,
    last_known,
    thresholds,
)

NO_DATA = "No data"
AGE = "Age"

POLLS = (
    f'{STREAM} |~ "Updated provider metrics|Fetch failed|Recovered" | json'
    " | line_format `{{.message}}"
    "{{if .providers_total}}: {{.providers_total}} providers, {{.providers_active}} active,"
    " {{.providers_healthy}} healthy, {{.duration_ms}} ms{{end}}"
    "{{if .outcome}}: {{.endpoint}} {{.outcome}}. {{.hint}}{{end}}"
    "{{if .failures}}: {{.endpoint}} after {{.failures}} failures, {{.down_seconds}} s{{end}}"
    f"{TRACE_ID}`"
)


def board() -> Dashboard:
    """Return the dashboard."""
    frame = Frame(
        uid=links.MANAGEMENT,
        title="GatewayZ Provider Management",
        description="Health, response times and capabilities of the providers that the gateway routes to.",
        variables=[job_variable(), providers_variable(), trace_variable()],
        annotations=[health_changes(), alerts(JOB)],
        links=[
            links.board("One provider", links.PROVIDER),
            links.board("The exporter", links.EXPORTER),
            links.notifications(),
        ],
    )
    sections = [
        Section("Provider Statistics Overview", _overview()),
        Section("Provider Health Status", _health()),
        Section("Provider Performance Metrics", _performance()),
        Section("Provider Capabilities", [_ability(*ability) for ability in ABILITIES.items()]),
        Section("Provider Details Table", [tables.all_providers()]),
        Section("Correlation", _correlation(), is_open=False),
    ]
    return build(frame, sections)


def _overview() -> Sequence[PanelBuilder]:
    return [
        _count(
            "Total Providers",
            "Number of providers by the gateway's stats, inactive ones included. If the table below has "
            "fewer, its list may be incomplete: see the runbook of GatewayzListAndStatsDisagree.",
            f"max(gatewayz_providers_total{{{JOB}}})",
            last_count("gatewayz_providers_total"),
            "text",
        ),
        _count(
            "Active Providers",
            "Providers that the gateway routes to. If there are none, see the runbook of "
            "GatewayzNoProviders.",
            f"max(gatewayz_providers_active{{{JOB}}})",
            last_count("gatewayz_providers_active"),
            states.GREEN,
        ),
        _count(
            "Inactive Providers",
            "Providers that the gateway does not route to. Their health is never updated, so the other "
            "panels ignore it. Activate them in the gateway if needed.",
            f"max(gatewayz_providers_inactive{{{JOB}}})",
            last_count("gatewayz_providers_inactive"),
            states.ORANGE,
        ),
        _count(
            "Healthy Providers",
            "Active providers that are healthy. If there are few, see the timeline below for the start, and "
            "the table for the providers.",
            count_active("gatewayz_provider_health_status", 1),
            last_count_of_health(1),
            states.GREEN,
        ),
        data_age(),
        exporter_state(),
        alert_list(
            "Alerts",
            "Firing and pending warnings and critical alerts of all jobs, the newest first. Open one for its "
            "labels and its runbook. The link Notifications shows what Alertmanager does with them.",
            FROM_WARNING,
        ),
        tables.not_healthy(),
    ]


def _count(title: str, description: str, expr: str, last: str, color: str) -> stat.Panel:
    """Return a count; while data are missing it is the last known one, with its age."""
    text = Text(title, description, NO_DATA)
    age = f"{DATA_AGE} and {last}"
    queries = [metric(expr), metric(last, LAST_KNOWN.capitalize()), metric(age, AGE)]
    panel = value(text, "short", *queries, colors=thresholds(color))
    for name, unit in ((LAST_KNOWN.capitalize(), "short"), (AGE, "s")):
        panel = named(panel, name, {"unit": unit, "thresholds": thresholds(states.GREY).build()})
    return panel


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
        "provider. Blue marks are changes of health, red ones are alerts.",
        "No active provider in this time range",
    )
    by_health = {
        **_shares(states.HEALTH, lambda rank: count_active("gatewayz_provider_health_status", rank)),
        **_shares(_last_known(states.HEALTH), last_count_of_health),
    }
    by_activity = {
        **_shares(states.ACTIVE, lambda is_active: count("gatewayz_provider_is_active", is_active)),
        **_shares(_last_known(states.ACTIVE), last_count_by_activity),
    }
    return [
        pie(health, by_health).span(12),
        pie(activity, by_activity).span(12),
        timeline(history, states.HEALTH, metric(HEALTH, "{{provider}}", over_time=True)),
    ]


def _shares(known: Mapping[float, State], expr: Callable[[float], str]) -> Mapping[State, Query]:
    """Return the queries of a pie chart."""
    return {state: metric(expr(number), state.text) for number, state in known.items()}


def _last_known(known: Mapping[float, State]) -> Mapping[float, State]:
    return {number: last_known(state) for number, state in known.items()}


def _performance() -> Sequence[PanelBuilder]:
    order = Text(
        "Lowest Uptime",
        "The ten selected active providers with the lowest uptime in the last 14 days, the worst first. "
        "Click one for its objective and its error budget.",
        "No active provider in this window",
    )
    worst = metric(f"sort(bottomk(10, {uptime('14d')} and on (provider) {HELD}))", "{{provider}}")
    bars = ranking(order, "percentunit", worst, UPTIME).min(0).max(1).decimals(2)
    return [_response_times(), bars.data_links([links.provider("__field.labels.provider")])]


def _response_times() -> PanelBuilder:
    text = Text(
        "Average Response Time by Provider",
        "Average response time of the active providers as last reported to the gateway. Providers that are "
        "down are left out: their last value is stale. After a rise, click the line and compare "
        "with the week of the provider.",
        "No response time in this time range",
    )
    panel = lines(text, "ms", metric(RESPONSE_TIME, "{{provider}}", over_time=True)).height(10).span(16)
    return panel.data_links([links.provider("__field.labels.provider")])


def _ability(name: str, title: str) -> piechart.Panel:
    text = Text(
        f"{title} Support",
        f"Active providers with and without {title.lower()}. With too few of them, such requests fail when "
        "one provider fails: activate another one in the gateway.",
        NO_DATA,
    )
    metric_name = f"gatewayz_provider_supports_{name}"
    shares = {
        **_shares(states.ABILITY, lambda able: count_active(metric_name, able)),
        **_shares(_last_known(states.ABILITY), lambda able: last_count_active(metric_name, able)),
    }
    return pie(text, shares, LegendPlacement.BOTTOM).height(8)


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
