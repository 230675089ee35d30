"""Tests of `exporter.telemetry.logs`."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from datetime import datetime

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import NonRecordingSpan, SpanContext

from exporter.telemetry import logs
from tests.clocks import MovedClock
from tests.telemetry.output import Output, captured

DELIVERY_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
CREATED = 1_787_191_300.0421
SPAN = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False))


@pytest.fixture
def output(clock: MovedClock) -> Iterator[Output]:
    """The captured log."""
    with captured(clock) as log:
        yield log


def test_layout(output: Output) -> None:
    """Standard fields come first, then other fields; outside a span there are no trace ids."""
    logging.getLogger("exporter.x").warning("Something happened", extra={"count": 3, "name_": "ü"})

    (line,) = output.lines()

    assert ["timestamp", "level", "service", "message", "count", "name_"] == list(line)
    assert ("warning", "provider-metrics-exporter", "Something happened", 3, "ü") == tuple(line.values())[1:]


@pytest.mark.parametrize(
    ("arguments", "message"), [((1, 2), "1 of 2"), (("x",), "%d of %d")], ids=["valid", "mismatched"]
)
def test_format(arguments: tuple[object, ...], message: str) -> None:
    """The timestamp is RFC 3339 in UTC with milliseconds; mismatched arguments leave the template."""
    record = logging.LogRecord("library", logging.WARNING, "", 0, "%d of %d", arguments, None)
    record.created = CREATED

    line = json.loads(logs.formatter("json", is_terminal=True).format(record))

    assert ("2026-08-20T02:01:40.042Z", "warning", message) == tuple(
        line[name] for name in ("timestamp", "level", "message")
    )


def test_trace_ids(output: Output) -> None:
    """Inside a span the last fields are its ids in hex of full length."""
    with trace.use_span(SPAN):
        logging.getLogger("exporter.x").info("m", extra={"field": 1})

    (line,) = output.lines()

    assert ["field", "trace_id", "span_id"] == list(line)[-3:]
    assert (f"{0xABC:032x}", f"{0xDEF:016x}") == (line["trace_id"], line["span_id"])


def test_exception(output: Output) -> None:
    """A traceback is a field of the line."""
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        logging.getLogger("exporter.x").exception("Broken")

    (line,) = output.lines()

    assert line["exc_info"].endswith("ZeroDivisionError: a bug")


def console_line(*, is_terminal: bool = False, **values: object) -> str:
    """Return a record in the console format."""
    record = logging.makeLogRecord({"msg": "m", "levelname": "INFO", "created": CREATED, **values})
    return logs.formatter("console", is_terminal=is_terminal).format(record)


def test_console_line() -> None:
    """A record is one line: local time, level, message, and fields with a value; no trace ids."""
    with trace.use_span(SPAN):
        line = console_line(msg="Fetch failed", levelname="WARNING", hint="a b", status=None, tls=True)

    time = datetime.fromtimestamp(CREATED).strftime("%H:%M:%S")
    assert f'{time} warning  Fetch failed hint="a b" tls=true' == line


def test_console_line_in_a_terminal() -> None:
    """The level has a colour only in a terminal."""
    assert " \x1b[31merror   \x1b[0m m" == console_line(levelname="ERROR", is_terminal=True)[8:]
    assert " error    m" == console_line(levelname="ERROR")[8:]


def test_control_characters_in_the_console_format() -> None:
    """Control characters in message, fields and traceback are escaped."""
    try:
        raise ZeroDivisionError("a\x1b[31m")
    except ZeroDivisionError:
        lines = console_line(msg="m\n", provider="a\x1b\nb", exc_info=sys.exc_info())

    first, *rest = lines.splitlines()

    assert first.endswith("m\\n provider=a\\x1b\\nb")
    assert ("Traceback (most recent call last):", "ZeroDivisionError: a\\x1b[31m") == (rest[0], rest[-1])


def test_level(clock: MovedClock) -> None:
    """Records below the level are dropped."""
    with captured(clock, "warning") as output:
        logging.getLogger("exporter.x").info("quiet")
        logging.getLogger("exporter.x").warning("loud")

    assert ["loud"] == output.messages()


def test_python_warnings(output: Output) -> None:
    """Python warnings are log records."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old-fashioned", stacklevel=1)

    (line,) = output.lines()

    assert "warning" == line["level"]
    assert "old-fashioned" in line["message"]


def test_delivery_reports(output: Output) -> None:
    """All reports of undelivered telemetry become one uniform warning per minute."""
    logger = logging.getLogger(DELIVERY_LOGGER)
    with suppress_instrumentation():
        for _ in range(3):
            logger.error("Failed to export %s batch code: %s, reason: %s", "spans", 500, "broken")
        output.clock.now += 59
        logger.warning("still broken")
        output.clock.now += 1
        logger.warning("still broken")
    output.clock.now += 60
    logging.getLogger(logs.PUSH_LOGGER).error("Unexpected %s in a delivery", "TypeError")

    fields = ("level", "message", "detail", "hint")
    assert [
        ("warning", "Telemetry not delivered", detail, logs.DELIVERY_HINT)
        for detail in (
            "Failed to export spans batch code: 500, reason: broken",
            "still broken",
            "Unexpected TypeError in a delivery",
        )
    ] == [tuple(line[name] for name in fields) for line in output.lines()]


@pytest.mark.parametrize(
    ("logger", "message"),
    [(DELIVERY_LOGGER, "Unsupported compression type"), ("opentelemetry.sdk.metrics", "Callback failed")],
    ids=["configuration of an exporter", "other part of the SDK"],
)
def test_other_messages_of_the_sdk(output: Output, logger: str, message: str) -> None:
    """Other messages of the SDK are logged unchanged."""
    logging.getLogger(logger).warning(message)

    assert [message] == output.messages()


def test_push_without_a_thread(output: Output) -> None:
    """A push that failed because of the exporter itself is logged with its own hint."""
    logging.getLogger(logs.PUSH_LOGGER).error("Metrics not sent", extra={"hint": "Check the limits."})

    assert [("Metrics not sent", "Check the limits.")] == [
        (line["message"], line["hint"]) for line in output.lines()
    ]


@pytest.mark.parametrize(
    ("logger", "message"),
    [
        ("uvicorn.error", "Started server process"),
        ("uvicorn.error", "Invalid HTTP request received."),
        ("urllib3.connectionpool", "Failed to parse headers: Bearer key"),
    ],
)
def test_messages_of_libraries(output: Output, logger: str, message: str) -> None:
    """Warnings of the web server and the HTTP client are not logged: they quote untrusted data or the key."""
    logging.getLogger(logger).warning(message)

    assert [] == output.lines()
