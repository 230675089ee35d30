"""Tests of `exporter.web.page.pages` and `view` on the parsed pages."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, TreeBuilder

import pytest

from exporter import __version__
from exporter.errors import HINTS, Outcome
from exporter.model.changes import Changes, HealthChange
from exporter.model.endpoints import Endpoint
from exporter.model.history import History
from exporter.model.provider import CAPABILITIES, HealthStatus, Provider, ProviderStats
from exporter.model.snapshot import Fetch, Snapshot
from exporter.status.state import Past, State
from exporter.web.page.links import Links
from exporter.web.page.pages import StatusPage
from exporter.web.page.query import STATES, Query
from exporter.web.page.view import MAX_ROWS, RECENT
from tests.fleet import (
    EMPTY,
    FLEET,
    HEALTHY,
    MISSING,
    NOW,
    STALE,
    WAITING,
    after,
    fetch,
    poll,
    poll_of,
    provider,
    snapshot_of,
)
from tests.model.test_history import poll as listed
from tests.model.test_history import slots

UNKNOWN, DEGRADED, DOWN = HealthStatus.UNKNOWN, HealthStatus.DEGRADED, HealthStatus.DOWN
DAY = 86_400.0
INTERVAL = 60.0
VOID = frozenset({"meta", "input", "br", "link", "img", "hr"})
COLUMNS = ["Provider", "Health", "Uptime", "Response time", "Last check", "Can"]


class PageParser(HTMLParser):
    """Builds the tree of a page, and fails on mismatched tags."""

    def __init__(self) -> None:
        """Start with an empty tree."""
        super().__init__()
        self.tree = TreeBuilder()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        self.tree.start(tag, {name: value or "" for name, value in attrs})
        if tag in VOID:
            self.tree.end(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the current element."""
        assert tag == self.tree.end(tag).tag

    def handle_data(self, data: str) -> None:
        """Append text."""
        self.tree.data(data)


def parse(body: bytes) -> Element:
    """Return the root of a page."""
    assert body.rstrip().endswith(b"</html>")
    parser = PageParser()
    parser.feed(body.decode())
    parser.close()
    return parser.tree.close()


def text(element: Element) -> str:
    """Return the text of an element, with whitespace collapsed."""
    return " ".join("".join(element.itertext()).split())


def one(element: Element, path: str) -> Element:
    """Return the only descendant with this path."""
    (found,) = element.findall(f".//{path}")
    return found


def classes(element: Element) -> list[str]:
    """Return the classes of an element."""
    return element.get("class", "").split()


def classed(element: Element, name: str) -> list[Element]:
    """Return the elements of a class."""
    return [each for each in element.iter() if name in classes(each)]


LARGE = snapshot_of(*(provider(f"fleet-{number:04d}") for number in range(1000)))
HOSTILE_TEXTS = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    *("</title></style></table><script>", "{{ 7 * 7 }}{% raw %}", "<!-- <![CDATA[ <?php --> ]]>"),
    *("&lt;b&gt; &amp;", "line\nbreak\ttab", "null\0in it", "\ud800", "\u202ereversed \u2067isolated"),
    *("' onmouseover='alert(1)", "long" * 2560),
)
HOSTILE = snapshot_of(
    *(provider(each, name=each) for each in HOSTILE_TEXTS),
    last_poll=poll_of(
        *(fetch(each, Outcome.SERVER_ERROR, hint="<script>", request_id='"><script>') for each in Endpoint)
    ),
)
PAGES = {
    "fleet": FLEET,
    "waiting": WAITING,
    "missing": MISSING,
    "stale": STALE,
    "empty": EMPTY,
    "hostile": HOSTILE,
}
PAGE = StatusPage(INTERVAL)
NO_HISTORY = History(0, INTERVAL, NOW)
ALL = Query()


def past() -> History:
    """Return a history of a day in which `calm` was down for an hour in the last two, and a fetch failed."""
    history = History(DAY, INTERVAL, NOW - DAY)
    before = Snapshot()
    for minutes in range(120, -1, -15):
        health = DOWN if 60 < minutes <= 120 else HealthStatus.HEALTHY
        outcome = Outcome.TIMEOUT if minutes == 15 else Outcome.OK
        change = Changes((HealthChange("calm", DOWN, health),)) if minutes == 60 else Changes()
        row = Provider("calm", health=health, is_active=True, response_time_ms=200.0)
        each, ok = listed(NOW - 60 * minutes, [row], outcome), outcome is Outcome.OK
        history.record(each, change, before)
        failing = {} if ok else {Endpoint.PROVIDERS: each.date}
        before = Snapshot(last_poll=each, failing_since=failing, health_since={"calm": NOW - 7200})
    return history


PAST = past()


@pytest.fixture(scope="module")
def large() -> Element:
    """The page of a thousand providers, parsed once because parsing is slow."""
    return view(LARGE)


def render(
    snapshot: Snapshot, overdue: bool = False, history: History = NO_HISTORY, query: Query = ALL
) -> bytes:
    """Return the overview."""
    return PAGE.overview(State(snapshot, history, NOW, overdue), query)


def view(
    snapshot: Snapshot, overdue: bool = False, history: History = NO_HISTORY, query: Query = ALL
) -> Element:
    """Return the parsed overview."""
    return parse(render(snapshot, overdue, history, query))


def detail(snapshot: Snapshot, slug: str = "calm", history: History = PAST) -> Element:
    """Return the parsed page of a provider."""
    body = PAGE.detail(slug, State(snapshot, history, NOW))
    assert body is not None
    return parse(body)


def rows(document: Element) -> list[list[Element]]:
    """Return the cells of the rows in the body of the table."""
    return [list(row) for row in document.findall(".//tbody/tr")]


def names(document: Element) -> list[str]:
    """Return the names in the order of the table."""
    return [text(one(row[0], "bdi")) for row in rows(document)]


def cell(shown: Provider, column: str, history: History = NO_HISTORY, **values: object) -> Element:
    """Return the cell of a table with one provider."""
    (row,) = rows(view(snapshot_of(shown, **values), history=history))
    return row[COLUMNS.index(column)]


def facts(section: Element) -> dict[str, str]:
    """Return the description list of a section."""
    return dict(zip(map(text, section.iter("dt")), map(text, section.iter("dd")), strict=True))


def section(document: Element, name: str) -> Element:
    """Return the section whose heading begins with a text."""
    headings = ("h2", "h3")
    (found,) = [
        each
        for each in document.iter("section")
        if any(text(heading).startswith(name) for tag in headings for heading in each.iter(tag))
        and not list(each.iter("section"))[1:]
    ]
    return found


# The overall state


@pytest.mark.parametrize(
    ("tone", "snapshot"),
    [("good", FLEET), ("none", WAITING), ("warn", EMPTY), ("bad", snapshot_of(provider("a", DOWN)))],
)
def test_banner(tone: str, snapshot: Snapshot) -> None:
    """The headline is in the banner and in the title."""
    document = view(snapshot)
    sentence = text(one(document, "strong"))

    assert f"{sentence} · GatewayZ providers" == text(one(document, "title"))
    assert ["banner", tone] == classes(one(document, "section[@aria-label='Overall state']"))


def test_overdue_exposition() -> None:
    """The banner of an overdue exposition says what to do."""
    banner = text(classed(view(FLEET, overdue=True), "banner")[0])

    assert banner.startswith("The poller hangs: showing data from 12:03:03 UTC")
    assert "/metrics returns 503. See the exporter's log and restart it." in banner


def test_summary() -> None:
    """The summary counts active providers by health, worst first, and inactive ones separately."""
    fleet = [provider(health.label, health) for health in HealthStatus]
    others = (provider("silent", age=9999), provider("off", DOWN, is_active=False))

    expected = "5 active: 1 down, 1 degraded, 1 unknown, 2 healthy · 1 overdue · 1 inactive"
    assert expected in text(classed(view(snapshot_of(*fleet, *others)), "banner")[0])


# The table


@pytest.mark.parametrize(
    ("expected", "tone", "shown"),
    [
        ("healthy", "good", provider("a")),
        ("healthy", "good", provider("a", age=3603)),
        ("healthy overdue", "none", provider("a", age=3603.5)),
        ("healthy", "none", provider("a", age=None)),
        ("down", "bad", provider("a", DOWN, age=None)),
        ("down overdue", "bad", provider("a", DOWN, age=9999)),
        ("degraded", "warn", provider("a", DEGRADED, is_active=None)),
        ("unknown", "none", provider("a", UNKNOWN)),
        ("down", "none", provider("a", DOWN, age=None, is_active=False)),
    ],
)
def test_health_badges(expected: str, tone: str, shown: Provider) -> None:
    """Health and overdue checks are badges with text; healthy has a colour only if the check is recent."""
    badges = classed(cell(shown, "Health"), "badge")

    assert expected == " ".join(map(text, badges))
    assert tone in classes(badges[0])


def test_inactive_rows() -> None:
    """Only rows of inactive providers have the class `inactive`."""
    shown = (HEALTHY, provider("off", is_active=False), provider("x", is_active=None))

    assert [[], [], ["inactive"]] == [*map(classes, view(snapshot_of(*shown)).findall(".//tbody/tr"))]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ({"a": NOW - 734}, "since 11:50:52 UTC, 12 min ago"),
        ({"a": NOW - 4 * 86_400}, "since 2026-06-27 12:03:06 UTC, 4 days ago"),
        ({"a": None}, "since before 12:03:06 UTC"),
        ({}, "since before 12:03:06 UTC"),
    ],
)
def test_health_since(since: Mapping[str, float | None], expected: str) -> None:
    """The badge is followed by the time of the last change of health."""
    assert f"healthy {expected}" == text(cell(provider("a"), "Health", health_since=since))


def test_health_since_before_the_start() -> None:
    """The slots of Prometheus give the start of a health."""
    history = History(DAY, INTERVAL, NOW)
    history.fill("a", slots(DOWN, HealthStatus.HEALTHY, end=NOW - 186))
    row = parse(PAGE.overview(State(snapshot_of(provider("a")), history, NOW), ALL))

    assert "healthy since about 11:45:00 UTC, 18 min ago" in text(row)


@pytest.mark.parametrize(("age", "expected"), [(5, "5 s ago 12:03:01 UTC"), (None, "never")])
def test_last_check(age: float | None, expected: str) -> None:
    """The last check has its age and its time."""
    assert expected == text(cell(provider("a", age=age), "Last check"))


def test_machine_readable_times() -> None:
    """Each time has an RFC 3339 value as attribute."""
    times = [time.get("datetime", "") for time in view(FLEET).iter("time")]

    assert "2026-07-01T12:03:01Z" in times
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time in times)


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(0.0, "0 ms"), (1999.6, "2,000 ms"), (1.7e308, "2e+308 ms"), (None, "not reported")],
)
def test_response_time(milliseconds: float | None, expected: str) -> None:
    """The response time is text; without history there is no sparkline."""
    time = cell(provider("a", response_time_ms=milliseconds), "Response time")

    assert (expected, []) == (text(time), list(time.iter("svg")))


def test_capabilities() -> None:
    """Capabilities that a provider has, or may have, are named."""
    fields = [field for _, field in CAPABILITIES]
    shown = provider("a", **dict(zip(fields, (True, False, None, True), strict=True)))

    assert "streaming vision? images" == text(cell(shown, "Can"))


def test_history() -> None:
    """A row has uptime, a bar with its text, and a sparkline that screen readers skip."""
    uptime, time = (cell(HEALTHY, column, PAST) for column in ("Uptime", "Response time"))
    bar = one(uptime, "svg")

    assert "55.55 %" == text(one(uptime, "b"))
    assert ("img", bar.get("aria-label")) == (bar.get("role"), text(one(bar, "title")))
    assert "down 10:00 to 11:00, no data before 10:00 (UTC)" == bar.get("aria-label")
    assert ["track", "good", "bad"] == [path.get("class") for path in bar.iter("path")]
    assert "true" == one(time, "svg").get("aria-hidden")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (PAST, "1 provider, worst first, inactive last. History: the last 24 h; lower is worse."),
        (History(DAY, INTERVAL, NOW - 600), "History: since 11:53:06 UTC, 10 min ago; lower is worse."),
        (NO_HISTORY, "1 provider, worst first, inactive last."),
    ],
    ids=["complete", "since the start", "none"],
)
def test_extent_of_the_history(history: History, expected: str) -> None:
    """The caption says how far the history goes back, if there is one."""
    caption = text(one(view(FLEET, history=history), "caption"))

    assert caption.endswith(expected)


def test_no_history() -> None:
    """Without history there are no bars, and no section of changes."""
    document = view(FLEET)

    assert [] == classed(document, "bar")
    assert "\N{EN DASH}" == text(cell(HEALTHY, "Uptime"))
    assert "Recent changes" not in text(document)


def test_name() -> None:
    """Names are bidi-isolated and lead to the provider's page; the slug replaces a missing name."""
    document = view(snapshot_of(provider("a/b c", name="A"), provider("b", name="")))

    assert ["A", "b"] == names(document)
    assert ["providers/a/b%20c", "providers/b"] == [one(row[0], "a").get("href") for row in rows(document)]


def test_prometheus() -> None:
    """The longest uptime that Prometheus has stands beside that of the history; a failure is named."""
    past = Past({"24h": {"calm": 0.9}, "30d": {"calm": 0.99951}}, "no complete response within 20 s")
    document = parse(PAGE.overview(State(FLEET, PAST, NOW, past=past), ALL))
    (row,) = rows(document)
    of_provider = PAGE.detail("calm", State(FLEET, PAST, NOW, past=past)) or b""

    assert text(row[COLUMNS.index("Uptime")]).endswith("55.55 % 99.95 % in 30d")
    assert "Prometheus cannot be read: no complete response within 20 s." in text(one(document, "caption"))
    assert "Uptime 55.55 %, 99.95 % in 30d" == text(one(section(parse(of_provider), "Uptime"), "h2"))


# Changes


def test_recent_changes() -> None:
    """Changes of providers and endpoints are listed with their age, newest first."""
    changes = one(view(FLEET, history=PAST), "ol")

    assert [
        "/providers of the gateway works again after 15 min just now 12:03:06 UTC",
        "/providers of the gateway fails: timeout 15 min ago 11:48:06 UTC",
        "calm is healthy, it was down after 60 min 60 min ago 11:03:06 UTC",
    ] == [*map(text, changes)]
    assert ["good", "bad", "good"] == [classes(dot)[1] for dot in classed(changes, "dot")]
    assert ["./providers/calm"] == [link.get("href") for link in changes.iter("a")]


def test_most_changes() -> None:
    """Only the newest changes are on the overview."""
    history = History(DAY, INTERVAL, NOW)
    history.record(listed(NOW), Changes(appeared=tuple(map(str, range(20))), vanished=("x",)))

    assert RECENT == len(one(view(FLEET, history=history), "ol"))


def test_no_changes() -> None:
    """Without changes the section says since when there was none."""
    document = view(FLEET, history=History(DAY, INTERVAL, NOW - 60))

    assert "Recent changes None since 12:02:06 UTC." == text(section(document, "Recent changes"))


# Polls of the gateway


def test_counts() -> None:
    """The gateway's counts are shown in its order, with thousands separators."""
    expected = dict(zip(ProviderStats.__struct_fields__, ("1,234", *"123456"), strict=True))

    assert expected == facts(section(view(FLEET), "The gateway's own counts"))


AGREES, FAILS = ProviderStats(1, 1, 0, 1, 0, 0, 0), poll("ok", "timeout")


@pytest.mark.parametrize(
    ("snapshot", "overdue", "is_open"),
    [
        (snapshot_of(HEALTHY, stats=AGREES), False, False),
        (snapshot_of(HEALTHY, stats=AGREES), True, True),
        (snapshot_of(HEALTHY, stats=AGREES, last_poll=FAILS), False, True),
        (FLEET, False, True),
        (snapshot_of(HEALTHY, stats=None), False, False),
    ],
    ids=["all well", "overdue", "failed", "counts differ", "no counts"],
)
def test_fold(snapshot: Snapshot, overdue: bool, is_open: bool) -> None:
    """The fold with the polls is open when there is something wrong in it."""
    assert is_open is (one(view(snapshot, overdue), "details").get("open") is not None)


def test_last_poll() -> None:
    """The section has start, duration, trace id and last success of both endpoints."""
    assert {
        "Started": "4 s ago 12:03:02 UTC",
        "Took": "1.2 s",
        "Trace": "00000000000000000000000000000abc",
        "Last full success": "3 s ago 12:03:03 UTC",
    } == facts(section(view(FLEET), "Last poll"))


def test_before_the_first_poll() -> None:
    """Without a poll there are no counts, outcomes and successes."""
    document = view(WAITING)

    assert "No fresh counts" in text(section(document, "The gateway's own counts"))
    assert {"Last full success": "never"} == facts(section(document, "Last poll"))
    for endpoint in Endpoint:
        found = section(document, f"{endpoint.path} not polled yet")
        assert {"Last success": "never"} == facts(found)


FAILED: Mapping[str, Any] = {"status": None, "attempts": 3, "duration_seconds": 9.8, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("fetched", "expected", "badge", "hints"),
    [
        (fetch(Endpoint.STATS), ("200", "1 in 250 ms"), ("good", "ok"), []),
        (
            fetch(Endpoint.STATS, Outcome.RATE_LIMITED, hint="Ask less. (seen: 429)", **FAILED),
            ("no answer", "3 in 9.8 s", "req_1"),
            ("bad", "rate limited"),
            ["Ask less. (seen: 429)"],
        ),
        (
            fetch(Endpoint.STATS, Outcome.FORBIDDEN, status=403),
            ("403", "1 in 250 ms"),
            ("bad", "forbidden"),
            [HINTS[Outcome.FORBIDDEN]],
        ),
    ],
    ids=["success", "failure", "default hint"],
)
def test_fetch(fetched: Fetch, expected: tuple[str, ...], badge: tuple[str, str], hints: list[str]) -> None:
    """The section has status, attempts, duration and last success; a failure has request id and hint, too."""
    found = section(view(snapshot_of(HEALTHY, last_poll=poll_of(fetched))), "/providers/stats")
    last = {"Last success": "3 s ago 12:03:03 UTC"}

    assert dict(zip(("HTTP status", "Attempts", "Request id"), expected, strict=False)) | last == facts(found)
    assert [badge[1]] == [*map(text, classed(found, badge[0]))]
    assert hints == [*map(text, classed(found, "hint"))]


# Selection


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (WAITING, "The first poll is still running"),
        (MISSING, "The gateway has not returned a list yet"),
        (STALE, "The last list is stale"),
        (EMPTY, "The gateway returns an empty list"),
    ],
)
@pytest.mark.parametrize("query", ["", "x"])
def test_no_providers(snapshot: Snapshot, expected: str, query: str) -> None:
    """Without providers a sentence with the reason replaces the table, also for a search."""
    document = view(snapshot, query=Query(query))

    assert text(classed(document, "empty")[0]).startswith(expected)
    assert None is document.find(".//table")


def test_large_fleet(large: Element) -> None:
    """A large fleet is cut off; the caption has the total."""
    assert [f"Fleet-{number:04d}" for number in range(MAX_ROWS)] == names(large)
    assert text(one(large, "caption")).startswith("1,000 providers, the first 100 shown, worst first")


def test_form(large: Element) -> None:
    """The form has labelled fields with what is selected, and keeps the order."""
    form = one(view(LARGE, query=Query("0007", "healthy", "vision", "name", "1")), "form")
    options = {each.get("id"): [*map(text, each.iter("option"))] for each in form.iter("select")}
    selected = [text(option) for option in form.iter("option") if option.get("selected") is not None]
    fields = {field.get("name"): field.get("value") for field in form.iter("input")}

    assert ("./", "get") == (form.get("action"), form.get("method"))
    assert {"q", "state", "can"} == {label.get("for") for label in form.iter("label")}
    assert {
        "state": ["Any state", *STATES],
        "can": ["Any capability", *(name for name, _ in CAPABILITIES)],
    } == options
    assert (["healthy", "vision"], {"q": "0007", "sort": "name", "desc": "1"}) == (selected, fields)


@pytest.mark.parametrize(
    ("query", "tag", "expected"),
    [
        ({"q": "0007"}, "caption", "1 of 1,000 providers, worst first"),
        ({"q": "fleet"}, "caption", "1,000 of 1,000 providers, the first 100 shown"),
        ({"sort": "name", "desc": "1"}, "caption", "1,000 providers, the first 100 shown, by name."),
        ({"q": "no"}, "main", "None of 1,000 providers is like that, with “no” in its name or slug."),
        ({"state": "down"}, "main", "None of 1,000 providers is like that."),
    ],
)
def test_selection(query: Mapping[str, str], tag: str, expected: str) -> None:
    """The page has the number of selected providers, and a link to all."""
    document = view(LARGE, query=Query.of(query))

    assert expected in text(one(document, tag))
    assert "Show all" in [*map(text, document.findall(".//a[@href='./']"))]


def test_links_of_columns() -> None:
    """Headings of columns are links that sort, the current one in the other direction; it is marked."""
    headings = one(view(FLEET, query=Query("calm", sort="uptime")), "thead/tr")

    assert {
        "Provider": "./?q=calm&sort=name",
        "Health": "./?q=calm",
        "Uptime": "./?q=calm&sort=uptime&desc=1",
        "Response time": "./?q=calm&sort=time",
        "Last check": "./?q=calm&sort=checked",
    } == {text(each): one(each, "a").get("href") for each in headings if each.find("a") is not None}
    assert ["ascending"] == [each.get("aria-sort") for each in headings if each.get("aria-sort")]


# One provider


def test_page_of_a_provider() -> None:
    """The page of a provider has health, uptime, a chart, its own changes, its record and its metrics."""
    shown = provider("calm", id="7", supports_vision=True, supports_streaming=False, response_time_ms=341.0)
    document = detail(snapshot_of(shown, health_since={"calm": NOW - 3600}))

    assert "Calm: healthy · GatewayZ providers" == text(one(document, "head/title"))
    assert "Calm healthysince 11:03:06 UTC, 60 min ago" == text(classed(document, "banner")[0])
    assert "Uptime 55.55 %" == text(one(section(document, "Uptime"), "h2"))
    assert "Response times: 200 to 200 ms, 200 ms on average." in text(section(document, "Response time"))
    assert ["calm is healthy, it was down after 60 min 60 min ago 11:03:06 UTC"] == [
        *map(text, one(document, "ol"))
    ]
    assert {
        "Slug": "calm",
        "Id": "7",
        "Active": "yes",
        "Last check": "5 s ago 12:03:01 UTC",
        "Streaming": "no",
        "Functions": "unknown",
        "Vision": "yes",
        "Images": "unknown",
        "As JSON": "/api/v1/providers/calm",
    } == facts(section(document, "Record"))
    assert "gatewayz_provider_response_time_ms" in [*map(text, document.iter("li"))]


def test_links_of_the_record() -> None:
    """The site and the status page of a provider are links that do not tell where they were followed."""
    site, status = "https://calm.example", "https://status.calm.example/?a=1&b=2"
    shown = provider("calm", site_url=site, status_page_url=status)
    record = section(detail(snapshot_of(shown)), "Record")

    own = ("../api/v1/providers/calm", None)
    assert [(site, "noreferrer"), (status, "noreferrer"), own] == [
        (link.get("href"), link.get("rel")) for link in record.iter("a")
    ]
    assert [own[0]] == [link.get("href") for link in section(detail(FLEET), "Record").iter("a")]


def test_provider_without_history() -> None:
    """Without history the page has health and record."""
    document = detail(FLEET, history=NO_HISTORY)

    assert ["Record", "Metrics"] == [*map(text, document.iter("h2"))]


@pytest.mark.parametrize(
    ("snapshot", "tone", "expected"),
    [
        (FLEET, "none", "x is not in the gateway's list"),
        (EMPTY, "warn", "The gateway lists no provider"),
        (STALE, "bad", "Gateway unreachable: data are stale, the last list is from 11:56:26 UTC"),
    ],
    ids=["vanished", "empty", "stale"],
)
def test_provider_of_the_history(snapshot: Snapshot, tone: str, expected: str) -> None:
    """A provider that is no longer listed still has its history, and the reason in the banner."""
    history = History(DAY, INTERVAL, NOW)
    history.record(listed(NOW, [provider("x", DOWN)]))
    document = parse(PAGE.detail("x", State(snapshot, history, NOW)) or b"")

    (banner,) = classed(document, "banner")
    assert ["banner", tone] == classes(banner)
    assert "".join(banner.itertext()).strip().startswith(f"{expected}Nothing current is known of x.")
    titles = [text(title) for title in document.iter("h2")]
    assert ["Uptime 0 %", "Response time not reported", "Changes", "Record", "Metrics"] == titles
    assert [] == list(section(document, "Record").iter("a"))


def test_provider_that_is_not_listed() -> None:
    """There is no page of a provider that was never listed, nor before the first list."""
    assert [None, None] == [
        PAGE.detail("x", State(snapshot, NO_HISTORY, NOW)) for snapshot in (FLEET, WAITING)
    ]


@pytest.mark.parametrize(("slug", "root"), [("calm", "../"), ("a/b", "../../")])
def test_links_of_a_provider(slug: str, root: str) -> None:
    """The links lead to the overview and the other routes, even if the slug has slashes."""
    document = detail(snapshot_of(provider(slug)), slug)
    links = [link.get("href") or "" for link in document.iter("a")]

    assert [root, f"{root}api/v1/providers/{slug}", f"{root}metrics"] == links[:3]


def test_links_to_grafana() -> None:
    """With a Grafana the trace, the boards and the board of a provider are links."""
    page = StatusPage(INTERVAL, links=Links("https://grafana.example.com", ""))
    overview = parse(page.overview(State(FLEET, NO_HISTORY, NOW), ALL))
    of_provider = parse(page.detail("calm", State(FLEET, NO_HISTORY, NOW)) or b"")
    there = "https://grafana.example.com/"

    links = [
        [link.get("href", "").removeprefix(there).partition("?")[0] for link in document.iter("a")]
        for document in (overview, of_provider)
    ]
    found = [[each for each in page_links if each.startswith(("explore", "d/"))] for page_links in links]
    boards = "d/gatewayz-provider-management"
    assert [["explore", boards], ["d/gatewayz-provider", boards]] == found


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "What to do: docs/runbooks/GatewayzDatabaseDown.md"),
        ("https://git.example.com/main", "What to do"),
    ],
)
def test_runbook(url: str, expected: str) -> None:
    """The banner names the runbook, as a link if their root is known."""
    page = StatusPage(INTERVAL, links=Links("", url))
    shown = parse(page.overview(State(after("empty", "empty"), NO_HISTORY, NOW), ALL))
    runbook = next(each for each in shown.iter("span") if each.get("class") == "runbook")

    assert expected == text(runbook)
    assert [f"{url}/docs/runbooks/GatewayzDatabaseDown.md"][: bool(url)] == [
        link.get("href") for link in runbook.iter("a")
    ]


# Rendering


def test_cache() -> None:
    """A snapshot is rendered once, by identity; selections and overdue pages are rendered each time."""
    cached = render(FLEET)

    assert render(FLEET, query=Query("c")) is not render(FLEET, query=Query("c"))
    later = PAGE.overview(State(FLEET, NO_HISTORY, NOW + 3600, True), ALL)
    assert render(FLEET, overdue=True) != later
    assert cached is PAGE.overview(State(FLEET, NO_HISTORY, NOW + 60), ALL)
    assert cached is not render(snapshot_of(HEALTHY))


def test_concurrent_rendering() -> None:
    """Concurrent callers share one rendering, even the first one of the process."""
    page, callers = StatusPage(INTERVAL), 8
    barrier = Barrier(callers)

    def call(_: int) -> bytes:
        barrier.wait(5)
        return page.overview(State(LARGE, NO_HISTORY, NOW), ALL)

    with ThreadPoolExecutor(callers) as threads:
        bodies = list(threads.map(call, range(callers)))

    assert all(bodies[0] is body for body in bodies)


@pytest.mark.parametrize(
    ("interval", "expected"), [(1, b"5"), (10, b"5"), (15, b"7"), (40, b"20"), (60, b"30"), (3600, b"30")]
)
def test_refresh(interval: float, expected: bytes) -> None:
    """The page is renewed twice per poll, within limits, without scripts as well."""
    body = StatusPage(interval).overview(State(WAITING, NO_HISTORY, NOW), ALL)

    assert b'<noscript><meta http-equiv="refresh" content="%s"></noscript>' % expected in body
    assert b'data-refresh="%s"' % expected in body


# Security


def test_headers() -> None:
    """The content security policy allows only style and script of the page, and requests to the exporter."""
    for document in (view(FLEET), detail(FLEET)):
        style, script = (
            base64.b64encode(hashlib.sha256((one(document, tag).text or "").encode()).digest()).decode()
            for tag in ("style", "script")
        )
        assert {
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{style}'; "
            f"script-src 'sha256-{script}'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        } == PAGE.headers


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("overdue", [False, True])
@pytest.mark.parametrize("query", ["", "fleet"])
def test_no_active_content(name: str, overdue: bool, query: str) -> None:
    """No page has style attributes, event handlers, content of other sites, or scripts but its own."""
    document = view(PAGES[name], overdue, query=Query(query))
    attributes = [pair for element in document.iter() for pair in element.items()]
    links = {value for key, value in attributes if key in ("href", "src", "action")}

    assert set() == {element.tag for element in document.iter()} & {"img", "iframe", "object"}
    assert 1 == len(list(document.iter("script")))
    assert [] == [key for key, _ in attributes if key == "style" or key.startswith("on")]
    assert all(urlsplit(link)[:2] == ("", "") for link in links)


def test_hostile_values() -> None:
    """Markup in names and slugs is shown as text."""
    body = render(HOSTILE)
    sent = {" ".join(each.encode("utf-8", "replace").decode().split()) for each in HOSTILE_TEXTS}
    shown = {text(one(row[0], "bdi")) for row in rows(parse(body))}

    assert sent == shown
    assert 1 == body.lower().count(b"<script")


# Accessibility


def test_accessibility(large: Element) -> None:
    """The page has language, viewport, colour schemes, landmarks, one main heading and a described table."""
    head = one(large, "thead/tr")

    assert "en" == large.get("lang")
    assert "width=device-width" in one(large, "meta[@name='viewport']").get("content", "")
    assert "light dark" == one(large, "meta[@name='color-scheme']").get("content")
    assert [1, 1, 1, 1] == [len([*large.iter(tag)]) for tag in ("header", "main", "footer", "nav")]
    assert "GatewayZ providers" == text(one(large, "h1"))
    assert COLUMNS == [*map(text, head)]
    assert {"col"} == {heading.get("scope") for heading in head}
    assert {"row"} == {row[0].get("scope") for row in rows(large)}
    assert 1 == len(large.findall(".//table/caption"))


@pytest.mark.parametrize("name", PAGES)
def test_references_within_the_page(name: str) -> None:
    """Ids are unique, and labels refer to existing ids."""
    document = view(PAGES[name], query=Query("a"))
    ids = [element.get("id") for element in document.findall(".//*[@id]")]
    labels = {element.get(key) for element in document.iter() for key in ("aria-labelledby", "for")}

    assert len(set(ids)) == len(ids)
    assert labels <= {None, *ids}


def test_header_and_footer() -> None:
    """The header has the date of the page; the footer links the routes and has the version."""
    document = view(WAITING)
    footer = one(document, "footer")

    assert "Ages are as of 2026-07-01 12:03:06 UTC" in text(one(document, "header"))
    assert ["./metrics", "./api/v1/status", "./changes.atom", "./-/healthy", "./-/ready"] == [
        link.get("href") for link in footer.iter("a")
    ]
    assert f"provider-metrics-exporter {__version__}" in text(footer)
