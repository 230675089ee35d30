"""The program's start and end, whatever happens: scrapes are answered, and the end comes in time."""

from __future__ import annotations

import os
import pty
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.matrix import Row
from tests.faults.outside import INTERVAL, LIMIT_SECONDS, Exporter, exporter, wait_until
from tests.replay import ReplayGateway

Matrix = Callable[[Row], None]

LOST = "gatewayz_exporter_log_records_lost_total"
GROUP = "Start and end"
DEAF = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
SCRAPE = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def until_closed(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes or resets."""
    received = b""
    try:
        while part := connection.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return received


def test_scrape_during_the_start(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """Who connects as soon as the port is open is answered, though the first poll hangs."""
    gateway.silent = True
    with exporter(gateway, tmp_path / "log") as running, running.connect() as connection:
        connection.sendall(SCRAPE)
        answer = until_closed(connection)
        metrics = running.up()

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\ngatewayz_provider_scrape_errors_total 0.0\n" in answer
    assert "`gatewayz_up 0`" == metrics
    matrix(Row(GROUP, 0, "A scrape before the first poll", "scraped", metrics, running.remarks()))


def test_scrape_during_the_end(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """Requests that are on their way when the end begins are answered or closed, and hold nothing."""
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
    matrix(
        Row(GROUP, 1, "Asked to stop, with requests on their way", f"ends ({code})", "", running.remarks())
    )


def test_killed_and_started_again(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """After kill -9 the program starts on the same port at once, with connections still open."""
    with exporter(gateway, tmp_path / "first") as first:
        first.wait_for_polls(0)
        with first.connect() as connection:
            connection.sendall(SCRAPE[:20])
            first.process.kill()
            first.process.wait(LIMIT_SECONDS)
            with exporter(gateway, tmp_path / "second", METRICS_PORT=str(first.port)) as second:
                second.port = first.port
                second.wait_for("Updated provider metrics")
                metrics = second.up()

    matrix(Row(GROUP, 2, "kill -9 and a new start at once", "scraped", metrics, second.remarks()))


@pytest.mark.parametrize(
    ("place", "case", "numbers"),
    [
        (3, "SIGTERM twice", (signal.SIGTERM, signal.SIGTERM)),
        (4, "Ctrl-C twice", (signal.SIGINT, signal.SIGINT)),
        (5, "SIGTERM, then Ctrl-C", (signal.SIGTERM, signal.SIGINT)),
        (6, "SIGHUP, then SIGTERM", (signal.SIGHUP, signal.SIGTERM)),
    ],
    ids=["TERM-TERM", "INT-INT", "TERM-INT", "HUP-TERM"],
)
def test_signals(
    gateway: ReplayGateway,
    tmp_path: Path,
    matrix: Matrix,
    place: int,
    case: str,
    numbers: tuple[signal.Signals, ...],
) -> None:
    """Each signal that asks for the end has it, one after another as well, even while a fetch hangs."""
    gateway.silent = True
    with exporter(gateway, tmp_path / "log") as running:
        assert gateway.reached.wait(20)
        for number in numbers:
            running.process.send_signal(number)
            time.sleep(0.01)
        code = running.process.wait(LIMIT_SECONDS)

    assert 0 == code
    assert "Stopped" == running.records()[-1]["message"]
    matrix(Row(GROUP, place, case, f"ends ({code})", "", running.remarks()))


def goes_on(running: Exporter, number: signal.Signals) -> str:
    """Send a signal, see the program go on, and return what a scrape says."""
    running.wait_for_polls(1)
    running.process.send_signal(number)
    running.wait_for_polls(2)
    return running.up()


@pytest.mark.parametrize(
    ("place", "case", "prefix"),
    [(7, "SIGHUP", ()), (8, "SIGHUP under nohup", ("nohup",))],
    ids=["HUP", "nohup"],
)
def test_reload(
    gateway: ReplayGateway, tmp_path: Path, matrix: Matrix, place: int, case: str, prefix: tuple[str, ...]
) -> None:
    """On SIGHUP the program reloads and goes on, and still ends when it is asked to."""
    with exporter(gateway, tmp_path / "log", prefix=prefix, SCRAPE_INTERVAL=INTERVAL) as running:
        metrics = goes_on(running, signal.SIGHUP)
        running.wait_for("Nothing to reload")
        code = running.end()

    assert 0 == code
    matrix(Row(GROUP, place, case, "goes on", metrics, running.remarks()))


def test_broken_pipe_signal(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """SIGPIPE is no reason to end."""
    with exporter(gateway, tmp_path / "log", SCRAPE_INTERVAL=INTERVAL) as running:
        metrics = goes_on(running, signal.SIGPIPE)

    matrix(Row(GROUP, 9, "SIGPIPE", "goes on", metrics, running.remarks()))


@pytest.mark.parametrize(
    ("place", "case", "prefix"),
    [
        (10, "The terminal is closed", ("setsid", "--ctty")),
        (11, "The terminal is closed, and SIGHUP ignored", ("setsid", "--ctty", *DEAF)),
    ],
    ids=["default", "ignored"],
)
def test_terminal_is_closed(
    gateway: ReplayGateway,
    tmp_path: Path,
    matrix: Matrix,
    place: int,
    case: str,
    prefix: tuple[str, ...],
) -> None:
    """A program whose terminal is closed goes on, without a log, and still ends when it is asked to."""
    ours, terminal = pty.openpty()
    with exporter(
        gateway, tmp_path / "log", prefix=prefix, stdin=terminal, stdout=terminal, SCRAPE_INTERVAL=INTERVAL
    ) as running:
        os.close(terminal)
        running.wait_for_polls(1)
        os.close(ours)
        wait_until(lambda: running.value(LOST) >= 2)
        running.wait_for_polls(2)
        metrics = f"{running.up()}, `{LOST}` counts"
        assert 0 == running.end()

    matrix(Row(GROUP, place, case, "goes on", metrics, ""))
