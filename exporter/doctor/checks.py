"""The checks of `doctor` in the order of the data flow, and the loop that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from exporter import check
from exporter.clock import Clock
from exporter.doctor import grafana, metrics, source, telemetry
from exporter.doctor.context import Context
from exporter.doctor.report import Finding, Result, State, failed, not_set, ok, truncated
from exporter.doctor.targets import (
    ALERTMANAGER,
    COLLECTOR,
    EXPORTER,
    GRAFANA,
    LOGIN_REFUSED,
    LOKI,
    PROMETHEUS,
    RESET_COMMAND,
    SERVERS,
    TEMPO,
    Server,
    Targets,
)
from exporter.errors import Outcome
from exporter.transport.auth import authorization
from exporter.transport.authorities import AUTHORITIES, find_authorities
from exporter.transport.probe import ProbeError

CLOCK_SECONDS = 30.0
"""Tolerated difference between clocks; a Date header has a resolution of one second."""
SHORTEST_SECRET = 4
"""Masking shorter secrets would leave no readable text."""
BLOCKING = frozenset({State.FAILED, State.WAITING, State.NOT_TRIED})
SERVER_BY_NAME: Mapping[str, Server] = MappingProxyType({server.name: server for server in SERVERS})

REMEDIES: Mapping[Outcome, str] = MappingProxyType(
    {
        Outcome.DNS: "The host name in {variable} cannot be resolved: check its spelling, and the DNS of "
        "this machine.",
        Outcome.CONNECT: "Check that {name} runs, and that host, port and http:// or https:// in "
        "{variable} are right.",
        Outcome.TIMEOUT: "Check the load and the log of {name}, and the network between it and this machine.",
        Outcome.TLS: "Check the certificate's dates, name and issuer; a private CA goes into "
        "{authorities}; https:// needs a TLS port.",
        Outcome.PROXY: "The proxy in front of {name} rejected the request: check its address, "
        "credentials and rules; a host that needs no proxy goes into NO_PROXY.",
        Outcome.REDIRECT: "It redirects to another address: set {variable} to the final address.",
        Outcome.RATE_LIMITED: "It limits requests: run this again in a minute.",
        Outcome.CLIENT_ERROR: "Set {variable} to the root of {name}, with its sub-path if it has one.",
        Outcome.SERVER_ERROR: "It is starting, or it fails: wait a minute, then check the log of {name}.",
        Outcome.INTERNAL: "The exporter itself failed: if the system refuses a thread, check the limits of "
        "threads and memory. Otherwise this is a bug: please report it.",
    }
)
WRONG_SERVER = "Check that {variable} is the root of {name}, and not a login page or proxy in front of it."
"""For all other outcomes."""
NO_CREDENTIALS = (
    "It requires credentials, which are not supported there: set {variable} to a URL without them."
)
WRONG_CREDENTIALS = "It did not accept the request: check {credentials}, and their permissions."
CLOCKS_DIFFER = "Ages of data, alerts and searches by time are wrong: synchronize all machines by NTP."


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the diagnosis."""

    name: str
    run: Callable[[Context], Finding]
    server: str = ""
    """The check is skipped if this server has no URL."""
    needs: tuple[str, ...] = ()
    """Checks that must have passed before."""


def clocks(context: Context) -> Finding:
    """Compare the clocks of all servers with the exporter's, or with this machine's."""
    if not context.clock_offsets:
        return Finding(State.SKIPPED, "no server sent its time")
    reference = context.clock_offsets.get(EXPORTER, 0.0)
    offsets = {server: offset - reference for server, offset in context.clock_offsets.items()}
    wrong = [f"{server} {offset:+.0f} s" for server, offset in offsets.items() if abs(offset) > CLOCK_SECONDS]
    if wrong:
        base = "the exporter" if EXPORTER in context.clock_offsets else "this machine"
        return failed(f"differ from {base}: {', '.join(wrong)}", CLOCKS_DIFFER)
    return ok(f"{len(offsets)} agree")


def _gateway(step: str) -> Check:
    before = source.STEPS[: source.STEPS.index(step)]
    return Check(f"gateway {step}", source.gateway(step), needs=tuple(f"gateway {name}" for name in before))


CHECKS: tuple[Check, ...] = (
    Check("settings", source.settings),
    Check("web configuration", source.web_configuration),
    Check("custom metrics", source.custom_metrics),
    *map(_gateway, source.STEPS),
    Check("gateway health checks", source.health_checks, needs=(f"gateway {source.ANSWERS}",)),
    Check("exporter", source.exporter, EXPORTER),
    Check("exporter poll", source.exporter_poll, EXPORTER, ("exporter",)),
    Check("prometheus", metrics.prometheus, PROMETHEUS),
    Check("prometheus target", metrics.target, PROMETHEUS, ("prometheus",)),
    Check("prometheus series", metrics.series, PROMETHEUS, ("prometheus", "prometheus target")),
    Check("prometheus rules", metrics.rules, PROMETHEUS, ("prometheus",)),
    Check("prometheus alerting", metrics.alerting, PROMETHEUS, ("prometheus",)),
    Check("alertmanager", metrics.alertmanager, ALERTMANAGER),
    Check("collector", telemetry.collector, COLLECTOR),
    Check("loki", telemetry.ready(LOKI), LOKI),
    Check("loki record", telemetry.record, LOKI, ("loki",)),
    Check("tempo", telemetry.ready(TEMPO), TEMPO),
    Check("tempo trace", telemetry.trace, TEMPO, ("tempo", "loki record")),
    Check("grafana", grafana.grafana, GRAFANA),
    Check("grafana data sources", grafana.data_sources, GRAFANA, ("grafana",)),
    Check("grafana dashboards", grafana.dashboards, GRAFANA, ("grafana",)),
    Check("clocks", clocks),
)
"""In the order of the data flow."""


def diagnose(environ: Mapping[str, str], targets: Targets, clock: Clock) -> Iterator[Result]:
    """Yield the result of each check as soon as it is known.

    Args:
        environ: The environment of the exporter.
        targets: URLs of and credentials for the other servers.
        clock: For waits and deadlines.
    """
    own = None if EXPORTER in targets.urls else source.own_url(environ)
    urls = {**targets.urls, EXPORTER: own} if own else targets.urls
    yield from run_checks(Context(environ, replace(targets, urls=urls), clock, check.poll), CHECKS)


def run_checks(context: Context, checks: Sequence[Check]) -> Iterator[Result]:
    """Yield the result of each check, secrets masked."""
    states: dict[str, State] = {}
    for one in checks:
        finding = _run(one, context, states)
        states[one.name] = finding.state
        secrets = _secrets(context)
        # Truncated last: a part of a secret at the limit would not be masked.
        found = truncated(_masked(finding.found, secrets))
        masked = replace(finding, found=found, remedy=_masked(finding.remedy, secrets))
        yield Result(one.name, context.targets.urls.get(one.server), masked)


def _run(one: Check, context: Context, states: Mapping[str, State]) -> Finding:
    if one.server and one.server not in context.targets.urls:
        return not_set(SERVER_BY_NAME[one.server].variable)
    blocking = [need for need in one.needs if states.get(need) in BLOCKING]
    if blocking:
        return Finding(State.NOT_TRIED, f"needs {blocking[0]}")
    try:
        return one.run(context)
    except ProbeError as error:
        return failed(f"{context.targets.urls[one.server]}: {error.detail}", _remedy(error, context, one))


def _remedy(error: ProbeError, context: Context, one: Check) -> str:
    server = SERVER_BY_NAME[one.server]
    credentials = context.targets.credentials.get(one.server)
    if one.server == GRAFANA and error.outcome is Outcome.UNAUTHORIZED and credentials and credentials.user:
        return f"{LOGIN_REFUSED} This command asks for another one:\n$ {RESET_COMMAND}"
    if error.outcome in (Outcome.UNAUTHORIZED, Outcome.FORBIDDEN):
        text = WRONG_CREDENTIALS if server.credentials else NO_CREDENTIALS
    else:
        text = REMEDIES.get(error.outcome, WRONG_SERVER)
    authorities = find_authorities(context.environ)
    return text.format(
        name=server.title,
        variable=server.variable,
        credentials=server.credentials,
        authorities=authorities.variable if authorities else AUTHORITIES[0],
    )


def _secrets(context: Context) -> list[str]:
    """Return the texts to mask, the longest first."""
    all_credentials = context.targets.credentials.values()
    secrets = [credentials.secret.reveal() for credentials in all_credentials]
    secrets += [(authorization(credentials) or "").partition(" ")[2] for credentials in all_credentials]
    secrets += [context.environ.get("ADMIN_KEY", "").strip()]
    secrets += [context.settings.admin_key.reveal()] if context.settings else []
    return sorted((text for text in secrets if len(text) >= SHORTEST_SECRET), key=len, reverse=True)


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "********")
    return text
