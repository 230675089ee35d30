"""Adapter for undocumented parts of OpenTelemetry's logging: the handler's attributes and logger names.

Seen in opentelemetry-instrumentation-logging 0.66b2 and opentelemetry-sdk 1.45.2.
tests/telemetry/test_otel_logging.py fails first when a later version differs.
"""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

EXPORTER_LOGGERS = "opentelemetry.exporter."
DELIVERY_LOGGERS = (EXPORTER_LOGGERS, "opentelemetry.sdk._shared_internal")
"""Prefixes of loggers that report undelivered spans, log records or metrics."""
HEADER_LOGGERS = ("opentelemetry.attributes", "opentelemetry.baggage", "opentelemetry.trace")
"""Loggers that warn about request headers (traceparent, tracestate, baggage), which any client can send."""


class OtlpHandler(LoggingHandler):
    """Passes records to the SDK, with the formatted line as body and without attributes.

    Loki would show fields that are also sent as attributes twice, under different names.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Reject records about the export itself; exporting them would create new ones."""
        return is_instrumentation_enabled() and not record.name.startswith("opentelemetry.")

    def flush(self) -> None:
        """Do nothing: shutdown flushes the provider within a time limit, and a flush here has none."""

    def _get_attributes(self, record: logging.LogRecord) -> tuple[dict[str, Any], str | None]:
        return {}, None
