"""Walk the whole chain, from the settings to Grafana, and say what works and what to do about the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from exporter import check
from exporter.clock import Clock
from exporter.doctor import grafana, metrics, source, telemetry
from exporter.doctor.context import Case
from exporter.doctor.probe import NoAnswer, authorization
from exporter.doctor.report import Finding, Result, State, cut, failed, ok
from exporter.doctor.targets import (
    ALERTMANAGER,
    COLLECTOR,
    EXPORTER,
    GRAFANA,
    LOKI,
    PROMETHEUS,
    STAGES,
    TEMPO,
    Addresses,
    Stage,
)
from exporter.errors import Outcome
from exporter.transport.authorities import AUTHORITIES, find_authorities

WALK_SECONDS = 120.0
"""After this, what was not tried yet is not tried any more."""
CLOCK_SECONDS = 30.0
"""What clocks may differ; a Date header is cut to seconds."""
SHORTEST_SECRET = 4
"""To mask shorter ones would leave no text, and protect nothing."""
BLOCKING = frozenset({State.FAILED, State.WAITING, State.NOT_TRIED})
BY_NAME: Mapping[str, Stage] = MappingProxyType({stage.name: stage for stage in STAGES})

REMEDIES: Mapping[Outcome, str] = MappingProxyType(
    {
        Outcome.DNS: "The host name in {variable} cannot be resolved: check its spelling, and the DNS of "
        "this machine.",
        Outcome.CONNECT: "Check that {name} runs, and that host, port and http:// or https:// in "
        "{variable} are right.",
        Outcome.TIMEOUT: "Look at the load and the log of {name}, and at what is between it and here.",
        Outcome.TLS: "Check the certificate's dates, name and issuer; a private CA goes into "
        "{authorities}; https:// needs a TLS port.",
        Outcome.PROXY: "The proxy on the way to {name} did not let the request through: check its address, "
        "credentials and rules; NO_PROXY takes hosts that need no proxy.",
        Outcome.REDIRECT: "It redirects elsewhere: set {variable} to the final address.",
        Outcome.RATE_LIMITED: "It limits requests: run this again in a minute.",
        Outcome.CLIENT_ERROR: "Set {variable} to the root of {name}, with its sub path if it has one.",
        Outcome.SERVER_ERROR: "It is just starting, or it fails: wait a minute, then look into the log of "
        "{name}.",
        Outcome.INTERNAL: "The exporter itself failed: look at the limits of threads and memory where the "
        "system refuses a thread. All else is a bug: please report it.",
    }
)
WRONG_SERVER = "Check that {variable} is the root of {name}, and not a login page or proxy before it."
"""For every other outcome."""
NOT_ASKED = "It asks who we are, and nothing is sent there: set {variable} to an address that does not ask."
REFUSED = "It asks who we are, or does not take what it was told: check {credentials}, and what they may do."
CLOCKS_DIFFER = "Ages, alerts and searches by time go wrong: let all machines take their time by NTP."


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the diagnosis."""

    name: str
    examine: Callable[[Case], Finding]
    stage: str = ""
    """The server that is asked; without an address of it, the check is skipped."""
    needs: tuple[str, ...] = ()
    """Checks without whose success there is nothing to be found out."""


def clocks(case: Case) -> Finding:
    """Compare the clocks of all who told their time with the exporter's, or with ours if it did not."""
    if not case.ahead:
        return Finding(State.SKIPPED, "no server told its time")
    reference = case.ahead.get(EXPORTER, 0.0)
    apart = {stage: ahead - reference for stage, ahead in case.ahead.items()}
    wrong = {stage: seconds for stage, seconds in apart.items() if abs(seconds) > CLOCK_SECONDS}
    if wrong:
        told = ", ".join(f"{stage} {seconds:+.0f} s" for stage, seconds in wrong.items())
        than = "the exporter" if EXPORTER in case.ahead else "this machine"
        return failed(f"apart from {than}: {told}", CLOCKS_DIFFER)
    return ok(f"{len(apart)} agree")


def _gateway(link: str) -> Check:
    before = source.LINKS[: source.LINKS.index(link)]
    return Check(
        f"gateway {link}", source.gateway(link), needs=("settings", *(f"gateway {name}" for name in before))
    )


CHECKS: tuple[Check, ...] = (
    Check("settings", source.settings),
    *map(_gateway, source.LINKS),
    Check("exporter", source.exporter, EXPORTER),
    Check("exporter poll", source.exporter_poll, EXPORTER, ("exporter",)),
    Check("prometheus", metrics.prometheus, PROMETHEUS),
    Check("prometheus target", metrics.target, PROMETHEUS, ("prometheus",)),
    Check("prometheus series", metrics.series, PROMETHEUS, ("prometheus", "prometheus target")),
    Check("prometheus rules", metrics.rules, PROMETHEUS, ("prometheus",)),
    Check("prometheus alerting", metrics.alert_way, PROMETHEUS, ("prometheus",)),
    Check("alertmanager", metrics.alertmanager, ALERTMANAGER),
    Check("collector", telemetry.collector, COLLECTOR),
    Check("loki", telemetry.ready(LOKI), LOKI),
    Check("loki record", telemetry.record, LOKI, ("loki",)),
    Check("tempo", telemetry.ready(TEMPO), TEMPO),
    Check("tempo trace", telemetry.trace, TEMPO, ("tempo", "loki record")),
    Check("grafana", grafana.grafana, GRAFANA),
    Check("grafana data sources", grafana.sources, GRAFANA, ("grafana",)),
    Check("grafana dashboards", grafana.dashboards, GRAFANA, ("grafana",)),
    Check("clocks", clocks),
)
"""In the order of the way that the data take."""


def examine(environ: Mapping[str, str], addresses: Addresses, clock: Clock) -> Iterator[Result]:
    """Yield the result of every check, each as soon as it is known.

    Args:
        environ: The environment of the exporter.
        addresses: Where the other servers are.
        clock: For waits and bounds.
    """
    own = {} if EXPORTER in addresses.urls else {EXPORTER: source.own_address(environ)}
    urls = {**addresses.urls, **{name: url for name, url in own.items() if url}}
    yield from walk(Case(environ, replace(addresses, urls=urls), clock, check.poll), CHECKS)


def walk(case: Case, checks: Sequence[Check]) -> Iterator[Result]:
    """Yield the result of each check, no secret in any."""
    end = case.clock.age() + WALK_SECONDS
    states: dict[str, State] = {}
    for one in checks:
        if case.clock.age() >= end:
            finding = Finding(State.NOT_TRIED, f"{WALK_SECONDS:g} s have passed")
        else:
            finding = _examine(one, case, states)
        states[one.name] = finding.state
        hidden = _secrets(case)
        found = cut(_masked(finding.found, hidden))
        masked = Finding(finding.state, found, _masked(finding.remedy, hidden))
        yield Result(one.name, case.addresses.urls.get(one.stage), masked)


def _examine(one: Check, case: Case, states: Mapping[str, State]) -> Finding:
    if one.stage and one.stage not in case.addresses.urls:
        stage = BY_NAME[one.stage]
        return Finding(State.SKIPPED, f"{stage.variable} is not set")
    blocking = [need for need in one.needs if states.get(need) in BLOCKING]
    if blocking:
        return Finding(State.NOT_TRIED, f"it needs {blocking[0]}")
    try:
        return one.examine(case)
    except NoAnswer as error:
        return failed(f"{case.addresses.urls[one.stage]}: {error.detail}", _remedy(error, case, one.stage))


def _remedy(error: NoAnswer, case: Case, name: str) -> str:
    stage = BY_NAME[name]
    if error.outcome in (Outcome.UNAUTHORIZED, Outcome.FORBIDDEN):
        text = REFUSED if stage.credentials else NOT_ASKED
    else:
        text = REMEDIES.get(error.outcome, WRONG_SERVER)
    authorities = find_authorities(case.environ)
    return text.format(
        name=stage.title,
        variable=stage.variable,
        credentials=stage.credentials,
        authorities=authorities.variable if authorities else AUTHORITIES[0],
    )


def _secrets(case: Case) -> list[str]:
    """Return every text that must not be shown, the longest first."""
    identities = case.addresses.identities.values()
    secrets = [identity.secret.reveal() for identity in identities]
    secrets += [(authorization(identity) or "").partition(" ")[2] for identity in identities]
    secrets += [case.environ.get("ADMIN_KEY", "").strip()]
    secrets += [case.settings.admin_key.reveal()] if case.settings else []
    return sorted((text for text in secrets if len(text) >= SHORTEST_SECRET), key=len, reverse=True)


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "********")
    return text
