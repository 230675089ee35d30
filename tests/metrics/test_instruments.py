"""Tests of the table of instruments, and of the SDK instruments that are made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from exporter import __version__
from exporter.errors import Outcome
from exporter.gateway.decode import decode
from exporter.metrics import instruments
from exporter.metrics.instruments import (
    INSTRUMENTS,
    EventRecorder,
    Instrument,
    Kind,
    Reader,
    ReloadedFile,
    Sample,
    Signal,
    provider_gauge,
    register_gauge,
    register_lost_records,
)
from exporter.model.converters import non_negative
from exporter.model.custom import CustomKind, CustomMetric, CustomSeries, DropReason
from exporter.model.endpoints import Endpoint
from exporter.model.fields import FIELD_NAMES, FIELDS, Field, Gauge
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


COUNTS = {"total": 28, "active": 21, "inactive": 7, "healthy": 10, "degraded": 8, "down": 6, "unknown": 4}
KNOWN = Provider("openai", name="OpenAI", id="7", health=HealthStatus.DEGRADED)
BARE = Provider("quiet")
CUSTOM = CustomMetric("gatewayz_limit", "Limit.", CustomKind.GAUGE, Endpoint.STATS, None, (), ())
POLL = Poll(1787191300.0, 1.25, 1, 2, tuple(Fetch(endpoint, Outcome.OK, None) for endpoint in Endpoint))
FULL = Snapshot(
    providers=(KNOWN, BARE),
    stats=ProviderStats(**COUNTS),
    invalid_fields={"slug": 2, "is_active": 3},
    last_success={Endpoint.PROVIDERS: 1787191301.0, Endpoint.STATS: 1787191302.0},
    last_update=1787191303.0,
    last_poll=POLL,
    stale_at=1180.0,
    custom={CUSTOM: CustomSeries(dropped={DropReason.INVALID: 3})},
    timing=Timing(15.0, 46.0, 9.5, 7200.0),
)
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
        **{f"gatewayz_providers_{name}": [(count, {})] for name, count in COUNTS.items()},
        "gatewayz_provider_metrics_last_update": [(1787191303.0, {})],
        "gatewayz_up": [(1, {})],
        "gatewayz_provider_info": [
            (1, {"provider": "openai", "id": "7", "name": "OpenAI"}),
            (1, {"provider": "quiet", "id": "", "name": ""}),
        ],
        "gatewayz_provider_health_state": [
            (int(provider.health is status), {"provider": provider.slug, "state": status.label})
            for provider in (KNOWN, BARE)
            for status in HealthStatus
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
    return [(value, dict(zip(BY_NAME[name].labels, labels, strict=True))) for labels, value in read(snapshot)]


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


def test_field_that_is_only_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauge of a field without an attribute reads its value by the position of its path."""
    monkeypatch.setattr(instruments, "PUBLISHED_ONLY", ("metadata.other", "metadata.limit"))
    gauge = Gauge("gatewayz_provider_limit", "Limit.")
    providers = (
        Provider("a", published=(1.0, 5.0)),
        Provider("b", published=(1.0, None)),
        Provider("c", published=(None, 0.0)),
        Provider("d"),
    )

    read = provider_gauge(Field("metadata.limit", non_negative, gauge=gauge), gauge).read

    assert read is not None
    assert [(("a",), 5.0), (("c",), 0.0)] == list(read(Snapshot(providers=providers)))


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


# With the SDK


@dataclass
class Sdk:
    """A meter of the SDK, and what its Prometheus reader collects."""

    meter: Meter
    registry: CollectorRegistry

    def published(self) -> Mapping[str, tuple[str, str]]:
        """Return type and help of each family by name; that of a counter ends with `_total`."""
        return {
            family.name + ("_total" if family.type == "counter" else ""): (family.type, family.documentation)
            for family in self.registry.collect()
        }

    def samples(self, name: str) -> Mapping[tuple[str, ...], float]:
        """Return the samples of a name by label values."""
        return {
            tuple(sample.labels.values()): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name
        }


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    """Returns a meter with a Prometheus reader."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    yield Sdk(provider.get_meter("test"), registry)
    provider.shutdown()


@pytest.fixture
def recorder(sdk: Sdk) -> EventRecorder:
    """Returns an event recorder on the meter."""
    return EventRecorder(sdk.meter)


def register_gauges(meter: Meter, current: Callable[[], Snapshot]) -> None:
    """Register every gauge that reads the snapshot."""

    def samples(read: Reader) -> list[Sample]:
        return list(read(current()))

    for instrument in INSTRUMENTS:
        if instrument.read is not None:
            register_gauge(meter, instrument, partial(samples, instrument.read))


def test_names_for_prometheus(sdk: Sdk, recorder: EventRecorder) -> None:
    """Publishes every metric by the name, type and help text of its row; a unit would change the name."""
    complete = replace(FULL, providers=listed({field.path: sample(field) for field in FIELDS}).providers)
    register_gauges(sdk.meter, lambda: complete)
    recorder.fetched(Endpoint.STATS, Outcome.OK, 0.1)
    recorder.watch_certificates(lambda: {"cert_file": 1787191300.0})
    register_lost_records(sdk.meter, int)

    assert {row.name: (row.kind.value, row.help) for row in INSTRUMENTS} == sdk.published()


def test_gauges_read_the_current_snapshot(sdk: Sdk) -> None:
    """A collection reads the current snapshot."""
    current = [Snapshot(providers=(Provider("a", response_time_ms=5.0),))]
    register_gauges(sdk.meter, lambda: current[-1])
    assert {("a",): 5.0} == sdk.samples("gatewayz_provider_response_time_ms")

    current.append(Snapshot(providers=(Provider("b", response_time_ms=6.0),)))

    assert {("b",): 6.0} == sdk.samples("gatewayz_provider_response_time_ms")


@pytest.mark.usefixtures("recorder")
def test_series_at_the_start(sdk: Sdk) -> None:
    """Before the first poll counters and the gauges of the exporter itself have series."""
    register_gauges(sdk.meter, Snapshot)

    events = [
        "gatewayz_exporter_fetches_total",
        "gatewayz_exporter_last_reload_successful",
        "gatewayz_exporter_telemetry_failures_total",
        "gatewayz_provider_scrape_errors_total",
    ]
    assert sorted([*AT_START, *events]) == sorted(sdk.published())


@pytest.mark.usefixtures("recorder")
def test_counters_start_at_zero(sdk: Sdk) -> None:
    """Initializes the counters with all combinations of labels."""
    pairs = {(endpoint, outcome.value): 0.0 for endpoint in ("providers", "stats") for outcome in Outcome}

    assert pairs == sdk.samples("gatewayz_exporter_fetches_total")
    assert {(): 0.0} == sdk.samples("gatewayz_provider_scrape_errors_total")
    assert {("traces",): 0.0, ("logs",): 0.0, ("metrics",): 0.0} == sdk.samples(
        "gatewayz_exporter_telemetry_failures_total"
    )


def test_telemetry_failures(sdk: Sdk, recorder: EventRecorder) -> None:
    """Counts failed OTLP requests by signal."""
    recorder.telemetry_failed(Signal.LOGS)
    recorder.telemetry_failed(Signal.LOGS)

    assert {("traces",): 0.0, ("logs",): 2.0, ("metrics",): 0.0} == sdk.samples(
        "gatewayz_exporter_telemetry_failures_total"
    )


def test_certificate_expiry(sdk: Sdk, recorder: EventRecorder) -> None:
    """Publishes the current expiry of each file, and no series for a removed file."""
    expiry = {"cert_file": 1.0, "client_ca_file": 2.0}
    recorder.watch_certificates(lambda: expiry)
    name = "gatewayz_exporter_certificate_expiry_timestamp_seconds"
    assert {("cert_file",): 1.0, ("client_ca_file",): 2.0} == sdk.samples(name)

    del expiry["client_ca_file"]

    assert {("cert_file",): 1.0} == sdk.samples(name)


@pytest.mark.parametrize(("changes", "value"), [((), 1.0), ((False,), 0.0), ((False, True), 1.0)])
def test_last_reload(sdk: Sdk, recorder: EventRecorder, changes: Sequence[bool], value: float) -> None:
    """Publishes 1 at the start, 0 after a failed reload and 1 after the next successful one."""
    for successful in changes:
        recorder.reload_changed(ReloadedFile.ADMIN_KEY, successful)

    # Also after a second collection.
    for _ in range(2):
        assert {("admin_key",): value, ("web_config",): 1.0, ("custom_metrics",): 1.0} == sdk.samples(
            "gatewayz_exporter_last_reload_successful"
        )


@pytest.mark.parametrize("endpoint", Endpoint, ids=str)
@pytest.mark.parametrize("outcome", Outcome, ids=str)
def test_fetches(sdk: Sdk, recorder: EventRecorder, endpoint: Endpoint, outcome: Outcome) -> None:
    """Counts fetches by endpoint and outcome, and as errors unless they succeeded."""
    for fetched in (outcome, Outcome.OK, outcome):
        recorder.fetched(endpoint, fetched, 0.1)

    expected = Counter({(endpoint.value, outcome.value): 2.0})
    expected[endpoint.value, "ok"] += 1
    counts = sdk.samples("gatewayz_exporter_fetches_total")
    assert expected == {labels: count for labels, count in counts.items() if count}
    assert {(): 0 if outcome is Outcome.OK else 2} == sdk.samples("gatewayz_provider_scrape_errors_total")


def test_durations(sdk: Sdk, recorder: EventRecorder) -> None:
    """Counts durations up to the boundaries of the histogram, which are from 10 ms to a minute."""
    for duration in (0.01, 0.03, 0.05, 4.0, 60.0, 61.0):
        recorder.fetched(Endpoint.PROVIDERS, Outcome.OK, duration)

    name = "gatewayz_exporter_fetch_duration_seconds"
    counts = [1, 1, 3, 3, 3, 3, 3, 3, 4, 4, 4, 5, 6]
    bounds = [
        "0.01",
        "0.025",
        "0.05",
        "0.1",
        "0.25",
        "0.5",
        "1.0",
        "2.5",
        "5.0",
        "10.0",
        "30.0",
        "60.0",
        "+Inf",
    ]
    assert {("providers", bound): count for bound, count in zip(bounds, counts, strict=True)} == sdk.samples(
        f"{name}_bucket"
    )
    assert {("providers",): pytest.approx(125.09)} == sdk.samples(f"{name}_sum")


def test_durations_by_endpoint(sdk: Sdk, recorder: EventRecorder) -> None:
    """Durations, including those of failed fetches, have one label, the endpoint."""
    recorder.fetched(Endpoint.PROVIDERS, Outcome.OK, 1.0)
    recorder.fetched(Endpoint.PROVIDERS, Outcome.TIMEOUT, 10.0)
    recorder.fetched(Endpoint.STATS, Outcome.OK, 2.0)

    sums = sdk.samples("gatewayz_exporter_fetch_duration_seconds_sum")

    assert {("providers",): 11.0, ("stats",): 2.0} == sums


def test_lost_records(sdk: Sdk) -> None:
    """The counter of lost records begins at 0 and follows its callback."""
    lost = [0]
    register_lost_records(sdk.meter, lambda: lost[-1])
    assert {(): 0} == sdk.samples("gatewayz_exporter_log_records_lost_total")

    lost.append(3)

    assert {(): 3} == sdk.samples("gatewayz_exporter_log_records_lost_total")
