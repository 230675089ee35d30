"""All contestants publish the same, before anything is measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from urllib3.exceptions import HTTPError

from bench.contestants import Running
from bench.gateway import Gateway
from bench.processes import wait_for_rest
from bench.scrape import Scrape, Scraper, Series, fingerprint, last_update, scrape

FIRST_SECONDS = 120.0
RETRY_SECONDS = 0.002
PASSING = ("gatewayz_provider_metrics_last_update[]",)
"""Series whose values differ from poll to poll, whatever the gateway says."""
SHOWN = 3


class DiffersError(Exception):
    """A contestant does not publish what ours does."""


def first_data(running: Running, seconds: float = FIRST_SECONDS) -> Scrape:
    """Wait until a contestant answers with data, and return that answer."""
    ends = time.monotonic() + seconds
    while True:
        try:
            answer = scrape(running.url)
            if last_update(answer.text):
                return answer
        except HTTPError:
            pass
        if time.monotonic() > ends:
            raise RuntimeError(f"{running.name} has no data:\n{running.log.read_text()}")
        time.sleep(RETRY_SECONDS)


def after(running: Running, date: float, seconds: float = FIRST_SECONDS) -> Scrape:
    """Wait until a contestant publishes a poll that began at or after a Unix time, and return that answer."""
    ends = time.monotonic() + seconds
    scraper = Scraper(running.url)
    while last_update((answer := scraper.scrape()).text) < date:
        if time.monotonic() > ends:
            raise RuntimeError(f"{running.name} has not polled:\n{running.log.read_text()}")
        time.sleep(RETRY_SECONDS)
    scraper.close()
    return answer


def learn_moments(running: Running, gateway: Gateway, moments: int) -> Mapping[int, bytes]:
    """Return the fingerprint of what a contestant publishes at each moment, nothing else going on."""
    known = {}
    for moment in range(moments):
        gateway.show(moment)
        poll = gateway.wait_for_poll(time.time(), FIRST_SECONDS)
        # A scrape that begins before the poll is over may have some of both.
        wait_for_rest(running.pid)
        known[moment] = fingerprint(after(running, poll).text)
    return known


def compare(expected: Series, actual: Series, name: str) -> None:
    """Tell what is not the same.

    Raises:
        DiffersError: With the first few differences.
    """
    differences = list(_differences(expected, actual))
    if differences:
        shown = "\n".join(differences[:SHOWN])
        raise DiffersError(f"{name} differs from ours in {len(differences)} series, such as\n{shown}")


def strangers(answers: Sequence[Scrape], known: Mapping[int, bytes]) -> int:
    """Return how many answers are none of the known moments: torn, or short of series."""
    good = set(known.values())
    # Thousands may share one body.
    bodies = {id(answer.body): answer for answer in answers}
    torn = {key for key, answer in bodies.items() if fingerprint(answer.text) not in good}
    return sum(id(answer.body) in torn for answer in answers)


def _differences(expected: Series, actual: Series) -> Iterator[str]:
    for key in sorted(expected.keys() | actual.keys()):
        here, there = expected.get(key), actual.get(key)
        if (here is None) is not (there is None) or (key not in PASSING and here != there):
            yield f"{key}: {here} in ours, {there} there"
