"""Tests of the checks of the collector, Loki and Tempo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from exporter.config.settings import Settings
from exporter.doctor.report import Finding, State, failed, ok
from exporter.doctor.targets import COLLECTOR, EXPORTER, LOKI, TEMPO
from exporter.doctor.telemetry import NO_ENDPOINT, NO_RECORD, NO_TRACE
from tests.clocks import START_DATE
from tests.doctor.backends import AGE, TRACE_ID, Response, exposition, log_line, spans, streams
from tests.doctor.chain import Chain

NOW = START_DATE
POLLED = NOW - AGE
RANGE = "/loki/api/v1/query_range"
TRACE = f"/api/traces/{TRACE_ID}"
NONE = "no record of service provider-metrics-exporter"
FAILING_POLLS = exposition(NOW, gatewayz_up=0.0, gatewayz_provider_metrics_last_update=NOW - 3600)


def query_of(chain: Chain) -> Any:
    """Return the query for records that the checks sent to Loki."""
    (query,) = [asked.query for asked in chain.backends[LOKI].asked if asked.path == RANGE]
    return query


def test_healthy_servers(chain: Chain) -> None:
    """Finds the record and, by its trace id, the trace of the last poll at once."""
    assert [
        "Server available",
        "ready",
        f"11 s old, trace_id {TRACE_ID}",
        "ready",
        f"3 spans in {TRACE_ID}",
    ] == chain.found("collector", "loki", "loki record", "tempo", "tempo trace")
    assert 0 == chain.clock.now


@pytest.mark.parametrize(
    ("server", "path", "answer", "check"),
    [
        (COLLECTOR, "/", Response(503, {"status": "Server not available"}), "collector"),
        (COLLECTOR, "/", b"<html>", "collector"),
        (LOKI, "/ready", Response(503, "Ingester not ready"), "loki"),
        (LOKI, "/ready", b"<html>", "loki"),
        (LOKI, RANGE, Response(500), "loki record"),
        (TEMPO, "/ready", b"<html>", "tempo"),
        (TEMPO, TRACE, Response(500), "tempo trace"),
        (TEMPO, TRACE, b"\x0a\x01", "tempo trace"),
    ],
)
def test_failing_server(chain: Chain, server: str, path: str, answer: Any, check: str) -> None:
    """The check fails at once with the URL of the server."""
    chain.answers(server)[path] = answer
    finding = chain.finding(check)

    assert State.FAILED is finding.state
    assert finding.found.startswith(f"{chain.backends[server].url}: ")
    assert 0 == chain.clock.now


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ((), NONE),
        ((log_line(NOW, "Listening"),), NONE),
        (("no JSON", '{"message":1}'), NONE),
        ((log_line(POLLED - 60),), "the last record is 1 min old"),
    ],
    ids=["empty", "another message", "no record", "previous poll"],
)
def test_no_record_of_the_last_poll(chain: Chain, lines: tuple[str, ...], found: str) -> None:
    """Fails after 15 seconds of retries."""
    chain.answers(LOKI)[RANGE] = streams(*lines)

    assert failed(found, NO_RECORD) == chain.finding("loki record")
    assert 15 <= chain.clock.now <= 16


def test_delayed_record_and_trace(chain: Chain) -> None:
    """Waits for a record and a trace that arrive seconds after the poll."""
    chain.answers(LOKI)[RANGE] = lambda _: streams(*([log_line(POLLED)] if chain.clock.now >= 6 else []))
    chain.answers(TEMPO)[TRACE] = lambda _: spans("poll") if chain.clock.now >= 9 else Response(404)

    assert ok(f"1 span in {TRACE_ID}") == chain.finding("tempo trace")
    assert 9 == chain.clock.now


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((log_line(POLLED - 60), log_line(POLLED, "Fetch failed")), State.OK),
        ((log_line(POLLED, "Updated provider metrics in part"),), State.OK),
        ((log_line(NOW - 600),), State.FAILED),
    ],
    ids=["failed poll", "partial poll", "too old"],
)
def test_record_of_a_failed_poll(chain: Chain, lines: tuple[str, ...], expected: State) -> None:
    """While polls fail, a record of up to two intervals ago passes."""
    chain.answers(EXPORTER)["/metrics"] = FAILING_POLLS
    chain.answers(LOKI)[RANGE] = streams(*lines)

    assert expected is chain.finding("loki record").state


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_clocks_that_differ(chain: Chain, ahead: float) -> None:
    """Ages are measured by the exporter's clock, so that only the check of the clocks fails."""
    chain.backends[EXPORTER].ahead = ahead
    chain.answers(EXPORTER)["/metrics"] = exposition(NOW + ahead)
    chain.answers(LOKI)[RANGE] = streams(log_line(POLLED + ahead))

    assert {"clocks": State.FAILED} == chain.failing()


def test_range_of_the_query(chain: Chain) -> None:
    """Queries the last hour, and ten minutes ahead, by Loki's clock."""
    chain.backends[LOKI].ahead = 1000.0
    chain.environ["OTEL_SERVICE_NAME"] = 'my"own'
    chain.run()
    query = query_of(chain)

    now = NOW + 1000
    assert [now - 3600, now + 600] == [int(query[name][0]) / 1e9 for name in ("start", "end")]
    assert query["query"][0].startswith(r'{service="my\"own"} |~ "')


def test_range_for_a_long_interval(chain: Chain, settings_for: Callable[..., Settings]) -> None:
    """The range contains two polls."""
    chain.run(settings=settings_for(SCRAPE_INTERVAL="86400"))

    assert 2 * 86_400 + 60 == NOW - int(query_of(chain)["start"][0]) / 1e9


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (170, ok(f"2 min old, trace_id {TRACE_ID}")),
        (200, failed("the last record is 3 min old", NO_RECORD)),
    ],
)
def test_without_exporter(chain: Chain, age: float, expected: Finding) -> None:
    """Without the metrics of the exporter, a record may be two intervals old."""
    del chain.backends[EXPORTER]
    chain.answers(LOKI)[RANGE] = lambda _: streams(log_line(NOW + chain.clock.now - age))

    assert expected == chain.finding("loki record")


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
