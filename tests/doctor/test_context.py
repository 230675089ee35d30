"""What the checks are given: questions to servers by stage, their clocks, and patience."""

from __future__ import annotations

from exporter.doctor.context import PATIENCE_SECONDS, Case
from exporter.doctor.targets import LOKI, Addresses, Identity
from exporter.files.secret import Secret
from tests.clocks import START_DATE, MovedClock
from tests.doctor.backends import Backend
from tests.doctor.walks import nobody_polls


def case(url: str) -> Case:
    """Return a case with one server."""
    identities = {LOKI: Identity(None, Secret("token"))}
    return Case({}, Addresses({LOKI: url}, identities), MovedClock(), nobody_polls)


def test_ask() -> None:
    """A server is asked below its root, as whom its stage says; its clock is noted."""
    with Backend({"/sub/path": [1]}, ahead=70.0) as backend:
        one = case(f"{backend.url}/sub")
        assert START_DATE == one.now(LOKI)
        answer = one.ask_for(list[int], LOKI, "/path", {"a": "b"})

    assert [1] == answer
    assert ("/sub/path", {"a": ["b"]}, "Bearer token") == (
        backend.asked[0].path,
        backend.asked[0].query,
        backend.asked[0].authorization,
    )
    assert START_DATE + 70 == one.now(LOKI)


def test_patience() -> None:
    """What is on its way is looked for each second, and no longer than the patience lasts."""
    one = case("http://nowhere.invalid")
    moments: list[float] = []

    def look() -> bool:
        moments.append(one.clock.age() - 1000)
        return len(moments) == 3

    assert True is one.patiently(look, bool)
    assert [0, 1, 2] == moments
    assert False is one.patiently(look, bool)
    assert 2 + PATIENCE_SECONDS == moments[-1]
