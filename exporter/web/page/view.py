"""Converts a snapshot and the history to the frozen values that the templates show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from exporter.errors import HINTS
from exporter.metrics.instruments import INSTRUMENTS
from exporter.model.endpoints import Endpoint
from exporter.model.history import Change, ChangeKind, History
from exporter.model.provider import CAPABILITIES, HealthStatus, Provider
from exporter.model.snapshot import Fetch, Snapshot
from exporter.status.feed import sentence
from exporter.status.headline import Headline, ListState, headline, list_state, tally
from exporter.status.state import Precision, State
from exporter.status.texts import Moment, moment, percent, span
from exporter.web.page import figures
from exporter.web.page.query import Query, select

MAX_ROWS = 100
RECENT = 8
"""Changes on the overview."""
TONES: Mapping[str, str] = MappingProxyType(
    {"down": "bad", "degraded": "warn", "unknown": "none", "healthy": "good"}
)
"""Colour by health, worst first."""
CHANGE_TONES: Mapping[ChangeKind, str] = MappingProxyType(
    {
        ChangeKind.FAILING: "bad",
        ChangeKind.RECOVERED: "good",
        ChangeKind.APPEARED: "none",
        ChangeKind.VANISHED: "warn",
    }
)
SINCE: Mapping[Precision, str] = MappingProxyType(
    {Precision.EXACT: "since", Precision.SLOT: "since about", Precision.BEFORE: "since before"}
)
PROVIDER_METRICS = tuple(one.name for one in INSTRUMENTS if "provider" in one.labels)


@dataclass(frozen=True, slots=True)
class Card:
    """An endpoint with its last fetch and its last success."""

    path: str
    fetch: Fetch | None
    outcome: str
    duration: str
    hint: str
    last_success: Moment | None


@dataclass(frozen=True, slots=True)
class Row:
    """One provider."""

    provider: Provider
    tone: str
    is_overdue: bool
    since: Moment | None
    since_words: str
    """What goes before that time."""
    has_age: bool
    """Whether the health began at that time, so that its age is one of the health."""
    uptime: str
    """Empty if unknown."""
    long_uptime: str
    """In the longest window that Prometheus has, with its length; empty if there is none."""
    bar: Sequence[figures.Stroke]
    bar_width: int
    bar_text: str
    spark: str
    response_time: str
    """Empty if unknown."""
    capabilities: Mapping[str, str]
    checked: Moment | None


@dataclass(frozen=True, slots=True)
class Event:
    """One change."""

    when: Moment | None
    slug: str
    """Empty for an endpoint."""
    tone: str
    sentence: str
    lasted: str
    """How long the state before had lasted; empty if unknown."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Input of the overview's template."""

    headline: Headline
    summary: str
    hangs: bool
    now: Moment | None
    window: str
    """Length of the history; empty if it is turned off."""
    since: Moment | None
    """Start of the history, if it is shorter than its window."""
    poll_start: Moment | None
    poll_duration: str
    trace_id: str
    last_update: Moment | None
    cards: Sequence[Card]
    counts: Mapping[str, str]
    """Of the gateway."""
    differs: bool
    """Whether the gateway counts something else than what it lists."""
    list_state: ListState
    rows: Sequence[Row]
    total: int
    matches: int
    query: Query
    past_problem: str
    """Why Prometheus could not be read; empty if it could."""
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Detail:
    """Input of the template of one provider's page."""

    row: Row
    headline: Headline | None
    """Why there is no record of the provider; None if there is one."""
    active: str
    now: Moment | None
    window: str
    since: Moment | None
    chart: figures.Chart
    events: Sequence[Event]
    metrics: Sequence[str]


def overview(state: State, query: Query) -> Overview:
    """Return what the overview shows."""
    snapshot, history, date = state.snapshot, state.history, state.date
    poll, counts = snapshot.last_poll, tally(snapshot)
    fetches = {fetch.endpoint: fetch for fetch in poll.fetches} if poll else {}
    found = select(query, snapshot, history)
    return Overview(
        headline=headline(snapshot, state.overdue, date),
        summary=_summary(counts),
        hangs=state.overdue,
        now=moment(date, date),
        window=_window(history),
        since=_since(history, date),
        poll_start=moment(poll.date, date) if poll else None,
        poll_duration=_duration(poll.duration_seconds) if poll else "",
        trace_id=f"{poll.trace_id:032x}" if poll else "",
        last_update=moment(snapshot.last_update, date),
        cards=[_card(each, fetches.get(each), snapshot.last_success.get(each), date) for each in Endpoint],
        counts=_gateway_counts(snapshot),
        differs=_differs(snapshot),
        list_state=list_state(snapshot),
        rows=[_row(provider, state) for provider in found[:MAX_ROWS]],
        total=len(snapshot.providers or ()),
        matches=len(found),
        query=query,
        past_problem=state.past.problem,
        events=[_event(change, date) for change in history.changes()[:RECENT]],
    )


def detail(slug: str, state: State) -> Detail | None:
    """Return what the page of a provider shows; None if it is neither listed nor in the history."""
    history, date = state.history, state.date
    listed, slots = state.provider(slug), history.slots(slug)
    if listed is None and all(slot.health is None for slot in slots):
        return None
    provider = listed or Provider(slug)
    return Detail(
        row=_row(provider, state),
        headline=None if listed else _absence(slug, state),
        active=_yes_no(provider.is_active),
        now=moment(date, date),
        window=_window(history),
        since=_since(history, date),
        chart=figures.chart(slots),
        events=[_event(change, date) for change in history.changes() if change.subject == slug],
        metrics=PROVIDER_METRICS,
    )


def _absence(slug: str, state: State) -> Headline:
    """Return why a provider is not listed."""
    if list_state(state.snapshot) is ListState.LISTED:
        return Headline("none", f"{slug} is not in the gateway's list")
    return headline(state.snapshot, state.overdue, state.date)


def _window(history: History) -> str:
    return span(history.seconds) if history.seconds else ""


def _since(history: History, date: float) -> Moment | None:
    is_short = history.seconds and date - history.since < history.seconds
    return moment(history.since, date) if is_short else None


def _summary(tally: Mapping[str, int]) -> str:
    active = [f"{tally[health]:,} {health}" for health in TONES if tally[health]]
    others = [f"{tally[word]:,} {word}" for word in ("overdue", "inactive") if tally[word]]
    fleet = [f"{tally['active']:,} active: {', '.join(active)}"] if active else []
    return " · ".join(fleet + others)


def _gateway_counts(snapshot: Snapshot) -> Mapping[str, str]:
    if snapshot.stats is None:
        return {}
    return {name: f"{count:,}" for name, count in msgspec.structs.asdict(snapshot.stats).items()}


def _differs(snapshot: Snapshot) -> bool:
    """Return whether the gateway counts other numbers of providers than its list has."""
    if snapshot.providers is None or snapshot.stats is None:
        return False
    active = sum(provider.is_active is not False for provider in snapshot.providers)
    return (snapshot.stats.total, snapshot.stats.active) != (len(snapshot.providers), active)


def _card(endpoint: Endpoint, fetch: Fetch | None, last_success: float | None, date: float) -> Card:
    return Card(
        path=endpoint.path,
        fetch=fetch,
        outcome=fetch.outcome.replace("_", " ") if fetch else "",
        duration=_duration(fetch.duration_seconds) if fetch else "",
        hint=fetch.hint or HINTS[fetch.outcome] if fetch else "",
        last_success=moment(last_success, date),
    )


def _row(provider: Provider, state: State) -> Row:
    snapshot, history, date = state.snapshot, state.history, state.date
    slug, milliseconds, since = provider.slug, provider.response_time_ms, state.since(provider)
    ranks, share, is_overdue = history.worst(slug), history.uptime(slug), snapshot.is_overdue(provider)
    return Row(
        provider=provider,
        tone=_tone(provider, is_overdue),
        is_overdue=is_overdue,
        since=moment(since.date, date),
        since_words=SINCE[since.precision],
        has_age=since.precision is not Precision.BEFORE,
        uptime="" if share is None else percent(share),
        long_uptime=_long_uptime(state, slug),
        bar=figures.bar(ranks),
        bar_width=figures.SLOT_WIDTH * len(ranks),
        bar_text=figures.bar_text(ranks, history.end, history.slot_seconds),
        spark=figures.sparkline(history.slots(slug)),
        response_time="" if milliseconds is None else _milliseconds(milliseconds),
        capabilities={name: _yes_no(getattr(provider, field)) for name, field in CAPABILITIES},
        checked=moment(provider.last_health_check, date),
    )


def _long_uptime(state: State, slug: str) -> str:
    known = list(state.long_uptimes(slug).items())
    return f"{percent(known[-1][1])} in {known[-1][0]}" if known else ""


def _event(change: Change, date: float) -> Event:
    of_endpoint = change.kind in (ChangeKind.FAILING, ChangeKind.RECOVERED)
    return Event(
        when=moment(change.date, date),
        slug="" if of_endpoint else change.subject,
        tone=TONES[change.after] if change.kind is ChangeKind.HEALTH else CHANGE_TONES[change.kind],
        sentence=sentence(change),
        lasted="" if change.seconds is None else span(change.seconds),
    )


def _tone(provider: Provider, is_overdue: bool) -> str:
    """Return the tone of a provider's health; `none` if its last check is missing or overdue."""
    is_old = is_overdue or provider.last_health_check is None
    if provider.is_active is False or (provider.health is HealthStatus.HEALTHY and is_old):
        return "none"
    return TONES[provider.health.label]


def _yes_no(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"


def _milliseconds(value: float) -> str:
    # The gateway can send a number with 300 digits.
    return f"{value:,.0f} ms" if value < 1e9 else f"{value:.0e} ms"


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
