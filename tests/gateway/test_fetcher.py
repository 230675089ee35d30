"""A fetch runs in a thread of its own, and a hanging one never becomes two."""

from __future__ import annotations

import threading

from opentelemetry import trace

from exporter.clock import SystemClock
from exporter.errors import GatewayError, Outcome
from exporter.gateway.client import GatewayClient, Reply
from exporter.gateway.fetcher import Arrival, Fetcher, Inbox, Turn
from exporter.model.endpoints import Endpoint
from tests.clocks import MovedClock
from tests.keys import fixed_key
from tests.replay import ReplayGateway, recorded_body

LONG_SECONDS = 60.0


def fetcher(gateway: ReplayGateway, inbox: Inbox) -> Fetcher:
    """Return a fetcher of the counts."""
    clock = SystemClock()
    return Fetcher(GatewayClient(Endpoint.STATS, gateway.url, fixed_key("key"), clock), inbox, clock)


def turn() -> Turn:
    """Return a turn without a span."""
    return Turn(Endpoint.STATS, trace.INVALID_SPAN, 0.0)


def arrival(inbox: Inbox) -> Arrival:
    """Return what arrives next."""
    result = inbox.get(timeout=10)
    assert result is not None
    return result


def outcome(arrived: Arrival) -> Outcome:
    """Return the outcome of a failed fetch."""
    assert isinstance(arrived.result, GatewayError)
    return arrived.result.outcome


def test_result_arrives_with_its_turn(gateway: ReplayGateway) -> None:
    """A good answer arrives in the inbox, together with the turn that it belongs to."""
    inbox = Inbox()
    fetching, mine = fetcher(gateway, inbox), turn()
    fetching.start(mine, SystemClock().age() + LONG_SECONDS)

    arrived = arrival(inbox)
    fetching.close()

    assert isinstance(arrived.result, Reply)
    assert (mine, recorded_body("07-stats.http")) == (arrived.turn, arrived.result.body)


def test_arrival_has_its_time(gateway: ReplayGateway) -> None:
    """A result has the time at which it was complete, however late somebody looks for it."""
    clock = MovedClock()
    inbox = Inbox()
    client = GatewayClient(Endpoint.STATS, gateway.url, fixed_key("key"), clock)
    gateway.on_ask = lambda asked: clock.sleep(3)
    fetching = Fetcher(client, inbox, clock)
    began = clock.age()
    fetching.start(turn(), began + LONG_SECONDS)
    arrived = arrival(inbox)
    fetching.close()

    assert began + 3 == arrived.at


def test_endpoint_is_not_fetched_twice_at_once(gateway: ReplayGateway) -> None:
    """While a thread hangs, the next turn is a timeout at once and starts no thread; cutting frees it."""
    gateway.silent = True
    inbox = Inbox()
    fetching = fetcher(gateway, inbox)
    first, second = turn(), turn()
    fetching.start(first, SystemClock().age() + LONG_SECONDS)
    assert gateway.reached.wait(10)

    fetching.start(second, SystemClock().age() + LONG_SECONDS)
    # The freed thread and the refusal may come in either order.
    arrived = {result.turn: outcome(result) for result in (arrival(inbox), arrival(inbox))}
    fetching.close()

    assert {first: Outcome.CONNECT, second: Outcome.TIMEOUT} == arrived
    assert 1 == len(gateway.asked)


def test_next_turn_after_a_freed_one(gateway: ReplayGateway) -> None:
    """When the hanging thread has come back, the endpoint is fetched again."""
    gateway.silent = True
    inbox = Inbox()
    fetching = fetcher(gateway, inbox)
    fetching.start(turn(), SystemClock().age() + LONG_SECONDS)
    assert gateway.reached.wait(10)
    fetching.cut()
    arrival(inbox)
    gateway.silent = False

    fetching.start(turn(), SystemClock().age() + LONG_SECONDS)
    arrived = arrival(inbox)
    fetching.close()

    assert isinstance(arrived.result, Reply)


def test_threads_do_not_hold_the_process(gateway: ReplayGateway) -> None:
    """Threads that fetch are daemons, which the end of the process does not wait for."""
    gateway.silent = True
    inbox = Inbox()
    fetching = fetcher(gateway, inbox)
    fetching.start(turn(), SystemClock().age() + LONG_SECONDS)
    assert gateway.reached.wait(10)

    daemons = [thread.daemon for thread in threading.enumerate() if thread.name == "fetch-stats"]
    fetching.close()
    arrival(inbox)

    assert [True] == daemons
