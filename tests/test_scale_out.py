"""The figures of docs/deployment/scale-out.md are those of real bodies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml

from bench.fleet import fleet
from tests.process import program
from tests.promql import RULE_FILES
from tests.replay import LIST, LIST_NO_SLASH, STATS, ReplayGateway

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "deployment" / "scale-out.md").read_text(encoding="utf-8")
SIZES = (100, 1_000, 10_000)
INTERVAL, DAY = 60, 86_400
BYTES_A_SAMPLE, RETENTION_DAYS = 1.5, 15
CLOSE = 0.02
"""Part by which a figure of the page may differ: times and process metrics have other digits in each run."""
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}
PER_PROVIDER = re.compile(r"provider:")


@dataclass(frozen=True)
class Bodies:
    """What passes at one poll and one scrape; lengths in bytes."""

    list_length: int
    series: int
    scrape: int
    compressed: int


def answer(body: bytes) -> bytes:
    """Return a body as an answer of the gateway."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def measured(size: int) -> Bodies:
    """Let the exporter poll a fleet, and scrape it as Prometheus does."""
    documents = fleet(size)[0]
    providers, stats = answer(documents.providers), answer(documents.stats)
    gateway = ReplayGateway({LIST_NO_SLASH: providers, LIST: providers, STATS: stats})
    settings = {"ADMIN_KEY": "test-admin-key", "METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
    with gateway, program(GATEWAY_API_URL=gateway.url, SCRAPE_INTERVAL="300", **settings) as running:
        address = f"{running.url()}/metrics"
        running.record("Updated provider metrics", 60)
        plain = requests.get(address, headers={**OPENMETRICS, "Accept-Encoding": "identity"}, timeout=30)
        packed = requests.get(
            address, headers={**OPENMETRICS, "Accept-Encoding": "gzip"}, timeout=30, stream=True
        )
        compressed = packed.raw.read(decode_content=False)
    series = [line for line in plain.text.splitlines() if not line.startswith("#")]
    return Bodies(len(documents.providers), len(series), len(plain.content), len(compressed))


def row(title: str) -> list[float]:
    """Return the figures of a row of the page's table."""
    (cells,) = re.findall(rf"^\| {re.escape(title)} \|(.*)\|$", PAGE, re.MULTILINE)
    return [float(cell.replace(",", "")) for cell in cells.split("|")]


def recorded_samples() -> tuple[int, float]:
    """Return how many series the rules record of an active provider, and how many samples of it a second."""
    groups = [
        group for file in RULE_FILES for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    ]
    seconds = {group["name"]: int(group.get("interval", "30s").removesuffix("s")) for group in groups}
    of_each = [
        seconds[group["name"]]
        for group in groups
        for rule in group["rules"]
        if PER_PROVIDER.match(rule.get("record", ""))
    ]
    return len(of_each), sum(1 / interval for interval in of_each)


@pytest.mark.parametrize(("place", "size"), list(enumerate(SIZES)))
def test_figures(place: int, size: int) -> None:
    """The table's column is what was measured, and what follows from that."""
    bodies = measured(size)
    recorded, samples = recorded_samples()
    a_second = bodies.series / INTERVAL + size * samples

    expected = {
        "Requests to the gateway, a day": 2 * DAY / INTERVAL,
        "Its list, KiB": bodies.list_length / 1024,
        "Series of a scrape": bodies.series,
        "A scrape, KiB": bodies.scrape / 1024,
        "The same with gzip, as Prometheus asks, KiB": bodies.compressed / 1024,
        "Series with those of the rules": bodies.series + size * recorded,
        "Samples a second": a_second,
        "15 days in Prometheus, GB": a_second * DAY * RETENTION_DAYS * BYTES_A_SAMPLE / 1e9,
    }
    assert expected == {title: pytest.approx(row(title)[place], rel=CLOSE, abs=0.006) for title in expected}
