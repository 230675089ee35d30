"""Tests of `exporter.doctor.context`."""

from __future__ import annotations

from exporter.doctor.context import RETRY_SECONDS, Context
from exporter.doctor.targets import LOKI, Credentials, Targets
from exporter.files.secret import Secret
from tests.clocks import START_DATE, MovedClock
from tests.doctor.backends import Backend
from tests.doctor.chain import unexpected_poll


def context_for(url: str) -> Context:
    """Return a context with one server."""
    credentials = {LOKI: Credentials(None, Secret("token"))}
    return Context({}, Targets({LOKI: url}, credentials), MovedClock(), unexpected_poll)


def test_get_json() -> None:
    """Requests paths below the URL with the server's credentials, and notes the server's clock."""
    with Backend({"/sub/path": [1]}, ahead=70.0) as backend:
        context = context_for(f"{backend.url}/sub")
        assert START_DATE == context.now(LOKI)
        assert [1] == context.get_json(list[int], LOKI, "/path", {"a": "b"})

    (asked,) = backend.asked
    assert ("/sub/path", {"a": ["b"]}, "Bearer token") == (asked.path, asked.query, asked.authorization)
    assert START_DATE + 70 == context.now(LOKI)


def test_retry() -> None:
    """Looks once a second until it is done, for at most RETRY_SECONDS."""
    context = context_for("http://nowhere.invalid")
    moments: list[float] = []

    def look() -> bool:
        moments.append(context.clock.age() - 1000)
        return len(moments) == 3

    assert True is context.retry(look, bool)
    assert [0, 1, 2] == moments
    assert False is context.retry(look, bool)
    assert 2 + RETRY_SECONDS == moments[-1]
