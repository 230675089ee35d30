"""Property: for any duration of polls and any delay of wake-ups, polls keep their schedule."""

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
from exporter.poll.poller import Poller, next_start
from tests.clocks import MovedClock

T = TypeVar("T")

ROUNDING = 1e-6
"""Seconds; above the rounding error of an age of some hours."""


@dataclass(frozen=True)
class Round:
    """Durations of one poll and of the wait for the next one, in intervals."""

    fetch: float
    """Time until the answers arrive; the poller may time out before."""
    work: float
    """Time from then to the end of the poll, as on a suspended machine."""
    late: float
    """Delay of each wake-up while the poller waits for the next poll."""


parts = st.sampled_from([0.0, 0.5, 0.8, 1.0, 2.0]) | st.floats(0, 3)
rounds = st.lists(st.builds(Round, parts, parts, st.just(0.0) | parts), min_size=1, max_size=12)
intervals = st.sampled_from([0.1, 0.3, 1.0, 60.0]) | st.floats(0.1, 600)


class Machine(MovedClock):
    """A clock that advances by the rounds of a script, and replaces the fetchers."""

    def __init__(self, interval: float, script: Sequence[Round]) -> None:
        """Begin with the first round."""
        super().__init__()
        self.interval = interval
        self.script = script
        self.polls: list[tuple[float, float]] = []
        """Start and end of each poll."""
        self.on_end: Callable[[], None] = lambda: None
        self._results: list[tuple[float, FetchResult]] = []
        self._is_polling = False

    @property
    def round(self) -> Round:
        """The current round."""
        return self.script[min(len(self.polls) - (not self._is_polling), len(self.script) - 1)]

    def poll(self, poll_once: Callable[[], None]) -> None:
        """Run a poll for the duration of the round."""
        began, self._is_polling = self.now, True
        poll_once()
        self.now += self.round.work * self.interval
        self._is_polling = False
        self.polls.append((began, self.now))
        if len(self.polls) == len(self.script):
            self.on_end()

    def fetcher(self, client: object, inbox: ResultQueue, clock: object) -> MagicMock:
        """Return a replacement of `Fetcher` without a thread."""

        def start(task: FetchTask, deadline: float) -> None:
            takes = self.round.fetch * self.interval
            result = FetchResult(task, Reply(b"[]", 200, 1, None), self.age() + takes)
            self._results.append((self.now + takes, result))

        cut = GatewayError(Outcome.TIMEOUT, "cut")
        return MagicMock(start=start, abort=lambda: cut)

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Return the next result within this time, or advance the clock."""
        target = self.now + seconds
        moment, result = min(self._results, key=itemgetter(0), default=(math.inf, None))
        if result is not None and moment <= target:
            self._results.remove((moment, result))
            self.now = max(self.now, moment)
            found: Any = result
            return found  # type: ignore[no-any-return]
        # Reading available results takes no time.
        self.now = target + (0 if self._is_polling or not seconds else self.round.late * self.interval)
        return None


class ScriptedPoller(Poller):
    """The poller, which runs its polls through the machine."""

    def poll_once(self) -> None:
        """Poll once."""
        self._clock.poll(super().poll_once)  # type: ignore[attr-defined]


def settings_of(interval: float) -> Settings:
    """Return the settings for polls at this interval."""
    url, key = "https://gateway.example", "test-admin-key"
    return load_settings({"GATEWAY_API_URL": url, "ADMIN_KEY": key, "SCRAPE_INTERVAL": repr(interval)})


def run(settings: Settings, script: Sequence[Round]) -> list[tuple[float, float]]:
    """Return start and end of the polls of a run."""
    machine = Machine(settings.interval, script)
    with patch("exporter.poll.poller.Fetcher", machine.fetcher):
        poller = ScriptedPoller(settings, machine, trace.NoOpTracerProvider().get_tracer("test"), MagicMock())
        machine.on_end = poller.stop
        poller.run()
    return machine.polls


def ticks_after(moment: float, interval: float) -> set[int]:
    """Return the number of the next scheduled poll after a moment; two if they differ by rounding only."""
    return {math.floor((moment + error) / interval) + 1 for error in (-ROUNDING, ROUNDING)}


@given(interval=intervals, script=rounds)
@example(0.1, [Round(0.0, 3.0, 0.0)] * 12)
@example(60.0, [Round(2.0, 0.2, 0.0)] * 12)
def test_run(interval: float, script: list[Round]) -> None:
    """The first poll begins immediately, each other one at the next scheduled time after the previous one.

    A poll is late only by the delay of its wake-up. No poll waits for an answer beyond the deadline.
    """
    settings = settings_of(interval)

    first, *others = run(settings, script)

    assert 0.0 == first[0]
    assert len(script) == 1 + len(others)
    for (_, free), before, (began, _) in zip([first, *others], script, others, strict=False):
        lags = [began - tick * interval for tick in ticks_after(free, interval)]
        assert began >= free
        assert [lag for lag in lags if -ROUNDING <= lag <= before.late * interval + ROUNDING]
    for (began, ended), this in zip([first, *others], script, strict=True):
        fetched = min(this.fetch * interval, settings.fetch_timeout)
        assert abs(ended - began - fetched - this.work * interval) < ROUNDING


@given(beat=st.floats(0, 1e7), interval=intervals, passed=st.floats(0, 1e6) | st.integers(0, 1000))
def test_next_start(beat: float, interval: float, passed: float) -> None:
    """The next poll is a whole number of intervals after the last, and at most one from now."""
    found = next_start(beat, interval, beat + passed)

    number = (found - beat) / interval
    assert round(number) >= 1
    assert abs(number - round(number)) < ROUNDING
    assert -ROUNDING <= found - (beat + passed) <= interval + ROUNDING
