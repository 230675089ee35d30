"""Collector, Loki and Tempo: the record of the last poll, and its trace by id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from exporter.config.settings import Settings
from exporter.doctor.report import State
from exporter.doctor.targets import COLLECTOR, EXPORTER, LOKI, TEMPO
from exporter.doctor.telemetry import NO_ENDPOINT, NO_RECORD, NO_TRACE
from tests.clocks import START_DATE
from tests.doctor.backends import AGE, TRACE_ID, Refusal, exposition, log_line, spans, streams
from tests.doctor.walks import Chain, chain

NOW = START_DATE
POLLED = NOW - AGE
RANGE = "/loki/api/v1/query_range"
TRACE = f"/api/traces/{TRACE_ID}"


@pytest.fixture
def good() -> Iterator[Chain]:
    """A chain that is well."""
    with chain() as running:
        yield running


def test_all_well(good: Chain) -> None:
    """Record and trace of the last poll are found, tied by the id."""
    results = good.walk()

    assert [
        "Server available",
        "ready",
        f"11 s old, trace_id {TRACE_ID}",
        "ready",
        f"3 spans in {TRACE_ID}",
    ] == [
        results[name].finding.found for name in ("collector", "loki", "loki record", "tempo", "tempo trace")
    ]
    assert 0 == good.clock.now


@pytest.mark.parametrize(
    ("stage", "path", "answer", "expected"),
    [
        (COLLECTOR, "/", Refusal(503, {"status": "Server not available"}), {"collector"}),
        (COLLECTOR, "/", b"<html>", {"collector"}),
        (LOKI, "/ready", Refusal(503, "Ingester not ready"), {"loki", "loki record", "tempo trace"}),
        (LOKI, "/ready", b"<html>", {"loki", "loki record", "tempo trace"}),
        (LOKI, RANGE, Refusal(500), {"loki record", "tempo trace"}),
        (TEMPO, "/ready", b"<html>", {"tempo", "tempo trace"}),
        (TEMPO, TRACE, Refusal(500), {"tempo trace"}),
        (TEMPO, TRACE, b"\x0a\x01", {"tempo trace"}),
    ],
)
def test_broken_server(good: Chain, stage: str, path: str, answer: Any, expected: set[str]) -> None:
    """What is broken is named, and beside it only what follows from it, which is not tried."""
    good.answers(stage)[path] = answer
    sick = good.sick()

    assert expected == set(sick)
    assert [State.FAILED, *[State.NOT_TRIED] * (len(expected) - 1)] == list(sick.values())


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ((), "none of service provider-metrics-exporter"),
        ((log_line(NOW, "Listening"),), "none of service provider-metrics-exporter"),
        (("no JSON", '{"message":1}'), "none of service provider-metrics-exporter"),
        ((log_line(POLLED - 60),), "the last one is 1 min old"),
    ],
    ids=["empty", "another message", "no record", "the poll before"],
)
def test_no_record_of_the_last_poll(good: Chain, lines: tuple[str, ...], found: str) -> None:
    """Without a record of the last poll, after some patience, the way of the logs is at fault."""
    good.answers(LOKI)[RANGE] = streams(*lines)
    results = good.walk()

    finding = results["loki record"].finding
    assert (State.FAILED, found, NO_RECORD) == (finding.state, found, finding.remedy)
    assert State.NOT_TRIED is results["tempo trace"].finding.state
    assert 15 <= good.clock.now <= 16


def test_record_on_its_way(good: Chain) -> None:
    """A record that arrives some seconds after its poll is waited for."""
    good.answers(LOKI)[RANGE] = lambda _: streams(*([log_line(POLLED)] if good.clock.now >= 6 else []))

    assert State.OK is good.told("loki record")[0]
    assert 6 == good.clock.now


@pytest.mark.parametrize("message", ["Fetch failed", "Updated provider metrics in part"])
def test_record_of_a_poll_that_failed(good: Chain, message: str) -> None:
    """The way of the logs is well even if polls are not."""
    page = exposition(NOW, gatewayz_up=0.0, gatewayz_provider_metrics_last_update=NOW - 3600)
    good.answers(EXPORTER)["/metrics"] = page
    good.answers(LOKI)[RANGE] = streams(log_line(POLLED - 60), log_line(POLLED, message))

    assert {"exporter poll": State.FAILED} == good.sick()


def test_old_record_of_a_poll_that_failed(good: Chain) -> None:
    """While polls fail, a record older than two of them is too old all the same."""
    page = exposition(NOW, gatewayz_up=0.0, gatewayz_provider_metrics_last_update=NOW - 3600)
    good.answers(EXPORTER)["/metrics"] = page
    good.answers(LOKI)[RANGE] = streams(log_line(NOW - 600))

    assert (State.FAILED, "the last one is 10 min old") == good.told("loki record")


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_clocks_that_differ(good: Chain, ahead: float) -> None:
    """A record is judged by the exporter's clock and looked for by Loki's: only the clocks are wrong."""
    good.backends[EXPORTER].ahead = ahead
    good.answers(EXPORTER)["/metrics"] = exposition(NOW + ahead)
    good.answers(LOKI)[RANGE] = streams(log_line(POLLED + ahead))

    assert {"clocks": State.FAILED} == good.sick()


def test_span_of_time_that_is_searched(good: Chain) -> None:
    """Loki is asked about an hour of its own time, and what comes after it."""
    good.backends[LOKI].ahead = 1000.0
    good.walk()
    (query,) = [asked.query for asked in good.backends[LOKI].asked if asked.path == RANGE]

    now = NOW + 1000
    assert [now - 3600, now + 600] == [int(query[name][0]) / 1e9 for name in ("start", "end")]


def test_long_interval(good: Chain, settings_for: Callable[..., Settings]) -> None:
    """An exporter that polls once a day is searched for through two of them."""
    good.walk(settings=settings_for(SCRAPE_INTERVAL="86400"))
    (query,) = [asked.query for asked in good.backends[LOKI].asked if asked.path == RANGE]

    assert 2 * 86_400 + 60 == NOW - int(query["start"][0]) / 1e9


def test_without_exporter(good: Chain) -> None:
    """Where the exporter cannot be asked, a record may be as old as two polls."""
    del good.backends[EXPORTER]
    good.answers(LOKI)[RANGE] = streams(log_line(NOW - 170))
    assert State.OK is good.told("loki record")[0]
    good.clock.now = 0

    good.answers(LOKI)[RANGE] = streams(log_line(NOW - 200))
    assert (State.FAILED, "the last one is 3 min old") == good.told("loki record")


def test_service_name(good: Chain) -> None:
    """A service name of one's own is that of the records."""
    good.environ["OTEL_SERVICE_NAME"] = 'my"own'
    good.walk()
    (query,) = [asked.query["query"][0] for asked in good.backends[LOKI].asked if asked.path == RANGE]

    assert query.startswith(r'{service="my\"own"} |~ "')


def test_telemetry_that_is_not_sent(good: Chain, settings_for: Callable[..., Settings]) -> None:
    """Where the settings are the cause, they are named."""
    good.answers(LOKI)[RANGE] = streams()
    assert NO_ENDPOINT == good.walk(settings=settings_for())["loki record"].finding.remedy
    good.clock.now = 0

    good.answers(LOKI)[RANGE] = streams(log_line(POLLED))
    good.answers(TEMPO)[TRACE] = Refusal(404)
    sending = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318", OTEL_TRACES_EXPORTER="none")
    assert NO_ENDPOINT == good.walk(settings=sending)["tempo trace"].finding.remedy


def test_no_trace(good: Chain) -> None:
    """A trace that does not come, after some patience, is told with its id."""
    good.answers(TEMPO)[TRACE] = Refusal(404, "trace not found")
    finding = good.walk()["tempo trace"].finding

    assert (State.FAILED, f"no trace {TRACE_ID}", NO_TRACE) == (finding.state, finding.found, finding.remedy)
    assert 15 <= good.clock.now <= 16


def test_tempo_that_fails(good: Chain) -> None:
    """A Tempo that fails is told at once, and not as a trace that is missing."""
    good.answers(TEMPO)[TRACE] = Refusal(500)

    assert (State.FAILED, f"{good.backends[TEMPO].url}: HTTP status 500") == good.told("tempo trace")
    assert 0 == good.clock.now


def test_trace_on_its_way(good: Chain) -> None:
    """A trace that arrives some seconds after its record is waited for."""
    good.answers(TEMPO)[TRACE] = lambda _: spans("poll") if good.clock.now >= 3 else Refusal(404)

    assert (State.OK, f"1 span in {TRACE_ID}") == good.told("tempo trace")


def test_trace_in_part(good: Chain) -> None:
    """A trace without the span of its poll is none yet."""
    good.answers(TEMPO)[TRACE] = spans("GET", "convert")

    assert (State.FAILED, f"2 spans, but not the poll's own, in {TRACE_ID}") == good.told("tempo trace")


def test_spans_that_are_off(good: Chain) -> None:
    """Where spans are off there is nothing to look for."""
    good.answers(LOKI)[RANGE] = streams(log_line(POLLED, trace_id=None))

    assert (State.SKIPPED, True) == (
        good.told("tempo trace")[0],
        "OTEL_SDK_DISABLED" in good.told("tempo trace")[1],
    )


def test_tempo_without_loki(good: Chain) -> None:
    """Without Loki nobody knows the id of a trace."""
    del good.backends[LOKI]

    assert State.SKIPPED is good.told("tempo trace")[0]


@pytest.mark.parametrize("trace_id", ["../../flush", "x" * 32, ""])
def test_id_that_is_none(good: Chain, trace_id: str) -> None:
    """A record whose id is no id leads nowhere else."""
    good.answers(LOKI)[RANGE] = streams(log_line(POLLED, trace_id=trace_id))
    good.walk()

    assert ["/ready"] == [asked.path for asked in good.backends[TEMPO].asked]
