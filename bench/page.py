"""Measures the status page and the documents for programs, with a full history of 24 h."""

from __future__ import annotations

import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import msgspec

from bench.fleet import NOON, fleet
from bench.report import machine, number, table
from exporter.errors import Outcome
from exporter.gateway.decode import decode, parse
from exporter.model.endpoints import Endpoint
from exporter.model.history import MAX_SLOTS, History
from exporter.model.provider import ProviderList
from exporter.model.snapshot import Fetch, Poll, Snapshot
from exporter.status import documents, feed
from exporter.status.state import State
from exporter.web.page.pages import StatusPage
from exporter.web.page.query import Query

SIZES = (30, 1_000, 10_000)
HISTORY, INTERVAL = 86_400.0, 60.0
REPETITIONS = 5
NOW = NOON.timestamp()
SLUG = "provider-00001"
Figures = Mapping[str, float]


def report_on() -> str:
    """Measure each size, and return the results as Markdown."""
    load = os.getloadavg()[0]
    figures = [_measure(size) for size in SIZES]
    rows = [[name, *(number(each[name]) for each in figures)] for name in figures[0]]
    head = ["Providers", *(f"{size:,}" for size in SIZES)]
    return f"{machine([load], 'python -m bench --page')}\n\n{table(head, rows)}"


def _measure(size: int) -> Figures:
    polls = [_poll(moment.providers) for moment in fleet(size).values()]
    tracemalloc.start()
    history = _history(polls)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    state = State(_snapshot(polls[0]), history, NOW)
    page = StatusPage(INTERVAL)
    actions: Mapping[str, Callable[[], object]] = {
        "CPU of a poll's history, ms": lambda: history.record(polls[0]),
        "CPU of the page, ms": lambda: page.overview(state, Query(sort="name")),
        "CPU of a provider's page, ms": lambda: page.detail(SLUG, state),
        "CPU of /api/v1/status, ms": lambda: msgspec.json.encode(documents.status(state)),
        "CPU of /api/v1/providers, ms": lambda: msgspec.json.encode(documents.providers(state)),
        "CPU of /changes.atom, ms": lambda: feed.of_changes(state),
    }
    return {
        "Memory of the history, bytes per provider": taken / size,
        **{name: 1000 * _cpu(action) for name, action in actions.items()},
        "The page, kB": len(page.overview(state, Query())) / 1000,
    }


def _cpu(action: Callable[[], object]) -> float:
    """Return the median seconds of CPU, after a first time that loads templates."""
    action()
    taken = []
    for _ in range(REPETITIONS):
        begun = time.process_time()
        action()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def _history(polls: Sequence[Poll]) -> History:
    """Return a history with a poll in each slot."""
    history = History(HISTORY, INTERVAL, NOW - HISTORY)
    for slot in range(MAX_SLOTS):
        date = NOW - (MAX_SLOTS - 1 - slot) * history.slot_seconds
        history.record(replace(polls[slot % len(polls)], date=date))
    return history


def _poll(body: bytes) -> Poll:
    answer = decode(Endpoint.PROVIDERS, parse(body))
    return Poll(NOW, 0.1, 1, 1, (Fetch(Endpoint.PROVIDERS, Outcome.OK, answer),))


def _snapshot(poll: Poll) -> Snapshot:
    answer = poll.fetches[0].answer
    providers = answer.providers if isinstance(answer, ProviderList) else ()
    success = MappingProxyType({Endpoint.PROVIDERS: NOW})
    return Snapshot(providers, last_success=success, last_update=NOW, last_poll=poll)
