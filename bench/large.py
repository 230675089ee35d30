"""Measures the exporter with very large fleets, after a small one."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3.exceptions import HTTPError

from bench.check import first_data
from bench.contestants import CONTESTANTS, Running, start
from bench.fleet import Moment, fleet
from bench.gateway import Gateway, gateway
from bench.nginx import version
from bench.processes import cpu_seconds, memory
from bench.report import machine, number, table
from bench.scrape import last_update, scrape

SMALL = 1_000
SIZES = (SMALL, 20_000, 50_000, 100_000)
INTERVAL = 20.0
LONGEST_SECONDS = 180.0
ENDS = ("Updated provider metrics", "Updated provider metrics in part", "Fetch failed")
"""Messages at the end of a poll."""
LISTED = b"\ngatewayz_providers_listed "


@dataclass(frozen=True)
class Poll:
    """One poll of a fleet."""

    message: str
    """The log message."""
    seconds: float
    """From the request for the list to the log message."""
    cpu: float
    """Seconds."""


@dataclass(frozen=True)
class Outcome:
    """The results of a fleet: the poll in which it grows, and a quiet one after it."""

    size: int
    megabytes: float
    """Size of the list."""
    grown: Poll
    quiet: Poll
    peak: float
    listed: str
    """Value of `gatewayz_providers_listed` after the polls."""
    refused: int
    """Failed scrapes during the polls, of two per second."""


def report_on(folder: Path) -> str:
    """Measure each size, and return the results as Markdown."""
    load = os.getloadavg()[0]
    outcomes = [_measure(folder / str(size), size) for size in SIZES]
    rows = []
    for outcome in outcomes:
        grown, quiet = outcome.grown, outcome.quiet
        figures = (outcome.megabytes, grown.seconds, grown.cpu, quiet.seconds, quiet.cpu)
        texts = map(number, (*figures, outcome.peak))
        rows.append([f"{outcome.size:,}", *texts, grown.message, outcome.listed, str(outcome.refused)])
    head = ["Providers", "List, MB", "Poll, s", "CPU, s", "Quiet poll, s"]
    head += ["CPU, s", "Peak, MiB", "Log", "Listed", "Failed scrapes"]
    return f"{machine([load], 'python -m bench --large', version())}\n\n{table(head, rows)}"


def _measure(folder: Path, size: int) -> Outcome:
    """Measure the first polls of a fleet, after polls of a small one."""
    grown = fleet(size)
    documents = {
        Moment.FIRST: fleet(SMALL)[Moment.FIRST],
        Moment.BUSY: grown[Moment.FIRST],
        Moment.CHECKED: grown[Moment.CHECKED],
    }
    with (
        gateway(folder, documents) as running_gateway,
        start(CONTESTANTS[0], running_gateway.url, folder, INTERVAL) as running,
    ):
        first_data(running)
        watch = _Watch(running)
        first, quiet = (_poll(running, running_gateway, moment) for moment in (Moment.BUSY, Moment.CHECKED))
        text = scrape(running.url).text
        return Outcome(
            size=size,
            megabytes=len(documents[Moment.BUSY].providers) / 1e6,
            grown=first,
            quiet=quiet,
            peak=memory(running.pid).peak,
            listed=text.partition(LISTED)[2].partition(b"\n")[0].decode(),
            refused=watch.stop(),
        )


def _poll(running: Running, gateway: Gateway, moment: Moment) -> Poll:
    """Let the gateway show a moment, and measure the poll that gets it."""
    lines_before = len(_lines(running))
    gateway.show(moment)
    begun = gateway.wait_for_poll(time.time(), LONGEST_SECONDS)
    cpu = cpu_seconds(running.pid)
    record = _end_of_poll(running, lines_before)
    message = ": ".join(record[name] for name in ("message", "outcome") if name in record)
    return Poll(message, time.time() - begun, cpu_seconds(running.pid) - cpu)


class _Watch:
    """Scrapes twice a second, and counts failures, until `stop`."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._stopping = threading.Event()
        self._refused = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> int:
        """Stop, and return the number of failures."""
        self._stopping.set()
        self._thread.join()
        return self._refused

    def _run(self) -> None:
        while not self._stopping.wait(0.5):
            try:
                last_update(scrape(self._running.url).text)
            except HTTPError:
                self._refused += 1


def _end_of_poll(running: Running, lines_before: int) -> Mapping[str, Any]:
    """Wait for the log record at the end of a poll, after so many lines."""
    ends = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < ends:
        for line in _lines(running)[lines_before:]:
            record: dict[str, Any] = json.loads(line)
            if record["message"] in ENDS:
                return record
        time.sleep(0.05)
    return {"message": f"no record within {LONGEST_SECONDS:g} s"}


def _lines(running: Running) -> Sequence[str]:
    return [line for line in running.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
