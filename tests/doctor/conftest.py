"""Servers for the checks of `doctor`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clocks import MovedClock
from tests.doctor.backends import good_answers, serving
from tests.doctor.chain import Chain


@pytest.fixture
def chain(clock: MovedClock) -> Iterator[Chain]:
    """All servers, all healthy, by a clock that stands still."""
    with serving(good_answers(clock.date), clock.date) as backends:
        yield Chain(backends, clock)
