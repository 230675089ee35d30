"""Tests of `exporter.web.status`, on the parsed page."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from threading import Barrier

import pytest

from exporter import __version__
from exporter.errors import HINTS, Outcome
from exporter.model.endpoints import Endpoint
from exporter.model.provider import CAPABILITIES, HealthStatus, Provider, ProviderStats
from exporter.model.snapshot import Fetch, Poll, Snapshot, Timing
from exporter.web.status import MAX_ROWS, StatusPage

UNKNOWN, DEGRADED, DOWN = HealthStatus.UNKNOWN, HealthStatus.DEGRADED, HealthStatus.DOWN
NOW = 1_782_907_386.0
"""2026-07-01 12:03:06 UTC."""
OLD = NOW - 100 * 86_400
INTERVAL = 60.0
VOID = frozenset({"meta", "input", "br", "link", "img", "hr"})
FLAGS = (("Active", "is_active"), *((name.title(), field) for name, field in CAPABILITIES))
COLUMNS = ["Provider", "Health", "Response time", "Last health check", *(name for name, _ in FLAGS)]


@dataclass
class Element:
    """A parsed element; its children are elements and strings."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text content, with whitespace collapsed."""
        return " ".join(self._raw_text().split())

    @property
    def classes(self) -> list[str]:
        """The classes of the element."""
        return self.attributes.get("class", "").split()

    def _raw_text(self) -> str:
        return "".join(child if isinstance(child, str) else child._raw_text() for child in self.children)

    def descendants(self) -> Iterator[Element]:
        """Yield the element and its descendants in document order."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.descendants()

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements with this tag and these attributes."""
        return [
            element
            for element in self.descendants()
            if element.tag == tag and attributes.items() <= element.attributes.items()
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        """Return the only element with this tag and these attributes."""
        (element,) = self.all(tag, **attributes)
        return element

    def classed(self, name: str) -> list[Element]:
        """Return the elements of a class."""
        return [element for element in self.descendants() if name in element.classes]


class TreeBuilder(HTMLParser):
    """Builds the tree of a page, and fails on mismatched tags."""

    def __init__(self) -> None:
        """Start with an empty document."""
        super().__init__()
        self.open = [Element("#document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """Close the current element."""
        assert tag == self.open.pop().tag

    def handle_data(self, data: str) -> None:
        """Append text."""
        self.open[-1].children.append(data)


def parse(body: bytes) -> Element:
    """Return the tree of a page, and fail if an element is not closed."""
    builder = TreeBuilder()
    builder.feed(body.decode())
    builder.close()
    (document,) = builder.open
    return document


def provider(slug: str, health: object = HealthStatus.HEALTHY, **values: object) -> Provider:
    """Return an active provider, by default healthy and checked five seconds ago."""
    usual = {"name": slug.title(), "health": health, "is_active": True, "last_health_check": NOW - 5}
    return Provider(slug, **{**usual, **values})  # type: ignore[arg-type]


def fetch(endpoint: Endpoint, outcome: Outcome = Outcome.OK, **values: object) -> Fetch:
    """Return a fetch that took a quarter of a second."""
    usual: dict[str, object] = {"status": 200, "attempts": 1, "duration_seconds": 0.25}
    return Fetch(endpoint, outcome, None, **{**usual, **values})  # type: ignore[arg-type]


def poll_of(*fetches: Fetch) -> Poll:
    """Return a poll that started four seconds ago."""
    return Poll(NOW - 4, 1.25, 0xABC, 0xDEF, fetches)


def poll(providers: Outcome = Outcome.OK, stats: Outcome = Outcome.OK) -> Poll:
    """Return a poll with these outcomes."""
    return poll_of(fetch(Endpoint.PROVIDERS, providers), fetch(Endpoint.STATS, stats))


def snapshot_of(*providers: Provider, **values: object) -> Snapshot:
    """Return a snapshot with these providers, by default after a successful poll."""
    usual: dict[str, object] = {
        "providers": providers,
        "stats": ProviderStats(1234, 1, 2, 3, 4, 5, 6),
        "last_success": dict.fromkeys(Endpoint, NOW - 3),
        "last_update": NOW - 3,
        "last_poll": poll(),
    }
    return Snapshot(**{**usual, **values})  # type: ignore[arg-type]


def after(providers: str, stats: str) -> Snapshot:
    """Return a snapshot with a healthy provider after a poll with these outcomes."""
    return snapshot_of(HEALTHY, last_poll=poll(Outcome(providers), Outcome(stats)))


EMPTY_LIST = "The gateway's list is empty, as when its database is down"
SHOWING = ": showing data from 12:03:03 UTC"
LATE = Timing(health_check_overdue=7200)
HEALTHY = provider("calm")
WAITING = Snapshot()
MISSING = Snapshot(last_poll=poll(Outcome.FORBIDDEN, Outcome.FORBIDDEN))
STALE = replace(
    snapshot_of(last_success=dict.fromkeys(Endpoint, NOW - 400)),
    providers=None,
    stats=None,
    last_poll=poll(Outcome.TIMEOUT, Outcome.CONNECT),
)
EMPTY = snapshot_of()
LARGE = snapshot_of(*(provider(f"fleet-{number:04d}") for number in range(1000)))
HOSTILE_TEXTS = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></table><script>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp;",
    "line\nbreak\ttab",
    "\u202ereversed \u2067isolated",
    "w" * 256,
    "long" * 2560,
    "null\0in it",
    "<!-- <![CDATA[ <?php --> ]]>",
    "javascript:alert(1)",
    "${7*7}#{7*7}<%= 7*7 %>",
    "http://example.invalid/x.js",
    "\ud800",
)
HOSTILE_FETCHES = (
    fetch(endpoint, Outcome.SERVER_ERROR, hint="<script>", request_id='"><script>') for endpoint in Endpoint
)
HOSTILE = snapshot_of(
    *(provider(text, name=text[::-1] if "<" not in text else text) for text in HOSTILE_TEXTS),
    last_poll=poll_of(*HOSTILE_FETCHES),
)
PAGES = {
    "healthy": snapshot_of(HEALTHY),
    "waiting": WAITING,
    "missing": MISSING,
    "stale": STALE,
    "empty": EMPTY,
    "hostile": HOSTILE,
}


@pytest.fixture(scope="module")
def page() -> StatusPage:
    """One page for all tests; it caches by snapshot."""
    return StatusPage(INTERVAL)


@pytest.fixture(scope="module")
def large(page: StatusPage) -> Element:
    """The page of a thousand providers, parsed once because parsing is slow."""
    return parse(page.render(LARGE, False, NOW))


def view(page: StatusPage, snapshot: Snapshot, overdue: bool = False, query: str = "") -> Element:
    """Return the parsed page of a snapshot."""
    return parse(page.render(snapshot, overdue, NOW, query))


def rows(document: Element) -> list[list[Element]]:
    """Return the cells of the rows in the body of the table."""
    body = [row for part in document.all("tbody") for row in part.all("tr")]
    return [[cell for cell in row.descendants() if cell.tag in ("th", "td")] for row in body]


def slugs(document: Element) -> list[str]:
    """Return the slugs in the order of the table."""
    return [row[0].one("code").text for row in rows(document)]


def cell(page: StatusPage, shown: Provider, column: str, **values: object) -> Element:
    """Return the cell of a table with one provider."""
    (row,) = rows(view(page, snapshot_of(shown, **values)))
    return row[COLUMNS.index(column)]


def facts(section: Element) -> dict[str, str]:
    """Return the description list of a section."""
    terms = [term.text for term in section.all("dt")]
    return dict(zip(terms, (fact.text for fact in section.all("dd")), strict=True))


def card(document: Element, name: str) -> Element:
    """Return the section with this heading."""
    (section,) = [each for each in document.all("section") if [name] == [h.text for h in each.all("h2")]]
    return section


# The overall state


@pytest.mark.parametrize(
    ("sentence", "tone", "snapshot"),
    [
        ("All good", "good", snapshot_of(HEALTHY)),
        ("1 provider down", "bad", snapshot_of(HEALTHY, provider("a", DOWN))),
        ("2 providers down", "bad", snapshot_of(*map(provider, "abc", (DOWN, DOWN, DEGRADED)))),
        ("1 provider degraded", "warn", snapshot_of(provider("a", DEGRADED))),
        (
            "1 provider with an overdue health check",
            "warn",
            snapshot_of(HEALTHY, provider("a", last_health_check=NOW - 3604)),
        ),
        (
            "Health checks are overdue: 2 of 3 active providers",
            "warn",
            snapshot_of(
                HEALTHY,
                provider("a", DOWN, last_health_check=OLD),
                provider("b", last_health_check=OLD),
                provider("c", last_health_check=OLD, is_active=False),
            ),
        ),
        (
            "All good",
            "good",
            snapshot_of(
                provider("a", last_health_check=NOW - 7000), timing=Timing(health_check_overdue=7200)
            ),
        ),
        ("1 provider of unknown health", "none", snapshot_of(provider("a", UNKNOWN))),
        ("All good", "good", snapshot_of(HEALTHY, provider("a", DOWN, is_active=False))),
        ("No provider is active", "warn", snapshot_of(provider("a", is_active=False))),
        ("The gateway lists no provider", "warn", EMPTY),
        ("No data yet: the first poll is still running", "none", WAITING),
        ("Gateway fails (forbidden): no data", "bad", MISSING),
        ("Gateway unreachable: data are stale, the last list is from 11:56:26 UTC", "bad", STALE),
        (
            f"The gateway's list is empty, as when its database is down{SHOWING}",
            "bad",
            after("empty", "empty"),
        ),
        (f"Gateway unreachable{SHOWING}", "bad", after("dns", "timeout")),
        (f"Gateway fails (timeout, server error){SHOWING}", "bad", after("timeout", "server_error")),
        (f"/providers fails (server error){SHOWING}", "bad", after("server_error", "ok")),
        ("Providers all good, but /providers/stats fails (timeout)", "warn", after("ok", "timeout")),
        ("1 provider down", "bad", snapshot_of(provider("a", DOWN), last_poll=poll(stats=Outcome.TIMEOUT))),
    ],
)
def test_headline(page: StatusPage, sentence: str, tone: str, snapshot: Snapshot) -> None:
    """The headline is the worst problem, in the banner and in the title; there is no alert."""
    document = view(page, snapshot)

    assert sentence == document.one("strong").text
    assert f"{sentence} · GatewayZ providers" == document.one("title").text
    assert ["banner", tone] == document.one("section", **{"aria-label": "Overall state"}).classes
    assert [] == document.all("p", role="alert")


@pytest.mark.parametrize(
    ("sentence", "snapshot"),
    [
        ("The poller hangs: showing data from 12:03:03 UTC", snapshot_of(HEALTHY)),
        ("The poller hangs: showing data from earlier", snapshot_of(HEALTHY, last_success={})),
        ("The poller hangs: no data", WAITING),
        ("The poller hangs: no data", STALE),
    ],
)
def test_overdue_exposition(page: StatusPage, sentence: str, snapshot: Snapshot) -> None:
    """An overdue exposition is an alert and the headline, whatever the data."""
    document = view(page, snapshot, overdue=True)

    assert sentence == document.one("strong").text
    assert "The poller hangs or has died." in document.one("p", role="alert").text


def test_summary(page: StatusPage) -> None:
    """The summary counts active providers by health, worst first, and inactive ones separately."""
    snapshot = snapshot_of(
        *(provider(health.label, health) for health in HealthStatus),
        provider("silent", last_health_check=NOW - 9999),
        provider("off", DOWN, is_active=False),
    )
    banner = view(page, snapshot).classed("banner")[0]

    assert "5 active: 1 down, 1 degraded, 1 unknown, 2 healthy · 1 overdue · 1 inactive" in banner.text


# The table


def test_order_of_rows(page: StatusPage) -> None:
    """Worst health first, then overdue, then by name; inactive providers last."""
    expected = [
        provider("z-down", DOWN),
        provider("z-overdue", DEGRADED, last_health_check=NOW - 9999),
        provider("a-degraded", DEGRADED, is_active=None),
        provider("a-unknown", UNKNOWN),
        provider("z-healthy-overdue", last_health_check=NOW - 86_400),
        provider("2", name="alpha"),
        provider("1", name="Beta"),
        provider("gamma", name=""),
        provider("3", name="same"),
        provider("4", name="same"),
        provider("a-off", is_active=False),
        provider("b-off", DOWN, is_active=False, last_health_check=None),
    ]

    assert [each.slug for each in expected] == slugs(view(page, snapshot_of(*reversed(expected))))


@pytest.mark.parametrize(
    ("expected", "tone", "shown"),
    [
        ("healthy", "good", provider("a")),
        ("healthy", "good", provider("a", last_health_check=NOW - 3603)),
        ("healthy overdue", "none", provider("a", last_health_check=NOW - 3603.5)),
        ("healthy", "none", provider("a", last_health_check=None)),
        ("down", "bad", provider("a", DOWN, last_health_check=None)),
        ("down overdue", "bad", provider("a", DOWN, last_health_check=NOW - 9999)),
        ("degraded", "warn", provider("a", DEGRADED, is_active=None)),
        ("unknown", "none", provider("a", UNKNOWN)),
        ("down", "none", provider("a", DOWN, last_health_check=None, is_active=False)),
    ],
)
def test_health_badges(page: StatusPage, expected: str, tone: str, shown: Provider) -> None:
    """Health and overdue checks are badges with text; healthy has a colour only if the check is recent."""
    badges = cell(page, shown, "Health").classed("badge")

    assert expected == " ".join(badge.text for badge in badges)
    assert tone in badges[0].classes


def test_inactive_rows(page: StatusPage) -> None:
    """Only rows of inactive providers have the class `inactive`."""
    shown = (HEALTHY, provider("off", is_active=False), provider("x", is_active=None))
    body = view(page, snapshot_of(*shown)).one("tbody")

    assert [[], [], ["inactive"]] == [row.classes for row in body.all("tr")]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ({"a": NOW - 734}, "since 11:50:52 UTC, 12 min ago"),
        ({"a": NOW - 4 * 86_400}, "since 2026-06-27 12:03:06 UTC, 4 days ago"),
        ({"a": None}, "since before exporter start"),
        ({}, "since before exporter start"),
    ],
)
def test_health_since(page: StatusPage, since: Mapping[str, float | None], expected: str) -> None:
    """The badge is followed by the time of the last change of health."""
    assert f"healthy {expected}" == cell(page, provider("a"), "Health", health_since=since).text


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0.0, "just now 12:03:06 UTC"),
        (0.9, "just now 12:03:05 UTC"),
        (-0.9, "just now 12:03:06 UTC"),
        (1.0, "1 s ago 12:03:05 UTC"),
        (119.9, "119 s ago 12:01:06 UTC"),
        (120.0, "2 min ago 12:01:06 UTC"),
        (7199.0, "119 min ago 10:03:07 UTC"),
        (7200.0, "2 h ago 10:03:06 UTC"),
        (43_386.0, "12 h ago 00:00:00 UTC"),
        (43_387.0, "12 h ago 2026-06-30 23:59:59 UTC"),
        (172_799.0, "47 h ago 2026-06-29 12:03:07 UTC"),
        (172_800.0, "2 days ago 2026-06-29 12:03:06 UTC"),
        (-300.0, "in 5 min 12:08:06 UTC"),
        (None, "never"),
    ],
)
def test_last_health_check(page: StatusPage, age: float | None, expected: str) -> None:
    """Ages are rounded down to whole units; times of other days have a date."""
    checked = provider("a", last_health_check=None if age is None else NOW - age)

    assert expected == cell(page, checked, "Last health check").text


def test_machine_readable_times(page: StatusPage) -> None:
    """Each time has an RFC 3339 value as attribute."""
    times = [time.attributes["datetime"] for time in view(page, snapshot_of(HEALTHY)).all("time")]

    assert "2026-07-01T12:03:01Z" in times
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time in times)


@pytest.mark.parametrize(
    ("milliseconds", "expected", "widths"),
    [
        (0.0, "0 ms", ["0"]),
        (500.0, "500 ms", ["14"]),
        (1999.6, "2,000 ms", ["56"]),
        (8400.0, "8,400 ms", ["56"]),
        (1.7e308, "2e+308 ms", ["56"]),
        (None, "not reported", []),
    ],
)
def test_response_time(
    page: StatusPage, milliseconds: float | None, expected: str, widths: list[str]
) -> None:
    """The response time is text with a hidden bar of limited width; null has no bar."""
    time = cell(page, provider("a", response_time_ms=milliseconds), "Response time")

    assert expected == time.text
    assert widths == [bar.attributes["width"] for bar in time.classed("fill")]
    assert all("true" == drawing.attributes["aria-hidden"] for drawing in time.all("svg"))


@pytest.mark.parametrize(("column", "attribute"), FLAGS)
@pytest.mark.parametrize(
    ("value", "sign", "word"), [(True, "✓", "yes"), (False, "\N{EN DASH}", "no"), (None, "?", "unknown")]
)
def test_flags(
    page: StatusPage, column: str, attribute: str, value: bool | None, sign: str, word: str
) -> None:
    """Yes, no and unknown are a visible sign and a word for screen readers."""
    visible, spoken = cell(page, provider("a", **{attribute: value}), column).all("span")

    assert (sign, "true") == (visible.text, visible.attributes["aria-hidden"])
    assert (word, ["sr"]) == (spoken.text, spoken.classes)


def test_name_and_slug(page: StatusPage) -> None:
    """Names and slugs are bidi-isolated; the slug replaces a missing name."""
    document = view(page, snapshot_of(provider("a", name="A"), provider("b", name="")))

    assert [["A", "a"], ["b", "b"]] == [[bdi.text for bdi in row[0].all("bdi")] for row in rows(document)]


# Counts, poll and endpoints


def test_counts(page: StatusPage) -> None:
    """The gateway's counts are shown in its order, with thousands separators."""
    expected = dict(zip(ProviderStats.__struct_fields__, ("1,234", *"123456"), strict=True))

    assert expected == facts(card(view(page, snapshot_of(HEALTHY)), "Counts"))


def test_last_poll(page: StatusPage) -> None:
    """The card has start, duration, trace id and last success of both endpoints."""
    section = card(view(page, snapshot_of(HEALTHY)), "Last poll")
    expected = {
        "Started": "4 s ago 12:03:02 UTC",
        "Took": "1.2 s",
        "Trace": "00000000000000000000000000000abc",
        "Last full success": "3 s ago 12:03:03 UTC",
    }

    assert expected == facts(section)
    assert expected["Trace"] == section.one("code").text


def test_before_the_first_poll(page: StatusPage) -> None:
    """Without a poll there are no counts, outcomes and successes."""
    document = view(page, WAITING)

    assert {} == facts(card(document, "Counts"))
    assert "No fresh counts" in card(document, "Counts").text
    assert {"Last full success": "never"} == facts(card(document, "Last poll"))
    for endpoint in Endpoint:
        section = card(document, endpoint.path)
        assert {"Last success": "never"} == facts(section)
        assert "not polled yet" in section.text


def test_successful_fetch(page: StatusPage) -> None:
    """The card has status, attempts, duration and last success, and no hint."""
    section = card(view(page, snapshot_of(HEALTHY)), "/providers")

    assert {"HTTP status": "200", "Attempts": "1 in 250 ms", "Last success": "3 s ago 12:03:03 UTC"} == facts(
        section
    )
    assert ["ok"] == [badge.text for badge in section.classed("good")]
    assert [] == section.classed("hint")


def test_failed_fetch(page: StatusPage) -> None:
    """The card has the outcome as text, the request id and the hint."""
    failed = fetch(
        Endpoint.STATS,
        Outcome.RATE_LIMITED,
        status=None,
        attempts=3,
        duration_seconds=9.8,
        hint="Ask less. (seen: 429)",
        request_id="req_1",
    )
    section = card(view(page, snapshot_of(HEALTHY, last_poll=poll_of(failed))), "/providers/stats")

    assert {
        "HTTP status": "no answer",
        "Attempts": "3 in 9.8 s",
        "Request id": "req_1",
        "Last success": "3 s ago 12:03:03 UTC",
    } == facts(section)
    assert "rate limited" == section.classed("bad")[0].text
    assert "Ask less. (seen: 429)" == section.classed("hint")[0].text


def test_default_hint(page: StatusPage) -> None:
    """A failure without a hint gets the hint of its outcome."""
    section = card(view(page, MISSING), "/providers")

    assert HINTS[Outcome.FORBIDDEN] == section.classed("hint")[0].text


# Search


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
def test_no_providers(page: StatusPage, snapshot: Snapshot, expected: str, query: str) -> None:
    """Without providers a sentence with the reason replaces the table, also for a search."""
    document = view(page, snapshot, query=query)

    assert document.classed("empty")[0].text.startswith(expected)
    assert [] == document.all("table")


def test_large_fleet(large: Element) -> None:
    """A large fleet is cut off after 200 rows; the caption has the total, and a form offers a search."""
    form = large.one("form")

    assert [f"fleet-{number:04d}" for number in range(200)] == slugs(large)
    assert large.one("caption").text.startswith("1,000 providers, the first 200 shown, worst first")
    assert ("./", "get") == (form.attributes["action"], form.attributes["method"])
    assert form.one("input").attributes["id"] == form.one("label").attributes["for"]
    assert "q" == form.one("input").attributes["name"]


@pytest.mark.parametrize(("count", "forms"), [(1, 0), (MAX_ROWS, 0), (MAX_ROWS + 1, 1)])
def test_search_form(page: StatusPage, count: int, forms: int) -> None:
    """The form is shown only if rows are cut off."""
    body = page.render(snapshot_of(*(provider(str(number)) for number in range(count))), False, NOW)

    assert forms == body.count(b"<form")


@pytest.mark.parametrize(
    ("query", "expected"),
    [("ALPHA", ["one"]), ("TWO", ["two"]), (" o ", ["one", "two"]), ("STRASSE", ["two"]), ("a\no", [])],
)
def test_search(page: StatusPage, query: str, expected: list[str]) -> None:
    """A search matches name or slug; it ignores case and surrounding whitespace, and keeps the headline."""
    shown = (provider("one", DOWN, name="Alpha"), provider("two", name="Straße"), provider("x", name=""))
    document = view(page, snapshot_of(*shown), query=query)

    assert expected == slugs(document)
    assert "1 provider down" == document.one("strong").text


@pytest.mark.parametrize(
    ("query", "tag", "expected"),
    [
        ("0007", "caption", "1 of 1,000 matches “0007”, worst first"),
        ("fleet", "caption", "1,000 of 1,000 match “fleet”, the first 200 shown"),
        ("nowhere", "main", "None of 1,000 providers has “nowhere” in its name or slug."),
    ],
)
def test_search_results(page: StatusPage, query: str, tag: str, expected: str) -> None:
    """The page has the number of matches, the query in its field, and a link to all providers."""
    document = view(page, LARGE, query=query)

    assert expected in document.one(tag).text
    assert query == document.one("input").attributes["value"]
    assert ["Show all"] == [link.text for link in document.all("a", href="./")]


# Rendering


def test_cache(page: StatusPage) -> None:
    """A snapshot is rendered once, by identity; searches and overdue pages are rendered each time."""
    snapshot = snapshot_of(HEALTHY)
    cached = page.render(snapshot, False, NOW)

    assert page.render(snapshot, False, NOW, "c") is not page.render(snapshot, False, NOW, "c")
    assert page.render(snapshot, True, NOW) != page.render(snapshot, True, NOW + 3600)
    assert cached is page.render(snapshot, False, NOW + 60, "  ")
    assert cached is not page.render(snapshot_of(HEALTHY), False, NOW)


def test_concurrent_rendering() -> None:
    """Concurrent callers share one rendering, even the first one of the process."""
    page, callers = StatusPage(INTERVAL), 8
    barrier = Barrier(callers)

    def call(_: int) -> bytes:
        barrier.wait(5)
        return page.render(LARGE, False, NOW)

    with ThreadPoolExecutor(callers) as threads:
        bodies = list(threads.map(call, range(callers)))

    assert all(bodies[0] is body for body in bodies)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [(1.0, "5"), (10.0, "5"), (15.0, "7"), (40.0, "20"), (60.0, "30"), (3600.0, "30")],
)
def test_refresh(interval: float, expected: str) -> None:
    """The page reloads twice per poll, within limits."""
    refresh = view(StatusPage(interval), WAITING).one("meta", **{"http-equiv": "refresh"})

    assert expected == refresh.attributes["content"]


def test_jinja_is_imported_with_the_first_page() -> None:
    """Creating the page does not import the template engine."""
    code = "import sys, exporter.web.status as s; s.StatusPage(60); sys.exit('jinja2' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False, timeout=20).returncode


# Security


def test_headers(page: StatusPage) -> None:
    """The content security policy allows only the style element of the page."""
    (style,) = view(page, snapshot_of(HEALTHY)).one("style").children
    digest = base64.b64encode(hashlib.sha256(str(style).encode()).digest()).decode()

    assert {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    } == page.headers


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("overdue", [False, True])
def test_no_active_content(page: StatusPage, name: str, overdue: bool) -> None:
    """No page has scripts, style attributes, event handlers or links to other sites."""
    for query in ("", "fleet", *(HOSTILE_TEXTS if name == "hostile" else ())):
        elements = list(view(page, PAGES[name], overdue, query).descendants())
        attributes = [pair for element in elements for pair in element.attributes.items()]
        links = {value for key, value in attributes if key in ("href", "src", "action")}

        assert set() == {element.tag for element in elements} & {"script", "img", "link", "iframe", "object"}
        assert [] == [key for key, _ in attributes if key == "style" or key.startswith("on")]
        assert links <= {"./", "metrics", "-/healthy", "-/ready"}


def test_hostile_values(page: StatusPage) -> None:
    """Markup in names and slugs is shown as text."""
    body = page.render(HOSTILE, False, NOW)
    sent = {" ".join(text.encode("utf-8", "replace").decode().split()) for text in HOSTILE_TEXTS}

    assert sent == set(slugs(parse(body)))
    assert b"<script" not in body.lower()


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_search(page: StatusPage, text: str) -> None:
    """A query cannot escape from the attribute of its field."""
    field = view(page, LARGE, query=text).one("input")
    names = {"id", "name", "type", "value", "dir", "maxlength", "autocomplete"}

    assert text.encode("utf-8", "replace").decode() == field.attributes["value"]
    assert names == set(field.attributes)


# Accessibility


def test_accessibility(large: Element) -> None:
    """The page has language, viewport, colour schemes, landmarks, one main heading and a described table."""
    head = large.one("thead").all("th")

    assert "en" == large.one("html").attributes["lang"]
    assert "width=device-width" in large.one("meta", name="viewport").attributes["content"]
    assert "light dark" == large.one("meta", name="color-scheme").attributes["content"]
    assert [1, 1, 1, 1] == [len(large.all(tag)) for tag in ("header", "main", "footer", "nav")]
    assert "GatewayZ providers" == large.one("h1").text
    assert COLUMNS == [heading.text for heading in head]
    assert {"col"} == {heading.attributes["scope"] for heading in head}
    assert {"row"} == {row[0].attributes["scope"] for row in rows(large)}
    assert 1 == len(large.one("table").all("caption"))


@pytest.mark.parametrize("name", PAGES)
def test_references_within_the_page(page: StatusPage, name: str) -> None:
    """Ids are unique, and labels refer to existing ids."""
    elements = list(view(page, PAGES[name], query="a").descendants())
    ids = [element.attributes["id"] for element in elements if "id" in element.attributes]
    labels = [element.attributes.get(key) for element in elements for key in ("aria-labelledby", "for")]

    assert sorted(set(ids)) == sorted(ids)
    assert set(labels) <= {None, *ids}


def test_header_and_footer(page: StatusPage) -> None:
    """The header has the date of the page; the footer links the routes and has the version."""
    document = view(page, WAITING)
    footer = document.one("footer")

    assert "Ages are as of 2026-07-01 12:03:06 UTC" in document.one("header").text
    assert ["metrics", "-/healthy", "-/ready"] == [link.attributes["href"] for link in footer.all("a")]
    assert f"provider-metrics-exporter {__version__}" in footer.text
