"""Tests of `exporter.telemetry.stdout`."""

from __future__ import annotations

import json
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exporter.telemetry import stdout as output
from exporter.telemetry.logs import Formatter
from exporter.telemetry.stdout import OutputHandler

PATIENCE = 20.0
LONG = "x" * 300_000
"""Longer than the buffer of a pipe."""


def logger_to(descriptor: int) -> tuple[logging.Logger, OutputHandler]:
    """Return a separate logger that writes to a descriptor, and its handler."""
    handler = OutputHandler(descriptor)
    handler.setFormatter(Formatter())
    logger = logging.Logger("test", logging.INFO)
    logger.addHandler(handler)
    return logger, handler


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@dataclass
class Pipe:
    """A pipe that is not read until `read` is called."""

    reader: int
    writer: int
    received: bytes = b""
    _threads: list[threading.Thread] = field(default_factory=list)

    def read(self) -> None:
        """Start to read in a thread."""
        thread = threading.Thread(target=self._read, daemon=True)
        thread.start()
        self._threads.append(thread)

    def lines(self) -> list[dict[str, Any]]:
        """Return the complete lines."""
        return [json.loads(line) for line in self.received.split(b"\n")[:-1]]

    def _read(self) -> None:
        while part := os.read(self.reader, 65_536):
            self.received += part

    def close(self) -> None:
        """Close both ends."""
        os.close(self.writer)
        for thread in self._threads:
            thread.join(PATIENCE)
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
        logger.info("m", extra={"number": number})
    handler.flush()

    wait_until(lambda: len(pipe.lines()) == 100)

    assert list(range(100)) == [line["number"] for line in pipe.lines()]
    assert 0 == handler.lost()


@pytest.mark.parametrize("blocking", [True, False])
def test_long_line(pipe: Pipe, blocking: bool) -> None:
    """A line longer than the pipe's buffer arrives complete, even if the pipe is non-blocking."""
    os.set_blocking(pipe.writer, blocking)
    logger, handler = block(pipe)
    logger.info("after")
    pipe.read()

    wait_until(lambda: len(pipe.lines()) == 2)

    assert [LONG, "after"] == [line["message"] for line in pipe.lines()]
    assert 0 == handler.lost()


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
    wait_until(lambda: len(pipe.lines()) == output.MAX_QUEUED + 3)

    *lines, report, after = pipe.lines()

    assert {LONG, "m"} == {line["message"] for line in lines}
    assert ("warning", "Log records lost", 5, output.LOST_HINT) == tuple(
        report[name] for name in ("level", "message", "lost", "hint")
    )
    assert "after" == after["message"]


def test_closed_pipe() -> None:
    """Records to a pipe without a reader are lost and counted."""
    reader, writer = os.pipe()
    os.close(reader)
    logger, handler = logger_to(writer)
    logger.info("m")
    logger.info("m")
    handler.flush()
    os.close(writer)

    assert 2 == handler.lost()


def test_closed_descriptor() -> None:
    """Records to a descriptor that is not writable are lost and counted."""
    with open(os.devnull, "rb") as unwritable:
        logger, handler = logger_to(unwritable.fileno())
        logger.info("m")
        handler.flush()

    assert 1 == handler.lost()


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


def test_flush_waits(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """`flush` waits for queued lines."""
    monkeypatch.setattr(output, "FLUSH_SECONDS", PATIENCE)
    logger, handler = logger_to(pipe.writer)
    logger.info(LONG)
    flushing = threading.Thread(target=handler.flush, daemon=True)
    flushing.start()
    wait_until(lambda: handler._queue.qsize() == 1)
    assert flushing.is_alive()
    pipe.read()
    flushing.join(PATIENCE)

    assert not flushing.is_alive()


def test_flush_is_bounded(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """`flush` returns after a timeout if the output is blocked."""
    monkeypatch.setattr(output, "FLUSH_SECONDS", 0.1)
    logger, handler = logger_to(pipe.writer)
    logger.info(LONG)
    flushing = threading.Thread(target=handler.flush, daemon=True)
    flushing.start()
    flushing.join(PATIENCE)

    assert not flushing.is_alive()
    pipe.read()


def test_invalid_unicode(pipe: Pipe) -> None:
    """A lone surrogate is escaped."""
    logger, handler = logger_to(pipe.writer)
    handler.setFormatter(logging.Formatter('{"message": "%(message)s"}'))
    logger.info("\ud800")
    pipe.read()
    wait_until(lambda: len(pipe.lines()) == 1)

    assert "\ud800" == pipe.lines()[0]["message"]
