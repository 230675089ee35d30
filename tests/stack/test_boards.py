"""The provisioned boards in a real Grafana and a browser: every panel in every state, on screen and phone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.grafana.dashboards import FILES, panels, source_of
from tests.stack.boards import EXPORTER, HOME, ONE, PROVIDER, STATES, Boards
from tests.stack.panels import loaded, panel_of, problems, toasts, wait_in, window
from tests.visitor import Visitor

WIDTHS = (1280, 390)
"""Of a screen and a phone."""
SCREEN = {"width": 1440, "height": 900}
HIT = "Providers Not Healthy"
FIRST_SCREENS = (
    (HOME, "down", HIT, (PROVIDER, "Down", "ago")),
    (HOME, "stale", HIT, (PROVIDER, "Down, last known", "ago")),
    (HOME, "stale", "Exporter", ("Gateway failing",)),
    (HOME, "stale", "Healthy Providers", ("Last known", "Age")),
    (ONE, "down", "Health", ("Down",)),
    (ONE, "down", "Uptime 24 h", ("Uptime", "Time with data")),
)
"""Board, state, and a panel with texts that must be seen without scrolling."""
THEMES = ("light", "dark")

NO_FAILURE = {"Failed Fetches by Outcome"}
NO_CHOICE = {"Trace of a Poll"}
"""Nobody has clicked on a trace."""
CALM = {"Alerts", "Log"}
"""Of one provider."""
NO_LOSS = {"Refused or Dropped"}
NO_CHANGE = {"Health Unchanged For"}
NO_RATE = {"Fetches by Outcome", "Fetch Latency", "Fetch Latency by Endpoint", "CPU", "Sent"}
"""There is not yet a point in time with two samples before it."""
NO_RULE = {"Difference of List and Counts"}
"""Rules have not run yet at the last point in time."""
NO_RANKING = {"Lowest Uptime"}
NO_UPTIME = {
    "Error Budget Left",
    "Burn Rate",
    "Uptime 1 h",
    "Uptime 24 h",
    "Uptime 14 d",
    "Uptime Over Time",
    "Response Time",
}
MAY_BE_EMPTY: Mapping[str, Mapping[str, set[str]]] = {
    "started": {
        HOME: NO_FAILURE | NO_CHOICE | NO_RANKING,
        ONE: {*NO_CHANGE, *NO_UPTIME, *CALM},
        EXPORTER: NO_FAILURE | NO_LOSS | NO_RATE | NO_RULE | {"Warnings and Errors"},
    },
    "well": {
        HOME: NO_FAILURE | NO_CHOICE,
        ONE: {*NO_CHANGE, *CALM},
        EXPORTER: NO_FAILURE | NO_LOSS | {"Warnings and Errors"},
    },
    "down": {
        HOME: NO_FAILURE | NO_CHOICE,
        ONE: set(),
        EXPORTER: NO_FAILURE | NO_LOSS | {"Warnings and Errors"},
    },
    "stale": {
        HOME: NO_CHOICE,
        ONE: {"Active", "Capabilities"},
        EXPORTER: NO_LOSS,
    },
}
"""Titles of the panels without data, by state and board."""
OF_LOGS, OF_TRACES = "loki", "tempo"

pytestmark = pytest.mark.needs("grafana", "chromium")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the screenshots: that of the variable BOARD_PICTURES, if it is set."""
    folder = Path(os.environ.get("BOARD_PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def not_judged(file: str, boards: Boards) -> frozenset[str]:
    """Return the titles of the panels whose server is a stand-in."""
    absent = {OF_LOGS: not boards.has_logs, OF_TRACES: not boards.has_traces}
    return frozenset(panel["title"] for panel in panels(file) if absent.get(source_of(panel), False))


@pytest.mark.parametrize(("state", "file", "width", "theme"), list(product(STATES, FILES, WIDTHS, THEMES)))
def test_board(
    boards: Boards, browser: Browser, pictures: Path, state: str, file: str, width: int, theme: str
) -> None:
    """Every panel is drawn with its data, and nothing fails or is asked elsewhere."""
    chosen = {"var-provider": PROVIDER} if file == ONE else {}
    address = f"{boards.address(file, state, theme=theme, **chosen)}&kiosk"
    empty, unknown = MAY_BE_EMPTY[state][file], not_judged(file, boards)
    with Visitor(browser, levels=("error",)) as visitor:
        page = visitor.open(address, viewport=window(file, width), **boards.grafana.session())
        found = loaded(file, page, visitor)
        page.screenshot(path=pictures / f"{Path(file).stem}-{state}-{width}-{theme}.png")
        judged = [panel for panel in found if panel.title not in unknown]
        wrong = [*problems(judged, empty), *toasts(page), *visitor.problems]

    # The whole of it: pytest cuts what it finds out itself.
    assert not wrong, "\n".join(["", *wrong])


@pytest.mark.parametrize(("file", "state", "title", "texts"), FIRST_SCREENS)
def test_first_screen(
    boards: Boards,
    browser: Browser,
    pictures: Path,
    file: str,
    state: str,
    title: str,
    texts: tuple[str, ...],
) -> None:
    """What is wrong, since when, and with whom, is on the first screen."""
    chosen = {"var-provider": PROVIDER} if file == ONE else {}
    address = boards.address(file, state, theme="dark", **chosen)
    with Visitor(browser, levels=("error",)) as visitor:
        page = visitor.open(address, viewport=SCREEN, **boards.grafana.session())
        panel = panel_of(page, file, title)
        for text in texts:
            panel.get_by_text(text).first.wait_for()
        box = panel.bounding_box()
        wait_in(page, lambda: not visitor.under_way)
        page.screenshot(path=pictures / f"{Path(file).stem}-{state}-first-screen.png")
        assert [] == visitor.problems

    assert box is not None
    assert box["y"] + box["height"] <= SCREEN["height"]


def test_table_of_empty_panels() -> None:
    """Each panel that may be empty is one of its board."""
    known = {file: {panel["title"] for panel in panels(file)} for file in FILES}

    assert [] == [
        (state, title)
        for state, boards in MAY_BE_EMPTY.items()
        for file, titles in boards.items()
        for title in titles - known[file]
    ]
