"""The checks of `doctor` on log records and traces: Collector, Loki, Tempo."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from exporter import SERVICE_NAME
from exporter.doctor.context import Case, PollRecord
from exporter.doctor.probe import NoAnswer
from exporter.doctor.report import Finding, State, counted, failed, is_ok, ok, shown, spoken
from exporter.doctor.targets import COLLECTOR, EXPORTER, LOKI, TEMPO
from exporter.errors import Outcome

POLL_MESSAGES = frozenset({"Updated provider metrics", "Updated provider metrics in part", "Fetch failed"})
"""One of them is written by every poll."""
POLL_SPAN = "poll"
TRACE_ID = re.compile("[0-9a-f]{32}")
LINES = 100
"""Records of Loki that are looked at, the newest first."""
DEFAULT_INTERVAL = 60.0
LATE_SECONDS = 60.0
"""What a record may be late beyond two polls, where the time of the last poll is not known."""
LOOK_BACK_SECONDS = 3_600.0
LOOK_AHEAD_SECONDS = 600.0
"""What Loki takes of records from the future, for clocks that differ."""

NO_ENDPOINT = (
    "The exporter sends none: set OTEL_EXPORTER_OTLP_ENDPOINT to the collector, for example "
    "http://otel-collector:4318, and unset what turns it off (OTEL_SDK_DISABLED, OTEL_LOGS_EXPORTER, "
    "OTEL_TRACES_EXPORTER)."
)
NO_RECORD = (
    'Look for "Telemetry not delivered" in the exporter\'s log (way to the collector), then into the logs of '
    "the collector (way to Loki) and of Loki."
)
NO_TRACE = (
    "Log records arrive and spans do not: look into the logs of the collector (its exporter to Tempo) and of "
    "Tempo, and at OTEL_TRACES_EXPORTER and OTEL_TRACES_SAMPLER."
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


def collector(case: Case) -> Finding:
    """Ask the collector's health check."""
    return ok(shown(case.ask_for(_Health, COLLECTOR, "/").status))


def ready(stage: str) -> Callable[[Case], Finding]:
    """Return the check of a server that says whether it is ready, as Loki and Tempo do."""

    def check(case: Case) -> Finding:
        if case.ask(stage, "/ready").body.strip() != b"ready":
            raise NoAnswer(Outcome.WRONG_SHAPE, "another answer than that it is ready")
        return ok("ready")

    return check


def record(case: Case) -> Finding:
    """Look for the record of the last poll in Loki."""
    return case.patiently(lambda: _look_for_record(case), is_ok)


def trace(case: Case) -> Finding:
    """Look for the trace of that poll in Tempo, by its id."""
    if case.record is None:
        return Finding(State.SKIPPED, "the id of the trace comes from Loki, which was not asked")
    if not case.record.trace_id:
        return Finding(
            State.SKIPPED, "its record has no trace_id: the exporter runs with OTEL_SDK_DISABLED=true"
        )
    trace_id = case.record.trace_id
    return case.patiently(lambda: _look_for_trace(case, trace_id), is_ok)


def _look_for_record(case: Case) -> Finding:
    found = max(_records(case), key=lambda record: record.logged, default=None)
    if found is None:
        return failed(f"none of service {shown(_service(case))}", _remedy(case, NO_RECORD, "logs"))
    # By the exporter's clock, where it is known, since the record is.
    now = case.now(EXPORTER if EXPORTER in case.ahead else LOKI)
    if found.logged < _expected(case, now):
        return failed(f"the last one is {spoken(now - found.logged)} old", _remedy(case, NO_RECORD, "logs"))
    case.record = found
    return ok(f"{spoken(now - found.logged)} old, trace_id {found.trace_id or 'none'}")


def _records(case: Case) -> Iterator[PollRecord]:
    """Yield the newest records of polls that Loki has, over a span of its own clock."""
    now = case.now(LOKI)
    back = max(LOOK_BACK_SECONDS, 2 * _interval(case) + LATE_SECONDS)
    answer = case.ask_for(
        _Range,
        LOKI,
        "/loki/api/v1/query_range",
        {
            "query": f'{{service={json.dumps(_service(case))}}} |~ "{"|".join(sorted(POLL_MESSAGES))}"',
            "start": str(int((now - back) * 1e9)),
            "end": str(int((now + LOOK_AHEAD_SECONDS) * 1e9)),
            "limit": str(LINES),
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
                # It becomes part of a path.
                trace_id = parsed.trace_id if TRACE_ID.fullmatch(parsed.trace_id) else ""
                yield PollRecord(trace_id, parsed.timestamp.timestamp())


def _expected(case: Case, now: float) -> float:
    """Return the time, by the exporter's clock, that a record of the last poll cannot be older than."""
    at_least = now - 2 * _interval(case) - LATE_SECONDS
    last_update = case.page.last_update if case.page else None
    # The record is written when a poll ends, and its time has milliseconds.
    return at_least if last_update is None else max(at_least, last_update - 0.001)


def _service(case: Case) -> str:
    """Return the label under which the collector files the exporter's records."""
    return case.environ.get("OTEL_SERVICE_NAME", "").strip() or SERVICE_NAME


def _interval(case: Case) -> float:
    return case.settings.interval if case.settings else DEFAULT_INTERVAL


def _remedy(case: Case, otherwise: str, signal: str) -> str:
    """Return the cause, where the settings are known to be it."""
    telemetry = case.settings.telemetry if case.settings else None
    protocols = {"logs": telemetry.logs_protocol, "traces": telemetry.traces_protocol} if telemetry else {}
    return NO_ENDPOINT if signal in protocols and protocols[signal] is None else otherwise


def _look_for_trace(case: Case, trace_id: str) -> Finding:
    try:
        answer = case.ask_for(_Trace, TEMPO, f"/api/traces/{trace_id}")
    except NoAnswer as error:
        if error.status != 404:
            raise
        return failed(f"no trace {trace_id}", _remedy(case, NO_TRACE, "traces"))
    spans = [span.name for batch in answer.batches for scope in batch.scope_spans for span in scope.spans]
    if POLL_SPAN not in spans:
        return failed(f"{counted(len(spans), 'span')}, but not the poll's own, in {trace_id}", NO_TRACE)
    return ok(f"{counted(len(spans), 'span')} in {trace_id}")
