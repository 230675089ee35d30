"""Files for more than one of each, and the figures of the page on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from bench.fleet import fleet
from exporter import SERVICE_NAME
from tests.process import program
from tests.promql import RULE_FILES
from tests.replay import LIST_NO_SLASH, STATS, ReplayGateway, answer

ROOT = Path(__file__).parents[2]
SCALE = ROOT / "deploy" / "scale"
OVERLAY = (ROOT / "docker-compose.scale.yml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "deployment" / "scale-out.md").read_text(encoding="utf-8")

SIZES = (100, 1_000, 10_000)
INTERVAL, DAY = 60, 86_400
BYTES_A_SAMPLE, RETENTION_DAYS = 1.5, 35
UNITS = {"s": 1, "m": 60}
CLOSE = 0.02
"""Part by which a scrape may differ: times and figures of the process have other digits in each run."""
AS_PROMETHEUS = {"Accept": "application/openmetrics-text;version=1.0.0"}


def parsed(path: Path) -> Any:
    """Return the content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_prometheus() -> None:
    """Prometheus' file differs by the second replica and the store."""
    tree = parsed(SCALE / "prom.yml")
    (job,) = [row for row in tree["scrape_configs"] if row["job_name"] == "provider_metrics"]

    assert f"{SERVICE_NAME}-2:8001" == job["static_configs"][0]["targets"].pop()
    assert ["http://mimir:9009/api/v1/push"] == [store["url"] for store in tree.pop("remote_write")]
    assert parsed(ROOT / "prometheus" / "prom.yml") == tree


def test_loki() -> None:
    """Loki's file differs by the storage."""
    original, tree = parsed(ROOT / "loki" / "loki.yaml"), parsed(SCALE / "loki.yaml")

    assert ["s3"] == list(tree["common"]["storage"])
    tree["common"]["storage"] = original["common"]["storage"]
    for holder, key in (
        (tree["schema_config"]["configs"][0], "object_store"),
        (tree["compactor"], "delete_request_store"),
    ):
        assert "s3" == holder[key]
        holder[key] = "filesystem"
    assert original == tree


def test_tempo() -> None:
    """Tempo's file differs by the storage."""
    original, tree = parsed(ROOT / "tempo" / "tempo.yaml"), parsed(SCALE / "tempo.yaml")
    own, other = original["storage"]["trace"], tree["storage"]["trace"]

    assert ("local", "s3") == (own["backend"], other["backend"])
    assert {own.pop("backend"), "wal"} == set(own)
    assert {other.pop("backend"), "wal"} == set(other)
    del own["local"], other["s3"]
    assert original == tree


def test_variables() -> None:
    """The page has each variable of the overlay with its default; the key of the storage has none."""
    rows = re.findall(r"^ *\| `([A-Z_0-9]+)` \| (?:`(.*)` )?\|", PAGE, re.MULTILINE)
    required = re.findall(r"\$\{(\w+):\?", OVERLAY)
    defaults = re.findall(r"\$\{(\w+):-(.*?)\}", OVERLAY)

    assert {"S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY"} == set(required)
    assert sorted([*defaults, *((name, "") for name in required)]) == sorted(rows)


@dataclass(frozen=True)
class Bodies:
    """What passes at one poll and one scrape; lengths in bytes."""

    list_length: int
    series: int
    scrape: int
    compressed: int


def measured(size: int) -> Bodies:
    """Let the exporter poll a fleet, and scrape it as Prometheus does."""
    documents = fleet(size)[0]
    gateway = ReplayGateway(
        {
            LIST_NO_SLASH: answer(200, documents.providers, content_type="application/json"),
            STATS: answer(200, documents.stats, content_type="application/json"),
        }
    )
    settings = {"ADMIN_KEY": "test-admin-key", "METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
    with gateway, program(GATEWAY_API_URL=gateway.url, **settings) as running:
        address = f"{running.url()}/metrics"
        running.record("Updated provider metrics", 60)
        plain, packed = (
            requests.get(address, headers={**AS_PROMETHEUS, "Accept-Encoding": coding}, timeout=30)
            for coding in ("identity", "gzip")
        )
    series = [line for line in plain.text.splitlines() if not line.startswith("#")]
    return Bodies(
        len(documents.providers), len(series), len(plain.content), int(packed.headers["Content-Length"])
    )


def recorded() -> tuple[int, float]:
    """Return how many series the rules record of an active provider, and how many samples of it a second.

    Rules that record nothing without an objective do not count.
    """
    groups = [group for file in RULE_FILES for group in parsed(file)["groups"]]
    seconds = [
        int(group["interval"][:-1]) * UNITS[group["interval"][-1]]
        for group in groups
        for rule in group["rules"]
        if rule.get("record", "").startswith("job_provider:")
        and "gatewayz_uptime_objective" not in rule["expr"]
    ]
    return len(seconds), sum(1 / interval for interval in seconds)


@pytest.mark.parametrize("size", SIZES)
def test_figures(size: int) -> None:
    """The column of the page's table is what was measured, and what follows from it."""
    rows = re.findall(r"^\| (\w[^|]*) \|(.*)\|$", PAGE.split("\n## ")[1], re.MULTILINE)
    column = {title: cells.split("|")[SIZES.index(size)].strip() for title, cells in rows}
    bodies, (series, samples) = measured(size), recorded()
    a_second = bodies.series / INTERVAL + size * samples

    scrapes = {
        "Scrape, KiB": bodies.scrape / 1024,
        "Scrape with gzip, as Prometheus requests it, KiB": bodies.compressed / 1024,
    }
    figures = {
        "Providers": size,
        "Requests to the gateway per day": 2 * DAY / INTERVAL,
        "List, KiB": bodies.list_length / 1024,
        "All lists per day, GB": bodies.list_length * DAY / INTERVAL / 1e9,
        "Series of a scrape": bodies.series,
        "Series including recording rules": bodies.series + size * series,
        "Samples per second": a_second,
        f"{RETENTION_DAYS} days in Prometheus, GB": a_second * DAY * RETENTION_DAYS * BYTES_A_SAMPLE / 1e9,
    }
    assert {title: pytest.approx(value, rel=CLOSE) for title, value in scrapes.items()} == {
        title: float(column.pop(title).replace(",", "")) for title in scrapes
    }
    # With as many digits as the page gives.
    assert {
        title: f"{value:,.{len(column[title].partition('.')[2])}f}" for title, value in figures.items()
    } == column
