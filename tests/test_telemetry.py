"""The SDK is set up so that metrics always work, and spans and records leave only when they are asked to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count

import pytest
from opentelemetry.sdk.resources import Resource

from exporter.custom import CustomMetric, CustomSample, CustomSeries
from exporter.endpoints import Endpoint
from exporter.errors import Outcome
from exporter.settings import Settings
from exporter.snapshot import HealthStatus, Provider, Snapshot
from exporter.telemetry import FEWEST_SETS, Metrics, prepare_environment
from tests.clocks import MovedClock
from tests.custom import gauge
from tests.otlp import OtlpReceiver
from tests.rig import rig

LIMIT = gauge("limit")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"OTEL_SERVICE_NAME": "provider-metrics-exporter"}),
        ({"OTEL_SERVICE_NAME": "mine"}, {"OTEL_SERVICE_NAME": "mine"}),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "a=b,service.name=mine"},
            {"OTEL_RESOURCE_ATTRIBUTES": "a=b,service.name=mine"},
        ),
        ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_SERVICE_NAME": "provider-metrics-exporter"}),
    ],
    ids=["default", "own name", "own name by attributes", "disabled"],
)
def test_environment_of_the_sdk(before: dict[str, str], after: dict[str, str]) -> None:
    """The service has its name unless a person gave it one, and the SDK never empties /metrics."""
    environ = dict(before)

    prepare_environment(environ)

    added = {"OTEL_SEMCONV_STABILITY_OPT_IN", "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"}
    assert after == {name: value for name, value in environ.items() if name not in added}


def test_captured_headers_never_show_keys() -> None:
    """Header capture, when a person turns it on, leaves out what authorizes, beside what they name."""
    name = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"
    environ = {name: "cookie"}

    prepare_environment(environ)

    assert "cookie,authorization,proxy-authorization" == environ[name]


def fleet(generation: int, size: int) -> Snapshot:
    """Return a snapshot with providers that no other generation has."""
    providers = tuple(Provider(f"p{generation}-{n}", health=HealthStatus.DOWN) for n in range(size))
    return Snapshot(providers=providers)


def test_gauges_of_the_collected_snapshot() -> None:
    """A collection has the values of its snapshot alone, whatever was collected before."""
    metrics = Metrics(Resource.create())
    metrics.collect(fleet(1, 3))

    families = {family.name: family for family in metrics.collect(fleet(2, 2))}

    slugs = [sample.labels["provider"] for sample in families["gatewayz_provider_health_status"].samples]
    assert ["p2-0", "p2-1"] == slugs


def test_families_are_sorted_and_unique() -> None:
    """Families come by name and each only once, whichever had a value first."""
    metrics = Metrics(Resource.create())
    metrics.collect(Snapshot())

    names = [family.name for family in metrics.collect(fleet(1, 1))]

    assert sorted(set(names)) == names
    assert 1 == names.count("target")


def test_counters_survive_the_replacement_of_the_gauges() -> None:
    """A fleet that changes for ever wears out the gauges' provider, and no count is lost by that."""
    metrics = Metrics(Resource.create())
    worn: set[int] = set()
    for generation in range(6):
        metrics.events.fetched(*fetched())
        metrics.collect(fleet(generation, FEWEST_SETS))
        worn.add(id(metrics._gauges))

    families = {family.name: family for family in metrics.collect(Snapshot())}

    assert 1 < len(worn)
    assert 6 == sum(sample.value for sample in families["gatewayz_provider_scrape_errors"].samples)


def limits(*tiers: str, metric: CustomMetric = LIMIT) -> Snapshot:
    """Return a snapshot in which a custom metric has a series for each tier."""
    samples = tuple(CustomSample(1.0, {"provider": "a", "tier": tier}) for tier in tiers)
    return Snapshot(custom={metric: CustomSeries(samples)})


def test_custom_gauges_need_another_room_when_they_change() -> None:
    """A changed definition has its own gauges and no trace of those before; an unchanged one stays."""
    metrics = Metrics(Resource.create())
    metrics.collect(limits("x"))
    room = metrics._gauges
    metrics.collect(limits("y"))
    assert room is metrics._gauges

    other = gauge("other", help="Another.")
    families = {family.name: family for family in metrics.collect(limits("z", metric=other))}

    assert room is not metrics._gauges
    assert ["Another.", [{"provider": "a", "tier": "z"}]] == [
        families["gatewayz_limit"].documentation,
        [sample.labels for sample in families["gatewayz_limit"].samples],
    ]
    assert "gatewayz_limit" not in {family.name for family in metrics.collect(Snapshot())}


def test_custom_series_wear_out_the_gauges() -> None:
    """Series of custom metrics that change for ever are given back as those of providers are."""
    metrics = Metrics(Resource.create())
    worn: set[int] = set()
    for generation in range(6):
        metrics.collect(limits(*(f"{generation}-{number}" for number in range(FEWEST_SETS))))
        worn.add(id(metrics._gauges))

    assert 1 < len(worn)


def fetched() -> tuple[Endpoint, Outcome, float]:
    """Return one failed fetch."""
    return Endpoint.STATS, Outcome.TIMEOUT, 0.1


def test_spans_and_records_leave_by_otlp(settings_for: Callable[..., Settings], clock: MovedClock) -> None:
    """With an endpoint, the spans of a poll and its record arrive there, tied by the trace id."""
    with OtlpReceiver() as receiver:
        settings = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
        try:
            with rig(settings, clock, export=False) as exporting:
                exporting.poller.poll_once()
        finally:
            del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]

        (poll,) = [span for span in receiver.spans if span.name == "poll"]
        (record,) = receiver.records
        body = json.loads(record.body.string_value)

    assert {"/v1/traces", "/v1/logs"} == set(receiver.paths)
    assert (poll.trace_id, poll.trace_id.hex()) == (record.trace_id, body["trace_id"])
    assert [] == list(record.attributes)
    assert {"poll", "convert", "publish", "GET", "fetch /providers", "fetch /providers/stats"} == {
        span.name for span in receiver.spans
    }


def test_shutdown_is_bounded(settings_for: Callable[..., Settings], clock: MovedClock) -> None:
    """A receiver that never answers holds the end of the process for no longer than it is given."""
    with OtlpReceiver(silent=True) as receiver:
        settings = settings_for(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
        try:
            with rig(settings, clock, export=False) as exporting:
                exporting.poller.poll_once()
                begun = time.monotonic()
                exporting.telemetry.shutdown(1.0)
                took = time.monotonic() - begun
        finally:
            del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]

    assert took < 3


def test_without_traces_logs_have_no_ids(settings_for: Callable[..., Settings], clock: MovedClock) -> None:
    """With OTEL_SDK_DISABLED there are no spans and so no ids, while the metrics are all there."""
    with rig(settings_for(OTEL_SDK_DISABLED="true"), clock, export=False) as disabled:
        disabled.poller.poll_once()

        assert "trace_id" not in disabled.lines()[0]
        assert 40 == disabled.value("gatewayz_providers_total")


def test_without_endpoint_logs_have_ids(settings_for: Callable[..., Settings], clock: MovedClock) -> None:
    """Without an endpoint nothing leaves, but the tracer runs so that records can be told apart by poll."""
    with rig(settings_for(), clock, export=False) as quiet:
        quiet.poller.poll_once()
        quiet.poller.poll_once()

        ids = {line["trace_id"] for line in quiet.lines()}
        assert 2 == len(ids)
        assert None is quiet.telemetry.logger_provider


def test_clock_that_jumps_during_a_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection ends well though the machine's date jumps by an hour whenever it is looked at."""
    dates = count(0, 3600 * 10**9)
    monkeypatch.setattr(
        "opentelemetry.sdk.metrics._internal.measurement_consumer.time_ns", lambda: next(dates)
    )
    metrics = Metrics(Resource.create())

    families = {family.name: family for family in metrics.collect(fleet(0, 3))}

    assert next(dates) > 3600 * 10**9
    assert 3 == len(families["gatewayz_provider_health_status"].samples)


def test_grpc_is_imported_only_when_asked_for() -> None:
    """Importing the program does not import gRPC, which takes time and memory."""
    code = "import exporter.service, sys; print([name for name in sys.modules if name.startswith('grpc')])"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == result.stdout.strip()


def test_grpc_exporters(settings_for: Callable[..., Settings], clock: MovedClock) -> None:
    """With the protocol grpc both exporters are the gRPC ones, and a dead receiver disturbs nothing."""
    settings = settings_for(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_PROTOCOL="grpc"
    )
    with rig(settings, clock, export=False) as exporting:
        exporting.poller.poll_once()

        assert "grpc" in type(exporting.telemetry._spans).__module__
        assert 40 == exporting.value("gatewayz_providers_total")
        exporting.telemetry.shutdown(0.5)
