"""Opens pages, each as a new visitor would, and notes what a browser finds wrong with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

PATIENCE = 20.0
"""Seconds after which an action in the browser fails."""


@dataclass
class Visitor:
    """Pages in a browser; `problems` must be empty at the end."""

    browser: Browser
    problems: list[str] = field(default_factory=list)
    """Errors, violations of the content security policy, requests that fail or leave the server."""
    levels: Collection[str] = ("error", "warning")
    """Messages of the console that are problems."""
    contexts: list[BrowserContext] = field(default_factory=list)
    under_way: set[Request] = field(default_factory=set)
    """Requests without an answer yet."""

    def __enter__(self) -> Self:
        """Open nothing yet."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close all pages."""
        self.close()

    def close(self) -> None:
        """Close all pages, before the exporter ends: they renew themselves."""
        while self.contexts:
            self.contexts.pop().close()

    def open(self, url: str, *, moved: bool = False, **options: Any) -> Page:
        """Open a page in a new context.

        Args:
            url: Of the page.
            moved: Whether `renew` can move the time in the browser.
            options: Of the context, such as `color_scheme` or `viewport`.
        """
        context = self.browser.new_context(**options)
        self.contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        self._watch(page, urlsplit(url).netloc)
        if moved:
            page.clock.install()
        page.goto(url)
        return page

    def _watch(self, page: Page, server: str) -> None:
        def log(message: ConsoleMessage) -> None:
            if message.type in self.levels:
                self.problems.append(f"{message.text} ({message.location['url']})")

        def failed(request: Request) -> None:
            self.under_way.discard(request)
            # A renewal that is under way when the page is left is aborted.
            if request.failure != "net::ERR_ABORTED":
                self.problems.append(f"{request.url}: {request.failure}")

        def asked(request: Request) -> None:
            self.under_way.add(request)
            if urlsplit(request.url).netloc != server:
                self.problems.append(f"asks {request.url}")

        page.on("console", log)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("requestfailed", failed)
        page.on("requestfinished", lambda request: self.under_way.discard(request))
        page.on("request", asked)
