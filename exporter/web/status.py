"""The status page: an overview for operators who have no Grafana yet.

A `Snapshot` is converted to a frozen `View`, which the template `status.html` renders. Data from the gateway
are untrusted: the template escapes them, and the content security policy allows no scripts and no loading.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from exporter import __version__
from exporter.errors import HINTS, Outcome
from exporter.model.endpoints import Endpoint
from exporter.model.provider import CAPABILITIES, HealthStatus, Provider, ProviderStats
from exporter.model.snapshot import Fetch, Snapshot

if TYPE_CHECKING:
    from jinja2 import Template

MAX_ROWS = 200
BAR_WIDTH, FULL_BAR_MS = 56, 2000.0
SHORTEST_REFRESH, LONGEST_REFRESH = 5.0, 30.0
UNREACHABLE = frozenset({Outcome.TIMEOUT, Outcome.DNS, Outcome.CONNECT, Outcome.TLS})
PROBLEMS = (
    ("bad", "down", "down"),
    ("warn", "degraded", "degraded"),
    ("warn", "overdue", "with an overdue health check"),
    ("none", "unknown", "of unknown health"),
)
"""Rows of tone, key of the tally and end of the headline; worst first."""
SPANS = (("days", 86_400, 172_800), ("h", 3_600, 7_200), ("min", 60, 120), ("s", 1, 1))
"""Units of time: name, length in seconds and smallest age in seconds that uses the unit."""
TONES: Mapping[str, str] = MappingProxyType(
    {"down": "bad", "degraded": "warn", "unknown": "none", "healthy": "good"}
)
"""Colour by health, worst first."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in the three formats that the page uses."""

    iso: str
    absolute: str
    relative: str


@dataclass(frozen=True, slots=True)
class Headline:
    """The overall state in one sentence; the tone (good, none, warn, bad) selects colour and icon."""

    tone: str
    sentence: str


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
    """One provider; `bar` is the width of the bar for its response time."""

    provider: Provider
    tone: str
    is_overdue: bool
    since: Moment | None
    active: str
    response_time: str
    bar: int
    capabilities: Mapping[str, str]
    checked: Moment | None


@dataclass(frozen=True, slots=True)
class View:
    """Input of the template; `state` describes the list: waiting, missing, stale, empty or listed."""

    headline: Headline
    summary: str
    hangs: bool
    now: Moment | None
    refresh: int
    poll_start: Moment | None
    poll_duration: str
    trace_id: str
    last_update: Moment | None
    cards: Sequence[Card]
    counts: Mapping[str, str]
    state: str
    rows: Sequence[Row]
    total: int
    matches: int
    query: str


class StatusPage:
    """Renders the page, at most once for each snapshot; thread-safe."""

    def __init__(self, interval: float, telemetry_path: str = "/metrics") -> None:
        """Read the template.

        Args:
            interval: Seconds between polls.
            telemetry_path: Path of the metrics, without the route prefix.
        """
        self._telemetry_path = telemetry_path
        self._refresh = int(max(SHORTEST_REFRESH, min(LONGEST_REFRESH, interval / 2)))
        self._source = files("exporter.web").joinpath("status.html").read_text("utf-8")
        self._lock = threading.Lock()
        self._rendered: Snapshot | None = None
        self._body = b""
        self.headers: Mapping[str, str] = MappingProxyType(_headers(self._source))

    def render(self, snapshot: Snapshot, overdue: bool, date: float, query: str = "") -> bytes:
        """Return the page in UTF-8, with ages as of the Unix time `date`.

        `overdue` means that the poll loop hangs or has died.
        """
        # After the death of the poll loop the snapshot stays the same while the ages grow: do not cache.
        if query.strip() or overdue:
            return self._render(snapshot, overdue, date, query.strip())
        with self._lock:
            if self._rendered is not snapshot:
                self._rendered, self._body = snapshot, self._render(snapshot, overdue, date, "")
            return self._body

    def _render(self, snapshot: Snapshot, overdue: bool, date: float, query: str) -> bytes:
        view = _view(snapshot, overdue, date, query, self._refresh)
        return self._template.render(view=view).encode("utf-8", "replace")

    @cached_property
    def _template(self) -> Template:
        # The import takes a large part of the start-up time, and many exporters never render the page.
        from jinja2 import Environment, StrictUndefined

        environment = Environment(
            autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        environment.globals |= {
            "bar_width": BAR_WIDTH,
            "full_bar": FULL_BAR_MS,
            "version": __version__,
            "telemetry_path": self._telemetry_path,
        }
        return environment.from_string(self._source)


def _headers(source: str) -> dict[str, str]:
    style = "".join(re.findall(r"<style>(.*?)</style>", source, re.DOTALL))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def _view(snapshot: Snapshot, overdue: bool, date: float, query: str, refresh: int) -> View:
    providers, poll = snapshot.providers or (), snapshot.last_poll
    fetches = {fetch.endpoint: fetch for fetch in poll.fetches} if poll else {}
    found = [provider for provider in providers if _matches(provider, query.casefold())]
    found.sort(key=lambda provider: _rank(provider, snapshot))
    return View(
        headline=_headline(snapshot, overdue, date),
        summary=_summary(_tally(snapshot)),
        hangs=overdue,
        now=_moment(date, date),
        refresh=refresh,
        poll_start=_moment(poll.date, date) if poll else None,
        poll_duration=_duration(poll.duration_seconds) if poll else "",
        trace_id=f"{poll.trace_id:032x}" if poll else "",
        last_update=_moment(snapshot.last_update, date),
        cards=[_card(each, fetches.get(each), snapshot.last_success.get(each), date) for each in Endpoint],
        counts=_counts(snapshot.stats),
        state=_state(snapshot),
        rows=[_row(provider, snapshot, date) for provider in found[:MAX_ROWS]],
        total=len(providers),
        matches=len(found),
        query=query,
    )


def _state(snapshot: Snapshot) -> str:
    if snapshot.providers is not None:
        return "listed" if snapshot.providers else "empty"
    if Endpoint.PROVIDERS in snapshot.last_success:
        return "stale"
    return "missing" if snapshot.last_poll else "waiting"


def _headline(snapshot: Snapshot, overdue: bool, date: float) -> Headline:
    state = _state(snapshot)
    fetches = snapshot.last_poll.fetches if snapshot.last_poll else ()
    failures = {fetch.endpoint: fetch.outcome for fetch in fetches if fetch.outcome is not Outcome.OK}
    success = _moment(snapshot.last_success.get(Endpoint.PROVIDERS), date)
    then = success.absolute if success else "earlier"
    data = "no data" if snapshot.providers is None else f"showing data from {then}"
    if overdue:
        return Headline("bad", f"The poller hangs: {data}")
    if state == "waiting":
        return Headline("none", "No data yet: the first poll is still running")
    if Endpoint.PROVIDERS in failures:
        what = f"data are stale, the last list is from {then}" if state == "stale" else data
        return Headline("bad", f"{_cause(failures)}: {what}")
    return _fleet_headline(_tally(snapshot), failures)


def _cause(failures: Mapping[Endpoint, Outcome]) -> str:
    if failures.get(Endpoint.PROVIDERS) is Outcome.EMPTY:
        return "The gateway's list is empty, as when its database is down"
    everything = len(failures) == len(Endpoint)
    if everything and UNREACHABLE.issuperset(failures.values()):
        return "Gateway unreachable"
    what = "Gateway" if everything else " ".join(endpoint.path for endpoint in failures)
    return f"{what} fails ({', '.join(dict.fromkeys(failures.values())).replace('_', ' ')})"


def _fleet_headline(tally: Mapping[str, int], failures: Mapping[Endpoint, Outcome]) -> Headline:
    if 2 * tally["overdue"] > tally["active"]:
        # Reported health may be months old, so it makes no headline.
        text = f"Health checks are overdue: {tally['overdue']:,} of {tally['active']:,} active providers"
        return Headline("warn", text)
    for tone, word, text in PROBLEMS:
        if tally[word]:
            return Headline(tone, f"{tally[word]:,} provider{'s' if tally[word] > 1 else ''} {text}")
    if not tally["active"]:
        text = "No provider is active" if tally["inactive"] else "The gateway lists no provider"
        return Headline("warn", text)
    if failures:
        return Headline("warn", f"Providers all good, but {_cause(failures)}")
    return Headline("good", "All good")


def _tally(snapshot: Snapshot) -> Counter[str]:
    """Count active providers by health; inactive ones keep their last health indefinitely."""
    providers = snapshot.providers or ()
    active = [provider for provider in providers if provider.is_active is not False]
    tally = Counter(provider.health.label for provider in active)
    tally["active"], tally["inactive"] = len(active), len(providers) - len(active)
    tally["overdue"] = sum(map(snapshot.is_overdue, active))
    return tally


def _summary(tally: Mapping[str, int]) -> str:
    active = [f"{tally[health]:,} {health}" for health in TONES if tally[health]]
    others = [f"{tally[word]:,} {word}" for word in ("overdue", "inactive") if tally[word]]
    fleet = [f"{tally['active']:,} active: {', '.join(active)}"] if active else []
    return " · ".join(fleet + others)


def _counts(stats: ProviderStats | None) -> Mapping[str, str]:
    return {name: f"{count:,}" for name, count in msgspec.structs.asdict(stats).items()} if stats else {}


def _card(endpoint: Endpoint, fetch: Fetch | None, last_success: float | None, date: float) -> Card:
    return Card(
        path=endpoint.path,
        fetch=fetch,
        outcome=fetch.outcome.replace("_", " ") if fetch else "",
        duration=_duration(fetch.duration_seconds) if fetch else "",
        hint=fetch.hint or HINTS[fetch.outcome] if fetch else "",
        last_success=_moment(last_success, date),
    )


def _matches(provider: Provider, query: str) -> bool:
    return query in provider.name.casefold() or query in provider.slug.casefold()


def _rank(provider: Provider, snapshot: Snapshot) -> tuple[bool, int, bool, str, str]:
    inactive = provider.is_active is False
    severity = 0 if inactive else provider.health.severity
    name = (provider.name or provider.slug).casefold()
    return (inactive, -severity, not snapshot.is_overdue(provider), name, provider.slug)


def _row(provider: Provider, snapshot: Snapshot, date: float) -> Row:
    milliseconds, is_overdue = provider.response_time_ms, snapshot.is_overdue(provider)
    return Row(
        provider=provider,
        tone=_tone(provider, is_overdue),
        is_overdue=is_overdue,
        since=_moment(snapshot.health_since.get(provider.slug), date),
        active=_yes_no(provider.is_active),
        response_time="" if milliseconds is None else _milliseconds(milliseconds),
        bar=round(BAR_WIDTH * min(1.0, (milliseconds or 0.0) / FULL_BAR_MS)),
        capabilities={name.title(): _yes_no(getattr(provider, field)) for name, field in CAPABILITIES},
        checked=_moment(provider.last_health_check, date),
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


def _moment(then: float | None, date: float) -> Moment | None:
    if then is None:
        return None
    when, now = (datetime.fromtimestamp(unix, UTC) for unix in (then, date))
    day, hour = when.date().isoformat(), when.time().isoformat(timespec="seconds")
    absolute = f"{hour} UTC" if when.date() == now.date() else f"{day} {hour} UTC"
    return Moment(f"{day}T{hour}Z", absolute, _relative(date - then))


def _relative(age: float) -> str:
    """Format an age in whole units, rounded down; it is negative when clocks disagree."""
    seconds = int(abs(age))
    for unit, length, smallest in SPANS:
        if seconds >= smallest:
            text = f"{seconds // length:,} {unit}"
            return f"{text} ago" if age > 0 else f"in {text}"
    return "just now"
