"""Tests of `exporter.poll.poller`: what is published, traced and logged for the gateway's answers."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from exporter.config.settings import Settings
from exporter.errors import HINTS, Outcome
from exporter.gateway import decode
from exporter.gateway.fetcher import FetchTask
from exporter.metrics.exposition import Format, Variant
from exporter.model.custom import CustomMetric
from exporter.model.endpoints import Endpoint
from tests.clocks import START_DATE, MovedClock, ScriptedClock
from tests.metrics.custom.metrics import gauge, label
from tests.replay import LIST, LIST_NO_SLASH, STATS, Asked, ReplayGateway, answer
from tests.rig import OPENMETRICS, TEXT, Rig, rig

GOLDEN = Path(__file__).parents[1] / "golden"
SlowDecoding = Callable[[float], None]
Definitions = list[CustomMetric]
VOLATILE = re.compile(r"^(# (HELP|TYPE|UNIT) )?(process_|target(_info)?\b|gatewayz_exporter_build_info)")
"""Families whose values depend on machine, run or version."""


def stable(text: str) -> str:
    """Return an exposition without its volatile families."""
    return "".join(line for line in text.splitlines(keepends=True) if not VOLATILE.match(line))


def one(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    """Return the only span with this name."""
    (span,) = [span for span in spans if span.name == name]
    return span


def parent_of(span: ReadableSpan) -> int | None:
    """Return the id of a span's parent."""
    return span.parent.span_id if span.parent else None


@pytest.mark.parametrize(
    ("variant", "name"),
    [(TEXT, "recorded.prom"), (OPENMETRICS, "recorded.openmetrics")],
    ids=["text", "openmetrics"],
)
def test_golden_exposition(running: Rig, variant: Variant, name: str, pytestconfig: pytest.Config) -> None:
    """The recorded answers yield the golden exposition; `--golden` updates it."""
    running.poller.poll_once()

    text = running.poller.published.current.encode(variant).decode()

    if pytestconfig.getoption("golden"):
        (GOLDEN / name).write_text(stable(text), encoding="utf-8")
    assert (GOLDEN / name).read_text(encoding="utf-8") == stable(text)


def values(running: Rig, *names: str) -> list[float | None]:
    """Return the values of series without labels, by the names behind `gatewayz_`."""
    return [running.value(f"gatewayz_{name}") for name in names]


def counts(running: Rig, outcome: str) -> list[float | None]:
    """Return the numbers of fetches of both endpoints with an outcome."""
    name = "gatewayz_exporter_fetches_total"
    return [running.value(name, endpoint=each.value, outcome=outcome) for each in Endpoint]


def test_one_endpoint_fails(running: Rig, gateway: ReplayGateway) -> None:
    """If the list fails, counts are updated and the last good list stays."""
    running.poller.poll_once()
    gateway.replay(LIST, "21-list-one-row-null-health.http")
    gateway.replay(STATS, "22-stats-one-row-null-health.http")

    running.poller.poll_once()

    names = ("providers_healthy", "providers_listed", "up", "provider_scrape_errors_total")
    assert [20, 40, 0, 1] == values(running, *names)
    assert [1, 0] == counts(running, "server_error")


def test_database_down(running: Rig, gateway: ReplayGateway) -> None:
    """Empty answers after good ones are failures until the next good answer."""
    running.poller.poll_once()
    gateway.replay(LIST, "16-list-db-down.http")
    gateway.replay(STATS, "17-stats-db-down.http")

    running.poller.poll_once()

    assert [40, 40] == values(running, "providers_total", "providers_listed")
    assert [1, 1] == counts(running, "empty")

    running.clock.now += running.settings.stale_after
    running.poller.poll_once()

    names = ("providers_listed", "up", "provider_metrics_last_update")
    assert [None, 0, START_DATE] == values(running, *names)
    assert {} == running.series("gatewayz_provider_health_status")
    assert START_DATE == running.value("gatewayz_exporter_last_success_timestamp_seconds", endpoint="stats")

    gateway.replay(LIST, "04-list-include-inactive.http")
    gateway.replay(STATS, "07-stats.http")
    running.poller.poll_once()

    assert [40, 1] == values(running, "providers_listed", "up")


def test_trace_of_a_poll(running: Rig, gateway: ReplayGateway) -> None:
    """A poll is one trace without the key: fetches with a client span per attempt, convert, publish."""
    running.poller.poll_once()

    spans = running.spans()
    poll, fetch, stats = (one(spans, name) for name in ("poll", "fetch /providers", "fetch /providers/stats"))
    calls = [span for span in spans if span.kind is SpanKind.CLIENT]

    assert {poll.context.trace_id} == {span.context.trace_id for span in spans}
    assert [None] + [poll.context.span_id] * 4 == [
        parent_of(span) for span in (poll, fetch, stats, one(spans, "convert"), one(spans, "publish"))
    ]
    parents = {fetch.context.span_id: 2, stats.context.span_id: 1}
    assert parents == Counter(map(parent_of, calls))
    assert {
        "http.method": "GET",
        "http.url": f"{gateway.url}/providers",
        "http.status_code": 200,
        "duration_ms": 0.0,
        "provider_count": 40,
    } == dict(fetch.attributes or {})
    assert "provider-metrics-exporter" == poll.resource.attributes["service.name"]
    assert {StatusCode.UNSET} == {span.status.status_code for span in spans}
    # Client spans have old and new HTTP attributes.
    listed = next(call for call in calls if str((call.attributes or {})["url.full"]).endswith(LIST))
    assert f"{gateway.url}{LIST}" == (listed.attributes or {})["http.url"]
    assert 200 == (listed.attributes or {})["http.response.status_code"]
    assert "test-admin-key" not in "".join(call.to_json() for call in calls)


def test_record_of_a_poll(running: Rig) -> None:
    """The record has the documented fields in order, on stdout and by OTLP, there without attributes."""
    running.poller.poll_once()

    poll = one(running.spans(), "poll")
    (line,) = running.lines()
    expected = {
        "timestamp": line["timestamp"],
        "level": "info",
        "service": "provider-metrics-exporter",
        "message": "Updated provider metrics",
        "providers_total": 40,
        "providers_active": 34,
        "providers_healthy": 21,
        "providers_listed": 40,
        "duration_ms": 0.0,
        "trace_id": format_trace_id(poll.context.trace_id),
        "span_id": format_span_id(poll.context.span_id),
    }
    assert list(expected.items()) == list(line.items())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert [line] == [json.loads(body) for body in running.otlp_bodies()]
    assert [{}] == [dict(sent.log_record.attributes or {}) for sent in running._records.get_finished_logs()]


def test_failure(running: Rig, gateway: ReplayGateway) -> None:
    """A failed fetch is logged, and sets error status on its span and the poll's."""
    gateway.replay(STATS, "11-list-wrong-key.http")

    running.poller.poll_once()

    line, summary = running.lines()
    names = ("level", "message", "endpoint", "outcome", "status", "attempts")
    assert ["error", "Fetch failed", "stats", "unauthorized", 401, 1] == [line[name] for name in names]
    assert line["request_id"].startswith("req_")
    assert line["hint"].startswith(HINTS[Outcome.UNAUTHORIZED])
    assert ("stats", 40) == (summary["failed_endpoint"], summary["providers_listed"])
    spans = running.spans()
    fetch, poll = one(spans, "fetch /providers/stats"), one(spans, "poll")
    attributes = fetch.attributes or {}
    assert ("unauthorized", 401) == (attributes["error.type"], attributes["http.status_code"])
    assert [StatusCode.ERROR] * 2 == [span.status.status_code for span in (fetch, poll)]


def test_hint_names_the_variable_in_use(
    gateway: ReplayGateway, settings_for: Callable[..., Settings], clock: MovedClock, tmp_path: Path
) -> None:
    """If the key is in a file, hints name ADMIN_KEY_FILE instead of ADMIN_KEY."""
    (tmp_path / "key").write_text("wrong-key")
    gateway.replay(STATS, "11-list-wrong-key.http")
    gateway.replay(LIST, "14-list-user-key-not-admin.http")
    with rig(settings_for(ADMIN_KEY="", ADMIN_KEY_FILE=str(tmp_path / "key")), clock) as running:
        running.poller.poll_once()
        hints = [line["hint"] for line in running.lines() if line["message"] == "Fetch failed"]

    assert [True, True] == ["into the file that ADMIN_KEY_FILE names." in hint for hint in hints]
    assert [None, None] == [re.search(r"ADMIN_KEY[ .]", hint) for hint in hints]


def test_silent_gateway(settings_for: Callable[..., Settings], gateway: ReplayGateway) -> None:
    """A gateway that never answers is a timeout at the deadline, and the next poll can succeed."""
    gateway.silent = True
    clock = MovedClock(patience=0.3)
    with rig(settings_for(), clock) as running:
        running.poller.poll_once()

        assert running.settings.fetch_timeout == clock.now
        assert [1, 1] == counts(running, "timeout")
        names = ("message", "outcome", "attempts")
        assert [["Fetch failed", "timeout", 1]] * 2 == [[line[n] for n in names] for line in running.lines()]
        join_fetches()
        # Results that arrive after their deadline do not affect a later poll.
        gateway.silent = False
        clock.patience = 5.0

        running.poller.poll_once()

        assert [1, 2] == values(running, "up", "provider_scrape_errors_total")


def test_redirect_to_a_page_is_not_remembered(running: Rig, gateway: ReplayGateway) -> None:
    """After a redirect to an invalid page, the next poll requests the original URL."""
    good = gateway.answers[LIST_NO_SLASH]
    gateway.answers[LIST_NO_SLASH] = answer(302, location="/maintenance?x=y")
    gateway.answers["/maintenance?x=y"] = answer(200, b"<html>")
    running.poller.poll_once()
    gateway.answers[LIST_NO_SLASH] = good

    running.poller.poll_once()

    assert [1, 0] == counts(running, "not_json")
    assert [1] == values(running, "up")


def test_exposition_is_due_when_its_data_go_stale(settings_for: Callable[..., Settings]) -> None:
    """An exposition is due when its data go stale, if that is before the end of the next poll."""
    clock = MovedClock()
    with rig(settings_for(SCRAPE_INTERVAL="60", STALE_AFTER="61"), clock) as running:
        running.poller.poll_once()

        assert clock.age() + 61 == running.poller.published.current.due_at


def join_fetches() -> None:
    """Wait until all fetch threads have ended."""
    for thread in threading.enumerate():
        if thread.name.startswith("fetch-"):
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def slow_decoding(running: Rig, monkeypatch: pytest.MonkeyPatch) -> SlowDecoding:
    """Lets decoding of the first answer take some seconds, while both fetches end."""

    def take(seconds: float) -> None:
        delays = iter([seconds])

        def parse(body: bytes) -> Any:
            join_fetches()
            running.clock.now += next(delays, 0)
            return decode.parse(body)

        monkeypatch.setattr("exporter.poll.poller.parse", parse)

    return take


def test_answer_that_waits_for_decoding(running: Rig, slow_decoding: SlowDecoding) -> None:
    """An answer before the deadline counts, even if decoding the other one lasts longer."""
    slow_decoding(running.settings.fetch_timeout + 1)

    running.poller.poll_once()

    assert 1 == running.value("gatewayz_up")
    assert ["Updated provider metrics"] == running.messages()


def test_duration(running: Rig, slow_decoding: SlowDecoding) -> None:
    """The duration includes decoding of the own answer, but not of the other one."""
    slow_decoding(0.5)

    running.poller.poll_once()

    durations = running.series("gatewayz_exporter_fetch_duration_seconds_sum")
    fetches = [span for span in running.spans() if span.name.startswith("fetch ")]
    assert [0.0, 0.5] == sorted(durations.values())
    assert [0.0, 500.0] == sorted(float(str((span.attributes or {})["duration_ms"])) for span in fetches)


def test_start_that_outlasts_the_deadline(running: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch that starts after its deadline, on an overloaded machine, has a duration of 0."""

    def start(task: FetchTask, deadline: float) -> None:
        running.clock.sleep(60)

    for fetcher in running.poller._fetchers.values():
        monkeypatch.setattr(fetcher, "start", start)
    running.poller.poll_once()

    durations = running.series("gatewayz_exporter_fetch_duration_seconds_sum")
    assert [1, 1] == counts(running, "timeout")
    assert [0.0, running.settings.fetch_timeout] == sorted(durations.values())


def test_answer_after_the_deadline(running: Rig, slow_decoding: SlowDecoding, gateway: ReplayGateway) -> None:
    """An answer after the deadline is a timeout, even if it arrives while the other one is decoded."""
    slow_decoding(0)
    timeout = running.settings.fetch_timeout

    def delay(asked: Asked) -> None:
        running.clock.now += timeout + 1 if asked.target == STATS else 0

    gateway.on_ask = delay

    running.poller.poll_once()

    assert 1 == counts(running, "timeout")[1]
    assert timeout == running.value("gatewayz_exporter_fetch_duration_seconds_sum", endpoint="stats")


def test_unexpected_exception_in_a_fetch(running: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a fetch is the outcome `internal` with a traceback in the log; the poll continues."""
    monkeypatch.setattr("exporter.gateway.client.urljoin", Mock(side_effect=ZeroDivisionError))

    running.poller.poll_once()

    assert "Unexpected error in a fetch" == running.messages()[0]
    assert [1, 0] == counts(running, "internal")
    assert [40] == values(running, "providers_total")


def test_requested_variants(running: Rig) -> None:
    """Variants that scrapers requested are encoded before the next exposition is published."""
    variant = Variant(Format.OPENMETRICS, gzip=True)
    assert None is running.poller.published.current.encoded(variant)

    running.poller.poll_once()

    assert None is not running.poller.published.current.encoded(variant)
    assert None is running.poller.published.current.encoded(TEXT)


def test_data_go_stale_between_two_polls(
    settings_for: Callable[..., Settings], gateway: ReplayGateway
) -> None:
    """Data that go stale between two polls are removed at that moment."""
    clock = ScriptedClock()
    totals: list[float | None] = []
    with rig(settings_for(STALE_AFTER="90", SCRAPE_INTERVAL="80"), clock) as running:
        clock.at(70.0, lambda: gateway.answers.update({LIST: answer(500), STATS: answer(500)}))
        for moment in (89.9, 90.1):
            clock.at(moment, lambda: totals.append(running.value("gatewayz_providers_total")))
        clock.at(95.0, running.poller.stop)

        running.poller.run()

        assert [40, None] == totals


def test_stop_in_the_middle_of_a_poll(settings_for: Callable[..., Settings], gateway: ReplayGateway) -> None:
    """`stop` during a fetch returns at once and counts no failure."""
    gateway.silent = True
    clock = MovedClock(patience=30)
    with rig(settings_for(), clock) as running:
        thread = threading.Thread(target=running.poller.run)
        thread.start()
        assert gateway.reached.wait(10)

        running.poller.stop()
        thread.join(5)

        assert not thread.is_alive()
        assert 0 == running.value("gatewayz_provider_scrape_errors_total")
        assert [] == running.lines()


# Custom metrics


DROPPED = "gatewayz_exporter_custom_values_dropped"
TIMEOUT = gauge("metadata.timeout", name="gatewayz_provider_timeout_seconds", help='A "timeout" \\ of ours.')
TIER = gauge("metadata.latency_tier", labels=(label("priority", "metadata.priority", 1),))
IMPAIRED = gauge("sum([degraded, down])", name="gatewayz_providers_impaired", source=Endpoint.STATS)


@pytest.fixture
def definitions() -> Definitions:
    """The definitions, which a test can change."""
    return [TIMEOUT, TIER, IMPAIRED]


@pytest.fixture
def custom_rig(
    settings_for: Callable[..., Settings], clock: MovedClock, definitions: Definitions
) -> Iterator[Rig]:
    """An exporter with custom metrics, before its first poll."""
    with rig(settings_for(), clock, custom=lambda: tuple(definitions)) as put_together:
        yield put_together


def test_custom_metrics(custom_rig: Rig) -> None:
    """Custom metrics are published with values and help in both formats; dropped values are counted."""
    running = custom_rig
    assert 9 == len(running.series(DROPPED))
    running.poller.poll_once()

    assert (30, 60) == tuple(
        running.value("gatewayz_provider_timeout_seconds", provider=slug) for slug in ("aihubmix", "aimo")
    )
    assert 11 == running.value("gatewayz_providers_impaired")
    assert 1 == len({dict(labels)["priority"] for labels in running.series("gatewayz_limit")})
    dropped = {tuple(dict(labels).values()) for labels, value in running.series(DROPPED).items() if value}
    assert {("gatewayz_limit", "too_many_label_values")} == dropped
    exposition = running.poller.published.current
    # The parsers of the properties accept both forms of quotes in both formats, so compare bytes.
    assert b'A "timeout" \\\\ of ours.\n' in exposition.encode(TEXT)
    assert b'A \\"timeout\\" \\\\ of ours.\n' in exposition.encode(OPENMETRICS)


def test_changed_custom_metrics(custom_rig: Rig, definitions: Definitions, gateway: ReplayGateway) -> None:
    """Each poll uses the current definitions: metrics are added, changed and removed; counters stay."""
    custom_rig.poller.poll_once()
    tier = gauge("metadata.latency_tier", help="Another help.")
    definitions[:] = TIMEOUT, tier, gauge("total", name="gatewayz_new", source=Endpoint.STATS)
    gateway.answers[STATS] = answer(500)

    custom_rig.poller.poll_once()

    assert 60 == custom_rig.value("gatewayz_provider_timeout_seconds", provider="aimo")
    assert "# HELP gatewayz_limit Another help.\n" in custom_rig.text
    assert 4 == custom_rig.value("gatewayz_limit", provider="alibaba")
    assert "gatewayz_providers_impaired" not in custom_rig.text
    # The stored counts were read with the old definitions.
    assert {} == custom_rig.series("gatewayz_new")
    assert 1 == custom_rig.value("gatewayz_provider_scrape_errors_total")

    gateway.replay(STATS, "07-stats.http")
    custom_rig.poller.poll_once()

    assert 40 == custom_rig.value("gatewayz_new")

    definitions.clear()
    custom_rig.poller.poll_once()
    for name in ("gatewayz_new", "gatewayz_limit", DROPPED):
        assert name not in custom_rig.text
