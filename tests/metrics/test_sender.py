"""What is sent never holds the thread that sends it, and there is one delivery at a time."""

from __future__ import annotations

import threading

import pytest

from exporter.metrics.sender import Sender

PATIENCE = 10.0


class Peer:
    """Takes items, and each only when it is let go."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.taken: list[int] = []
        self.threads: list[threading.Thread] = []
        self.let_go = threading.Semaphore(0)

    def take(self, item: int) -> None:
        """Take an item."""
        self.threads.append(threading.current_thread())
        assert self.let_go.acquire(timeout=PATIENCE)
        self.taken.append(item)


def test_sends_in_the_background() -> None:
    """An item is sent while the caller goes on, by a thread that holds no end of the process."""
    peer = Peer()
    sender = Sender(peer.take)

    assert not sender.is_busy
    sender.start(1)
    assert (True, []) == (sender.is_busy, peer.taken)
    peer.let_go.release()
    sender.finish()

    assert (False, [1]) == (sender.is_busy, peer.taken)
    (thread,) = peer.threads
    assert (True, True) == (thread.daemon, thread is not threading.current_thread())


def test_sends_again() -> None:
    """When an item has been taken there is room for the next."""
    peer = Peer()
    sender = Sender(peer.take)
    for item in (1, 2):
        sender.start(item)
        peer.let_go.release()
        sender.finish()

    assert [1, 2] == peer.taken


def test_finish_of_nothing() -> None:
    """Where nothing is on its way, nothing is waited for."""
    Sender(Peer().take).finish()


def test_bug_in_a_delivery(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is told by its name alone, and the next item is sent."""
    taken: list[str] = []

    def take(item: str) -> None:
        if item == "bad":
            raise TypeError("Header part ('sesame') must be of type str")
        taken.append(item)

    sender = Sender(take)
    for item in ("bad", "good"):
        sender.start(item)
        sender.finish()

    assert ["good"] == taken
    assert [("exporter.metrics.sender", "Unexpected TypeError in a delivery")] == [
        (record.name, record.getMessage()) for record in caplog.records
    ]
