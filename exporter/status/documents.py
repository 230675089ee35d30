"""JSON documents of the HTTP API and of `check --json`; times are in UTC as by RFC 3339.

Any release may add fields. A field is removed, or gets another meaning, only with another version of the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from exporter import __version__
from exporter.model.endpoints import Endpoint
from exporter.model.fields import PUBLISHED_ONLY
from exporter.model.history import Change, Slot
from exporter.model.provider import CAPABILITIES, Provider, ProviderStats
from exporter.model.snapshot import Fetch
from exporter.status.headline import Tone, headline, tally
from exporter.status.state import Precision, State
from exporter.status.texts import iso

Health = Literal["unknown", "healthy", "degraded", "down"]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Letters = Annotated[str, Meta(pattern=r"^[.hudx]*$")]
_LETTERS = bytes.maketrans(bytes(range(5)), b".hudx")


class EndpointDocument(msgspec.Struct, frozen=True):
    """The last fetch of an endpoint of the gateway."""

    path: str
    outcome: Annotated[str, Meta(description="`ok`, or why the fetch failed (docs/metrics.md).")]
    status: Annotated[int | None, Meta(description="HTTP status; null without an answer.")]
    attempts: int
    duration_ms: float
    request_id: str | None
    hint: Annotated[str, Meta(description="What to do; empty after a success.")]
    last_success: Time | None


class PollDocument(msgspec.Struct, frozen=True):
    """The last poll."""

    start: Time
    duration_ms: float
    succeeded: bool
    trace_id: str


class CountsDocument(msgspec.Struct, frozen=True):
    """Counts of the listed providers; those by health, and the overdue ones, are of active providers."""

    active: int
    inactive: int
    healthy: int
    degraded: int
    down: int
    unknown: int
    overdue: int


class HistoryDocument(msgspec.Struct, frozen=True):
    """Extent of the history."""

    since: Annotated[Time, Meta(description="Before this time it may be incomplete.")]
    seconds: float
    slot_seconds: float


class StatusDocument(msgspec.Struct, frozen=True):
    """The overall state."""

    tone: Tone
    headline: str
    runbook: Annotated[
        str, Meta(description="Name of the alert whose runbook says what to do; empty if there is none.")
    ]
    version: Annotated[str, Meta(description="Of the exporter.")]
    poll: Annotated[PollDocument | None, Meta(description="Null before the first poll has ended.")]
    endpoints: tuple[EndpointDocument, ...]
    providers: Annotated[CountsDocument | None, Meta(description="Null without a fresh list.")]
    gateway_counts: Annotated[
        ProviderStats | None, Meta(description="As the gateway counts; null without fresh counts.")
    ]
    history: Annotated[HistoryDocument | None, Meta(description="Null if the history is turned off.")]


class ProviderDocument(msgspec.Struct, frozen=True):
    """A provider; a value is null if the gateway has none."""

    slug: str
    name: str
    health: Health
    health_since: Annotated[
        Time | None,
        Meta(description="Null if unknown."),
    ]
    health_since_precision: Annotated[
        Literal["exact", "slot"] | None,
        Meta(description="`slot`: to a slot of the history, before the exporter's start."),
    ]
    is_active: bool | None
    is_overdue: Annotated[bool, Meta(description="Whether its last health check is too old.")]
    response_time_ms: float | None
    last_health_check: Time | None
    capabilities: Mapping[str, bool | None]
    site_url: Annotated[str, Meta(description="Empty if there is none, as of the next field.")]
    status_page_url: str
    published: Annotated[
        Mapping[str, float | None], Meta(description="Values of further fields by their path.")
    ]
    uptime: Annotated[
        float | None,
        Meta(description="Share of the polls in the history in which it was healthy or degraded."),
    ]
    long_uptimes: Annotated[
        Mapping[str, float], Meta(description="Shares by window (24h, 14d, 30d) that Prometheus has.")
    ]
    slots: Annotated[
        Letters,
        Meta(
            description="The worst health in each slot of the history, oldest first, as a letter: h healthy, "
            "u unknown, d degraded, x down, . without data."
        ),
    ]


class ProvidersDocument(msgspec.Struct, frozen=True):
    """All listed providers, in the order of the gateway's list."""

    date: Annotated[Time | None, Meta(description="Of the list.")]
    providers: Annotated[tuple[ProviderDocument, ...] | None, Meta(description="Null without a fresh list.")]


class SlotDocument(msgspec.Struct, frozen=True):
    """A slot of a provider's history."""

    start: Time
    health: Annotated[Health | None, Meta(description="The worst; null without data.")]
    polls: int
    usable: Annotated[int, Meta(description="Polls in which it was healthy or degraded.")]
    response_time_ms: Annotated[float | None, Meta(description="The mean.")]


class ChangeDocument(msgspec.Struct, frozen=True):
    """A change of a provider's health, of the list, or of the outcome of an endpoint."""

    date: Time
    kind: Literal["health", "appeared", "vanished", "failing", "recovered"]
    subject: Annotated[str, Meta(description="Slug of the provider, or path of the endpoint.")]
    before: Annotated[str, Meta(description="Health or outcome; empty if there was none.")]
    after: str
    seconds: Annotated[
        float | None, Meta(description="How long the state before had lasted; null if unknown.")
    ]


class ChangesDocument(msgspec.Struct, frozen=True):
    """The last thousand changes since the start, newest first."""

    changes: tuple[ChangeDocument, ...]


class ProviderDetailDocument(msgspec.Struct, frozen=True):
    """A provider with its history."""

    provider: ProviderDocument
    slots: Annotated[tuple[SlotDocument, ...], Meta(description="Oldest first; empty without history.")]
    changes: Annotated[tuple[ChangeDocument, ...], Meta(description="Newest first.")]


def status(state: State) -> StatusDocument:
    """Return the overall state."""
    snapshot, history, poll = state.snapshot, state.history, state.snapshot.last_poll
    worst = headline(snapshot, state.overdue, state.date)
    counts = tally(snapshot)
    return StatusDocument(
        tone=worst.tone,
        headline=worst.sentence,
        runbook=worst.runbook,
        version=__version__,
        poll=PollDocument(
            iso(poll.date), _milliseconds(poll.duration_seconds), poll.succeeded, f"{poll.trace_id:032x}"
        )
        if poll
        else None,
        endpoints=tuple(_endpoint(fetch, snapshot.last_success) for fetch in poll.fetches) if poll else (),
        providers=CountsDocument(*(counts[name] for name in CountsDocument.__struct_fields__))
        if snapshot.providers is not None
        else None,
        gateway_counts=snapshot.stats,
        history=HistoryDocument(iso(history.since), history.seconds, history.slot_seconds)
        if history.seconds
        else None,
    )


def providers(state: State) -> ProvidersDocument:
    """Return all listed providers."""
    listed = state.snapshot.providers
    return ProvidersDocument(
        _time(state.snapshot.last_success.get(Endpoint.PROVIDERS)),
        None if listed is None else tuple(_provider(each, state) for each in listed),
    )


def provider(slug: str, state: State) -> ProviderDetailDocument | None:
    """Return a provider with its history; None if it is not listed."""
    found = state.provider(slug)
    if found is None:
        return None
    changes = (change for change in state.history.changes() if change.subject == slug)
    return ProviderDetailDocument(
        _provider(found, state),
        tuple(map(_slot, state.history.slots(slug))),
        tuple(map(_change, changes)),
    )


def changes(state: State) -> ChangesDocument:
    """Return the last changes."""
    return ChangesDocument(tuple(map(_change, state.history.changes())))


def _endpoint(fetch: Fetch, last_success: Mapping[Endpoint, float]) -> EndpointDocument:
    return EndpointDocument(
        fetch.endpoint.path,
        fetch.outcome.value,
        fetch.status,
        fetch.attempts,
        _milliseconds(fetch.duration_seconds),
        fetch.request_id,
        fetch.hint,
        _time(last_success.get(fetch.endpoint)),
    )


def _provider(provider: Provider, state: State) -> ProviderDocument:
    snapshot, history, since = state.snapshot, state.history, state.since(provider)
    is_known = since.precision is not Precision.BEFORE
    return ProviderDocument(
        slug=provider.slug,
        name=provider.name,
        health=provider.health.label,  # type: ignore[arg-type]
        health_since=iso(since.date) if is_known else None,
        health_since_precision=since.precision.value if is_known else None,  # type: ignore[arg-type]
        is_active=provider.is_active,
        is_overdue=snapshot.is_overdue(provider),
        response_time_ms=provider.response_time_ms,
        last_health_check=_time(provider.last_health_check),
        capabilities={name: getattr(provider, attribute) for name, attribute in CAPABILITIES},
        site_url=provider.site_url,
        status_page_url=provider.status_page_url,
        published=dict(zip(PUBLISHED_ONLY, provider.published, strict=False)),
        uptime=history.uptime(provider.slug),
        long_uptimes=state.long_uptimes(provider.slug),
        slots=history.worst(provider.slug).translate(_LETTERS).decode(),
    )


def _slot(slot: Slot) -> SlotDocument:
    health = slot.health.label if slot.health is not None else None
    return SlotDocument(iso(slot.start), health, slot.polls, slot.usable, slot.response_time_ms)  # type: ignore[arg-type]


def _change(change: Change) -> ChangeDocument:
    return ChangeDocument(
        iso(change.date), change.kind.value, change.subject, change.before, change.after, change.seconds
    )


def _time(date: float | None) -> str | None:
    return None if date is None else iso(date)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
