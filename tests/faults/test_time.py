"""Jumps of the system clock and suspended machines: polls keep their schedule, and ages are correct."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import TypeVar

import pytest

from exporter.config.settings import Settings
from exporter.status.state import State
from exporter.web.page.pages import StatusPage
from exporter.web.page.query import Query
from tests.clocks import START_DATE, ScriptedClock
from tests.faults.matrix import Matrix, Row
from tests.faults.outside import warnings
from tests.rig import Rig, rig

T = TypeVar("T")

GROUP = "Time"
DAY = 86_400.0
LAST_UPDATE = "gatewayz_provider_metrics_last_update"


class JumpingClock(ScriptedClock):
    """A clock whose date can jump, and which can be suspended during a wait."""

    def __init__(self) -> None:
        """Start with the correct date."""
        super().__init__()
        self.ahead = 0.0
        self.asleep = 0.0

    def jump(self, seconds: float) -> None:
        """Move the date, but not the age."""
        self.ahead += seconds

    def date(self) -> float:
        """Return the Unix time plus all jumps."""
        return super().date() + self.ahead

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Wait, and return late if the machine was suspended meanwhile."""
        item = super().receive(inbox, seconds)
        self.now, self.asleep = self.now + self.asleep, 0.0
        return item


def page(running: Rig) -> str:
    """Return the status page."""
    snapshot = running.poller.published.current.snapshot
    state = State(snapshot, running.poller.history, running.clock.date())
    return StatusPage(running.settings.interval).overview(state, Query()).decode()


def polls(running: Rig) -> float | None:
    """Return the number of successful polls."""
    return running.value("gatewayz_exporter_fetches_total", endpoint="stats", outcome="ok")


@pytest.mark.parametrize(
    ("place", "title", "jumps"),
    [
        (0, "The date jumps back by 30 days", (-30 * DAY,)),
        (1, "The date jumps ahead by 30 days", (30 * DAY,)),
        (2, "The date jumps to 1970", (10 - START_DATE,)),
        (3, "The date jumps back and forth", (DAY, -2 * DAY, DAY, 3600.0, -3600.0)),
    ],
    ids=["back", "ahead", "1970", "to-and-fro"],
)
def test_date_jumps(
    settings_for: Callable[..., Settings], matrix: Matrix, place: int, title: str, jumps: tuple[float, ...]
) -> None:
    """Polls keep their schedule; the date of the last update and the ages on the page are correct."""
    clock, counts, pages = JumpingClock(), [], []
    with rig(settings_for(), clock) as running:

        def look() -> None:
            counts.append(polls(running))
            assert clock.date() - 30 == running.value(LAST_UPDATE)
            pages.append(page(running))

        for number, jump in enumerate((*jumps, 0.0)):
            # A look 30 seconds after each poll, and then the jump.
            clock.at(60 * number + 30, look)
            clock.at(60 * number + 31, lambda jump=jump: clock.jump(jump))  # type: ignore[misc]
        clock.at(60 * len(jumps) + 31, running.poller.stop)
        running.poller.run()

        metrics = f"`gatewayz_up` {running.value('gatewayz_up'):g}, `{LAST_UPDATE}` follows the date"
        log = warnings(running.lines())

    assert [float(number + 1) for number in range(len(jumps) + 1)] == counts
    assert all("30 s ago" in text for text in pages)
    matrix(Row(GROUP, place, title, "continues", metrics, log))


def test_age_between_a_jump_and_the_next_poll(settings_for: Callable[..., Settings]) -> None:
    """Between a jump and the next poll the page has ages by the date, also in the future."""
    clock = JumpingClock()
    with rig(settings_for(), clock) as running:
        running.poller.poll_once()
        clock.jump(-30 * DAY)
        assert "in 30 days" in page(running)
        clock.jump(60 * DAY)
        assert "30 days ago" in page(running)


def test_suspended(settings_for: Callable[..., Settings], matrix: Matrix) -> None:
    """After ten minutes of suspension data are stale at once, and one poll replaces all missed ones."""
    clock, seen = JumpingClock(), []
    with rig(settings_for(), clock) as running:

        def look() -> None:
            state = "stale" if running.value("gatewayz_providers_total") is None else "fresh"
            seen.append((clock.now, state, polls(running)))

        def published() -> None:
            publish()
            look()

        publish = running.poller.publish
        running.poller.publish = published  # type: ignore[method-assign]
        clock.at(30, look)
        clock.at(31, lambda: setattr(clock, "asleep", 590.0))
        clock.at(700, running.poller.stop)
        running.poller.run()
        metrics = f"`gatewayz_up` {running.value('gatewayz_up'):g}"
        log = warnings(running.lines())

    first, suspended = [(0.0, "fresh", 1), (30.0, "fresh", 1)], [(625.0, "stale", 1), (625.0, "fresh", 2)]
    assert [*first, *suspended, (660.0, "fresh", 3)] == seen
    title = "The machine is suspended for ten minutes"
    matrix(Row(GROUP, 4, title, "stale at once, then one poll", metrics, log))
