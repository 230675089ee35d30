"""The command: `python -m bench`."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from bench import large, nginx, page, report, telemetry
from bench.check import compare, first_data, learn_moments
from bench.contestants import CONTESTANTS, OURS, PAUSED, start, start_limit
from bench.fleet import Moment, fleet
from bench.gateway import Gateway, gateway
from bench.measure import at_rest, differing, interval_for, scrapes, while_polling
from bench.processes import memory
from bench.report import Results
from bench.scrape import ASKS, TEXT, Ask, Series, scrape, series
from generate.marks import write_between

BEGIN, END = "<!-- bench: written by `make bench` -->", "<!-- end of the bench -->"
BEGIN_LARGE, END_LARGE = "<!-- bench of large fleets -->", "<!-- end of the bench of large fleets -->"
SIZES = (30, 1_000, 10_000)
PROGRAMS = {"nginx": "nginx-light", "wrk": "wrk"}
"""Required programs, and their Debian packages."""

BEGIN_PAGE, END_PAGE = "<!-- bench of the status page -->", "<!-- end of the bench of the status page -->"

Moments = Mapping[Moment, bytes]


@click.command()
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(min=10),
    multiple=True,
    default=SIZES,
    show_default=True,
    help="Number of providers.",
)
@click.option("--rounds", default=3, show_default=True, help="Number of rounds.")
@click.option("--large", "is_large", is_flag=True, help="Measure very large fleets instead.")
@click.option("--page", "is_page", is_flag=True, help="Measure the status page instead.")
@click.option("--write", type=click.Path(path_type=Path), help="Document to write the report into.")
def main(sizes: Sequence[int], rounds: int, is_large: bool, is_page: bool, write: Path | None) -> None:
    """Measure the exporter and others, and print the report."""
    needed = {} if is_page else PROGRAMS
    missing = [package for program, package in needed.items() if shutil.which(program) is None]
    if missing:
        click.echo(f"bench: programs are missing: apt-get install {' '.join(missing)}", err=True)
        sys.exit(2)
    # SIGTERM also ends the child processes.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        if is_large:
            text, marks = large.report_on(Path(name)), (BEGIN_LARGE, END_LARGE)
        elif is_page:
            text, marks = page.report_on(), (BEGIN_PAGE, END_PAGE)
        else:
            text, marks = _report(Path(name), sizes, rounds), (BEGIN, END)
    click.echo(text)
    if write is not None:
        write_between(write, *marks, text)


def _report(folder: Path, sizes: Sequence[int], rounds: int) -> str:
    results = Results()
    begun = time.monotonic()
    for size in sizes:
        _say(begun, f"{size} providers")
        _measure(results, folder / str(size), size, rounds, begun)
    _say(begun, "done")
    command = " ".join(["python -m bench", *(f"--size {size}" for size in sizes), f"--rounds {rounds}"])
    return f"{report.as_markdown(results, command, nginx.version())}\n\n{telemetry.as_markdown(results)}"


def _measure(results: Results, folder: Path, size: int, rounds: int, begun: float) -> None:
    moments = fleet(size)
    with gateway(folder / "gateway", moments) as running_gateway:
        slowest, bodies = _check(running_gateway, folder)
        interval = interval_for(slowest)
        known = _learn(running_gateway, folder, interval)
        for number in range(1, rounds + 1):
            results.note_load()
            for contestant in CONTESTANTS:
                _say(begun, f"round {number}: {contestant.name}")
                started = time.monotonic()
                with start(contestant, running_gateway.url, folder) as running:
                    results.add(size, contestant.name, dict(at_rest(running, started)))
                with start(contestant, running_gateway.url, folder, interval) as running:
                    first_data(running)
                    mine = known[contestant.name]
                    results.add(
                        size, contestant.name, dict(while_polling(running, running_gateway, interval, mine))
                    )
            _say(begun, f"round {number}: limit")
            with start_limit(folder / "limit", bodies) as running:
                results.add(size, running.name, dict(scrapes(running)))
                results.add(size, running.name, {"resident": memory(running.pid).resident})
            _say(begun, f"round {number}: traces and logs")
            telemetry.measure(results, size, running_gateway, interval, folder, number == 1)
        for contestant, paused in zip(CONTESTANTS, PAUSED, strict=False):
            _say(begun, paused.name)
            # A moment that is left from the measurements before would count as differing.
            running_gateway.show(Moment.FIRST)
            with (
                start(paused, running_gateway.url, folder, interval) as running,
                running_gateway.alternating(Moment.BUSY, interval),
            ):
                first_data(running)
                results.add(size, paused.name, dict(differing(running, interval, known[contestant.name])))


def _check(running_gateway: Gateway, folder: Path) -> tuple[float, Mapping[Ask, bytes]]:
    """Check that all publish the same; return the seconds of the slowest scrape, and our bodies."""
    published: dict[str, Series] = {}
    bodies: dict[Ask, bytes] = {}
    slowest = 0.0
    for contestant in CONTESTANTS:
        with start(contestant, running_gateway.url, folder) as running:
            first_data(running)
            slowest = max(slowest, scrape(running.url).seconds)
            published[running.name] = series(scrape(running.url, TEXT).text)
            compare(published[OURS], published[running.name], running.name)
            bodies = bodies or {ask: scrape(running.url, ask).body for ask in ASKS}
    return slowest, bodies


def _learn(running_gateway: Gateway, folder: Path, interval: float) -> Mapping[str, Moments]:
    """Return the fingerprints of all contestants at each moment of the busy feed."""
    known: dict[str, Moments] = {}
    for contestant in CONTESTANTS:
        with start(contestant, running_gateway.url, folder, interval) as running:
            first_data(running)
            known[running.name] = learn_moments(running, running_gateway, (Moment.FIRST, Moment.BUSY))
    return known


def _say(begun: float, text: str) -> None:
    click.echo(f"{time.monotonic() - begun:6.0f} s  {text}", err=True)


if __name__ == "__main__":
    main()
