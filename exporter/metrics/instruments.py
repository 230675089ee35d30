"""The table of all metrics, except `process_*` and `target_info`, which libraries define.

Gauges of the gateway's list come from `exporter.model.fields`. Names are a public contract. No instrument has
a unit: the Prometheus exporter would append it to the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from operator import attrgetter

from opentelemetry.metrics import CallbackOptions, Counter, Meter, Observation

from exporter import __version__
from exporter.errors import Outcome
from exporter.model.custom import DropReason
from exporter.model.endpoints import Endpoint
from exporter.model.fields import FIELD_NAMES, FIELDS, PUBLISHED_ONLY, Field, Gauge
from exporter.model.provider import HealthStatus, Provider
from exporter.model.snapshot import Snapshot

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, in the order of the instrument, and the value of a series."""
Reader = Callable[[Snapshot], Iterable[Sample]]

DURATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ReloadedFile(StrEnum):
    """A file that is reloaded while the exporter runs: label `file`."""

    ADMIN_KEY = "admin_key"
    WEB_CONFIG = "web_config"
    CUSTOM_METRICS = "custom_metrics"


class Signal(StrEnum):
    """A signal of OpenTelemetry that is exported by OTLP: label `signal`."""

    TRACES = "traces"
    LOGS = "logs"
    METRICS = "metrics"


class Kind(StrEnum):
    """Prometheus type of a metric."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Group(Enum):
    """Gauges that usually change together; see `exporter.metrics.meters`."""

    POLL = "every poll"
    STATE = "rarely"
    PROVIDERS = "each by itself"
    CUSTOM = "custom metrics"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric in Prometheus' terms; a gauge of the snapshot has `read`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    read: Reader | None = None
    group: Group = Group.STATE


def _gauge(name: str, text: str, read: Reader, *labels: str, group: Group = Group.STATE) -> Instrument:
    return Instrument(name, Kind.GAUGE, text, labels, read, group)


def _count(field: str, text: str) -> Instrument:
    """Return the gauge of one of the seven counts."""
    value = attrgetter(field)

    def read(snapshot: Snapshot) -> Iterator[Sample]:
        if snapshot.stats is not None:
            yield (), value(snapshot.stats)

    return _gauge(f"gatewayz_providers_{field}", f"{text}, as counted by the gateway.", read)


def _timing(field: str, text: str) -> Instrument:
    """Return the gauge of a setting in seconds."""
    value = attrgetter(f"timing.{field}")
    return _gauge(f"gatewayz_exporter_{field}_seconds", text, _one(value))


def provider_gauge(field: Field, gauge: Gauge) -> Instrument:
    """Return the gauge of a field of the list."""
    value = _value_of(field)

    def read(snapshot: Snapshot) -> Iterator[Sample]:
        for provider in snapshot.providers or ():
            number = value(provider)
            if number is not None:
                # Makes an integer of a boolean or a health status, and 0.0 of -0.0.
                yield (provider.slug,), number + 0

    return _gauge(gauge.name, gauge.help, read, "provider", group=Group.PROVIDERS)


def _value_of(field: Field) -> Callable[[Provider], float | None]:
    """Return a function that reads the value of a field from a provider."""
    if field.attribute:
        return attrgetter(field.attribute)
    index = PUBLISHED_ONLY.index(field.path)
    return lambda provider: provider.published[index] if provider.published else None


def _one(value: Callable[[Snapshot], float | None]) -> Reader:
    """Return a reader of a single series without labels, absent while its value is None."""

    def read(snapshot: Snapshot) -> Iterator[Sample]:
        number = value(snapshot)
        if number is not None:
            # Makes 0.0 of -0.0, which is equal but published differently.
            yield (), number + 0

    return read


def _info(snapshot: Snapshot) -> Iterator[Sample]:
    for provider in snapshot.providers or ():
        yield (provider.slug, provider.id, provider.name), 1


def _health_states(snapshot: Snapshot) -> Iterator[Sample]:
    states = [(status, status.label) for status in HealthStatus]
    for provider in snapshot.providers or ():
        slug, health = provider.slug, provider.health
        for status, label in states:
            yield (slug, label), int(status is health)


def _last_success(snapshot: Snapshot) -> Iterator[Sample]:
    for endpoint, date in snapshot.last_success.items():
        yield (endpoint.value,), date


def _last_fetch_outcome(snapshot: Snapshot) -> Iterator[Sample]:
    fetches = snapshot.last_poll.fetches if snapshot.last_poll else ()
    outcomes = {fetch.endpoint: fetch.outcome for fetch in fetches}
    for endpoint in Endpoint:
        for outcome in Outcome:
            yield (endpoint.value, outcome.value), int(outcomes.get(endpoint) is outcome)


def _invalid_fields(snapshot: Snapshot) -> Iterator[Sample]:
    for name in FIELD_NAMES:
        yield (name,), snapshot.invalid_fields.get(name, 0)


def _custom_dropped(snapshot: Snapshot) -> Iterator[Sample]:
    for metric, series in snapshot.custom.items():
        for reason in DropReason:
            yield (metric.name, reason.value), series.dropped.get(reason, 0)


def _build_info(snapshot: Snapshot) -> Iterator[Sample]:
    yield (__version__,), 1


SCRAPE_ERRORS = Instrument(
    "gatewayz_provider_scrape_errors_total",
    Kind.COUNTER,
    "Failed fetches from the gateway, of both endpoints.",
)
FETCHES = Instrument(
    "gatewayz_exporter_fetches_total",
    Kind.COUNTER,
    "Fetches from the gateway by endpoint and outcome.",
    ("endpoint", "outcome"),
)
FETCH_DURATION = Instrument(
    "gatewayz_exporter_fetch_duration_seconds",
    Kind.HISTOGRAM,
    "Duration of a fetch from the gateway, including redirects, retries and decoding.",
    ("endpoint",),
)
LAST_RELOAD = Instrument(
    "gatewayz_exporter_last_reload_successful",
    Kind.GAUGE,
    "Whether the last reload of a configuration file succeeded (1) or its previous version is in use (0).",
    ("file",),
)
LOST_RECORDS = Instrument(
    "gatewayz_exporter_log_records_lost_total",
    Kind.COUNTER,
    "Log records dropped because standard output was blocked, closed or full.",
)
TELEMETRY_FAILURES = Instrument(
    "gatewayz_exporter_telemetry_failures_total",
    Kind.COUNTER,
    "OTLP requests that failed after all retries, by signal; their data is lost.",
    ("signal",),
)
CERTIFICATE_EXPIRY = Instrument(
    "gatewayz_exporter_certificate_expiry_timestamp_seconds",
    Kind.GAUGE,
    "Unix time of the first expiry of a certificate in a file of the web configuration.",
    ("file",),
)

INSTRUMENTS = (
    _count("total", "All providers"),
    _count("active", "Active providers"),
    _count("inactive", "Inactive providers"),
    _count("healthy", "Healthy providers, including inactive ones"),
    _count("degraded", "Degraded providers, including inactive ones"),
    _count("down", "Providers that are down, including inactive ones"),
    _count("unknown", "Providers of unknown health, including inactive ones"),
    *(provider_gauge(field, field.gauge) for field in FIELDS if field.gauge),
    _gauge(
        "gatewayz_provider_metrics_last_update",
        "Unix time of the last poll in which both fetches succeeded.",
        _one(attrgetter("last_update")),
        group=Group.POLL,
    ),
    SCRAPE_ERRORS,
    _gauge(
        "gatewayz_up",
        "Whether both fetches of the last poll succeeded (1) or not (0).",
        _one(lambda snapshot: int(snapshot.up)),
    ),
    _gauge(
        "gatewayz_provider_info",
        "ID and name of a provider; always 1.",
        _info,
        "provider",
        "id",
        "name",
        group=Group.PROVIDERS,
    ),
    _gauge(
        "gatewayz_provider_health_state",
        "Last reported health: 1 for the current state, 0 for the others.",
        _health_states,
        "provider",
        "state",
        group=Group.PROVIDERS,
    ),
    _gauge(
        "gatewayz_providers_listed",
        "Providers in the gateway's list, including inactive ones.",
        _one(lambda snapshot: None if snapshot.providers is None else len(snapshot.providers)),
    ),
    FETCHES,
    FETCH_DURATION,
    _gauge(
        "gatewayz_exporter_last_fetch_outcome",
        "Outcome of the last fetch of an endpoint: 1 for this outcome, 0 for the others.",
        _last_fetch_outcome,
        "endpoint",
        "outcome",
    ),
    LAST_RELOAD,
    _gauge(
        "gatewayz_exporter_last_success_timestamp_seconds",
        "Unix time of the last successful fetch of an endpoint.",
        _last_success,
        "endpoint",
        group=Group.POLL,
    ),
    _gauge(
        "gatewayz_exporter_poll_duration_seconds",
        "Duration of the last poll, until its results are ready to be published.",
        _one(lambda snapshot: snapshot.last_poll.duration_seconds if snapshot.last_poll else None),
        group=Group.POLL,
    ),
    _gauge(
        "gatewayz_exporter_invalid_fields",
        "Invalid values in the last list, by field; they are not published.",
        _invalid_fields,
        "field",
    ),
    _gauge(
        "gatewayz_exporter_custom_values_dropped",
        "Values of custom metrics dropped from the last answer, by metric and reason.",
        _custom_dropped,
        "metric",
        "reason",
    ),
    LOST_RECORDS,
    TELEMETRY_FAILURES,
    CERTIFICATE_EXPIRY,
    _timing("poll_interval", "Configured interval between polls of the gateway in seconds."),
    _timing("stale_after", "Configured age in seconds at which data of the gateway is no longer published."),
    _timing("fetch_timeout", "Configured deadline of a fetch from the gateway in seconds."),
    _timing("health_check_overdue", "Configured age in seconds at which a health check is overdue."),
    _gauge("gatewayz_exporter_build_info", "Version of the exporter; always 1.", _build_info, "version"),
)


def register_gauge(meter: Meter, instrument: Instrument, samples: Callable[[], Sequence[Sample]]) -> None:
    """Create an observable gauge with the samples that `samples` returns."""

    def observe(options: CallbackOptions) -> Iterator[Observation]:
        for labels, value in samples():
            yield Observation(value, dict(zip(instrument.labels, labels, strict=True)))

    meter.create_observable_gauge(instrument.name, [observe], description=instrument.help)


def register_lost_records(meter: Meter, count: Callable[[], int]) -> None:
    """Create the counter of lost log records; `count` returns their number since the start."""
    meter.create_observable_counter(
        LOST_RECORDS.name.removesuffix("_total"),
        [lambda options: [Observation(count())]],
        description=LOST_RECORDS.help,
    )


class EventRecorder:
    """Metrics that are updated by events instead of read from the snapshot; thread-safe."""

    def __init__(self, meter: Meter) -> None:
        """Create the instruments and initialize all counters.

        The SDK exports a series of a counter after its first `add`. A histogram cannot be initialized.
        """
        self._errors = _counter(meter, SCRAPE_ERRORS)
        self._fetches = _counter(meter, FETCHES)
        self._duration = meter.create_histogram(
            FETCH_DURATION.name,
            description=FETCH_DURATION.help,
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )
        # The reader drops the value of a synchronous gauge after each collection.
        self._last_reload = meter.create_up_down_counter(LAST_RELOAD.name, description=LAST_RELOAD.help)
        self._telemetry_failures = _counter(meter, TELEMETRY_FAILURES)
        self._certificate_expiry: Callable[[], Mapping[str, float]] = dict
        meter.create_observable_gauge(
            CERTIFICATE_EXPIRY.name, [self._expiries], description=CERTIFICATE_EXPIRY.help
        )
        self._errors.add(0)
        for endpoint in Endpoint:
            for outcome in Outcome:
                self._fetches.add(0, _labels(endpoint, outcome))
        for file in ReloadedFile:
            self._last_reload.add(1, {"file": file.value})
        for signal in Signal:
            self._telemetry_failures.add(0, {"signal": signal.value})

    def fetched(self, endpoint: Endpoint, outcome: Outcome, seconds: float) -> None:
        """Count a fetch that has ended, and record its duration."""
        self._fetches.add(1, _labels(endpoint, outcome))
        self._duration.record(seconds, {"endpoint": endpoint.value})
        if outcome is not Outcome.OK:
            self._errors.add(1)

    def reload_changed(self, file: ReloadedFile, successful: bool) -> None:
        """Publish whether reloads of a file succeed; call it on changes only."""
        self._last_reload.add(1 if successful else -1, {"file": file.value})

    def telemetry_failed(self, signal: Signal) -> None:
        """Count an OTLP request that failed after all retries."""
        self._telemetry_failures.add(1, {"signal": signal.value})

    def watch_certificates(self, expiry: Callable[[], Mapping[str, float]]) -> None:
        """Publish the Unix times that `expiry` returns, by key of the file in the web configuration."""
        self._certificate_expiry = expiry

    def _expiries(self, options: CallbackOptions) -> Iterator[Observation]:
        for file, date in self._certificate_expiry().items():
            yield Observation(date, {"file": file})


def _counter(meter: Meter, instrument: Instrument) -> Counter:
    """Create a counter without `_total` in its name, which the Prometheus reader appends."""
    return meter.create_counter(instrument.name.removesuffix("_total"), description=instrument.help)


def _labels(endpoint: Endpoint, outcome: Outcome) -> Mapping[str, str]:
    return {"endpoint": endpoint.value, "outcome": outcome.value}
