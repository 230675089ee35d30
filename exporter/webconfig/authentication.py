"""ASGI middleware for authentication, rate limits and response headers of the web configuration."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Collection, Mapping

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter import SERVICE_NAME
from exporter.clock import Clock
from exporter.webconfig.config import RateLimit, WebConfig
from exporter.webconfig.passwords import Passwords, Verdict

CHALLENGE = f'Basic realm="{SERVICE_NAME}", charset="UTF-8"'


class AuthenticationMiddleware:
    """Enforces authentication and rate limits, and adds the configured headers."""

    def __init__(
        self,
        app: ASGIApp,
        newest: Callable[[], WebConfig],
        clock: Clock,
        *,
        protect_health: bool,
        health_paths: Collection[str],
    ) -> None:
        """Wrap an application.

        Args:
            app: Gets the accepted requests.
            newest: Returns the current configuration; called for each request.
            clock: For the rate limit.
            protect_health: Whether the health routes require authentication, too.
            health_paths: Paths of the health routes.
        """
        self._app = app
        self._newest = newest
        self._clock = clock
        self._protect_health = protect_health
        self._health_paths = health_paths
        self._hashes: Mapping[str, str] = {}
        self._passwords = Passwords({})
        self._apply(newest())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject a request, or pass it on."""
        if (config := self._newest()) is not self._config:
            self._apply(config)
        rejection = await self._reject(scope)
        await (rejection or self._app)(scope, receive, self._with_headers(send))

    def _apply(self, config: WebConfig) -> None:
        """Use a new configuration; verified passwords stay cached while the users are the same."""
        self._headers = [(name.lower().encode(), text.encode()) for name, text in config.headers.items()]
        hashes = {user: secret.reveal() for user, secret in config.users.items()}
        if hashes != self._hashes:
            self._hashes, self._passwords = hashes, Passwords(hashes)
        self._bucket = TokenBucket(config.rate_limit, self._clock) if config.rate_limit else None
        self._config = config

    async def _reject(self, scope: Scope) -> Response | None:
        is_protected = bool(self._hashes) and self._protect_health
        if scope["path"] in self._health_paths and not is_protected:
            return None
        if self._bucket is not None and (seconds := self._bucket.take()):
            return PlainTextResponse("Too Many Requests\n", 429, {"Retry-After": str(math.ceil(seconds))})
        if not self._hashes:
            return None
        credentials = _credentials(Headers(scope=scope).get("authorization", ""))
        address = scope["client"][0] if scope["client"] else ""
        verdict = await self._passwords.verify(*credentials, address) if credentials else Verdict.WRONG
        if verdict is Verdict.BUSY:
            return PlainTextResponse("Service Unavailable\n", 503, {"Retry-After": "1"})
        if verdict is Verdict.WRONG:
            return PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": CHALLENGE})
        return None

    def _with_headers(self, send: Send) -> Send:
        """Return a `send` that adds the configured headers, and replaces those of the same name."""
        headers = self._headers

        async def send_with_headers(message: Message) -> None:
            if headers and message["type"] == "http.response.start":
                names = dict(headers)
                others = [(name, text) for name, text in message["headers"] if name.lower() not in names]
                message["headers"] = [*others, *headers]
            await send(message)

        return send_with_headers


class TokenBucket:
    """Token bucket: at most `burst` tokens, one per request; a token is added each `interval`."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        """Start full."""
        self._limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._filled = clock.age()

    def take(self) -> float:
        """Take a token and return 0, or return the seconds until the next one."""
        now = self._clock.age()
        new = (now - self._filled) / self._limit.interval
        self._tokens, self._filled = min(self._limit.burst, self._tokens + new), now
        if self._tokens < 1:
            return (1 - self._tokens) * self._limit.interval
        self._tokens -= 1
        return 0.0


def _credentials(header: str) -> tuple[bytes, bytes] | None:
    """Return user and password of an `Authorization` header (RFC 7617), None if it has none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None
