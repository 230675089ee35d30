"""Tests of `exporter.status.feed`."""

from __future__ import annotations

from xml.etree import ElementTree

from exporter.errors import Outcome
from exporter.model.changes import Changes, HealthChange
from exporter.model.endpoints import Endpoint
from exporter.model.history import History
from exporter.model.provider import HealthStatus
from exporter.model.snapshot import Snapshot
from exporter.status.feed import of_changes
from exporter.status.state import State
from tests.model.test_history import DAY, START, poll

ATOM = "{http://www.w3.org/2005/Atom}"


def state(history: History) -> State:
    """Return a state with a history."""
    return State(Snapshot(), history, START)


def test_entries() -> None:
    """Each change is an entry with a sentence, newest first, whose id does not change."""
    history = History(DAY, 60, START)
    worse = HealthChange("a&b", HealthStatus.HEALTHY, HealthStatus.DOWN)
    first = poll(START, None, Outcome.RATE_LIMITED)
    history.record(first, Changes((worse,), ("new",), ("old",)))
    failed = Snapshot(last_poll=first, failing_since={Endpoint.PROVIDERS: START})
    history.record(poll(START + 60), Changes(), failed)

    feed = ElementTree.fromstring(of_changes(state(history)))
    entries = feed.findall(f"{ATOM}entry")

    assert [
        ("/providers of the gateway works again", "2027-01-15T08:01:00Z"),
        ("a&b is down, it was healthy", "2027-01-15T08:00:00Z"),
        ("old vanished from the gateway's list", "2027-01-15T08:00:00Z"),
        ("new appeared in the gateway's list", "2027-01-15T08:00:00Z"),
        ("/providers of the gateway fails: rate limited", "2027-01-15T08:00:00Z"),
    ] == [(each.findtext(f"{ATOM}title"), each.findtext(f"{ATOM}updated")) for each in entries]
    assert "2027-01-15T08:01:00Z" == feed.findtext(f"{ATOM}updated")
    assert 5 == len({each.findtext(f"{ATOM}id") for each in entries})
    assert of_changes(state(history)) == of_changes(state(history))


def test_no_changes() -> None:
    """Without changes the feed is empty and dates from the start."""
    feed = ElementTree.fromstring(of_changes(state(History(DAY, 60, START))))

    assert ([], "2027-01-15T08:00:00Z") == (feed.findall(f"{ATOM}entry"), feed.findtext(f"{ATOM}updated"))
