"""The real program, as the world around it sees it: its log as a file, its metrics, its process."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.process import environment
from tests.replay import ReplayGateway

KEY = "test-admin-key"
PATIENCE = 30.0
LIMIT_SECONDS = 5.0
"""Within which the program ends."""
INTERVAL = "0.5"
"""Of polls, where a test waits for several of them."""
MIB = 1 << 20


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass
class Exporter:
    """The running program."""

    process: subprocess.Popen[bytes]
    gateway: ReplayGateway
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """Return an open connection, made as soon as somebody listens."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            except ConnectionRefusedError:
                assert self.process.poll() is None, f"ended: {self.log.read_text()}"
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def scrape(self) -> str:
        """Return the metrics."""
        response = requests.get(f"{self.url}/metrics", timeout=PATIENCE)
        assert 200 == response.status_code
        return response.text

    def ask(self, path: str, times: int, **headers: str) -> None:
        """Send many requests, one after the other, each of which has to be answered well."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        for _ in range(times):
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read()
            assert 200 == response.status
        connection.close()

    def value(self, name: str, **labels: str) -> float:
        """Return the value of one series of a scrape."""
        (value,) = [
            sample.value
            for family in text_string_to_metric_families(self.scrape())
            for sample in family.samples
            if (sample.name, sample.labels) == (name, labels)
        ]
        return float(value)

    def polls(self) -> float:
        """Return how many polls have gone well."""
        return self.value("gatewayz_exporter_fetches_total", endpoint="stats", outcome="ok")

    def wait_for_polls(self, number: int) -> None:
        """Wait until this many more polls have gone well."""
        self.connect().close()
        target = self.polls() + number
        wait_until(lambda: self.polls() >= target)

    def records(self) -> list[dict[str, Any]]:
        """Return the log, each line of which must be whole; the last may still be on its way."""
        return [json.loads(line) for line in self.log.read_bytes().split(b"\n")[:-1]]

    def wait_for(self, message: str) -> dict[str, Any]:
        """Return the first record with this message."""
        wait_until(lambda: message in [record["message"] for record in self.records()])
        return next(record for record in self.records() if record["message"] == message)

    def up(self) -> str:
        """Return what a scrape says of the last poll, for the matrix."""
        return f"`gatewayz_up {self.value('gatewayz_up'):g}`"

    def remarks(self) -> str:
        """Return what the log says beyond the usual, for the matrix."""
        return remarks(self.records())

    def longest_gap(self) -> float:
        """Return the longest time in seconds between two polls, by the log."""
        dates = [
            datetime.fromisoformat(record["timestamp"]).timestamp()
            for record in self.records()
            if record["message"] in ("Updated provider metrics", "Fetch failed")
        ]
        return max(later - earlier for earlier, later in pairwise(dates))

    def memory(self) -> float:
        """Return the resident memory in bytes."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """Return how many descriptors are open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self) -> int:
        """Return how many threads run."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def cpu(self) -> float:
        """Return the seconds of CPU time that were used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop, and return its exit code; it has to be there in time."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_SECONDS)


def remarks(records: Sequence[dict[str, Any]]) -> str:
    """Return the messages above the level info, each once, in order.

    Polls here are short, so that a loaded machine can be late for one: that is left out.
    """
    unusual = [record for record in records if record["level"] != "info"]
    found = dict.fromkeys(record["message"] for record in unusual if record.get("outcome") != "timeout")
    return ", ".join(f'"{message}"' for message in found) or "nothing unusual"


@contextmanager
def exporter(
    gateway: ReplayGateway,
    log: Path,
    variables: Mapping[str, str] = MappingProxyType({}),
    *,
    prefix: Sequence[str] = (),
    code: str = "",
    stdin: int = subprocess.DEVNULL,
    stdout: IO[bytes] | int | None = None,
    **more: str,
) -> Iterator[Exporter]:
    """Start the program, and end it at the latest when the test does.

    Args:
        gateway: What it polls.
        log: Takes its standard output, unless `stdout` does.
        variables: Of its environment.
        prefix: A command that becomes the program, such as nohup.
        code: Python that runs in its process before it.
        stdin: Its standard input.
        stdout: Takes its standard output.
        more: Variables of its environment.
    """
    port = free_port()
    settings = {
        "GATEWAY_API_URL": gateway.url,
        "ADMIN_KEY": KEY,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": str(port),
        **variables,
        **more,
    }
    command = ["-c", f"{code}\nfrom exporter.__main__ import main; main()"] if code else ["-m", "exporter"]
    with log.open("ab") as file, log.with_suffix(".stderr").open("ab") as stderr:
        process = subprocess.Popen(
            [*prefix, sys.executable, *command],
            env=environment(**settings),
            stdin=stdin,
            stdout=file if stdout is None else stdout,
            stderr=stderr,
        )
    try:
        yield Exporter(process, gateway, port, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
