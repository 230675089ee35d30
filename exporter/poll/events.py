"""What a poll says in the log."""

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
"""Above this many, one record with counts takes the place of one for each change."""
PAGE_ROWS = 1000
"""The gateway's database cuts a list at this many rows without a word (gateway contract)."""
EMPTY_HINT = (
    "The gateway lists no provider. It answers the same when its database is down: compare with its database."
)
CUT_HINT = "The gateway's database cuts a list at its row limit: compare with the number of rows in it."


@dataclass(frozen=True, slots=True)
class Failing:
    """An endpoint that has failed since `age`, `failures` times in a row."""

    age: float
    failures: int


class Journal:
    """Writes the records of each poll; it remembers only which endpoints fail."""

    def __init__(self, clock: Clock) -> None:
        """Begin with endpoints that do not fail."""
        self._clock = clock
        self._failing: dict[Endpoint, Failing] = {}
        self._was_cut = False
        self._was_empty = False

    def write(self, poll: Poll, snapshot: Snapshot, changes: Changes) -> None:
        """Write what a poll brought: failures and recoveries, changes of the fleet, and the sum of it."""
        for fetch in poll.fetches:
            self._write_fetch(fetch)
        for fetch in poll.fetches:
            if isinstance(fetch.answer, ProviderList):
                self._write_empty(fetch.answer)
                self._write_round_thousand(fetch.answer)
        _write_changes(changes)
        _write_update(poll, snapshot)

    def _write_fetch(self, fetch: Fetch) -> None:
        failing = self._failing.get(fetch.endpoint)
        if fetch.outcome is not Outcome.OK:
            LOGGER.log(logging.WARNING if failing else logging.ERROR, "Fetch failed", extra=_failure(fetch))
            begun = failing or Failing(self._clock.age(), 0)
            self._failing[fetch.endpoint] = Failing(begun.age, begun.failures + 1)
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
        """Warn once when the list is empty, until it is not."""
        if answer.is_empty and not self._was_empty:
            LOGGER.warning("No providers listed", extra={"providers_listed": 0, "hint": EMPTY_HINT})
        self._was_empty = answer.is_empty

    def _write_round_thousand(self, answer: ProviderList) -> None:
        """Warn once when the list looks cut, until it does not."""
        is_cut = answer.rows > 0 and answer.rows % PAGE_ROWS == 0
        if is_cut and not self._was_cut:
            LOGGER.warning(
                "Provider list may be cut", extra={"providers_listed": answer.rows, "hint": CUT_HINT}
            )
        self._was_cut = is_cut


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


def _write_update(poll: Poll, snapshot: Snapshot) -> None:
    failed = [fetch.endpoint.value for fetch in poll.fetches if fetch.outcome is not Outcome.OK]
    if not failed:
        LOGGER.info("Updated provider metrics", extra=_values(poll, snapshot))
    elif len(failed) < len(poll.fetches):
        extra = {**_values(poll, snapshot), "failed_endpoint": failed[0]}
        LOGGER.warning("Updated provider metrics in part", extra=extra)


def _values(poll: Poll, snapshot: Snapshot) -> dict[str, object]:
    """Return the values in force; what is not known has no field."""
    stats, providers = snapshot.stats, snapshot.providers
    values = {
        "providers_total": stats.total if stats else None,
        "providers_active": stats.active if stats else None,
        "providers_healthy": stats.healthy if stats else None,
        "providers_listed": None if providers is None else len(providers),
        "duration_ms": round(poll.duration_seconds * 1000, 3),
    }
    return {name: value for name, value in values.items() if value is not None}
