"""The dashboard of one provider; tables and alerts link to it."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, stat
from grafana_foundation_sdk.models.common import BigValueTextMode, GraphThresholdsStyleMode
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.generator import links, states
from grafana.generator.frame import Frame, PanelBuilder, Section, alerts, build, health_changes
from grafana.generator.panels import Text, events, lines, named, state, timeline, value, word
from grafana.generator.queries import ABILITIES, HEALTH, LIST, coverage, per_provider, ranked, uptime
from grafana.generator.sources import (
    ONE_OF,
    STREAM,
    TRACE_ID,
    column,
    job_variable,
    metric,
    provider_variable,
    records,
)
from grafana.generator.states import UPTIME, thresholds

WINDOWS = {"1h": "1 h", "1d": "24 h", "14d": "14 d"}
"""Windows of the recorded uptime, and their titles."""
QUANTILES = {"0.5": "Median", "0.9": "90 %", "0.99": "99 %"}
CHANGED = f"changes(job_provider:gatewayz_health_status:held{{{ONE_OF}}}[2m]) > 0"
LAST_CHANGE = f"max_over_time((timestamp({CHANGED}))[14d:1m])"
"""Unix time of the last change."""
WITH_DATA = "Time with data"
BURN_WINDOWS = {"5m": "5 min", "30m": "30 min", "1h": "1 h", "6h": "6 h"}
"""Windows of the recorded burn rate, and their titles."""
BURN_LIMITS = states.thresholds("transparent", (6, states.ORANGE), (14.4, states.RED))
"""Those of the alert GatewayzProviderBudgetBurning."""
OBJECTIVE = "max(global:gatewayz_uptime_objective:ratio)"
NO_OBJECTIVE = "No objective is set in prometheus/local/"
NO_BUDGET = "No objective, or no data on this provider"
LAST_CHECK = f"gatewayz_provider_last_health_check_timestamp_seconds{{{ONE_OF}}}"
NOT_LISTED = "Not listed, or data are missing"
NAME = (
    f"max by (name) (gatewayz_provider_info{{{ONE_OF}}})"
    f" or max by (name) (topk(1, last_over_time(gatewayz_provider_info{{{ONE_OF}}}[1d]))) unless on () {LIST}"
)
"""The last known name while the list is missing."""


def board() -> Dashboard:
    """Return the dashboard."""
    frame = Frame(
        uid=links.PROVIDER,
        title="GatewayZ Provider",
        description="One provider: state, uptime, history and log.",
        variables=[job_variable(), provider_variable()],
        annotations=[health_changes(), alerts(ONE_OF)],
        links=[links.board("All providers", links.MANAGEMENT), links.board("The exporter", links.EXPORTER)],
    )
    sections = [
        Section("Now", _now()),
        Section("Uptime", [*(_uptime(*window) for window in WINDOWS.items()), _uptime_over_time()]),
        Section("Objective", _objective()),
        Section("History", _history()),
        Section("Log Records", [_log()], is_open=False),
    ]
    return build(frame, sections)


def _now() -> Sequence[PanelBuilder]:
    return [
        word(
            Text("Name", "The provider's name in the gateway.", NOT_LISTED),
            "name",
            column(NAME),
        ),
        state(
            Text(
                "Health",
                "Health as last reported to the gateway; in faded colours the last known one, while data are "
                "missing. If it is down or degraded, see the runbook of that alert, and the provider's "
                "status page.",
                "Not active or not listed",
            ),
            states.RANKS,
            metric(ranked()),
        ),
        state(
            Text(
                "Active",
                "Whether the gateway routes to the provider. Deactivate it in the gateway if it is down "
                "for a long time.",
                NOT_LISTED,
            ),
            states.ACTIVE,
            metric(per_provider("gatewayz_provider_is_active")),
        ),
        value(
            Text(
                "Health Unchanged For",
                "Time since the last change of the health, to within two minutes. After many changes in a "
                "short time, see the runbook of GatewayzProviderFlapping.",
                "No change seen in 14 days",
            ),
            "s",
            metric(f"time() - max(timestamp({CHANGED}) or {LAST_CHANGE})"),
        ),
        value(
            Text(
                "Last Health Check",
                "Time of the last report to the gateway. If it is older than "
                "HEALTH_CHECK_OVERDUE, the health may be stale: see the runbook of "
                "GatewayzHealthChecksOverdue.",
                "No health check in a day",
            ),
            "dateTimeFromNow",
            metric(f"1000 * max(last_over_time({LAST_CHECK}[1d]))"),
        ),
        _abilities(),
    ]


def _abilities() -> stat.Panel:
    text = Text(
        "Capabilities",
        "Kinds of requests that the gateway may send to the provider. If one is wrong, correct it in the "
        "gateway: it routes requests by them.",
        NOT_LISTED,
    )
    queries = [
        metric(per_provider(f"gatewayz_provider_supports_{name}"), title) for name, title in ABILITIES.items()
    ]
    return state(text, states.YES_NO, *queries)


def _uptime(window: str, words: str) -> stat.Panel:
    text = Text(
        f"Uptime {words}",
        "Share of the time with data in which the active provider was healthy or degraded. Beside it, the "
        "share of the window for which there are data: the exporter may be younger than the window. If the "
        "uptime is below your agreement with the provider, see the history below.",
        "Not active in this window",
    )
    panel = value(
        text,
        "percentunit",
        metric(uptime(window), "Uptime"),
        metric(coverage(window), WITH_DATA),
        colors=UPTIME,
    )
    panel = panel.decimals(2).text_mode(BigValueTextMode.VALUE_AND_NAME).span(8)
    return named(panel, WITH_DATA, {"thresholds": thresholds("text").build(), "decimals": 0})


def _uptime_over_time() -> PanelBuilder:
    text = Text(
        "Uptime Over Time",
        "The same shares over time. A line that falls and stays low shows a lasting problem, "
        "a line that rises again an outage that is over.",
        "Not active in this time range",
    )
    queries = [metric(uptime(window), words, over_time=True) for window, words in WINDOWS.items()]
    return lines(text, "percentunit", *queries).max(1).span(24)


def _objective() -> Sequence[PanelBuilder]:
    budget = f"max(job_provider:gatewayz_error_budget:remaining30d{{{ONE_OF}}})"
    burn = [
        metric(
            f"max(job_provider:gatewayz_error_budget_burn:rate{window}{{{ONE_OF}}})", words, over_time=True
        )
        for window, words in BURN_WINDOWS.items()
    ]
    objective = value(
        Text(
            "Uptime Objective",
            "Share of 30 days in which a provider is to be usable. Set it in prometheus/local/, as the page "
            "on alerts says.",
            NO_OBJECTIVE,
        ),
        "percentunit",
        metric(OBJECTIVE),
    )
    left = value(
        Text(
            "Error Budget Left",
            "Share of the error budget of 30 days that is left: 100 % without any downtime, below 0 % the "
            "objective is missed. See the runbook of GatewayzProviderBudgetBurning.",
            NO_BUDGET,
        ),
        "percentunit",
        metric(budget),
        colors=thresholds(states.RED, (0, states.ORANGE), (0.25, states.GREEN)),
    )
    rates = lines(
        Text(
            "Burn Rate",
            "How many times faster than the objective allows the error budget is spent, over four windows. "
            "The alert GatewayzProviderBudgetBurning fires above 14.4 for 1 h and 5 min, or above 6 for 6 h "
            "and 30 min.",
            NO_BUDGET,
        ),
        "none",
        *burn,
    )
    style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
    return [
        objective.decimals(2).height(8).span(6),
        left.decimals(1).height(8).span(6),
        rates.thresholds(BURN_LIMITS).thresholds_style(style),
    ]


def _history() -> Sequence[PanelBuilder]:
    health = Text(
        "Health Over Time",
        "Health over time while active; in a gap there are no data. Blue marks are changes of health, "
        "red ones are alerts.",
        "Not active in this time range",
    )
    fired = Text(
        "Alerts",
        "Firing alerts of this provider. Each has a runbook.",
        "No alert in this time range",
    )
    times = Text(
        "Response Time",
        "Percentiles over one hour of the average response times that were reported to the gateway, without "
        "those while it was down; and the median of one week, with which the alert GatewayzProviderSlow "
        "compares. If only the high percentiles rise, single checks were slow; if all "
        "rise, the provider is slow.",
        "No response time in this time range",
    )
    seconds = f"job_provider:gatewayz_response_time_seconds:max{{{ONE_OF}}}"
    quantiles = [
        metric(f"max(quantile_over_time({quantile}, {seconds}[1h]))", title, over_time=True)
        for quantile, title in QUANTILES.items()
    ]
    of_the_week = f"max(job_provider:gatewayz_response_time_seconds:median7d{{{ONE_OF}}})"
    median = metric(of_the_week, "Median of the week", over_time=True)
    firing = f'max by (alertname) (ALERTS{{alertstate="firing", {ONE_OF}}})'
    return [
        timeline(health, states.HEALTH, metric(HEALTH, "{{provider}}", over_time=True)).height(6),
        timeline(fired, states.FIRING, metric(firing, "{{alertname}}", over_time=True)).height(6),
        lines(times, "s", *quantiles, median).height(10).span(24),
    ]


def _log() -> PanelBuilder:
    text = Text(
        "Log",
        "Log records of this provider: health changes, additions and removals, unless one poll had more than "
        "fifty.",
        "No log record in this time range",
    )
    line = "{{.message}}{{if .to}}: {{.from}} → {{.to}}{{end}}" + TRACE_ID
    query = f'{STREAM} | json | provider="$provider" | line_format `{line}`'
    return events(text, records(query)).span(24)
