"""Servers for the checks of `doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.clocks import MovedClock
from tests.doctor.backends import Backend, good_answers
from tests.doctor.chain import Chain


@pytest.fixture
def chain() -> Iterator[Chain]:
    """All servers, all healthy, by a clock that stands still."""
    clock = MovedClock()
    with ExitStack() as stack:
        answers = good_answers(clock.date)
        yield Chain(
            {name: stack.enter_context(Backend(paths, clock.date)) for name, paths in answers.items()}, clock
        )
