"""The provisioned boards in a real Grafana and a browser: every panel in every state, on screen and phone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.grafana.dashboards import FILES, panels
from tests.stack.boards import EXPORTER, HOME, ONE, PROVIDER, STATES, Boards
from tests.stack.panels import loaded, problems, toasts, window
from tests.visitor import Visitor

WIDTHS = (1280, 390)
"""Of a screen and a phone."""
THEMES = ("light", "dark")

NO_FAILURE = {"Failed Fetches by Outcome"}
NO_LOG_OF_FAILURES = {"Warnings and Errors"}
NO_CHOICE = {"Trace of a Poll"}
"""Nobody has clicked on a trace."""
CALM = {HOME: NO_FAILURE | NO_CHOICE, ONE: {"Health Unchanged For", "Alerts"}, EXPORTER: {*NO_FAILURE}}
MAY_BE_EMPTY: Mapping[str, Mapping[str, set[str]]] = {
    "started": CALM,
    "well": CALM,
    "down": {HOME: NO_FAILURE | NO_CHOICE, ONE: set(), EXPORTER: NO_FAILURE},
    "stale": {
        HOME: NO_CHOICE,
        ONE: {"Name", "Health", "Active", "Last Health Check", "Capabilities"},
        EXPORTER: set(),
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
    return frozenset(
        panel["title"] for panel in panels(file) if absent.get(panel["datasource"]["type"], False)
    )


@pytest.mark.parametrize(("state", "file", "width", "theme"), list(product(STATES, FILES, WIDTHS, THEMES)))
def test_board(
    boards: Boards, browser: Browser, pictures: Path, state: str, file: str, width: int, theme: str
) -> None:
    """Every panel is drawn with its data, and nothing fails or is asked elsewhere."""
    chosen = {"var-provider": PROVIDER} if file == ONE else {}
    address = f"{boards.address(file, state, theme=theme, **chosen)}&kiosk"
    empty = frozenset(MAY_BE_EMPTY[state][file]) | not_judged(file, boards)
    with Visitor(browser, levels=("error",)) as visitor:
        page = visitor.open(address, viewport=window(file, width), storage_state=boards.grafana.login())
        found = loaded(file, page, visitor)
        page.screenshot(path=pictures / f"{Path(file).stem}-{state}-{width}-{theme}.png")
        wrong = [*problems(found, empty), *toasts(page), *visitor.problems]

    assert [] == wrong


def test_table_of_empty_panels() -> None:
    """Each panel that may be empty is one of its board."""
    known = {file: {panel["title"] for panel in panels(file)} for file in FILES}

    assert [] == [
        (state, title)
        for state, boards in MAY_BE_EMPTY.items()
        for file, titles in boards.items()
        for title in titles - known[file]
    ]
