"""Log lines on their way to a file descriptor that may be blocked, closed or full: who logs never waits.

Lines wait in a bounded queue, and one daemon thread writes them, whole and in order. It writes past Python's
buffers: a thread that is blocked inside one of those would make the end of the interpreter fatal.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import threading

MAX_WAITING = 1000
"""Lines that wait at most; a poll writes a few, and 60 when the fleet changes."""
FLUSH_SECONDS = 1.0
"""For what still waits when the process ends."""
LOST_HINT = "Standard output was blocked, closed or full for a time. Records sent by OTLP are not affected."


class OutputHandler(logging.Handler):
    """Writes records to a descriptor; what cannot be written is dropped and counted."""

    def __init__(self, descriptor: int) -> None:
        """Begin to write to `descriptor`, which stays the caller's."""
        super().__init__()
        self._descriptor = descriptor
        self._waiting: queue.SimpleQueue[bytes | threading.Event] = queue.SimpleQueue()
        self._rest = b""
        # The lock of the handler guards the first of the two, the second belongs to the writing thread.
        self._dropped = 0
        self._unwritten = 0
        self._told = 0
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Let a record wait for its turn, formatted as of now, or drop it when too many wait."""
        if self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(self._line(record))
        else:
            self._dropped += 1

    def flush(self) -> None:
        """Wait until all that waits is written, for a second at most; `logging` asks for it at exit."""
        written = threading.Event()
        self._waiting.put(written)
        written.wait(FLUSH_SECONDS)

    def lost(self) -> int:
        """Return how many records were dropped, since the start; may be called from any thread."""
        return self._dropped + self._unwritten

    def _run(self) -> None:
        while True:
            item = self._waiting.get()
            if isinstance(item, bytes) and not self._write(item):
                self._unwritten += 1
            elif self._waiting.empty():
                self._tell()
            if isinstance(item, threading.Event):
                item.set()

    def _tell(self) -> None:
        """Say how many records are missing since it was last said, where they are missing."""
        lost = self.lost()
        if lost == self._told:
            return
        fields = {
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": "Log records lost",
            "lost": lost - self._told,
            "hint": LOST_HINT,
        }
        if self._write(self._line(logging.makeLogRecord(fields))):
            self._told = lost

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"

    def _write(self, line: bytes) -> bool:
        """Write a line, after the rest of one that was cut off; False when nothing of it has left."""
        data = self._rest + line
        try:
            while data:
                data = data[self._write_some(data) :]
        except OSError:
            begun = len(data) < len(line)
            self._rest = data if begun else data[: len(data) - len(line)]
            return begun
        self._rest = b""
        return True

    def _write_some(self, data: bytes) -> int:
        """Return how many bytes the system took; wait also where the descriptor would not."""
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                # A process that shares the pipe may have made it so.
                select.select([], [self._descriptor], [])
