"""HTTP routes: `/metrics`, the status page and the health routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from opentelemetry import trace
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.clock import Clock
from exporter.errors import ThreadError
from exporter.metrics.exposition import Published
from exporter.metrics.negotiation import negotiate
from exporter.model.history import History
from exporter.model.snapshot import Poll
from exporter.status.state import NO_PAST, Past, State
from exporter.system.threads import run_in_thread
from exporter.web.api import Api
from exporter.web.page.pages import StatusPage
from exporter.web.page.query import Query
from exporter.web.streaming import BodyStreamer, StreamedResponse
from exporter.web.throttle import Throttle

HEALTH_PATHS = ("/-/healthy", "/-/ready")
OVERDUE = "The poll loop is overdue: it hangs or has died. See the exporter's log.\n"


class Web:
    """Serves the current exposition; no route collects, fetches or waits for a poll."""

    def __init__(
        self,
        published: Published,
        history: History,
        clock: Clock,
        page: StatusPage,
        telemetry_path: str = "/metrics",
        route_prefix: str = "",
        past: Callable[[], Past] = lambda: NO_PAST,
    ) -> None:
        """Serve what is `published`.

        Args:
            published: Holds the current exposition.
            history: Shown beside it.
            clock: For the age of the exposition.
            page: The status page.
            telemetry_path: Path of the metrics, without the prefix.
            route_prefix: Prefix of every path, without a trailing slash.
            past: Returns what is known from Prometheus.
        """
        self._published = published
        self._history = history
        self._clock = clock
        self._page = page
        self._past = past
        self._api = Api(self._state)
        self._scrapes, self._pages = BodyStreamer(), BodyStreamer()
        self._rendering = Throttle()
        self._telemetry_path = telemetry_path
        self._prefix = route_prefix

    def app(self, scrape_middleware: Sequence[Middleware] = ()) -> Starlette:
        """Return the ASGI application; the middleware applies to the metrics only."""
        path = self._prefix + self._telemetry_path
        scrapes = [Route(each, self.metrics, middleware=scrape_middleware) for each in (path, f"{path}/")]
        # The page has relative links, so its path must end with a slash.
        redirects = [Route(each, self.redirect) for each in ("/", self._prefix)] if self._prefix else []
        pages = [
            Route(f"{self._prefix}/", self.status),
            Route(f"{self._prefix}/providers/{{slug:path}}", self.provider),
        ]
        return _app(
            [
                *scrapes,
                *pages,
                *redirects,
                *self._api.routes(self._prefix),
                *self._health_routes(self._prefix),
            ]
        )

    def health_app(self) -> Starlette:
        """Return an ASGI application with only the health routes, without the prefix."""
        return _app(self._health_routes(""))

    def _health_routes(self, prefix: str) -> list[Route]:
        endpoints = (self.healthy, self.ready)
        return [Route(path, each) for path, each in zip(health_paths(prefix), endpoints, strict=True)]

    async def redirect(self, request: Request) -> Response:
        """Redirect to the status page by a relative URL, because a proxy may add a prefix to the path."""
        is_root = request.url.path == "/"
        location = self._prefix.removeprefix("/") if is_root else self._prefix.rpartition("/")[2]
        return Response(status_code=302, headers={"Location": f"{location}/"})

    async def metrics(self, request: Request) -> Response:
        """Return 200 with the exposition, or 503 when it is overdue."""
        exposition = self._published.current
        if exposition.is_overdue(self._clock.age()):
            return PlainTextResponse(OVERDUE, 503)
        _link_to(exposition.snapshot.last_poll)
        headers = request.headers
        variant = negotiate(",".join(headers.getlist("accept")), ",".join(headers.getlist("accept-encoding")))
        body = exposition.encoded(variant)
        if body is None:
            try:
                body = await run_in_thread(partial(exposition.encode, variant))
            except ThreadError as error:
                return _unavailable(f"The metrics cannot be encoded: {error}.\n")
        response = StreamedResponse(self._scrapes, body, variant.format.value)
        response.headers["Vary"] = "Accept, Accept-Encoding"
        if variant.gzip:
            response.headers["Content-Encoding"] = "gzip"
        return response

    async def status(self, request: Request) -> Response:
        """Return the overview of all providers, or of those that the query selects."""
        query = Query.of(request.query_params)
        return await self._rendered(partial(self._page.overview, self._state(), query))

    async def provider(self, request: Request) -> Response:
        """Return the page of a provider, or 404."""
        slug = request.path_params["slug"]
        return await self._rendered(partial(self._page.detail, slug, self._state()))

    def _state(self) -> State:
        exposition = self._published.current
        overdue = exposition.is_overdue(self._clock.age())
        return State(exposition.snapshot, self._history, self._clock.date(), overdue, self._past())

    async def _rendered(self, render: Callable[[], bytes | None]) -> Response:
        try:
            rendered = await self._rendering.run(lambda: (render(),))
        except ThreadError as error:
            return _unavailable(f"The page cannot be rendered: {error}.\n")
        if rendered is None:
            return _unavailable("Too many requests for this page: try again.\n")
        if (html := rendered[0]) is None:
            return PlainTextResponse("The gateway's list has no such provider.\n", 404)
        response = StreamedResponse(self._pages, html, "text/html")
        response.headers.update(self._page.headers)
        return response

    async def healthy(self, request: Request) -> Response:
        """Return 200 while the poll loop runs, otherwise 503."""
        if self._published.current.is_overdue(self._clock.age()):
            return PlainTextResponse(OVERDUE, 503)
        return PlainTextResponse("OK\n")

    async def ready(self, request: Request) -> Response:
        """Return 200 when the provider list and the counts are fresh, otherwise 503."""
        exposition = self._published.current
        if exposition.is_overdue(self._clock.age()):
            return PlainTextResponse(OVERDUE, 503)
        if not exposition.snapshot.complete:
            return PlainTextResponse("Not ready: no fresh data from the gateway.\n", 503)
        return PlainTextResponse("Ready\n")


def health_paths(prefix: str) -> tuple[str, ...]:
    """Return the paths of the health routes."""
    return tuple(prefix + path for path in HEALTH_PATHS)


def _app(routes: Sequence[Route]) -> Starlette:
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app


def _unavailable(text: str) -> Response:
    return PlainTextResponse(text, 503, {"Retry-After": "1"})


def _link_to(poll: Poll | None) -> None:
    """Link the span of a scrape to the poll whose data it returns."""
    if poll is not None and poll.trace_id:
        sampled = trace.TraceFlags(trace.TraceFlags.SAMPLED)
        context = trace.SpanContext(poll.trace_id, poll.span_id, is_remote=False, trace_flags=sampled)
        trace.get_current_span().add_link(context)
