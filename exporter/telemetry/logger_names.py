"""Adapter for undocumented names of OpenTelemetry: its loggers.

Seen in opentelemetry-sdk 1.45.2.
tests/telemetry/test_logger_names.py fails first when a later version differs.
"""

EXPORTER_LOGGERS = "opentelemetry.exporter."
DELIVERY_LOGGERS = (EXPORTER_LOGGERS, "opentelemetry.sdk._shared_internal")
"""Prefixes of loggers that report undelivered spans, log records or metrics."""
HEADER_LOGGERS = ("opentelemetry.attributes", "opentelemetry.baggage", "opentelemetry.trace")
"""Loggers that warn about request headers (traceparent, tracestate, baggage), which any client can send."""
