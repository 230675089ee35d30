"""However long polls take and however late the poller wakes up, it keeps to its beats, one poll at a time."""

from __future__ import annotations

import math
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar
from unittest.mock import MagicMock, patch

from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import trace

from exporter.config.settings import Settings, load_settings
from exporter.errors import GatewayError, Outcome
from exporter.gateway.client import Reply
from exporter.gateway.fetcher import FetchResult, FetchTask, ResultQueue
from exporter.poll.poller import Poller, next_beat
from tests.clocks import MovedClock

T = TypeVar("T")

ROUNDING = 1e-6
"""Seconds by which a double may miss an age of some hours, and more."""


@dataclass(frozen=True)
class Round:
    """How a poll goes, and the wait for the next one; all in intervals."""

    fetch: float
    """Time until the answers are there; the poller gives up before."""
    work: float
    """Time from then until the poll has ended, as on a machine that is suspended meanwhile."""
    late: float
    """How much later than asked the poller wakes up whenever it waits for the next poll."""


parts = st.sampled_from([0.0, 0.5, 0.8, 1.0, 2.0]) | st.floats(0, 3)
rounds = st.lists(st.builds(Round, parts, parts, st.just(0.0) | parts), min_size=1, max_size=12)
intervals = st.sampled_from([0.1, 0.3, 1.0, 60.0]) | st.floats(0.1, 600)


class Machine(MovedClock):
    """A clock on which time passes as the rounds say, and that takes the place of the fetchers."""

    def __init__(self, interval: float, script: Sequence[Round]) -> None:
        """Begin with the first round."""
        super().__init__()
        self.interval = interval
        self.script = script
        self.polls: list[tuple[float, float]] = []
        """When each began and ended."""
        self.on_end: Callable[[], None] = lambda: None
        self._arrivals: list[tuple[float, FetchResult]] = []
        self._is_polling = False

    @property
    def round(self) -> Round:
        """The round that is under way."""
        return self.script[min(len(self.polls) - (not self._is_polling), len(self.script) - 1)]

    def poll(self, poll_once: Callable[[], None]) -> None:
        """Let a poll of the round take place."""
        began, self._is_polling = self.now, True
        poll_once()
        self.now += self.round.work * self.interval
        self._is_polling = False
        self.polls.append((began, self.now))
        if len(self.polls) == len(self.script):
            self.on_end()

    def fetcher(self, client: object, inbox: ResultQueue, clock: object) -> MagicMock:
        """Return what takes the place of a `Fetcher`: no thread, only a time at which it is done."""

        def start(turn: FetchTask, deadline: float) -> None:
            takes = self.round.fetch * self.interval
            arrival = FetchResult(turn, Reply(b"[]", 200, 1, None), self.age() + takes)
            self._arrivals.append((self.now + takes, arrival))

        cut = GatewayError(Outcome.TIMEOUT, "cut")
        return MagicMock(start=start, abort=lambda: cut)

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Return what arrives by then, or let the time pass, and a bit more between two polls."""
        target = self.now + seconds
        moment, arrival = min(self._arrivals, key=itemgetter(0), default=(math.inf, None))
        if arrival is not None and moment <= target:
            self._arrivals.remove((moment, arrival))
            self.now = max(self.now, moment)
            found: Any = arrival
            return found  # type: ignore[no-any-return]
        # A look at what is there already takes no time.
        self.now = target + (0 if self._is_polling or not seconds else self.round.late * self.interval)
        return None


class ScriptedPoller(Poller):
    """The real poller, on a machine that wants to know of its polls."""

    def poll_once(self) -> None:
        """Poll once, for as long as the machine takes."""
        self._clock.poll(super().poll_once)  # type: ignore[attr-defined]


def settings_of(interval: float) -> Settings:
    """Return the settings for polls at this interval."""
    url, key = "https://gateway.example", "test-admin-key"
    return load_settings({"GATEWAY_API_URL": url, "ADMIN_KEY": key, "SCRAPE_INTERVAL": repr(interval)})


def run(settings: Settings, script: Sequence[Round]) -> list[tuple[float, float]]:
    """Return when the polls of a run began and ended."""
    machine = Machine(settings.interval, script)
    with patch("exporter.poll.poller.Fetcher", machine.fetcher):
        poller = ScriptedPoller(settings, machine, trace.NoOpTracerProvider().get_tracer("test"), MagicMock())
        machine.on_end = poller.stop
        poller.run()
    return machine.polls


def beats_after(moment: float, interval: float) -> set[int]:
    """Return the number of the first beat after a moment; two of them where rounding decides."""
    return {math.floor((moment + error) / interval) + 1 for error in (-ROUNDING, ROUNDING)}


@given(interval=intervals, script=rounds)
@example(0.1, [Round(0.0, 3.0, 0.0)] * 12)
@example(60.0, [Round(2.0, 0.2, 0.0)] * 12)
def test_run(interval: float, script: list[Round]) -> None:
    """The first poll begins at once, the others at the first beat after the end of the one before.

    Only a poller that is woken too late begins too late, and by no more than that. No answer is waited for
    beyond the deadline of a fetch.
    """
    settings = settings_of(interval)

    first, *others = run(settings, script)

    assert 0.0 == first[0]
    assert len(script) == 1 + len(others)
    for (_, free), before, (began, _) in zip([first, *others], script, others, strict=False):
        lags = [began - beat * interval for beat in beats_after(free, interval)]
        assert began >= free
        assert [lag for lag in lags if -ROUNDING <= lag <= before.late * interval + ROUNDING]
    for (began, ended), this in zip([first, *others], script, strict=True):
        fetched = min(this.fetch * interval, settings.fetch_timeout)
        assert abs(ended - began - fetched - this.work * interval) < ROUNDING


@given(
    beat=st.floats(0, 1e7), interval=st.floats(0.1, 86_400), passed=st.floats(0, 1e6) | st.integers(0, 1000)
)
def test_next_beat(beat: float, interval: float, passed: float) -> None:
    """The next beat lies ahead, a whole number of intervals after the last and at most one from now."""
    now = beat + passed

    found = next_beat(beat, interval, now)

    number = (found - beat) / interval
    assert round(number) >= 1
    assert abs(number - round(number)) < ROUNDING
    assert -ROUNDING <= found - now <= interval + ROUNDING
