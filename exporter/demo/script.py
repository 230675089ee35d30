"""The script of the demo: providers of a calm day, events, and the gateway's state at each hour."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypeVar

HOURS = 24
DAY_SECONDS = 86_400
REPORT_SECONDS = 5
GATEWAY = "gateway"
HEALTH_STATUSES = ("healthy", "degraded", "down", "unknown")
FAST_MS = 300
TIMEOUT_SECONDS = 30
CREATED = "2025-11-03T09:30:12.250000Z"

CHAT = ("streaming",)
TOOLS = (*CHAT, "function_calling")
VISION = (*TOOLS, "vision")
IMAGES = (*VISION, "image_generation")

Record = dict[str, object]


@dataclass(frozen=True)
class Provider:
    """A provider on a calm day; an event replaces some of its fields for some hours."""

    id: int
    name: str
    slug: str
    description: str
    supports: tuple[str, ...]
    typical_ms: int | None
    regions: tuple[str, ...] = ()
    health_status: str = "healthy"
    is_active: bool = True
    is_present: bool = True
    days_silent: int | None = 0
    """Days since the last health check; 0 while checks run, None without any check."""


PROVIDERS = (
    Provider(4, "Cerebras", "cerebras", "Open models on wafer-scale chips", TOOLS, 180, ("us-west",)),
    Provider(9, "Cohere", "cohere", "Command and embedding models for companies", TOOLS, 520),
    Provider(7, "DeepInfra", "deepinfra", "Open models by the token", VISION, 640, ("us-east", "us-west")),
    Provider(5, "Fireworks", "fireworks", "Open models, served fast and tuned", IMAGES, 390, ("us-east",)),
    Provider(3, "Groq", "groq", "Open models on purpose-built chips", TOOLS, 120, ("us-east", "eu-north")),
    Provider(18, "Hyperbolic", "hyperbolic", "Spare GPUs rented by the hour", IMAGES, 910),
    Provider(23, "Lepton", "lepton", "Serving platform, no longer active", CHAT, 730),
    Provider(12, "Mistral", "mistral", "European models, open and closed", VISION, 430, ("eu-west",)),
    Provider(31, "Novita", "novita", "Newly added, not checked yet", IMAGES, 670),
    Provider(1, "OpenRouter", "openrouter", "One API for many other providers", VISION, 350, ("global",)),
    Provider(14, "Perplexity", "perplexity", "Answers from a web search", CHAT, 1100),
    Provider(20, "SambaNova", "sambanova", "Large open models on dataflow chips", TOOLS, 260, ("us-west",)),
    Provider(6, "Together", "together", "Open models, hosted and tuned", IMAGES, 480, ("us-east", "eu-west")),
    Provider(27, "xAI", "x-ai", "Grok models", IMAGES, 560, ("us-south",)),
)


@dataclass(frozen=True)
class GatewayState:
    """The gateway at one moment; an event replaces some of its fields for some hours."""

    records: tuple[Record, ...]
    status: int = 200
    delay_seconds: float = 0.0

    def stats(self) -> dict[str, int]:
        """Return the seven counts, inactive providers included."""
        total = len(self.records)
        active = sum(record["is_active"] is True for record in self.records)
        health = Counter(record["health_status"] for record in self.records)
        counts = {"total": total, "active": active, "inactive": total - active}
        return counts | {status: health[status] for status in HEALTH_STATUSES}


@dataclass(frozen=True)
class Event:
    """A row of the script: from one demo hour to another, `who` has these field values."""

    start: int
    end: int
    who: str
    fields: Mapping[str, Any]
    text: str


def _set(**fields: object) -> Mapping[str, object]:
    """Return immutable field values."""
    return MappingProxyType(fields)


NEVER_CHECKED = _set(health_status="unknown", typical_ms=None, days_silent=None)

SCRIPT = (
    Event(0, 24, "hyperbolic", _set(days_silent=9), "still healthy, but last checked nine days ago"),
    Event(0, 24, "lepton", _set(is_active=False, days_silent=40), "inactive, with its last health status"),
    Event(0, 24, "novita", NEVER_CHECKED, "active, never checked: unknown, no response time"),
    Event(0, 24, "perplexity", _set(typical_ms=None), "healthy, without a response time"),
    Event(3, 5, "groq", _set(health_status="degraded", typical_ms=1900), "degraded, answers slowly"),
    Event(5, 7, "groq", _set(health_status="down", typical_ms=4200), "down, healthy again at the end"),
    Event(6, 9, "together", _set(health_status="degraded", typical_ms=1400), "degraded for a while"),
    # Less than the grace period of a shutdown.
    Event(8, 9, GATEWAY, _set(delay_seconds=0.9), "every response takes 0.9 seconds longer"),
    Event(10, 12, "deepinfra", _set(is_present=False), "not in the list"),
    Event(13, 14, GATEWAY, _set(records=()), "database down: an empty list and zero stats, with status 200"),
    Event(15, 16, GATEWAY, _set(status=401), "the valid key is refused with 401"),
    Event(17, 21, GATEWAY, _set(status=500), "every response is a 500, until data become stale"),
    Event(20, 22, "cerebras", _set(health_status="degraded"), "degraded, visible after the outage"),
)

Scripted = TypeVar("Scripted", Provider, GatewayState)


def state_at(hour: float, now: float) -> GatewayState:
    """Return the state at a demo hour; `now` is the Unix time, for timestamps."""
    providers = (_scripted(provider, provider.slug, hour) for provider in PROVIDERS)
    present = sorted((p for p in providers if p.is_present), key=lambda p: p.name.encode())
    records = tuple(_record(provider, hour, now) for provider in present)
    return _scripted(GatewayState(records), GATEWAY, hour)


def _scripted(calm: Scripted, who: str, hour: float) -> Scripted:
    """Return the calm state with the events of an hour."""
    state = calm
    for event in SCRIPT:
        if event.who == who and event.start <= hour < event.end:
            state = replace(state, **event.fields)
    return state


def _record(provider: Provider, hour: float, now: float) -> Record:
    """Return a provider's 22 fields in the order of the gateway."""
    last_check = _last_check(provider, now)
    return {
        "name": provider.name,
        "slug": provider.slug,
        "description": provider.description,
        "base_url": None,
        "api_key_env_var": provider.slug.upper().replace("-", "_") + "_API_KEY",
        "logo_url": None,
        "site_url": f"https://{provider.slug}.example",
        "privacy_policy_url": None,
        "terms_of_service_url": None,
        "status_page_url": f"https://status.{provider.slug}.example",
        "is_active": provider.is_active,
        **{f"supports_{ability}": ability in provider.supports for ability in IMAGES},
        "metadata": _metadata(provider),
        "id": provider.id,
        "average_response_time_ms": _response_time(provider, hour),
        "health_status": provider.health_status,
        "last_health_check_at": last_check,
        "created_at": CREATED,
        "updated_at": last_check or CREATED,
    }


def _metadata(provider: Provider) -> Record | None:
    """Return values for custom metrics, None for a provider without regions."""
    if not provider.regions:
        return None
    priority = "fast" if provider.typical_ms is not None and provider.typical_ms < FAST_MS else "slow"
    return {"regions": provider.regions, "timeout": TIMEOUT_SECONDS, "priority": priority}


def _response_time(provider: Provider, hour: float) -> int | None:
    """Return a response time that varies by 20 % over the day, constant without health checks."""
    if provider.typical_ms is None:
        return None
    swing = 0.0 if provider.days_silent else 0.2
    return round(provider.typical_ms * (1 + swing * math.sin(math.tau * hour / HOURS + provider.id)))


def _last_check(provider: Provider, now: float) -> str | None:
    """Return the time of the last health check: seconds ago, or at a fixed time days ago."""
    if provider.days_silent is None:
        return None
    period = DAY_SECONDS if provider.days_silent else REPORT_SECONDS
    # Some timestamps have a fraction of a second, some have none.
    return timestamp(now - now % period - provider.days_silent * DAY_SECONDS - provider.id % 10 / 4)


def timestamp(seconds: float) -> str:
    """Format a Unix time as the gateway does: six decimals, or none for whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def describe(day_seconds: float) -> str:
    """Return the script as text, one line per event, with demo hours and seconds from the start."""
    rows = sorted(SCRIPT, key=lambda event: (event.start, event.end))
    return "\n".join(_line(event, day_seconds / HOURS) for event in rows)


def _line(event: Event, hour_seconds: float) -> str:
    """Return an event as text."""
    offsets = f"({_offset(event.start * hour_seconds)} to {_offset(event.end * hour_seconds)})"
    return f"{event.start:02}:00-{event.end:02}:00  {offsets:<22}  {event.who:<10}  {event.text}"


def _offset(seconds: float) -> str:
    """Return seconds from the start as text."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"+{minutes:.0f}m{rest:g}s" if minutes else f"+{rest:g}s"
