"""Runs the exporter as a process."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from click.testing import CliRunner, Result

from exporter.cli import cli

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def environment(**variables: str) -> dict[str, str]:
    """Return a minimal environment with these variables."""
    names = ("PATH", "HOME", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
    return {name: os.environ[name] for name in names if name in os.environ} | variables


def run_program(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program until it exits."""
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def invoke(*arguments: str, **variables: str) -> Result:
    """Run the command line in this process; faster than `run_program`, but without signals and imports."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    disabled = logging.root.manager.disable
    only: dict[str, str | None] = {**dict.fromkeys(os.environ), **environment(**variables)}
    try:
        return CliRunner().invoke(cli, arguments, env=only, prog_name="provider-metrics-exporter")
    finally:
        logging.disable(disabled)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@dataclass
class Program:
    """A running program whose log lines are read in a thread."""

    process: subprocess.Popen[str]
    output: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start to read."""
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.output.append(text)
            if text.startswith("{"):
                self._lines.put(json.loads(text))
        self._lines.put(None)

    def record(self, message: str, seconds: float = 20) -> dict[str, Any]:
        """Return the next log record with this message; fail after a timeout or at the end of the output."""
        deadline = time.monotonic() + seconds
        while True:
            line = None
            with suppress(queue.Empty):
                line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
            assert line is not None, f"no record {message!r} in:\n{''.join(self.output)}"
            if line["message"] == message:
                return line

    def address(self) -> str:
        """Return host and port of the exporter."""
        return f"127.0.0.1:{self.record('Listening')['port']}"

    def url(self) -> str:
        """Return the URL of the exporter."""
        return f"http://{self.address()}"

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds until the exit."""
        begun = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(20)
        self._reader.join(5)
        return code, time.monotonic() - begun


@contextmanager
def program(*arguments: str, code: str = "", **variables: str) -> Iterator[Program]:
    """Start the program, and kill it at the end of the test.

    Args:
        arguments: Its command line.
        code: Python code that runs in the process before the program.
        variables: Its environment.
    """
    command = ["-c", f"{code}\nfrom exporter.__main__ import main; main()"] if code else ["-m", "exporter"]
    process = subprocess.Popen(
        [sys.executable, *command, *arguments],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Program(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()
