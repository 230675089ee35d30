"""Measures traces and logs by OTLP with a collector that is present, absent or silent."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path

from bench.check import first_data
from bench.contestants import CONTESTANTS, start
from bench.gateway import Gateway
from bench.measure import polls_alone
from bench.processes import free_port
from bench.report import Results, number, table
from tests.otlp import OtlpReceiver

LARGEST = 1_000
"""Larger sizes are left out: telemetry does not grow with the fleet."""
DELAYED = 1.5
"""A poll is delayed from this number of intervals after the previous one."""
FIGURES = ("cpu poll and scrape", "resident", "polls", "delayed polls")


@contextmanager
def _absent() -> Iterator[str]:
    yield f"http://127.0.0.1:{free_port()}"


@contextmanager
def _silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def _receiver() -> Iterator[str]:
    with OtlpReceiver() as receiver:
        yield receiver.url


COLLECTORS: Mapping[str, Callable[[], AbstractContextManager[str]] | None] = {
    "off": None,
    "collector present": _receiver,
    "collector absent": _absent,
    "collector silent": _silent,
}


def measure(
    results: Results, size: int, gateway: Gateway, interval: float, moments: int, folder: Path
) -> None:
    """Measure the exporter with each kind of collector, for sizes up to LARGEST."""
    for name, collector in COLLECTORS.items() if size <= LARGEST else ():
        with collector() if collector else _off() as url:
            more = {"OTEL_EXPORTER_OTLP_ENDPOINT": url} if url else {}
            since = time.time()
            with start(CONTESTANTS[0], gateway.url, folder, interval, more) as running:
                first_data(running)
                figures = dict(polls_alone(running, gateway, interval, moments))
        polls = gateway.polls(since)
        gaps = [later - earlier for earlier, later in pairwise(polls)]
        figures["polls"] = len(polls)
        figures["delayed polls"] = sum(gap > DELAYED * interval for gap in gaps)
        results.add(size, name, {figure: figures[figure] for figure in FIGURES})


def as_markdown(results: Results) -> str:
    """Return the results as a table; ratios are to the exporter without telemetry."""
    rows = []
    for size in (size for size in results.sizes() if size <= LARGEST):
        off = [results.get(size, "off", figure) for figure in FIGURES[:2]]
        for name in COLLECTORS:
            cpu, resident, polls, delayed = (results.get(size, name, figure) or 0.0 for figure in FIGURES)
            ratios = [f"{value / (base or 1):.2f}" for value, base in zip((cpu, resident), off, strict=True)]
            rows.append([f"{size:,}", name, number(cpu * 1000), *ratios, f"{delayed:g} of {polls:g}"])
    head = [
        "Providers",
        "Traces and logs",
        "CPU of a poll and a scrape, ms",
        "ratio",
        "memory, ratio",
        "delayed",
    ]
    return "### Traces and logs\n\n" + table(head, rows)


@contextmanager
def _off() -> Iterator[str]:
    yield ""
