"""Tests of `exporter.web.api` over real sockets."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any
from xml.etree import ElementTree

import pytest

from exporter.metrics.exposition import GRACE_SECONDS
from exporter.status.state import State
from exporter.web.api import MAX_CACHED, Api
from exporter.web.throttle import MAX_PENDING
from tests.openapi import OPENAPI, errors_of
from tests.replay import GOOD, LIST, STATS, ReplayGateway, answer, recorded_body
from tests.rig import Rig
from tests.web.test_routes import Site, serving

JSON = ("/api/v1/status", "/api/v1/providers", "/api/v1/providers/{slug}", "/api/v1/changes")
MEDIA_TYPES = {
    **dict.fromkeys(JSON, "application/json"),
    "/badge/{slug}/health.svg": "image/svg+xml",
    "/badge/{slug}/uptime.svg": "image/svg+xml",
    "/changes.atom": "application/atom+xml",
}
PATHS = {path: path.replace("{slug}", "groq") for path in MEDIA_TYPES}
every_path = pytest.mark.parametrize("path", PATHS.values())


@pytest.fixture
def site(running: Rig, gateway: ReplayGateway) -> Iterator[Site]:
    """An exporter with its web server after two polls, between which Groq went down and a fetch failed."""
    running.poller.poll_once()
    rows = json.loads(recorded_body(GOOD[LIST]))
    next(row for row in rows if row["slug"] == "groq")["health_status"] = "down"
    gateway.answers |= {LIST: answer(200, json.dumps(rows).encode()), STATS: answer(503)}
    running.poller.poll_once()
    with serving(running) as served:
        yield served


@pytest.mark.parametrize("path", JSON)
def test_documents_are_as_described(site: Site, path: str) -> None:
    """Every document is as docs/openapi.json describes it."""
    document = site.get(PATHS[path]).json()

    assert [] == errors_of(document, path)
    assert [] != errors_of({}, path)


@pytest.mark.parametrize("path", JSON)
def test_documents_before_the_first_poll(running: Rig, path: str) -> None:
    """Before the first poll documents without data are as described as well, and there is no provider."""
    with serving(running) as site:
        response = site.get(PATHS[path])

    assert (404 if "{slug}" in path else 200) == response.status_code
    assert "{slug}" in path or [] == errors_of(response.json(), path)


def test_every_route_is_described(running: Rig) -> None:
    """docs/openapi.json describes every route and its media type, and nothing else."""
    state = State(running.poller.published.current.snapshot, running.poller.history, running.clock.date())
    api = Api(lambda: state)
    routes = {route.path.replace("{slug:path}", "{slug}") for route in api.routes("")}
    described = {
        path: next(iter(operations["get"]["responses"]["200"]["content"]))
        for path, operations in OPENAPI["paths"].items()
    }

    assert (set(MEDIA_TYPES), MEDIA_TYPES) == (routes, described)


def test_what_changed(site: Site) -> None:
    """The documents, the badge and the feed agree on a provider that went down."""
    listed = site.get("/api/v1/providers").json()["providers"]
    detail = site.get("/api/v1/providers/groq").json()
    changes = site.get("/api/v1/changes").json()["changes"]
    status = site.get("/api/v1/status").json()

    assert ["down"] == [each["health"] for each in listed if each["slug"] == "groq"]
    assert ("down", "down") == (detail["provider"]["health"], detail["slots"][-1]["health"])
    assert [("health", "groq"), ("failing", "/providers/stats")] == [
        (change["kind"], change["subject"]) for change in changes
    ]
    assert {"groq"} == {change["subject"] for change in detail["changes"]}
    assert "5 providers down" == status["headline"]
    assert "down" in site.get("/badge/groq/health.svg").text
    assert "groq is down" in site.get("/changes.atom").text


@every_path
def test_headers(site: Site, path: str) -> None:
    """Documents have their media type, are revalidated, and have no header for other origins."""
    headers = site.get(path).headers
    (template,) = [each for each, filled in PATHS.items() if filled == path]

    assert headers["Content-Type"].split(";")[0] == MEDIA_TYPES[template]
    assert ("no-cache", "nosniff") == (headers["Cache-Control"], headers["X-Content-Type-Options"])
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert not [name for name in headers if name.lower().startswith("access-control")]


@every_path
def test_etag(site: Site, path: str) -> None:
    """A client that has the document gets 304 without a body, until the document changes."""
    first = site.get(path)
    again = site.get(path, **{"If-None-Match": f'"other", {first.headers["ETag"]}'})
    other = site.get(path, **{"If-None-Match": '"other"'})

    assert (304, b"", first.headers["ETag"]) == (again.status_code, again.content, again.headers["ETag"])
    assert (200, first.content) == (other.status_code, other.content)


def test_made_once_for_a_snapshot(site: Site) -> None:
    """A document is made once for a snapshot, and again for the next one."""
    before = site.get("/api/v1/status")
    site.rig.clock.now += 5
    same = site.get("/api/v1/status")
    site.rig.poller.poll_once()

    assert before.content == same.content
    assert before.content != site.get("/api/v1/status").content


def test_most_cached_documents(site: Site) -> None:
    """The cache of a snapshot is limited; documents beyond are made again, and no less right."""
    paths = (f"/api/v1/providers/no-{number}" for number in range(MAX_CACHED + 1))

    assert {404} == {site.get(path).status_code for path in paths}
    assert 200 == site.get("/api/v1/providers/groq").status_code


@pytest.mark.parametrize("template", [path for path in PATHS if "{slug}" in path])
def test_unknown_provider(site: Site, template: str) -> None:
    """A provider that is not listed is not found."""
    response = site.get(template.replace("{slug}", "nobody"))

    assert (404, {"error": "The gateway's list has no such provider."}) == (
        response.status_code,
        response.json(),
    )


HOSTILE = '<script>"a&b"/../\N{RIGHT-TO-LEFT OVERRIDE}\x07'


def test_hostile_names(site: Site, gateway: ReplayGateway) -> None:
    """Names of providers are data everywhere: SVG and Atom stay well-formed, JSON is not read as HTML."""
    rows = [{"slug": HOSTILE, "name": HOSTILE, "health_status": "healthy", "is_active": True}]
    gateway.answers[LIST] = answer(200, json.dumps(rows).encode())
    site.rig.poller.poll_once()
    quoted = "/".join(map(_quoted, HOSTILE.split("/")))

    assert [HOSTILE] == [each["slug"] for each in site.get("/api/v1/providers").json()["providers"]]
    assert HOSTILE == site.get(f"/api/v1/providers/{quoted}").json()["provider"]["name"]
    for path in (f"/badge/{quoted}/health.svg", f"/badge/{quoted}/uptime.svg", "/changes.atom"):
        tree = ElementTree.fromstring(site.get(path).content)
        assert HOSTILE.replace("\x07", "\ufffd") in "".join(tree.itertext())


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def test_dead_poller(site: Site) -> None:
    """The status says that the poller hangs; data that are known are still served."""
    site.rig.clock.now += site.rig.settings.interval + site.rig.settings.fetch_timeout + GRACE_SECONDS

    status = site.get("/api/v1/status").json()

    assert ("bad", True) == (status["tone"], status["headline"].startswith("The poller hangs"))
    assert 200 == site.get("/api/v1/providers/groq").status_code


def test_too_many_requests(running: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents are made one at a time; too many requests at once get 503, and scrapes go on."""
    release, more = threading.Event(), 5

    def blocked(state: State) -> Any:
        assert release.wait(20)
        return []

    monkeypatch.setattr("exporter.status.documents.changes", blocked)
    with serving(running) as site, ThreadPoolExecutor(MAX_PENDING + more) as pool:
        asked = [pool.submit(site.get, "/api/v1/changes") for _ in range(MAX_PENDING + more)]
        refused = [future.result() for future in islice(as_completed(asked, 20), more)]
        scraped = site.get("/metrics").status_code
        release.set()
        codes = Counter(future.result().status_code for future in asked)

    assert {(503, "1")} == {(each.status_code, each.headers["Retry-After"]) for each in refused}
    assert 200 == scraped
    assert {200: MAX_PENDING, 503: more} == codes
