"""The tables of providers on the dashboard of all providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig

from grafana.generator import links, states
from grafana.generator.panels import Properties, Text, colored, colored_by, column_of, named, rows
from grafana.generator.queries import (
    ABILITIES,
    ALERT_SINCE,
    HELD,
    IS_ACTIVE,
    LIST,
    capabilities,
    in_every_row,
    per_provider,
    ranked,
    uptime,
)
from grafana.generator.sources import JOB, METRICS, ONE_OF, column
from grafana.generator.states import LAST_KNOWN_RANK, UPTIME, State, mapping, missing


@dataclass(frozen=True)
class Column:
    """A column of the table of providers: title, query, and field properties."""

    title: str
    expr: str
    properties: Properties


FILTER: Properties = {"custom.filterable": True}
LAST_CHECK = per_provider("gatewayz_provider_last_health_check_timestamp_seconds")
LIST_TIME = f'scalar(max(gatewayz_exporter_last_success_timestamp_seconds{{{JOB}, endpoint="providers"}}))'
OVERDUE_SECONDS = f"scalar(max(gatewayz_exporter_health_check_overdue_seconds{{{JOB}}}))"
OVERDUE = (
    f"(({LIST_TIME} - {LAST_CHECK} > bool {OVERDUE_SECONDS})"
    f" or 2 * {per_provider('gatewayz_provider_is_active')}) and on (provider) ({IS_ACTIVE})"
)
"""0 on time, 1 overdue, 2 never checked; active providers only, as others are not checked."""
NAMES = (
    f"max by (provider, name) (gatewayz_provider_info{{{ONE_OF}}})"
    f" or on (provider) topk by (provider) (1, last_over_time(gatewayz_provider_info{{{ONE_OF}}}[1d]))"
    f" and on (provider) {HELD} unless on () {LIST}"
)
"""The rows of the table and their names; the last known ones while the list is missing. The value is 1."""
INITIALS: Mapping[float, State] = {
    number: State(
        " ".join(title[0] if number & 2**place else "·" for place, title in enumerate(ABILITIES.values())),
        "text",
    )
    for number in range(2 ** len(ABILITIES))
}
"""Capabilities by `queries.capabilities`."""


def _uptime_column() -> Properties:
    return colored_by(105, UPTIME, unit="percentunit", decimals=2)


COLUMNS = (
    Column("Health", ranked(), {**colored(180, states.RANKS), **FILTER}),
    Column("Active", per_provider("gatewayz_provider_is_active"), colored(70, states.YES_NO)),
    Column(
        "Response Time",
        per_provider("gatewayz_provider_response_time_ms"),
        column_of(125, unit="ms"),
    ),
    Column("Last Health Check", f"1000 * {LAST_CHECK}", column_of(150, unit="dateTimeFromNow")),
    Column("Health Check", OVERDUE, colored(115, states.CHECK)),
    Column("Can", capabilities(), column_of(95, mappings=[mapping(INITIALS), missing()], **FILTER)),
    Column("Uptime 24 h", uptime("1d"), _uptime_column()),
)


def all_providers() -> table.Panel:
    """Return the panel of all listed providers."""
    text = Text(
        "All Providers",
        "All listed providers, the worst first; click one for its dashboard. While the list is missing, "
        "these are the active ones that were last known. Only active providers have health and health "
        "checks. A check older than HEALTH_CHECK_OVERDUE is overdue: the health may be stale, see the "
        "runbook of GatewayzHealthChecksOverdue. Can: S streaming, F function calling, V vision, I image "
        "generation. Uptime is the share of healthy and degraded in the time with data.",
        "No provider is listed",
    )
    panel = rows(text, METRICS, column(NAMES), *(column(in_every_row(each.expr)) for each in COLUMNS))
    values = {
        f"Value #{letter}": each.title for letter, each in zip(ascii_uppercase[1:], COLUMNS, strict=False)
    }
    panel = panel.transformations(_merged({"name": "Name", "provider": "Provider", **values}))
    panel = panel.sort_by([common.TableSortByFieldState().display_name("Health").desc(True)]).height(14)
    for each in COLUMNS:
        panel = named(panel, each.title, each.properties)
    for title in ("Name", "Provider"):
        link = links.provider("__data.fields.Provider").build()
        panel = named(panel, title, {"custom.minWidth": 120, "links": [link], **FILTER})
    return panel


def _merged(titles: Mapping[str, str]) -> list[DataTransformerConfig]:
    """Return what makes one table of several queries, with the columns in `titles`, in order."""
    options = {
        "excludeByName": {"Time": True, "Value #A": "Value #A" not in titles},
        "indexByName": {name: index for index, name in enumerate(titles)},
        "renameByName": dict(titles),
    }
    return [
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(id_val="organize", options=options),
    ]


def not_healthy() -> table.Panel:
    """Return the panel of the active providers that are not healthy."""
    text = Text(
        "Providers Not Healthy",
        "Active providers that are down, degraded or unknown, the worst first. Since is the start of the "
        "current alert on the health; it is missing without an alert. Click one for its dashboard. While "
        "data are missing, this is what was last known.",
        "None, or nothing is known",
    )
    who = f"({ranked()}) % {LAST_KNOWN_RANK:g} != 1"
    hit = f"(({ranked()}) and on (provider) ({who}))"
    columns = {
        "Health": (hit, colored(180, states.RANKS)),
        "Since": (ALERT_SINCE, column_of(130, unit="dateTimeFromNow")),
        "Uptime 24 h": (uptime("1d"), _uptime_column()),
    }
    panel = rows(text, METRICS, *(column(in_every_row(expr, hit)) for expr, _ in columns.values()))
    titles = {f"Value #{letter}": title for letter, title in zip(ascii_uppercase, columns, strict=False)}
    panel = panel.transformations(_merged({"provider": "Provider", **titles})).height(8).span(14)
    panel = panel.sort_by([common.TableSortByFieldState().display_name("Health").desc(True)])
    for title, (_, properties) in columns.items():
        panel = named(panel, title, properties)
    return named(panel, "Provider", {"links": [links.provider("__data.fields.Provider").build()]})
