"""Start and shutdown: scrapes are answered, and the exporter exits in time."""

from __future__ import annotations

import os
import pty
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.faults.matrix import Matrix, Row
from tests.faults.outside import INTERVAL, LIMIT_SECONDS, LOST, Exporter, exporter
from tests.replay import ReplayGateway
from tests.waiting import wait_until

GROUP = "Start and shutdown"
IGNORE_HUP = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
SCRAPE = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def until_closed(connection: socket.socket) -> bytes:
    """Return all bytes until the other side closes or resets."""
    received = b""
    try:
        while part := connection.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return received


def test_scrape_during_the_start(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """A scrape is answered as soon as the port is open, while the first poll hangs."""
    gateway.silent = True
    with exporter(gateway, tmp_path / "log") as running, running.connect() as connection:
        connection.sendall(SCRAPE)
        answer = until_closed(connection)
        metrics = running.up()

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\ngatewayz_provider_scrape_errors_total 0.0\n" in answer
    assert "`gatewayz_up` 0" == metrics
    matrix(Row(GROUP, 0, "Scrape before the first poll", "scraped", metrics, running.warnings()))


def test_scrape_during_the_shutdown(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """Open requests are answered or closed at the shutdown, and do not delay it."""
    with exporter(gateway, tmp_path / "log") as running:
        running.wait_for_polls(0)
        with running.connect() as whole, running.connect() as half, running.connect() as idle:
            half.sendall(SCRAPE[:20])
            whole.sendall(SCRAPE)
            code = running.end()
            answers = [until_closed(connection) for connection in (whole, half, idle)]

    assert 0 == code
    assert answers[0] == b"" or answers[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert [b"", b""] == answers[1:]
    matrix(Row(GROUP, 1, "SIGTERM with open requests", f"exit code {code}", "", running.warnings()))


def test_restart_after_kill(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """After kill -9 the exporter starts on the same port at once, with connections still open."""
    with exporter(gateway, tmp_path / "first") as first:
        first.wait_for_polls(0)
        with first.connect() as connection:
            connection.sendall(SCRAPE[:20])
            first.process.kill()
            first.process.wait(LIMIT_SECONDS)
            with exporter(gateway, tmp_path / "second", METRICS_PORT=str(first.port)) as second:
                second.wait_for("Updated provider metrics")
                metrics = second.up()

    matrix(Row(GROUP, 2, "kill -9 and an immediate restart", "scraped", metrics, second.warnings()))


@pytest.mark.parametrize(
    ("place", "title", "numbers"),
    [
        (3, "SIGTERM twice", (signal.SIGTERM, signal.SIGTERM)),
        (4, "Ctrl-C twice", (signal.SIGINT, signal.SIGINT)),
        (5, "SIGTERM, then Ctrl-C", (signal.SIGTERM, signal.SIGINT)),
        (6, "SIGHUP, then SIGTERM", (signal.SIGHUP, signal.SIGTERM)),
    ],
    ids=["TERM-TERM", "INT-INT", "TERM-INT", "HUP-TERM"],
)
def test_two_signals(
    gateway: ReplayGateway,
    tmp_path: Path,
    matrix: Matrix,
    place: int,
    title: str,
    numbers: tuple[signal.Signals, ...],
) -> None:
    """A second signal does not disturb the shutdown, even while a fetch hangs."""
    gateway.silent = True
    with exporter(gateway, tmp_path / "log") as running:
        assert gateway.reached.wait(20)
        for number in numbers:
            running.process.send_signal(number)
            time.sleep(0.01)
        code = running.process.wait(LIMIT_SECONDS)

    assert 0 == code
    assert "Stopped" == running.records()[-1]["message"]
    matrix(Row(GROUP, place, title, f"exit code {code}", "", running.warnings()))


def signalled(running: Exporter, number: signal.Signals) -> str:
    """Send a signal; return `gatewayz_up` for the matrix after more polls."""
    running.wait_for_polls(1)
    running.process.send_signal(number)
    running.wait_for_polls(2)
    return running.up()


@pytest.mark.parametrize(
    ("place", "title", "prefix"),
    [(7, "SIGHUP", ()), (8, "SIGHUP under nohup", ("nohup",))],
    ids=["HUP", "nohup"],
)
def test_reload(
    gateway: ReplayGateway, tmp_path: Path, matrix: Matrix, place: int, title: str, prefix: tuple[str, ...]
) -> None:
    """On SIGHUP the exporter reloads its files and continues, and still stops on SIGTERM."""
    with exporter(gateway, tmp_path / "log", prefix=prefix, SCRAPE_INTERVAL=INTERVAL) as running:
        metrics = signalled(running, signal.SIGHUP)
        running.wait_for("Nothing to reload")
        assert 0 == running.end()

    matrix(Row(GROUP, place, title, "continues", metrics, running.warnings()))


def test_broken_pipe_signal(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """SIGPIPE does not stop the exporter."""
    with exporter(gateway, tmp_path / "log", SCRAPE_INTERVAL=INTERVAL) as running:
        metrics = signalled(running, signal.SIGPIPE)

    matrix(Row(GROUP, 9, "SIGPIPE", "continues", metrics, running.warnings()))


@pytest.mark.parametrize(
    ("place", "title", "prefix"),
    [(10, "Closed terminal", ()), (11, "Closed terminal, SIGHUP ignored", IGNORE_HUP)],
    ids=["default", "ignored"],
)
def test_closed_terminal(
    gateway: ReplayGateway, tmp_path: Path, matrix: Matrix, place: int, title: str, prefix: tuple[str, ...]
) -> None:
    """After its terminal is closed the exporter continues without a log, and still stops on SIGTERM."""
    ours, terminal = pty.openpty()
    prefix = ("setsid", "--ctty", *prefix)
    with exporter(
        gateway, tmp_path / "log", prefix=prefix, stdin=terminal, stdout=terminal, SCRAPE_INTERVAL=INTERVAL
    ) as running:
        os.close(terminal)
        running.wait_for_polls(1)
        os.close(ours)
        wait_until(lambda: running.value(LOST) >= 2)
        running.wait_for_polls(2)
        metrics = running.lost()
        assert 0 == running.end()

    matrix(Row(GROUP, place, title, "continues", metrics, ""))
