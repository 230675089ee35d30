"""Property: no text from the gateway or the query adds markup to the status page."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.errors import Outcome
from exporter.model.changes import Changes, HealthChange
from exporter.model.endpoints import Endpoint
from exporter.model.history import History
from exporter.model.provider import HealthStatus, Provider
from exporter.model.snapshot import Fetch, Poll, Snapshot
from exporter.status.state import State
from exporter.web.page.pages import StatusPage
from exporter.web.page.query import Query
from tests.clocks import START_DATE
from tests.properties.strategies import AWKWARD

PAGE = StatusPage(60)
MARKUP = (
    *("<script>", "</script>", "</title>", "</style>", "<!--", "-->", "<![CDATA[", "<img src=x onerror="),
    *("'", ">"),
)
TEMPLATES = ("{{", "}}", "{%", "%}", "{#", "7*7", "${", "&lt;", "&#60;", "&quot;", "\ud800")

pieces = st.sampled_from(MARKUP + TEMPLATES + AWKWARD) | st.text(max_size=3)
texts = st.lists(pieces, min_size=1).map("".join).filter(bool)


class Skeleton(HTMLParser):
    """The markup of a page: tags with the names of their attributes, comments, declarations."""

    def __init__(self, page: bytes) -> None:
        """Parse a page."""
        super().__init__(convert_charrefs=True)
        self.markup: list[tuple[str, ...]] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag and the names of its attributes."""
        self.markup.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Record an end tag."""
        self.markup.append((f"/{tag}",))

    def handle_comment(self, data: str) -> None:
        """Record a comment."""
        self.markup.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        """Record a declaration."""
        self.markup.append(("declaration", decl))

    def unknown_decl(self, data: str) -> None:
        """Record an unknown declaration."""
        self.markup.append(("unknown", data))

    def handle_pi(self, data: str) -> None:
        """Record a processing instruction."""
        self.markup.append(("instruction", data))


def page(text: str, query: str) -> bytes:
    """Return a page with a text in all values of the gateway, and a query."""
    fetches = tuple(
        Fetch(endpoint, Outcome.SERVER_ERROR, None, hint=text, status=500, request_id=text)
        for endpoint in Endpoint
    )
    poll = Poll(START_DATE, 1.0, 1, 1, fetches)
    snapshot = Snapshot(providers=(Provider(text, name=text, id=text),), last_poll=poll)
    history = History(3600, 60, START_DATE)
    history.record(poll, Changes((HealthChange(text, HealthStatus.HEALTHY, HealthStatus.DOWN),)))
    state = State(snapshot, history, START_DATE)
    detail = PAGE.detail(text, state)
    assert detail is not None
    return PAGE.overview(state, Query.of({"q": query})) + detail


def markup(body: bytes) -> tuple[list[tuple[str, ...]], Counter[str]]:
    """Return the markup, and the number of its characters, independently of any parser."""
    return Skeleton(body).markup, Counter(character for character in body.decode() if character in "<>\"'")


@given(text=texts)
@example('"><img src=x onerror=alert(1)>' * 400)
@example("</script><script>alert(1)</script>")
@example("{{ 7 * 7 }}{% raw %}")
@example("\0<\0script>")
@example("\u202e<script>")
def test_values(text: str) -> None:
    """No value of the gateway adds an element, attribute, comment or unescaped character."""
    assert markup(page("harmless", "")) == markup(page(text, ""))


@given(text=texts.filter(str.strip))
@example('" autofocus onfocus="alert(1)')
def test_query(text: str) -> None:
    """No query adds any, whether it matches a provider or not."""
    # One letter, which only the same letter matches.
    for slug in (text, "a" if text.strip().casefold() != "a" else "b"):
        harmless = page("harmless", "harmless" if slug == text else "another")

        assert markup(harmless) == markup(page(slug, text))
