"""Fixtures: one browser, and visits of pages that must have no problem."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.chromium import chromium
from tests.visitor import Visitor


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser."""
    with chromium() as running:
        yield running


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """Opens pages; none may have a problem until the end of the test."""
    with Visitor(browser) as visitor:
        yield visitor
    assert [] == visitor.problems
