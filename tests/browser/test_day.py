"""The page over the whole day of the demo, whose time is moved from hour to hour."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import requests
from playwright.sync_api import Page

from exporter.demo.gateway import DemoGateway
from exporter.demo.script import HOURS
from tests.browser.statuspage import headline, names, renew
from tests.clocks import MovedClock
from tests.process import program
from tests.replay import KEY
from tests.visitor import PATIENCE, Visitor
from tests.waiting import wait_until

INTERVAL = "1.3"
"""Its longest timeout is longer than the demo's slow answers."""
TEXT = "deepinfra"
SENTENCES = (
    "with an overdue health check",
    "provider degraded",
    "provider down",
    "list is empty",
    "refuses the admin key",
    "Gateway fails (server error) since",
    "data are stale",
)
"""Parts of the headlines of the day."""


def status(url: str) -> Any:
    """Return the document of the overall state."""
    return requests.get(f"{url}/api/v1/status", timeout=PATIENCE).json()


def wait_for_poll(url: str) -> None:
    """Wait until another poll has ended."""
    last = status(url)["poll"]
    wait_until(lambda: status(url)["poll"] != last, PATIENCE)


def current(page: Page, url: str) -> str | None:
    """Renew the page; return its headline if it is the current one."""
    renew(page)
    expected: str = status(url)["headline"]
    return expected if headline(page) == expected else None


def wait_for_filter(page: Page, text: str) -> None:
    """Wait until only providers with this text are listed, if there is a list."""
    wait_until(lambda: all(text in name.casefold() for name in names(page)), PATIENCE)


def test_day(visitor: Visitor) -> None:
    """The page follows every event, and one can type into it while it renews."""
    clock, begun = MovedClock(), time.time()
    seen, typed, found = set[str](), "", False
    with (
        DemoGateway(KEY, HOURS, clock=lambda: begun + clock.now) as gateway,
        program("run", **variables(gateway)) as exporter,
    ):
        url = exporter.url()
        wait_for_poll(url)
        page, groq = visitor.open(url, moved=True), visitor.open(f"{url}/providers/groq", moved=True)
        search = page.get_by_role("searchbox")
        search.click()
        for _ in range(HOURS):
            # The poll under way may have begun before the time was moved.
            wait_for_poll(url)
            wait_for_poll(url)
            typed = "" if typed == TEXT else typed
            typed += TEXT[len(typed)]
            search.fill(typed[:-1])
            page.keyboard.type(typed[-1])
            seen.add(wait_until(lambda: current(page, url), PATIENCE))
            wait_for_filter(page, typed)
            found = found or names(page) == ["DeepInfra"]
            assert (typed, "q") == (search.input_value(), page.evaluate("document.activeElement.id"))
            assert f"q={typed}" == urlsplit(page.url).query
            clock.now += 1
        renew(groq)
        changes = groq.locator(".changes")
        wait_until(lambda: "groq is down, it was degraded" in changes.inner_text(), PATIENCE)
        visitor.close()

    missing = [part for part in SENTENCES if not any(part in sentence for sentence in seen)]
    assert ([], seen, True) == (missing, seen, found)


def variables(gateway: DemoGateway) -> dict[str, str]:
    """Return the environment of the exporter."""
    timing = {"SCRAPE_INTERVAL": INTERVAL, "FETCH_TIMEOUT": "1.04"}
    listen = {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
    return {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": KEY, **timing, **listen}
