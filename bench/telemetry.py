"""Measures export by OTLP, with a collector that is present, absent or silent."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise, product
from pathlib import Path

from bench.check import first_data
from bench.contestants import CONTESTANTS, OFF, PUSHED, start
from bench.fleet import Moment
from bench.gateway import Gateway
from bench.measure import POLL, memory_after_scrapes, polls
from bench.processes import free_port
from bench.report import Results, number, table
from tests.otlp import OtlpReceiver

LARGEST = 1_000
"""For traces and logs larger sizes are left out: they do not grow with the fleet."""
DELAYED = 1.5
"""A poll is delayed from this number of intervals after the previous one."""
METRICS_ONLY = {
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "otlp",
}
FIGURES = (POLL[Moment.CHECKED], "resident", "polls", "delayed polls")


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


@contextmanager
def _off() -> Iterator[str]:
    yield ""


COLLECTORS: Mapping[str, Callable[[], AbstractContextManager[str]]] = {
    OFF: _off,
    "traces and logs": _receiver,
    "traces and logs, collector absent": _absent,
    "traces and logs, collector silent": _silent,
    PUSHED: _receiver,
}


def measure(
    results: Results, size: int, gateway: Gateway, interval: float, folder: Path, is_first: bool
) -> None:
    """Measure the exporter with each kind of collector, those for traces and logs in the first round."""
    for name in COLLECTORS if is_first and size <= LARGEST else (OFF, PUSHED):
        with COLLECTORS[name]() as url:
            more = {"OTEL_EXPORTER_OTLP_ENDPOINT": url} if url else {}
            if name == PUSHED:
                more |= METRICS_ONLY
            since = time.time()
            with start(CONTESTANTS[0], gateway.url, folder, interval, more) as running:
                first_data(running)
                figures = dict(polls(running, gateway, interval, (Moment.CHECKED,)))
                figures |= memory_after_scrapes(running)
        requests = gateway.polls(since)
        gaps = [later - earlier for earlier, later in pairwise(requests)]
        figures["polls"] = len(requests)
        figures["delayed polls"] = sum(gap > DELAYED * interval for gap in gaps)
        results.add(size, name, {figure: figures[figure] for figure in FIGURES})


def as_markdown(results: Results) -> str:
    """Return the results as a table; ratios are to the exporter without telemetry."""
    rows = []
    for size, name in product(results.sizes(), COLLECTORS):
        if results.get(size, name, "polls") is not None:
            off = [results.get(size, OFF, figure) for figure in FIGURES[:2]]
            cpu, resident, polled, delayed = (results.get(size, name, figure) or 0.0 for figure in FIGURES)
            ratios = [f"{value / (base or 1):.2f}" for value, base in zip((cpu, resident), off, strict=True)]
            rows.append([f"{size:,}", name, number(cpu * 1000), *ratios, f"{delayed:g} of {polled:g}"])
    head = [
        "Providers",
        "OTLP",
        "CPU of a poll and a scrape, ms",
        "ratio",
        "memory, ratio",
        "delayed",
    ]
    return "### OTLP, quiet feed\n\n" + table(head, rows)
