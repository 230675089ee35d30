"""Keeps the recent past of each provider in time slots, and the last changes.

A provider takes at most `MAX_SLOTS` x 11 bytes, whatever the interval of the polls. The history counts as the
recording rules do: an inactive provider has no data, one that is down has no response time, and uptime is the
share of the polls in which a provider was healthy or degraded.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from exporter.errors import Outcome
from exporter.model.changes import Changes
from exporter.model.provider import SEVERITY, HealthStatus, Provider, ProviderList
from exporter.model.snapshot import Poll, Snapshot

MAX_SLOTS = 96
"""Slots of the whole history: a quarter of an hour each in 24 h."""
POLLS_PER_SLOT = 2
"""At least, since a slot with one poll or none would look like missing data."""
MAX_CHANGES = 1000
MIN_FORGOTTEN = 64
"""Providers that have left the list are forgotten when they are more than the listed ones, and than this."""
_SLOT = struct.Struct("<BHHHf")
"""Worst severity + 1 (0: no data), polls, polls in which it was usable, response times, their mean in ms."""
_MOST = 0xFFFF
_RANK: Mapping[HealthStatus, int] = MappingProxyType(
    {health: SEVERITY.index(health) + 1 for health in SEVERITY}
)
_HEALTH = (None, *SEVERITY)
_LARGEST = 1e9
"""Larger response times count as this one, since those of 300 digits do not fit in four bytes."""
_NO_CHANGES, _NOTHING = Changes(), Snapshot()
_USABLE = frozenset({HealthStatus.HEALTHY, HealthStatus.DEGRADED})


class ChangeKind(StrEnum):
    """What changed."""

    HEALTH = "health"
    APPEARED = "appeared"
    VANISHED = "vanished"
    FAILING = "failing"
    """Fetches of an endpoint began to fail."""
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a provider or of an endpoint."""

    date: float
    """Unix time of the poll that found it."""
    kind: ChangeKind
    subject: str
    """Slug of the provider, or path of the endpoint."""
    before: str = ""
    """Health or outcome; empty if there was none."""
    after: str = ""
    seconds: float | None = None
    """How long the state before had lasted; None if unknown."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A provider in one slot of time."""

    start: float
    """Unix time."""
    health: HealthStatus | None
    """The worst; None without data."""
    polls: int
    usable: int
    """Polls in which it was healthy or degraded."""
    response_time_ms: float | None
    """The mean; None without one."""
    is_steady: bool = True
    """Whether the health was the same in all polls; unknown for the exporter's own slots."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A provider's last health before the start of the exporter, by the records of another server."""

    health: HealthStatus
    since: float
    """Unix time of the first of the last slots with it."""
    began: bool
    """Whether it began in that slot; otherwise nothing is known of the time before."""
    until: float
    """Unix time at which the last slot ends."""


class History:
    """Time slots of each provider, and the last changes; may be read from any thread."""

    def __init__(self, seconds: float, interval: float, date: float) -> None:
        """Start empty.

        Args:
            seconds: Length of the whole history; 0: nothing is kept.
            interval: Seconds between polls.
            date: Unix time from which it is complete.
        """
        self.seconds = seconds
        self.start = date
        """Unix time of the exporter's first list."""
        self._has_list = False
        self.since = date
        """Unix time of the first data."""
        self._count = max(1, min(MAX_SLOTS, int(seconds / (POLLS_PER_SLOT * interval))))
        self.slot_seconds = seconds / self._count
        self._newest = 0
        self._slots: dict[str, bytearray] = {}
        self._earlier: dict[str, Earlier] = {}
        self._changes: deque[Change] = deque(maxlen=MAX_CHANGES)
        self._lock = threading.Lock()

    @property
    def end(self) -> float:
        """Unix time at which the newest slot ends."""
        return (self._newest + 1) * self.slot_seconds

    def record(
        self,
        poll: Poll,
        changes: Changes = _NO_CHANGES,
        before: Snapshot = _NOTHING,
    ) -> None:
        """Add a poll.

        Args:
            poll: Its list, if it has one, and the outcomes.
            changes: What differs from the list before.
            before: The snapshot before the poll.
        """
        has_list = any(isinstance(fetch.answer, ProviderList) for fetch in poll.fetches)
        if has_list and not self._has_list:
            self._has_list, self.start = True, poll.date
        if not self.seconds:
            return
        with self._lock:
            self._changes.extend(self._changed(poll, changes, before))
            for fetch in poll.fetches:
                if isinstance(fetch.answer, ProviderList):
                    self._advance(int(poll.date // self.slot_seconds))
                    self._add(fetch.answer.providers)
                    self._forget(fetch.answer.providers)

    def extent(self, date: float) -> tuple[int, int]:
        """Return the numbers of the oldest and the newest slot at a Unix time."""
        with self._lock:
            self._advance(int(date // self.slot_seconds))
            return self._newest - self._count + 1, self._newest

    def fill(self, slug: str, slots: Sequence[Slot]) -> None:
        """Set the slots of a provider that have no data; others, and those out of the window, are skipped.

        Args:
            slug: Of the provider.
            slots: Of the records of another server, oldest first.
        """
        earlier = _earlier(slots, self.start, self.slot_seconds)
        with self._lock:
            if earlier:
                self._earlier[slug] = earlier
            data = self._slots.setdefault(slug, bytearray(self._count * _SLOT.size))
            for slot in slots:
                number = round(slot.start / self.slot_seconds)
                start = number % self._count * _SLOT.size
                is_inside = self._newest - self._count < number <= self._newest
                if slot.health is None or not is_inside or data[start]:
                    continue
                time = slot.response_time_ms
                polls, usable = (min(_MOST, count) for count in (slot.polls, slot.usable))
                mean = 0.0 if time is None else min(time, _LARGEST)
                _SLOT.pack_into(data, start, _RANK[slot.health], polls, usable, time is not None, mean)
                self.since = min(self.since, slot.start)

    def earlier(self, slug: str) -> Earlier | None:
        """Return the health of a provider before the start; None if it is unknown for some time before it."""
        earlier = self._earlier.get(slug)
        is_recent = earlier is not None and earlier.until >= self.start - self.slot_seconds
        return earlier if is_recent else None

    def changes(self) -> tuple[Change, ...]:
        """Return the last changes, newest first."""
        with self._lock:
            return tuple(reversed(self._changes))

    def worst(self, slug: str) -> bytes:
        """Return 1 + the worst severity in each slot, or 0 without data, oldest first; empty without history.

        Faster than `slots`, for lists of all providers.
        """
        data, newest = self._copy(slug)
        column, first = data[:: _SLOT.size], (newest + 1) % self._count
        return column[first:] + column[:first]

    def uptime(self, slug: str) -> float | None:
        """Return the share of a provider's polls in which it was usable; None without polls."""
        rows = _SLOT.iter_unpack(self._copy(slug)[0])
        polls = usable = 0
        for _, each_polls, each_usable, _, _ in rows:
            polls, usable = polls + each_polls, usable + each_usable
        return usable / polls if polls else None

    def slots(self, slug: str) -> tuple[Slot, ...]:
        """Return the slots of a provider, oldest first; empty without history."""
        data, newest = self._copy(slug)
        if not data:
            return ()
        rows = list(_SLOT.iter_unpack(data))
        oldest = newest - self._count + 1
        return tuple(
            Slot(number * self.slot_seconds, _HEALTH[rank], polls, usable, mean if times else None)
            for number in range(oldest, newest + 1)
            for rank, polls, usable, times, mean in [rows[number % self._count]]
        )

    def _copy(self, slug: str) -> tuple[bytes, int]:
        """Return the slots of a provider by place, and the number of the newest."""
        with self._lock:
            return bytes(self._slots.get(slug, b"")), self._newest

    def _advance(self, number: int) -> None:
        """Clear the slots up to a new one; a clock that was set back continues the newest."""
        passed = min(number - self._newest, self._count)
        if passed <= 0:
            return
        self._newest = number
        for place in (each % self._count for each in range(number - passed + 1, number + 1)):
            start = place * _SLOT.size
            for data in self._slots.values():
                data[start : start + _SLOT.size] = bytes(_SLOT.size)

    def _add(self, providers: Iterable[Provider]) -> None:
        start = self._newest % self._count * _SLOT.size
        for provider in providers:
            if provider.is_active is False:
                continue
            data = self._slots.get(provider.slug)
            if data is None:
                data = self._slots[provider.slug] = bytearray(self._count * _SLOT.size)
            worst, polls, usable, times, mean = _SLOT.unpack_from(data, start)
            health, milliseconds = provider.health, provider.response_time_ms
            if polls < _MOST:
                polls += 1
                usable += health in _USABLE
            if milliseconds is not None and health is not HealthStatus.DOWN and times < _MOST:
                times += 1
                mean += (min(milliseconds, _LARGEST) - mean) / times
            _SLOT.pack_into(data, start, max(worst, _RANK[health]), polls, usable, times, mean)

    def _forget(self, providers: Sequence[Provider]) -> None:
        if len(self._slots) > 2 * max(len(providers), MIN_FORGOTTEN):
            listed = {provider.slug for provider in providers}
            self._slots = {slug: data for slug, data in self._slots.items() if slug in listed}
            self._earlier = {slug: each for slug, each in self._earlier.items() if slug in listed}

    def _changed(self, poll: Poll, changes: Changes, before: Snapshot) -> Iterable[Change]:
        outcomes = (
            {fetch.endpoint: fetch.outcome for fetch in before.last_poll.fetches} if before.last_poll else {}
        )
        for fetch in poll.fetches:
            endpoint, since = fetch.endpoint, before.failing_since.get(fetch.endpoint)
            if fetch.outcome is not Outcome.OK and since is None:
                yield Change(poll.date, ChangeKind.FAILING, endpoint.path, "", fetch.outcome.value)
            elif fetch.outcome is Outcome.OK and since is not None:
                lasted = poll.date - since
                yield Change(
                    poll.date, ChangeKind.RECOVERED, endpoint.path, outcomes[endpoint].value, "", lasted
                )
        for slug in changes.appeared:
            yield Change(poll.date, ChangeKind.APPEARED, slug)
        for slug in changes.vanished:
            yield Change(poll.date, ChangeKind.VANISHED, slug)
        for each in changes.health:
            since = before.health_since.get(each.provider)
            yield Change(
                poll.date,
                ChangeKind.HEALTH,
                each.provider,
                each.before.label,
                each.after.label,
                None if since is None else poll.date - since,
            )


def _earlier(slots: Iterable[Slot], start: float, width: float) -> Earlier | None:
    """Return the last health in the slots that begin before `start`, oldest first; None without data.

    A slot with several healths, or without data, ends the time for which it is known.
    """
    known = [(slot, slot.health) for slot in slots if slot.health is not None and slot.start < start]
    if not known:
        return None
    newest, last = known[-1]
    since, until = newest.start, newest.start + width
    for slot, health in reversed(known):
        if health is not last:
            return Earlier(last, since, True, until)
        if since - slot.start > 1.5 * width:
            break
        since = slot.start
        if not slot.is_steady:
            return Earlier(last, since, True, until)
    return Earlier(last, since, False, until)
