"""Tests of the table of instruments, and of the SDK instruments that are made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from exporter.gateway.decode import decode
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
from exporter.model.fields import FIELD_NAMES, FIELDS, Field
from exporter.model.provider import HealthStatus, Provider, ProviderList, ProviderStats
from exporter.model.snapshot import Fetch, Poll, Snapshot, Timing
from tests.samples import SAMPLES, row, sample

Observed = list[tuple[float, dict[str, str]]]

BY_NAME: Mapping[str, Instrument] = MappingProxyType(
    {instrument.name: instrument for instrument in INSTRUMENTS}
)
GAUGES = sorted(instrument.name for instrument in INSTRUMENTS if instrument.read is not None)
PUBLISHED = [field for field in FIELDS if field.gauge is not None]


def outcomes(providers: Outcome | None, stats: Outcome | None) -> Observed:
    """Return the observations of the outcomes of the last fetches."""
    ended = {"providers": providers, "stats": stats}
    return [
        (int(outcome is last), {"endpoint": endpoint, "outcome": outcome.value})
        for endpoint, last in ended.items()
        for outcome in Outcome
    ]


KNOWN = Provider("openai", name="OpenAI", id="7", health=HealthStatus.DEGRADED)
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
        "gatewayz_exporter_invalid_fields": [(0, {"field": field}) for field in FIELD_NAMES],
        "gatewayz_exporter_build_info": [(1, {"version": __version__})],
    }
)
"""Series before the first poll; all other gauges have none."""

IN_FULL: Mapping[str, Observed] = MappingProxyType(
    {
        "gatewayz_providers_total": [(28, {})],
        "gatewayz_providers_active": [(21, {})],
        "gatewayz_providers_inactive": [(7, {})],
        "gatewayz_providers_healthy": [(10, {})],
        "gatewayz_providers_degraded": [(8, {})],
        "gatewayz_providers_down": [(6, {})],
        "gatewayz_providers_unknown": [(4, {})],
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
            ({"slug": 2, "is_active": 3}.get(field, 0), {"field": field}) for field in FIELD_NAMES
        ],
        "gatewayz_exporter_custom_values_dropped": [
            (3, {"metric": "gatewayz_limit", "reason": "invalid"}),
            (0, {"metric": "gatewayz_limit", "reason": "too_many_label_values"}),
            (0, {"metric": "gatewayz_limit", "reason": "out_of_time"}),
        ],
        "gatewayz_exporter_build_info": [(1, {"version": __version__})],
    }
)
"""Series of the gauges that are not fields of the list."""


def observed(name: str, snapshot: Snapshot) -> Observed:
    """Return value and attributes of each observation of a gauge."""
    read = BY_NAME[name].read
    assert read is not None
    return [
        (seen.value, {key: str(text) for key, text in (seen.attributes or {}).items()})
        for seen in read(snapshot)
    ]


def listed(*values: Mapping[str, object]) -> Snapshot:
    """Return a snapshot of a list of rows with these values, by path."""
    answer = decode(Endpoint.PROVIDERS, [row(each) for each in values])
    assert isinstance(answer, ProviderList)
    return Snapshot(providers=answer.providers)


# The table


def test_no_duplicates() -> None:
    """Names and help texts are unique."""
    texts = [text for row in INSTRUMENTS for text in (row.name, row.help)]

    assert [] == [text for text, count in Counter(texts).items() if count > 1]


def test_only_gauges_are_read() -> None:
    """Only gauges are read from the snapshot."""
    assert {Kind.GAUGE} == {BY_NAME[name].kind for name in GAUGES}


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.name)
def test_help(instrument: Instrument) -> None:
    """A help text begins with a capital, ends with a period and is one line."""
    assert instrument.help[0].isupper()
    assert instrument.help.endswith(".")
    assert instrument.help.isprintable()


@pytest.mark.parametrize("field", PUBLISHED, ids=lambda field: field.path)
def test_name_of_a_field(field: Field) -> None:
    """The gauge of a field has the prefix and the label of all provider gauges."""
    assert field.gauge is not None
    assert field.gauge.name.startswith("gatewayz_provider_")
    assert ("provider",) == BY_NAME[field.gauge.name].labels


# Reading


def test_every_gauge_is_tested() -> None:
    """Each gauge is a field of the list, or in the expectations above."""
    assert GAUGES == sorted([*IN_FULL, *(field.gauge.name for field in PUBLISHED if field.gauge)])


@pytest.mark.parametrize("field", PUBLISHED, ids=lambda field: field.path)
def test_reading_of_a_field(field: Field) -> None:
    """The gauge of a field has a series for each known value, as a plain number."""
    assert field.gauge is not None
    samples = SAMPLES[field.convert].valid
    rows: list[Mapping[str, object]] = [
        {"slug": f"p{number}", field.path: value} for number, (value, _) in enumerate(samples)
    ]

    found = observed(field.gauge.name, listed(*rows))

    assert [(value, {"provider": f"p{number}"}) for number, (_, value) in enumerate(samples)] == found
    assert {type(value) for value, _ in found} <= {int, float}


@pytest.mark.parametrize("field", PUBLISHED, ids=lambda field: field.path)
@pytest.mark.parametrize(
    "snapshot", [listed({"slug": "a"}), Snapshot(providers=(Provider("a"),)), Snapshot()]
)
def test_field_without_a_value(field: Field, snapshot: Snapshot) -> None:
    """The gauge of a field has no series for null; unknown health is a known value if there is a provider."""
    assert field.gauge is not None
    unknown = [(0, {"provider": "a"})] if field.attribute == "health" and snapshot.providers else []

    assert unknown == observed(field.gauge.name, snapshot)


@pytest.mark.parametrize("name", IN_FULL)
def test_reading_of_a_full_snapshot(name: str) -> None:
    """A gauge has a series for each known value, with the labels of its row in their order."""
    found = observed(name, FULL)

    assert IN_FULL[name] == found
    assert {BY_NAME[name].labels} == {tuple(attributes) for _, attributes in found}


@pytest.mark.parametrize("name", GAUGES)
def test_reading_of_an_empty_snapshot(name: str) -> None:
    """Before the first poll only values of the exporter itself are known."""
    assert AT_START.get(name, []) == observed(name, Snapshot())


@pytest.mark.parametrize("health", HealthStatus, ids=lambda health: health.label)
def test_health_state(health: HealthStatus) -> None:
    """Exactly one of a provider's four states is 1: its health."""
    states = observed("gatewayz_provider_health_state", Snapshot(providers=(Provider("a", health=health),)))

    assert [(status is health, {"provider": "a", "state": status.label}) for status in HealthStatus] == states


def test_empty_gateway() -> None:
    """Publishes 0 providers for a gateway without any, as opposed to a gateway without an answer."""
    snapshot = Snapshot(providers=(), stats=ProviderStats(0, 0, 0, 0, 0, 0, 0))

    assert [(0, {})] == observed("gatewayz_providers_listed", snapshot)
    assert [(0, {})] == observed("gatewayz_providers_total", snapshot)
    assert [] == observed("gatewayz_provider_info", snapshot)


def test_stale_snapshot() -> None:
    """A stale snapshot has no series of the gateway's data, and all of the exporter itself."""
    stale = Snapshot(
        invalid_fields=FULL.invalid_fields,
        last_success=FULL.last_success,
        last_update=FULL.last_update,
        last_poll=FULL.last_poll,
    )
    remaining = {
        *AT_START,
        "gatewayz_exporter_last_success_timestamp_seconds",
        "gatewayz_exporter_poll_duration_seconds",
        "gatewayz_provider_metrics_last_update",
    }

    assert sorted(remaining) == [name for name in GAUGES if observed(name, stale)]


def test_up_after_a_failed_fetch() -> None:
    """One failed fetch of the last poll sets `gatewayz_up` to 0."""
    fetches = (POLL.fetches[0], Fetch(Endpoint.STATS, Outcome.EMPTY, None))
    snapshot = Snapshot(last_poll=Poll(POLL.date, 1.0, 1, 2, fetches))

    assert [(0, {})] == observed("gatewayz_up", snapshot)


def test_identity() -> None:
    """The labels of a provider's info series are its slug, id and name."""
    assert {"provider": "openai", "id": "7", "name": "OpenAI"} == dict(identity(KNOWN))


# With the SDK


@dataclass
class Sdk:
    """A meter of the SDK with an in-memory reader and a Prometheus reader."""

    meter: Meter
    _memory: InMemoryMetricReader
    _registry: CollectorRegistry

    def metrics(self) -> Mapping[str, Metric]:
        """Return the collected metrics by name."""
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
        """Return the values of a metric by attributes."""
        values = {}
        for point in self.metrics()[name].data.data_points:
            assert isinstance(point, NumberDataPoint)
            values[key(point)] = float(point.value)
        return values

    def histograms(self, name: str) -> Mapping[tuple[tuple[str, str], ...], HistogramDataPoint]:
        """Return the histograms of a metric by attributes."""
        histograms = {}
        for point in self.metrics()[name].data.data_points:
            assert isinstance(point, HistogramDataPoint)
            histograms[key(point)] = point
        return histograms

    def published(self) -> Mapping[str, tuple[str, str]]:
        """Return type and help of each family by name; that of a counter ends with `_total`."""
        return {
            family.name + ("_total" if family.type == "counter" else ""): (family.type, family.documentation)
            for family in self._registry.collect()
        }


def key(point: NumberDataPoint | HistogramDataPoint) -> tuple[tuple[str, str], ...]:
    """Return the attributes of a point as a key."""
    return tuple(sorted((name, str(value)) for name, value in (point.attributes or {}).items()))


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    """Returns a meter whose metrics can be collected in both forms."""
    registry, memory = CollectorRegistry(), InMemoryMetricReader()
    prometheus = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    provider = MeterProvider([memory, prometheus], shutdown_on_exit=False)
    yield Sdk(provider.get_meter("test"), memory, registry)
    provider.shutdown()


def test_names_for_prometheus(sdk: Sdk) -> None:
    """Publishes every metric by the name, type and help text of its row; none has a unit."""
    providers = listed({field.path: sample(field) for field in FIELDS}).providers
    complete = replace(FULL, providers=providers)
    register_gauges(sdk.meter, lambda: complete)
    recorder = EventRecorder(sdk.meter)
    recorder.fetched(Endpoint.STATS, Outcome.OK, 0.1)
    recorder.watch_certificates(lambda: {"cert_file": 1787191300.0})
    register_lost_records(sdk.meter, int)

    assert {row.name: (row.kind.value, row.help) for row in INSTRUMENTS} == sdk.published()
    assert {""} == {metric.unit for metric in sdk.metrics().values()}


def test_gauges_read_the_current_snapshot(sdk: Sdk) -> None:
    """A collection reads the current snapshot."""
    current = [Snapshot(providers=(Provider("a", response_time_ms=5.0),))]
    register_gauges(sdk.meter, lambda: current[-1])
    assert {(("provider", "a"),): 5.0} == sdk.points("gatewayz_provider_response_time_ms")

    current.append(Snapshot(providers=(Provider("b", response_time_ms=6.0),)))

    assert {(("provider", "b"),): 6.0} == sdk.points("gatewayz_provider_response_time_ms")


def test_series_at_the_start(sdk: Sdk) -> None:
    """Before the first poll counters and the gauges of the exporter itself have series."""
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
    """Initializes the counters with all combinations of labels."""
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
    """Counts failed OTLP requests by signal."""
    recorder = EventRecorder(sdk.meter)
    recorder.telemetry_failed(Signal.LOGS)
    recorder.telemetry_failed(Signal.LOGS)

    failures = {"traces": 0.0, "logs": 2.0, "metrics": 0.0}
    assert {(("signal", signal),): count for signal, count in failures.items()} == sdk.points(
        "gatewayz_exporter_telemetry_failures"
    )


def test_certificate_expiry(sdk: Sdk) -> None:
    """Publishes the current expiry of each file, and no series for a removed file."""
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
    ids=["start", "failed", "succeeded again"],
)
def test_last_reload(sdk: Sdk, changes: Sequence[bool], value: float) -> None:
    """Publishes 1 at the start, 0 after a failed reload and 1 after the next successful one."""
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
    """Record fetches, and return the counts that are not 0, and the number of errors."""
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
    """Counts a fetch by endpoint and outcome, and as an error unless it succeeded."""
    errors = 0.0 if outcome is Outcome.OK else 1.0

    assert ({(endpoint.value, outcome.value): 1.0}, errors) == count(sdk, (endpoint, outcome))


def test_many_fetches(sdk: Sdk) -> None:
    """Adds fetches up; errors over both endpoints."""
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
    """Record fetches of the list with these durations, and return the histograms."""
    recorder = EventRecorder(sdk.meter)
    for duration in seconds:
        recorder.fetched(Endpoint.PROVIDERS, Outcome.OK, duration)
    return list(sdk.histograms("gatewayz_exporter_fetch_duration_seconds").values())


def test_boundaries_of_durations(sdk: Sdk) -> None:
    """The histogram has boundaries from 10 ms to a minute."""
    (histogram,) = durations(sdk, 0.1)

    assert [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] == list(histogram.explicit_bounds)


def test_durations_fall_into_buckets(sdk: Sdk) -> None:
    """Counts a duration in the first bucket whose boundary it does not exceed."""
    (histogram,) = durations(sdk, 0.01, 0.03, 0.05, 4.0, 60.0, 61.0)

    assert [1, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1] == list(histogram.bucket_counts)
    assert 6 == histogram.count
    assert histogram.sum == pytest.approx(125.09)


def test_durations_by_endpoint(sdk: Sdk) -> None:
    """Durations, including those of failed fetches, have one label, the endpoint."""
    recorder = EventRecorder(sdk.meter)
    recorder.fetched(Endpoint.PROVIDERS, Outcome.OK, 1.0)
    recorder.fetched(Endpoint.PROVIDERS, Outcome.TIMEOUT, 10.0)
    recorder.fetched(Endpoint.STATS, Outcome.OK, 2.0)

    histograms = sdk.histograms("gatewayz_exporter_fetch_duration_seconds")

    assert {(("endpoint", "providers"),): 11.0, (("endpoint", "stats"),): 2.0} == {
        attributes: point.sum for attributes, point in histograms.items()
    }


def test_lost_records(sdk: Sdk) -> None:
    """The counter of lost records begins at 0 and follows its callback."""
    lost = [0]
    register_lost_records(sdk.meter, lambda: lost[-1])
    assert {(): 0} == sdk.points("gatewayz_exporter_log_records_lost")

    lost.append(3)

    assert {(): 3} == sdk.points("gatewayz_exporter_log_records_lost")
