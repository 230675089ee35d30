"""Checks of the collector, Loki and Tempo: health, the log record of the last poll, its trace."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from exporter import SERVICE_NAME
from exporter.doctor.context import Context, PollRecord
from exporter.doctor.report import Finding, State, duration, failed, is_ok, ok, plural, sanitized
from exporter.doctor.targets import COLLECTOR, EXPORTER, LOKI, TEMPO
from exporter.errors import Outcome
from exporter.transport.probe import ProbeError

POLL_MESSAGES = frozenset({"Updated provider metrics", "Updated provider metrics in part", "Fetch failed"})
"""Every poll logs one of them."""
POLL_SPAN = "poll"
TRACE_ID = re.compile("[0-9a-f]{32}")
MAX_RECORDS = 100
"""Records that are read, the newest first."""
DEFAULT_INTERVAL = 60.0
LATE_SECONDS = 60.0
"""Tolerance beyond two polls, if the time of the last poll is unknown."""
LOOK_BACK_SECONDS = 3_600.0
LOOK_AHEAD_SECONDS = 600.0
"""How far ahead of its clock Loki accepts records."""

NO_ENDPOINT = (
    "The exporter sends none: set OTEL_EXPORTER_OTLP_ENDPOINT to the collector, for example "
    "http://otel-collector:4318, and unset what disables it (OTEL_SDK_DISABLED, OTEL_LOGS_EXPORTER, "
    "OTEL_TRACES_EXPORTER)."
)
NO_RECORD = (
    'Look for "Telemetry not delivered" in the exporter\'s log (sent to the collector), then check the logs '
    "of the collector (sent to Loki) and of Loki."
)
NO_TRACE = (
    "Log records arrive and spans do not: check the logs of the collector (its exporter to Tempo) and of "
    "Tempo, and OTEL_TRACES_EXPORTER and OTEL_TRACES_SAMPLER."
)


class _Health(msgspec.Struct):
    status: str


class _Stream(msgspec.Struct):
    values: list[list[Any]]


class _Streams(msgspec.Struct):
    result: list[_Stream]


class _Range(msgspec.Struct):
    data: _Streams


class _Line(msgspec.Struct):
    timestamp: datetime
    message: str
    trace_id: str = ""


class _Span(msgspec.Struct):
    name: str = ""


class _Scope(msgspec.Struct):
    spans: list[_Span] = []


class _Batch(msgspec.Struct, rename="camel"):
    scope_spans: list[_Scope] = []


class _Trace(msgspec.Struct):
    batches: list[_Batch]


def collector(context: Context) -> Finding:
    """Check the collector's health check."""
    return ok(sanitized(context.get_json(_Health, COLLECTOR, "/").status))


def ready(server: str) -> Callable[[Context], Finding]:
    """Return the check of `/ready` of Loki or Tempo."""

    def check(context: Context) -> Finding:
        if context.get(server, "/ready").body.strip() != b"ready":
            raise ProbeError(Outcome.WRONG_SHAPE, 'the response is not "ready"')
        return ok("ready")

    return check


def record(context: Context) -> Finding:
    """Look for the log record of the last poll in Loki."""
    return context.retry(lambda: _look_for_record(context), is_ok)


def trace(context: Context) -> Finding:
    """Look for the trace of that poll in Tempo."""
    if context.record is None:
        return Finding(State.SKIPPED, "the trace id comes from Loki, which has no URL")
    if not context.record.trace_id:
        return Finding(
            State.SKIPPED, "the record has no trace_id: the exporter runs with OTEL_SDK_DISABLED=true"
        )
    trace_id = context.record.trace_id
    return context.retry(lambda: _look_for_trace(context, trace_id), is_ok)


def _look_for_record(context: Context) -> Finding:
    found = max(_records(context), key=lambda record: record.logged, default=None)
    if found is None:
        return failed(
            f"no record of service {sanitized(_service(context))}", _remedy(context, NO_RECORD, "logs")
        )
    # The record has the time of the exporter's clock.
    now = context.now(EXPORTER if EXPORTER in context.clock_offsets else LOKI)
    if found.logged < _expected(context, now):
        return failed(
            f"the last record is {duration(now - found.logged)} old", _remedy(context, NO_RECORD, "logs")
        )
    context.record = found
    return ok(f"{duration(now - found.logged)} old, trace_id {found.trace_id or 'none'}")


def _records(context: Context) -> Iterator[PollRecord]:
    """Yield the newest records of polls, in a range by Loki's clock."""
    now = context.now(LOKI)
    back = max(LOOK_BACK_SECONDS, 2 * _interval(context) + LATE_SECONDS)
    answer = context.get_json(
        _Range,
        LOKI,
        "/loki/api/v1/query_range",
        {
            "query": f'{{service={json.dumps(_service(context))}}} |~ "{"|".join(sorted(POLL_MESSAGES))}"',
            "start": str(int((now - back) * 1e9)),
            "end": str(int((now + LOOK_AHEAD_SECONDS) * 1e9)),
            "limit": str(MAX_RECORDS),
            "direction": "backward",
        },
    )
    for stream in answer.data.result:
        for _, line, *_ in stream.values:
            try:
                parsed = msgspec.json.decode(line, type=_Line)
            except (msgspec.DecodeError, TypeError):
                continue
            if parsed.message in POLL_MESSAGES:
                # It becomes part of a URL.
                trace_id = parsed.trace_id if TRACE_ID.fullmatch(parsed.trace_id) else ""
                yield PollRecord(trace_id, parsed.timestamp.timestamp())


def _expected(context: Context, now: float) -> float:
    """Return the earliest time, by the exporter's clock, of the last poll's record."""
    at_least = now - 2 * _interval(context) - LATE_SECONDS
    last_update = context.exposition.last_update if context.exposition else None
    # The record follows the update, and its time is rounded to milliseconds.
    return at_least if last_update is None else max(at_least, last_update - 0.001)


def _service(context: Context) -> str:
    """Return the value of the label `service` of the exporter's records in Loki."""
    return context.environ.get("OTEL_SERVICE_NAME", "").strip() or SERVICE_NAME


def _interval(context: Context) -> float:
    return context.settings.interval if context.settings else DEFAULT_INTERVAL


def _remedy(context: Context, otherwise: str, signal: str) -> str:
    """Return NO_ENDPOINT if the settings disable the signal, else `otherwise`."""
    telemetry = context.settings.telemetry if context.settings else None
    protocols = {"logs": telemetry.logs_protocol, "traces": telemetry.traces_protocol} if telemetry else {}
    return NO_ENDPOINT if signal in protocols and protocols[signal] is None else otherwise


def _look_for_trace(context: Context, trace_id: str) -> Finding:
    try:
        answer = context.get_json(_Trace, TEMPO, f"/api/traces/{trace_id}")
    except ProbeError as error:
        if error.status != 404:
            raise
        return failed(f"no trace {trace_id}", _remedy(context, NO_TRACE, "traces"))
    spans = [span.name for batch in answer.batches for scope in batch.scope_spans for span in scope.spans]
    if POLL_SPAN not in spans:
        return failed(f"{plural(len(spans), 'span')}, without the span of the poll, in {trace_id}", NO_TRACE)
    return ok(f"{plural(len(spans), 'span')} in {trace_id}")
