"""Tests of `exporter.telemetry.logs`."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import datetime

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import NonRecordingSpan, SpanContext

from exporter.telemetry import logs
from tests.rig import Rig

DELIVERY_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
CREATED = 1_787_191_300.0421
SPAN = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False))


def test_layout(running: Rig) -> None:
    """Standard fields come first, then other fields, then within a span its ids in hex of full length."""
    logger = logging.getLogger("exporter.x")
    logger.warning("Something happened", extra={"count": 3, "name_": "ü"})
    with trace.use_span(SPAN):
        logger.info("m", extra={"field": 1})
    outside, inside = running.lines()

    assert ["timestamp", "level", "service", "message", "count", "name_"] == list(outside)
    expected = ("warning", "provider-metrics-exporter", "Something happened", 3, "ü")
    assert expected == tuple(outside.values())[1:]
    assert ["field", "trace_id", "span_id"] == list(inside)[-3:]
    assert (f"{0xABC:032x}", f"{0xDEF:016x}") == (inside["trace_id"], inside["span_id"])


@pytest.mark.parametrize(
    ("arguments", "message"), [((1, 2), "1 of 2"), (("x",), "%d of %d")], ids=["valid", "mismatched"]
)
def test_format(arguments: tuple[object, ...], message: str) -> None:
    """The timestamp is RFC 3339 in UTC with milliseconds; mismatched arguments leave the template."""
    record = logging.LogRecord("library", logging.WARNING, "", 0, "%d of %d", arguments, None)
    record.created = CREATED
    line = json.loads(logs.formatter("json", is_terminal=True).format(record))

    fields = ("timestamp", "level", "message")
    assert ("2026-08-20T02:01:40.042Z", "warning", message) == tuple(line[name] for name in fields)


def console_line(*, is_terminal: bool = False, **values: object) -> str:
    """Return a record in the console format."""
    record = logging.makeLogRecord({"msg": "m", "levelname": "INFO", "created": CREATED, **values})
    return logs.formatter("console", is_terminal=is_terminal).format(record)


def test_console_line() -> None:
    """A record is one line: time, level, in colour in a terminal, message, fields with a value; no ids."""
    with trace.use_span(SPAN):
        line = console_line(msg="Fetch failed", levelname="WARNING", hint="a b", status=None, tls=True)

    time = datetime.fromtimestamp(CREATED).strftime("%H:%M:%S")
    assert f'{time} warning  Fetch failed hint="a b" tls=true' == line
    assert f"{time} \x1b[31merror   \x1b[0m m" == console_line(levelname="ERROR", is_terminal=True)


def test_control_characters_in_the_console_format() -> None:
    """Control characters in message, fields and traceback are escaped."""
    try:
        raise ZeroDivisionError("a\x1b[31m")
    except ZeroDivisionError:
        lines = console_line(msg="m\n", provider="a\x1b\nb", exc_info=sys.exc_info())

    first, *rest = lines.splitlines()
    assert first.endswith("m\\n provider=a\\x1b\\nb")
    assert ("Traceback (most recent call last):", "ZeroDivisionError: a\\x1b[31m") == (rest[0], rest[-1])


def test_python_warnings(running: Rig) -> None:
    """Python warnings are log records."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old-fashioned", stacklevel=1)
    (line,) = running.lines()

    assert ("warning", True) == (line["level"], "old-fashioned" in line["message"])


def test_delivery_reports(running: Rig) -> None:
    """All reports of undelivered telemetry become one warning per minute; the SDK's are not exported."""
    logger = logging.getLogger(DELIVERY_LOGGER)
    with suppress_instrumentation():
        for _ in range(3):
            logger.error("Failed to export %s batch code: %s, reason: %s", "spans", 500, "broken")
        running.clock.now += 59
        logger.warning("still broken")
        running.clock.now += 1
        logger.warning("still broken")
    assert [] == running.otlp_bodies()
    running.clock.now += 60
    logging.getLogger(logs.PUSH_LOGGER).error("Unexpected %s in a delivery", "TypeError")

    fields = ("level", "message", "detail", "hint")
    assert [
        ("warning", "Telemetry not delivered", detail, logs.DELIVERY_HINT)
        for detail in (
            "Failed to export spans batch code: 500, reason: broken",
            "still broken",
            "Unexpected TypeError in a delivery",
        )
    ] == [tuple(line[name] for name in fields) for line in running.lines()]


def test_push_without_a_thread(running: Rig) -> None:
    """A push that failed because of the exporter itself is logged with its own hint."""
    logging.getLogger(logs.PUSH_LOGGER).error("Metrics not sent", extra={"hint": "Check the limits."})

    assert ["Metrics not sent", "Check the limits."] == list(running.lines()[0].values())[-2:]


@pytest.mark.parametrize(
    ("logger", "message", "is_logged"),
    [
        (DELIVERY_LOGGER, "Unsupported compression type", True),
        ("opentelemetry.sdk.metrics", "Callback failed", True),
        ("uvicorn.error", "Started server process", False),
        ("uvicorn.error", "Invalid HTTP request received.", False),
        ("urllib3.connectionpool", "Failed to parse headers: Bearer key", False),
    ],
)
def test_messages_of_libraries(running: Rig, logger: str, message: str, is_logged: bool) -> None:
    """Warnings of the SDK are logged unchanged; those that may quote untrusted data or the key are not."""
    logging.getLogger(logger).warning(message)

    assert [message] * is_logged == running.messages()
