"""Tests of the checks of the collector, Loki and Tempo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from exporter.config.settings import Settings
from exporter.doctor.report import Finding, State, failed, ok
from exporter.doctor.targets import EXPORTER, LOKI, TEMPO
from exporter.doctor.telemetry import NO_ENDPOINT, NO_RECORD, NO_TRACE
from tests.clocks import START_DATE
from tests.doctor.backends import AGE, RANGE, TRACE, TRACE_ID, Response, exposition, log_line, spans, streams
from tests.doctor.chain import Chain, failing

NOW = START_DATE
POLLED = NOW - AGE
NONE = "no record of service provider-metrics-exporter"
FOUND = ok(f"12 s old, trace_id {TRACE_ID}")
OTHERS = ((), (log_line(NOW, "Listening"),), ("no JSON", '{"message":1}'))
"""Records that are not those of a poll."""
FAILING_POLLS = exposition(NOW, gatewayz_up=0.0, gatewayz_provider_metrics_last_update=NOW - 3600)


@pytest.mark.parametrize(
    ("exporter", "lines", "expected"),
    [
        *(("good", lines, failed(NONE, NO_RECORD)) for lines in OTHERS),
        ("good", (log_line(POLLED - 60),), failed("the last record is 1 min old", NO_RECORD)),
        ("failing", (log_line(POLLED - 60), log_line(POLLED, "Fetch failed")), FOUND),
        ("failing", (log_line(POLLED, "Updated provider metrics in part"),), FOUND),
        ("failing", (log_line(NOW - 600),), failed("the last record is 10 min old", NO_RECORD)),
        ("unknown", (log_line(NOW - 170),), ok(f"2 min old, trace_id {TRACE_ID}")),
        ("unknown", (log_line(NOW - 200),), failed("the last record is 3 min old", NO_RECORD)),
    ],
)
def test_record(chain: Chain, exporter: str, lines: tuple[str, ...], expected: Finding) -> None:
    """Retries for 15 s until there is a record of the last poll, or of two intervals if it is not known."""
    if exporter == "failing":
        chain.answers(EXPORTER)["/metrics"] = FAILING_POLLS
    elif exporter == "unknown":
        del chain.backends[EXPORTER]
    chain.answers(LOKI)[RANGE] = streams(*lines)

    assert expected == chain.finding("loki record")
    assert (0 if expected.state is State.OK else 15) == chain.clock.now


def test_delayed_record_and_trace(chain: Chain) -> None:
    """Waits for a record and a trace that arrive seconds after the poll."""
    chain.answers(LOKI)[RANGE] = lambda _: streams(*([log_line(POLLED)] if chain.clock.now >= 6 else []))
    chain.answers(TEMPO)[TRACE] = lambda _: spans("poll") if chain.clock.now >= 9 else Response(404)

    assert ok(f"1 span in {TRACE_ID}") == chain.finding("tempo trace")
    assert 9 == chain.clock.now


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_clocks_that_differ(chain: Chain, ahead: float) -> None:
    """Ages are measured by the exporter's clock, so that only the check of the clocks fails."""
    chain.backends[EXPORTER].ahead = ahead
    chain.answers(EXPORTER)["/metrics"] = exposition(NOW + ahead)
    chain.answers(LOKI)[RANGE] = streams(log_line(POLLED + ahead))

    assert {"clocks": State.FAILED} == failing(chain.run())
    assert ["last successful poll 12 s ago, 40 providers"] == chain.found("exporter poll")


def test_range_of_the_query(chain: Chain, settings_for: Callable[..., Settings]) -> None:
    """Queries the last hour, or two intervals, and ten minutes ahead, by Loki's clock."""
    chain.backends[LOKI].ahead = 1000.0
    chain.environ["OTEL_SERVICE_NAME"] = 'my"own'
    chain.run()
    chain.run(settings=settings_for(SCRAPE_INTERVAL="86400"))
    queries = [asked.query for asked in chain.backends[LOKI].asked if asked.path == RANGE]

    now = NOW + 1000
    assert [(now - 3600, now + 600), (now - 2 * 86_400 - 60, now + 600)] == [
        (int(query["start"][0]) / 1e9, int(query["end"][0]) / 1e9) for query in queries
    ]
    assert queries[0]["query"][0].startswith(r'{service="my\"own"} |~ "')


def test_remedy_for_disabled_telemetry(chain: Chain, settings_for: Callable[..., Settings]) -> None:
    """The remedy has the settings that disable a signal."""
    chain.answers(TEMPO)[TRACE] = Response(404)
    settings = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318", OTEL_TRACES_EXPORTER="none")
    assert NO_ENDPOINT == chain.finding("tempo trace", settings=settings).remedy

    chain.answers(LOKI)[RANGE] = streams()
    assert NO_ENDPOINT == chain.finding("loki record", settings=settings_for()).remedy


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Response(404, "trace not found"), f"no trace {TRACE_ID}"),
        (spans("GET", "convert"), f"2 spans, without the span of the poll, in {TRACE_ID}"),
    ],
    ids=["no trace", "no poll"],
)
def test_no_trace(chain: Chain, answer: Any, found: str) -> None:
    """Fails after 15 seconds of retries, with the trace id."""
    chain.answers(TEMPO)[TRACE] = answer

    assert failed(found, NO_TRACE) == chain.finding("tempo trace")
    assert 15 <= chain.clock.now <= 16


def test_without_trace_id(chain: Chain) -> None:
    """Skips the trace where spans are off, and where Loki has no URL."""
    chain.answers(LOKI)[RANGE] = streams(log_line(POLLED, trace_id=None))
    finding = chain.finding("tempo trace")
    assert (State.SKIPPED, True) == (finding.state, "OTEL_SDK_DISABLED" in finding.found)

    del chain.backends[LOKI]
    assert State.SKIPPED is chain.finding("tempo trace").state


@pytest.mark.parametrize("trace_id", ["../../flush", "x" * 32, ""])
def test_invalid_trace_id(chain: Chain, trace_id: str) -> None:
    """An invalid trace id is not sent to Tempo."""
    chain.answers(LOKI)[RANGE] = streams(log_line(POLLED, trace_id=trace_id))
    chain.run()

    assert ["/ready"] == [asked.path for asked in chain.backends[TEMPO].asked]
