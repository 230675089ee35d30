"""Many polls with random faults, scrapers and telemetry, and what they leave behind: `make soak`.

The exporter polls a gateway ten times a second. The gateway plays random cases of the table of faults, and is
good in between. Prints figures; exits with 1 after a leak, a bug, or if the data do not recover.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import requests
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from generate.marks import write_between
from tests.faults.cases import CASES, Case
from tests.faults.outside import MIB, Exporter, exporter, parsed
from tests.faults.peer import Gateway, State
from tests.otlp import OtlpReceiver
from tests.waiting import wait_until

BEGIN, END = "<!-- soak: written by `make soak` -->", "<!-- end of the soak -->"
INTERVAL = 0.1
SEED = 20_000
GOOD_SECONDS, FAULT_SECONDS = 1.0, 0.5
"""Mean duration of a good state and of a fault."""
SCRAPERS = 3
SCRAPE_PAUSE = 0.2
MAX_GROWTH = {"blocks": 10_000, "threads": 5, "descriptors": 5}
"""Variation by fetches, scrapes and spans; one leaked block per poll would be twice as many."""
MAX_MEMORY_MIB = 200.0
"""At the end: large fleets fragment the interpreter's memory; docker-compose.yml allows 256."""
COUNT_BLOCKS = """
import gc, os, signal, sys
from pathlib import Path
def count(number, frame):
    gc.collect()
    path = Path(os.environ["BLOCKS"])
    path.with_suffix(".new").write_text(str(sys.getallocatedblocks()))
    path.with_suffix(".new").rename(path)
signal.signal(signal.SIGUSR1, count)
"""
"""On a signal the exporter writes the number of its allocated memory blocks to a file."""
IDLE_POLLS = 50
"""Polls without a fault before a measurement."""
PATIENCE = 60.0
FORMATS = (
    ("text/plain;version=0.0.4", parse_text),
    ("application/openmetrics-text;version=1.0.0", parse_openmetrics),
)


@dataclass(frozen=True)
class Sample:
    """The resources of the process at one moment."""

    memory_mib: float
    blocks: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, running: Exporter, blocks: Path) -> Sample:
        """Measure the exporter, which writes its number of blocks to a file."""
        blocks.unlink(missing_ok=True)
        running.process.send_signal(signal.SIGUSR1)
        number = int(wait_until(blocks.read_text, PATIENCE))
        return cls(running.memory() / MIB, number, running.threads(), running.descriptors())


class Receiver(OtlpReceiver):
    """A collector that discards what it receives, which would fill the memory."""

    def _take(self, path: str, body: bytes) -> None:
        super()._take(path, body)
        for received in (self.asked, self.spans, self.records, self.resources):
            received.clear()


@dataclass
class Scraper:
    """Requests the metrics, and sometimes the status page, until it is stopped."""

    url: str
    stopping: threading.Event
    scrapes: int = 0
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Scrape, and record what is wrong with a response."""
        session = requests.Session()
        for accept, parse in itertools.cycle(FORMATS):
            if self.stopping.wait(SCRAPE_PAUSE):
                return
            try:
                self._scrape(session, accept, parse)
            except (requests.RequestException, ValueError) as error:
                self.faults.append(repr(error))

    def _scrape(
        self, session: requests.Session, accept: str, parse: Callable[[str], Iterator[Metric]]
    ) -> None:
        begun = time.monotonic()
        response = session.get(f"{self.url}/metrics", headers={"Accept": accept}, timeout=PATIENCE)
        self.slowest = max(self.slowest, time.monotonic() - begun)
        response.raise_for_status()
        self.scrapes += 1
        if self.scrapes % 50 == 0:
            list(parse(response.text))
            session.get(f"{self.url}/", timeout=PATIENCE).raise_for_status()


class Play:
    """Plays cases on the gateway; as a context manager at random."""

    def __init__(self, gateway: Gateway) -> None:
        """Select the cases without TLS."""
        self._gateway = gateway
        self._chance = random.Random(SEED)
        self._cases: Sequence[Case] = [case for case in CASES.values() if not case.https]
        self.played: Counter[str] = Counter()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        """Start to play."""
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        """Stop; the gateway is good again."""
        self._stopping.set()
        self._thread.join(PATIENCE)

    def each_once(self) -> None:
        """Play every case."""
        for case in self._cases:
            self._play(case, FAULT_SECONDS)
            time.sleep(FAULT_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(self._chance.expovariate(1 / GOOD_SECONDS)):
            self._play(self._chance.choice(self._cases), self._chance.expovariate(1 / FAULT_SECONDS))

    def _play(self, case: Case, seconds: float) -> None:
        self.played[case.name] += 1
        self._gateway.become(case.state)
        self._stopping.wait(seconds)
        self._gateway.become(State())


@dataclass(frozen=True)
class Soak:
    """The result."""

    polls: int
    seconds: float
    played: Counter[str]
    outcomes: Counter[str]
    scrapes: int
    slowest: float
    warm: Sample
    end: Sample
    problems: Sequence[str]

    def as_markdown(self) -> str:
        """Return the figures as a table."""
        outcomes = ", ".join(f"{name} {count:,}" for name, count in sorted(self.outcomes.items()) if count)
        missed = max(0, round(self.seconds / INTERVAL) - self.polls)
        rows = (
            ("Polls", f"{self.polls:,} in {self.seconds / 60:.0f} min, one every {INTERVAL:g} s"),
            ("Ticks missed because of long polls", f"{missed:,}"),
            ("Faults played", f"{self.played.total():,} of {len(self.played)} kinds"),
            ("Fetches by outcome", outcomes),
            ("Scrapes", f"{self.scrapes:,}, the slowest {self.slowest * 1000:.0f} ms"),
            ("Memory after each fault once, and at the end", f"{self._pair('memory_mib')} MiB"),
            ("Allocated blocks, at the same times", self._pair("blocks")),
            ("Threads", self._pair("threads")),
            ("Descriptors", self._pair("descriptors")),
        )
        return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])

    def _pair(self, name: str) -> str:
        return f"{getattr(self.warm, name):,.0f} and {getattr(self.end, name):,.0f}"


def soak(polls: int) -> Soak:
    """Run this many polls, and measure what they leave behind."""
    stopping, longest = threading.Event(), PATIENCE + 2 * polls * INTERVAL
    with (
        tempfile.TemporaryDirectory() as folder,
        Gateway() as gateway,
        Receiver() as receiver,
        exporter(
            gateway,
            Path(folder) / "log",
            code=COUNT_BLOCKS,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            BLOCKS=str(blocks := Path(folder) / "blocks"),
            SCRAPE_INTERVAL=f"{INTERVAL:g}",
            STALE_AFTER="30",
        ) as running,
    ):
        play = Play(gateway)
        scrapers = [Scraper(running.url, stopping) for _ in range(SCRAPERS)]
        threads = [threading.Thread(target=scraper.run) for scraper in scrapers]
        running.wait_for_polls(1)
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            # Memory that grows after everything was used once is leaked.
            play.each_once()
            warm = _idle_sample(running, blocks)
            with play:
                wait_until(lambda: _outcomes(running).total() >= 2 * polls, longest, every=0.5)
            seconds, outcomes = time.monotonic() - begun, _outcomes(running)
            end = _idle_sample(running, blocks)
        finally:
            stopping.set()
            for thread in threads:
                thread.join(PATIENCE)
        up = running.value("gatewayz_up")
        code = running.end()
        output = running.log.read_text() + running.log.with_suffix(".stderr").read_text()
    problems = [
        *(fault for scraper in scrapers for fault in scraper.faults),
        *_bugs(output),
        *_growth(warm, end),
        *([] if up == 1 else ["the data did not recover"]),
        *([] if code == 0 else [f"exit code {code}"]),
    ]
    scrapes, slowest = sum(one.scrapes for one in scrapers), max(one.slowest for one in scrapers)
    done = outcomes.total() // 2
    return Soak(done, seconds, play.played, outcomes, scrapes, slowest, warm, end, problems)


def _outcomes(running: Exporter) -> Counter[str]:
    """Return the number of fetches by outcome."""
    found = Counter[str]()
    for (name, labels), value in parsed(running.scrape()).items():
        if name == "gatewayz_exporter_fetches_total":
            found[dict(labels)["outcome"]] += int(value)
    return found


def _idle_sample(running: Exporter, blocks: Path) -> Sample:
    """Measure the exporter after a time without faults."""
    running.wait_for_polls(IDLE_POLLS)
    return Sample.of(running, blocks)


def _bugs(output: str) -> Iterator[str]:
    """Yield the lines that only a bug writes: not a record, or one with a traceback."""
    for line in output.splitlines():
        record = json.loads(line) if line.startswith("{") else {}
        if not record or "exc_info" in record or record.get("outcome") == "internal":
            yield line


def _growth(warm: Sample, end: Sample) -> Iterator[str]:
    for name, limit in MAX_GROWTH.items():
        growth = getattr(end, name) - getattr(warm, name)
        if growth > limit:
            yield f"{name} grew by {growth:,}, more than {limit:,}"
    if end.memory_mib > MAX_MEMORY_MIB:
        yield f"memory is {end.memory_mib:.0f} MiB at the end, more than {MAX_MEMORY_MIB:g}"


@click.command()
@click.option("--polls", default=20_000, show_default=True, help="Number of polls.")
@click.option("--write", type=click.Path(path_type=Path), help="Document for the figures.")
def main(polls: int, write: Path | None) -> None:
    """Soak the exporter, and print what it leaves behind."""
    result = soak(polls)
    click.echo(result.as_markdown())
    for problem in result.problems:
        click.echo(f"Problem: {problem}", err=True)
    if write is not None and not result.problems:
        write_between(write, BEGIN, END, result.as_markdown())
    sys.exit(1 if result.problems else 0)


if __name__ == "__main__":
    main()
