"""Tests of `exporter.web.routes` over real sockets."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from itertools import islice
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from exporter.config.settings import Settings
from exporter.metrics.exposition import GRACE_SECONDS, Variant
from exporter.web.page.pages import StatusPage
from exporter.web.routes import HEALTH_PATHS, Web
from exporter.web.server import Server
from exporter.web.throttle import MAX_PENDING
from tests.clocks import MovedClock
from tests.replay import LIST, STATS, ReplayGateway, answer
from tests.rig import OPENMETRICS, TEXT, Rig, rig
from tests.waiting import wait_until
from tests.webserver import run

PAGE = StatusPage(60)


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
        found: list[ReadableSpan] = []

        def has_ended() -> bool:
            found.extend(span for span in self.rig.spans() if span.kind is SpanKind.SERVER)
            return bool(found)

        wait_until(has_ended)
        (span,) = found
        return span


@contextmanager
def serving(
    running: Rig, page: StatusPage = PAGE, telemetry_path: str = "/metrics", route_prefix: str = ""
) -> Iterator[Site]:
    """Run the web server for an exporter."""
    poller = running.poller
    web = Web(poller.published, poller.history, running.clock, page, telemetry_path, route_prefix)
    with run(Server(web.app(running.telemetry.scrape_middleware()))) as port:
        yield Site(running, f"http://127.0.0.1:{port}")


@pytest.fixture
def site(running: Rig) -> Iterator[Site]:
    """An exporter with its web server, before the first poll."""
    with serving(running) as served:
        yield served


@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
@pytest.mark.parametrize(
    ("accept", "encoding", "variant"),
    [("", "", TEXT), ("application/openmetrics-text", "gzip", OPENMETRICS)],
    ids=["default", "OpenMetrics, gzip"],
)
def test_metrics(site: Site, path: str, accept: str, encoding: str, variant: Variant) -> None:
    """Both paths return the current exposition in the negotiated variant, even before the first poll."""
    for _ in range(2):
        response = site.get(path, Accept=accept, **{"Accept-Encoding": encoding})

        assert 200 == response.status_code
        assert variant.format.value == response.headers["Content-Type"]
        assert "Accept, Accept-Encoding" == response.headers["Vary"]
        assert encoding == response.headers.get("Content-Encoding", "")
        assert site.rig.poller.published.current.encode(variant) == response.content
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
    for path in ("/", "/metrics", *HEALTH_PATHS):
        response = requests.request(method, site.url + path, timeout=10)

        assert (405, {"GET", "HEAD"}) == (response.status_code, set(response.headers["Allow"].split(", ")))


def test_health_routes(site: Site, gateway: ReplayGateway) -> None:
    """Healthy from the start; ready after the first poll, and until data are stale."""
    assert [200, 503] == [site.get(path).status_code for path in HEALTH_PATHS]

    site.rig.poller.poll_once()
    answers = [site.get(path) for path in HEALTH_PATHS]
    assert [(200, "OK\n"), (200, "Ready\n")] == [(each.status_code, each.text) for each in answers]

    gateway.answers.update({LIST: answer(500), STATS: answer(500)})
    site.rig.clock.now += site.rig.settings.stale_after
    site.rig.poller.poll_once()

    assert [200, 503, 200] == [site.get(path).status_code for path in (*HEALTH_PATHS, "/metrics")]


def test_overdue_exposition(site: Site) -> None:
    """Returns 503 when the exposition is overdue."""
    site.rig.poller.poll_once()
    settings = site.rig.settings
    site.rig.clock.now += settings.interval + settings.fetch_timeout + GRACE_SECONDS - 0.1
    assert 200 == site.get("/metrics").status_code

    site.rig.clock.now += 0.1

    assert [503, 503, 503] == [site.get(path).status_code for path in ("/metrics", *HEALTH_PATHS)]
    assert "gatewayz_" not in site.get("/metrics").text
    assert "poller" in site.get("/").text.lower()


def test_status_page(site: Site) -> None:
    """The root returns the status page with a strict content security policy."""
    site.rig.poller.poll_once()

    response = site.get("/")

    assert (200, "text/html; charset=utf-8") == (response.status_code, response.headers["Content-Type"])
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "AiMo" in response.text


def test_many_requests_for_the_page(running: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renders one page at a time; returns 503 to too many requests; other routes and polls go on."""
    page, more, release, renderings = StatusPage(60), 5, threading.Event(), list[object]()
    render = page.overview

    def blocked(*values: Any) -> bytes:
        renderings.append(values)
        assert release.wait(20)
        return render(*values)

    monkeypatch.setattr(page, "overview", blocked)
    with serving(running, page) as site, ThreadPoolExecutor(MAX_PENDING + more) as pool:
        site.rig.poller.poll_once()
        asked = [pool.submit(site.get, f"/?q={number}") for number in range(MAX_PENDING + more)]
        refused = [future.result() for future in islice(as_completed(asked, 20), more)]
        beside = [site.get(path).status_code for path in ("/metrics", *HEALTH_PATHS)]
        site.rig.poller.poll_once()
        polls = site.rig.value("gatewayz_exporter_fetches_total", endpoint="stats", outcome="ok")
        rendered = len(renderings)
        release.set()
        answers = Counter(future.result().status_code for future in asked)
        after = site.get("/")

    assert {(503, "1", "Too many requests for this page: try again.\n")} == {
        (answer.status_code, answer.headers["Retry-After"], answer.text) for answer in refused
    }
    assert [200, 200, 200] == beside
    assert (2, 1) == (polls, rendered)
    assert {200: MAX_PENDING, 503: more} == answers
    assert 200 == after.status_code


PUBLIC = "https://host.example/tools/gateway/"
"""Where a proxy publishes the exporter."""


def links(html: str, url: str) -> set[str]:
    """Return the addresses to which a page leads."""
    found = re.findall(r' (?:href|src|action)="([^"]*)"', html)
    return {urljoin(url, unescape(link)) for link in found}


def behind_proxy(link: str, route_prefix: str) -> str:
    """Return the path that a proxy requests for a link below `PUBLIC`."""
    assert link.startswith(PUBLIC)
    return f"{route_prefix}/{link.removeprefix(PUBLIC)}"


@pytest.mark.parametrize("route_prefix", ["", "/exporter"])
@pytest.mark.parametrize("telemetry_path", ["/metrics", "/prom/metrics"])
def test_page_below_a_path(running: Rig, route_prefix: str, telemetry_path: str) -> None:
    """All links and forms of the page work behind a proxy with a path, with and without a route prefix."""
    running.poller.poll_once()
    page = StatusPage(60, telemetry_path)
    with serving(running, page, telemetry_path, route_prefix) as site:
        html, detail = (site.get(f"{route_prefix}/{path}").text for path in ("?q=aimo", "providers/aimo"))
        found = links(html, PUBLIC) | {
            link for link in links(detail, f"{PUBLIC}providers/aimo") if link.startswith(PUBLIC)
        }
        codes = {link: site.get(behind_proxy(link, route_prefix)).status_code for link in found}

    paths = (
        "",
        telemetry_path[1:],
        "-/healthy",
        "-/ready",
        "api/v1/status",
        "changes.atom",
        "providers/aimo",
    )
    assert "AiMo" in html
    assert {PUBLIC + path for path in (*paths, "providers/aimo")} <= set(codes)
    assert {200} == set(codes.values())


@pytest.mark.parametrize("prefix", ["/exporter", "/tools/exporter"])
def test_redirects_to_the_prefix(running: Rig, prefix: str) -> None:
    """The root and the prefix without a slash redirect to the page, also behind a proxy with a path."""
    running.poller.poll_once()
    with serving(running, route_prefix=prefix) as site:
        redirects = [site.get(path) for path in ("/", prefix)]
        page = site.get(f"{prefix}/")
        methods = [requests.post(site.url + path, timeout=10).status_code for path in ("/", prefix)]

    asked = (PUBLIC, PUBLIC + prefix[1:])
    locations = [answer.headers["Location"] for answer in redirects]
    assert [f"{PUBLIC}{prefix[1:]}/"] * 2 == list(map(urljoin, asked, locations))
    assert ([302, 302], 200) == ([answer.status_code for answer in redirects], page.status_code)
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
    for path in ("/", *HEALTH_PATHS, "/nothing"):
        site.get(path)
    scrape = site.scrape()

    assert ("GET /metrics", ()) == (scrape.name, tuple(scrape.links))


def test_no_exported_spans(settings_for: Callable[..., Settings], clock: MovedClock) -> None:
    """Without an OTLP endpoint scrapes have no tracing middleware."""
    with rig(settings_for(), clock, export=False) as quiet:
        assert () == tuple(quiet.telemetry.scrape_middleware())
