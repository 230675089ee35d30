"""The overall state in one sentence, from the worst cause down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from exporter.errors import Outcome
from exporter.model.endpoints import Endpoint
from exporter.model.snapshot import Snapshot
from exporter.status.texts import moment

Tone = Literal["good", "none", "warn", "bad"]
UNREACHABLE = frozenset({Outcome.TIMEOUT, Outcome.DNS, Outcome.CONNECT, Outcome.TLS})
REFUSED = frozenset({Outcome.UNAUTHORIZED, Outcome.FORBIDDEN})
PROBLEMS: tuple[tuple[Tone, str, str, str], ...] = (
    ("bad", "down", "down", "GatewayzProviderDown"),
    ("warn", "degraded", "degraded", "GatewayzProviderDegraded"),
    ("warn", "overdue", "with an overdue health check", "GatewayzHealthChecksOverdue"),
    ("none", "unknown", "of unknown health", "GatewayzProviderHealthUnknown"),
)
"""Rows of tone, key of the tally, end of the headline, and runbook; worst first."""


class ListState(StrEnum):
    """What is known of the list of providers."""

    WAITING = "waiting"
    """The first poll has not ended."""
    MISSING = "missing"
    """No list was ever fetched."""
    STALE = "stale"
    EMPTY = "empty"
    LISTED = "listed"


@dataclass(frozen=True, slots=True)
class Headline:
    """The overall state in one sentence; the tone (good, none, warn, bad) selects colour and icon."""

    tone: Tone
    sentence: str
    runbook: str = ""
    """Name of the alert whose runbook says what to do; empty if there is none."""


def list_state(snapshot: Snapshot) -> ListState:
    """Return what is known of the list."""
    if snapshot.providers is not None:
        return ListState.LISTED if snapshot.providers else ListState.EMPTY
    if Endpoint.PROVIDERS in snapshot.last_success:
        return ListState.STALE
    return ListState.MISSING if snapshot.last_poll else ListState.WAITING


def headline(snapshot: Snapshot, overdue: bool, date: float) -> Headline:
    """Return the overall state, with ages as of the Unix time `date`.

    `overdue` means that the poll loop hangs or has died.
    """
    state = list_state(snapshot)
    fetches = snapshot.last_poll.fetches if snapshot.last_poll else ()
    failures = {fetch.endpoint: fetch.outcome for fetch in fetches if fetch.outcome is not Outcome.OK}
    success = moment(snapshot.last_success.get(Endpoint.PROVIDERS), date)
    then = success.absolute if success else "earlier"
    data = "no data" if snapshot.providers is None else f"showing data from {then}"
    if overdue:
        return Headline("bad", f"The poller hangs: {data}", "GatewayzPollsLate")
    if state is ListState.WAITING:
        return Headline("none", "No data yet: the first poll is still running")
    if Endpoint.PROVIDERS in failures:
        stale = state is ListState.STALE
        what = f"data are stale, the last list is from {then}" if stale else data
        first = moment(min(snapshot.failing_since.values(), default=None), date)
        since = f" since {first.absolute}" if first else ""
        cause, runbook = _cause(failures)
        return Headline("bad", f"{cause}{since}: {what}", runbook)
    return _fleet_headline(tally(snapshot), failures)


def tally(snapshot: Snapshot) -> Counter[str]:
    """Count active providers by health; inactive ones keep their last health indefinitely.

    The other keys are `active`, `inactive` and `overdue`.
    """
    providers = snapshot.providers or ()
    active = [provider for provider in providers if provider.is_active is not False]
    found = Counter(provider.health.label for provider in active)
    found["active"], found["inactive"] = len(active), len(providers) - len(active)
    found["overdue"] = sum(map(snapshot.is_overdue, active))
    return found


def mostly_overdue(counts: Mapping[str, int]) -> str:
    """Return that the health checks of most active providers are overdue; empty if they are not.

    Args:
        counts: The result of `tally`.
    """
    if 2 * counts["overdue"] <= counts["active"]:
        return ""
    return f"Health checks are overdue: {counts['overdue']:,} of {counts['active']:,} active providers"


def _cause(failures: Mapping[Endpoint, Outcome]) -> tuple[str, str]:
    """Return the cause of failed fetches, and its runbook."""
    if failures.get(Endpoint.PROVIDERS) is Outcome.EMPTY:
        return "The gateway's list is empty, as when its database is down", "GatewayzDatabaseDown"
    if REFUSED.issuperset(failures.values()):
        return "The gateway refuses the admin key", "GatewayzKeyRefused"
    everything = len(failures) == len(Endpoint)
    if everything and UNREACHABLE.issuperset(failures.values()):
        return "Gateway unreachable", "GatewayzGatewayUnreachable"
    what = "Gateway" if everything else " ".join(endpoint.path for endpoint in failures)
    outcomes = ", ".join(dict.fromkeys(failures.values())).replace("_", " ")
    return f"{what} fails ({outcomes})", "GatewayzGatewayUnreachable"


def _fleet_headline(counts: Mapping[str, int], failures: Mapping[Endpoint, Outcome]) -> Headline:
    if text := mostly_overdue(counts):
        # Reported health may be months old, so it makes no headline.
        return Headline("warn", text, "GatewayzHealthChecksOverdue")
    for tone, word, text, runbook in PROBLEMS:
        if counts[word]:
            sentence = f"{counts[word]:,} provider{'s' if counts[word] > 1 else ''} {text}"
            return Headline(tone, sentence, runbook)
    if not counts["active"]:
        text = "No provider is active" if counts["inactive"] else "The gateway lists no provider"
        return Headline("warn", text, "GatewayzNoProviders")
    if failures:
        cause, runbook = _cause(failures)
        return Headline("warn", f"Providers all good, but {cause}", runbook)
    return Headline("good", "All good")
