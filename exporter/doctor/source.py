"""The checks of `doctor` on where the data come from: settings, gateway, exporter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import urlsplit

from exporter.check import NO_PROVIDERS, empty_answer
from exporter.config.settings import TELEMETRY_PATH, Settings, load_web_settings
from exporter.config.values import address
from exporter.configuration import load_configuration, read_web_file
from exporter.doctor.context import Case, Page
from exporter.doctor.probe import NoAnswer, Reply
from exporter.doctor.report import Finding, State, counted, failed, ok, shown, spoken
from exporter.doctor.targets import EXPORTER
from exporter.errors import Outcome, SettingsError
from exporter.model.snapshot import Fetch, Snapshot
from exporter.transport.connecting import NO_CONNECTION
from exporter.web.healthcheck import ANY_ADDRESS

NAME, CONNECTION, TLS, KEY, ANSWERS = "DNS", "connection", "TLS", "key", "answers"
LINKS = (NAME, CONNECTION, TLS, KEY, ANSWERS)
"""What has to work one after the other when the gateway is asked."""
LINK_BY_OUTCOME = MappingProxyType(
    {
        Outcome.DNS: NAME,
        Outcome.CONNECT: CONNECTION,
        Outcome.PROXY: CONNECTION,
        Outcome.TLS: TLS,
        Outcome.UNAUTHORIZED: KEY,
        Outcome.FORBIDDEN: KEY,
    }
)
"""Every other outcome belongs to the answers."""

POLLER_DEAD = "Its poller has died or hangs: read the end of its log, and restart it."
NOT_OURS = "Set EXPORTER_URL to the root of the exporter."
POLL_FAILS = (
    'If the checks of the gateway above went well, read the records "Fetch failed" in the exporter\'s log.'
)
FIRST_POLL = "The first poll is under way: run this again in a few seconds."
LONGEST_POLL_SECONDS = 60.0
SAMPLE = r"^{name}(?:\{{([^}}]*)\}})? (\S+)$"


def own_address(environ: Mapping[str, str]) -> str | None:
    """Return where the exporter of this environment listens, None where that cannot be told."""
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


def settings(case: Case) -> Finding:
    """Read everything that the exporter would read at its start."""
    try:
        case.settings = load_configuration(case.environ).settings
    except SettingsError as error:
        return failed(counted(len(error.problems), "problem"), "\n".join(error.problems))
    return Finding(State.OK, _described(case.settings), "\n".join(case.settings.warnings))


def gateway(link: str) -> Callable[[Case], Finding]:
    """Return the check of one link; the first one polls, as the exporter would."""

    def check(case: Case) -> Finding:
        if case.settings is None:
            return Finding(State.NOT_TRIED, "the settings are not known")
        if case.snapshot is None:
            seconds = min(case.settings.fetch_timeout, LONGEST_POLL_SECONDS)
            case.snapshot = case.poll(replace(case.settings, fetch_timeout=seconds))
        fetches = case.snapshot.last_poll.fetches if case.snapshot.last_poll else ()
        broken = [fetch for fetch in fetches if fetch.outcome is not Outcome.OK and _link(fetch) == link]
        if broken:
            # Where the whole gateway is at fault, both endpoints say the same.
            hints = dict.fromkeys(fetch.hint for fetch in broken)
            return failed(", ".join(map(_failure, broken)), "\n".join(hints))
        return _well(link, case.settings, case.snapshot)

    return check


def exporter(case: Case) -> Finding:
    """Read the exporter's `/metrics`."""
    try:
        reply = case.ask(EXPORTER, _telemetry_path(case.environ))
    except NoAnswer as error:
        if error.status == 503:
            return failed(error.detail, POLLER_DEAD)
        raise
    page = _page(reply, case)
    if page.version is None:
        return failed("an answer without metrics of this exporter", NOT_OURS)
    case.page = page
    age = f", started {spoken(page.now - page.started)} ago" if page.started is not None else ""
    return ok(f"version {shown(page.version)}{age}")


def exporter_poll(case: Case) -> Finding:
    """Judge what the exporter publishes."""
    page = case.page
    if page is None:
        return Finding(State.NOT_TRIED, "nothing is known of the exporter")
    last = (
        "none since the start" if page.last_update is None else f"{spoken(page.now - page.last_update)} ago"
    )
    if page.up:
        listed = f", {page.listed:.0f} providers" if page.listed is not None else ""
        return ok(f"last good poll {last}{listed}")
    if page.fetches == 0:
        return Finding(State.WAITING, "no poll has ended yet", FIRST_POLL)
    return failed(f"the last poll failed; last good one: {last}", POLL_FAILS)


def _described(settings: Settings) -> str:
    # Without their paths and queries, which may hold a key.
    telemetry = settings.telemetry
    sends = telemetry.traces_protocol or telemetry.logs_protocol or telemetry.metrics_protocol
    urls = [urlsplit(endpoint) for endpoint in telemetry.endpoints] if sends else []
    places = dict.fromkeys(f"{url.scheme}://{url.netloc}" for url in urls)
    sent = f"telemetry to {', '.join(places)}" if places else "no telemetry is sent"
    return f"{settings.gateway_url} every {settings.interval:g} s; {sent}"


def _link(fetch: Fetch) -> str:
    if fetch.outcome is Outcome.TIMEOUT and NO_CONNECTION in fetch.hint:
        return CONNECTION
    return LINK_BY_OUTCOME.get(fetch.outcome, ANSWERS)


def _failure(fetch: Fetch) -> str:
    return f"{fetch.endpoint.path}: {fetch.outcome}"


def _well(link: str, settings: Settings, snapshot: Snapshot) -> Finding:
    url = urlsplit(settings.gateway_url)
    if link == TLS and url.scheme == "http":
        return Finding(State.SKIPPED, "http:// has none")
    if link == ANSWERS:
        return _answers(snapshot)
    found = {
        NAME: f"{url.hostname} is found",
        CONNECTION: "is made",
        TLS: "the certificate is trusted",
        KEY: "is accepted",
    }
    return ok(found[link])


def _answers(snapshot: Snapshot) -> Finding:
    providers = snapshot.providers or ()
    active = sum(provider.is_active is True for provider in providers)
    fetches = snapshot.last_poll.fetches if snapshot.last_poll else ()
    slowest = max((fetch.duration_seconds for fetch in fetches), default=0.0)
    if empty_answer(snapshot):
        return failed(empty_answer(snapshot), NO_PROVIDERS)
    invalid = sum(snapshot.invalid_fields.values())
    left_out = f", {counted(invalid, 'value')} not understood" if invalid else ""
    listed = counted(len(providers), "provider")
    return ok(f"{listed}, {active} active, in {slowest * 1000:.0f} ms{left_out}")


def _page(reply: Reply, case: Case) -> Page:
    text = reply.body.decode("utf-8", "replace")
    version = re.search(r'^gatewayz_exporter_build_info\{[^}]*version="([^"]+)"', text, re.MULTILINE)
    fetches = (_number(value) or 0.0 for _, value in _samples(text, "gatewayz_exporter_fetches_total"))
    return Page(
        version=version[1] if version else None,
        up=_value(text, "gatewayz_up") == 1,
        fetches=sum(fetches),
        listed=_value(text, "gatewayz_providers_listed"),
        started=_value(text, "process_start_time_seconds"),
        last_update=_value(text, "gatewayz_provider_metrics_last_update"),
        now=case.now(EXPORTER),
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
