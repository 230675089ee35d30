"""The log of the process, captured on stdout and by OTLP."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from exporter.telemetry import logs
from tests.clocks import MovedClock


class Output:
    """Captures all records of the process."""

    def __init__(self, clock: MovedClock, level: str) -> None:
        """Configure the logging of the process."""
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

    def messages(self) -> list[str]:
        """Return the messages on stdout."""
        return [line["message"] for line in self.lines()]

    def bodies(self) -> list[Any]:
        """Return the parsed bodies of the OTLP records."""
        return [json.loads(str(item.log_record.body)) for item in self._exporter.get_finished_logs()]

    def attributes(self) -> list[dict[str, Any]]:
        """Return the attributes of the OTLP records."""
        return [dict(item.log_record.attributes or {}) for item in self._exporter.get_finished_logs()]


@contextmanager
def captured(clock: MovedClock, level: str = "info") -> Iterator[Output]:
    """Capture the log, and restore the logging of the process afterwards."""
    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    yield Output(clock, level)
    root.handlers[:] = handlers
    root.setLevel(before)
    logging.captureWarnings(False)
