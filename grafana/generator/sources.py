"""Data sources, variables, and queries."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import loki, prometheus, tempo
from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable, TextBoxVariable
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import (
    VariableHide,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.loki import LokiQueryDirection
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.tempo import SearchTableType

METRICS = DataSourceRef("prometheus", "${datasource}")
LOGS = DataSourceRef("loki", "${loki}")
TRACES = DataSourceRef("tempo", "${tempo}")

JOB = 'job=~"$job"'
"""Matcher of the selected exporter and its replicas."""
ONE_OF = 'job=~"$job", provider=~"$provider"'
"""Matcher of the selected providers."""
STREAM = '{service="provider-metrics-exporter"}'
"""All log records of the exporter."""
TRACE_ID = "{{if .trace_id}} trace_id={{.trace_id}}{{end}}"
"""End of a formatted record, from which Grafana makes a link to the trace."""
SERVICE = 'resource.service.name="provider-metrics-exporter"'
"""TraceQL condition of all spans of the exporter."""

IMPORT_INPUT = "DS_PROMETHEUS"
"""The data source that is chosen on import; a provisioned dashboard has the default one."""

NO_TRACE = "{ false }"
"""TraceQL that finds nothing."""

LABEL_VALUES, QUERY_RESULT = 1, 3
"""Types of variable queries, as numbered by Grafana's Prometheus data source."""

DASHBOARD_SOURCES = (
    ("datasource", "prometheus", "Metrics"),
    ("loki", "loki", "Logs"),
    ("tempo", "tempo", "Traces"),
)
"""Name, type and label of the variables for data sources."""


def metric(expr: str, legend: str = "", *, over_time: bool = False) -> prometheus.Dataquery:
    """Return a PromQL query: instant, or over the time range."""
    query = prometheus.Dataquery().expr(expr).legend_format(legend).datasource(METRICS)
    return query.range() if over_time else query.instant()


def column(expr: str) -> prometheus.Dataquery:
    """Return a PromQL query in the table format."""
    return metric(expr).format(PromQueryFormat.TABLE)


def buckets(expr: str) -> prometheus.Dataquery:
    """Return a PromQL query in the heatmap format."""
    return metric(expr, "{{le}}", over_time=True).format(PromQueryFormat.HEATMAP)


def records(expr: str) -> loki.Dataquery:
    """Return a LogQL query for the newest records."""
    query = loki.Dataquery().expr(expr).query_type("range").max_lines(100)
    return query.direction(LokiQueryDirection.BACKWARD).datasource(LOGS)


def traces(query: str) -> tempo.Dataquery:
    """Return a TraceQL query for the newest traces, or for one trace by its id."""
    found = tempo.Dataquery().query_type("traceql").query(query).limit(20)
    return found.table_type(SearchTableType.TRACES).datasource(TRACES)


def source_variables() -> Sequence[Builder[VariableModel]]:
    """Return the variables for the data sources."""
    variables = [_source(name, label, kind) for name, kind, label in DASHBOARD_SOURCES]
    imported = VariableOption(text=f"${{{IMPORT_INPUT}}}", value=f"${{{IMPORT_INPUT}}}")
    variables[0].current(imported)
    return variables


def _source(name: str, label: str, kind: str) -> DatasourceVariable:
    # The name of the data source says enough.
    return DatasourceVariable(name).label(label).type(kind).hide(VariableHide.HIDE_LABEL)


def job_variable() -> QueryVariable:
    """Return the variable for the exporter's job."""
    # Also jobs of the last weeks: an exporter that is down must be in the list.
    query = "query_result(count by (job) (last_over_time(gatewayz_up[35d])))"
    return _query_variable("job", "Job", query, QUERY_RESULT).regex('/job="([^"]+)"/')


def provider_variable() -> QueryVariable:
    """Return the variable for one provider."""
    query = f"label_values(gatewayz_provider_is_active{{{JOB}}}, provider)"
    return _query_variable("provider", "Provider", query, LABEL_VALUES)


def providers_variable() -> QueryVariable:
    """Return the variable for several or all providers."""
    everything = VariableOption(selected=True, text="All", value="$__all")
    return provider_variable().multi(True).include_all(True).all_value(".+").current(everything)


def trace_variable() -> TextBoxVariable:
    """Return the hidden variable for the trace id, which a link in a table sets; by default no trace."""
    # Grafana 9 does not take the default as the value.
    current = VariableOption(text=NO_TRACE, value=NO_TRACE)
    variable = TextBoxVariable("trace").label("Trace").hide(VariableHide.HIDE_VARIABLE)
    return variable.default_value(NO_TRACE).current(current)


def _query_variable(name: str, label: str, query: str, kind: int) -> QueryVariable:
    variable = QueryVariable(name).label(label).datasource(METRICS)
    # The format of Grafana's query editor.
    stored: dict[str, object] = {
        "qryType": kind,
        "query": query,
        "refId": "PrometheusVariableQueryEditor-VariableQuery",
    }
    variable = variable.query(stored)
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
