"""A gateway for demonstrations and tests: an HTTP server that plays the script."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self, cast

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter.config.values import address
from exporter.demo.script import HOURS, GatewayState, describe, state_at, timestamp
from exporter.web.healthcheck import ANY_ADDRESS

CLOSE_SECONDS = 2.0
# By status: code, message, suggestion.
ERRORS = MappingProxyType(
    {
        401: ("INVALID_API_KEY", "Invalid API key", "Use the key of the demo gateway."),
        403: ("PLAN_LIMIT_REACHED", "Plan limit exceeded: {}", "Send the key as Authorization: Bearer."),
        500: ("INTERNAL_ERROR", "Internal server error", "Wait: the script of the demo ends this error."),
    }
)

Clock = Callable[[], float]


def create_app(key: str, day_seconds: float, clock: Clock = time.time) -> Starlette:
    """Return the ASGI application; the day of the script starts now and repeats."""
    endpoints = _Endpoints(key, day_seconds, clock, day_start=clock())
    routes = [
        Route("/", endpoints.script),
        Route("/providers/", endpoints.providers),
        Route("/providers/stats", endpoints.stats),
    ]
    for route in routes:
        # Starlette adds HEAD; the gateway returns 405 for it.
        route.methods = {"GET"}
    middleware = [
        Middleware(BaseHTTPMiddleware, dispatch=_identify),
        Middleware(GZipMiddleware, minimum_size=1024),
    ]
    return Starlette(
        routes=routes, middleware=middleware, exception_handlers={HTTPException: endpoints.error}
    )


@dataclass(frozen=True)
class _Endpoints:
    """The endpoints; Starlette redirects paths with a missing or additional trailing slash."""

    key: str
    day_seconds: float
    clock: Clock
    day_start: float

    async def script(self, _request: Request) -> Response:
        """Return the script as text, without authentication."""
        return PlainTextResponse(describe(self.day_seconds) + "\n")

    async def providers(self, request: Request) -> Response:
        """Return the active providers, or all providers on request."""
        state = await self._state(request)
        show_all = request.query_params.get("include_inactive") == "true"
        return JSONResponse([record for record in state.records if show_all or record["is_active"]])

    async def stats(self, request: Request) -> Response:
        """Return the seven counts."""
        state = await self._state(request)
        return JSONResponse(state.stats())

    async def error(self, request: Request, exc: Exception) -> Response:
        """Return an error in the gateway's format for its status."""
        error = cast(HTTPException, exc)
        if error.status_code not in ERRORS:
            return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        code, message, advice = ERRORS[error.status_code]
        content = {
            "type": code.lower(),
            "message": message.format(error.detail),
            "detail": "This response comes from the demo gateway.",
            "code": code,
            "status": error.status_code,
            "request_id": request.state.request_id,
            "timestamp": timestamp(self.clock()),
            "suggestions": [advice],
            "context": {},
        }
        return JSONResponse({"error": content}, error.status_code)

    async def _state(self, request: Request) -> GatewayState:
        """Check the key, and return the state after its delay, unless it is an error."""
        _check_key(request.headers.get("authorization", ""), self.key)
        now = self.clock()
        hour = (now - self.day_start) % self.day_seconds / self.day_seconds * HOURS
        state = state_at(hour, now)
        await asyncio.sleep(state.delay_seconds)
        if state.status in ERRORS:
            raise HTTPException(state.status)
        return state


def _check_key(authorization: str, key: str) -> None:
    """Raise unless the request has the key as bearer token."""
    scheme, _, given = authorization.partition(" ")
    if not given:
        raise HTTPException(403, "Not authenticated")
    if scheme.lower() != "bearer":
        raise HTTPException(403, "Invalid authentication credentials")
    if not secrets.compare_digest(key.encode(), given.encode()):
        raise HTTPException(401)


async def _identify(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Add the request id to the response headers."""
    request.state.request_id = "req_" + secrets.token_hex(6)
    response = await call_next(request)
    response.headers["x-request-id"] = request.state.request_id
    return response


class DemoGateway:
    """The demo gateway, served by a thread of its own or by the caller's."""

    def __init__(
        self, key: str, day_seconds: float, host: str = "127.0.0.1", port: int = 0, clock: Clock = time.time
    ) -> None:
        """Bind the socket; raises OSError for an address in use."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        name = "localhost" if host in ANY_ADDRESS else host
        self.url = f"http://{address(name, self._socket.getsockname()[1])}"
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
        """Serve in the calling thread until `close` or, in the main thread, a signal."""
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Serve in a thread, and return when it accepts requests."""
        self._thread.start()
        while self._thread.is_alive() and not self._server.started:
            self._thread.join(0.01)

    def close(self) -> None:
        """Stop serving, and close the socket."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)
        self._socket.close()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close."""
        self.close()
