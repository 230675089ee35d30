"""Play a scripted, compressed day of the gateway over real HTTP, for demonstrations and tests."""

from __future__ import annotations

import asyncio
import math
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self, TypeVar, cast

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

HOURS = 24
DAY_SECONDS = 86_400
REPORT_SECONDS = 5
CLOSE_SECONDS = 2.0
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
    """One provider on a calm day; an event replaces any of its fields for some hours.

    `days_silent` is 0 while reports arrive, the days since the last one, or None if there never was one.
    """

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


PROVIDERS = (
    Provider(4, "Cerebras", "cerebras", "Open models on wafer-scale chips", TOOLS, 180, ("us-west",)),
    Provider(9, "Cohere", "cohere", "Command and embedding models for companies", TOOLS, 520),
    Provider(7, "DeepInfra", "deepinfra", "Open models by the token", VISION, 640, ("us-east", "us-west")),
    Provider(5, "Fireworks", "fireworks", "Open models, served fast and tuned", IMAGES, 390, ("us-east",)),
    Provider(3, "Groq", "groq", "Open models on purpose-built chips", TOOLS, 120, ("us-east", "eu-north")),
    Provider(18, "Hyperbolic", "hyperbolic", "Spare GPUs rented by the hour", IMAGES, 910),
    Provider(23, "Lepton", "lepton", "Serving platform, no longer in use", CHAT, 730),
    Provider(12, "Mistral", "mistral", "European models, open and closed", VISION, 430, ("eu-west",)),
    Provider(31, "Novita", "novita", "Newly added, waits for its first check", IMAGES, 670),
    Provider(1, "OpenRouter", "openrouter", "One door to many other providers", VISION, 350, ("global",)),
    Provider(14, "Perplexity", "perplexity", "Answers with a web search behind them", CHAT, 1100),
    Provider(20, "SambaNova", "sambanova", "Large open models on dataflow chips", TOOLS, 260, ("us-west",)),
    Provider(6, "Together", "together", "Open models, hosted and tuned", IMAGES, 480, ("us-east", "eu-west")),
    Provider(27, "xAI", "x-ai", "Grok models", IMAGES, 560, ("us-south",)),
)


@dataclass(frozen=True)
class GatewayState:
    """What the gateway answers at one moment; an event replaces any of its fields for some hours."""

    records: tuple[Record, ...]
    status: int = 200
    delay_seconds: float = 0.0

    def stats(self) -> dict[str, int]:
        """Count all records, inactive ones included."""
        total = len(self.records)
        active = sum(record["is_active"] is True for record in self.records)
        health = Counter(record["health_status"] for record in self.records)
        counts = {"total": total, "active": active, "inactive": total - active}
        return counts | {status: health[status] for status in HEALTH_STATUSES}


@dataclass(frozen=True)
class Event:
    """One row of the script: from one demo hour to another, `who` has these other field values."""

    start: int
    end: int
    who: str
    fields: Mapping[str, Any]
    text: str


def _set(**fields: object) -> Mapping[str, object]:
    """Freeze the field values of a script row."""
    return MappingProxyType(fields)


NEVER_CHECKED = _set(health_status="unknown", typical_ms=None, days_silent=None)

SCRIPT = (
    Event(0, 24, "hyperbolic", _set(days_silent=9), "still healthy, but last checked nine days ago"),
    Event(0, 24, "lepton", _set(is_active=False, days_silent=40), "inactive, with the health it once had"),
    Event(0, 24, "novita", NEVER_CHECKED, "active, but never checked: unknown, no response time"),
    Event(0, 24, "perplexity", _set(typical_ms=None), "healthy, reported without a response time"),
    Event(3, 5, "groq", _set(health_status="degraded", typical_ms=1900), "degraded, answers slowly"),
    Event(5, 7, "groq", _set(health_status="down", typical_ms=4200), "down, well again at the end"),
    Event(6, 9, "together", _set(health_status="degraded", typical_ms=1400), "degraded for a while"),
    # Below the second that a shutdown grants to running answers.
    Event(8, 9, GATEWAY, _set(delay_seconds=0.9), "every answer takes nearly a second longer"),
    Event(10, 12, "deepinfra", _set(is_present=False), "gone from the list, back at the end"),
    Event(13, 14, GATEWAY, _set(records=()), "database away: an empty list and zero stats, with status 200"),
    Event(15, 16, GATEWAY, _set(status=401), "the right key is refused with 401"),
    Event(17, 21, GATEWAY, _set(status=500), "every answer is a 500, long enough for old data to go stale"),
    Event(20, 22, "cerebras", _set(health_status="degraded"), "degraded behind the outage, seen after it"),
)

# Error answers by status: code, message, advice.
ERRORS = MappingProxyType(
    {
        401: ("INVALID_API_KEY", "Invalid API key", "Use the key that the demo gateway was started with."),
        403: ("PLAN_LIMIT_REACHED", "Plan limit exceeded: {}", "Send the key as Authorization: Bearer."),
        500: ("INTERNAL_ERROR", "Internal server error", "Wait: the script of the demo ends this by itself."),
    }
)

FLAG_DEFAULTS = MappingProxyType({"is_active_only": "true", "include_inactive": "false"})
TRUE_TEXTS = frozenset({"true", "1", "yes", "on", "t"})
FALSE_TEXTS = frozenset({"false", "0", "no", "off", "f"})

Clock = Callable[[], float]
Scripted = TypeVar("Scripted", Provider, GatewayState)


def state_at(hour: float, now: float) -> GatewayState:
    """Return what the gateway holds and does at a demo hour, `now` being the wall clock in seconds."""
    providers = (_scripted(provider, provider.slug, hour) for provider in PROVIDERS)
    present = sorted((p for p in providers if p.is_present), key=lambda p: p.name.encode())
    records = tuple(_record(provider, hour, now) for provider in present)
    return _scripted(GatewayState(records), GATEWAY, hour)


def _scripted(calm: Scripted, who: str, hour: float) -> Scripted:
    """Return the calm state with everything the script says about it at an hour."""
    state = calm
    for event in SCRIPT:
        if event.who == who and event.start <= hour < event.end:
            state = replace(state, **event.fields)
    return state


def _record(provider: Provider, hour: float, now: float) -> Record:
    """Return the 22 fields of a provider in the order of the gateway."""
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
    """Return what custom metrics may be made of; who has no regions has nothing at all."""
    if not provider.regions:
        return None
    priority = "fast" if provider.typical_ms is not None and provider.typical_ms < FAST_MS else "slow"
    return {"regions": provider.regions, "timeout": TIMEOUT_SECONDS, "priority": priority}


def _response_time(provider: Provider, hour: float) -> int | None:
    """Let the response time swing by a fifth over the day, and rest when nobody reports it."""
    if provider.typical_ms is None:
        return None
    swing = 0.0 if provider.days_silent else 0.2
    return round(provider.typical_ms * (1 + swing * math.sin(math.tau * hour / HOURS + provider.id)))


def _last_check(provider: Provider, now: float) -> str | None:
    """Return when the provider was last checked: seconds ago, or at a fixed moment days ago."""
    if provider.days_silent is None:
        return None
    period = DAY_SECONDS if provider.days_silent else REPORT_SECONDS
    # Quarters of a second by id: some timestamps have a fraction and some have none.
    return _timestamp(now - now % period - provider.days_silent * DAY_SECONDS - provider.id % 10 / 4)


def _timestamp(seconds: float) -> str:
    """Write a moment as the gateway does: six decimals, or none when the fraction is zero."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def describe(day_seconds: float) -> str:
    """Return the script as text, a line per row, with the real time from the start beside the demo hour."""
    rows = sorted(SCRIPT, key=lambda event: (event.start, event.end))
    return "\n".join(_line(event, day_seconds / HOURS) for event in rows)


def _line(event: Event, hour_seconds: float) -> str:
    """Return one row of the script as text."""
    offsets = f"({_offset(event.start * hour_seconds)} to {_offset(event.end * hour_seconds)})"
    return f"{event.start:02}:00-{event.end:02}:00  {offsets:<22}  {event.who:<10}  {event.text}"


def _offset(seconds: float) -> str:
    """Return a real time from the start in minutes and seconds."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"+{minutes:.0f}m{rest:g}s" if minutes else f"+{rest:g}s"


def create_app(key: str, day_seconds: float, clock: Clock = time.time) -> Starlette:
    """Return the gateway as an application whose day starts now and repeats."""
    answers = _Answers(key, day_seconds, clock, day_start=clock())
    routes = [
        Route("/", answers.script),
        Route("/providers/", answers.providers),
        Route("/providers/stats", answers.stats),
    ]
    for route in routes:
        # Starlette adds HEAD, which the gateway answers with 405.
        route.methods = {"GET"}
    middleware = [
        Middleware(BaseHTTPMiddleware, dispatch=_identify),
        Middleware(GZipMiddleware, minimum_size=1024),
    ]
    return Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: answers.error})


@dataclass(frozen=True)
class _Answers:
    """The endpoints of the gateway; Starlette itself redirects from a path with the wrong end slash."""

    key: str
    day_seconds: float
    clock: Clock
    day_start: float

    async def script(self, _request: Request) -> Response:
        """Show what will happen; no key is needed to read it."""
        return PlainTextResponse(describe(self.day_seconds) + "\n")

    async def providers(self, request: Request) -> Response:
        """Answer with the active providers, or all of them if asked."""
        state = await self._state(request)
        flags = {name: request.query_params.get(name, default) for name, default in FLAG_DEFAULTS.items()}
        wrong = {name: text for name, text in flags.items() if text.lower() not in TRUE_TEXTS | FALSE_TEXTS}
        if wrong:
            return JSONResponse({"detail": [_bad_boolean(*flag) for flag in wrong.items()]}, 422)
        is_true = {name: text.lower() in TRUE_TEXTS for name, text in flags.items()}
        show_all = is_true["include_inactive"] or not is_true["is_active_only"]
        return JSONResponse([record for record in state.records if show_all or record["is_active"]])

    async def stats(self, request: Request) -> Response:
        """Answer with the seven counts."""
        state = await self._state(request)
        return JSONResponse(state.stats())

    async def error(self, request: Request, exc: Exception) -> Response:
        """Answer a refusal or a fault in the shape that its status has on the gateway."""
        error = cast(HTTPException, exc)
        if error.status_code not in ERRORS:
            return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        code, message, advice = ERRORS[error.status_code]
        content = {
            "type": code.lower(),
            "message": message.format(error.detail),
            "detail": "This answer comes from the demo gateway.",
            "code": code,
            "status": error.status_code,
            "request_id": request.state.request_id,
            "timestamp": _timestamp(self.clock()),
            "suggestions": [advice],
            "context": {},
        }
        return JSONResponse({"error": content}, error.status_code)

    async def _state(self, request: Request) -> GatewayState:
        """Return the state to answer from, once the key is right and the gateway is well."""
        _check_key(request.headers.get("authorization", ""), self.key)
        now = self.clock()
        hour = (now - self.day_start) % self.day_seconds / self.day_seconds * HOURS
        state = state_at(hour, now)
        await asyncio.sleep(state.delay_seconds)
        if state.status in ERRORS:
            raise HTTPException(state.status)
        return state


def _check_key(authorization: str, key: str) -> None:
    """Refuse a request that does not carry the key as a bearer token."""
    scheme, _, given = authorization.partition(" ")
    if not given:
        raise HTTPException(403, "Not authenticated")
    if scheme.lower() != "bearer":
        raise HTTPException(403, "Invalid authentication credentials")
    if not secrets.compare_digest(key.encode(), given.encode()):
        raise HTTPException(401)


def _bad_boolean(name: str, text: str) -> dict[str, object]:
    """Return the gateway's complaint about a query parameter."""
    msg = "Input should be a valid boolean, unable to interpret input"
    return {"type": "bool_parsing", "loc": ("query", name), "msg": msg, "input": text}


async def _identify(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Give the request an id and name it in the headers of the answer."""
    request.state.request_id = "req_" + request.headers.get("x-request-id", secrets.token_hex(6))
    response = await call_next(request)
    response.headers["x-request-id"] = request.state.request_id
    # The gateway loses this header on its way out of an internal error.
    if response.status_code != 500:
        response.headers["x-correlation-id"] = request.state.request_id
    return response


class DemoGateway:
    """The demo gateway on a socket of its own, served in a thread or by the caller's."""

    def __init__(
        self, key: str, day_seconds: float, host: str = "127.0.0.1", port: int = 0, clock: Clock = time.time
    ) -> None:
        """Bind the socket, so that a taken port is an OSError here and not a dead thread later."""
        family, name = (socket.AF_INET6, f"[{host}]") if ":" in host else (socket.AF_INET, host)
        self._socket = socket.create_server((host, port), family=family)
        self.url = f"http://{name}:{self._socket.getsockname()[1]}"
        app = create_app(key, day_seconds, clock)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.serve_forever, name="demo-gateway", daemon=True)

    def serve_forever(self) -> None:
        """Serve in the calling thread until closed or, in the main thread, ended by a signal."""
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Serve in a thread, and return when it does."""
        self._thread.start()
        while self._thread.is_alive() and not self._server.started:
            self._thread.join(0.01)

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)
        self._socket.close()

    def __enter__(self) -> Self:
        """Start on entry to a with block."""
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close on exit from a with block."""
        self.close()
