"""Tests of `exporter.telemetry.otel_logging`: these fail first when undocumented parts change."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.clocks import MovedClock
from tests.telemetry.output import Output, captured


@pytest.fixture
def output(clock: MovedClock) -> Iterator[Output]:
    """The captured log."""
    with captured(clock) as log:
        yield log


def test_no_attributes(output: Output) -> None:
    """The body of the OTLP record is the line of stdout; the record has no attributes."""
    logging.getLogger("exporter.x").info("m", extra={"field": 1})

    assert output.lines() == output.bodies()
    assert [{}] == output.attributes()


def test_delivery_reports_are_not_exported(output: Output) -> None:
    """Records about the export are written to stdout only."""
    with suppress_instrumentation():
        logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter").error("Failed to export")

    assert ["Telemetry not delivered"] == output.messages()
    assert [] == output.bodies()


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
    """Malformed headers of a scrape are not logged."""
    propagator.extract(headers)

    assert [] == output.lines()
