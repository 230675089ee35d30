"""Standard output that nobody reads, that is closed or full: polls and scrapes go on, and losses are told."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.matrix import Row
from tests.faults.outside import INTERVAL, LIMIT_SECONDS, Exporter, exporter, remarks, wait_until
from tests.otlp import OtlpReceiver
from tests.replay import ReplayGateway

Matrix = Callable[[Row], None]

GROUP = "Standard output"
LOST = "gatewayz_exporter_log_records_lost_total"
SMALL_QUEUE = "import exporter.telemetry.stdout; exporter.telemetry.stdout.MAX_QUEUED = 3"
KILL_POLLER = """
import exporter.poll.poller
def broken(self): raise ZeroDivisionError("a bug")
exporter.poll.poller.Poller.poll_once = broken
"""


def closing(what: str) -> tuple[str, ...]:
    """Return a prefix that starts a program with some standard descriptors closed."""
    return ("sh", "-c", f'exec "$@" {what}', "sh")


def lost(running: Exporter) -> str:
    """Return what a scrape says of lost records, for the matrix."""
    return f"`{LOST}` " + ("0" if running.value(LOST) == 0 else "counts")


class BlockedPipe:
    """A small pipe that is full from the start, until somebody reads it."""

    def __init__(self) -> None:
        """Fill it with blanks, which JSON allows around a line."""
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.writer, False)
        try:
            while True:
                os.write(self.writer, b" ")
        except BlockingIOError:
            os.set_blocking(self.writer, True)
        self.received = b""

    def read(self) -> None:
        """Take all that comes, until the end."""
        threading.Thread(target=self._read, daemon=True).start()

    def messages(self) -> list[str]:
        """Return the messages of all lines so far, each of which has to be whole."""
        return [json.loads(line)["message"] for line in self.received.split(b"\n")[:-1]]

    def _read(self) -> None:
        while part := os.read(self.reader, 4096):
            self.received += part


@pytest.fixture
def blocked() -> Iterator[BlockedPipe]:
    """A pipe that nobody reads."""
    pipe = BlockedPipe()
    yield pipe
    os.close(pipe.writer)


def test_nobody_reads(gateway: ReplayGateway, blocked: BlockedPipe, tmp_path: Path, matrix: Matrix) -> None:
    """Polls and scrapes go on beside a full pipe; when it is read again, lines are whole and losses told."""
    with exporter(
        gateway, tmp_path / "log", stdout=blocked.writer, code=SMALL_QUEUE, SCRAPE_INTERVAL=INTERVAL
    ) as running:
        running.wait_for_polls(6)
        wait_until(lambda: running.value(LOST) >= 2)
        metrics = f"{running.up()}, {lost(running)}"
        blocked.read()
        wait_until(lambda: "Log records lost" in blocked.messages())
        read = len(blocked.messages())
        wait_until(lambda: len(blocked.messages()) > read)
        told = [json.loads(line) for line in blocked.received.splitlines() if b"Log records lost" in line]
        wait_until(lambda: running.value(LOST) == sum(record["lost"] for record in told))
        code = running.end()

    assert 0 == code
    assert ["Listening", "Updated provider metrics"] == blocked.messages()[:2]
    assert "warning" == told[0]["level"]
    log = remarks([json.loads(line) for line in blocked.received.splitlines()])
    matrix(Row(GROUP, 0, "Nobody reads the pipe, then somebody does", "goes on", metrics, log))


def test_nobody_reads_and_otlp(gateway: ReplayGateway, blocked: BlockedPipe, tmp_path: Path) -> None:
    """Records leave by OTLP while standard output is blocked."""
    with (
        OtlpReceiver() as receiver,
        exporter(
            gateway,
            tmp_path / "log",
            stdout=blocked.writer,
            code=SMALL_QUEUE,
            SCRAPE_INTERVAL=INTERVAL,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_BLRP_SCHEDULE_DELAY="100",
        ) as running,
    ):
        running.wait_for_polls(1)
        wait_until(lambda: running.value(LOST) >= 2)
        arrived = len(receiver.records)
        wait_until(lambda: len(receiver.records) >= arrived + 2)


def test_nobody_reads_at_the_end(
    gateway: ReplayGateway, blocked: BlockedPipe, tmp_path: Path, matrix: Matrix
) -> None:
    """A pipe that is never read holds neither the end that was asked for nor that after a bug."""
    with exporter(gateway, tmp_path / "log", stdout=blocked.writer) as running:
        running.wait_for_polls(1)
        asked = running.end()
    with exporter(gateway, tmp_path / "log", stdout=blocked.writer, code=KILL_POLLER) as running:
        died = running.process.wait(20)

    assert (0, 1) == (asked, died)
    case = "Nobody reads the pipe, and the program is asked to stop"
    matrix(Row(GROUP, 1, case, f"ends ({asked})", "", ""))


def test_late_reader_gets_the_end(gateway: ReplayGateway, blocked: BlockedPipe, tmp_path: Path) -> None:
    """What waits when the program is asked to stop is written if somebody takes it in time."""
    with exporter(gateway, tmp_path / "log", stdout=blocked.writer) as running:
        running.wait_for_polls(1)
        running.process.send_signal(signal.SIGTERM)
        blocked.read()
        code = running.process.wait(LIMIT_SECONDS)
    wait_until(lambda: "Stopped" in blocked.messages())

    assert 0 == code
    assert ["Listening", "Updated provider metrics", "Stopped"] == blocked.messages()


def test_reader_goes_away(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """A pipe whose reader has gone costs the records and nothing else."""
    reader, writer = os.pipe()
    with exporter(gateway, tmp_path / "log", stdout=writer, SCRAPE_INTERVAL=INTERVAL) as running:
        os.close(writer)
        assert b"Listening" in os.read(reader, 65_536)
        os.close(reader)
        wait_until(lambda: running.value(LOST) >= 2)
        running.wait_for_polls(2)
        metrics = f"{running.up()}, {lost(running)}"
        code = running.end()

    assert 0 == code
    assert "" == (tmp_path / "log.stderr").read_text()
    matrix(Row(GROUP, 2, "The reader of the pipe goes away", "goes on", metrics, "nothing arrives"))


@pytest.mark.parametrize(
    ("place", "what", "case", "whole"),
    [
        (3, ">&-", "Closed from the start", False),
        (4, "2>&-", "Standard error is closed from the start", True),
        (5, "<&-", "Standard input is closed from the start", True),
        (6, "<&- >&- 2>&-", "All three are closed from the start", False),
    ],
    ids=["stdout", "stderr", "stdin", "all"],
)
def test_closed_from_the_start(
    gateway: ReplayGateway, tmp_path: Path, matrix: Matrix, place: int, what: str, case: str, whole: bool
) -> None:
    """No connection takes the place of a closed standard descriptor, and all is served as usual."""
    with exporter(gateway, tmp_path / "log", prefix=closing(what), SCRAPE_INTERVAL=INTERVAL) as running:
        running.wait_for_polls(2)
        standard = [os.readlink(f"/proc/{running.process.pid}/fd/{number}") for number in range(3)]
        wait_until(lambda: whole or running.value(LOST) >= 2)
        metrics = f"{running.up()}, {lost(running)}"
        code = running.end()

    assert 0 == code
    assert [] == [name for name in standard if "socket" in name or "anon" in name]
    assert whole == (len(running.records()) > 0)
    matrix(Row(GROUP, place, case, "goes on", metrics, running.remarks() if whole else "nothing arrives"))


def test_full_device(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """A full disk costs the records and nothing else."""
    with (
        open("/dev/full", "wb") as full,
        exporter(gateway, tmp_path / "log", stdout=full, SCRAPE_INTERVAL=INTERVAL) as running,
    ):
        running.wait_for_polls(2)
        wait_until(lambda: running.value(LOST) >= 2)
        metrics = f"{running.up()}, {lost(running)}"
        code = running.end()

    assert 0 == code
    assert "" == (tmp_path / "log.stderr").read_text()
    matrix(Row(GROUP, 7, "The disk is full", "goes on", metrics, "nothing arrives"))


def can_mount() -> bool:
    """Tell whether a namespace of one's own with a small disk can be had here."""
    if shutil.which("unshare") is None:
        return False
    result = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True, check=False
    )
    return result.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="a mount namespace of one's own is not allowed here")
def test_disk_fills_up_and_is_cleared(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """When a disk that filled up has room again, the log goes on with whole lines, and losses are told."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o size=64k disk {disk} && exec "$@" >{disk}/log'
    prefix = ("unshare", "-rm", "sh", "-c", script, "sh")
    with exporter(gateway, tmp_path / "log", prefix=prefix, SCRAPE_INTERVAL=INTERVAL) as running:
        running.wait_for_polls(1)
        inside = Path(f"/proc/{running.process.pid}/root{disk}")
        ballast = inside / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 1024)
        wait_until(lambda: running.value(LOST) >= 2)
        metrics = f"{running.up()}, {lost(running)}"
        ballast.unlink()
        running.log = inside / "log"
        told = running.wait_for("Log records lost")
        running.wait_for_polls(2)
        log = running.remarks()
        alive = running.process.poll() is None

    assert alive
    assert told["lost"] >= 2
    matrix(Row(GROUP, 8, "The disk fills up and is cleared", "goes on", metrics, log))
