"""What both other contestants share: the answers of the gateway, and what is published of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

HEALTH = ("unknown", "healthy", "degraded", "down")
FLAGS = (
    "supports_streaming",
    "supports_function_calling",
    "supports_vision",
    "supports_image_generation",
    "is_active",
)
COUNTS = ("total", "active", "inactive", "healthy", "degraded", "down", "unknown")

Record = Mapping[str, Any]
Points = Iterable[tuple[tuple[str, ...], float]]
"""Values of labels, with the value of the point."""


@dataclass(frozen=True)
class Answers:
    """What both endpoints said in one poll."""

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
        """Poll at every SCRAPE_INTERVAL, for ever."""
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {os.environ['ADMIN_KEY']}"
        beat = time.monotonic()
        while True:
            self._poll(session)
            beat = max(beat + float(os.environ["SCRAPE_INTERVAL"]), time.monotonic())
            time.sleep(max(0, beat - time.monotonic()))

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


def _flag(name: str) -> Family:
    return Family(
        f"gatewayz_provider_{name}",
        f"Flag {name} of the provider.",
        ("provider",),
        lambda record: [((record["slug"],), int(record[name]))],
    )


PER_PROVIDER = (
    Family(
        "gatewayz_provider_response_time_ms",
        "Average response time in milliseconds.",
        ("provider",),
        lambda record: [((record["slug"],), record["average_response_time_ms"])],
    ),
    *map(_flag, FLAGS),
    Family(
        "gatewayz_provider_health_status",
        "Health as a number.",
        ("provider",),
        lambda record: [((record["slug"],), HEALTH.index(record["health_status"]))],
    ),
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
    Family(
        "gatewayz_provider_last_health_check_timestamp_seconds",
        "Time of the last health check.",
        ("provider",),
        lambda record: [
            ((record["slug"],), datetime.fromisoformat(record["last_health_check_at"]).timestamp())
        ],
    ),
)


def singles(feed: Feed, answers: Answers) -> Mapping[str, float]:
    """Return the gauges without labels that are known, by name."""
    values = {f"gatewayz_providers_{count}": answers.stats.get(count) for count in COUNTS}
    values["gatewayz_provider_metrics_last_update"] = answers.date
    values["gatewayz_up"] = int(feed.up)
    values["gatewayz_providers_listed"] = len(answers.records) if answers.date else None
    return {name: value for name, value in values.items() if value is not None}
