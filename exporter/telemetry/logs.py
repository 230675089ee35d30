"""Log records as JSON, one object per line: the same line on stdout and as body of an OTLP log record.

Messages are constant; data are fields, passed as `extra=`. Inside a span a record has `trace_id` (32 hex
digits) and `span_id` (16).
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from pythonjsonlogger.json import JsonFormatter

from exporter import SERVICE_NAME
from exporter.clock import Clock
from exporter.config.settings import CONSOLE
from exporter.metrics import push
from exporter.system.terminal import printable
from exporter.telemetry.logger_names import DELIVERY_LOGGERS, EXPORTER_LOGGERS, HEADER_LOGGERS

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider

PUSH_LOGGER = push.LOGGER.name
DELIVERY_HINT = (
    "OTLP data do not reach the collector. Check that the collector runs, that OTEL_EXPORTER_OTLP_ENDPOINT "
    "has the port of the protocol (4317 for grpc, 4318 for http/protobuf), and that the collector accepts "
    "the signal in `detail`. /metrics is not affected."
)
REPEAT_SECONDS = 60.0
COLOURS: Mapping[str, int] = MappingProxyType({"debug": 2, "warning": 33, "error": 31, "critical": 31})
"""ANSI colour codes of the levels."""
NOT_FIELDS = frozenset(
    {"timestamp", "level", "service", "message", "exc_info", "stack_info", "trace_id", "span_id"}
)


def configure(
    handler: logging.Handler, level: str, clock: Clock, formatter: logging.Formatter | None = None
) -> None:
    """Send all records of the process to `handler`, formatted as JSON by default."""
    handler.setFormatter(formatter or Formatter())
    handler.addFilter(DeliveryFilter(clock))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
    # Start and stop are logged by the exporter. Malformed requests must not fill the log.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    for name in HEADER_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    # Its warnings quote responses, which may contain the request's key.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def export(provider: LoggerProvider | None) -> None:
    """Also send all records by OTLP if there is a provider."""
    if provider is not None:
        from exporter.telemetry.otel_logging import OtlpHandler

        handler = OtlpHandler(logger_provider=provider)
        handler.setFormatter(Formatter())
        logging.getLogger().addHandler(handler)


class Formatter(JsonFormatter):
    """Formats a record as documented: standard fields first, then other fields, then the trace ids."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; only the message template if the arguments do not match it."""
        try:
            return super().format(record)
        except Exception:
            # A library's mistake must not raise in the code that logs.
            base = {name: getattr(record, name) for name in ("name", "levelno", "levelname", "created")}
            return super().format(logging.makeLogRecord({**base, "msg": str(record.msg)}))

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill `log_data` in output order."""
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
    """Formats a record for a terminal: time of day, level, message and fields in one line.

    The lines of a traceback follow. Trace ids are omitted.
    """

    def __init__(self, *, colour: bool) -> None:
        """Colour the level if `colour` is set."""
        super().__init__()
        self._colour = colour

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return the line instead of a JSON object."""
        time = datetime.fromisoformat(log_data["timestamp"]).astimezone().strftime("%H:%M:%S")
        level = log_data["level"]
        label = f"{level:<8}"
        if self._colour and level in COLOURS:
            label = f"\x1b[{COLOURS[level]}m{label}\x1b[0m"
        fields = (
            f"{name}={_plain(value)}"
            for name, value in log_data.items()
            if name not in NOT_FIELDS and value is not None
        )
        line = " ".join((time, label, printable(log_data["message"]), *fields))
        traceback = log_data.get("exc_info", "").splitlines()
        return "\n".join((line, *map(printable, traceback)))


def _plain(value: object) -> str:
    """Return a value without control characters, quoted if it is empty or has spaces."""
    text = str(value).lower() if isinstance(value, bool) else printable(str(value))
    return f'"{text}"' if not text or " " in text else text


def formatter(log_format: str, *, is_terminal: bool) -> logging.Formatter:
    """Return the formatter for a value of LOG_FORMAT."""
    return ConsoleFormatter(colour=is_terminal) if log_format == CONSOLE else Formatter()


class DeliveryFilter(logging.Filter):
    """Replaces reports of undelivered telemetry with one uniform warning per minute."""

    def __init__(self, clock: Clock) -> None:
        """Pass the next report."""
        super().__init__()
        self._clock = clock
        self._next_report = 0.0
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record; rewrites reports of undelivered telemetry."""
        if not _is_delivery_report(record):
            return True
        if record.levelno < logging.WARNING or not self._is_due():
            return False
        # The query of a URL may contain a key.
        record.detail, record.hint = re.sub(r"\?\S*", "?...", record.getMessage()), DELIVERY_HINT
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args, record.exc_info = "Telemetry not delivered", (), None
        return True

    def _is_due(self) -> bool:
        with self._lock:
            now = self._clock.age()
            if now < self._next_report:
                return False
            self._next_report = now + REPEAT_SECONDS
            return True


def _is_delivery_report(record: logging.LogRecord) -> bool:
    # "Metrics not sent" has a hint of its own: the collector is not the cause.
    if hasattr(record, "hint"):
        return False
    # Exporters export with instrumentation suppressed. Their other messages are about configuration.
    if record.name.startswith(EXPORTER_LOGGERS):
        from opentelemetry.instrumentation.utils import is_instrumentation_enabled

        if is_instrumentation_enabled():
            return False
    return record.name.startswith((*DELIVERY_LOGGERS, PUSH_LOGGER))


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
