"""Tests of the table of instruments, and of the metrics that are made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import pytest
from opentelemetry.sdk.resources import Resource

from exporter import __version__
from exporter.errors import Outcome
from exporter.gateway.decode import decode
from exporter.metrics import instruments
from exporter.metrics.instruments import INSTRUMENTS, Kind, ReloadedFile, provider_gauge
from exporter.metrics.meters import Metrics
from exporter.model.converters import non_negative
from exporter.model.custom import CustomKind, CustomMetric, CustomSeries, DropReason
from exporter.model.endpoints import Endpoint
from exporter.model.fields import FIELD_NAMES, FIELDS, Field, Gauge
from exporter.model.provider import HealthStatus, Provider, ProviderList, ProviderStats
from exporter.model.snapshot import Fetch, Poll, Snapshot, Timing
from tests.samples import SAMPLES, row, sample

Observed = list[tuple[float, dict[str, str]]]

BY_NAME = {instrument.name: instrument for instrument in INSTRUMENTS}
GAUGES = sorted(instrument.name for instrument in INSTRUMENTS if instrument.read is not None)
PUBLISHED = [(field, field.gauge.name) for field in FIELDS if field.gauge is not None]
every_field = pytest.mark.parametrize(
    ("field", "name"), PUBLISHED, ids=lambda value: getattr(value, "path", "")
)


def outcomes(last: Outcome | None) -> Observed:
    """Return the observations of the outcomes of the last fetches."""
    return [
        (int(outcome is last), {"endpoint": endpoint, "outcome": outcome.value})
        for endpoint in ("providers", "stats")
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
        "gatewayz_exporter_last_fetch_outcome": outcomes(None),
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
        "gatewayz_exporter_last_fetch_outcome": outcomes(Outcome.OK),
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


def test_table() -> None:
    """Names and help texts are unique, help texts are sentences, only gauges are read from the snapshot."""
    texts = Counter(text for row in INSTRUMENTS for text in (row.name, row.help))

    assert {1} == set(texts.values())
    assert [] == [row for row in INSTRUMENTS if not (row.help[0].isupper() and row.help.endswith("."))]
    assert [] == [row for row in INSTRUMENTS if not row.help.isprintable()]
    assert {Kind.GAUGE} == {BY_NAME[name].kind for name in GAUGES}


def test_every_gauge_is_tested() -> None:
    """Each gauge is a field of the list, or in the expectations above."""
    assert GAUGES == sorted([*IN_FULL, *(name for _, name in PUBLISHED)])


@every_field
def test_reading_of_a_field(field: Field, name: str) -> None:
    """The gauge of a field has a series for each known value, as a plain number with the label `provider`."""
    samples = SAMPLES[field.convert].valid
    rows = [{"slug": f"p{number}", field.path: value} for number, (value, _) in enumerate(samples)]

    found = observed(name, listed(*rows))

    assert name.startswith("gatewayz_provider_")
    assert [(value, {"provider": f"p{number}"}) for number, (_, value) in enumerate(samples)] == found
    assert {type(value) for value, _ in found} <= {int, float}


def test_field_that_is_only_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauge of a field without an attribute reads its value by the position of its path."""
    monkeypatch.setattr(instruments, "PUBLISHED_ONLY", ("metadata.other", "metadata.limit"))
    gauge = Gauge("gatewayz_provider_limit", "Limit.")
    published = {"a": (1.0, 5.0), "b": (1.0, None), "c": (None, 0.0), "d": ()}
    providers = tuple(Provider(slug, published=values) for slug, values in published.items())

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


# Collected


@pytest.fixture
def metrics() -> Metrics:
    """Returns all metrics at the start."""
    return Metrics(Resource.create())


def published(metrics: Metrics, snapshot: Snapshot) -> dict[str, tuple[str, str]]:
    """Return type and help of the exporter's families by name; that of a counter ends with `_total`."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): (family.type, family.documentation)
        for family in metrics.collect(snapshot)
        if family.name.startswith("gatewayz_")
    }


def series(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a name by label values."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.collect(Snapshot())
        for sample in family.samples
        if sample.name == name
    }


def test_names_for_prometheus(metrics: Metrics) -> None:
    """Publishes every metric by the name, type and help text of its row; a unit would change the name."""
    complete = replace(FULL, providers=listed({field.path: sample(field) for field in FIELDS}).providers)
    metrics.events.fetched(Endpoint.STATS, Outcome.OK, 0.1)
    metrics.events.watch_certificates(lambda: {"cert_file": 1787191300.0})

    expected = {row.name: (row.kind.value, row.help) for row in INSTRUMENTS}
    assert expected == published(metrics, complete)


def test_series_at_the_start(metrics: Metrics) -> None:
    """Before the first poll the exporter's own gauges have series, and counters have all labels with 0."""
    counters: Mapping[str, list[tuple[str, ...]]] = {
        "gatewayz_exporter_fetches_total": [
            (endpoint, outcome.value) for endpoint in ("providers", "stats") for outcome in Outcome
        ],
        "gatewayz_exporter_log_records_lost_total": [()],
        "gatewayz_exporter_telemetry_failures_total": [("traces",), ("logs",), ("metrics",)],
        "gatewayz_provider_scrape_errors_total": [()],
    }

    own = [*AT_START, *counters, "gatewayz_exporter_last_reload_successful"]
    assert sorted(own) == sorted(published(metrics, Snapshot()))
    for name, labels in counters.items():
        assert dict.fromkeys(labels, 0.0) == series(metrics, name)


def test_certificate_expiry(metrics: Metrics) -> None:
    """Publishes the current expiry of each file, and no series for a removed file."""
    expiry = {"cert_file": 1.0, "client_ca_file": 2.0}
    metrics.events.watch_certificates(lambda: expiry)
    name = "gatewayz_exporter_certificate_expiry_timestamp_seconds"
    assert {("cert_file",): 1.0, ("client_ca_file",): 2.0} == series(metrics, name)

    del expiry["client_ca_file"]

    assert {("cert_file",): 1.0} == series(metrics, name)


@pytest.mark.parametrize(("changes", "value"), [((), 1.0), ((False,), 0.0), ((False, True), 1.0)])
def test_last_reload(metrics: Metrics, changes: Sequence[bool], value: float) -> None:
    """Publishes 1 at the start, 0 after a failed reload and 1 after the next successful one."""
    for successful in changes:
        metrics.events.reload_changed(ReloadedFile.ADMIN_KEY, successful)

    # Also after a second collection.
    for _ in range(2):
        reloads = series(metrics, "gatewayz_exporter_last_reload_successful")
        assert {("admin_key",): value, ("web_config",): 1.0, ("custom_metrics",): 1.0} == reloads


@pytest.mark.parametrize("endpoint", Endpoint, ids=str)
@pytest.mark.parametrize("outcome", Outcome, ids=str)
def test_fetches(metrics: Metrics, endpoint: Endpoint, outcome: Outcome) -> None:
    """Counts fetches by endpoint and outcome, and as errors unless they succeeded."""
    for fetched in (outcome, Outcome.OK, outcome):
        metrics.events.fetched(endpoint, fetched, 0.1)

    expected = Counter({(endpoint.value, outcome.value): 2.0})
    expected[endpoint.value, "ok"] += 1
    counts = series(metrics, "gatewayz_exporter_fetches_total")
    assert expected == {labels: count for labels, count in counts.items() if count}
    assert {(): 0 if outcome is Outcome.OK else 2} == series(metrics, "gatewayz_provider_scrape_errors_total")


def test_durations(metrics: Metrics) -> None:
    """Durations, also of failed fetches, are counted by endpoint up to the boundaries of the histogram."""
    for duration in (0.01, 0.03, 0.05, 4.0, 60.0, 61.0):
        metrics.events.fetched(Endpoint.PROVIDERS, Outcome.TIMEOUT, duration)
    metrics.events.fetched(Endpoint.STATS, Outcome.OK, 2.0)

    bounds = ("0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0")
    counts = {
        "providers": (1, 1, 3, 3, 3, 3, 3, 3, 4, 4, 4, 5, 6),
        "stats": (0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1),
    }
    expected = {
        (name, le): n for name in counts for le, n in zip((*bounds, "+Inf"), counts[name], strict=True)
    }
    name = "gatewayz_exporter_fetch_duration_seconds"
    assert expected == series(metrics, f"{name}_bucket")
    assert {("providers",): pytest.approx(125.09), ("stats",): 2.0} == series(metrics, f"{name}_sum")


def test_lost_records() -> None:
    """The counter of lost records follows its callback."""
    metrics = Metrics(Resource.create(), iter((1, 3)).__next__)

    counts = [series(metrics, "gatewayz_exporter_log_records_lost_total") for _ in range(2)]

    assert [{(): 1}, {(): 3}] == counts
