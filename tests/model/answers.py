"""Answers and polls for tests of `exporter.model`."""

from __future__ import annotations

from exporter.errors import Outcome
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Answer, HealthStatus, Provider, ProviderList, ProviderStats
from exporter.model.snapshot import Fetch, Poll
from tests.clocks import START_DATE

HEALTHY, DOWN = HealthStatus.HEALTHY, HealthStatus.DOWN
COUNTS = ProviderStats(total=2, active=2, inactive=0, healthy=1, degraded=0, down=1, unknown=0)
NO_COUNTS = ProviderStats(total=0, active=0, inactive=0, healthy=0, degraded=0, down=0, unknown=0)


def listing(*providers: Provider, rows: int | None = None, **invalid: int) -> ProviderList:
    """Return a list of providers, by default with as many rows."""
    return ProviderList(providers, len(providers) if rows is None else rows, invalid)


LISTED = listing(Provider("a", health=HEALTHY), Provider("b", health=DOWN), id=1)
NOTHING_LISTED = listing()


def poll_of(providers: ProviderList | None, stats: ProviderStats | None) -> Poll:
    """Return a poll with these answers; None is a failed fetch."""
    answers: dict[Endpoint, Answer | None] = {Endpoint.PROVIDERS: providers, Endpoint.STATS: stats}
    fetches = tuple(
        Fetch(endpoint, Outcome.OK if answer else Outcome.TIMEOUT, answer)
        for endpoint, answer in answers.items()
    )
    return Poll(START_DATE, 0.5, 1, 2, fetches)
