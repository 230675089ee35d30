"""Tests of `exporter.metrics.push`."""

from __future__ import annotations

import threading

import pytest

from exporter.metrics.push import BackgroundSender

PATIENCE = 10.0


def test_sends_in_the_background() -> None:
    """Items are sent one after another in a daemon thread while the caller continues."""
    sent: list[int] = []
    threads: list[threading.Thread] = []
    release = threading.Semaphore(0)

    def send(item: int) -> None:
        threads.append(threading.current_thread())
        assert release.acquire(timeout=PATIENCE)
        sent.append(item)

    sender = BackgroundSender(send)
    sender.finish()
    assert not sender.is_busy
    for item in (1, 2):
        sender.start(item)
        assert (True, list(range(1, item))) == (sender.is_busy, sent)
        release.release()
        sender.finish()

    assert (False, [1, 2]) == (sender.is_busy, sent)
    assert [True, True] == [thread.daemon for thread in threads]
    assert threading.current_thread() not in threads


def test_unexpected_error(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is logged by type only, and the next item is sent."""
    sent: list[str] = []

    def send(item: str) -> None:
        if item == "bad":
            raise TypeError("Header part ('sesame') must be of type str")
        sent.append(item)

    sender = BackgroundSender(send)
    for item in ("bad", "good"):
        sender.start(item)
        sender.finish()

    assert ["good"] == sent
    assert [("exporter.metrics.push", "Unexpected TypeError in a delivery")] == [
        (record.name, record.getMessage()) for record in caplog.records
    ]
