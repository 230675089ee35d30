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
from exporter.model.custom import CustomMetric, CustomMetrics, CustomSample, CustomSeries
from exporter.model.fields import PUBLISHED_ONLY
from exporter.model.provider import CAPABILITIES, Provider
from exporter.model.snapshot import Fetch, Snapshot
from exporter.poll.poller import Poller
from exporter.system.terminal import printable
from exporter.telemetry.sdk import Telemetry

CUSTOM_HEADINGS = ("CUSTOM METRIC", "KIND", "FROM", "SERIES", "DROPPED", "FIRST SERIES")
HEADINGS = ("PROVIDER", "HEALTH", "ACTIVE", "RESPONSE", "LAST CHECK (UTC)", "CAPABILITIES")
NOTHING = "-"
NO_PROVIDERS = (
    "A gateway whose database is down also returns no providers: check the database, and the gateway's log."
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
        lines += ["", *_table([HEADINGS, *map(_row, snapshot.providers)])]
    if snapshot.custom:
        rows = (_custom_row(metric, series) for metric, series in snapshot.custom.items())
        lines += ["", *_table([CUSTOM_HEADINGS, *rows])]
    lines += [f"\n{count} x {field} is invalid" for field, count in snapshot.invalid_fields.items()]
    if empty_answer(snapshot):
        lines += ["", f"FAILED {empty_answer(snapshot)}\n       {NO_PROVIDERS}"]
    return "\n".join(lines)


def as_json(snapshot: Snapshot) -> str:
    """Return the result of the poll as one JSON object."""
    fetches = snapshot.last_poll.fetches if snapshot.last_poll else ()
    document = {
        "ok": succeeded(snapshot),
        "hint": NO_PROVIDERS if empty_answer(snapshot) else "",
        "fetches": [_fetch_object(fetch) for fetch in fetches],
        "stats": snapshot.stats,
        "providers": None
        if snapshot.providers is None
        else [_provider_object(p) for p in snapshot.providers],
        "invalid_fields": dict(snapshot.invalid_fields),
        "custom_metrics": [_custom_object(metric, series) for metric, series in snapshot.custom.items()],
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode()


def _fetch_line(fetch: Fetch) -> str:
    mark = "ok    " if fetch.outcome is Outcome.OK else "FAILED"
    attempts = "1 attempt" if fetch.attempts == 1 else f"{fetch.attempts} attempts"
    line = f"{mark} {fetch.endpoint.path:<17} {fetch.duration_seconds * 1000:.0f} ms, {attempts}"
    if fetch.outcome is Outcome.OK:
        return line
    request = f"\n       Request id of the gateway: {printable(fetch.request_id)}" if fetch.request_id else ""
    return f"{line}, {fetch.outcome}\n       {printable(fetch.hint)}{request}"


def _row(provider: Provider) -> tuple[str, ...]:
    return (
        printable(provider.slug),
        provider.health.label,
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


def _sample(sample: CustomSample) -> str:
    labels = ", ".join(f"{name}={text!r}" for name, text in sample.labels.items())
    value = f"{sample.value:.15g}"
    return printable(f"{value} ({labels})" if labels else value)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _fetch_object(fetch: Fetch) -> Mapping[str, Any]:
    return {
        "endpoint": fetch.endpoint.value,
        "outcome": fetch.outcome.value,
        "status": fetch.status,
        "attempts": fetch.attempts,
        "duration_ms": round(fetch.duration_seconds * 1000, 3),
        "request_id": fetch.request_id,
        "hint": fetch.hint,
    }


def _provider_object(provider: Provider) -> Mapping[str, Any]:
    values = msgspec.structs.asdict(provider)
    published = zip(PUBLISHED_ONLY, values.pop("published"), strict=False)
    return {**values, "health": provider.health.label, **dict(published)}


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
