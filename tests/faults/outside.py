"""The exporter as a process: its log as a file, its metrics over HTTP, its resources from /proc."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.http_server import HOST, StubServer, free_port
from tests.process import environment
from tests.waiting import wait_until

KEY = "test-admin-key"
PATIENCE = 30.0
"""Seconds after which a wait fails."""
LIMIT_SECONDS = 5.0
"""Limit of a shutdown."""
INTERVAL = "0.5"
"""Interval of polls in tests that wait for several."""
MIB = 1 << 20
LOST = "gatewayz_exporter_log_records_lost_total"

Labels = tuple[tuple[str, str], ...]
Scrape = Mapping[tuple[str, Labels], float]
"""All samples by name and labels."""


def series(name: str, /, **labels: str) -> tuple[str, Labels]:
    """Return the key of a sample in a scrape."""
    return name, tuple(sorted(labels.items()))


def parsed(text: str) -> Scrape:
    """Return the samples of an exposition."""
    families = text_string_to_metric_families(text)
    return {series(s.name, **s.labels): s.value for family in families for s in family.samples}


def resident_memory(process: int, name: str = "VmRSS") -> int:
    """Return the resident memory of a process in bytes."""
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) * 1024


@dataclass
class Exporter:
    """A running exporter."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    interval: float

    @property
    def url(self) -> str:
        """The root of the exporter."""
        return f"http://{HOST}:{self.port}"

    def connect(self) -> socket.socket:
        """Return an open connection, as soon as the exporter listens."""

        def connected() -> socket.socket:
            assert self.process.poll() is None, f"exited: {self.log.read_text()}"
            return socket.create_connection((HOST, self.port), timeout=PATIENCE)

        connection: socket.socket = wait_until(connected, every=0.01)
        return connection

    def scrape(self) -> str:
        """Return the exposition."""
        response = requests.get(f"{self.url}/metrics", timeout=PATIENCE)
        assert 200 == response.status_code
        return response.text

    def ask(self, path: str, times: int, **headers: str) -> None:
        """Send requests one after the other; each must succeed."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)
        for _ in range(times):
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read()
            assert 200 == response.status
        connection.close()

    def value(self, name: str, **labels: str) -> float:
        """Return the value of one series of a scrape."""
        return parsed(self.scrape())[series(name, **labels)]

    def fetches(self, outcome: str = "ok") -> float:
        """Return the number of polls in which both fetches had this outcome."""
        samples, name = parsed(self.scrape()), "gatewayz_exporter_fetches_total"
        return min(samples[series(name, endpoint=e, outcome=outcome)] for e in ("providers", "stats"))

    def wait_for_polls(self, number: int, outcome: str = "ok") -> None:
        """Wait until this many more polls had the outcome; the first may have ended already."""
        self.connect().close()
        target = self.fetches(outcome) + number
        wait_until(lambda: self.fetches(outcome) >= target, PATIENCE + number * self.interval)

    def records(self) -> list[dict[str, Any]]:
        """Return the log records; every line but the last must be complete."""
        return [json.loads(line) for line in self.log.read_bytes().split(b"\n")[:-1]]

    def wait_for(self, message: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Return the first record with this message."""
        wait_until(lambda: message in [record["message"] for record in self.records()], seconds)
        return next(record for record in self.records() if record["message"] == message)

    def up(self) -> str:
        """Return `gatewayz_up` for the matrix."""
        return f"`gatewayz_up` {self.value('gatewayz_up'):g}"

    def lost(self) -> str:
        """Return `gatewayz_up` and the lost log records for the matrix."""
        return f"{self.up()}, `{LOST}` {'0' if self.value(LOST) == 0 else 'increases'}"

    def warnings(self) -> str:
        """Return the warnings in the log for the matrix."""
        return warnings(self.records())

    def longest_gap(self) -> float:
        """Return the longest time in seconds between two polls in the log."""
        dates = [
            datetime.fromisoformat(record["timestamp"]).timestamp()
            for record in self.records()
            if record["message"] in ("Updated provider metrics", "Fetch failed")
        ]
        return max(later - earlier for earlier, later in pairwise(dates))

    def memory(self, name: str = "VmRSS") -> int:
        """Return the resident memory in bytes; `VmHWM` is its peak."""
        return resident_memory(self.process.pid, name)

    def reset_peak(self) -> int:
        """Set the peak of the memory to the current value, and return it."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.memory("VmHWM")

    def descriptors(self) -> int:
        """Return the number of open descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self) -> int:
        """Return the number of threads."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code; fail after `LIMIT_SECONDS`."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_SECONDS)


def warnings(records: Sequence[dict[str, Any]]) -> str:
    """Return the messages above the level info, each once, in order.

    Polls in these tests are short, so timeouts of fetches on a loaded machine are left out, and so are polls
    that were incomplete because of one.
    """
    timed_out = [record.get("endpoint") for record in records if record.get("outcome") == "timeout"]
    found = dict.fromkeys(
        record["message"]
        for record in records
        if record["level"] != "info"
        and record.get("outcome") != "timeout"
        and not ("failed_endpoint" in record and record["failed_endpoint"] in timed_out)
    )
    return ", ".join(f'"{message}"' for message in found) or "no warnings"


@contextmanager
def exporter(
    gateway: StubServer,
    log: Path,
    variables: Mapping[str, str] = MappingProxyType({}),
    *,
    prefix: Sequence[str] = (),
    code: str = "",
    stdin: int = subprocess.DEVNULL,
    stdout: IO[bytes] | int | None = None,
    **more: str,
) -> Iterator[Exporter]:
    """Start the exporter, and kill it at the end of the test.

    Args:
        gateway: The gateway to poll.
        log: File for the standard output, unless `stdout` is given.
        variables: Variables of the environment.
        prefix: A command that executes the exporter, such as nohup.
        code: Python code that runs in the process before the exporter.
        stdin: The standard input.
        stdout: The standard output.
        more: More variables of the environment.
    """
    own = {
        "GATEWAY_API_URL": gateway.url,
        "ADMIN_KEY": KEY,
        "METRICS_HOST": HOST,
        "SCRAPE_INTERVAL": "60",
    }
    settings = {**own, "METRICS_PORT": str(free_port()), **variables, **more}
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
        yield Exporter(process, int(settings["METRICS_PORT"]), log, float(settings["SCRAPE_INTERVAL"]))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
