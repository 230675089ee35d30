"""Log records are one JSON object a line, for stdout and OTLP alike, and reports about OTLP stay rare."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from exporter.telemetry import logs
from tests.clocks import MovedClock

DELIVERY_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class Output:
    """What was logged, on stdout and by OTLP."""

    def __init__(self, clock: MovedClock, level: str = "info") -> None:
        """Take over the logging of the process."""
        self.clock = clock
        self._stream = io.StringIO()
        self._exporter = InMemoryLogRecordExporter()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(self._exporter))
        logs.configure(logging.StreamHandler(self._stream), level, clock)
        logs.export(provider)

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines on stdout."""
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def bodies(self) -> list[Any]:
        """Return the parsed bodies that went out by OTLP."""
        return [json.loads(str(item.log_record.body)) for item in self._exporter.get_finished_logs()]

    def attributes(self) -> list[dict[str, Any]]:
        """Return the attributes of what went out by OTLP."""
        return [dict(item.log_record.attributes or {}) for item in self._exporter.get_finished_logs()]


@pytest.fixture
def output(clock: MovedClock) -> Iterator[Output]:
    """The logging of the process, given back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Output(clock)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_layout(output: Output) -> None:
    """Time, level, service and message come first, then the fields; outside a span there are no ids."""
    logging.getLogger("exporter.x").warning("Something happened", extra={"count": 3, "name_": "ü"})

    (line,) = output.lines()

    assert ["timestamp", "level", "service", "message", "count", "name_"] == list(line)
    assert ("warning", "provider-metrics-exporter", "Something happened", 3, "ü") == tuple(line.values())[1:]


def test_timestamp(output: Output) -> None:
    """The timestamp is RFC 3339 in UTC, with milliseconds and Z."""
    record = logging.LogRecord("x", logging.INFO, "", 0, "m", (), None)
    record.created = 1_787_191_300.0421

    line = json.loads(logs.Formatter().format(record))

    assert "2026-08-20T02:01:40.042Z" == line["timestamp"]


def test_ids_of_the_trace(output: Output) -> None:
    """Inside a span its ids are the last two fields, in lower-case hex of full length."""
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False))
    with trace.use_span(span):
        logging.getLogger("exporter.x").info("m", extra={"field": 1})

    (line,) = output.lines()

    assert ["field", "trace_id", "span_id"] == list(line)[-3:]
    assert (f"{0xABC:032x}", f"{0xDEF:016x}") == (line["trace_id"], line["span_id"])


def test_exception(output: Output) -> None:
    """A traceback stays inside the one line."""
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        logging.getLogger("exporter.x").exception("Broken")

    (line,) = output.lines()

    assert line["exc_info"].endswith("ZeroDivisionError: a bug")


def test_arguments_that_do_not_fit() -> None:
    """A record that cannot be put together is told by its bare message, and is no error of who logs."""
    record = logging.LogRecord("library", logging.WARNING, "", 0, "%d of %d", ("x",), None)
    record.created = 1_787_191_300.0421

    line = json.loads(logs.Formatter().format(record))

    assert ("2026-08-20T02:01:40.042Z", "warning", "%d of %d") == (
        line["timestamp"],
        line["level"],
        line["message"],
    )


def console_line(record: logging.LogRecord, *, is_terminal: bool = False) -> str:
    """Return a record in the format for a person."""
    record.created = 1_787_191_300.0421
    return logs.formatter("console", is_terminal=is_terminal).format(record)


def test_console_line() -> None:
    """A record is one short line: local time of day, level, message, and the fields that have a value."""
    record = logging.makeLogRecord(
        {"msg": "Fetch failed", "levelname": "WARNING", "hint": "a b", "status": None, "tls": True}
    )

    time = datetime.fromtimestamp(1_787_191_300).strftime("%H:%M:%S")
    assert f'{time} warning  Fetch failed hint="a b" tls=true' == console_line(record)


def test_console_line_in_a_terminal() -> None:
    """The level has a colour in a terminal, and nowhere else."""
    record = logging.makeLogRecord({"msg": "m", "levelname": "ERROR"})

    assert " \x1b[31merror   \x1b[0m m" == console_line(record, is_terminal=True)[8:]
    assert " error    m" == console_line(record)[8:]


def test_console_line_cannot_steer_the_terminal() -> None:
    """Control characters of a field, a message or a traceback are escaped: a record stays one line."""
    try:
        raise ZeroDivisionError("a\x1b[31m")
    except ZeroDivisionError:
        record = logging.makeLogRecord(
            {"msg": "m\n", "levelname": "INFO", "provider": "a\x1b\nb", "exc_info": sys.exc_info()}
        )

    first, *rest = console_line(record).splitlines()

    assert first.endswith("m\\n provider=a\\x1b\\nb")
    assert ("Traceback (most recent call last):", "ZeroDivisionError: a\\x1b[31m") == (rest[0], rest[-1])


def test_console_has_no_ids_of_the_trace() -> None:
    """The ids of a trace are too long for a short line."""
    with trace.use_span(NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False))):
        assert console_line(logging.makeLogRecord({"msg": "m", "levelname": "INFO"})).endswith(" info     m")


def test_json_is_the_other_format() -> None:
    """JSON is the format of every other choice."""
    assert (
        "m"
        == json.loads(logs.formatter("json", is_terminal=True).format(logging.makeLogRecord({"msg": "m"})))[
            "message"
        ]
    )


def test_stdout_and_otlp_are_the_same(output: Output) -> None:
    """The body of the OTLP record is the line of stdout, and it has no attributes that would repeat it."""
    logging.getLogger("exporter.x").info("m", extra={"field": 1})

    assert output.lines() == output.bodies()
    assert [{}] == output.attributes()


def test_level(clock: MovedClock, output: Output) -> None:
    """Records below the level are left out."""
    quiet = Output(clock, "warning")
    logging.getLogger("exporter.x").info("quiet")
    logging.getLogger("exporter.x").warning("loud")

    assert ["loud"] == [line["message"] for line in quiet.lines()]


def test_python_warnings_are_records(output: Output) -> None:
    """A warning of Python or a library is a line like every other."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old-fashioned", stacklevel=1)

    (line,) = output.lines()

    assert "warning" == line["level"]
    assert "old-fashioned" in line["message"]


def test_reports_of_undelivered_telemetry_are_rare(output: Output) -> None:
    """Of all that the SDK says about delivery, one warning a minute is let through, in our words."""
    logger = logging.getLogger(DELIVERY_LOGGER)
    with suppress_instrumentation():
        for _ in range(3):
            logger.error("Failed to export %s batch code: %s, reason: %s", "spans", 500, "broken")
        output.clock.now += 59
        logger.warning("still broken")
        output.clock.now += 1
        logger.warning("still broken")

    assert [("warning", "Telemetry not delivered")] * 2 == [
        (line["level"], line["message"]) for line in output.lines()
    ]
    assert "Failed to export spans batch code: 500, reason: broken" == output.lines()[0]["detail"]
    assert logs.DELIVERY_HINT == output.lines()[0]["hint"]


def test_bug_in_a_delivery_is_undelivered_telemetry(output: Output) -> None:
    """A delivery of metrics that fails by a bug is told in the same words."""
    logging.getLogger("exporter.metrics.sender").error("Unexpected %s in a delivery", "TypeError")

    (line,) = output.lines()

    assert ("warning", "Telemetry not delivered", "Unexpected TypeError in a delivery") == tuple(
        line[name] for name in ("level", "message", "detail")
    )


def test_reports_of_undelivered_telemetry_are_not_sent(output: Output) -> None:
    """What the SDK says goes to stdout alone, since to deliver it would need what is broken."""
    with suppress_instrumentation():
        logging.getLogger(DELIVERY_LOGGER).error("Failed to export")

    assert [] == output.bodies()


def test_words_about_the_configuration_of_an_exporter(output: Output) -> None:
    """What an exporter says while it is made is no failed delivery."""
    logging.getLogger(DELIVERY_LOGGER).warning("Unsupported compression type: %s", "zstd")

    assert ["Unsupported compression type: zstd"] == [line["message"] for line in output.lines()]


@pytest.mark.parametrize("propagator", [W3CBaggagePropagator(), TraceContextTextMapPropagator()])
@pytest.mark.parametrize(
    "headers",
    [
        {"baggage": "a" * 10_000},
        {"baggage": "nonsense"},
        {"baggage": "a=b," * 200},
        {"traceparent": f"00-{'1' * 32}-{'1' * 16}-01", "tracestate": "=,a=1,a=1," + "b" * 600},
        {"traceparent": "x" * 10_000},
    ],
)
def test_headers_of_a_scrape(output: Output, propagator: TextMapPropagator, headers: dict[str, str]) -> None:
    """Nothing that a stranger sends in the headers of a scrape is logged."""
    propagator.extract(headers)

    assert [] == output.lines()


def test_other_words_of_the_sdk_pass(output: Output) -> None:
    """What the SDK says about anything but delivery is told as it is."""
    logging.getLogger("opentelemetry.sdk.metrics").error("Callback failed")

    assert ["Callback failed"] == [line["message"] for line in output.lines()]


def test_words_of_the_server_are_not_told(output: Output) -> None:
    """What the web server says of its start and end, and of each stranger's garbage, is left out."""
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")

    assert [] == output.lines()


def test_warnings_of_the_http_client_are_not_told(output: Output) -> None:
    """What the HTTP client says of bad answers quotes them, and with them what a peer sends back of ours."""
    logging.getLogger("urllib3.connectionpool").warning("Failed to parse headers: %s", "Bearer key")

    assert [] == output.lines()
