"""Fleets of any size with records like those of the real gateway, identical in every run."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from exporter.model.converters import boolean, non_negative, timestamp
from exporter.model.fields import FIELDS, Field

SEED = 8001
CHECKED_SHARE, SWAPPED_SHARE = 0.1, 0.01
"""Shares of the fleet in a poll of the busy feed: new health checks, and pairs that swap their health."""
HEALTH = {"healthy": 21, "unknown": 8, "degraded": 6, "down": 5}
"""Weights as recorded, as are the shares below."""
FLAGS = {
    "is_active": 0.85,
    "supports_streaming": 0.97,
    "supports_function_calling": 0.15,
    "supports_vision": 0.1,
    "supports_image_generation": 0.05,
}
NOON = datetime(2026, 8, 20, 12, tzinfo=UTC)
NUMBERS: Mapping[Callable[[object], object], Callable[[random.Random], object]] = {
    boolean: lambda chance: chance.random() < 0.5,
    non_negative: lambda chance: chance.randrange(1, 100_000),
    timestamp: lambda chance: _written(NOON - timedelta(days=chance.randrange(1, 300))),
}
"""Values of further gauges, by converter."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Documents:
    """The bodies of both endpoints at one moment; all moments of a fleet have the same counts."""

    providers: bytes
    stats: bytes


class Moment(IntEnum):
    """A state of a fleet; the others are what FIRST can become until the next poll."""

    FIRST = 0
    BUSY = 1
    """A tenth has a new health check, a hundredth of the pairs swap their health."""
    CHECKED = 2
    """A tenth has a new health check, no health changes."""
    CHANGED = 3
    """Like CHECKED, and one pair swaps its health."""


def fleet(size: int) -> Mapping[Moment, Documents]:
    """Return the documents of a fleet at each of its moments."""
    chance = random.Random(SEED)
    records = [_record(number, chance) for number in range(size)]
    swaps = {
        Moment.FIRST: 0,
        Moment.BUSY: max(1, round(SWAPPED_SHARE * size)),
        Moment.CHECKED: 0,
        Moment.CHANGED: 1,
    }
    stats = _as_json(_stats(records))
    documents = {}
    for moment, pairs in swaps.items():
        later = [dict(record) for record in records]
        if moment is not Moment.FIRST:
            _pass_time(later, pairs, chance)
        documents[moment] = Documents(_as_json(later), stats)
    return documents


def _record(number: int, chance: random.Random) -> Record:
    slug = f"provider-{number:05}"
    name = f"Provider {number:05}"
    record: Record = {
        "name": name,
        "slug": slug,
        "description": f"{name} - slow priority gateway",
        "base_url": None,
        "api_key_env_var": f"PROVIDER_{number:05}_API_KEY",
        "logo_url": f"https://{slug}.example/favicon.ico",
        "site_url": f"https://{slug}.example",
        "privacy_policy_url": None,
        "terms_of_service_url": None,
        "status_page_url": None,
        **{flag: chance.random() < share for flag, share in FLAGS.items()},
        "metadata": {
            "color": "bg-orange-700",
            "timeout": 30,
            "priority": "slow",
            "header_type": "bearer",
            "latency_tier": 4,
            "pricing_format": "per_1m",
            "models_endpoint": f"https://api.{slug}.example/v1/models",
            "failover_priority": chance.randrange(40),
            "has_fetch_function": True,
            "min_expected_models": 5,
        },
        "id": number + 1,
        "average_response_time_ms": chance.randrange(80, 3000),
        "health_status": chance.choices(list(HEALTH), list(HEALTH.values()))[0],
        "last_health_check_at": _written(NOON - timedelta(seconds=chance.random() * 3600)),
        "created_at": "2025-11-22T18:04:11.482913Z",
        "updated_at": _written(NOON - timedelta(hours=1)),
    }
    for field in FIELDS:
        _complete(record, field, chance)
    return record


def _complete(record: Record, field: Field, chance: random.Random) -> None:
    """Add a value for a published field that has none, so that all providers have all series."""
    *parents, key = field.path.split(".")
    holder = record
    for parent in parents:
        holder = holder.setdefault(parent, {})
    if field.gauge and key not in holder:
        holder[key] = NUMBERS[field.convert](chance)


def _pass_time(records: Sequence[Record], pairs: int, chance: random.Random) -> None:
    """Update some health checks, and let pairs of different health swap it, which keeps the counts."""
    for record in chance.sample(records, max(1, round(CHECKED_SHARE * len(records)))):
        record["average_response_time_ms"] = chance.randrange(80, 3000)
        record["last_health_check_at"] = _written(NOON)
    for _ in range(pairs):
        one, other = chance.sample(records, 2)
        while one["health_status"] == other["health_status"]:
            one, other = chance.sample(records, 2)
        one["health_status"], other["health_status"] = other["health_status"], one["health_status"]


def _stats(records: Sequence[Record]) -> dict[str, int]:
    active = sum(record["is_active"] for record in records)
    health = Counter(record["health_status"] for record in records)
    return {
        "total": len(records),
        "active": active,
        "inactive": len(records) - active,
        **{word: health[word] for word in HEALTH},
    }


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _as_json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
