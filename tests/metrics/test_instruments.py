"""The table of instruments is the contract, and each row reads from a snapshot exactly what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    NumberDataPoint,
)
from prometheus_client import CollectorRegistry

from exporter import __version__
from exporter.errors import Outcome
from exporter.metrics.instruments import (
    INSTRUMENTS,
    EventRecorder,
    Instrument,
    Kind,
    ReloadedFile,
    Signal,
    identity,
    register_gauges,
    register_lost_records,
)
from exporter.model.custom import CustomKind, CustomMetric, CustomSeries, DropReason
from exporter.model.endpoints import Endpoint
from exporter.model.provider import HealthStatus, Provider, ProviderStats
from exporter.model.snapshot import Fetch, Poll, Snapshot, Timing

Observed = list[tuple[float, dict[str, str]]]

CONTRACT: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "gatewayz_providers_total": ("gauge", ()),
        "gatewayz_providers_active": ("gauge", ()),
        "gatewayz_providers_inactive": ("gauge", ()),
        "gatewayz_providers_healthy": ("gauge", ()),
        "gatewayz_providers_degraded": ("gauge", ()),
        "gatewayz_providers_down": ("gauge", ()),
        "gatewayz_providers_unknown": ("gauge", ()),
        "gatewayz_provider_response_time_ms": ("gauge", ("provider",)),
        "gatewayz_provider_supports_streaming": ("gauge", ("provider",)),
        "gatewayz_provider_supports_function_calling": ("gauge", ("provider",)),
        "gatewayz_provider_supports_vision": ("gauge", ("provider",)),
        "gatewayz_provider_supports_image_generation": ("gauge", ("provider",)),
        "gatewayz_provider_is_active": ("gauge", ("provider",)),
        "gatewayz_provider_health_status": ("gauge", ("provider",)),
        "gatewayz_provider_metrics_last_update": ("gauge", ()),
        "gatewayz_provider_scrape_errors_total": ("counter", ()),
        "gatewayz_up": ("gauge", ()),
        "gatewayz_provider_info": ("gauge", ("provider", "id", "name")),
        "gatewayz_provider_health_state": ("gauge", ("provider", "state")),
        "gatewayz_provider_last_health_check_timestamp_seconds": ("gauge", ("provider",)),
        "gatewayz_providers_listed": ("gauge", ()),
        "gatewayz_exporter_fetches_total": ("counter", ("endpoint", "outcome")),
        "gatewayz_exporter_fetch_duration_seconds": ("histogram", ("endpoint",)),
        "gatewayz_exporter_last_fetch_outcome": ("gauge", ("endpoint", "outcome")),
        "gatewayz_exporter_last_reload_successful": ("gauge", ("file",)),
        "gatewayz_exporter_last_success_timestamp_seconds": ("gauge", ("endpoint",)),
        "gatewayz_exporter_poll_duration_seconds": ("gauge", ()),
        "gatewayz_exporter_invalid_fields": ("gauge", ("field",)),
        "gatewayz_exporter_custom_values_dropped": ("gauge", ("metric", "reason")),
        "gatewayz_exporter_log_records_lost_total": ("counter", ()),
        "gatewayz_exporter_telemetry_failures_total": ("counter", ("signal",)),
        "gatewayz_exporter_certificate_expiry_timestamp_seconds": ("gauge", ("file",)),
        "gatewayz_exporter_poll_interval_seconds": ("gauge", ()),
        "gatewayz_exporter_stale_after_seconds": ("gauge", ()),
        "gatewayz_exporter_fetch_timeout_seconds": ("gauge", ()),
        "gatewayz_exporter_health_check_overdue_seconds": ("gauge", ()),
        "gatewayz_exporter_build_info": ("gauge", ("version",)),
    }
)
FIELDS = (
    "record",
    "slug",
    "name",
    "id",
    "health_status",
    "is_active",
    "supports_streaming",
    "supports_function_calling",
    "supports_vision",
    "supports_image_generation",
    "average_response_time_ms",
    "last_health_check_at",
)
BY_NAME: Mapping[str, Instrument] = MappingProxyType(
    {instrument.name: instrument for instrument in INSTRUMENTS}
)
GAUGES = sorted(instrument.name for instrument in INSTRUMENTS if instrument.read is not None)


def outcomes(providers: Outcome | None, stats: Outcome | None) -> Observed:
    """Return how the last fetches ended, as observed."""
    ended = {"providers": providers, "stats": stats}
    return [
        (int(outcome is last), {"endpoint": endpoint, "outcome": outcome.value})
        for endpoint, last in ended.items()
        for outcome in Outcome
    ]


KNOWN = Provider(
    "openai",
    name="OpenAI",
    id="7",
    health=HealthStatus.DEGRADED,
    is_active=True,
    supports_streaming=True,
    supports_function_calling=False,
    supports_vision=True,
    supports_image_generation=False,
    response_time_ms=0.0,
    last_health_check=1787191204.5,
)
BARE = Provider("quiet")
CUSTOM = CustomMetric("gatewayz_limit", "Limit.", CustomKind.GAUGE, Endpoint.STATS, None, (), ())
POLL = Poll(
    1787191300.0,
    1.25,
    1,
    2,
    tuple(Fetch(endpoint, Outcome.OK, None) for endpoint in Endpoint),
)
FULL = Snapshot(
    providers=(KNOWN, BARE),
    stats=ProviderStats(total=28, active=21, inactive=7, healthy=10, degraded=8, down=6, unknown=4),
    invalid_fields={"slug": 2, "is_active": 3},
    last_success={Endpoint.PROVIDERS: 1787191301.0, Endpoint.STATS: 1787191302.0},
    last_update=1787191303.0,
    last_poll=POLL,
    stale_at=1180.0,
    custom={CUSTOM: CustomSeries(dropped={DropReason.INVALID: 3})},
    timing=Timing(15.0, 46.0, 9.5, 7200.0),
)
OPENAI = {"provider": "openai"}
QUIET = {"provider": "quiet"}

AT_START: Mapping[str, Observed] = MappingProxyType(
    {
        "gatewayz_up": [(0, {})],
        "gatewayz_exporter_last_fetch_outcome": outcomes(None, None),
        "gatewayz_exporter_poll_interval_seconds": [(60.0, {})],
        "gatewayz_exporter_stale_after_seconds": [(180.0, {})],
        "gatewayz_exporter_fetch_timeout_seconds": [(10.0, {})],
        "gatewayz_exporter_health_check_overdue_seconds": [(3600.0, {})],
        "gatewayz_exporter_invalid_fields": [(0, {"field": field}) for field in FIELDS],
        "gatewayz_exporter_build_info": [(1, {"version": __version__})],
    }
)
"""What is there before the first poll; all other gauges have no series."""

IN_FULL: Mapping[str, Observed] = MappingProxyType(
    {
        "gatewayz_providers_total": [(28, {})],
        "gatewayz_providers_active": [(21, {})],
        "gatewayz_providers_inactive": [(7, {})],
        "gatewayz_providers_healthy": [(10, {})],
        "gatewayz_providers_degraded": [(8, {})],
        "gatewayz_providers_down": [(6, {})],
        "gatewayz_providers_unknown": [(4, {})],
        "gatewayz_provider_response_time_ms": [(0.0, OPENAI)],
        "gatewayz_provider_supports_streaming": [(1, OPENAI)],
        "gatewayz_provider_supports_function_calling": [(0, OPENAI)],
        "gatewayz_provider_supports_vision": [(1, OPENAI)],
        "gatewayz_provider_supports_image_generation": [(0, OPENAI)],
        "gatewayz_provider_is_active": [(1, OPENAI)],
        "gatewayz_provider_health_status": [(2, OPENAI), (0, QUIET)],
        "gatewayz_provider_metrics_last_update": [(1787191303.0, {})],
        "gatewayz_up": [(1, {})],
        "gatewayz_provider_info": [
            (1, {"provider": "openai", "id": "7", "name": "OpenAI"}),
            (1, {"provider": "quiet", "id": "", "name": ""}),
        ],
        "gatewayz_provider_health_state": [
            (0, {**OPENAI, "state": "unknown"}),
            (0, {**OPENAI, "state": "healthy"}),
            (1, {**OPENAI, "state": "degraded"}),
            (0, {**OPENAI, "state": "down"}),
            (1, {**QUIET, "state": "unknown"}),
            (0, {**QUIET, "state": "healthy"}),
            (0, {**QUIET, "state": "degraded"}),
            (0, {**QUIET, "state": "down"}),
        ],
        "gatewayz_provider_last_health_check_timestamp_seconds": [(1787191204.5, OPENAI)],
        "gatewayz_providers_listed": [(2, {})],
        "gatewayz_exporter_last_success_timestamp_seconds": [
            (1787191301.0, {"endpoint": "providers"}),
            (1787191302.0, {"endpoint": "stats"}),
        ],
        "gatewayz_exporter_last_fetch_outcome": outcomes(Outcome.OK, Outcome.OK),
        "gatewayz_exporter_poll_duration_seconds": [(1.25, {})],
        "gatewayz_exporter_poll_interval_seconds": [(15.0, {})],
        "gatewayz_exporter_stale_after_seconds": [(46.0, {})],
        "gatewayz_exporter_fetch_timeout_seconds": [(9.5, {})],
        "gatewayz_exporter_health_check_overdue_seconds": [(7200.0, {})],
        "gatewayz_exporter_invalid_fields": [
            ({"slug": 2, "is_active": 3}.get(field, 0), {"field": field}) for field in FIELDS
        ],
        "gatewayz_exporter_custom_values_dropped": [
            (3, {"metric": "gatewayz_limit", "reason": "invalid"}),
            (0, {"metric": "gatewayz_limit", "reason": "too_many_label_values"}),
            (0, {"metric": "gatewayz_limit", "reason": "out_of_time"}),
        ],
        "gatewayz_exporter_build_info": [(1, {"version": __version__})],
    }
)


def observed(name: str, snapshot: Snapshot) -> Observed:
    """Return value and attributes of each observation of a gauge."""
    read = BY_NAME[name].read
    assert read is not None
    return [
        (seen.value, {key: str(text) for key, text in (seen.attributes or {}).items()})
        for seen in read(snapshot)
    ]


# The table


def test_names_types_and_labels() -> None:
    """The table is the contract, row by row: name, type and labels."""
    assert dict(CONTRACT) == {
        instrument.name: (instrument.kind.value, instrument.labels) for instrument in INSTRUMENTS
    }


def test_no_name_twice() -> None:
    """Every name is in the table once."""
    assert [] == [name for name, count in Counter(row.name for row in INSTRUMENTS).items() if count > 1]


def test_only_gauges_are_read() -> None:
    """Only gauges are read from the snapshot; what counts events is not."""
    assert {Kind.GAUGE} == {BY_NAME[name].kind for name in GAUGES}


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.name)
def test_help_is_a_line_of_sentences(instrument: Instrument) -> None:
    """A help text begins with a capital, ends with a period and is one line."""
    assert instrument.help[0].isupper()
    assert instrument.help.endswith(".")
    assert instrument.help.isprintable()


def test_no_help_twice() -> None:
    """No two metrics have the same help text."""
    assert len(INSTRUMENTS) == len({instrument.help for instrument in INSTRUMENTS})


# What is read


def test_every_gauge_is_tested() -> None:
    """The expectations below have every gauge of the table."""
    assert GAUGES == sorted(IN_FULL)


@pytest.mark.parametrize("name", GAUGES)
def test_reading_of_a_full_snapshot(name: str) -> None:
    """A gauge has a series for each value that is known, and none for a null."""
    assert IN_FULL[name] == observed(name, FULL)


@pytest.mark.parametrize("name", GAUGES)
def test_reading_of_an_empty_snapshot(name: str) -> None:
    """Before the first poll only what is known of the exporter itself is there."""
    assert AT_START.get(name, []) == observed(name, Snapshot())


@pytest.mark.parametrize("name", GAUGES)
def test_labels_are_those_of_the_table(name: str) -> None:
    """The series of a gauge have the labels of its row, in their order."""
    labels = {tuple(attributes) for _, attributes in observed(name, FULL)}

    assert {BY_NAME[name].labels} == labels


@pytest.mark.parametrize("health", HealthStatus, ids=lambda health: health.label)
def test_health_state(health: HealthStatus) -> None:
    """Exactly one of a provider's four states is 1: that of its health, which is also its status."""
    snapshot = Snapshot(providers=(Provider("a", health=health),))

    states = observed("gatewayz_provider_health_state", snapshot)

    assert {status.label: float(status is health) for status in HealthStatus} == {
        attributes["state"]: value for value, attributes in states
    }
    assert 4 == len(states)
    assert [(health.value, {"provider": "a"})] == observed("gatewayz_provider_health_status", snapshot)


def test_empty_gateway() -> None:
    """A gateway without providers has none listed and counts of zero, which is not the same as no answer."""
    snapshot = Snapshot(providers=(), stats=ProviderStats(0, 0, 0, 0, 0, 0, 0))

    assert [(0, {})] == observed("gatewayz_providers_listed", snapshot)
    assert [(0, {})] == observed("gatewayz_providers_total", snapshot)
    assert [] == observed("gatewayz_provider_info", snapshot)


def test_stale_snapshot() -> None:
    """When the data are stale, what was in them is gone and what is known of the exporter stays."""
    stale = Snapshot(
        invalid_fields=FULL.invalid_fields,
        last_success=FULL.last_success,
        last_update=FULL.last_update,
        last_poll=FULL.last_poll,
    )

    assert [
        "gatewayz_exporter_build_info",
        "gatewayz_exporter_fetch_timeout_seconds",
        "gatewayz_exporter_health_check_overdue_seconds",
        "gatewayz_exporter_invalid_fields",
        "gatewayz_exporter_last_fetch_outcome",
        "gatewayz_exporter_last_success_timestamp_seconds",
        "gatewayz_exporter_poll_duration_seconds",
        "gatewayz_exporter_poll_interval_seconds",
        "gatewayz_exporter_stale_after_seconds",
        "gatewayz_provider_metrics_last_update",
        "gatewayz_up",
    ] == [name for name in GAUGES if observed(name, stale)]


def test_up_after_a_failed_fetch() -> None:
    """One failed fetch of the last poll is enough for the gateway not to be up."""
    fetches = (POLL.fetches[0], Fetch(Endpoint.STATS, Outcome.EMPTY, None))
    snapshot = Snapshot(last_poll=Poll(POLL.date, 1.0, 1, 2, fetches))

    assert [(0, {})] == observed("gatewayz_up", snapshot)


def test_identity() -> None:
    """The labels of a provider's info series are its slug, id and name."""
    assert {"provider": "openai", "id": "7", "name": "OpenAI"} == dict(identity(KNOWN))


# With the SDK


@dataclass
class Sdk:
    """A meter of the real SDK, and what it collects."""

    meter: Meter
    _memory: InMemoryMetricReader
    _registry: CollectorRegistry

    def metrics(self) -> Mapping[str, Metric]:
        """Return what the SDK collects, by name."""
        data = self._memory.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> Mapping[tuple[tuple[str, str], ...], float]:
        """Return the values of a metric by their attributes, in order."""
        values = {}
        for point in self.metrics()[name].data.data_points:
            assert isinstance(point, NumberDataPoint)
            values[key(point)] = float(point.value)
        return values

    def histograms(self, name: str) -> Mapping[tuple[tuple[str, str], ...], HistogramDataPoint]:
        """Return the histograms of a metric by their attributes, in order."""
        histograms = {}
        for point in self.metrics()[name].data.data_points:
            assert isinstance(point, HistogramDataPoint)
            histograms[key(point)] = point
        return histograms

    def published(self) -> Mapping[str, tuple[str, str]]:
        """Return type and help of each family for Prometheus, by the name that its type gives it."""
        return {
            family.name + ("_total" if family.type == "counter" else ""): (family.type, family.documentation)
            for family in self._registry.collect()
        }


def key(point: NumberDataPoint | HistogramDataPoint) -> tuple[tuple[str, str], ...]:
    """Return a point's attributes as something to look it up by."""
    return tuple(sorted((name, str(value)) for name, value in (point.attributes or {}).items()))


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    """A meter whose metrics are kept in memory and published for Prometheus."""
    registry, memory = CollectorRegistry(), InMemoryMetricReader()
    prometheus = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    provider = MeterProvider([memory, prometheus], shutdown_on_exit=False)
    yield Sdk(provider.get_meter("test"), memory, registry)
    provider.shutdown()


def test_names_survive_the_way_to_prometheus(sdk: Sdk) -> None:
    """Every metric is published by the name, type and help text of its row, with no unit's suffix."""
    register_gauges(sdk.meter, lambda: FULL)
    recorder = EventRecorder(sdk.meter)
    recorder.fetched(Endpoint.STATS, Outcome.OK, 0.1)
    recorder.watch_certificates(lambda: {"cert_file": 1787191300.0})
    register_lost_records(sdk.meter, int)

    assert {row.name: (row.kind.value, row.help) for row in INSTRUMENTS} == sdk.published()


def test_metrics_have_no_unit(sdk: Sdk) -> None:
    """No metric has a unit, which would become a part of its name."""
    register_gauges(sdk.meter, lambda: FULL)
    recorder = EventRecorder(sdk.meter)
    recorder.fetched(Endpoint.STATS, Outcome.OK, 0.1)
    recorder.watch_certificates(lambda: {"cert_file": 1787191300.0})
    register_lost_records(sdk.meter, int)

    assert {""} == {metric.unit for metric in sdk.metrics().values()}
    assert len(INSTRUMENTS) == len(sdk.metrics())


def test_gauges_read_the_current_snapshot(sdk: Sdk) -> None:
    """A collection has the values of the snapshot that is current then."""
    current = [Snapshot(providers=(Provider("a", response_time_ms=5.0),))]
    register_gauges(sdk.meter, lambda: current[-1])
    assert {(("provider", "a"),): 5.0} == sdk.points("gatewayz_provider_response_time_ms")

    current.append(Snapshot(providers=(Provider("b", response_time_ms=6.0),)))

    assert {(("provider", "b"),): 6.0} == sdk.points("gatewayz_provider_response_time_ms")


def test_series_at_the_start(sdk: Sdk) -> None:
    """Before the first poll, the metrics with a series are those that are known beforehand."""
    register_gauges(sdk.meter, Snapshot)
    EventRecorder(sdk.meter)

    events = [
        "gatewayz_exporter_fetches",
        "gatewayz_exporter_last_reload_successful",
        "gatewayz_exporter_telemetry_failures",
        "gatewayz_provider_scrape_errors",
    ]
    assert sorted([*AT_START, *events]) == sorted(sdk.metrics())


def test_counters_start_at_zero(sdk: Sdk) -> None:
    """Every pair of endpoint and outcome is there from the start, at 0, and so is the sum of errors."""
    EventRecorder(sdk.meter)

    pairs = {
        (("endpoint", endpoint), ("outcome", outcome.value)): 0.0
        for endpoint in ("providers", "stats")
        for outcome in Outcome
    }
    assert 34 == len(pairs)
    assert pairs == sdk.points("gatewayz_exporter_fetches")
    assert {(): 0.0} == sdk.points("gatewayz_provider_scrape_errors")
    signals = {(("signal", signal),): 0.0 for signal in ("logs", "metrics", "traces")}
    assert signals == sdk.points("gatewayz_exporter_telemetry_failures")


def test_telemetry_failures(sdk: Sdk) -> None:
    """A request that failed counts for its signal."""
    recorder = EventRecorder(sdk.meter)
    recorder.telemetry_failed(Signal.LOGS)
    recorder.telemetry_failed(Signal.LOGS)

    failures = {"traces": 0.0, "logs": 2.0, "metrics": 0.0}
    assert {(("signal", signal),): count for signal, count in failures.items()} == sdk.points(
        "gatewayz_exporter_telemetry_failures"
    )


def test_certificate_expiry(sdk: Sdk) -> None:
    """The dates are those of the present files; a file that is gone has no series."""
    recorder = EventRecorder(sdk.meter)
    expiry = {"cert_file": 1.0, "client_ca_file": 2.0}
    recorder.watch_certificates(lambda: expiry)
    name = "gatewayz_exporter_certificate_expiry_timestamp_seconds"
    assert {(("file", "cert_file"),): 1.0, (("file", "client_ca_file"),): 2.0} == sdk.points(name)

    del expiry["client_ca_file"]

    assert {(("file", "cert_file"),): 1.0} == sdk.points(name)


@pytest.mark.parametrize(
    ("changes", "value"),
    [((), 1.0), ((False,), 0.0), ((False, True), 1.0)],
    ids=["start", "bad", "good again"],
)
def test_last_reload(sdk: Sdk, changes: Sequence[bool], value: float) -> None:
    """A file is of use until it is told not to be, and may be so again."""
    recorder = EventRecorder(sdk.meter)
    for successful in changes:
        recorder.reload_changed(ReloadedFile.ADMIN_KEY, successful)

    for _ in range(2):
        assert {
            (("file", "admin_key"),): value,
            (("file", "web_config"),): 1.0,
            (("file", "custom_metrics"),): 1.0,
        } == sdk.points("gatewayz_exporter_last_reload_successful")


def count(sdk: Sdk, *fetches: tuple[Endpoint, Outcome]) -> tuple[Mapping[tuple[str, str], float], float]:
    """Record fetches, and return the counts that are not 0, and the sum of errors."""
    recorder = EventRecorder(sdk.meter)
    for endpoint, outcome in fetches:
        recorder.fetched(endpoint, outcome, 0.1)
    counted = {
        (attributes[0][1], attributes[1][1]): value
        for attributes, value in sdk.points("gatewayz_exporter_fetches").items()
        if value
    }
    return counted, sdk.points("gatewayz_provider_scrape_errors")[()]


@pytest.mark.parametrize("endpoint", Endpoint, ids=str)
@pytest.mark.parametrize("outcome", Outcome, ids=str)
def test_one_fetch(sdk: Sdk, endpoint: Endpoint, outcome: Outcome) -> None:
    """A fetch is counted by endpoint and outcome, and as an error unless it went well."""
    errors = 0.0 if outcome is Outcome.OK else 1.0

    assert ({(endpoint.value, outcome.value): 1.0}, errors) == count(sdk, (endpoint, outcome))


def test_many_fetches(sdk: Sdk) -> None:
    """Counts add up, errors over both endpoints."""
    fetches = [
        (Endpoint.PROVIDERS, Outcome.OK),
        (Endpoint.PROVIDERS, Outcome.TIMEOUT),
        (Endpoint.STATS, Outcome.TIMEOUT),
        (Endpoint.PROVIDERS, Outcome.TIMEOUT),
        (Endpoint.PROVIDERS, Outcome.OK),
    ]

    assert (
        {("providers", "ok"): 2.0, ("providers", "timeout"): 2.0, ("stats", "timeout"): 1.0},
        3.0,
    ) == count(sdk, *fetches)


def durations(sdk: Sdk, *seconds: float) -> Sequence[HistogramDataPoint]:
    """Record fetches of the list that took so long, and return the histograms."""
    recorder = EventRecorder(sdk.meter)
    for duration in seconds:
        recorder.fetched(Endpoint.PROVIDERS, Outcome.OK, duration)
    return list(sdk.histograms("gatewayz_exporter_fetch_duration_seconds").values())


def test_boundaries_of_durations(sdk: Sdk) -> None:
    """The histogram of durations has boundaries for seconds, from 10 ms to a minute."""
    (histogram,) = durations(sdk, 0.1)

    assert [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] == list(histogram.explicit_bounds)


def test_durations_fall_into_buckets(sdk: Sdk) -> None:
    """A duration is counted in the first bucket whose boundary it does not exceed."""
    (histogram,) = durations(sdk, 0.01, 0.03, 0.05, 4.0, 60.0, 61.0)

    assert [1, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1] == list(histogram.bucket_counts)
    assert 6 == histogram.count
    assert histogram.sum == pytest.approx(125.09)


def test_durations_by_endpoint(sdk: Sdk) -> None:
    """Durations have the endpoint as their only label, failures included."""
    recorder = EventRecorder(sdk.meter)
    recorder.fetched(Endpoint.PROVIDERS, Outcome.OK, 1.0)
    recorder.fetched(Endpoint.PROVIDERS, Outcome.TIMEOUT, 10.0)
    recorder.fetched(Endpoint.STATS, Outcome.OK, 2.0)

    histograms = sdk.histograms("gatewayz_exporter_fetch_duration_seconds")

    assert {(("endpoint", "providers"),): 11.0, (("endpoint", "stats"),): 2.0} == {
        attributes: point.sum for attributes, point in histograms.items()
    }


def test_lost_records(sdk: Sdk) -> None:
    """The counter of lost records is there from the start, and follows what it reads."""
    lost = [0]
    register_lost_records(sdk.meter, lambda: lost[-1])
    assert {(): 0} == sdk.points("gatewayz_exporter_log_records_lost")

    lost.append(3)

    assert {(): 3} == sdk.points("gatewayz_exporter_log_records_lost")
