"""Log records as JSON, one object a line: the same line on stdout and as the body of an OTLP log record.

The message is constant, the data are fields given as `extra=`. Inside a span a record has `trace_id` (32 hex
digits) and `span_id` (16).
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from pythonjsonlogger.json import JsonFormatter

from exporter import SERVICE_NAME
from exporter.clock import Clock
from exporter.config.settings import CONSOLE
from exporter.system.terminal import printable

EXPORTER_LOGGERS = "opentelemetry.exporter."
DELIVERY_LOGGERS = (EXPORTER_LOGGERS, "opentelemetry.sdk._shared_internal", "exporter.metrics.sender")
"""Where it is said that spans, log records or metrics could not be delivered."""
DELIVERY_HINT = (
    "What is sent by OTLP does not reach the collector: check that it runs, OTEL_EXPORTER_OTLP_ENDPOINT with "
    "the port of the protocol (4317 for grpc, 4318 for http/protobuf), and that it takes what `detail` "
    "names. /metrics is not affected."
)
REPEAT_SECONDS = 60.0
COLOURS: Mapping[str, int] = MappingProxyType({"debug": 2, "warning": 33, "error": 31, "critical": 31})
"""ANSI codes of the levels in a terminal."""
NOT_FIELDS = frozenset(
    {"timestamp", "level", "service", "message", "exc_info", "stack_info", "trace_id", "span_id"}
)
SCRAPERS_HEADERS = ("opentelemetry.attributes", "opentelemetry.baggage", "opentelemetry.trace")
"""Libraries that warn about headers of a scrape, which anybody may send: traceparent, tracestate, baggage."""


def configure(
    handler: logging.Handler, level: str, clock: Clock, formatter: logging.Formatter | None = None
) -> None:
    """Send every record of the process to `handler`, which writes to standard output, as JSON by default."""
    handler.setFormatter(formatter or Formatter())
    handler.addFilter(DeliveryFilter(clock))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
    # Its start and end are ours to tell, and a stranger's garbage must not fill the log.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    for name in SCRAPERS_HEADERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    # Its warnings quote what the gateway sent, which may be what we sent.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def export(provider: LoggerProvider | None) -> None:
    """Send every record by OTLP, too, where there is a provider."""
    if provider is not None:
        handler = OtlpHandler(logger_provider=provider)
        handler.setFormatter(Formatter())
        logging.getLogger().addHandler(handler)


class Formatter(JsonFormatter):
    """Lays a record out as documented: who and what first, then the fields, then the ids of the trace."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; of a record whose parts do not fit together, its bare message."""
        try:
            return super().format(record)
        except Exception:
            # A library's mistake, which must not become an error of whoever calls it.
            kept = {name: getattr(record, name) for name in ("name", "levelno", "levelname", "created")}
            return super().format(logging.makeLogRecord({**kept, "msg": str(record.msg)}))

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill `log_data` in the order in which it is printed."""
        log_data["timestamp"] = _rfc3339(record.created)
        log_data["level"] = record.levelname.lower()
        log_data["service"] = SERVICE_NAME
        log_data["message"] = record.getMessage()
        super().add_fields(log_data, record, message_dict)
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            log_data["trace_id"] = trace.format_trace_id(context.trace_id)
            log_data["span_id"] = trace.format_span_id(context.span_id)


class ConsoleFormatter(Formatter):
    """Lays a record out as one short line for a person: time of day, level, message, fields.

    The lines of a traceback follow it. The ids of the trace are left out.
    """

    def __init__(self, *, colour: bool) -> None:
        """Colour the level where the terminal can show it."""
        super().__init__()
        self._colour = colour

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return the line of the fields that would be those of the JSON object."""
        time = datetime.fromisoformat(log_data["timestamp"]).astimezone().strftime("%H:%M:%S")
        level = log_data["level"]
        mark = f"{level:<8}"
        if self._colour and level in COLOURS:
            mark = f"\x1b[{COLOURS[level]}m{mark}\x1b[0m"
        fields = (
            f"{name}={_plain(value)}"
            for name, value in log_data.items()
            if name not in NOT_FIELDS and value is not None
        )
        line = " ".join((time, mark, printable(log_data["message"]), *fields))
        traceback = log_data.get("exc_info", "").splitlines()
        return "\n".join((line, *map(printable, traceback)))


def _plain(value: object) -> str:
    """Return a value without characters that steer a terminal, in quotes where its end would not be seen."""
    text = str(value).lower() if isinstance(value, bool) else printable(str(value))
    return f'"{text}"' if not text or " " in text else text


def formatter(log_format: str, *, is_terminal: bool) -> logging.Formatter:
    """Return the formatter of one of the formats of the log."""
    return ConsoleFormatter(colour=is_terminal) if log_format == CONSOLE else Formatter()


class OtlpHandler(LoggingHandler):
    """Hands records to the OpenTelemetry SDK, with the formatted line as the body and no attributes.

    Fields sent as attributes as well would appear twice in Loki, the parsed ones renamed.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Refuse what is said while records are exported: that would have to be exported as well."""
        return is_instrumentation_enabled() and not record.name.startswith("opentelemetry.")

    def flush(self) -> None:
        """Do nothing: the provider is flushed on shutdown, and a flush here could outlast the process."""

    def _get_attributes(self, record: logging.LogRecord) -> tuple[dict[str, Any], str | None]:
        return {}, None


class DeliveryFilter(logging.Filter):
    """Lets one report of undelivered telemetry a minute pass, in our words."""

    def __init__(self, clock: Clock) -> None:
        """Begin with the next report let through."""
        super().__init__()
        self._clock = clock
        self._next = 0.0
        self._deciding = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every other record pass as it is."""
        if not _is_of_delivery(record):
            return True
        if record.levelno < logging.WARNING or not self._is_due():
            return False
        # A query may hold a key.
        record.detail, record.hint = re.sub(r"\?\S*", "?...", record.getMessage()), DELIVERY_HINT
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args, record.exc_info = "Telemetry not delivered", (), None
        return True

    def _is_due(self) -> bool:
        with self._deciding:
            now = self._clock.age()
            if now < self._next:
                return False
            self._next = now + REPEAT_SECONDS
            return True


def _is_of_delivery(record: logging.LogRecord) -> bool:
    # An exporter exports with instrumentation suppressed; what it says before is about its configuration.
    if record.name.startswith(EXPORTER_LOGGERS) and is_instrumentation_enabled():
        return False
    return record.name.startswith(DELIVERY_LOGGERS)


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
