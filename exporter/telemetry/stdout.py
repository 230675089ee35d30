"""Writes log lines without blocking the threads that log: while output is blocked, lines queue, then drop.

One daemon thread writes the queued lines, complete and in order, and reports how many were dropped. It uses
`os.write`: a thread that blocks in a buffered Python stream makes the interpreter's exit fail.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import threading

MAX_QUEUED = 1000
"""Queued lines; a poll logs a few, and up to 60 when providers change."""
FLUSH_SECONDS = 1.0
"""Time to write the queued lines when the process ends."""
LOST_HINT = "Standard output was blocked, closed or full for a time. Records sent by OTLP are not affected."


class OutputHandler(logging.Handler):
    """Writes records to a descriptor; drops and counts those that cannot be written."""

    def __init__(self, descriptor: int) -> None:
        """Start the writer thread; the caller stays responsible for closing `descriptor`."""
        super().__init__()
        self._descriptor = descriptor
        self._queue: queue.SimpleQueue[bytes | threading.Event] = queue.SimpleQueue()
        self._rest = b""
        # The handler's lock protects `_dropped`; only the writer thread changes `_unwritten`.
        self._dropped = 0
        self._unwritten = 0
        self._reported = 0
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Format and queue a record, or drop it if the queue is full."""
        if self._queue.qsize() < MAX_QUEUED:
            self._queue.put(self._line(record))
        else:
            self._dropped += 1

    def flush(self) -> None:
        """Wait up to a second until the queue is written; `logging` calls this at exit."""
        written = threading.Event()
        self._queue.put(written)
        written.wait(FLUSH_SECONDS)

    def lost(self) -> int:
        """Return the number of records lost since the start; thread-safe."""
        return self._dropped + self._unwritten

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, bytes) and not self._write(item):
                self._unwritten += 1
            elif self._queue.empty():
                self._report_losses()
            if isinstance(item, threading.Event):
                item.set()

    def _report_losses(self) -> None:
        """Write a record with the number of records lost since the last report."""
        lost = self.lost()
        if lost == self._reported:
            return
        fields = {
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": "Log records lost",
            "lost": lost - self._reported,
            "hint": LOST_HINT,
        }
        if self._write(self._line(logging.makeLogRecord(fields))):
            self._reported = lost

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"

    def _write(self, line: bytes) -> bool:
        """Write the rest of a truncated line, then `line`; return False if no byte of `line` was written."""
        data = self._rest + line
        try:
            while data:
                data = data[self._write_some(data) :]
        except OSError:
            started = len(data) < len(line)
            self._rest = data if started else data[: len(data) - len(line)]
            return started
        self._rest = b""
        return True

    def _write_some(self, data: bytes) -> int:
        """Return how many bytes the kernel accepted; blocks even if the descriptor is non-blocking."""
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                # Another process that shares the pipe can make it non-blocking.
                select.select([], [self._descriptor], [])
