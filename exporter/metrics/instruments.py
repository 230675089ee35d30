"""Every metric of the exporter in one table, but `process_*` and `target_info`, which libraries define.

To add a metric, add a row. Names are the public contract; none has a unit, which would change the name on
its way to Prometheus. A row's `read` is a pure function of a validated `Snapshot`: the SDK drops the rest of
a family, silently, when a callback raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from opentelemetry.metrics import CallbackOptions, Counter, Meter, Observation

from exporter import __version__
from exporter.errors import Outcome
from exporter.gateway.decode import FIELD_NAMES
from exporter.model.custom import DropReason
from exporter.model.endpoints import Endpoint
from exporter.model.provider import HealthStatus, Provider
from exporter.model.snapshot import Snapshot

Reader = Callable[[Snapshot], Iterable[Observation]]

DURATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ReloadedFile(StrEnum):
    """A file that is read again while the exporter runs: label `file`."""

    ADMIN_KEY = "admin_key"
    WEB_CONFIG = "web_config"
    CUSTOM_METRICS = "custom_metrics"


class Signal(StrEnum):
    """What is sent by OTLP: label `signal`."""

    TRACES = "traces"
    LOGS = "logs"
    METRICS = "metrics"


class Kind(StrEnum):
    """Prometheus type of a metric."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric as Prometheus sees it; `read` is there for those that tell what a snapshot says."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    read: Reader | None = None


def _gauge(name: str, text: str, read: Reader, *labels: str) -> Instrument:
    return Instrument(name, Kind.GAUGE, text, labels, read)


def _count(field: str, text: str) -> Instrument:
    """A gauge of one of the seven counts of `/providers/stats`."""
    value = attrgetter(field)

    def read(snapshot: Snapshot) -> Iterator[Observation]:
        if snapshot.stats is not None:
            yield Observation(value(snapshot.stats))

    return _gauge(f"gatewayz_providers_{field}", f"{text}, from the gateway's own counts.", read)


def _timing(field: str, text: str) -> Instrument:
    """A gauge of one setting in seconds."""
    value = attrgetter(f"timing.{field}")
    return _gauge(f"gatewayz_exporter_{field}_seconds", text, _one(value))


def _per_provider(name: str, text: str, value: Callable[[Provider], float | None]) -> Instrument:
    """A gauge with one series for each provider whose value is known."""

    def read(snapshot: Snapshot) -> Iterator[Observation]:
        for provider in snapshot.providers or ():
            number = value(provider)
            if number is not None:
                yield Observation(number, {"provider": provider.slug})

    return _gauge(name, text, read, "provider")


def _flag(name: str, text: str) -> Instrument:
    """A 1 or 0 for each provider from a boolean of the list."""
    flag = attrgetter(name)

    def value(provider: Provider) -> int | None:
        answer: bool | None = flag(provider)
        return None if answer is None else int(answer)

    return _per_provider(f"gatewayz_provider_{name}", f"{text} (1 yes, 0 no).", value)


def _one(value: Callable[[Snapshot], float | None]) -> Reader:
    """Read a single series without labels, absent while its value is not known."""

    def read(snapshot: Snapshot) -> Iterator[Observation]:
        number = value(snapshot)
        if number is not None:
            yield Observation(number)

    return read


def _info(snapshot: Snapshot) -> Iterator[Observation]:
    for provider in snapshot.providers or ():
        yield Observation(1, identity(provider))


def _health_states(snapshot: Snapshot) -> Iterator[Observation]:
    for provider in snapshot.providers or ():
        for status in HealthStatus:
            yield Observation(
                int(status is provider.health), {"provider": provider.slug, "state": status.label}
            )


def _last_success(snapshot: Snapshot) -> Iterator[Observation]:
    for endpoint, date in snapshot.last_success.items():
        yield Observation(date, {"endpoint": endpoint.value})


def _last_fetch_outcome(snapshot: Snapshot) -> Iterator[Observation]:
    fetches = snapshot.last_poll.fetches if snapshot.last_poll else ()
    outcomes = {fetch.endpoint: fetch.outcome for fetch in fetches}
    for endpoint in Endpoint:
        for outcome in Outcome:
            yield Observation(int(outcomes.get(endpoint) is outcome), _labels(endpoint, outcome))


def _invalid_fields(snapshot: Snapshot) -> Iterator[Observation]:
    for name in FIELD_NAMES:
        yield Observation(snapshot.invalid_fields.get(name, 0), {"field": name})


def _custom_dropped(snapshot: Snapshot) -> Iterator[Observation]:
    for metric, series in snapshot.custom.items():
        for reason in DropReason:
            yield Observation(series.dropped.get(reason, 0), {"metric": metric.name, "reason": reason.value})


def _build_info(snapshot: Snapshot) -> Iterator[Observation]:
    yield Observation(1, {"version": __version__})


def identity(provider: Provider) -> Mapping[str, str]:
    """Return the labels of a provider's info series, the only one with more than its slug and state."""
    return {"provider": provider.slug, "id": provider.id, "name": provider.name}


SCRAPE_ERRORS = Instrument(
    "gatewayz_provider_scrape_errors_total",
    Kind.COUNTER,
    "Fetches from the gateway that failed, both endpoints together.",
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
    "Time of a fetch from the gateway: redirects, retries and the decoding of its own answer included.",
    ("endpoint",),
)
LAST_RELOAD = Instrument(
    "gatewayz_exporter_last_reload_successful",
    Kind.GAUGE,
    "Whether a file that is read again is of use (1 yes, 0 no: what it said before holds on).",
    ("file",),
)
LOST_RECORDS = Instrument(
    "gatewayz_exporter_log_records_lost_total",
    Kind.COUNTER,
    "Log records that could not be written to standard output: it was blocked, closed or full.",
)
TELEMETRY_FAILURES = Instrument(
    "gatewayz_exporter_telemetry_failures_total",
    Kind.COUNTER,
    "OTLP requests that failed for good, by signal; what they held is lost.",
    ("signal",),
)
CERTIFICATE_EXPIRY = Instrument(
    "gatewayz_exporter_certificate_expiry_timestamp_seconds",
    Kind.GAUGE,
    "Unix time at which the first certificate in a file of the web configuration expires.",
    ("file",),
)

INSTRUMENTS = (
    _count("total", "Providers that the gateway knows, a gauge despite its name"),
    _count("active", "Active providers"),
    _count("inactive", "Inactive providers"),
    _count("healthy", "Healthy providers, inactive ones included"),
    _count("degraded", "Degraded providers, inactive ones included"),
    _count("down", "Providers that are down, inactive ones included"),
    _count("unknown", "Providers of unknown health, inactive ones included"),
    _per_provider(
        "gatewayz_provider_response_time_ms",
        "Average response time in milliseconds as last reported to the gateway; absent if none was.",
        attrgetter("response_time_ms"),
    ),
    _flag("supports_streaming", "Whether the provider can stream"),
    _flag("supports_function_calling", "Whether the provider can call functions"),
    _flag("supports_vision", "Whether the provider takes images"),
    _flag("supports_image_generation", "Whether the provider makes images"),
    _flag("is_active", "Whether the gateway routes to the provider"),
    _per_provider(
        "gatewayz_provider_health_status",
        "Health as last reported: 0 unknown, 1 healthy, 2 degraded, 3 down. An inactive one keeps its last.",
        attrgetter("health.value"),
    ),
    _gauge(
        "gatewayz_provider_metrics_last_update",
        "Unix time of the last poll in which both fetches succeeded. The gateway is polled at an interval.",
        _one(attrgetter("last_update")),
    ),
    SCRAPE_ERRORS,
    _gauge(
        "gatewayz_up",
        "Whether the last poll succeeded on both endpoints (1 yes, 0 no).",
        _one(lambda snapshot: int(snapshot.up)),
    ),
    _gauge("gatewayz_provider_info", "Names of a provider; always 1.", _info, "provider", "id", "name"),
    _gauge(
        "gatewayz_provider_health_state",
        "Health as last reported, one series for each state, of which exactly one is 1.",
        _health_states,
        "provider",
        "state",
    ),
    _per_provider(
        "gatewayz_provider_last_health_check_timestamp_seconds",
        "Unix time at which the provider's health was last reported to the gateway; absent if it never was.",
        attrgetter("last_health_check"),
    ),
    _gauge(
        "gatewayz_providers_listed",
        "Providers in the gateway's list, inactive ones included.",
        _one(lambda snapshot: None if snapshot.providers is None else len(snapshot.providers)),
    ),
    FETCHES,
    FETCH_DURATION,
    _gauge(
        "gatewayz_exporter_last_fetch_outcome",
        "How the last fetch of an endpoint ended, one series for each outcome, of which exactly one is 1.",
        _last_fetch_outcome,
        "endpoint",
        "outcome",
    ),
    LAST_RELOAD,
    _gauge(
        "gatewayz_exporter_last_success_timestamp_seconds",
        "Unix time of the last good fetch of an endpoint; absent before the first.",
        _last_success,
        "endpoint",
    ),
    _gauge(
        "gatewayz_exporter_poll_duration_seconds",
        "Time from the start of the last poll until its results were ready to be published.",
        _one(lambda snapshot: snapshot.last_poll.duration_seconds if snapshot.last_poll else None),
    ),
    _gauge(
        "gatewayz_exporter_invalid_fields",
        "Values in the last list that could not be understood and were left out, by field.",
        _invalid_fields,
        "field",
    ),
    _gauge(
        "gatewayz_exporter_custom_values_dropped",
        "Values of custom metrics that were left out of the last answer, by metric and reason.",
        _custom_dropped,
        "metric",
        "reason",
    ),
    LOST_RECORDS,
    TELEMETRY_FAILURES,
    CERTIFICATE_EXPIRY,
    _timing("poll_interval", "Seconds between two polls of the gateway, as set."),
    _timing("stale_after", "Age in seconds at which data of the gateway are dropped, as set."),
    _timing("fetch_timeout", "Deadline of a fetch from the gateway in seconds, as set."),
    _timing("health_check_overdue", "Age in seconds at which a health check counts as overdue, as set."),
    _gauge("gatewayz_exporter_build_info", "Version of the exporter; always 1.", _build_info, "version"),
)


def register_gauges(
    meter: Meter, current: Callable[[], Snapshot], instruments: Iterable[Instrument] = INSTRUMENTS
) -> None:
    """Create an observable gauge for each row that reads the snapshot that `current` returns."""
    for instrument in instruments:
        if instrument.read is not None:
            callback = _callback(instrument.read, current)
            meter.create_observable_gauge(instrument.name, [callback], description=instrument.help)


def _callback(
    read: Reader, current: Callable[[], Snapshot]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda options: read(current())


def register_lost_records(meter: Meter, count: Callable[[], int]) -> None:
    """Create the counter of log records that `count` returns, all since the start."""
    meter.create_observable_counter(
        LOST_RECORDS.name.removesuffix("_total"),
        [lambda options: [Observation(count())]],
        description=LOST_RECORDS.help,
    )


class EventRecorder:
    """The metrics that follow events instead of reading the snapshot; for any thread."""

    def __init__(self, meter: Meter) -> None:
        """Create them with every series that can be known beforehand at 0.

        The SDK publishes a counter's series from its first `add`; a histogram cannot be primed.
        """
        self._errors = _counter(meter, SCRAPE_ERRORS)
        self._fetches = _counter(meter, FETCHES)
        self._duration = meter.create_histogram(
            FETCH_DURATION.name,
            description=FETCH_DURATION.help,
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )
        # A synchronous gauge would be forgotten after each collection.
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
        """Count one fetch that has ended."""
        self._fetches.add(1, _labels(endpoint, outcome))
        self._duration.record(seconds, {"endpoint": endpoint.value})
        if outcome is not Outcome.OK:
            self._errors.add(1)

    def reload_changed(self, file: ReloadedFile, successful: bool) -> None:
        """Note that a file is of no use any more, or of use again."""
        self._last_reload.add(1 if successful else -1, {"file": file.value})

    def telemetry_failed(self, signal: Signal) -> None:
        """Count one OTLP request that failed for good."""
        self._telemetry_failures.add(1, {"signal": signal.value})

    def watch_certificates(self, expiry: Callable[[], Mapping[str, float]]) -> None:
        """Publish what `expiry` returns: Unix times, by the file's key in the web configuration."""
        self._certificate_expiry = expiry

    def _expiries(self, options: CallbackOptions) -> Iterator[Observation]:
        for file, date in self._certificate_expiry().items():
            yield Observation(date, {"file": file})


def _counter(meter: Meter, instrument: Instrument) -> Counter:
    """Create a counter by its name without `_total`, which the Prometheus reader adds again."""
    return meter.create_counter(instrument.name.removesuffix("_total"), description=instrument.help)


def _labels(endpoint: Endpoint, outcome: Outcome) -> Mapping[str, str]:
    return {"endpoint": endpoint.value, "outcome": outcome.value}
