"""Tests of `exporter.web.routes` over real sockets."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import islice
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from exporter.config.settings import Settings, WebSettings
from exporter.metrics.exposition import GRACE_SECONDS, Format, Variant
from exporter.web.listeners import bind
from exporter.web.routes import HEALTH_PATHS, Web
from exporter.web.server import Server
from exporter.web.status import StatusPage
from exporter.web.throttle import MAX_PENDING
from tests.clocks import MovedClock
from tests.replay import LIST, STATS, ReplayGateway, answer
from tests.rig import Rig, rig
from tests.subpath import stripping_proxy


@dataclass
class Site:
    """A running exporter on a port of the loopback."""

    rig: Rig
    url: str

    def get(self, path: str, **headers: str) -> requests.Response:
        """Send a GET with only the given headers."""
        with requests.Session() as session:
            session.headers.clear()
            return session.get(self.url + path, headers=headers, timeout=10, allow_redirects=False)

    def scrape(self) -> ReadableSpan:
        """Scrape, and return the span, which ends a moment after the response."""
        self.get("/metrics")
        deadline = time.monotonic() + 10
        while True:
            servers = [span for span in self.rig.spans() if span.kind is SpanKind.SERVER]
            if servers or time.monotonic() > deadline:
                (span,) = servers
                return span
            time.sleep(0.01)


@contextmanager
def serving(web: Web, running: Rig) -> Iterator[Site]:
    """Run the web server for an exporter."""
    server = Server(web.app(running.telemetry.scrape_middleware()))
    listener = bind(WebSettings("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield Site(running, f"http://127.0.0.1:{listener.getsockname()[1]}")
    server.should_exit = True
    thread.join(5)
    assert not thread.is_alive()


@pytest.fixture
def site(running: Rig) -> Iterator[Site]:
    """An exporter with its web server, before the first poll."""
    web = Web(running.poller.published, running.clock, StatusPage(running.settings.interval))
    with serving(web, running) as served:
        yield served


@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
@pytest.mark.parametrize(
    ("accept", "encoding", "variant"),
    [
        ("", "", Variant(Format.TEXT, gzip=False)),
        ("application/openmetrics-text", "gzip", Variant(Format.OPENMETRICS, gzip=True)),
    ],
    ids=["default", "OpenMetrics, gzip"],
)
def test_metrics(site: Site, path: str, accept: str, encoding: str, variant: Variant) -> None:
    """Both paths return the current exposition in the negotiated variant, even before the first poll."""
    for _ in range(2):
        response = site.get(path, Accept=accept, **{"Accept-Encoding": encoding})

        exposition = site.rig.poller.published.current
        assert 200 == response.status_code
        assert variant.format.value == response.headers["Content-Type"]
        assert "Accept, Accept-Encoding" == response.headers["Vary"]
        assert encoding == response.headers.get("Content-Encoding", "")
        assert exposition.encode(Variant(variant.format, gzip=False)) == response.content
        site.rig.poller.poll_once()


def test_head(site: Site) -> None:
    """HEAD returns the headers of GET without a body."""
    response = requests.head(site.url + "/metrics", headers={"Accept-Encoding": "identity"}, timeout=10)

    assert (200, b"") == (response.status_code, response.content)
    assert len(site.rig.text.encode()) == int(response.headers["Content-Length"])


def test_unknown_paths(site: Site) -> None:
    """All other paths return 404 without a redirect."""
    paths = ("/metric", "/metrics/x", "/-/healthy/", "/favicon.ico", "/-/")

    assert dict.fromkeys(paths, 404) == {path: site.get(path).status_code for path in paths}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods(site: Site, method: str) -> None:
    """All other methods return 405 with the allowed methods."""
    for path in ("/", "/metrics", "/-/healthy", "/-/ready"):
        response = requests.request(method, site.url + path, timeout=10)

        assert (405, {"GET", "HEAD"}) == (response.status_code, set(response.headers["Allow"].split(", ")))


def test_health_routes_before_and_after_the_first_poll(site: Site) -> None:
    """Healthy from the start; ready after the first poll."""
    assert (200, 503) == (site.get("/-/healthy").status_code, site.get("/-/ready").status_code)

    site.rig.poller.poll_once()

    answers = [site.get(path) for path in HEALTH_PATHS]
    assert [(200, "OK\n"), (200, "Ready\n")] == [(each.status_code, each.text) for each in answers]


def test_not_ready_when_data_are_stale(site: Site, gateway: ReplayGateway) -> None:
    """With stale data the exporter is healthy but not ready."""
    site.rig.poller.poll_once()
    gateway.answers.update({LIST: answer(500), STATS: answer(500)})
    site.rig.clock.now += site.rig.settings.stale_after
    site.rig.poller.poll_once()

    assert (200, 503) == (site.get("/-/healthy").status_code, site.get("/-/ready").status_code)
    assert 200 == site.get("/metrics").status_code


def test_overdue_exposition(site: Site) -> None:
    """Returns 503 when the exposition is overdue."""
    site.rig.poller.poll_once()
    settings = site.rig.settings
    site.rig.clock.now += settings.interval + settings.fetch_timeout + GRACE_SECONDS - 0.1
    assert 200 == site.get("/metrics").status_code

    site.rig.clock.now += 0.1

    assert [503, 503, 503] == [site.get(path).status_code for path in ("/metrics", "/-/healthy", "/-/ready")]
    assert "gatewayz_" not in site.get("/metrics").text
    assert "poller" in site.get("/").text.lower()


def test_status_page(site: Site) -> None:
    """The root returns the status page with a strict content security policy."""
    site.rig.poller.poll_once()

    response = site.get("/")

    assert (200, "text/html; charset=utf-8") == (response.status_code, response.headers["Content-Type"])
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "AiMo" in response.text


class BlockedPage(StatusPage):
    """A status page that blocks rendering until it is released."""

    def __init__(self, interval: float) -> None:
        """Start blocked."""
        super().__init__(interval)
        self.release = threading.Event()
        self.renderings = 0

    def render(self, *values: Any, **more: Any) -> bytes:
        """Wait, then render."""
        self.renderings += 1
        assert self.release.wait(20)
        return super().render(*values, **more)


def test_many_requests_for_the_page(running: Rig) -> None:
    """Renders one page at a time; returns 503 to too many requests; other routes and polls go on."""
    page, more = BlockedPage(running.settings.interval), 5
    web = Web(running.poller.published, running.clock, page)
    with serving(web, running) as site, ThreadPoolExecutor(MAX_PENDING + more) as pool:
        site.rig.poller.poll_once()
        asked = [pool.submit(site.get, f"/?q={number}") for number in range(MAX_PENDING + more)]
        refused = [future.result() for future in islice(as_completed(asked, 20), more)]
        beside = [site.get(path).status_code for path in ("/metrics", "/-/healthy", "/-/ready")]
        site.rig.poller.poll_once()
        polls = site.rig.value("gatewayz_exporter_fetches_total", endpoint="stats", outcome="ok")
        renderings = page.renderings
        page.release.set()
        answers = Counter(future.result().status_code for future in asked)
        after = site.get("/")

    assert {(503, "1", "Too many requests for this page: try again.\n")} == {
        (answer.status_code, answer.headers["Retry-After"], answer.text) for answer in refused
    }
    assert [200, 200, 200] == beside
    assert (2, 1) == (polls, renderings)
    assert {200: MAX_PENDING, 503: more} == answers
    assert 200 == after.status_code


class Links(HTMLParser):
    """Collects the targets of links and forms."""

    def __init__(self, html: str) -> None:
        """Parse the page."""
        super().__init__()
        self.targets: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the targets of one element."""
        self.targets += [value or "" for name, value in attrs if name in ("href", "src", "action")]


@pytest.mark.parametrize("route_prefix", ["", "/exporter"])
@pytest.mark.parametrize("telemetry_path", ["/metrics", "/prom/metrics"])
def test_page_below_a_path(running: Rig, route_prefix: str, telemetry_path: str) -> None:
    """All links and forms of the page work behind a proxy with a path, with and without a route prefix."""
    running.poller.poll_once()
    page = StatusPage(running.settings.interval, telemetry_path)
    web = Web(running.poller.published, running.clock, page, telemetry_path, route_prefix)
    with serving(web, running) as site, stripping_proxy(site.url + route_prefix, "/tools/gateway") as public:
        html = requests.get(public, params={"q": "aimo"}, timeout=10).text
        targets = {urljoin(public, target) for target in Links(html).targets}
        codes = {target: requests.get(target, timeout=10).status_code for target in targets}

    paths = ("", telemetry_path[1:], "-/healthy", "-/ready")
    assert "AiMo" in html
    assert {public + path: 200 for path in paths} == codes


@pytest.mark.parametrize("prefix", ["/exporter", "/tools/exporter"])
def test_redirects_to_the_prefix(running: Rig, prefix: str) -> None:
    """The root and the prefix without a slash redirect to the page, also behind a proxy with a path."""
    running.poller.poll_once()
    web = Web(running.poller.published, running.clock, StatusPage(60), route_prefix=prefix)
    with serving(web, running) as site, stripping_proxy(site.url, "/public") as public:
        found = [requests.get(public + path, timeout=10) for path in ("", prefix[1:], f"{prefix[1:]}/")]
        methods = [requests.post(site.url + path, timeout=10).status_code for path in ("/", prefix)]

    assert [(200, f"{public}{prefix[1:]}/")] * 3 == [(answer.status_code, answer.url) for answer in found]
    assert [405, 405] == methods


def test_scrape_span_links_to_the_poll_it_serves(site: Site) -> None:
    """A scrape is one server span with a link to the poll whose data it returns."""
    site.rig.poller.poll_once()
    (poll,) = [span for span in site.rig.spans() if span.name == "poll"]

    scrape = site.scrape()

    assert "GET /metrics" == scrape.name
    assert [(poll.context.trace_id, poll.context.span_id)] == [
        (link.context.trace_id, link.context.span_id) for link in scrape.links
    ]
    assert poll.context.trace_id != scrape.context.trace_id


def test_only_scrapes_are_traced(site: Site) -> None:
    """Other routes create no spans; a scrape before the first poll has no link."""
    for path in ("/", "/-/healthy", "/-/ready", "/nothing"):
        site.get(path)
    scrape = site.scrape()

    assert ("GET /metrics", ()) == (scrape.name, tuple(scrape.links))


def test_no_middleware_without_exported_spans(
    settings_for: Callable[..., Settings], clock: MovedClock
) -> None:
    """Without an OTLP endpoint scrapes have no tracing middleware."""
    with rig(settings_for(), clock, export=False) as quiet:
        assert () == tuple(quiet.telemetry.scrape_middleware())
