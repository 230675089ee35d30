"""What a visitor of the status page sees and does."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.visitor import PATIENCE
from tests.waiting import wait_until


def renew(page: Page) -> None:
    """Move the time in the browser to the next renewal."""
    seconds = page.locator("body").get_attribute("data-refresh")
    page.clock.run_for(1000 * int(seconds or 0))


def headline(page: Page) -> str:
    """Return the first sentence of a page."""
    return page.locator("strong").first.inner_text()


def names(page: Page) -> list[str]:
    """Return the names of the listed providers."""
    return page.locator("tbody th a").all_inner_texts()


def wait_for_names(page: Page, expected: list[str]) -> None:
    """Wait until the list has these providers."""
    wait_until(lambda: names(page) == expected, PATIENCE)
