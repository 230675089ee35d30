"""Fetches in threads of their own, at most one for each endpoint."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from opentelemetry import trace

from exporter.errors import GatewayError, Outcome
from exporter.gateway.client import GatewayClient, Reply
from exporter.gateway.fetcher import Fetcher, FetchResult, FetchTask, ResultQueue
from exporter.model.endpoints import Endpoint
from tests.clocks import MovedClock
from tests.keys import fixed_key
from tests.replay import ReplayGateway, recorded_body

LONG_SECONDS = 60.0


class Fetching:
    """A fetcher of the counts, and its results."""

    def __init__(self, gateway: ReplayGateway, clock: MovedClock) -> None:
        """Start no thread yet."""
        self.gateway, self.clock = gateway, clock
        self._results = ResultQueue()
        client = GatewayClient(Endpoint.STATS, gateway.url, fixed_key("key"), clock)
        self.fetcher = Fetcher(client, self._results, clock)

    def start(self) -> FetchTask:
        """Start a fetch."""
        task = FetchTask(Endpoint.STATS, trace.INVALID_SPAN, 0.0)
        self.fetcher.start(task, self.clock.age() + LONG_SECONDS)
        return task

    def hang(self) -> FetchTask:
        """Start a fetch whose thread hangs."""
        self.gateway.silent = True
        task = self.start()
        assert self.gateway.reached.wait(10)
        return task

    def result(self) -> FetchResult:
        """Return the next result."""
        result = self._results.get(timeout=10)
        assert result is not None
        return result


@pytest.fixture
def fetching(gateway: ReplayGateway, clock: MovedClock) -> Iterator[Fetching]:
    """A fetcher that is closed at the end."""
    fetching = Fetching(gateway, clock)
    yield fetching
    fetching.fetcher.close()


def test_result(fetching: Fetching, gateway: ReplayGateway, clock: MovedClock) -> None:
    """The result has the task, the response, and the time at which that was complete."""
    gateway.on_ask = lambda asked: clock.sleep(3)
    expected = clock.age() + 3
    task, result = fetching.start(), fetching.result()

    assert isinstance(result.result, Reply)
    assert (task, expected) == (result.task, result.finished)
    assert recorded_body("07-stats.http") == result.result.body


def test_one_fetch_at_a_time(fetching: Fetching, gateway: ReplayGateway) -> None:
    """While a thread hangs, the next task is a timeout without a thread, and the hanging fetch is aborted."""
    first, second = fetching.hang(), fetching.start()
    # The two results can come in either order.
    results = [fetching.result(), fetching.result()]

    outcomes = {r.task: r.result.outcome for r in results if isinstance(r.result, GatewayError)}
    assert {first: Outcome.CONNECT, second: Outcome.TIMEOUT} == outcomes
    assert 1 == len(gateway.asked)


def test_daemon_threads(fetching: Fetching) -> None:
    """Threads are daemons: a hanging one does not delay the end of the process."""
    fetching.hang()

    assert [True] == [thread.daemon for thread in threading.enumerate() if thread.name == "fetch-stats"]
    fetching.fetcher.close()
    fetching.result()
