"""Takes the pictures of the status page from the running demo (`make pictures`).

Needs the command `chromium` (Debian: packages chromium and fonts-dejavu-core). Takes about five minutes: the
first day of the demo fills the history, and the second one reaches an outage.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import requests

from tests.process import program
from tests.verify.docs.pages import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = ROOT / "docs" / "pictures"
WIDE: Mapping[str, Any] = MappingProxyType({"viewport": {"width": 1240, "height": 900}})
PHONE: Mapping[str, Any] = MappingProxyType({"viewport": {"width": 390, "height": 844}})
MOST_BYTES = 200_000
DAY_SECONDS = 120
LONGEST_WAIT = 2.0 * DAY_SECONDS


@dataclass(frozen=True)
class Picture:
    """A page, and how a browser shows it."""

    name: str
    path: str = "/"
    options: Mapping[str, Any] = field(default_factory=lambda: WIDE)
    scheme: Literal["light", "dark"] = "light"


@dataclass(frozen=True)
class Moment:
    """What the page says at a moment of the demo's day, and the pictures of it."""

    headline: str
    """A part of it."""
    degraded: int
    pictures: Sequence[Picture]


MOMENTS = (
    Moment(
        "1 provider down",
        1,
        (
            Picture("status-page"),
            Picture("status-page-dark", scheme="dark"),
            Picture("status-page-phone", options=PHONE),
            Picture("provider-page", path="/providers/groq"),
        ),
    ),
    Moment("Gateway fails (server error) since", 0, (Picture("status-page-outage"),)),
)


def main() -> None:
    """Take the pictures, or exit with a message."""
    # tests/verify imports this module without Playwright.
    from tests.chromium import chromium

    FOLDER.mkdir(exist_ok=True)
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(chromium())
        except FileNotFoundError as error:
            sys.exit(f"{error}")
        demo = stack.enter_context(program("demo", "--day", str(DAY_SECONDS), METRICS_PORT="0"))
        url = demo.url()
        time.sleep(DAY_SECONDS)
        for moment in MOMENTS:
            wait_for(moment, url)
            for picture in moment.pictures:
                take(browser, url, picture)


def wait_for(moment: Moment, url: str) -> None:
    """Wait until the page says so."""
    deadline = time.monotonic() + LONGEST_WAIT
    while True:
        status = requests.get(f"{url}/api/v1/status", timeout=5).json()
        degraded = (status["providers"] or {}).get("degraded")
        if moment.headline in status["headline"] and moment.degraded == degraded:
            return
        if time.monotonic() > deadline:
            sys.exit(f"The demo has not said {moment.headline!r} within {LONGEST_WAIT:g} s.")
        time.sleep(0.5)


def take(browser: Browser, url: str, picture: Picture) -> None:
    """Save a picture of the first screen."""
    path = FOLDER / f"{picture.name}.png"
    page = browser.new_page(color_scheme=picture.scheme, **picture.options)
    page.goto(f"{url}{picture.path}")
    page.screenshot(path=path)
    page.close()
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size} bytes")
    if size > MOST_BYTES:
        sys.exit(f"That is more than {MOST_BYTES} bytes: make the picture smaller.")


if __name__ == "__main__":
    main()
