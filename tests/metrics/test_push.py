"""Tests of `exporter.metrics.push`."""

from __future__ import annotations

import threading

import pytest

from exporter.metrics.push import BackgroundSender


def test_unexpected_error(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is logged by type only, and the next item is sent, in a daemon thread, too."""
    sent: list[str] = []

    def send(item: str) -> None:
        assert threading.current_thread().daemon
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
