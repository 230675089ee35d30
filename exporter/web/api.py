"""HTTP routes for programs: JSON documents, badges and a feed of changes, each made once for a snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from operator import is_not

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from exporter.errors import ThreadError
from exporter.status import badges, documents, feed
from exporter.status.state import State
from exporter.web.streaming import BodyStreamer, StreamedResponse
from exporter.web.throttle import Throttle

JSON, SVG, ATOM = "application/json", "image/svg+xml", "application/atom+xml"
MAX_CACHED = 100
"""Documents of a snapshot that are kept."""


class Api:
    """Serves documents of the current snapshot; no route fetches or waits for a poll."""

    def __init__(self, state: Callable[[], State]) -> None:
        """Serve documents of what `state` returns."""
        self._state = state
        self._bodies, self._making = BodyStreamer(), Throttle()
        self._cached_of: tuple[object, ...] = ()
        self._cache: dict[str, tuple[bytes | None]] = {}

    def routes(self, prefix: str) -> list[Route]:
        """Return the routes; `prefix` precedes every path."""
        return [
            Route(f"{prefix}/api/v1/status", self.status),
            Route(f"{prefix}/api/v1/providers", self.providers),
            Route(f"{prefix}/api/v1/providers/{{slug:path}}", self.provider),
            Route(f"{prefix}/api/v1/changes", self.changes),
            Route(f"{prefix}/badge/{{slug:path}}/health.svg", self.health_badge),
            Route(f"{prefix}/badge/{{slug:path}}/uptime.svg", self.uptime_badge),
            Route(f"{prefix}/changes.atom", self.feed),
        ]

    async def status(self, request: Request) -> Response:
        """Return the overall state."""
        return await self._json(request, documents.status)

    async def providers(self, request: Request) -> Response:
        """Return all listed providers."""
        return await self._json(request, documents.providers)

    async def provider(self, request: Request) -> Response:
        """Return a provider with its history, or 404."""
        return await self._json(request, partial(documents.provider, request.path_params["slug"]))

    async def changes(self, request: Request) -> Response:
        """Return the last changes."""
        return await self._json(request, documents.changes)

    async def health_badge(self, request: Request) -> Response:
        """Return a picture of a provider's health."""
        return await self._respond(request, SVG, partial(badges.health, request.path_params["slug"]))

    async def uptime_badge(self, request: Request) -> Response:
        """Return a picture of a provider's uptime, in the history or in `?window=`."""
        slug, window = request.path_params["slug"], request.query_params.get("window", "")
        return await self._respond(request, SVG, partial(badges.uptime, slug, window))

    async def feed(self, request: Request) -> Response:
        """Return the last changes as an Atom feed."""
        return await self._respond(request, ATOM, feed.of_changes)

    async def _json(self, request: Request, document: Callable[[State], object]) -> Response:
        def make(state: State) -> bytes | None:
            found = document(state)
            return None if found is None else msgspec.json.encode(found)

        return await self._respond(request, JSON, make)

    async def _respond(
        self, request: Request, media_type: str, make: Callable[[State], bytes | None]
    ) -> Response:
        """Return the document of a path, or 404 if there is none, or 304 if the client has it."""
        try:
            made = await self._made(f"{request.url.path}?{request.url.query}", make)
        except ThreadError as error:
            return _error(503, f"The document cannot be made: {error}.")
        if made is None:
            return _error(503, "Too many requests: try again.")
        if (body := made[0]) is None:
            return _error(404, "The gateway's list has no such provider.")
        headers = {
            "ETag": f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"',
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            # A browser shows SVG as a document of this origin.
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        }
        if headers["ETag"] in request.headers.get("If-None-Match", ""):
            return Response(status_code=304, headers=headers)
        response = StreamedResponse(self._bodies, body, media_type)
        response.headers.update(headers)
        return response

    async def _made(self, path: str, make: Callable[[State], bytes | None]) -> tuple[bytes | None] | None:
        """Return the result of `make` for the current snapshot, or None if too many requests wait.

        Raises:
            ThreadError: When the system refuses a thread.
        """
        state = self._state()
        known = (state.snapshot, state.history, state.past, state.overdue)
        if len(self._cached_of) != len(known) or any(map(is_not, self._cached_of, known)):
            self._cached_of, self._cache = known, {}
        if path not in self._cache:
            made = await self._making.run(lambda: (make(state),))
            if made is None or self._cached_of is not known or len(self._cache) >= MAX_CACHED:
                return made
            self._cache[path] = made
        return self._cache[path]


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status, {"Retry-After": "1"} if status == 503 else None)
