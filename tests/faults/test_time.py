"""Clocks that jump and machines that sleep: polls keep their beat, and no age is nonsense."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import TypeVar

import pytest

from exporter.config.settings import Settings
from exporter.web.status import StatusPage
from tests.clocks import START_DATE, ScriptedClock
from tests.faults.matrix import Row
from tests.faults.outside import remarks
from tests.replay import ReplayGateway
from tests.rig import Rig, rig

Matrix = Callable[[Row], None]
T = TypeVar("T")

GROUP = "Time"
DAY = 86_400.0
UP = "gatewayz_up"
LAST_UPDATE = "gatewayz_provider_metrics_last_update"


class JumpingClock(ScriptedClock):
    """A clock whose date jumps while the age goes on, and that can sleep through a wait."""

    def __init__(self) -> None:
        """Begin with a right date, awake."""
        super().__init__()
        self.ahead = 0.0
        self.asleep = 0.0

    def date(self) -> float:
        """Return the Unix time, wrong as it may be."""
        return super().date() + self.ahead

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float) -> T | None:
        """Wait, and wake up late if the machine was suspended meanwhile."""
        arrival = super().receive(inbox, seconds)
        self.now, self.asleep = self.now + self.asleep, 0.0
        return arrival


def page(running: Rig) -> str:
    """Return the status page."""
    snapshot = running.poller.published.current.snapshot
    return StatusPage(running.settings.interval).render(snapshot, False, running.clock.date()).decode()


@pytest.mark.parametrize(
    ("place", "case", "jumps"),
    [
        (0, "The date jumps back by 30 days", (-30 * DAY,)),
        (1, "The date jumps ahead by 30 days", (30 * DAY,)),
        (2, "The date jumps to 1970", (10 - START_DATE,)),
        (3, "The date jumps to and fro", (DAY, -2 * DAY, DAY, 3600.0, -3600.0)),
    ],
    ids=["back", "ahead", "1970", "to-and-fro"],
)
def test_date_jumps(
    settings_for: Callable[..., Settings], matrix: Matrix, place: int, case: str, jumps: tuple[float, ...]
) -> None:
    """Polls keep their beat by the age, the date of the last update follows, and pages have right ages."""
    clock, polls, pages = JumpingClock(), [], []
    with rig(settings_for(), clock) as running:

        def look() -> None:
            polls.append(running.value("gatewayz_exporter_fetches_total", endpoint="stats", outcome="ok"))
            assert clock.date() - 30 == running.value(LAST_UPDATE)
            pages.append(page(running))

        for number, jump in enumerate(jumps):
            # Half a minute after each poll one looks, and then the date jumps.
            clock.at(60 * number + 30, look)
            clock.at(60 * number + 31, lambda jump=jump: setattr(clock, "ahead", clock.ahead + jump))  # type: ignore[misc]
        clock.at(60 * len(jumps) + 30, look)
        clock.at(60 * len(jumps) + 31, running.poller.stop)
        running.poller.run()

        metrics = f"`{UP} {running.value(UP):g}`, `{LAST_UPDATE}` follows the date"
        log = remarks(running.lines())

    assert [float(number + 1) for number in range(len(jumps) + 1)] == polls
    assert all("30 s ago" in text for text in pages)
    matrix(Row(GROUP, place, case, "goes on", metrics, log))


def test_age_between_a_jump_and_the_next_poll(settings_for: Callable[..., Settings]) -> None:
    """Between a jump and the next poll the page has ages as the date says, and says when they are ahead."""
    clock = JumpingClock()
    with rig(settings_for(), clock) as running:
        running.poller.poll_once()
        clock.ahead = -30 * DAY
        back = page(running)
        clock.ahead = 30 * DAY
        ahead = page(running)

    assert "in 30 days" in back
    assert "30 days ago" in ahead


def test_suspended(settings_for: Callable[..., Settings], gateway: ReplayGateway, matrix: Matrix) -> None:
    """After ten minutes of sleep data are stale at once; one poll makes up for all that were missed."""
    clock, seen = JumpingClock(), []
    with rig(settings_for(), clock) as running:

        def look() -> None:
            state = "stale" if running.value("gatewayz_providers_total") is None else "fresh"
            seen.append(
                (
                    clock.now,
                    state,
                    running.value("gatewayz_exporter_fetches_total", endpoint="stats", outcome="ok"),
                )
            )

        clock.at(30, look)
        clock.at(31, lambda: setattr(clock, "asleep", 590.0))
        publish = running.poller.publish

        def published() -> None:
            publish()
            look()

        running.poller.publish = published  # type: ignore[method-assign]
        clock.at(700, running.poller.stop)
        running.poller.run()
        metrics = f"`{UP} {running.value(UP):g}`"
        log = remarks(running.lines())

    assert [
        (0.0, "fresh", 1),
        (30.0, "fresh", 1),
        (625.0, "stale", 1),
        (625.0, "fresh", 2),
        (660.0, "fresh", 3),
    ] == seen
    case = "The machine sleeps for ten minutes"
    matrix(Row(GROUP, 4, case, "stale at once, one poll makes up", metrics, log))
