"""A blocked, closed or full standard output: polls and scrapes continue, and lost records are logged."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.matrix import Matrix, Row
from tests.faults.outside import INTERVAL, LOST, exporter, warnings
from tests.namespaces import require_namespaces
from tests.otlp import OtlpReceiver
from tests.replay import ReplayGateway
from tests.waiting import wait_until

GROUP = "Standard output"
SMALL_QUEUE = "import exporter.telemetry.stdout; exporter.telemetry.stdout.MAX_QUEUED = 3"
KILL_POLLER = """
import exporter.poll.poller
def broken(self): raise ZeroDivisionError("a bug")
exporter.poll.poller.Poller.poll_once = broken
"""


class BlockedPipe:
    """A small pipe that is full until `read` is called."""

    def __init__(self) -> None:
        """Fill it with spaces, which JSON allows around a line."""
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.writer, b" ")
        os.set_blocking(self.writer, True)
        self.received = b""

    def read(self) -> None:
        """Read until the end, in a thread."""
        threading.Thread(target=self._read, daemon=True).start()

    def records(self) -> list[dict[str, Any]]:
        """Return the records so far; every line but the last must be complete."""
        return [json.loads(line) for line in self.received.split(b"\n")[:-1]]

    def messages(self) -> list[str]:
        """Return the messages of the records."""
        return [record["message"] for record in self.records()]

    def _read(self) -> None:
        while part := os.read(self.reader, 4096):
            self.received += part


@pytest.fixture
def blocked() -> Iterator[BlockedPipe]:
    """A pipe without a reader."""
    pipe = BlockedPipe()
    yield pipe
    os.close(pipe.writer)


def test_blocked_pipe(gateway: ReplayGateway, blocked: BlockedPipe, tmp_path: Path, matrix: Matrix) -> None:
    """Polls and OTLP continue beside a full pipe; once it is read, lines are complete and losses logged."""
    own = {"SCRAPE_INTERVAL": INTERVAL, "OTEL_BLRP_SCHEDULE_DELAY": "100"}
    with (
        OtlpReceiver() as receiver,
        exporter(
            gateway,
            tmp_path / "log",
            {**own, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url},
            stdout=blocked.writer,
            code=SMALL_QUEUE,
        ) as running,
    ):
        running.wait_for_polls(6)
        wait_until(lambda: running.value(LOST) >= 2)
        sent = len(receiver.records)
        wait_until(lambda: len(receiver.records) >= sent + 2)
        metrics = running.lost()
        blocked.read()
        wait_until(lambda: "Log records lost" in blocked.messages())
        count = len(blocked.messages())
        wait_until(lambda: len(blocked.messages()) > count)
        losses = [record for record in blocked.records() if record["message"] == "Log records lost"]
        wait_until(lambda: running.value(LOST) == sum(record["lost"] for record in losses))
        assert 0 == running.end()

    assert ["Listening", "Updated provider metrics"] == blocked.messages()[:2]
    assert "warning" == losses[0]["level"]
    title = "Pipe without a reader, and later with one"
    matrix(Row(GROUP, 0, title, "continues", metrics, warnings(blocked.records())))


def test_blocked_pipe_at_the_end(
    gateway: ReplayGateway, blocked: BlockedPipe, tmp_path: Path, matrix: Matrix
) -> None:
    """A blocked pipe delays neither a shutdown by a signal nor one after a bug."""
    with exporter(gateway, tmp_path / "log", stdout=blocked.writer, SCRAPE_INTERVAL=INTERVAL) as running:
        running.wait_for_polls(1)
        stopped = running.end()
    with exporter(gateway, tmp_path / "log", stdout=blocked.writer, code=KILL_POLLER) as running:
        failed = running.process.wait(20)

    assert (0, 1) == (stopped, failed)
    matrix(Row(GROUP, 1, "Pipe without a reader, and SIGTERM", f"exit code {stopped}", "", ""))


@pytest.mark.parametrize(
    ("place", "title"), [(2, "The reader of the pipe exits"), (7, "Full disk")], ids=["pipe", "disk"]
)
def test_failing_writes(
    gateway: ReplayGateway, tmp_path: Path, matrix: Matrix, place: int, title: str
) -> None:
    """Failing writes lose the records and nothing else."""
    reader, writer = os.pipe() if place == 2 else (None, os.open("/dev/full", os.O_WRONLY))
    with exporter(gateway, tmp_path / "log", stdout=writer, SCRAPE_INTERVAL=INTERVAL) as running:
        os.close(writer)
        running.wait_for_polls(1)
        if reader is not None:
            assert b"Listening" in os.read(reader, 65_536)
            os.close(reader)
        wait_until(lambda: running.value(LOST) >= 2)
        running.wait_for_polls(2)
        metrics = running.lost()
        assert 0 == running.end()

    assert "" == (tmp_path / "log.stderr").read_text()
    matrix(Row(GROUP, place, title, "continues", metrics, "no records"))


@pytest.mark.parametrize(
    ("place", "closed", "title", "is_logged"),
    [
        (3, ">&-", "Closed from the start", False),
        (4, "2>&-", "Standard error closed from the start", True),
        (5, "<&-", "Standard input closed from the start", True),
        (6, "<&- >&- 2>&-", "All three closed from the start", False),
    ],
    ids=["stdout", "stderr", "stdin", "all"],
)
def test_closed_from_the_start(
    gateway: ReplayGateway,
    tmp_path: Path,
    matrix: Matrix,
    place: int,
    closed: str,
    title: str,
    is_logged: bool,
) -> None:
    """No connection gets the number of a closed standard descriptor, and polls continue."""
    prefix = ("sh", "-c", f'exec "$@" {closed}', "sh")
    with exporter(gateway, tmp_path / "log", prefix=prefix, SCRAPE_INTERVAL=INTERVAL) as running:
        running.wait_for_polls(2)
        standard = [os.readlink(f"/proc/{running.process.pid}/fd/{number}") for number in range(3)]
        wait_until(lambda: is_logged or running.value(LOST) >= 2)
        metrics = running.lost()
        assert 0 == running.end()

    assert [] == [name for name in standard if "socket" in name or "anon" in name]
    assert is_logged == (len(running.records()) > 0)
    log = running.warnings() if is_logged else "no records"
    matrix(Row(GROUP, place, title, "continues", metrics, log))


def test_disk_is_full_and_cleared(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """When a full disk has space again, the log continues with complete lines, and losses are logged."""
    require_namespaces()
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o size=64k disk {disk} && exec "$@" >{disk}/log'
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    with exporter(gateway, tmp_path / "log", prefix=prefix, SCRAPE_INTERVAL=INTERVAL) as running:
        running.wait_for_polls(1)
        inside = Path(f"/proc/{running.process.pid}/root{disk}")
        ballast = inside / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 1024)
        wait_until(lambda: running.value(LOST) >= 2)
        metrics = running.lost()
        ballast.unlink()
        running.log = inside / "log"
        assert running.wait_for("Log records lost")["lost"] >= 2
        running.wait_for_polls(2)
        log = running.warnings()
        assert running.process.poll() is None

    matrix(Row(GROUP, 8, "Full disk that is cleared", "continues", metrics, log))
