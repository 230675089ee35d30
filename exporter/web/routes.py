"""What the exporter answers over HTTP: `/metrics`, the status page and the health routes."""

from __future__ import annotations

from collections.abc import Sequence
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
from exporter.model.snapshot import Poll
from exporter.system.threads import run_in_thread
from exporter.web.answers import Answers, SharedBody
from exporter.web.status import StatusPage
from exporter.web.turns import Turns

HEALTH_PATHS = ("/-/healthy", "/-/ready")
DEAD_POLLER = "The poller has not renewed its data in time: it hangs or has died. Look at the log.\n"


class Web:
    """The routes, over the exposition in force; nothing here collects, fetches or waits for those who do."""

    def __init__(
        self,
        published: Published,
        clock: Clock,
        page: StatusPage,
        telemetry_path: str = "/metrics",
        route_prefix: str = "",
    ) -> None:
        """Hand out what is `published`.

        Args:
            published: Holds the newest exposition.
            clock: For its age.
            page: The status page.
            telemetry_path: Path of the metrics, without the prefix.
            route_prefix: What every path begins with, without a slash at its end.
        """
        self._published = published
        self._clock = clock
        self._page = page
        self._scrapes, self._pages = Answers(), Answers()
        self._renderings = Turns()
        self._telemetry_path = telemetry_path
        self._prefix = route_prefix

    def app(self, scrape_middleware: Sequence[Middleware] = ()) -> Starlette:
        """Return the ASGI application; the middleware is put around the metrics alone."""
        path = self._prefix + self._telemetry_path
        scrapes = [Route(each, self.metrics, middleware=scrape_middleware) for each in (path, f"{path}/")]
        # Links of the page are relative: its path has to end with a slash.
        redirects = [Route(each, self.to_page) for each in ("/", self._prefix)] if self._prefix else []
        page = Route(f"{self._prefix}/", self.status)
        return _app([*scrapes, page, *redirects, *self._health_routes(self._prefix)])

    def health_app(self) -> Starlette:
        """Return the ASGI application of the health routes alone, without the prefix."""
        return _app(self._health_routes(""))

    def _health_routes(self, prefix: str) -> list[Route]:
        ends = (self.healthy, self.ready)
        return [Route(path, end) for path, end in zip(health_paths(prefix), ends, strict=True)]

    async def to_page(self, request: Request) -> Response:
        """Redirect to the status page by a relative address, so that a proxy may add a path before it."""
        is_root = request.url.path == "/"
        location = self._prefix.removeprefix("/") if is_root else self._prefix.rpartition("/")[2]
        return Response(status_code=302, headers={"Location": f"{location}/"})

    async def metrics(self, request: Request) -> Response:
        """Answer a scrape: 200 with the exposition, or 503 when it is overdue."""
        exposition = self._published.current
        if exposition.is_overdue(self._clock.age()):
            return PlainTextResponse(DEAD_POLLER, 503)
        _link_to(exposition.snapshot.last_poll)
        headers = request.headers
        variant = negotiate(",".join(headers.getlist("accept")), ",".join(headers.getlist("accept-encoding")))
        body = exposition.encoded(variant)
        if body is None:
            try:
                body = await run_in_thread(partial(exposition.encode, variant))
            except ThreadError as error:
                return _unavailable(f"The metrics cannot be encoded: {error}.\n")
        response = SharedBody(self._scrapes, body, variant.format.value)
        response.headers["Vary"] = "Accept, Accept-Encoding"
        if variant.gzip:
            response.headers["Content-Encoding"] = "gzip"
        return response

    async def status(self, request: Request) -> Response:
        """Answer the status page, with `?q=` to search the providers."""
        exposition = self._published.current
        overdue = exposition.is_overdue(self._clock.age())
        query = request.query_params.get("q", "").strip()
        render = partial(self._page.render, exposition.snapshot, overdue, self._clock.date(), query)
        try:
            html = await self._renderings.run(render)
        except ThreadError as error:
            return _unavailable(f"The page cannot be rendered: {error}.\n")
        if html is None:
            return _unavailable("Too many wait for this page.\n")
        response = SharedBody(self._pages, html, "text/html")
        response.headers.update(self._page.headers)
        return response

    async def healthy(self, request: Request) -> Response:
        """Tell whether the poll loop turns: 200 or 503."""
        if self._published.current.is_overdue(self._clock.age()):
            return PlainTextResponse(DEAD_POLLER, 503)
        return PlainTextResponse("The poll loop turns.\n")

    async def ready(self, request: Request) -> Response:
        """Tell whether list and counts are there and fresh: 200 or 503."""
        exposition = self._published.current
        if exposition.is_overdue(self._clock.age()):
            return PlainTextResponse(DEAD_POLLER, 503)
        if not exposition.snapshot.complete:
            return PlainTextResponse("No fresh data from the gateway.\n", 503)
        return PlainTextResponse("Fresh data from the gateway.\n")


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
    """Link the span of a scrape to the poll whose data it is about to serve."""
    if poll is not None and poll.trace_id:
        sampled = trace.TraceFlags(trace.TraceFlags.SAMPLED)
        context = trace.SpanContext(poll.trace_id, poll.span_id, is_remote=False, trace_flags=sampled)
        trace.get_current_span().add_link(context)
