"""The dashboard of the exporter itself, and of the servers that carry what it has to tell."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.generator import links, states
from grafana.generator.frame import Frame, PanelBuilder, Section, alerts, build
from grafana.generator.freshness import data_age, exporter_state
from grafana.generator.panels import Text, bars, events, latencies, lines, timeline, value, word
from grafana.generator.queries import failed_fetches
from grafana.generator.sources import JOB, STREAM, buckets, column, job_variable, metric, records
from grafana.generator.states import thresholds

COLLECTOR = 'job="otel-collector"'
NOT_SCRAPED = "The exporter is not scraped"
DURATION = "gatewayz_exporter_fetch_duration_seconds_bucket"
ITEMS = {"log_records": "records", "spans": "spans"}
"""What the collector counts, and how people call it."""
QUANTILES = {"0.5": "median", "0.95": "95 %"}
LEVELS = (
    f'{STREAM} | json | level=~"warning|error|critical"'
    " | line_format `{{.message}}{{if .outcome}}: {{.endpoint}} {{.outcome}}{{end}}"
    "{{if .detail}}: {{.detail}}{{end}}{{if .hint}}. {{.hint}}{{end}}`"
)


def board() -> Dashboard:
    """Return the dashboard."""
    frame = Frame(
        uid=links.EXPORTER,
        title="GatewayZ Exporter",
        description="Whether the numbers can be trusted: polls, the exporter's process, what carries them.",
        variables=[job_variable()],
        annotations=[alerts('category="exporter"')],
        links=[links.board("All providers", links.MANAGEMENT), links.board("One provider", links.PROVIDER)],
    )
    sections = [
        Section("Now", _now()),
        Section("Polls", _polls()),
        Section("What the Gateway Sends", _quality()),
        Section("Process", _process()),
        Section("Delivery", _delivery()),
    ]
    return build(frame, sections)


def _now() -> Sequence[PanelBuilder]:
    return [
        exporter_state(),
        value(
            Text(
                "Replicas Up",
                "Exporters of this job that answer. One is enough for all numbers; if one of two is "
                "missing, start it before the other fails.",
                "Not scraped",
            ),
            "short",
            metric(f"sum(up{{{JOB}}})"),
            colors=thresholds(states.RED, (1, states.GREEN)),
        ),
        word(
            Text("Version", "Versions that run. Two at once are normal only during an upgrade.", NOT_SCRAPED),
            "version",
            column(f"max by (version) (gatewayz_exporter_build_info{{{JOB}}})"),
        ),
        data_age(),
        value(
            Text(
                "Last Poll",
                "How long the last poll took. Near FETCH_TIMEOUT nothing is left for a retry: see "
                "which fetch is slow.",
                NOT_SCRAPED,
            ),
            "s",
            metric(f"max(gatewayz_exporter_poll_duration_seconds{{{JOB}}})"),
        ),
        value(
            Text(
                "Failed Fetches",
                "Requests to the gateway that failed within the last minutes. The panel of outcomes below "
                "says of which kind, and when.",
                NOT_SCRAPED,
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
        "Failures by endpoint and kind. The bars overlap a little. Click one for its traces, in Explore; "
        "the log below says what to do.",
        "No fetch has failed",
    )
    return [
        lines(
            Text(
                "Fetches by Outcome",
                "Requests to the gateway per second and replica. Each endpoint should show one line, ok, at "
                "one per interval of polls; less means that polls are late.",
                NOT_SCRAPED,
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
                "How many fetches of all replicas took how long, retries and decoding included. A second "
                "band above the first is a gateway that is slow at times, such as one whose database is "
                "away.",
                NOT_SCRAPED,
            ),
            "s",
            buckets(f"sum by (le) (increase({DURATION}{{{JOB}}}[$__rate_interval]))"),
        ),
        lines(
            Text(
                "Fetch Latency by Endpoint",
                "Median and 95 % of the fetch times. Near FETCH_TIMEOUT the next fetches will fail: look at "
                "the gateway.",
                NOT_SCRAPED,
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
                "Time since each endpoint last answered well. Beyond STALE_AFTER the series of the "
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
                "Time of each poll. It is bounded by FETCH_TIMEOUT; if it grows with the number of "
                "providers, the gateway needs an eye.",
                NOT_SCRAPED,
            ),
            "s",
            metric(f"gatewayz_exporter_poll_duration_seconds{{{JOB}}}", "{{instance}}", over_time=True),
        ),
        events(
            Text(
                "Warnings and Errors",
                "What the exporter complains of, and its hint what to do.",
                "Nothing to complain of in this time",
            ),
            records(LEVELS),
        ).span(24),
    ]


def _quality() -> Sequence[PanelBuilder]:
    return [
        lines(
            Text(
                "Values That Were Left Out",
                "Values of the last list that could not be understood, by field. If any, see the runbook of "
                "GatewayzInvalidFields.",
                NOT_SCRAPED,
            ),
            "short",
            metric(
                f"max by (field) (gatewayz_exporter_invalid_fields{{{JOB}}})", "{{field}}", over_time=True
            ),
        ),
        lines(
            Text(
                "List Against Counts",
                "By how much the gateway's own counts differ from its list. If it lasts, see the runbook of "
                "GatewayzListAndStatsDisagree.",
                "No complete poll in this time",
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
        text = Text(title, description, NOT_SCRAPED)
        return lines(text, unit, *(metric(expr, legend, over_time=True) for expr, legend in queries)).span(8)

    return [
        per_replica(
            "Memory",
            "Resident memory. It grows with the number of providers and then stays; one that keeps growing "
            "is a bug: restart, and report it.",
            "bytes",
            (f"process_resident_memory_bytes{{{JOB}}}", "{{instance}}"),
        ),
        per_replica(
            "CPU",
            "Share of one core. A poll costs, a scrape hardly does; much more means many scrapers.",
            "percentunit",
            (f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])", "{{instance}}"),
        ),
        per_replica(
            "Open Files",
            "Open descriptors, and how many may be. Near that new connections fail: look for scrapers that "
            "do not close theirs.",
            "short",
            (f"process_open_fds{{{JOB}}}", "{{instance}}"),
            (f"process_max_fds{{{JOB}}}", "{{instance}} at most"),
        ),
        per_replica(
            "Scrape Duration",
            "Time that Prometheus takes to scrape the exporter. It serves ready bytes: more than a tenth of "
            "a second is the network or a machine without CPU to spare.",
            "s",
            (f"scrape_duration_seconds{{{JOB}}}", "{{instance}}"),
        ),
        per_replica(
            "Samples per Scrape",
            "Samples that Prometheus gets. A fall is a gateway that lists fewer, or data gone stale.",
            "short",
            (f"scrape_samples_scraped{{{JOB}}}", "{{instance}}"),
        ),
        per_replica(
            "Uptime of the Process",
            "Time since the start. If it keeps falling back, the exporter is restarted: see its last log "
            "lines.",
            "s",
            (f"time() - process_start_time_seconds{{{JOB}}}", "{{instance}}"),
        ),
    ]


def _delivery() -> Sequence[PanelBuilder]:
    servers = Text(
        "Servers",
        "Whether each server answers Prometheus. One that is down loses its part: the collector, Loki and "
        "Tempo logs and traces, Alertmanager notifications, the exporter everything.",
        "Prometheus scrapes nothing",
    )
    sent = Text(
        "Delivered",
        "Spans and log records that the collector handed on, per second, by destination. If one is 0 while "
        "the other is not, look at that server.",
        "The collector is not scraped, or nothing was sent",
    )
    waiting = Text(
        "Waiting",
        "What waits in the collector for each destination. A line that does not come back to 0 is a server "
        "that is away: see the runbook of GatewayzTelemetryNotDelivered.",
        "The collector is not scraped",
    )
    failing = Text(
        "Refused or Dropped",
        "Items that Loki or Tempo refused for good, and those that found the collector's queue full, within "
        "the interval. They are lost: see the runbook of GatewayzTelemetryNotDelivered.",
        "Nothing was lost",
    )
    # One query, as a counter of drops is not there before the first one; `why` keeps one from hiding another.
    lost = " or ".join(
        _told(_per_destination("increase", f"{kind}_failed_{item}"), f"{why} {words}")
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
            waiting,
            "short",
            metric(
                f"sum by (exporter) (otelcol_exporter_queue_size{{{COLLECTOR}}})",
                "{{exporter}}",
                over_time=True,
            ),
        ).span(8),
        lines(failing, "short", metric(lost, "{{exporter}} {{why}}", over_time=True)).span(8),
    ]


def _per_destination(function: str, counter: str) -> str:
    return f"sum by (exporter) ({function}(otelcol_exporter_{counter}{{{COLLECTOR}}}[$__rate_interval]))"


def _told(expr: str, why: str) -> str:
    return f'label_replace({expr}, "why", "{why}", "", "")'
