"""What is measured of one contestant at one size, each bounded in time and count."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.check import after, first_data, strangers
from bench.contestants import Running
from bench.gateway import Gateway
from bench.processes import cpu_seconds, memory, wait_for_rest
from bench.scrape import AS_PROMETHEUS, ASKS, Ask, Scrape, Scraper, crowd, last_update, scrape

Figures = Mapping[str, float]
"""By name: seconds, bytes, MiB, or counts."""

WRK_SCRIPT = Path(__file__).parent / "wrk.lua"
WRK_SECONDS, WRK_SCRAPES = 1.0, 12
"""As long as this, or as so many scrapes take one after the other, if that is longer."""
CONNECTIONS = (1, 8)
SLOW_SECONDS = 0.25
"""Whose scrape takes longer is counted scrape by scrape: wrk would leave most of them half done."""
COUNTED_SCRAPES, COUNTED_SECONDS, FEWEST = 200, 1.0, 3
MEMORY_SCRAPES, MEMORY_SECONDS = 50, 5.0
CROWD, CROWD_SCRAPES, CROWD_SECONDS = 8, 500, 4.0
POLLS, POLLS_SECONDS = 2, 3.0
"""So many, or as many as there are in this time, if that is more."""
CPU_SECONDS = 15.0
"""The same for the time on CPU: that of a few short polls differs by a fifth from run to run."""
PAUSE_SECONDS = 0.002
LONGEST_SECONDS = 120.0
LEAST_INTERVAL, REST_FACTOR = 0.5, 3
IDLE_SECONDS = 3.0
START, IDLE = "start", "cpu at rest"


def interval_for(scrape_seconds: float) -> float:
    """Return the seconds from poll to poll that leave rest to all, the slowest scrape being this long."""
    return max(LEAST_INTERVAL, REST_FACTOR * scrape_seconds)


def at_rest(running: Running, begun: float) -> Iterator[tuple[str, float]]:
    """Measure scrapes of a contestant that does not poll meanwhile; `begun` is when it was started."""
    first_data(running)
    yield START, time.monotonic() - begun
    wait_for_rest(running.pid)
    before = cpu_seconds(running.pid)
    time.sleep(IDLE_SECONDS)
    yield IDLE, (cpu_seconds(running.pid) - before) / IDLE_SECONDS
    yield from scrapes(running)


def scrapes(running: Running) -> Iterator[tuple[str, float]]:
    """Measure scrapes in each format, plain and with gzip, with one connection and with more."""
    for ask in ASKS:
        # The first may have to be encoded, as it is after a start alone.
        scrape(running.url, ask)
        single, cpu, answers = _counted(running, ask)
        yield f"cpu {ask}", cpu
        yield f"bytes {ask}", len(answers[-1].body)
        for connections in CONNECTIONS:
            yield from _load(running, ask, connections, single, answers)
            # wrk leaves without its last answers, which are still being made.
            wait_for_rest(running.pid)


def while_polling(
    running: Running, gateway: Gateway, interval: float, known: Mapping[int, bytes]
) -> Iterator[tuple[str, float]]:
    """Measure a contestant that polls, while the gateway shows one moment after the other."""
    after(running, gateway.wait_for_poll(time.time(), LONGEST_SECONDS))
    with gateway.turning(len(known), interval):
        yield "cpu poll and scrape", _poll_and_scrape(running, gateway, interval)
        during = _during_polls(running, gateway, interval)
        yield "scrapes during polls", len(during)
        yield "p99 during polls", _percentile(during, 99)
        yield from differing(running, interval, known)
    yield from _memory(running)


def polls_alone(
    running: Running, gateway: Gateway, interval: float, moments: int
) -> Iterator[tuple[str, float]]:
    """Measure what polls cost, and nothing else."""
    with gateway.turning(moments, interval):
        yield "cpu poll and scrape", _poll_and_scrape(running, gateway, interval)
    yield from _memory(running)


def differing(running: Running, interval: float, known: Mapping[int, bytes]) -> Iterator[tuple[str, float]]:
    """Count bodies that are of no moment of the gateway, under several scrapers, polls included."""
    answers = crowd(running.url, CROWD, CROWD_SCRAPES, max(CROWD_SECONDS, POLLS * interval))
    yield "bodies", len(answers)
    yield "differing bodies", strangers(answers, known)


def _memory(running: Running) -> Iterator[tuple[str, float]]:
    ends = time.monotonic() + MEMORY_SECONDS
    with closing(Scraper(running.url)) as scraper:
        for _ in range(MEMORY_SCRAPES):
            scraper.scrape()
            if time.monotonic() > ends:
                break
    held = memory(running.pid)
    yield "resident", held.resident
    yield "peak", held.peak


def _counted(running: Running, ask: Ask) -> tuple[float, float, Sequence[Scrape]]:
    """Scrape one after the other; return the time of one, the time on CPU of one, and the answers."""
    with closing(Scraper(running.url, ask)) as scraper:
        answers = [scraper.scrape()]
        before, ends = cpu_seconds(running.pid), time.monotonic() + COUNTED_SECONDS
        while len(answers) <= FEWEST or (len(answers) <= COUNTED_SCRAPES and time.monotonic() < ends):
            answers.append(scraper.scrape())
        cpu = (cpu_seconds(running.pid) - before) / (len(answers) - 1)
    return statistics.median(answer.seconds for answer in answers), cpu, answers


def _load(
    running: Running, ask: Ask, connections: int, single: float, counted: Sequence[Scrape]
) -> Iterator[tuple[str, float]]:
    """Measure rate and latency with so many connections that are kept."""
    name = f"{connections} {ask}"
    if single < SLOW_SECONDS:
        load = _wrk(running.url, ask, connections, max(WRK_SECONDS, WRK_SCRAPES * single))
    elif connections == 1:
        load = Load.of(counted, sum(answer.seconds for answer in counted))
    elif ask == AS_PROMETHEUS:
        begun = time.monotonic()
        answers = crowd(running.url, connections, connections, 0)
        load = Load.of(answers, time.monotonic() - begun)
    else:
        return
    yield f"rate {name}", load.rate
    yield f"p50 {name}", load.p50
    yield f"p99 {name}", load.p99


@dataclass(frozen=True)
class Load:
    """Scrapes a second, and seconds of a scrape."""

    rate: float
    p50: float
    p99: float

    @classmethod
    def of(cls, answers: Sequence[Scrape], seconds: float) -> Load:
        """Return what came of these answers."""
        latencies = [answer.seconds for answer in answers]
        return cls(len(answers) / seconds, statistics.median(latencies), _percentile(latencies, 99))


def _wrk(url: str, ask: Ask, connections: int, seconds: float) -> Load:
    headers = [part for name, value in ask.headers.items() for part in ("--header", f"{name}: {value}")]
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={math.ceil(seconds)}s"]
    command += ["--timeout=60s", f"--script={WRK_SCRIPT}", *headers, f"{url}/metrics"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    result = json.loads(output.split("RESULT ", 1)[1])
    if result["errors"]:
        raise RuntimeError(f"scrapes failed:\n{output}")
    return Load(result["requests"] / result["seconds"], result["p50"], result["p99"])


def _poll_and_scrape(running: Running, gateway: Gateway, interval: float) -> float:
    """Return the time on CPU of one poll with one scrape after it, as seen over some of them."""
    enough = max(POLLS, round(CPU_SECONDS / interval))
    with closing(Scraper(running.url)) as scraper:
        # What the next poll has to prepare.
        scraper.scrape()
        gateway.wait_for_poll(time.time(), LONGEST_SECONDS)
        wait_for_rest(running.pid)
        since, before = time.time(), cpu_seconds(running.pid)
        scrapes = polls = 0
        while scrapes < polls or polls < enough:
            if scrapes == polls:
                gateway.wait_for_poll(time.time(), LONGEST_SECONDS)
                wait_for_rest(running.pid)
            scraper.scrape()
            scrapes += 1
            wait_for_rest(running.pid)
            # A slow scrape may have seen more than one.
            cpu, polls = cpu_seconds(running.pid) - before, len(gateway.polls(since))
        return cpu / polls


def _during_polls(running: Running, gateway: Gateway, interval: float) -> Sequence[float]:
    """Return the seconds of those scrapes that had to do with a poll.

    A poll runs from the request for the list until its data are published: from there on until the first
    answer with a later time of the last poll.
    """
    since, ends = time.time(), time.monotonic() + max(POLLS * interval, POLLS_SECONDS)
    answers: list[tuple[float, float, float]] = []
    updates: dict[bytes, float] = {}
    with closing(Scraper(running.url)) as scraper:
        while time.monotonic() < ends:
            answer = scraper.scrape()
            if answer.body not in updates:
                updates = {answer.body: last_update(answer.text)}
            answers.append((answer.begun + answer.seconds, answer.seconds, updates[answer.body]))
            time.sleep(PAUSE_SECONDS)
    during: list[float] = []
    for poll in gateway.polls(since):
        for ended, seconds, update in answers:
            if ended >= poll:
                during.append(seconds)
                if update >= poll:
                    break
    return during


def _percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0
