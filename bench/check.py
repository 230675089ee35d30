"""Checks that all contestants publish the same."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from urllib3.exceptions import HTTPError

from bench.contestants import Running
from bench.fleet import Moment
from bench.gateway import Gateway
from bench.processes import wait_for_rest
from bench.scrape import Scrape, Scraper, Series, fingerprint, last_update, scrape

FIRST_SECONDS = 120.0
RETRY_SECONDS = 0.002
CHANGING = ("gatewayz_provider_metrics_last_update[]",)
"""Series whose values change with each poll."""
MAX_SHOWN = 3


class DiffersError(Exception):
    """A contestant publishes other series or values than the exporter."""


def first_data(running: Running, seconds: float = FIRST_SECONDS) -> Scrape:
    """Wait for the first scrape with data, and return it."""
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
    """Wait for a scrape with data of a poll that began at or after a Unix time, and return it."""
    ends = time.monotonic() + seconds
    scraper = Scraper(running.url)
    while last_update((answer := scraper.scrape()).text) < date:
        if time.monotonic() > ends:
            raise RuntimeError(f"{running.name} has not polled:\n{running.log.read_text()}")
        time.sleep(RETRY_SECONDS)
    scraper.close()
    return answer


def learn_moments(running: Running, gateway: Gateway, moments: Sequence[Moment]) -> Mapping[Moment, bytes]:
    """Return the fingerprint of a contestant's data at each moment, without other load."""
    known = {}
    for moment in moments:
        gateway.show(moment)
        poll = gateway.wait_for_poll(time.time(), FIRST_SECONDS)
        # A scrape during the poll can contain data of two moments.
        wait_for_rest(running.pid)
        known[moment] = fingerprint(after(running, poll).text)
    return known


def compare(expected: Series, actual: Series, name: str) -> None:
    """Compare series.

    Raises:
        DiffersError: With the first differences.
    """
    differences = list(_differences(expected, actual))
    if differences:
        shown = "\n".join(differences[:MAX_SHOWN])
        raise DiffersError(f"{name} differs from ours in {len(differences)} series, such as\n{shown}")


def torn(answers: Sequence[Scrape], known: Mapping[Moment, bytes]) -> int:
    """Return the number of scrapes that match no known moment: mixed or incomplete data."""
    good = set(known.values())
    # Many scrapes share one body.
    bodies = {id(answer.body): answer for answer in answers}
    differing = {key for key, answer in bodies.items() if fingerprint(answer.text) not in good}
    return sum(id(answer.body) in differing for answer in answers)


def _differences(expected: Series, actual: Series) -> Iterator[str]:
    for key in sorted(expected.keys() | actual.keys()):
        here, there = expected.get(key), actual.get(key)
        if (here is None) is not (there is None) or (key not in CHANGING and here != there):
            yield f"{key}: {here} in ours, {there} there"
