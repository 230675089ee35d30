"""The status page tells the state at a glance, in good order, and survives what a gateway can send."""

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
from itertools import pairwise
from threading import Barrier

import pytest

from exporter import __version__
from exporter.errors import HINTS, Outcome
from exporter.model.endpoints import Endpoint
from exporter.model.provider import HealthStatus, Provider, ProviderStats
from exporter.model.snapshot import Fetch, Poll, Snapshot, Timing
from exporter.web.status import StatusPage

NOW = 1_782_907_386.0
"""2026-07-01 12:03:06 UTC."""
INTERVAL = 60.0
VOID = frozenset({"meta", "input", "br", "link", "img", "hr"})
COLUMNS = [
    "Provider",
    "Health",
    "Response time",
    "Last health check",
    "Active",
    "Streaming",
    "Functions",
    "Vision",
    "Images",
]
HEADING = {name: index for index, name in enumerate(COLUMNS)}


@dataclass
class Element:
    """A parsed element; its children are elements and text."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text within, blanks collapsed."""
        return " ".join(self._raw_text().split())

    @property
    def classes(self) -> list[str]:
        """The classes of the element."""
        return self.attributes.get("class", "").split()

    def _raw_text(self) -> str:
        return "".join(child if isinstance(child, str) else child._raw_text() for child in self.children)

    def walk(self) -> Iterator[Element]:
        """Yield the element and all within, in order."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements with this tag and these attributes."""
        return [
            element
            for element in self.walk()
            if element.tag == tag and attributes.items() <= element.attributes.items()
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        """Return the only element with this tag and these attributes."""
        (element,) = self.all(tag, **attributes)
        return element

    def classed(self, name: str) -> list[Element]:
        """Return the elements of a class."""
        return [element for element in self.walk() if name in element.classes]


class TreeBuilder(HTMLParser):
    """Builds the tree of a page, and fails where an element is closed that is not open."""

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
        """Close the element that was opened last."""
        assert tag == self.open.pop().tag

    def handle_data(self, data: str) -> None:
        """Take in text."""
        self.open[-1].children.append(data)


def parse(body: bytes) -> Element:
    """Return the tree of a page in which every element was closed."""
    builder = TreeBuilder()
    builder.feed(body.decode())
    builder.close()
    (document,) = builder.open
    return document


def provider(slug: str, **values: object) -> Provider:
    """Return a healthy provider in use, checked five seconds ago."""
    usual: dict[str, object] = {
        "name": slug.title(),
        "health": HealthStatus.HEALTHY,
        "is_active": True,
        "last_health_check": NOW - 5,
    }
    return Provider(slug, **{**usual, **values})  # type: ignore[arg-type]


def fetch(endpoint: Endpoint, outcome: Outcome = Outcome.OK, **values: object) -> Fetch:
    """Return a fetch that took a quarter of a second."""
    usual: dict[str, object] = {"status": 200, "attempts": 1, "duration_seconds": 0.25}
    return Fetch(endpoint, outcome, None, **{**usual, **values})  # type: ignore[arg-type]


def poll(providers: Outcome = Outcome.OK, stats: Outcome = Outcome.OK) -> Poll:
    """Return a poll that started four seconds ago, with these outcomes."""
    fetches = (fetch(Endpoint.PROVIDERS, providers), fetch(Endpoint.STATS, stats))
    return Poll(NOW - 4, 1.25, 0xABC, 0xDEF, fetches)


def snapshot_of(*providers: Provider, **values: object) -> Snapshot:
    """Return a snapshot with these providers, from a good poll."""
    usual: dict[str, object] = {
        "providers": providers,
        "stats": ProviderStats(1234, 1, 2, 3, 4, 5, 6),
        "last_success": dict.fromkeys(Endpoint, NOW - 3),
        "last_update": NOW - 3,
        "last_poll": poll(),
    }
    return Snapshot(**{**usual, **values})  # type: ignore[arg-type]


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
HOSTILE = snapshot_of(
    *(provider(text, name=text[::-1] if "<" not in text else text) for text in HOSTILE_TEXTS),
    last_poll=Poll(
        NOW - 4,
        1.0,
        1,
        1,
        tuple(
            fetch(endpoint, Outcome.SERVER_ERROR, hint="<script>", request_id='"><script>')
            for endpoint in Endpoint
        ),
    ),
)
FLEET = {
    "healthy": snapshot_of(HEALTHY),
    "waiting": WAITING,
    "missing": MISSING,
    "stale": STALE,
    "empty": EMPTY,
    "hostile": HOSTILE,
}
QUERIES = ("", "fleet", *HOSTILE_TEXTS)


@pytest.fixture(scope="module")
def page() -> StatusPage:
    """One page for all tests; snapshots tell renderings apart."""
    return StatusPage(INTERVAL)


@pytest.fixture(scope="module")
def large(page: StatusPage) -> Element:
    """The page of a thousand providers, parsed once: that takes its time."""
    return parse(page.render(LARGE, False, NOW))


def view(page: StatusPage, snapshot: Snapshot, overdue: bool = False, query: str = "") -> Element:
    """Return the parsed page of a snapshot."""
    return parse(page.render(snapshot, overdue, NOW, query))


def rows(document: Element) -> list[list[Element]]:
    """Return the cells of the table, its head left out."""
    body = [row for part in document.all("tbody") for row in part.all("tr")]
    return [[cell for cell in row.walk() if cell.tag in ("th", "td")] for row in body]


def slugs(document: Element) -> list[str]:
    """Return the slugs in the order in which they are shown."""
    return [row[0].one("code").text for row in rows(document)]


def cell(page: StatusPage, shown: Provider, column: str, **values: object) -> str:
    """Return the text of a cell in the row of the only provider."""
    (row,) = rows(view(page, snapshot_of(shown, **values)))
    return row[HEADING[column]].text


def facts(section: Element) -> dict[str, str]:
    """Return the terms of a section and what is said of them."""
    terms = [term.text for term in section.all("dt")]
    return dict(zip(terms, (fact.text for fact in section.all("dd")), strict=True))


def card(document: Element, name: str) -> Element:
    """Return the section with this heading."""
    (section,) = [each for each in document.all("section") if [name] == [h.text for h in each.all("h2")]]
    return section


@pytest.mark.parametrize(
    ("sentence", "tone", "snapshot"),
    [
        ("All good", "good", snapshot_of(HEALTHY)),
        ("1 provider down", "bad", snapshot_of(HEALTHY, provider("a", health=HealthStatus.DOWN))),
        (
            "2 providers down",
            "bad",
            snapshot_of(
                provider("a", health=HealthStatus.DOWN),
                provider("b", health=HealthStatus.DOWN),
                provider("c", health=HealthStatus.DEGRADED),
            ),
        ),
        ("1 provider degraded", "warn", snapshot_of(provider("a", health=HealthStatus.DEGRADED))),
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
                provider("a", health=HealthStatus.DOWN, last_health_check=NOW - 100 * 86_400),
                provider("b", last_health_check=NOW - 100 * 86_400),
                provider("c", last_health_check=NOW - 100 * 86_400, is_active=False),
            ),
        ),
        (
            "All good",
            "good",
            snapshot_of(
                provider("a", last_health_check=NOW - 7000), timing=Timing(health_check_overdue=7200)
            ),
        ),
        ("1 provider of unknown health", "none", snapshot_of(provider("a", health=HealthStatus.UNKNOWN))),
        (
            "All good",
            "good",
            snapshot_of(HEALTHY, provider("a", health=HealthStatus.DOWN, is_active=False)),
        ),
        ("No provider is active", "warn", snapshot_of(provider("a", is_active=False))),
        ("The gateway lists no provider", "warn", EMPTY),
        ("No data yet: the first poll has not ended", "none", WAITING),
        ("Gateway fails (forbidden): no data", "bad", MISSING),
        ("Gateway unreachable: data are stale, the last list is from 11:56:26 UTC", "bad", STALE),
        (
            "The gateway's list is empty, as when its database is down: showing data from 12:03:03 UTC",
            "bad",
            snapshot_of(HEALTHY, last_poll=poll(Outcome.EMPTY, Outcome.EMPTY)),
        ),
        (
            "Gateway unreachable: showing data from 12:03:03 UTC",
            "bad",
            snapshot_of(HEALTHY, last_poll=poll(Outcome.DNS, Outcome.TIMEOUT)),
        ),
        (
            "Gateway fails (timeout, server error): showing data from 12:03:03 UTC",
            "bad",
            snapshot_of(HEALTHY, last_poll=poll(Outcome.TIMEOUT, Outcome.SERVER_ERROR)),
        ),
        (
            "/providers fails (server error): showing data from 12:03:03 UTC",
            "bad",
            snapshot_of(HEALTHY, last_poll=poll(providers=Outcome.SERVER_ERROR)),
        ),
        (
            "Providers all good, but /providers/stats fails (timeout)",
            "warn",
            snapshot_of(HEALTHY, last_poll=poll(stats=Outcome.TIMEOUT)),
        ),
        (
            "1 provider down",
            "bad",
            snapshot_of(provider("a", health=HealthStatus.DOWN), last_poll=poll(stats=Outcome.TIMEOUT)),
        ),
    ],
)
def test_headline_names_what_matters_most(
    page: StatusPage, sentence: str, tone: str, snapshot: Snapshot
) -> None:
    """One sentence sums the state up, in the banner and in the title of the window."""
    document = view(page, snapshot)

    assert sentence == document.one("strong").text
    assert f"{sentence} · GatewayZ providers" == document.one("title").text
    assert ["banner", tone] == document.one("section", **{"aria-label": "Overall state"}).classes


@pytest.mark.parametrize(
    ("sentence", "snapshot"),
    [
        ("The poller hangs: showing data from 12:03:03 UTC", snapshot_of(HEALTHY)),
        ("The poller hangs: showing data from earlier", snapshot_of(HEALTHY, last_success={})),
        ("The poller hangs: no data", WAITING),
        ("The poller hangs: no data", STALE),
    ],
)
def test_a_dead_poller_comes_before_all_else(page: StatusPage, sentence: str, snapshot: Snapshot) -> None:
    """When the poller hangs an alert says so, whatever the data say."""
    document = view(page, snapshot, overdue=True)

    assert sentence == document.one("strong").text
    assert "The poller hangs or has died." in document.one("p", role="alert").text


def test_no_alert_while_the_poller_turns(page: StatusPage) -> None:
    """An alert is kept for the dead poller."""
    assert [] == view(page, STALE).all("p", role="alert")


def test_summary_counts_active_providers_by_health(page: StatusPage) -> None:
    """Below the headline are the counts of the list, worst first; inactive providers stand apart."""
    snapshot = snapshot_of(
        *(provider(health.label, health=health) for health in HealthStatus),
        provider("silent", last_health_check=NOW - 9999),
        provider("off", is_active=False, health=HealthStatus.DOWN),
    )
    banner = view(page, snapshot).classed("banner")[0]

    assert "5 active: 1 down, 1 degraded, 1 unknown, 2 healthy · 1 overdue · 1 inactive" in banner.text


def test_rows_are_worst_first(page: StatusPage) -> None:
    """Down, degraded, unknown, healthy; overdue first among equals, then by name; inactive last."""
    expected = [
        provider("z-down", health=HealthStatus.DOWN),
        provider("z-overdue", health=HealthStatus.DEGRADED, last_health_check=NOW - 9999),
        provider("a-degraded", health=HealthStatus.DEGRADED, is_active=None),
        provider("a-unknown", health=HealthStatus.UNKNOWN),
        provider("z-healthy-overdue", last_health_check=NOW - 86_400),
        provider("2", name="alpha"),
        provider("1", name="Beta"),
        provider("gamma", name=""),
        provider("3", name="same"),
        provider("4", name="same"),
        provider("a-off", is_active=False),
        provider("b-off", is_active=False, health=HealthStatus.DOWN, last_health_check=None),
    ]

    assert [each.slug for each in expected] == slugs(view(page, snapshot_of(*reversed(expected))))


@pytest.mark.parametrize(
    ("expected", "tone", "values"),
    [
        ("healthy", "good", {}),
        ("healthy", "good", {"last_health_check": NOW - 3603}),
        ("healthy overdue", "none", {"last_health_check": NOW - 3603.5}),
        ("healthy", "none", {"last_health_check": None}),
        ("down", "bad", {"last_health_check": None, "health": HealthStatus.DOWN}),
        ("down overdue", "bad", {"last_health_check": NOW - 9999, "health": HealthStatus.DOWN}),
        ("degraded", "warn", {"health": HealthStatus.DEGRADED, "is_active": None}),
        ("unknown", "none", {"health": HealthStatus.UNKNOWN}),
        ("down", "none", {"last_health_check": None, "health": HealthStatus.DOWN, "is_active": False}),
    ],
)
def test_health_is_a_badge_with_text(
    page: StatusPage, expected: str, tone: str, values: Mapping[str, object]
) -> None:
    """Health and overdue are words; colour is only for health that somebody vouches for."""
    badges = view(page, snapshot_of(provider("a", **values))).one("tbody").classed("badge")

    assert expected == " ".join(badge.text for badge in badges)
    assert tone in badges[0].classes


def test_inactive_rows_are_muted(page: StatusPage) -> None:
    """An inactive provider is marked, and only that."""
    document = view(
        page, snapshot_of(HEALTHY, provider("off", is_active=False), provider("x", is_active=None))
    )

    assert [[], [], ["inactive"]] == [row.classes for row in document.one("tbody").all("tr")]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ({"a": NOW - 734}, "since 11:50:52 UTC, 12 min ago"),
        ({"a": NOW - 4 * 86_400}, "since 2026-06-27 12:03:06 UTC, 4 days ago"),
        ({"a": None}, "since before exporter start"),
        ({}, "since before exporter start"),
    ],
)
def test_health_says_since_when(page: StatusPage, since: Mapping[str, float | None], expected: str) -> None:
    """The badge is followed by the time from which the health holds, if it changed since the start."""
    assert f"healthy {expected}" == cell(page, provider("a"), "Health", health_since=since)


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
    ],
)
def test_last_check_is_relative_and_absolute(page: StatusPage, age: float, expected: str) -> None:
    """Ages are cut off to whole units; another day has its date; the ends of time do no harm."""
    assert expected == cell(page, provider("a", last_health_check=NOW - age), "Last health check")


def test_times_are_readable_for_machines(page: StatusPage) -> None:
    """Each time has its value in UTC as an attribute."""
    times = view(page, snapshot_of(HEALTHY)).all("time")

    assert "2026-07-01T12:03:01Z" in {time.attributes["datetime"] for time in times}
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time.attributes["datetime"]) for time in times
    )


def test_a_provider_that_was_never_checked_says_so(page: StatusPage) -> None:
    """No health check at all is never."""
    assert "never" == cell(page, provider("a", last_health_check=None), "Last health check")


@pytest.mark.parametrize(
    ("milliseconds", "expected", "width"),
    [
        (0.0, "0 ms", "0"),
        (500.0, "500 ms", "14"),
        (1999.6, "2,000 ms", "56"),
        (8400.0, "8,400 ms", "56"),
        (1.7e308, "2e+308 ms", "56"),
    ],
)
def test_response_time_has_a_bar(page: StatusPage, milliseconds: float, expected: str, width: str) -> None:
    """The time is text, the bar is a hidden drawing that ends at its full width."""
    document = view(page, snapshot_of(provider("a", response_time_ms=milliseconds)))
    drawing = rows(document)[0][HEADING["Response time"]].one("svg")

    assert expected == rows(document)[0][HEADING["Response time"]].text
    assert width == drawing.one("rect", **{"class": "fill"}).attributes["width"]
    assert "true" == drawing.attributes["aria-hidden"]


def test_a_missing_response_time_is_said(page: StatusPage) -> None:
    """Null is not zero: there is no bar."""
    (row,) = rows(view(page, snapshot_of(HEALTHY)))

    assert "not reported" == row[HEADING["Response time"]].text
    assert [] == row[HEADING["Response time"]].all("svg")


@pytest.mark.parametrize(
    ("column", "attribute"),
    [
        ("Active", "is_active"),
        ("Streaming", "supports_streaming"),
        ("Functions", "supports_function_calling"),
        ("Vision", "supports_vision"),
        ("Images", "supports_image_generation"),
    ],
)
@pytest.mark.parametrize(
    ("value", "sign", "word"), [(True, "✓", "yes"), (False, "\N{EN DASH}", "no"), (None, "?", "unknown")]
)
def test_answers_are_a_sign_and_a_word(
    page: StatusPage, column: str, attribute: str, value: bool | None, sign: str, word: str
) -> None:
    """Yes, no and unknown differ to the eye, and a screen reader hears the word instead of the sign."""
    (row,) = rows(view(page, snapshot_of(provider("a", **{attribute: value}))))
    seen, heard = row[HEADING[column]].all("span")

    assert (sign, "true") == (seen.text, seen.attributes["aria-hidden"])
    assert (word, ["sr"]) == (heard.text, heard.classes)


def test_name_and_slug_are_isolated(page: StatusPage) -> None:
    """A name in another direction cannot turn its surroundings; without a name the slug stands in."""
    document = view(page, snapshot_of(provider("a", name="A"), provider("b", name="")))
    isolated = [[bdi.text for bdi in row[0].all("bdi")] for row in rows(document)]

    assert [["A", "a"], ["b", "b"]] == isolated


def test_the_seven_counts_are_shown(page: StatusPage) -> None:
    """The gateway's own counts stand in its order, thousands apart."""
    expected = {
        "total": "1,234",
        "active": "1",
        "inactive": "2",
        "healthy": "3",
        "degraded": "4",
        "down": "5",
        "unknown": "6",
    }

    assert expected == facts(card(view(page, snapshot_of(HEALTHY)), "Counts"))


def test_missing_counts_are_said(page: StatusPage) -> None:
    """Without counts there is no row of zeros."""
    counts = card(view(page, WAITING), "Counts")

    assert {} == facts(counts)
    assert "No fresh counts" in counts.text


def test_last_poll_is_described(page: StatusPage) -> None:
    """Start, duration, trace id and the last success of both endpoints."""
    section = card(view(page, snapshot_of(HEALTHY)), "Last poll")
    expected = {
        "Started": "4 s ago 12:03:02 UTC",
        "Took": "1.2 s",
        "Trace": "00000000000000000000000000000abc",
        "Last full success": "3 s ago 12:03:03 UTC",
    }

    assert expected == facts(section)
    assert expected["Trace"] == section.one("code").text


def test_before_the_first_poll_nothing_is_claimed(page: StatusPage) -> None:
    """Without a poll the cards have no outcome and no success."""
    document = view(page, WAITING)

    assert {"Last full success": "never"} == facts(card(document, "Last poll"))
    for endpoint in Endpoint:
        section = card(document, endpoint.path)
        assert {"Last success": "never"} == facts(section)
        assert "not asked yet" in section.text


def test_a_good_fetch_is_described(page: StatusPage) -> None:
    """Status, attempts, duration and last success of an endpoint, and no hint."""
    section = card(view(page, snapshot_of(HEALTHY)), "/providers")
    expected = {
        "HTTP status": "200",
        "Attempts": "1 in 250 ms",
        "Last success": "3 s ago 12:03:03 UTC",
    }

    assert expected == facts(section)
    assert "ok" == section.classed("good")[0].text
    assert [] == section.classed("hint")


def test_a_failed_fetch_says_what_to_do(page: StatusPage) -> None:
    """A failure has its outcome in words, the request id to look for, and the hint."""
    failed = fetch(
        Endpoint.STATS,
        Outcome.RATE_LIMITED,
        status=None,
        attempts=3,
        duration_seconds=9.8,
        hint="Ask less. (seen: 429)",
        request_id="req_1",
    )
    snapshot = snapshot_of(HEALTHY, last_poll=Poll(NOW - 4, 1.0, 1, 1, (failed,)))
    section = card(view(page, snapshot), "/providers/stats")
    expected = {
        "HTTP status": "no answer",
        "Attempts": "3 in 9.8 s",
        "Request id": "req_1",
        "Last success": "3 s ago 12:03:03 UTC",
    }

    assert expected == facts(section)
    assert "rate limited" == section.classed("bad")[0].text
    assert "Ask less. (seen: 429)" == section.classed("hint")[0].text


def test_a_failure_without_a_hint_gets_the_usual_one(page: StatusPage) -> None:
    """The outcome alone is enough to say what to do."""
    section = card(view(page, MISSING), "/providers")

    assert HINTS[Outcome.FORBIDDEN] == section.classed("hint")[0].text


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (WAITING, "The first poll has not ended"),
        (MISSING, "The gateway has not given a list so far"),
        (STALE, "The last list is too old to be shown"),
        (EMPTY, "The gateway answers with an empty list"),
    ],
)
@pytest.mark.parametrize("query", ["", "x"])
def test_without_providers_the_reason_is_said(
    page: StatusPage, snapshot: Snapshot, expected: str, query: str
) -> None:
    """Instead of an empty table there is a sentence, also for a search."""
    document = view(page, snapshot, query=query)

    assert document.classed("empty")[0].text.startswith(expected)
    assert [] == document.all("table")


def test_only_the_first_200_of_a_large_fleet_are_shown(large: Element) -> None:
    """The page stays small, says how many there are, and offers a search."""
    form = large.one("form")

    assert [f"fleet-{number:04d}" for number in range(200)] == slugs(large)
    assert large.one("caption").text.startswith("1,000 providers, the first 200 shown, worst first")
    assert ("./", "get") == (form.attributes["action"], form.attributes["method"])
    assert form.one("input").attributes["id"] == form.one("label").attributes["for"]
    assert "q" == form.one("input").attributes["name"]


@pytest.mark.parametrize(("count", "forms"), [(1, 0), (200, 0), (201, 1)])
def test_a_small_fleet_has_no_search(page: StatusPage, count: int, forms: int) -> None:
    """A form appears only where rows are left out."""
    body = page.render(snapshot_of(*(provider(str(number)) for number in range(count))), False, NOW)

    assert forms == body.count(b"<form")


@pytest.mark.parametrize(
    ("query", "expected"),
    [("ALPHA", ["one"]), ("TWO", ["two"]), (" o ", ["one", "two"]), ("STRASSE", ["two"]), ("a\no", [])],
)
def test_search_is_in_names_and_slugs(page: StatusPage, query: str, expected: list[str]) -> None:
    """Case and blanks around do not matter, and a match lies in one of the two."""
    snapshot = snapshot_of(
        provider("one", name="Alpha"), provider("two", name="Straße"), provider("x", name="")
    )

    assert expected == slugs(view(page, snapshot, query=query))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("0007", "1 of 1,000 matches “0007”, worst first"),
        ("fleet", "1,000 of 1,000 match “fleet”, the first 200 shown"),
    ],
)
def test_search_counts_its_matches(page: StatusPage, query: str, expected: str) -> None:
    """The caption has the count, the field keeps the query, and a link leads back."""
    document = view(page, LARGE, query=query)

    assert document.one("caption").text.startswith(expected)
    assert query == document.one("input").attributes["value"]
    assert ["Show all"] == [link.text for link in document.all("a", href="./")]


def test_a_search_that_finds_none_says_so(page: StatusPage) -> None:
    """Nothing found is not the same as nothing there."""
    document = view(page, LARGE, query="nowhere")

    assert "None of 1,000 providers has “nowhere” in its name or slug." == document.classed("empty")[0].text
    assert 1 == len(document.all("a", href="./"))


def test_a_search_does_not_change_the_headline(page: StatusPage) -> None:
    """The state is that of the fleet, not that of what was found."""
    snapshot = snapshot_of(HEALTHY, provider("broken", health=HealthStatus.DOWN))

    assert "1 provider down" == view(page, snapshot, query="calm").one("strong").text


def test_a_snapshot_is_rendered_once(page: StatusPage) -> None:
    """Later callers get the very same bytes, whatever the time."""
    snapshot = snapshot_of(HEALTHY)
    first = page.render(snapshot, False, NOW)

    assert first is page.render(snapshot, False, NOW + 60, "  ")


def test_page_of_a_dead_poller_goes_on(page: StatusPage) -> None:
    """No snapshot follows the last one of a dead poller, so its page is made anew, with its age growing."""
    snapshot = snapshot_of(HEALTHY)

    assert page.render(snapshot, True, NOW) != page.render(snapshot, True, NOW + 3600)


def test_another_snapshot_is_rendered_anew(page: StatusPage) -> None:
    """It is identity that counts: equal snapshots come from different polls."""
    first = page.render(snapshot_of(HEALTHY), False, NOW)

    assert first is not page.render(snapshot_of(HEALTHY), False, NOW)


def test_a_search_is_rendered_each_time(page: StatusPage) -> None:
    """Searches are not kept, and do not take the place of what is."""
    snapshot = snapshot_of(HEALTHY)
    kept = page.render(snapshot, False, NOW)

    assert page.render(snapshot, False, NOW, "c") is not page.render(snapshot, False, NOW, "c")
    assert kept is page.render(snapshot, False, NOW)


def test_callers_at_the_same_time_share_a_rendering() -> None:
    """Threads that come together wait for one rendering, the first of the process included."""
    page, callers = StatusPage(INTERVAL), 8
    barrier = Barrier(callers)

    def call(_: int) -> bytes:
        barrier.wait(5)
        return page.render(LARGE, False, NOW)

    with ThreadPoolExecutor(callers) as threads:
        bodies = list(threads.map(call, range(callers)))

    assert all(before is after for before, after in pairwise(bodies))


@pytest.mark.parametrize(
    ("interval", "expected"),
    [(1.0, "5"), (10.0, "5"), (15.0, "7"), (40.0, "20"), (60.0, "30"), (3600.0, "30")],
)
def test_the_page_reloads_itself(interval: float, expected: str) -> None:
    """Twice a poll, but neither hectic nor sleepy."""
    refresh = view(StatusPage(interval), WAITING).one("meta", **{"http-equiv": "refresh"})

    assert expected == refresh.attributes["content"]


def test_the_page_says_as_of_when(page: StatusPage) -> None:
    """Ages relate to the time of the rendering, which is there with its date."""
    assert "Ages are as of 2026-07-01 12:03:06 UTC" in view(page, WAITING).one("header").text


def test_headers_forbid_all_but_the_own_style(page: StatusPage) -> None:
    """The policy allows the style element that is really served, and nothing else."""
    (style,) = view(page, snapshot_of(HEALTHY)).one("style").children
    digest = base64.b64encode(hashlib.sha256(str(style).encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    expected = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }

    assert expected == page.headers


@pytest.mark.parametrize("name", FLEET)
@pytest.mark.parametrize("overdue", [False, True])
def test_nothing_runs_or_loads(page: StatusPage, name: str, overdue: bool) -> None:
    """No rendering has a script, a style attribute, an event handler or an address elsewhere."""
    for query in QUERIES if name == "hostile" else ("", "fleet"):
        elements = list(view(page, FLEET[name], overdue, query).walk())
        attributes = [pair for element in elements for pair in element.attributes.items()]
        links = {value for key, value in attributes if key in ("href", "src", "action")}

        assert set() == {element.tag for element in elements} & {"script", "img", "link", "iframe", "object"}
        assert [] == [key for key, _ in attributes if key == "style" or key.startswith("on")]
        assert links <= {"./", "metrics", "-/healthy", "-/ready"}


def test_hostile_values_come_out_as_text(page: StatusPage) -> None:
    """Names and slugs are shown as they were sent, and never as markup."""
    body = page.render(HOSTILE, False, NOW)
    sent = {" ".join(text.encode("utf-8", "replace").decode().split()) for text in HOSTILE_TEXTS}

    assert sent == set(slugs(parse(body)))
    assert b"<script" not in body.lower()


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_a_hostile_search_stays_in_its_field(page: StatusPage, text: str) -> None:
    """The query cannot leave the attribute that it is put into."""
    field = view(page, LARGE, query=text).one("input")
    names = {"id", "name", "type", "value", "dir", "maxlength", "autocomplete"}

    assert text.encode("utf-8", "replace").decode() == field.attributes["value"]
    assert names == set(field.attributes)


def test_the_page_is_accessible(large: Element) -> None:
    """Language, viewport, both colour schemes, landmarks, one main heading and a described table."""
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


@pytest.mark.parametrize("name", FLEET)
def test_references_within_the_page_lead_somewhere(page: StatusPage, name: str) -> None:
    """Identifiers are unique, and labels refer to one that exists."""
    elements = list(view(page, FLEET[name], query="a").walk())
    ids = [element.attributes["id"] for element in elements if "id" in element.attributes]
    wanted = {
        element.attributes[key]
        for element in elements
        for key in ("aria-labelledby", "for")
        if key in element.attributes
    }

    assert sorted(set(ids)) == sorted(ids)
    assert set() == wanted - set(ids)


def test_the_footer_leads_on(page: StatusPage) -> None:
    """The routes for machines are a click away, and the version is there for a bug report."""
    footer = view(page, WAITING).one("footer")

    assert ["metrics", "-/healthy", "-/ready"] == [link.attributes["href"] for link in footer.all("a")]
    assert f"provider-metrics-exporter {__version__}" in footer.text


def test_jinja_is_imported_with_the_first_page() -> None:
    """The start does not wait for a template engine."""
    code = "import sys, exporter.web.status as s; s.StatusPage(60); sys.exit('jinja2' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False, timeout=20).returncode
