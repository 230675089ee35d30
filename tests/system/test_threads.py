"""When the system refuses a thread, one fetch, response or export fails, and the exporter continues."""

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
from exporter.gateway.fetcher import Fetcher, FetchTask, ResultQueue
from exporter.metrics.push import BackgroundSender
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
"""Makes a program refuse threads while a file exists."""


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No thread starts until this is undone."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return monkeypatch


@pytest.mark.usefixtures("no_threads")
def test_start() -> None:
    """Raises `ThreadError` for a thread that the system refuses."""
    with pytest.raises(ThreadError, match=REFUSED):
        start(threading.Thread(target=int))


@pytest.mark.usefixtures("no_threads")
def test_run_in_thread() -> None:
    """Raises `ThreadError` for a thread of the pool."""
    with pytest.raises(ThreadError, match=REFUSED):
        asyncio.run(run_in_thread(int))


def test_error_of_the_work() -> None:
    """Errors of the work itself are not translated."""

    def fail() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(run_in_thread(fail))


def test_fetch(gateway: ReplayGateway, no_threads: pytest.MonkeyPatch) -> None:
    """A fetch without a thread is `internal` at once, and the next one succeeds."""
    results = ResultQueue()
    clock = SystemClock()
    fetcher = Fetcher(GatewayClient(Endpoint.STATS, gateway.url, fixed_key("key"), clock), results, clock)
    deadline = clock.age() + 60
    first, second = (FetchTask(Endpoint.STATS, trace.INVALID_SPAN, 0.0) for _ in range(2))

    fetcher.start(first, deadline)
    refused = results.get(timeout=10)
    no_threads.undo()
    fetcher.start(second, deadline)
    arrived = results.get(timeout=10)
    fetcher.close()

    assert refused is not None
    assert isinstance(refused.result, GatewayError)
    assert (first, Outcome.INTERNAL, REFUSED) == (refused.task, refused.result.outcome, refused.result.detail)
    assert "limits of threads" in refused.result.hint
    assert arrived is not None
    assert isinstance(arrived.result, Reply)


def test_poll(running: Rig, no_threads: pytest.MonkeyPatch) -> None:
    """A poll without threads is published, with `internal` for both fetches."""
    running.poller.poll_once()

    counts = running.series("gatewayz_exporter_fetches_total")
    assert {("providers", "internal"), ("stats", "internal")} == {
        (dict(labels)["endpoint"], dict(labels)["outcome"]) for labels, count in counts.items() if count
    }
    assert 0 == running.value("gatewayz_up")


def test_delivery(no_threads: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An export without a thread is logged and dropped; the next one succeeds, and `finish` returns."""
    taken: list[int] = []
    sender: BackgroundSender[int] = BackgroundSender(taken.append)
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
    """A password that cannot be compared is neither right nor wrong."""
    passwords = Passwords({"alice": hashed()})

    async def verify() -> Verdict:
        return await passwords.verify(b"alice", PASSWORD.encode(), "")

    assert Verdict.BUSY is asyncio.run(verify())


@pytest.mark.usefixtures("no_threads")
def test_last_resort() -> None:
    """Without a thread for the last resort, the end goes its usual way."""
    server.force_exit_after(60, code=1)


def test_shutdown_of_telemetry(running: Rig, no_threads: pytest.MonkeyPatch) -> None:
    """A shutdown without threads raises nothing."""
    running.telemetry.shutdown(1.0)


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
