"""When the system refuses a thread, one fetch, response or export fails, and the exporter continues."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
import requests

from exporter.clock import SystemClock
from exporter.errors import Outcome, ThreadError
from exporter.metrics.push import BackgroundSender
from exporter.system.threads import REFUSED, run_in_thread, start
from exporter.transport import probe
from exporter.web import server
from exporter.webconfig.passwords import Passwords, Verdict
from tests.certificates import PASSWORD, hashed
from tests.faults.outside import INTERVAL, exporter
from tests.replay import ReplayGateway
from tests.rig import Rig
from tests.waiting import wait_until

REFUSING = """
import os, threading
start = threading.Thread.start
def refuse(thread):
    if os.path.exists({flag!r}):
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = refuse
"""
"""Makes a program refuse threads while a file exists."""


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No thread starts until this is undone."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return monkeypatch


def test_refused_thread(no_threads: pytest.MonkeyPatch) -> None:
    """Raises `ThreadError` for a thread that the system refuses, but not for an error of the work itself."""

    def fail() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(ThreadError, match=REFUSED):
        start(threading.Thread(target=fail))
    with pytest.raises(ThreadError, match=REFUSED):
        asyncio.run(run_in_thread(fail))
    no_threads.undo()
    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(run_in_thread(fail))


def test_poll(running: Rig, no_threads: object) -> None:
    """A poll without threads is published at once, with `internal` for both fetches."""
    running.poller.poll_once()

    records = [record for record in running.lines() if record["message"] == "Fetch failed"]
    assert [("providers", "internal", True), ("stats", "internal", True)] == [
        (record["endpoint"], record["outcome"], REFUSED in record["hint"]) for record in records
    ]
    assert [True, True] == ["limits of threads" in record["hint"] for record in records]
    assert (0, 0) == (running.value("gatewayz_up"), running.clock.now)


def test_delivery(no_threads: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An export without a thread is logged and dropped; the next one succeeds, and `finish` returns."""
    taken: list[int] = []
    sender: BackgroundSender[int] = BackgroundSender(taken.append)
    sender.start(1)
    sender.finish()
    assert not sender.is_busy
    no_threads.undo()
    sender.start(2)
    sender.finish()

    assert ([2], ["Metrics not sent"]) == (taken, caplog.messages)


@pytest.mark.usefixtures("no_threads")
def test_password() -> None:
    """A password that cannot be compared is neither right nor wrong."""
    passwords = Passwords({"alice": hashed()})

    assert Verdict.BUSY is asyncio.run(passwords.verify(b"alice", PASSWORD.encode(), ""))


def test_end(running: Rig, no_threads: pytest.MonkeyPatch) -> None:
    """The shutdown of telemetry and the limit for the exit raise nothing without threads."""
    running.telemetry.shutdown(1.0)
    server.force_exit_after(60, code=1)


@pytest.mark.usefixtures("no_threads")
def test_doctor() -> None:
    """The doctor reports `internal`, not a failure of the server."""
    with pytest.raises(probe.ProbeError, match=REFUSED) as caught:
        probe.get("http://127.0.0.1:9", SystemClock())

    assert Outcome.INTERNAL is caught.value.outcome


def test_program(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Without threads fetches are `internal` and scrapes answer 503; afterwards the program recovers."""
    flag = tmp_path / "no threads"
    code = REFUSING.format(flag=str(flag))
    with exporter(gateway, tmp_path / "log", code=code, SCRAPE_INTERVAL=INTERVAL) as running:
        # No request before: the pool must not have an idle thread.
        running.wait_for("Updated provider metrics")
        flag.touch()
        failed = running.wait_for("Fetch failed")
        answers = [requests.get(running.url + path, timeout=10) for path in ("/metrics", "/", "/-/healthy")]
        flag.unlink()
        running.wait_for("Recovered")
        internal = running.value("gatewayz_exporter_fetches_total", endpoint="stats", outcome="internal")
        wait_until(lambda: 200 == requests.get(f"{running.url}/", timeout=10).status_code)
        flag.touch()
        code_at_the_end = running.end()

    assert "internal" == failed["outcome"]
    assert internal >= 1
    assert [503, 503, 200] == [answer.status_code for answer in answers]
    assert [True, True] == ["Retry-After" in answer.headers for answer in answers[:2]]
    assert [] == [record for record in running.records() if "exc_info" in record]
    assert 0 == code_at_the_end
