"""Where the system refuses a thread, one fetch, answer or delivery is left out, and all else goes on."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest
import requests
from opentelemetry import trace

from exporter.clock import SystemClock
from exporter.doctor import probe
from exporter.errors import GatewayError, Outcome, ThreadError
from exporter.gateway.client import GatewayClient, Reply
from exporter.gateway.fetcher import Fetcher, Inbox, Turn
from exporter.metrics.sender import Sender
from exporter.model.endpoints import Endpoint
from exporter.system.threads import REFUSED, run_in_thread, start
from exporter.web import server
from exporter.webconfig.passwords import Passwords, Verdict
from tests.certificates import PASSWORD, hashed
from tests.faults.outside import INTERVAL, exporter, wait_until
from tests.keys import fixed_key
from tests.replay import ReplayGateway
from tests.rig import Rig

REFUSING = """
import os, threading
start = threading.Thread.start
def refuse(thread):
    if os.path.exists({flag!r}):
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = refuse
"""
"""Makes a program refuse threads while a file is there."""


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No thread starts until this is undone."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return monkeypatch


@pytest.mark.usefixtures("no_threads")
def test_start() -> None:
    """A thread that the system refuses is an error of its own."""
    with pytest.raises(ThreadError, match=REFUSED):
        start(threading.Thread(target=int))


@pytest.mark.usefixtures("no_threads")
def test_run_in_thread() -> None:
    """So is one of the pool."""
    with pytest.raises(ThreadError, match=REFUSED):
        asyncio.run(run_in_thread(int))


def test_error_of_the_work() -> None:
    """What the work itself raises stays what it is."""

    def fail() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(run_in_thread(fail))


def test_fetch(gateway: ReplayGateway, no_threads: pytest.MonkeyPatch) -> None:
    """A fetch without a thread fails as internal at once, and the next one goes well."""
    inbox = Inbox()
    clock = SystemClock()
    fetching = Fetcher(GatewayClient(Endpoint.STATS, gateway.url, fixed_key("key"), clock), inbox, clock)
    deadline = clock.age() + 60
    first, second = (Turn(Endpoint.STATS, trace.INVALID_SPAN, 0.0) for _ in range(2))

    fetching.start(first, deadline)
    refused = inbox.get(timeout=10)
    no_threads.undo()
    fetching.start(second, deadline)
    arrived = inbox.get(timeout=10)
    fetching.close()

    assert refused is not None
    assert isinstance(refused.result, GatewayError)
    assert (first, Outcome.INTERNAL, REFUSED) == (refused.turn, refused.result.outcome, refused.result.detail)
    assert "limits of threads" in refused.result.hint
    assert arrived is not None
    assert isinstance(arrived.result, Reply)


def test_poll(running: Rig, no_threads: pytest.MonkeyPatch) -> None:
    """A poll without threads ends with both fetches internal, and is published."""
    running.poller.poll_once()

    counts = running.series("gatewayz_exporter_fetches_total")
    assert {("providers", "internal"), ("stats", "internal")} == {
        (dict(labels)["endpoint"], dict(labels)["outcome"]) for labels, count in counts.items() if count
    }
    assert 0 == running.value("gatewayz_up")


def test_delivery(no_threads: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A delivery without a thread is left out and logged; the next one is made, and the end is not held."""
    taken: list[int] = []
    sender: Sender[int] = Sender(taken.append)
    with caplog.at_level(logging.ERROR):
        sender.start(1)
    sender.finish()
    assert not sender.is_busy
    no_threads.undo()

    sender.start(2)
    sender.finish()

    assert [2] == taken
    assert ["Metrics not sent"] == [record.message for record in caplog.records]


@pytest.mark.usefixtures("no_threads")
def test_password() -> None:
    """A password that cannot be compared is neither right nor wrong, and nothing of it is remembered."""
    passwords = Passwords({"alice": hashed()})

    async def judge() -> Verdict:
        return await passwords.judge(b"alice", PASSWORD.encode(), "")

    assert Verdict.BUSY is asyncio.run(judge())


@pytest.mark.usefixtures("no_threads")
def test_last_resort() -> None:
    """Without a thread for the last resort, the end goes its usual way."""
    server.end_within(60, code=1)


def test_shutdown_of_telemetry(running: Rig, no_threads: pytest.MonkeyPatch) -> None:
    """Nothing is sent at the end without threads, and nothing is raised."""
    running.telemetry.shutdown(1.0)


@pytest.mark.usefixtures("no_threads")
def test_doctor() -> None:
    """The doctor tells it as what it is, and not as the fault of the server that it asks."""
    with pytest.raises(probe.ProbeError, match=REFUSED) as caught:
        probe.get("http://127.0.0.1:9", SystemClock())

    assert Outcome.INTERNAL is caught.value.outcome


def test_program(gateway: ReplayGateway, tmp_path: Path) -> None:
    """The program outlives a time without threads: fetches are internal, scrapes answer, then all is well."""
    flag = tmp_path / "no threads"
    code = REFUSING.format(flag=str(flag))
    with exporter(gateway, tmp_path / "log", code=code, SCRAPE_INTERVAL=INTERVAL) as running:
        # Nothing is asked before, so that the pool has no thread that it could use again.
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
