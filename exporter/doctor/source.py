"""Checks of settings, gateway and exporter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import urlsplit

from exporter.check import NO_PROVIDERS, OVERDUE, empty_answer
from exporter.config.settings import TELEMETRY_PATH, Settings, load_settings, load_web_settings
from exporter.config.values import address
from exporter.configuration import CUSTOM_METRICS_FILE, WEB_CONFIG_FILES, read_custom_metrics, read_web_file
from exporter.doctor.context import Context, Exposition
from exporter.doctor.report import Finding, State, duration, failed, not_set, ok, plural, sanitized
from exporter.doctor.targets import EXPORTER
from exporter.errors import Outcome, SettingsError
from exporter.model.snapshot import Fetch, Snapshot
from exporter.status.headline import mostly_overdue, tally
from exporter.transport.authorities import AUTHORITIES
from exporter.transport.connecting import NO_CONNECTION
from exporter.transport.probe import ProbeError, Reply
from exporter.web.healthcheck import ANY_ADDRESS

DNS, CONNECTION, TLS, KEY, ANSWERS = "DNS", "connection", "TLS", "key", "answers"
STEPS = (DNS, CONNECTION, TLS, KEY, ANSWERS)
"""Steps of a request to the gateway, in order."""
STEP_BY_OUTCOME = MappingProxyType(
    {
        Outcome.DNS: DNS,
        Outcome.CONNECT: CONNECTION,
        Outcome.PROXY: CONNECTION,
        Outcome.TLS: TLS,
        Outcome.UNAUTHORIZED: KEY,
        Outcome.FORBIDDEN: KEY,
    }
)
"""All other outcomes belong to ANSWERS."""
GATEWAY_VARIABLES = frozenset(
    {
        *("GATEWAY_API_URL", "ADMIN_KEY", "ADMIN_KEY_FILE", "FETCH_TIMEOUT", "HEALTH_CHECK_OVERDUE"),
        *AUTHORITIES,
    }
)
"""What a poll needs."""

INVALID_FILE = "The exporter does not start with this file; one that runs keeps its previous version."
POLLER_DEAD = "The poller has ended or hangs: read the end of the exporter's log, and restart the exporter."
NOT_OURS = "Set EXPORTER_URL to the root of the exporter."
POLL_FAILS = (
    'If the checks of the gateway above passed, read the records "Fetch failed" in the exporter\'s log.'
)
FIRST_POLL = "The first poll is running: run this again in a few seconds."
SAMPLE = r"^{name}(?:\{{([^}}]*)\}})? (\S+)$"


def own_url(environ: Mapping[str, str]) -> str | None:
    """Return the URL of the exporter with these settings, None if it is unknown."""
    try:
        web = load_web_settings(environ)
    except SettingsError:
        return None
    if web.port == 0:
        return None
    reading = read_web_file(environ)
    scheme = "https" if reading and reading.config.tls else "http"
    host = "localhost" if web.host in ANY_ADDRESS else web.host
    return f"{scheme}://{address(host, web.port)}{web.route_prefix}"


def _telemetry_path(environ: Mapping[str, str]) -> str:
    try:
        return load_web_settings(environ).telemetry_path
    except SettingsError:
        return TELEMETRY_PATH


def settings(context: Context) -> Finding:
    """Read the environment."""
    try:
        context.settings = context.gateway = load_settings(context.environ)
    except SettingsError as error:
        context.gateway = _gateway_settings(context.environ)
        return failed(plural(len(error.problems), "problem"), "\n".join(error.problems))
    return Finding(State.OK, _described(context.settings), "\n".join(context.settings.warnings))


def _gateway_settings(environ: Mapping[str, str]) -> Settings | None:
    """Return the settings for a poll, None if they are invalid."""
    try:
        return load_settings({name: text for name, text in environ.items() if name in GATEWAY_VARIABLES})
    except SettingsError:
        return None


def web_configuration(context: Context) -> Finding:
    """Read the web configuration file."""
    file, variable = read_web_file(context.environ), WEB_CONFIG_FILES[-1]
    if file is None:
        return not_set(variable)
    if file.problems:
        return _invalid_file(variable, file.problems)
    found = f"{'TLS' if file.config.tls else 'no TLS'}, {plural(len(file.config.users), 'user')}"
    return Finding(State.OK, found, "\n".join(file.config.warnings))


def custom_metrics(context: Context) -> Finding:
    """Read the file of the custom metrics."""
    file = read_custom_metrics(context.environ)
    if file is None:
        return not_set(CUSTOM_METRICS_FILE)
    if file.problems:
        return _invalid_file(CUSTOM_METRICS_FILE, file.problems)
    return ok(plural(len(file.metrics), "metric"))


def _invalid_file(variable: str, problems: Sequence[str]) -> Finding:
    lines = [*(f"{variable}: {problem}" for problem in problems), INVALID_FILE]
    return failed(plural(len(problems), "problem"), "\n".join(lines))


def gateway(step: str) -> Callable[[Context], Finding]:
    """Return the check of one step; the first one polls the gateway."""

    def check(context: Context) -> Finding:
        if context.gateway is None:
            return Finding(State.NOT_TRIED, "needs settings")
        if context.snapshot is None:
            context.snapshot = context.poll(context.gateway)
        fetches = context.snapshot.last_poll.fetches if context.snapshot.last_poll else ()
        broken = [fetch for fetch in fetches if fetch.outcome is not Outcome.OK and _step(fetch) == step]
        if broken:
            # The same failure of both endpoints has the same hint.
            hints = dict.fromkeys(fetch.hint for fetch in broken)
            return failed(", ".join(map(_failure, broken)), "\n".join(hints))
        return _passed(step, context.gateway, context.snapshot)

    return check


def health_checks(context: Context) -> Finding:
    """Check the age of the active providers' health checks, as the status page does."""
    counts = tally(context.snapshot) if context.snapshot else {}
    if not counts.get("active"):
        return Finding(State.SKIPPED, "no provider is active")
    if text := mostly_overdue(counts):
        return failed(text, OVERDUE)
    return ok(f"{counts['overdue']} of {counts['active']} active providers overdue")


def exporter(context: Context) -> Finding:
    """Read the exporter's `/metrics`."""
    try:
        reply = context.get(EXPORTER, _telemetry_path(context.environ))
    except ProbeError as error:
        if error.status == 503:
            return failed(error.detail, POLLER_DEAD)
        raise
    exposition = _exposition(reply, context)
    if exposition.version is None:
        return failed("no metrics of this exporter", NOT_OURS)
    context.exposition = exposition
    age = "" if exposition.started is None else f", started {_ago(exposition, exposition.started)}"
    return ok(f"version {sanitized(exposition.version)}{age}")


def exporter_poll(context: Context) -> Finding:
    """Check the last poll by the metrics of the exporter."""
    exposition = context.exposition
    if exposition is None:
        return Finding(State.NOT_TRIED, "the metrics of the exporter are unknown")
    updated = exposition.last_update
    last = "none since the start" if updated is None else _ago(exposition, updated)
    if exposition.up:
        listed = f", {exposition.listed:.0f} providers" if exposition.listed is not None else ""
        return ok(f"last successful poll {last}{listed}")
    if exposition.fetches == 0:
        return Finding(State.WAITING, "no poll has ended yet", FIRST_POLL)
    return failed(f"the last poll failed; last successful poll: {last}", POLL_FAILS)


def _ago(exposition: Exposition, moment: float) -> str:
    return f"{duration(exposition.now - moment)} ago"


def _described(settings: Settings) -> str:
    # Without paths and queries of the URLs, which may contain a key.
    telemetry = settings.telemetry
    sends = telemetry.traces_protocol or telemetry.logs_protocol or telemetry.metrics_protocol
    urls = [urlsplit(endpoint) for endpoint in telemetry.endpoints] if sends else []
    servers = dict.fromkeys(f"{url.scheme}://{url.netloc}" for url in urls)
    sent = f"telemetry to {', '.join(servers)}" if servers else "no telemetry is sent"
    return f"{settings.gateway_url} every {settings.interval:g} s; {sent}"


def _step(fetch: Fetch) -> str:
    if fetch.outcome is Outcome.TIMEOUT and NO_CONNECTION in fetch.hint:
        return CONNECTION
    return STEP_BY_OUTCOME.get(fetch.outcome, ANSWERS)


def _failure(fetch: Fetch) -> str:
    return f"{fetch.endpoint.path}: {fetch.outcome}"


def _passed(step: str, settings: Settings, snapshot: Snapshot) -> Finding:
    url = urlsplit(settings.gateway_url)
    if step == TLS and url.scheme == "http":
        return Finding(State.SKIPPED, "http:// has no TLS")
    if step == ANSWERS:
        return _answers(snapshot)
    found = {
        DNS: f"{url.hostname} resolved",
        CONNECTION: "established",
        TLS: "certificate trusted",
        KEY: "accepted",
    }
    return ok(found[step])


def _answers(snapshot: Snapshot) -> Finding:
    providers = snapshot.providers or ()
    active = sum(provider.is_active is True for provider in providers)
    fetches = snapshot.last_poll.fetches if snapshot.last_poll else ()
    slowest = max((fetch.duration_seconds for fetch in fetches), default=0.0)
    if empty_answer(snapshot):
        return failed(empty_answer(snapshot), NO_PROVIDERS)
    invalid = sum(snapshot.invalid_fields.values())
    dropped = f", {plural(invalid, 'value')} invalid" if invalid else ""
    listed = plural(len(providers), "provider")
    return ok(f"{listed}, {active} active, in {slowest * 1000:.0f} ms{dropped}")


def _exposition(reply: Reply, context: Context) -> Exposition:
    text = reply.body.decode("utf-8", "replace")
    version = re.search(r'^gatewayz_exporter_build_info\{[^}]*version="([^"]+)"', text, re.MULTILINE)
    fetches = (_number(value) or 0.0 for _, value in _samples(text, "gatewayz_exporter_fetches_total"))
    return Exposition(
        version=version[1] if version else None,
        up=_value(text, "gatewayz_up") == 1,
        fetches=sum(fetches),
        listed=_value(text, "gatewayz_providers_listed"),
        started=_value(text, "process_start_time_seconds"),
        last_update=_value(text, "gatewayz_provider_metrics_last_update"),
        now=context.now(EXPORTER),
    )


def _samples(text: str, name: str) -> list[tuple[str, str]]:
    return re.findall(SAMPLE.format(name=name), text, re.MULTILINE)


def _value(text: str, name: str) -> float | None:
    samples = _samples(text, name)
    return _number(samples[0][1]) if samples else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
