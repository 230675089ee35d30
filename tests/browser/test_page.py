"""The pages as people use them: sorted, filtered, by keyboard, on a phone, without scripts, on paper."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page

from tests.browser.statuspage import headline, names, renew, wait_for_names
from tests.certificates import PASSWORD, USER, Folder, hashed
from tests.process import Program, program
from tests.replay import GOOD, LIST, LIST_NO_SLASH, STATS, ReplayGateway, answer, recorded_body
from tests.visitor import PATIENCE, Visitor
from tests.waiting import wait_until

PHONE = {"width": 390, "height": 844}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE},
}
HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e</script>"

Record = dict[str, Any]


def records(**healths: str) -> list[Record]:
    """Return the recorded list; all are active and checked just now, and some have another health."""
    listed: list[Record] = json.loads(recorded_body(GOOD[LIST]))
    same = {"is_active": True, "last_health_check_at": datetime.now(UTC).isoformat()}
    return [{**record, **same, "health_status": healths.get(record["slug"], "healthy")} for record in listed]


@dataclass
class Site:
    """A running exporter and its gateway."""

    url: str
    gateway: ReplayGateway
    exporter: Program

    def show(self, listed: Sequence[Record]) -> None:
        """Make the gateway list these records, and wait until the exporter has them."""
        listing(self.gateway, listed)
        expected = [[record["slug"], record["health_status"]] for record in listed]
        wait_until(lambda: expected == self.listed(), PATIENCE)

    def listed(self) -> list[list[str]]:
        """Return slugs and healths as the exporter has them."""
        document = requests.get(f"{self.url}/api/v1/providers", timeout=PATIENCE).json()
        return [[each["slug"], each["health"]] for each in document["providers"]]


def listing(gateway: ReplayGateway, listed: Sequence[Record]) -> None:
    """Make a gateway list these records, and count them."""
    counts = {"total": len(listed), "active": len(listed), "inactive": 0}
    health = Counter(record["health_status"] for record in listed)
    counts |= {name: health[name] for name in ("healthy", "degraded", "down", "unknown")}
    documents = {LIST: listed, LIST_NO_SLASH: listed, STATS: counts}
    gateway.answers |= {
        target: answer(200, json.dumps(found).encode()) for target, found in documents.items()
    }


@pytest.fixture
def site(gateway: ReplayGateway) -> Iterator[Site]:
    """An exporter that has polled a gateway with a provider that is down, and a degraded one."""
    listing(gateway, records(groq="down", openai="degraded"))
    with program(**gateway.variables(SCRAPE_INTERVAL="0.5")) as exporter:
        url = exporter.url()
        exporter.record("Updated provider metrics")
        yield Site(url, gateway, exporter)


def test_sort(site: Site, visitor: Visitor) -> None:
    """The head of a column sorts by it, a second time in the other direction; the address says so."""
    page = visitor.open(site.url)
    expected = sorted(names(page), key=str.casefold)
    column = page.get_by_role("columnheader", name="Provider")

    column.get_by_role("link").click()
    wait_for_names(page, expected)
    ascending = column.get_attribute("aria-sort")
    column.get_by_role("link").click()
    wait_for_names(page, expected[::-1])

    assert ("ascending", f"{site.url}/?sort=name&desc=1") == (ascending, page.url)


def test_filter(site: Site, visitor: Visitor) -> None:
    """A filter applies at once, stands in the address, and is there after a reload."""
    page = visitor.open(site.url)

    page.get_by_label("State", exact=True).select_option("down")
    wait_for_names(page, ["Groq"])
    page.reload()

    assert (["Groq"], "down") == (names(page), page.get_by_label("State", exact=True).input_value())
    assert f"{site.url}/?state=down" == page.url


def test_renewal(site: Site, visitor: Visitor) -> None:
    """A renewal shows the current state; what is focused stays focused, an open fold stays open."""
    page = visitor.open(site.url, moved=True)
    before = headline(page)
    page.locator("summary").click()
    page.get_by_role("link", name="OpenAI").focus()

    site.show(records())
    renew(page)
    wait_until(lambda: headline(page) != before, PATIENCE)

    assert "1 provider down" == before
    assert "OpenAI" == page.evaluate("document.activeElement.textContent")
    assert page.locator("details").get_attribute("open") is not None


def test_exporter_that_is_away(site: Site, visitor: Visitor) -> None:
    """While the exporter is away, the page stays as it is."""
    page = visitor.open(site.url, moved=True)
    before = names(page)

    site.exporter.end()
    renew(page)
    wait_until(lambda: page.evaluate("0") or visitor.problems, PATIENCE)
    after = names(page)
    visitor.close()

    assert (before, True) == (after, all("net::ERR_" in each for each in visitor.problems))
    visitor.problems.clear()


def test_links(site: Site, visitor: Visitor) -> None:
    """Every link within the exporter has an answer; others send no referrer."""
    page = visitor.open(site.url)
    page.get_by_role("link", name="Groq", exact=True).first.click()
    page.wait_for_url(f"{site.url}/providers/groq")
    within, others = set[str](), []
    for address in (site.url, f"{site.url}/providers/groq"):
        page.goto(address)
        for link in page.locator("a").all():
            target = link.evaluate("link => link.href")
            if target.startswith(site.url):
                within.add(target)
            else:
                others.append((target, link.get_attribute("rel")))

    assert {200} == {requests.get(target, timeout=PATIENCE).status_code for target in within}
    assert [("https://groq.com/", "noreferrer")] == others


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("path", ["/", "/?state=overdue&sort=time", "/?q=nobody", "/providers/groq"])
def test_accessibility(site: Site, visitor: Visitor, look: str, path: str) -> None:
    """The checks of axe-core find nothing."""
    page = visitor.open(f"{site.url}{path}", **LOOKS[look])
    page.locator("details").evaluate_all("folds => folds.forEach(fold => { fold.open = true; })")

    found = Axe().run(page).response["violations"]

    assert [] == [(each["id"], each["impact"], [node["target"] for node in each["nodes"]]) for each in found]


def test_keyboard(site: Site, visitor: Visitor) -> None:
    """The keyboard alone reaches search, filters, columns, and the worst provider, in this order."""
    page = visitor.open(site.url)
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/providers/groq")

    columns = ["Provider", "Health", "Uptime", "Response time", "Last check"]
    assert ["q", "state", "can", "Show", *columns, "Groq"] == reached


def test_phone(site: Site, visitor: Visitor) -> None:
    """A phone shows the headline and three providers on its first screen, and does not scroll sideways."""
    page = visitor.open(site.url, viewport=PHONE)
    parts = [page.locator("strong").first, *page.locator("tbody tr").all()[:3]]
    boxes = [part.bounding_box() for part in parts]
    bottoms = [box["y"] + box["height"] for box in boxes if box]

    assert 4 == len([bottom for bottom in bottoms if bottom <= PHONE["height"]])
    for address in (site.url, f"{site.url}/providers/groq"):
        page.goto(address)
        assert PHONE["width"] == page.evaluate("document.documentElement.scrollWidth")


def test_without_scripts(gateway: ReplayGateway, visitor: Visitor) -> None:
    """Without scripts the form and the links do the same, and the page reloads."""
    listing(gateway, records(openai="degraded"))
    # A reload during the test would undo what is selected.
    with program(**gateway.variables(SCRAPE_INTERVAL="60")) as exporter:
        url = exporter.url()
        exporter.record("Updated provider metrics")
        page = visitor.open(url, java_script_enabled=False)
        refresh = page.locator("noscript meta[http-equiv=refresh]").get_attribute("content")

        page.get_by_label("State", exact=True).select_option("degraded")
        page.get_by_role("button", name="Show").click()
        wait_for_names(page, ["OpenAI"])
        page.get_by_role("columnheader", name="Uptime").get_by_role("link").click()
        page.wait_for_url(f"{url}/?state=degraded&sort=uptime")
        visitor.close()

    assert "30" == refresh


def test_paper(site: Site, visitor: Visitor) -> None:
    """On paper are the headline and the providers, not the form."""
    page = visitor.open(site.url)
    page.emulate_media(media="print")

    assert [True, True, False] == [
        page.locator(part).first.is_visible() for part in ("strong", "tbody tr", "form")
    ]


def test_hostile_names(site: Site, visitor: Visitor) -> None:
    """Names from the gateway are text, everywhere and after a renewal."""
    listed = records()
    for record in listed[:3]:
        record |= {"name": HOSTILE, "slug": f"{HOSTILE}{record['slug']}", "health_status": "down"}
    page = visitor.open(site.url, moved=True)

    site.show(listed)
    renew(page)
    wait_until(lambda: HOSTILE in names(page), PATIENCE)
    page.locator("tbody th a").first.click()
    page.wait_for_url("**/providers/**")

    assert HOSTILE in headline(page)
    assert 0 == page.locator("img").count()


def test_foreign_script(site: Site, visitor: Visitor) -> None:
    """A script that is not ours does not run, and the visitor notes it."""
    page = visitor.open(site.url)

    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'foreign = 1'}))"
    )
    wait_until(lambda: page.evaluate("0") or visitor.problems, PATIENCE)

    assert "undefined" == page.evaluate("typeof foreign")
    assert "Content Security Policy" in visitor.problems.pop()


def test_behind_tls_password_and_path(gateway: ReplayGateway, visitor: Visitor, tmp_path: Path) -> None:
    """With TLS, a password and a route prefix the page renews itself, and its links work."""
    web = Folder(tmp_path).write(tls={}, basic_auth_users={USER: hashed()})
    listing(gateway, records(groq="down"))
    flags = ("run", f"--web.config.file={web}", "--web.route-prefix=/tools/exporter")
    with program(*flags, **gateway.variables(SCRAPE_INTERVAL="0.5")) as exporter:
        url = f"https://localhost:{exporter.record('Listening')['port']}/tools/exporter/"
        exporter.record("Updated provider metrics")
        options = {"ignore_https_errors": True, "http_credentials": {"username": USER, "password": PASSWORD}}
        page = visitor.open(url, moved=True, **options)
        before = headline(page)
        listing(gateway, records())
        wait_until(lambda: renewed(page) != before, PATIENCE)
        page.get_by_role("link", name="Groq", exact=True).first.click()

        page.wait_for_url("**/providers/groq")
        visitor.close()

    assert "1 provider down" == before


def renewed(page: Page) -> str:
    """Renew a page, and return its headline."""
    renew(page)
    return headline(page)
