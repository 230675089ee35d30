"""Tests of `exporter.telemetry.stdout`."""

from __future__ import annotations

import json
import logging
import os
import resource
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.telemetry import stdout as output
from exporter.telemetry.logs import Formatter
from exporter.telemetry.stdout import OutputHandler
from tests.faults.outside import PATIENCE
from tests.waiting import wait_until

LONG = "x" * 300_000
"""Longer than the buffer of a pipe."""


def logger_to(descriptor: int) -> tuple[logging.Logger, OutputHandler]:
    """Return a separate logger that writes to a descriptor, and its handler."""
    handler = OutputHandler(descriptor)
    handler.setFormatter(Formatter())
    logger = logging.Logger("test", logging.INFO)
    logger.addHandler(handler)
    return logger, handler


@dataclass
class Pipe:
    """A pipe that is not read until `read` is called."""

    reader: int
    writer: int
    received: bytes = b""
    thread: threading.Thread | None = None

    def read(self) -> None:
        """Start to read in a thread."""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def lines(self) -> list[dict[str, Any]]:
        """Return the complete lines."""
        return [json.loads(line) for line in self.received.split(b"\n")[:-1]]

    def wait(self, number: int) -> list[str]:
        """Wait for this many lines, and return their messages."""
        wait_until(lambda: len(self.lines()) == number)
        return [line["message"] for line in self.lines()]

    def _read(self) -> None:
        while part := os.read(self.reader, 65_536):
            self.received += part

    def close(self) -> None:
        """Close both ends."""
        os.close(self.writer)
        if self.thread:
            self.thread.join(PATIENCE)
        os.close(self.reader)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe."""
    made = Pipe(*os.pipe())
    yield made
    made.close()


def block(pipe: Pipe) -> tuple[logging.Logger, OutputHandler]:
    """Return a logger whose writer thread is blocked by a long line."""
    logger, handler = logger_to(pipe.writer)
    logger.info(LONG)
    wait_until(handler._queue.empty)
    return logger, handler


def test_lines_in_order(pipe: Pipe) -> None:
    """Every record is one line, in order, and none is lost."""
    pipe.read()
    logger, handler = logger_to(pipe.writer)
    for number in range(100):
        logger.info(str(number))
    handler.flush()

    assert (list(map(str, range(100))), 0) == (pipe.wait(100), handler.lost())


@pytest.mark.parametrize("blocking", [True, False])
def test_long_line(pipe: Pipe, blocking: bool) -> None:
    """A line longer than the pipe's buffer arrives complete, even if the pipe is non-blocking."""
    os.set_blocking(pipe.writer, blocking)
    logger, handler = block(pipe)
    logger.info("after")
    pipe.read()

    assert ([LONG, "after"], 0) == (pipe.wait(2), handler.lost())


def test_blocked_output(pipe: Pipe) -> None:
    """A blocked pipe does not block logging; records that exceed the queue are lost and reported once."""
    logger, handler = block(pipe)
    for _ in range(output.MAX_QUEUED + 5):
        logger.info("m")
    assert 5 == handler.lost()
    pipe.read()
    wait_until(lambda: "Log records lost" in [line["message"] for line in pipe.lines()])
    logger.info("after")
    handler.flush()

    assert [LONG, *["m"] * output.MAX_QUEUED, "Log records lost", "after"] == pipe.wait(output.MAX_QUEUED + 3)
    fields = {"level": "warning", "lost": 5, "hint": output.LOST_HINT}
    assert fields.items() <= pipe.lines()[-2].items()


def test_closed_output() -> None:
    """Records to a pipe without a reader, or to a descriptor that is not writable, are lost and counted."""
    reader, writer = os.pipe()
    os.close(reader)
    for descriptor in (writer, os.open(os.devnull, os.O_RDONLY)):
        logger, handler = logger_to(descriptor)
        logger.info("m")
        logger.info("m")
        handler.flush()
        os.close(descriptor)

        assert 2 == handler.lost()


def test_full_disk(tmp_path: Path) -> None:
    """A line truncated by a full disk is completed later, and losses are reported."""
    path, limit = tmp_path / "log", 1 << 20
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with path.open("ab") as file:
        file.truncate(limit - 100)
        logger, handler = logger_to(file.fileno())
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
            for message in (LONG, "lost", "lost"):
                logger.info(message)
                handler.flush()
            assert limit == path.stat().st_size
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        logger.info("after")
        handler.flush()

    lines = [json.loads(line) for line in path.read_bytes()[limit - 100 :].splitlines()]
    assert [LONG, "after", "Log records lost"] == [line["message"] for line in lines]
    assert (2, 2) == (lines[-1]["lost"], handler.lost())


def test_flush(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """`flush` waits for queued lines, and returns after a timeout if the output is blocked."""
    monkeypatch.setattr(output, "FLUSH_SECONDS", 0.1)
    logger, handler = block(pipe)
    handler.flush()
    assert [] == pipe.lines()

    monkeypatch.setattr(output, "FLUSH_SECONDS", PATIENCE)
    logger.info("after")
    flushing = threading.Thread(target=handler.flush, daemon=True)
    flushing.start()
    wait_until(lambda: handler._queue.qsize() == 3)
    assert flushing.is_alive()
    pipe.read()
    flushing.join(PATIENCE)

    assert (False, [LONG, "after"]) == (flushing.is_alive(), pipe.wait(2))


def test_invalid_unicode(pipe: Pipe) -> None:
    """A lone surrogate is escaped."""
    logger, handler = logger_to(pipe.writer)
    handler.setFormatter(logging.Formatter('{"message": "%(message)s"}'))
    logger.info("\ud800")
    pipe.read()

    assert ["\ud800"] == pipe.wait(1)
