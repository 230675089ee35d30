"""Polls in great numbers, with random faults, scrapers and telemetry, and what is left behind: `make soak`.

The real program polls a gateway ten times a second. The gateway plays one case of the table of faults after
the other, drawn by chance, and is good in between. Figures are told; what is left behind, a bug, or data that
do not come back end it with exit code 1.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import click
import requests
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.faults.cases import CASES, Case
from tests.faults.peer import Gateway, State
from tests.marks import write_between
from tests.otlp import OtlpReceiver
from tests.process import Program, program

BEGIN, END = "<!-- soak: written by `make soak` -->", "<!-- end of the soak -->"
INTERVAL = 0.1
SEED = 20_000
GOOD_SECONDS, FAULT_SECONDS = 1.0, 0.5
"""How long the gateway stays good, and plays one fault, on the average."""
SCRAPERS = 3
SCRAPE_PAUSE = 0.2
MAX_GROWTH = {"blocks": 10_000, "threads": 5, "descriptors": 5}
"""What comes and goes with fetches, scrapes and spans; one block a poll would be twice as many."""
MAX_MEMORY_MIB = 200.0
"""At the end: large fleets leave holes in the interpreter's memory; docker-compose.yml allows 256."""
WITNESS = """
import gc, os, signal, sys
from pathlib import Path
def tell(number, frame):
    gc.collect()
    path = Path(os.environ["WITNESS"])
    path.with_suffix(".new").write_text(str(sys.getallocatedblocks()))
    path.with_suffix(".new").rename(path)
signal.signal(signal.SIGUSR1, tell)
"""
"""Lets the exporter tell, when asked by a signal, how many blocks of memory its objects take."""
REST_FETCHES = 100
"""Without a fault, before the process is looked at."""
PATIENCE = 60.0
FORMATS = (
    ("text/plain;version=0.0.4", parse_text),
    ("application/openmetrics-text;version=1.0.0", parse_openmetrics),
)
FETCHES = "gatewayz_exporter_fetches_total"


@dataclass(frozen=True)
class Sample:
    """What the process holds at one moment."""

    memory_mib: float
    blocks: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int, witness: Path) -> Sample:
        """Ask the system, and the process, which answers in the file `witness`."""
        witness.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR1)
        deadline = time.monotonic() + PATIENCE
        while not witness.exists():
            assert time.monotonic() < deadline, "the process does not answer"
            time.sleep(0.01)
        process = Path(f"/proc/{pid}")
        lines = (process / "status").read_text(encoding="ascii").splitlines()
        values = dict(line.split(":\t", 1) for line in lines)
        memory = int(values["VmRSS"].split()[0]) / 1024
        descriptors = len(list((process / "fd").iterdir()))
        return cls(memory, int(witness.read_text()), int(values["Threads"]), descriptors)


class Receiver(OtlpReceiver):
    """A collector that forgets what it takes: tens of thousands of polls would fill the memory."""

    def _take(self, path: str, body: bytes) -> None:
        super()._take(path, body)
        for kept in (self.asked, self.spans, self.records, self.resources):
            kept.clear()


@dataclass
class Scraper:
    """Asks for the metrics, and now and then for the page, until told to stop."""

    url: str
    stopping: threading.Event
    scrapes: int = 0
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Scrape; what is wrong with an answer is kept."""
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
    """The gateway's part: while it is entered, the gateway is good and plays a case by turns."""

    def __init__(self, gateway: Gateway) -> None:
        """Prepare to let the gateway play."""
        self._gateway = gateway
        self._chance = random.Random(SEED)
        self._cases: Sequence[Case] = [case for case in CASES.values() if not case.https]
        self.played: Counter[str] = Counter()
        self._stopping = threading.Event()

    def __enter__(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be good again."""
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
    """What came of it."""

    polls: int
    seconds: float
    missed: int
    played: Counter[str]
    outcomes: Mapping[str, int]
    scrapes: int
    slowest: float
    warm: Sample
    end: Sample
    problems: Sequence[str]

    def as_markdown(self) -> str:
        """Return the figures as a table."""
        outcomes = ", ".join(f"{name} {count:,}" for name, count in sorted(self.outcomes.items()) if count)
        rows = (
            ("Polls", f"{self.polls:,} in {self.seconds / 60:.0f} min, one every {INTERVAL:g} s"),
            ("Beats missed, by polls that took too long", f"{self.missed:,}"),
            ("Faults played", f"{self.played.total():,} of {len(self.played)} kinds"),
            ("Fetches by outcome", outcomes),
            ("Scrapes", f"{self.scrapes:,}, the slowest {self.slowest * 1000:.0f} ms"),
            ("Memory, after each fault once and at the end", _pair(self.warm, self.end, "memory_mib", "MiB")),
            ("Blocks in use, likewise", _pair(self.warm, self.end, "blocks")),
            ("Threads", _pair(self.warm, self.end, "threads")),
            ("Descriptors", _pair(self.warm, self.end, "descriptors")),
        )
        return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


def _pair(warm: Sample, end: Sample, name: str, unit: str = "") -> str:
    return f"{getattr(warm, name):,.0f} and {getattr(end, name):,.0f} {unit}".strip()


def soak(polls: int) -> Soak:
    """Let so many polls pass, and look at what is left behind."""
    stopping = threading.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        Gateway() as gateway,
        Receiver() as receiver,
        _exporter(gateway, receiver, witness := Path(folder) / "blocks") as running,
    ):
        url, pid = running.url(), running.process.pid
        play = Play(gateway)
        scrapers = [Scraper(url, stopping) for _ in range(SCRAPERS)]
        threads = [threading.Thread(target=scraper.run) for scraper in scrapers]
        _wait_for(url, _all, 1)
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            # What grows after everything has been used once is left behind.
            play.each_once()
            warm = _rested(url, pid, witness, _wait_for(url, _all, 1))
            with play:
                outcomes = _wait_for(url, _all, 2 * polls)
            seconds = time.monotonic() - begun
            end = _rested(url, pid, witness, outcomes)
        finally:
            stopping.set()
            for thread in threads:
                thread.join(PATIENCE)
        up = _values(url, "gatewayz_up")
        code, _ = running.end()
    done = sum(outcomes.values()) // 2
    problems = [
        *(fault for scraper in scrapers for fault in scraper.faults),
        *_bugs(running.output),
        *_growth(warm, end),
        *([] if list(up.values()) == [1.0] else ["the data have not come back"]),
        *([] if code == 0 else [f"exit code {code}"]),
    ]
    return Soak(
        polls=done,
        seconds=seconds,
        missed=max(0, round(seconds / INTERVAL) - done),
        played=play.played,
        outcomes=outcomes,
        scrapes=sum(scraper.scrapes for scraper in scrapers),
        slowest=max(scraper.slowest for scraper in scrapers),
        warm=warm,
        end=end,
        problems=problems,
    )


@contextmanager
def _exporter(gateway: Gateway, receiver: OtlpReceiver, witness: Path) -> Iterator[Program]:
    variables = {
        "GATEWAY_API_URL": f"http://{gateway.address}",
        "ADMIN_KEY": "soaked",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "SCRAPE_INTERVAL": f"{INTERVAL:g}",
        "STALE_AFTER": "30",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "WITNESS": str(witness),
    }
    with program(code=WITNESS, **variables) as running:
        yield running


def _values(url: str, name: str) -> Mapping[str, float]:
    """Return the series of a metric by outcome, added up, or by nothing."""
    values: defaultdict[str, float] = defaultdict(float)
    response = requests.get(f"{url}/metrics", timeout=PATIENCE)
    response.raise_for_status()
    for family in parse_text(response.text):
        for sample in family.samples:
            if sample.name == name:
                values[sample.labels.get("outcome", "")] += sample.value
    return values


def _rested(url: str, pid: int, witness: Path, outcomes: Mapping[str, int]) -> Sample:
    """Return what the process holds after a time without faults."""
    _wait_for(url, _good, outcomes["ok"] + REST_FETCHES)
    return Sample.of(pid, witness)


def _all(outcomes: Mapping[str, int]) -> int:
    return sum(outcomes.values())


def _good(outcomes: Mapping[str, int]) -> int:
    return outcomes["ok"]


def _wait_for(url: str, count: Callable[[Mapping[str, int]], int], enough: float) -> Mapping[str, int]:
    """Wait until so many fetches were counted, and return them by outcome; a standstill is an error."""
    most, since = -1, time.monotonic()
    while True:
        outcomes = {outcome: int(value) for outcome, value in _values(url, FETCHES).items()}
        if count(outcomes) >= enough:
            return outcomes
        if count(outcomes) > most:
            most, since = count(outcomes), time.monotonic()
        assert time.monotonic() - since < PATIENCE, f"no such fetch for {PATIENCE:g} s"
        time.sleep(0.5)


def _bugs(output: Sequence[str]) -> Iterator[str]:
    """Yield the lines that only a bug writes: no record at all, or one with a traceback."""
    for line in output:
        record = json.loads(line) if line.startswith("{") else {}
        if not record or "exc_info" in record or record.get("outcome") == "internal":
            yield line


def _growth(warm: Sample, end: Sample) -> Iterator[str]:
    for name, limit in MAX_GROWTH.items():
        growth = getattr(end, name) - getattr(warm, name)
        if growth > limit:
            yield f"{name} grew by {growth:,}, more than {limit:,}"
    if end.memory_mib > MAX_MEMORY_MIB:
        yield f"{end.memory_mib:.0f} MiB are left, more than {MAX_MEMORY_MIB:g}"


@click.command()
@click.option("--polls", default=20_000, show_default=True, help="Polls to let pass.")
@click.option("--write", type=click.Path(path_type=Path), help="Document that takes the figures.")
def main(polls: int, write: Path | None) -> None:
    """Soak the exporter, and tell what is left behind."""
    result = soak(polls)
    click.echo(result.as_markdown())
    for problem in result.problems:
        click.echo(f"Problem: {problem}", err=True)
    if write is not None and not result.problems:
        write_between(write, BEGIN, END, result.as_markdown())
    sys.exit(1 if result.problems else 0)


if __name__ == "__main__":
    main()
