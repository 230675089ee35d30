"""The table of sizes in docs/deployment/scale-out.md: measured figures, and others computed from them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import requests
import yaml

from bench.fleet import Moment, fleet
from tests.process import program
from tests.promql import RULE_FILES
from tests.replay import LIST_NO_SLASH, STATS, ReplayGateway, answer
from tests.verify.docs.pages import read

PAGE = "docs/deployment/scale-out.md"
SIZES = (100, 1_000, 10_000)
INTERVAL, DAY = 60, 86_400
BYTES_PER_SAMPLE, RETENTION_DAYS = 1.5, 35
UNITS = {"s": 1, "m": 60}
SCRAPE, COMPRESSED = "Scrape, KiB", "Scrape with gzip, as Prometheus requests it, KiB"
CLOSE = 0.02
"""Relative difference up to which the page keeps the size of a scrape, which differs from run to run."""
AS_PROMETHEUS = {"Accept": "application/openmetrics-text;version=1.0.0"}


@dataclass(frozen=True)
class Sizes:
    """Sizes of one poll and one scrape in bytes, and the number of series."""

    list_length: int
    series: int
    scrape: int
    compressed: int


def table() -> str:
    """Return the table, measured with a running exporter."""
    old = columns_on_page()
    columns = [_column(size, old[size]) for size in SIZES]
    rows = [["Providers", *(f"{size:,}" for size in SIZES)]]
    rows += [[title, *(column[title] for column in columns)] for title in columns[0]]
    head, *lines = (f"| {' | '.join(cells)} |" for cells in rows)
    return "\n".join([head, "|---|---|---|---|", *lines])


def _column(size: int, old: Mapping[str, str]) -> Mapping[str, str]:
    """Return the figures for a number of providers by title."""
    sizes, (rule_series, rule_samples) = _measure(size), recorded()
    samples = sizes.series / INTERVAL + size * rule_samples
    figures = {
        "Requests to the gateway per day": 2 * DAY / INTERVAL,
        "List, KiB": sizes.list_length / 1024,
        "All lists per day, GB": sizes.list_length * DAY / INTERVAL / 1e9,
        "Series of a scrape": sizes.series,
        SCRAPE: sizes.scrape / 1024,
        COMPRESSED: sizes.compressed / 1024,
        "Series including recording rules": sizes.series + size * rule_series,
        "Samples per second": samples,
        f"{RETENTION_DAYS} days in Prometheus, GB": samples * DAY * RETENTION_DAYS * BYTES_PER_SAMPLE / 1e9,
    }
    column = {title: _figure(value) for title, value in figures.items()}
    for title in (SCRAPE, COMPRESSED):
        before = float(old[title].replace(",", ""))
        if math.isclose(before, figures[title], rel_tol=CLOSE):
            column[title] = old[title]
    return column


def _figure(value: float) -> str:
    """Return a number with at least two significant digits."""
    return f"{value:,.{max(0, 1 - math.floor(math.log10(value)))}f}"


def columns_on_page() -> Mapping[int, Mapping[str, str]]:
    """Return the figures on the page by number of providers and title."""
    rows = re.findall(r"^\| (\w[^|]*) \|(.*)\|$", read(PAGE).split("\n## ")[1], re.MULTILINE)
    return {
        size: {title: cells.split("|")[place].strip() for title, cells in rows}
        for place, size in enumerate(SIZES)
    }


def _measure(size: int) -> Sizes:
    """Let the exporter poll a fleet, and scrape it like Prometheus."""
    settings = {"ADMIN_KEY": "test-admin-key", "METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
    with fleet_gateway(size) as gateway, program(GATEWAY_API_URL=gateway.url, **settings) as running:
        address = f"{running.url()}/metrics"
        running.record("Updated provider metrics", 60)
        plain, packed = (
            requests.get(address, headers={**AS_PROMETHEUS, "Accept-Encoding": coding}, timeout=30)
            for coding in ("identity", "gzip")
        )
    series = [line for line in plain.text.splitlines() if not line.startswith("#")]
    compressed = int(packed.headers["Content-Length"])
    return Sizes(len(fleet(size)[Moment.FIRST].providers), len(series), len(plain.content), compressed)


def fleet_gateway(size: int) -> ReplayGateway:
    """Return a gateway with a fleet."""
    moment = fleet(size)[Moment.FIRST]
    bodies = {LIST_NO_SLASH: moment.providers, STATS: moment.stats}
    return ReplayGateway(
        {path: answer(200, body, content_type="application/json") for path, body in bodies.items()}
    )


def recorded() -> tuple[int, float]:
    """Return how many series the rules record of an active provider, and the samples of them a second.

    Rules that record nothing without an objective do not count.
    """
    groups = [
        group for file in RULE_FILES for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    ]
    intervals = [
        seconds(group["interval"])
        for group in groups
        for rule in group["rules"]
        if rule.get("record", "").startswith("job_provider:")
        and "gatewayz_uptime_objective" not in rule["expr"]
    ]
    return len(intervals), sum(1 / interval for interval in intervals)


def seconds(interval: str) -> int:
    """Return the seconds of an interval of rules."""
    return int(interval[:-1]) * UNITS[interval[-1]]
