"""Shared by both other contestants: the answers of the gateway, and the families that are made of them.

It imports nothing of the exporter, which would count as memory of the contestants.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

HEALTH = ("unknown", "healthy", "degraded", "down")
COUNTS = ("total", "active", "inactive", "healthy", "degraded", "down", "unknown")
GAUGES = Path(__file__).with_name("gauges.json")
"""The gauges of the exporter's table of fields, which `make generate` writes."""

Record = Mapping[str, Any]
Points = Iterable[tuple[tuple[str, ...], float]]
"""Label values, and the value of the point."""


@dataclass(frozen=True)
class Answers:
    """The answers of both endpoints in one poll."""

    records: Sequence[Record] = ()
    stats: Record = field(default_factory=dict)
    date: float | None = None


@dataclass
class Feed:
    """The latest answers, replaced as a whole."""

    latest: Answers = field(default_factory=Answers)
    errors: int = 0
    up: bool = False

    def run(self) -> None:
        """Poll at every SCRAPE_INTERVAL until the process ends."""
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {os.environ['ADMIN_KEY']}"
        next_poll = time.monotonic()
        while True:
            self._poll(session)
            next_poll = max(next_poll + float(os.environ["SCRAPE_INTERVAL"]), time.monotonic())
            time.sleep(max(0, next_poll - time.monotonic()))

    def _poll(self, session: requests.Session) -> None:
        url = os.environ["GATEWAY_API_URL"]
        try:
            records = session.get(f"{url}/providers?include_inactive=true", timeout=10).json()
            stats = session.get(f"{url}/providers/stats", timeout=10).json()
        except requests.RequestException:
            self.errors += 1
            self.up = False
        else:
            self.latest = Answers(records, stats, time.time())
            self.up = True


@dataclass(frozen=True)
class Family:
    """One gauge, and how its points are read from a record."""

    name: str
    help: str
    labels: tuple[str, ...]
    points: Callable[[Record], Points]


NUMBERS: Mapping[str, Callable[[Any], float]] = {
    "boolean": int,
    "health": HEALTH.index,
    "non_negative": float,
    "timestamp": lambda text: datetime.fromisoformat(text).timestamp(),
}
"""Value of a point by name of the exporter's converter."""


def _gauge(row: Mapping[str, str]) -> Family:
    """Return the family of a field of the list."""
    *parents, key = row["path"].split(".")
    number = NUMBERS[row["converter"]]

    def points(record: Record) -> Points:
        holder = record
        for parent in parents:
            holder = holder[parent]
        return [((record["slug"],), number(holder[key]))]

    return Family(row["name"], row["help"], ("provider",), points)


PER_PROVIDER = (
    *map(_gauge, json.loads(GAUGES.read_text(encoding="utf-8"))),
    Family(
        "gatewayz_provider_info",
        "Names of a provider.",
        ("provider", "id", "name"),
        lambda record: [((record["slug"], str(record["id"]), record["name"]), 1)],
    ),
    Family(
        "gatewayz_provider_health_state",
        "Health, one series for each state.",
        ("provider", "state"),
        lambda record: [((record["slug"], state), int(state == record["health_status"])) for state in HEALTH],
    ),
)


def singles(feed: Feed, answers: Answers) -> Mapping[str, float]:
    """Return the known gauges without labels by name."""
    values = {f"gatewayz_providers_{count}": answers.stats.get(count) for count in COUNTS}
    values["gatewayz_provider_metrics_last_update"] = answers.date
    values["gatewayz_up"] = int(feed.up)
    values["gatewayz_providers_listed"] = len(answers.records) if answers.date else None
    return {name: value for name, value in values.items() if value is not None}
