"""Measurements of one contestant at one size, limited in time and number."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.check import after, first_data, torn
from bench.contestants import Running
from bench.fleet import Moment
from bench.gateway import Gateway
from bench.processes import cpu_seconds, memory, wait_for_rest
from bench.scrape import AS_PROMETHEUS, ASKS, Ask, Scrape, Scraper, crowd, last_update, scrape

Figures = Mapping[str, float]
"""By name: seconds, bytes, MiB, or counts."""

WRK_SCRIPT = Path(__file__).parent / "wrk.lua"
WRK_SECONDS, WRK_SCRAPES = 1.0, 12
"""Duration of a load test: seconds, or the time of so many successive scrapes if that is longer."""
CONNECTIONS = (1, 8)
SLOW_SECONDS = 0.25
"""Slower scrapes are measured one by one: wrk would end before most of them."""
COUNTED_SCRAPES, COUNTED_SECONDS, FEWEST = 200, 1.0, 3
MEMORY_SCRAPES, MEMORY_SECONDS = 50, 5.0
CROWD, CROWD_SCRAPES, CROWD_SECONDS = 8, 500, 4.0
POLLS, POLLS_SECONDS = 2, 3.0
"""Number of polls, or those within this time if there are more."""
CPU_POLLS, CPU_SECONDS = 4, 10.0
"""The same for CPU time, which differs by 20 % between runs of few short polls."""
PAUSE_SECONDS = 0.002
LONGEST_SECONDS = 120.0
LEAST_INTERVAL, REST_FACTOR = 0.5, 3
IDLE_SECONDS = 3.0
START, IDLE = "start", "cpu at rest"
POLL: Mapping[Moment, str] = {
    Moment.BUSY: "cpu poll and scrape",
    Moment.CHECKED: "cpu poll and scrape, checked",
    Moment.CHANGED: "cpu poll and scrape, changed",
}
"""CPU of a poll and a scrape, by the moment that alternates with the first one."""


def interval_for(scrape_seconds: float) -> float:
    """Return a poll interval that leaves idle time, from the seconds of the slowest scrape."""
    return max(LEAST_INTERVAL, REST_FACTOR * scrape_seconds)


def at_rest(running: Running, begun: float) -> Iterator[tuple[str, float]]:
    """Measure scrapes of an idle contestant; `begun` is the monotonic time of its start."""
    first_data(running)
    yield START, time.monotonic() - begun
    wait_for_rest(running.pid)
    before = cpu_seconds(running.pid)
    time.sleep(IDLE_SECONDS)
    yield IDLE, (cpu_seconds(running.pid) - before) / IDLE_SECONDS
    yield from scrapes(running)


def scrapes(running: Running) -> Iterator[tuple[str, float]]:
    """Measure scrapes in each format, plain and with gzip, with one and several connections."""
    for ask in ASKS:
        # The first scrape after the start can include encoding.
        scrape(running.url, ask)
        single, cpu, answers = _counted(running, ask)
        yield f"cpu {ask}", cpu
        yield f"bytes {ask}", len(answers[-1].body)
        for connections in CONNECTIONS:
            yield from _load(running, ask, connections, single, answers)
            # The server still handles the last requests of wrk.
            wait_for_rest(running.pid)


def while_polling(
    running: Running, gateway: Gateway, interval: float, known: Mapping[Moment, bytes]
) -> Iterator[tuple[str, float]]:
    """Measure a contestant that polls a gateway whose data change."""
    after(running, gateway.wait_for_poll(time.time(), LONGEST_SECONDS))
    yield from polls(running, gateway, interval, (Moment.CHECKED, Moment.CHANGED))
    yield from polls(running, gateway, interval, (Moment.BUSY,))
    with gateway.alternating(Moment.BUSY, interval):
        during = _during_polls(running, gateway, interval)
        yield "scrapes during polls", len(during)
        yield "p99 during polls", _percentile(during, 99)
        yield from differing(running, interval, known)
    yield from memory_after_scrapes(running)


def polls(
    running: Running, gateway: Gateway, interval: float, moments: Iterable[Moment]
) -> Iterator[tuple[str, float]]:
    """Measure the CPU of a poll and a scrape, while the first moment alternates with each of `moments`."""
    for moment in moments:
        # A change of health counts for a twentieth.
        seconds = CPU_SECONDS / 2 if moment is Moment.CHANGED else CPU_SECONDS
        with gateway.alternating(moment, interval):
            yield POLL[moment], _poll_and_scrape(running, gateway, interval, seconds)


def differing(
    running: Running, interval: float, known: Mapping[Moment, bytes]
) -> Iterator[tuple[str, float]]:
    """Count bodies that match no moment of the gateway, under load of several scrapers during polls."""
    answers = crowd(running.url, CROWD, CROWD_SCRAPES, max(CROWD_SECONDS, POLLS * interval))
    yield "bodies", len(answers)
    yield "differing bodies", torn(answers, known)


def memory_after_scrapes(running: Running) -> Iterator[tuple[str, float]]:
    """Measure the memory after some scrapes."""
    ends = time.monotonic() + MEMORY_SECONDS
    with closing(Scraper(running.url)) as scraper:
        for _ in range(MEMORY_SCRAPES):
            scraper.scrape()
            if time.monotonic() > ends:
                break
    used = memory(running.pid)
    yield "resident", used.resident
    yield "peak", used.peak


def _counted(running: Running, ask: Ask) -> tuple[float, float, Sequence[Scrape]]:
    """Scrape successively; return the median time and the mean CPU time of a scrape, and the scrapes."""
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
    """Measure rate and latency with persistent connections."""
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
    """Scrapes per second, and percentiles of the seconds of a scrape."""

    rate: float
    p50: float
    p99: float

    @classmethod
    def of(cls, answers: Sequence[Scrape], seconds: float) -> Load:
        """Return the load of these scrapes."""
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


def _poll_and_scrape(running: Running, gateway: Gateway, interval: float, seconds: float) -> float:
    """Return the mean CPU time of a poll with a scrape after it, over so many seconds."""
    enough = max(CPU_POLLS, round(seconds / interval))
    with closing(Scraper(running.url)) as scraper:
        # The next poll prepares this format.
        scraper.scrape()
        gateway.wait_for_poll(time.time(), LONGEST_SECONDS)
        wait_for_rest(running.pid)
        since, before = time.time(), cpu_seconds(running.pid)
        scraped = polled = 0
        while scraped < polled or polled < enough:
            if scraped == polled:
                gateway.wait_for_poll(time.time(), LONGEST_SECONDS)
                wait_for_rest(running.pid)
            scraper.scrape()
            scraped += 1
            wait_for_rest(running.pid)
            # A slow scrape can span several polls.
            cpu, polled = cpu_seconds(running.pid) - before, len(gateway.polls(since))
        return cpu / polled


def _during_polls(running: Running, gateway: Gateway, interval: float) -> Sequence[float]:
    """Return the seconds of the scrapes during polls.

    A poll lasts from the request for the list to the first scrape with a later time of the last poll.
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
