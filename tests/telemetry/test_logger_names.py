"""Tests of `exporter.telemetry.logger_names`: these fail first when a logger is renamed."""

from __future__ import annotations

import importlib
from logging import Logger

import pytest
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from exporter.telemetry.logger_names import DELIVERY_LOGGERS
from tests.rig import Rig


@pytest.mark.parametrize(
    "module",
    [
        "opentelemetry.sdk._shared_internal",
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.exporter.otlp.proto.http._log_exporter",
        "opentelemetry.exporter.otlp.proto.http.metric_exporter",
        "opentelemetry.exporter.otlp.proto.grpc.exporter",
    ],
)
def test_delivery_loggers(module: str) -> None:
    """The modules that deliver have a logger with one of the prefixes."""
    found = [value for value in vars(importlib.import_module(module)).values() if isinstance(value, Logger)]

    assert [True] == [logger.name.startswith(DELIVERY_LOGGERS) for logger in found]


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
def test_headers_of_a_scrape(running: Rig, propagator: TextMapPropagator, headers: dict[str, str]) -> None:
    """Malformed headers of a scrape are not logged."""
    propagator.extract(headers)

    assert [] == running.lines()
