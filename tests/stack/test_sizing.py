"""The sizes on the page are those that a real Prometheus reports."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
import yaml

from bench.fleet import CHECKED_SHARE, Moment, fleet
from generate import sizing
from tests.process import Program, program
from tests.promql import RULE_FILES
from tests.replay import LIST_NO_SLASH, STATS, ReplayGateway, answer
from tests.stack import servers
from tests.stack.chain import OWN
from tests.stack.day import NO_TARGETS
from tests.stack.exposition import exposed
from tests.stack.servers import Programs, Server, run
from tests.stack.substitution import shortened_rules
from tests.waiting import wait_until

RECORDED_SECONDS = 600.0
"""Ten times what two idle processors need for 10,000 providers."""
RECORDED = 'count(count by (__name__) ({__name__=~"job_provider:.+"}))'
GROUP_SAMPLES = "prometheus_rule_group_last_evaluation_samples"
COMPUTED = ("Series including recording rules", "Samples per second")
REPORTED = ("Series reported", "Samples per second reported")
"""Rows of the two tables."""
ALERTS = 0.06
"""Share that alerts add, which the table does not count: an eighth of the fleet is down."""
CHANGING = ("response_time_ms", "last_health_check_timestamp_seconds")
"""Endings of the gauges that change with a health check of their provider."""
OWN_MEASUREMENTS = ("process_", "gatewayz_exporter_fetch_duration", "gatewayz_exporter_poll_")
"""Beginnings of series of the exporter itself that change all the time."""


class Figures(NamedTuple):
    """What Prometheus reports about one exporter and the rules."""

    series: float
    samples_per_second: float


def exporter(gateway: ReplayGateway) -> AbstractContextManager[Program]:
    """Return an exporter at the project's interval."""
    return program(GATEWAY_API_URL=gateway.url, **OWN)


def all_active(size: int) -> ReplayGateway:
    """Return a gateway with a fleet of active providers only, as the page assumes."""
    moment = fleet(size)[Moment.FIRST]
    active = moment.providers.replace(b'"is_active":false', b'"is_active":true')
    bodies = {LIST_NO_SLASH: active, STATS: moment.stats}
    return ReplayGateway(
        {path: answer(200, body, content_type="application/json") for path, body in bodies.items()}
    )


def intervals() -> dict[str, int]:
    """Return the seconds between two evaluations by group of rules."""
    groups = [
        group for file in RULE_FILES for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    ]
    return {group["name"]: sizing.seconds(group["interval"]) for group in groups}


def reported(prometheus: Server) -> Figures:
    """Return the series in memory, and the samples of a scrape and of the rules at their own intervals."""
    stats = prometheus.get("/api/v1/status/tsdb")["data"]["headStats"]
    scraped = prometheus.value("scrape_samples_post_metric_relabeling")
    assert scraped
    own = exposed(requests.get(f"{prometheus.url}/metrics", timeout=30).text)
    groups = {
        dict(labels)["rule_group"].rpartition(";")[2]: value
        for (name, labels), value in own.items()
        if name == GROUP_SAMPLES
    }
    recorded = sum(groups[name] / seconds for name, seconds in intervals().items())
    return Figures(stats["numSeries"], scraped / sizing.INTERVAL + recorded)


@pytest.mark.parametrize("size", sizing.SIZES)
def test_series_and_samples(programs: Programs, tmp_path: Path, size: int) -> None:
    """Prometheus has as many series and samples as the page says, and those of the alerts."""
    rules = shortened_rules(tmp_path / "rules")
    (rules / "objective.yml").unlink()
    changes = {
        **NO_TARGETS,
        "localhost:9090": "",
        "scrape_interval: 60s": "scrape_interval: 10s",
    }
    with all_active(size) as gateway, exporter(gateway) as scraped:
        address = scraped.address()
        scraped.record("Updated provider metrics", 60)
        ports = servers.Ports()
        with servers.prometheus(programs, tmp_path, ports, address, changes, rules=rules) as prometheus:
            wait_until(lambda: prometheus.value(RECORDED) == sizing.recorded()[0], RECORDED_SECONDS, every=1)
            found = reported(prometheus)

    page = {title: text.replace(",", "") for title, text in sizing.columns_on_page()[size].items()}
    for title, value in zip(COMPUTED, found, strict=True):
        assert float(page[title]) <= value <= float(page[title]) * (1 + ALERTS), title
    for title, value in zip(REPORTED, found, strict=True):
        assert pytest.approx(float(page[title]), rel=0.02) == value, title


def test_bytes_per_sample(programs: Programs, tmp_path: Path) -> None:
    """A day of a fleet is a block of no more bytes per sample than the page assumes."""
    with all_active(20) as gateway, exporter(gateway) as scraped:
        url = f"http://{scraped.address()}/metrics"
        scraped.record("Updated provider metrics", 60)
        text = requests.get(url, timeout=5).text
    (tmp_path / "day.txt").write_text("\n".join([*day(text), "# EOF\n"]), encoding="utf-8")
    command = ("tsdb", "create-blocks-from", "--max-block-duration=24h", "openmetrics")
    code, output = run(programs["promtool"], *command, tmp_path / "day.txt", tmp_path / "blocks")
    assert 0 == code, output
    samples = length = 0
    for block in (tmp_path / "blocks").iterdir():
        samples += json.loads((block / "meta.json").read_text(encoding="utf-8"))["stats"]["numSamples"]
        length += sum(file.stat().st_size for file in block.rglob("*") if file.is_file())

    assert sizing.DAY // sizing.INTERVAL * len(list(series_of(text))) == samples
    assert length / samples < sizing.BYTES_PER_SAMPLE


def series_of(text: str) -> Iterator[tuple[str, float]]:
    """Yield each series of an exposition with its value."""
    for line in text.splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            yield series, float(value)


def day(text: str) -> Iterator[str]:
    """Yield the samples of a day, a minute apart; in each minute a tenth of the providers is checked."""
    chance = random.Random(0)
    begin = 20_000 * sizing.DAY
    for series, value in series_of(text):
        is_own = series.startswith(OWN_MEASUREMENTS)
        is_checked = series.partition("{")[0].endswith(CHANGING)
        for moment in range(begin, begin + sizing.DAY, sizing.INTERVAL):
            if is_own or (is_checked and chance.random() < CHECKED_SHARE):
                value = round(chance.uniform(0.5, 1.5) * (value or 1), 3)
            yield f"{series} {value} {moment}"
