"""Log records of a poll: failures, recoveries, changes and a summary."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.clock import Clock
from exporter.errors import Outcome
from exporter.model.changes import Changes
from exporter.model.endpoints import Endpoint
from exporter.model.provider import ProviderList
from exporter.model.snapshot import Fetch, Poll, Snapshot

LOGGER = logging.getLogger(__name__)

MAX_CHANGES = 50
"""With more changes, one record with counts replaces one record per change."""
PAGE_ROWS = 1000
"""The gateway's database silently truncates a list at this many rows (gateway contract)."""
EMPTY_HINT = "The gateway lists no provider. It also does so when its database is down: check the database."
UNMATCHED_HINT = "Compare its path with the fields that `check --raw` prints."
TRUNCATED_HINT = (
    "The gateway's database truncates lists at its row limit: compare with the rows in the database."
)


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """Consecutive failures of an endpoint; the first was at `age`."""

    age: float
    failures: int


class PollLog:
    """Logs the outcome of each poll; its state is which endpoints fail and which warnings are active."""

    def __init__(self, clock: Clock) -> None:
        """Start without failures."""
        self._clock = clock
        self._failing: dict[Endpoint, FailureStreak] = {}
        self._was_truncated = False
        self._was_empty = False
        self._unmatched: frozenset[str] = frozenset()

    def write(self, poll: Poll, snapshot: Snapshot, changes: Changes) -> None:
        """Log failures and recoveries, then changes of the providers, then a summary."""
        for fetch in poll.fetches:
            self._write_fetch(fetch)
        for fetch in poll.fetches:
            if isinstance(fetch.answer, ProviderList):
                self._write_empty(fetch.answer)
                self._write_truncated(fetch.answer)
        self._write_unmatched(snapshot)
        _write_changes(changes)
        _write_summary(poll, snapshot)

    def _write_fetch(self, fetch: Fetch) -> None:
        failing = self._failing.get(fetch.endpoint)
        if fetch.outcome is not Outcome.OK:
            LOGGER.log(logging.WARNING if failing else logging.ERROR, "Fetch failed", extra=_failure(fetch))
            first = failing or FailureStreak(self._clock.age(), 0)
            self._failing[fetch.endpoint] = FailureStreak(first.age, first.failures + 1)
        elif failing:
            del self._failing[fetch.endpoint]
            LOGGER.info(
                "Recovered",
                extra={
                    "endpoint": fetch.endpoint.value,
                    "failures": failing.failures,
                    "down_seconds": round(self._clock.age() - failing.age, 3),
                },
            )

    def _write_empty(self, answer: ProviderList) -> None:
        """Warn once when the list becomes empty."""
        if answer.is_empty and not self._was_empty:
            LOGGER.warning("No providers listed", extra={"providers_listed": 0, "hint": EMPTY_HINT})
        self._was_empty = answer.is_empty

    def _write_truncated(self, answer: ProviderList) -> None:
        """Warn once when the length of the list becomes a multiple of the row limit."""
        is_truncated = answer.rows > 0 and answer.rows % PAGE_ROWS == 0
        if is_truncated and not self._was_truncated:
            LOGGER.warning(
                "Provider list may be cut", extra={"providers_listed": answer.rows, "hint": TRUNCATED_HINT}
            )
        self._was_truncated = is_truncated

    def _write_unmatched(self, snapshot: Snapshot) -> None:
        """Warn once when a custom metric has a value in none of the records."""
        found = {
            metric.name: series.records
            for metric, series in snapshot.custom.items()
            if series.matches_nothing
        }
        for name in sorted(found.keys() - self._unmatched):
            extra = {"metric": name, "records": found[name], "hint": UNMATCHED_HINT}
            LOGGER.warning("Custom metric without values", extra=extra)
        self._unmatched = frozenset(found)


def _failure(fetch: Fetch) -> Mapping[str, object]:
    return {
        "endpoint": fetch.endpoint.value,
        "outcome": fetch.outcome.value,
        "status": fetch.status,
        "attempts": fetch.attempts,
        "request_id": fetch.request_id,
        "hint": fetch.hint,
    }


def _write_changes(changes: Changes) -> None:
    if len(changes) > MAX_CHANGES:
        LOGGER.log(
            logging.WARNING if any(change.is_worse for change in changes.health) else logging.INFO,
            "Providers changed",
            extra={
                "health_changes": len(changes.health),
                "appeared": len(changes.appeared),
                "vanished": len(changes.vanished),
            },
        )
        return
    for slug in changes.appeared:
        LOGGER.info("Provider appeared", extra={"provider": slug})
    for slug in changes.vanished:
        LOGGER.info("Provider vanished", extra={"provider": slug})
    for change in changes.health:
        LOGGER.log(
            logging.WARNING if change.is_worse else logging.INFO,
            "Provider health changed",
            extra={"provider": change.provider, "from": change.before.label, "to": change.after.label},
        )


def _write_summary(poll: Poll, snapshot: Snapshot) -> None:
    failed = [fetch.endpoint.value for fetch in poll.fetches if fetch.outcome is not Outcome.OK]
    if not failed:
        LOGGER.info("Updated provider metrics", extra=_values(poll, snapshot))
    elif len(failed) < len(poll.fetches):
        extra = {**_values(poll, snapshot), "failed_endpoint": failed[0]}
        LOGGER.warning("Updated provider metrics in part", extra=extra)


def _values(poll: Poll, snapshot: Snapshot) -> dict[str, object]:
    """Return the current values as fields; unknown values are omitted."""
    stats, providers = snapshot.stats, snapshot.providers
    values = {
        "providers_total": stats.total if stats else None,
        "providers_active": stats.active if stats else None,
        "providers_healthy": stats.healthy if stats else None,
        "providers_listed": None if providers is None else len(providers),
        "duration_ms": round(poll.duration_seconds * 1000, 3),
    }
    return {name: value for name, value in values.items() if value is not None}
