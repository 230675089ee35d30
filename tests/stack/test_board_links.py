"""The links of the boards, followed by clicks, and the boards in a Grafana that somebody else runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.grafana.dashboards import FILES, parsed
from tests.http_server import free_port
from tests.stack.boards import EXPORTER, HOME, ONE, PROVIDER, Boards
from tests.stack.grafana import Grafana, bare_grafana
from tests.stack.panels import drawn, loaded, panel_of, problems, wait_in, window
from tests.stack.servers import Programs
from tests.stack.substitution import shortened_boards
from tests.stack.test_messages import Renderer, down, links
from tests.visitor import Visitor

NAME = "Groq"
SCREEN = 1280
OF_METRICS = "prometheus"
SOURCE = "Their Prometheus"
PACE = {"timeInterval": "1s"}
"""Its scrape interval."""
FAILURES = "Failed Fetches by Outcome"
POLLS = "Latest Polls"
# It is seen too late for a change, and has no failures.
CALM = {"Health Unchanged For", "Alerts", "Refused or Dropped", FAILURES}

pytestmark = pytest.mark.needs("grafana", "chromium")


@pytest.fixture(scope="module")
def bare(programs: Programs, boards: Boards, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grafana]:
    """A Grafana with nothing but a data source for metrics."""
    with bare_grafana(programs, tmp_path_factory.mktemp("bare"), free_port()) as running:
        running.create_source(
            name=SOURCE, type=OF_METRICS, access="proxy", url=boards.prometheus.url, jsonData=PACE
        )
        yield running


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """Opens pages in which nothing may fail."""
    with Visitor(browser, levels=("error",)) as visitor:
        yield visitor
    assert [] == visitor.problems


def open_board(boards: Boards, visitor: Visitor, file: str, state: str, **chosen: str) -> Page:
    """Open a board as of a state, with all its panels."""
    page = visitor.open(
        boards.address(file, state, **chosen),
        viewport=window(file, SCREEN),
        **boards.grafana.session(),
    )
    loaded(file, page, visitor)
    return page


def asked_for(page: Page) -> tuple[str, dict[str, str]]:
    """Return the UID of the board of a page's address, and the parameters that concern it."""
    address = urlsplit(page.url)
    parameters = {name: values[-1] for name, values in parse_qs(address.query).items()}
    return address.path.split("/")[2], parameters


def is_at(page: Page, file: str) -> bool:
    """Return whether a page's address is that of a board."""
    return urlsplit(page.url).path.startswith(f"/d/{parsed(file)['uid']}")


def test_row_leads_to_the_provider(boards: Boards, visitor: Visitor) -> None:
    """A row of the table opens the board of its provider with the same time range; its header leads back."""
    page = open_board(boards, visitor, HOME, "down")
    panel_of(page, HOME, "All Providers").locator("a", has_text=NAME).first.click()
    wait_in(page, lambda: is_at(page, ONE))
    found = {panel.title: panel for panel in loaded(ONE, page, visitor)}
    _, there = asked_for(page)
    page.locator("a", has_text="All providers").first.click()
    wait_in(page, lambda: is_at(page, HOME))
    loaded(HOME, page, visitor)
    _, back = asked_for(page)

    begin, end = boards.range("down")
    assert (NAME,) == found["Name"].texts
    assert (PROVIDER, begin, end) == (there["var-provider"], there["from"], there["to"])
    assert (begin, end) == (back["from"], back["to"])


@pytest.mark.needs("tempo")
@pytest.mark.parametrize("file", [HOME, EXPORTER])
def test_failure_leads_to_its_traces(boards: Boards, visitor: Visitor, file: str) -> None:
    """A point of the failed fetches opens the traces with its outcome, which there are."""
    page = open_board(boards, visitor, file, "stale")
    click_last_point(page, panel_of(page, file, FAILURES))
    with page.context.expect_page() as opened:
        page.get_by_text("Traces of these failures").click()
    explore = opened.value
    trace = explore.locator('[role="cell"], [role="gridcell"]').locator("a").first
    trace.wait_for()

    assert "server_error" in unquote(explore.url)
    assert "tempo" in unquote(explore.url)


def click_last_point(page: Page, panel: Locator) -> None:
    """Click the last point of a graph."""
    plot = panel.locator(".u-over")
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    point = panel.locator(".u-cursor-pt:visible").first.bounding_box()
    assert point is not None
    # Menus open with a click on the point itself; the pointer must come to rest before.
    x, y = point["x"] + point["width"] / 2, point["y"] + point["height"] / 2
    page.mouse.move(x, y)
    page.mouse.click(x, y)


@pytest.mark.needs("loki", "tempo")
def test_record_leads_to_its_trace(boards: Boards, visitor: Visitor) -> None:
    """A log record of a poll leads to the trace of this poll."""
    page = open_board(boards, visitor, HOME, "well")
    panel = panel_of(page, HOME, POLLS)
    panel.locator('[title="See log details"], [aria-label="See log details"]').first.click()
    link = panel.locator("a, button", has_text="View trace").first
    with page.context.expect_page() as opened:
        link.click(modifiers=["Control"])
    explore = opened.value
    explore.get_by_text("fetch /providers", exact=True).first.wait_for()

    # Grafana 9 tells graphs without data which record is under the pointer, and they fail.
    visitor.problems[:] = [each for each in visitor.problems if not each.endswith("(reading 'left')")]
    assert "/explore" == urlsplit(explore.url).path


def test_status_page_leads_to_the_board(boards: Boards, visitor: Visitor) -> None:
    """The status page of a provider leads to its board, which shows its name."""
    page = visitor.open(
        f"{boards.exporter_url}/providers/{PROVIDER}",
        viewport=window(ONE, SCREEN),
        **boards.grafana.session(),
    )
    page.get_by_role("link", name="The board of this provider in Grafana").click()
    wait_in(page, lambda: is_at(page, ONE))
    found = {panel.title: panel for panel in loaded(ONE, page, visitor)}
    visitor.close()
    # The visit is one of two servers.
    visitor.problems[:] = [
        each for each in visitor.problems if not each.startswith(f"asks {boards.grafana.url}/")
    ]

    assert (NAME,) == found["Name"].texts


def test_message_leads_to_the_board(
    boards: Boards, programs: Programs, visitor: Visitor, tmp_path: Path
) -> None:
    """The link of an alert's message opens the board of its provider from an hour before."""
    render = Renderer(programs, tmp_path, GRAFANA_URL=boards.grafana.url)
    began = datetime.fromtimestamp(round(boards.moments["down"]), UTC)
    text = render("slack.text", {**down(PROVIDER), "startsAt": began.strftime("%Y-%m-%dT%H:%M:%SZ")})
    (link,) = [link for link in links(text) if link.startswith(f"{boards.grafana.url}/d/")]
    page = visitor.open(link, viewport=window(ONE, SCREEN), **boards.grafana.session())
    found = {panel.title: panel for panel in loaded(ONE, page, visitor)}
    _, there = asked_for(page)

    hour_before = 1000 * (round(began.timestamp()) - 3600)
    assert (NAME,) == found["Name"].texts
    assert (PROVIDER, str(hour_before), "now") == (there["var-provider"], there["from"], there["to"])


@pytest.mark.parametrize("file", FILES)
def test_import(boards: Boards, bare: Grafana, visitor: Visitor, tmp_path: Path, file: str) -> None:
    """An imported board shows metrics where there are no others; panels of logs and traces are closed."""
    page = visitor.open(f"{bare.url}/dashboard/import", viewport=window(file, SCREEN), **bare.session())
    # Its text is too long for a field: the browser is slow with it.
    page.locator('input[type="file"]').set_input_files(shortened_boards(tmp_path / "boards") / file)
    page.get_by_test_id("data-testid-import-dashboard-submit").wait_for()
    choose_source(page)
    page.get_by_test_id("data-testid-import-dashboard-submit").click()
    wait_in(page, lambda: is_at(page, file))
    begin, end = boards.range("down")
    page.goto(f"{bare.url}/d/{parsed(file)['uid']}?from={begin}&to={end}&var-provider={PROVIDER}")
    found = drawn(file, page, visitor)

    # The dialog asks whether there is a dashboard with this UID.
    visitor.problems[:] = [each for each in visitor.problems if "/api/dashboards/uid/" not in each]
    closed = {panel["title"] for row in parsed(file)["panels"] for panel in row.get("panels", ())}
    shown = [panel for panel in found if panel.title not in closed]
    assert closed
    assert [] == list(problems(shown, CALM))


def choose_source(page: Page) -> None:
    """Choose the data source for metrics in the dialog of an import, if it asks for one."""
    pickers = page.locator('input[id="data-source-picker"], [data-testid="Select a data source"]')
    for picker in pickers.all():
        picker.click()
        page.get_by_text(SOURCE, exact=True).first.click()
