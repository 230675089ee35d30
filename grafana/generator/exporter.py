"""The dashboard of the exporter and of the servers for its telemetry."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.generator import links, states
from grafana.generator.frame import Frame, PanelBuilder, Section, alerts, build
from grafana.generator.freshness import data_age, exporter_state
from grafana.generator.panels import Text, bars, events, latencies, lines, timeline, value, word
from grafana.generator.queries import failed_fetches
from grafana.generator.sources import JOB, STREAM, TRACE_ID, buckets, column, job_variable, metric, records
from grafana.generator.states import thresholds

COLLECTOR = 'job="otel-collector"'
NOT_SCRAPED = "The exporter is not scraped"
NO_RATE = "The exporter is not scraped, or has been only once"
DURATION = "gatewayz_exporter_fetch_duration_seconds_bucket"
ITEMS = {"log_records": "records", "spans": "spans"}
"""Signals in the collector's metrics, and in legends."""
QUANTILES = {"0.5": "median", "0.95": "95 %"}
LEVELS = (
    f'{STREAM} | json | level=~"warning|error|critical"'
    " | line_format `{{.message}}{{if .outcome}}: {{.endpoint}} {{.outcome}}{{end}}"
    "{{if .detail}}: {{.detail}}{{end}}{{if .hint}}. {{.hint}}{{end}}"
    f"{TRACE_ID}`"
)


def board() -> Dashboard:
    """Return the dashboard."""
    frame = Frame(
        uid=links.EXPORTER,
        title="GatewayZ Exporter",
        description="State of the exporter: polls, data quality, process, delivery of telemetry.",
        variables=[job_variable()],
        annotations=[alerts('category="exporter"')],
        links=[links.board("All providers", links.MANAGEMENT), links.board("One provider", links.PROVIDER)],
    )
    sections = [
        Section("Now", _now()),
        Section("Polls", _polls()),
        Section("Data Quality", _quality()),
        Section("Process", _process()),
        Section("Delivery", _delivery()),
        Section("Log Records", [_log()], is_open=False),
    ]
    return build(frame, sections)


def _now() -> Sequence[PanelBuilder]:
    return [
        exporter_state(),
        value(
            Text(
                "Replicas Up",
                "Exporters of this job that Prometheus can scrape. One is enough for all data; if one of two "
                "is missing, start it before the other fails.",
                "Not scraped",
            ),
            "short",
            metric(f"sum(up{{{JOB}}})"),
            colors=thresholds(states.RED, (1, states.GREEN)),
        ),
        word(
            Text("Version", "Running versions. Two at once are normal only during an upgrade.", NOT_SCRAPED),
            "version",
            column(f"max by (version) (gatewayz_exporter_build_info{{{JOB}}})"),
        ),
        data_age(),
        value(
            Text(
                "Last Poll",
                "Duration of the last poll. Near FETCH_TIMEOUT there is no time for a retry: see "
                "which fetch is slow.",
                NOT_SCRAPED,
            ),
            "s",
            metric(f"max(gatewayz_exporter_poll_duration_seconds{{{JOB}}})"),
        ),
        value(
            Text(
                "Failed Fetches",
                "Requests to the gateway that failed within the last minutes. For outcomes and times see the "
                "panel below.",
                NO_RATE,
            ),
            "short",
            metric(f"max(increase(gatewayz_provider_scrape_errors_total{{{JOB}}}[$__rate_interval]))"),
            colors=thresholds(states.GREEN, (1, states.ORANGE)),
        ).decimals(0),
    ]


def _polls() -> Sequence[PanelBuilder]:
    all_outcomes = (
        f"max by (endpoint, outcome) (rate(gatewayz_exporter_fetches_total{{{JOB}}}[$__rate_interval])) > 0"
    )
    failed = Text(
        "Failed Fetches by Outcome",
        "Failures by endpoint and outcome. The bars overlap a little. Click one for its traces in Explore; "
        "the log below has hints.",
        "No fetch has failed",
    )
    return [
        lines(
            Text(
                "Fetches by Outcome",
                "Requests to the gateway per second and replica. Each endpoint should have one line, ok, at "
                "one per SCRAPE_INTERVAL; less means that polls are late.",
                NO_RATE,
            ),
            "reqps",
            metric(all_outcomes, "{{endpoint}} {{outcome}}", over_time=True),
        ),
        bars(
            failed, "short", metric(failed_fetches(), "{{endpoint}} {{outcome}}", over_time=True)
        ).data_links([links.failed_fetches()]),
        latencies(
            Text(
                "Fetch Latency",
                "Durations of the fetches of all replicas, retries and decoding included. A second "
                "band above the first means that the gateway is slow at times, for example without its "
                "database.",
                NO_RATE,
            ),
            "s",
            buckets(f"sum by (le) (increase({DURATION}{{{JOB}}}[$__rate_interval]))"),
        ),
        lines(
            Text(
                "Fetch Latency by Endpoint",
                "Median and 95th percentile. Near FETCH_TIMEOUT the next fetches will fail: check "
                "the gateway.",
                NO_RATE,
            ),
            "s",
            *(
                metric(
                    f"histogram_quantile({quantile}, sum by (le, endpoint) "
                    f"(rate({DURATION}{{{JOB}}}[$__rate_interval])))",
                    f"{{{{endpoint}}}} {title}",
                    over_time=True,
                )
                for quantile, title in QUANTILES.items()
            ),
        ).height(9),
        lines(
            Text(
                "Staleness",
                "Time since the last successful fetch of each endpoint. Beyond STALE_AFTER the series of the "
                "providers disappear.",
                "No fetch has succeeded yet",
            ),
            "s",
            metric(
                f"time() - max by (endpoint) (gatewayz_exporter_last_success_timestamp_seconds{{{JOB}}})",
                "{{endpoint}}",
                over_time=True,
            ),
            metric(f"max(gatewayz_exporter_stale_after_seconds{{{JOB}}})", "STALE_AFTER", over_time=True),
        ),
        lines(
            Text(
                "Poll Duration",
                "Duration of each poll, limited by FETCH_TIMEOUT. If it grows with the number of "
                "providers, check the gateway.",
                NOT_SCRAPED,
            ),
            "s",
            metric(f"gatewayz_exporter_poll_duration_seconds{{{JOB}}}", "{{instance}}", over_time=True),
        ),
    ]


def _log() -> PanelBuilder:
    return events(
        Text(
            "Warnings and Errors",
            "Warnings and errors of the exporter, with hints.",
            "No warning or error in this time range",
        ),
        records(LEVELS),
    ).span(24)


def _quality() -> Sequence[PanelBuilder]:
    return [
        lines(
            Text(
                "Invalid Values",
                "Values of the last list that were dropped as invalid, by field. If there are any, see the "
                "runbook of GatewayzInvalidFields.",
                NOT_SCRAPED,
            ),
            "short",
            metric(
                f"max by (field) (gatewayz_exporter_invalid_fields{{{JOB}}})", "{{field}}", over_time=True
            ),
        ),
        lines(
            Text(
                "Difference of List and Counts",
                "Difference between the gateway's counts and its list. If it lasts, see the runbook of "
                "GatewayzListAndStatsDisagree.",
                "No complete poll in this time range",
            ),
            "short",
            metric(
                f"max by (count) (job_count:gatewayz_list_stats_difference:max{{{JOB}}})",
                "{{count}}",
                over_time=True,
            ),
        ),
    ]


def _process() -> Sequence[PanelBuilder]:
    def per_replica(title: str, description: str, unit: str, *queries: tuple[str, str]) -> PanelBuilder:
        has_rate = any("rate(" in expr for expr, _ in queries)
        text = Text(title, description, NO_RATE if has_rate else NOT_SCRAPED)
        return lines(text, unit, *(metric(expr, legend, over_time=True) for expr, legend in queries)).span(8)

    return [
        per_replica(
            "Memory",
            "Resident memory. It grows with the number of providers only; steady growth "
            "is a bug: restart the exporter, and report it.",
            "bytes",
            (f"process_resident_memory_bytes{{{JOB}}}", "{{instance}}"),
        ),
        per_replica(
            "CPU",
            "Share of one core. Polls use CPU, scrapes hardly any; much more means many scrapers.",
            "percentunit",
            (f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])", "{{instance}}"),
        ),
        per_replica(
            "Open Files",
            "Open file descriptors, and their limit. Near the limit new connections fail: look for scrapers "
            "that do not close theirs.",
            "short",
            (f"process_open_fds{{{JOB}}}", "{{instance}}"),
            (f"process_max_fds{{{JOB}}}", "{{instance}} limit"),
        ),
        per_replica(
            "Scrape Duration",
            "Duration of a scrape by Prometheus. The response is cached: more than 0.1 s means a slow "
            "network, or a machine without spare CPU.",
            "s",
            (f"scrape_duration_seconds{{{JOB}}}", "{{instance}}"),
        ),
        per_replica(
            "Samples per Scrape",
            "Samples of each scrape. A drop means fewer listed providers, or stale data.",
            "short",
            (f"scrape_samples_scraped{{{JOB}}}", "{{instance}}"),
        ),
        per_replica(
            "Uptime of the Process",
            "Time since the start. If it drops to 0 repeatedly, see the last log lines before each restart.",
            "s",
            (f"time() - process_start_time_seconds{{{JOB}}}", "{{instance}}"),
        ),
    ]


def _delivery() -> Sequence[PanelBuilder]:
    servers = Text(
        "Servers",
        "Whether Prometheus can scrape each server. Without the collector, Loki or Tempo, logs and traces "
        "are missing; without Alertmanager, notifications; without the exporter, all data.",
        "Prometheus has no targets",
    )
    sent = Text(
        "Sent",
        "Spans and log records that the collector sent, per second, by destination. If one is 0 while "
        "the other is not, check that server.",
        "The collector is not scraped, or has sent nothing",
    )
    queued = Text(
        "Queue Size",
        "Batches in the collector's queue for each destination. A line that does not return to 0 means that "
        "the server is down: see the runbook of GatewayzTelemetryNotDelivered.",
        "The collector is not scraped",
    )
    lost_items = Text(
        "Refused or Dropped",
        "Spans and log records that Loki or Tempo refused, or that the collector dropped because its queue "
        "was full, within the interval. They are lost: see the runbook of GatewayzTelemetryNotDelivered.",
        "Nothing was lost in this time range",
    )
    # One query: a counter of drops does not exist before the first drop. `why` makes its series distinct.
    lost = " or ".join(
        _labelled(_per_destination("increase", f"{kind}_failed_{item}"), f"{why} {words}")
        for kind, why in (("send", "refused"), ("enqueue", "dropped"))
        for item, words in ITEMS.items()
    )
    return [
        timeline(servers, states.UP, metric("max by (job) (up)", "{{job}}", over_time=True)).height(8),
        lines(
            sent,
            "short",
            *(
                metric(
                    _per_destination("rate", f"sent_{item}"),
                    f"{{{{exporter}}}} {words}",
                    over_time=True,
                )
                for item, words in ITEMS.items()
            ),
        ).span(8),
        lines(
            queued,
            "short",
            metric(
                f"sum by (exporter) (otelcol_exporter_queue_size{{{COLLECTOR}}})",
                "{{exporter}}",
                over_time=True,
            ),
        ).span(8),
        lines(lost_items, "short", metric(lost, "{{exporter}} {{why}}", over_time=True)).span(8),
    ]


def _per_destination(function: str, counter: str) -> str:
    return f"sum by (exporter) ({function}(otelcol_exporter_{counter}{{{COLLECTOR}}}[$__rate_interval]))"


def _labelled(expr: str, why: str) -> str:
    return f'label_replace({expr}, "why", "{why}", "", "")'
