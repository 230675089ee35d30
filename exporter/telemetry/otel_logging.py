"""Adapter for an undocumented part of OpenTelemetry's handler of log records: its attributes.

Seen in opentelemetry-instrumentation-logging 0.66b2.
test_record_of_a_poll in tests/poll/test_poller.py fails first when a later version differs.
"""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.instrumentation.utils import is_instrumentation_enabled


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
