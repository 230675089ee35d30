"""The command `check`: one poll of the gateway, printed as a table or as JSON."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from exporter.clock import SystemClock
from exporter.config.settings import Settings, TelemetrySettings
from exporter.errors import Outcome
from exporter.metrics.custom.discovery import Records
from exporter.model.custom import CustomMetric, CustomMetrics, CustomSample, CustomSeries
from exporter.model.endpoints import Endpoint
from exporter.model.history import History
from exporter.model.provider import CAPABILITIES, Provider
from exporter.model.snapshot import Fetch, Snapshot
from exporter.poll.events import UNMATCHED_HINT
from exporter.poll.poller import Poller
from exporter.status import documents
from exporter.status.headline import mostly_overdue, tally
from exporter.status.order import rank
from exporter.status.state import State
from exporter.system.terminal import printable
from exporter.telemetry.sdk import Telemetry

CUSTOM_HEADINGS = ("CUSTOM METRIC", "KIND", "FROM", "SERIES", "DROPPED", "FIRST SERIES")
HEADINGS = ("PROVIDER", "HEALTH", "ACTIVE", "RESPONSE", "LAST CHECK (UTC)", "CAPABILITIES")
RAW_HEADINGS = ("FIELD", "KNOWN IN", "EXAMPLE")
NOTHING = "-"
NO_PROVIDERS = (
    "A gateway whose database is down also returns no providers: check the database, and the gateway's log."
)
OVERDUE = (
    "The reported health may be out of date: restart or repair what reports health to the gateway; if its "
    "checks are this rare by design, raise HEALTH_CHECK_OVERDUE."
)


def poll(settings: Settings, custom: CustomMetrics = ()) -> Snapshot:
    """Poll once as the exporter does, without telemetry and log."""
    logging.disable()
    telemetry = Telemetry(TelemetrySettings(None, None, None, (), traced=False))
    poller = Poller(settings, SystemClock(), telemetry.tracer, telemetry.metrics, lambda: custom)
    poller.poll_once()
    poller.close()
    return poller.published.current.snapshot


def succeeded(snapshot: Snapshot) -> bool:
    """Return whether both endpoints succeeded and returned at least one provider."""
    return snapshot.up and not empty_answer(snapshot)


def empty_answer(snapshot: Snapshot) -> str:
    """Return which answer has no provider, or an empty string.

    One poll cannot know whether the gateway should have providers.
    """
    if snapshot.providers == ():
        return "no providers"
    if snapshot.stats is not None and snapshot.stats.total == 0:
        return "no providers in the counts"
    return ""


def as_text(snapshot: Snapshot) -> str:
    """Return the result of the poll as text."""
    fetches = snapshot.last_poll.fetches if snapshot.last_poll else ()
    lines = [_fetch_line(fetch) for fetch in fetches]
    if snapshot.stats is not None:
        counts = msgspec.structs.asdict(snapshot.stats)
        lines += ["", "Counts: " + ", ".join(f"{count} {name}" for name, count in counts.items())]
    if snapshot.providers:
        providers = sorted(snapshot.providers, key=lambda each: rank(each, snapshot))
        lines += ["", *_table([HEADINGS, *(_row(each, snapshot) for each in providers)])]
    if snapshot.custom:
        rows = (_custom_row(metric, series) for metric, series in snapshot.custom.items())
        lines += ["", *_table([CUSTOM_HEADINGS, *rows])]
        lines += [
            _unmatched(metric, series) for metric, series in snapshot.custom.items() if series.matches_nothing
        ]
    lines += [f"\n{count} x {field} is invalid" for field, count in snapshot.invalid_fields.items()]
    if empty_answer(snapshot):
        lines += ["", f"FAILED {empty_answer(snapshot)}\n       {NO_PROVIDERS}"]
    elif overdue := mostly_overdue(tally(snapshot)):
        lines += ["", f"Note: {overdue}\n      {OVERDUE}"]
    return "\n".join(lines)


def as_json(snapshot: Snapshot) -> str:
    """Return the result of the poll as one JSON object, with the documents of the HTTP API."""
    date = snapshot.last_poll.date if snapshot.last_poll else 0.0
    state = State(snapshot, History(0, snapshot.timing.poll_interval, date), date)
    document = {
        "ok": succeeded(snapshot),
        "hint": _hint(snapshot),
        "status": documents.status(state),
        "providers": documents.providers(state).providers,
        "invalid_fields": dict(snapshot.invalid_fields),
        "custom_metrics": [_custom_object(metric, series) for metric, series in snapshot.custom.items()],
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode()


def raw(settings: Settings) -> tuple[Snapshot, str]:
    """Poll once; return the result, and the fields of the gateway's records as text."""
    found = [Records(endpoint) for endpoint in Endpoint]
    snapshot = poll(settings, tuple(each.metric() for each in found))
    tables = (_raw_table(each) for each in found)
    return snapshot, "\n".join(printable(line) for table in tables for line in table)


def _raw_table(records: Records) -> Iterator[str]:
    fields = records.known_fields().items()
    rows = [(path, f"{found.known} of {records.count}", found.example) for path, found in fields]
    yield f"{records.endpoint.path}: {records.count} record{'s' if records.count != 1 else ''}"
    yield from _table([RAW_HEADINGS, *rows])
    yield ""


def _hint(snapshot: Snapshot) -> str:
    if empty_answer(snapshot):
        return NO_PROVIDERS
    return OVERDUE if mostly_overdue(tally(snapshot)) else ""


def _fetch_line(fetch: Fetch) -> str:
    mark = "ok    " if fetch.outcome is Outcome.OK else "FAILED"
    attempts = "1 attempt" if fetch.attempts == 1 else f"{fetch.attempts} attempts"
    line = f"{mark} {fetch.endpoint.path:<17} {fetch.duration_seconds * 1000:.0f} ms, {attempts}"
    if fetch.outcome is Outcome.OK:
        return line
    request = f"\n       Request id of the gateway: {printable(fetch.request_id)}" if fetch.request_id else ""
    return f"{line}, {fetch.outcome}\n       {printable(fetch.hint)}{request}"


def _row(provider: Provider, snapshot: Snapshot) -> tuple[str, ...]:
    return (
        printable(provider.slug),
        provider.health.label + (", overdue" if snapshot.is_overdue(provider) else ""),
        _yes_no(provider.is_active),
        NOTHING if provider.response_time_ms is None else f"{provider.response_time_ms:.0f} ms",
        _date(provider.last_health_check),
        " ".join(name for name, field in CAPABILITIES if getattr(provider, field)) or NOTHING,
    )


def _custom_row(metric: CustomMetric, series: CustomSeries) -> tuple[str, ...]:
    dropped = ", ".join(f"{count} {reason}" for reason, count in series.dropped.items())
    first = _sample(series.samples[0]) if series.samples else NOTHING
    figures = (str(len(series.samples)), dropped or NOTHING, first)
    return (metric.name, metric.kind.value, metric.source.value, *figures)


def _unmatched(metric: CustomMetric, series: CustomSeries) -> str:
    return f"Note: {metric.name} has a value in 0 of {series.records} records. {UNMATCHED_HINT}"


def _sample(sample: CustomSample) -> str:
    labels = ", ".join(f"{name}={text!r}" for name, text in sample.labels.items())
    value = f"{sample.value:.15g}"
    return printable(f"{value} ({labels})" if labels else value)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _custom_object(metric: CustomMetric, series: CustomSeries) -> Mapping[str, Any]:
    return {
        "name": metric.name,
        "kind": metric.kind.value,
        "endpoint": metric.source.value,
        "series": series.samples,
        "dropped": {reason.value: count for reason, count in series.dropped.items()},
    }


def _yes_no(value: bool | None) -> str:
    return NOTHING if value is None else ("yes" if value else "no")


def _date(seconds: float | None) -> str:
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
