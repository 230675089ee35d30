"""What a browser shows of the panels of a board, in Grafana 9.4 and newer ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page

from tests.grafana.dashboards import Tree, panels, parsed, placed
from tests.visitor import PATIENCE, Visitor
from tests.waiting import wait_until

NO_DATA = frozenset({"No data", "No data in response", "No data found in response"})
"""What some panels write instead of their own text for this."""
UNTRUE = frozenset({"The exporter is not scraped", "Not scraped"})
"""What no panel may say: in all states the exporter is scraped."""
CLOSED_ROW = '.dashboard-row--collapsed .dashboard-row__title, [aria-label="Expand row"]'
ITEM = "[data-panelid], [data-viz-panel-key]"
"""A panel, in old versions and since dashboards are scenes."""
LOADED_SECONDS = 40.0
QUIET_SECONDS = 5.0
"""When nothing is asked for this time, a panel that is not drawn never will be."""
ROW_PIXELS = 38
"""Height of a unit of the grid, with its margin."""
EDGE_PIXELS = 300
"""What may be above and below the panels."""
PHONE_PIXELS = 769
"""Below this width all panels are below each other."""

LOOK = """(items, readsPixels) => {
    const content = '.panel-content, [data-testid="data-testid panel content"], [class*="panel-content"]';
    const loading = '.panel-loading__spinner, [aria-label="Panel loading bar"], [data-testid*="loading bar"]';
    const error = '.panel-info-corner--error, [aria-label^="Panel header error"],'
        + '[data-testid*="Panel status error"]';

    function textsOf(element) {
        const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
        const texts = [];
        while (walker.nextNode()) {
            const text = walker.currentNode.textContent.trim();
            if (text) texts.push(text);
        }
        return texts;
    }

    function isBlank(canvas) {
        if (!canvas.width || !canvas.height) return true;
        const drawing = canvas.getContext('2d');
        const pixels = new Uint32Array(drawing.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        return pixels.every(pixel => pixel === pixels[0]);
    }

    return items.map(item => {
        const shown = item.querySelector(content);
        return {
            id: Number(item.dataset.panelid ?? item.dataset.vizPanelKey.replace('panel-', '')),
            isDrawn: Boolean(shown?.childElementCount) && !item.querySelector(loading),
            hasError: Boolean(item.querySelector(error)),
            texts: shown ? textsOf(shown) : [],
            blank: readsPixels ? [...(shown?.querySelectorAll('canvas') ?? [])].filter(isBlank).length : 0,
        };
    });
}"""
TOASTS = '[data-testid="data-testid Alert error"], [data-testid="data-testid Alert warning"]'


@dataclass(frozen=True)
class Panel:
    """What is seen of a panel."""

    title: str
    no_value: str | None
    """What it shows without data."""
    is_drawn: bool
    """Whether it is there, with its data."""
    has_error: bool
    """Whether it has the badge of an error."""
    texts: tuple[str, ...]
    """All texts below its title."""
    blank: int
    """Canvases of one colour."""

    @property
    def is_empty(self) -> bool:
        """Whether it says, or a part of it does, that there are no data."""
        return bool(self.excuses)

    @property
    def excuses(self) -> set[str]:
        """What it says instead of data."""
        return {*NO_DATA, self.no_value or ""}.intersection(self.texts)


def window(file: str, width: int) -> dict[str, int]:
    """Return the size of a window in which all panels of a board are seen: others are not loaded."""
    grids: list[Mapping[str, int]] = [each["gridPos"] for each in placed(parsed(file))]
    below = max(grid["y"] + grid["h"] for grid in grids)
    units = sum(grid["h"] for grid in grids) if width < PHONE_PIXELS else below
    return {"width": width, "height": units * ROW_PIXELS + EDGE_PIXELS}


def panel_of(page: Page, file: str, title: str) -> Locator:
    """Return a panel of a board."""
    (number,) = [panel["id"] for panel in panels(file) if panel["title"] == title]
    return page.locator(f'[data-panelid="{number}"], [data-viz-panel-key="panel-{number}"]')


def wait_in(page: Page, check: Callable[[], bool]) -> None:
    """Wait until a check is true, and let the page tell its events: they arrive during calls only."""
    wait_until(lambda: page.evaluate("0") or check(), PATIENCE)


def of_board(file: str, page: Page, *, reads_pixels: bool = True) -> list[Panel]:
    """Return all panels of a board, in their order."""
    seen = {found["id"]: found for found in page.locator(ITEM).evaluate_all(LOOK, reads_pixels)}
    return [_panel(panel, seen.get(panel["id"], {})) for panel in panels(file)]


def _panel(panel: Tree, seen: Mapping[str, Any]) -> Panel:
    return Panel(
        panel["title"],
        panel.get("fieldConfig", {}).get("defaults", {}).get("noValue"),
        seen.get("isDrawn", False),
        seen.get("hasError", False),
        tuple(seen.get("texts", ())),
        seen.get("blank", 0),
    )


def open_rows(file: str, page: Page) -> None:
    """Open the closed rows of a board."""
    closed = [row for row in parsed(file)["panels"] if row.get("panels")]
    title = page.locator(CLOSED_ROW)
    wait_until(lambda: title.count() == len(closed), LOADED_SECONDS)
    for _ in closed:
        title.first.click()


def loaded(file: str, page: Page, visitor: Visitor) -> list[Panel]:
    """Return all panels, as `drawn` does, those of closed rows too, which are opened."""
    open_rows(file, page)
    return drawn(file, page, visitor)


def drawn(file: str, page: Page, visitor: Visitor) -> list[Panel]:
    """Return all panels when they are drawn and nothing is asked any more, or when one can no longer be."""
    quiet_since = time.monotonic()

    def seen() -> list[Panel]:
        nonlocal quiet_since
        found = of_board(file, page, reads_pixels=False)
        now = time.monotonic()
        if visitor.under_way:
            quiet_since = now
            return []
        is_drawn = all(panel.is_drawn for panel in found)
        return found if is_drawn or now - quiet_since > QUIET_SECONDS else []

    wait_until(seen, LOADED_SECONDS)
    # What has just arrived is drawn within two frames, and may make a panel ask for more.
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    wait_until(seen, LOADED_SECONDS)
    return of_board(file, page)


def problems(found: list[Panel], may_be_empty: Set[str]) -> Iterator[str]:
    """Yield what is wrong with panels."""
    for panel in found:
        if not panel.is_drawn:
            yield f"{panel.title}: is not drawn"
        if panel.has_error:
            yield f"{panel.title}: has the badge of an error"
        for text in UNTRUE.intersection(panel.texts):
            yield f"{panel.title}: says what is not true: {text}"
        if panel.title in may_be_empty:
            continue
        if panel.is_empty:
            among = " in some places" if len(panel.texts) > len(panel.excuses) else ""
            yield f"{panel.title}: says {' and '.join(panel.excuses)!r}{among}"
        if panel.blank and not panel.is_empty:
            yield f"{panel.title}: is blank"


def toasts(page: Page) -> list[str]:
    """Return the messages over the board."""
    return [toast.inner_text() for toast in page.locator(TOASTS).all() if toast.is_visible()]
