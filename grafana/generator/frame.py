"""The parts of all dashboards: head, rows, annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    Row,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from grafana.generator import queries
from grafana.generator.sources import METRICS, source_variables
from grafana.generator.states import BLUE, RED

OLDEST_SCHEMA = 37
"""That of Grafana 9.4; newer versions migrate the dashboard when they load it."""
FROM_WARNING = 'alertname=~"Gatewayz.+", severity=~"warning|critical"'
"""Alerts that notify somebody: neither the Watchdog, which always fires, nor information."""

PanelBuilder = Builder[dashboard.Panel]


@dataclass(frozen=True)
class Section:
    """A row with a title, and its panels from left to right."""

    title: str
    panels: Sequence[PanelBuilder]
    is_open: bool = True
    """Panels of a closed row are loaded when somebody opens it."""


@dataclass(frozen=True)
class Frame:
    """A dashboard without its panels."""

    uid: str
    title: str
    description: str
    variables: Sequence[Builder[dashboard.VariableModel]]
    annotations: Sequence[AnnotationQuery]
    links: Sequence[DashboardLink]


def build(frame: Frame, sections: Sequence[Section]) -> dashboard.Dashboard:
    """Return the dashboard."""
    board = Dashboard(frame.title).uid(frame.uid).description(frame.description).tags(["gatewayz"])
    board = board.readonly().refresh("30s").time("now-6h", "now").timezone("browser")
    board = board.tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    board = board.variables([*source_variables(), *frame.variables])
    board = board.annotations(list(frame.annotations)).links(list(frame.links))
    for section in sections:
        board = _with_section(board, section)
    built = _numbered(board.build())
    built.schema_version = OLDEST_SCHEMA
    return built


def _with_section(board: Dashboard, section: Section) -> Dashboard:
    row = Row(section.title)
    if section.is_open:
        board = board.with_row(row)
        for panel in section.panels:
            board = board.with_panel(panel)
        return board
    row = row.collapsed(True)
    for panel in section.panels:
        row = row.with_panel(panel)
    return board.with_row(row)


def health_changes() -> AnnotationQuery:
    """Return a mark for each health change of the selected providers."""
    query = AnnotationQuery().name("Changes").datasource(METRICS).enable(True).icon_color(BLUE)
    query = query.expr(queries.health_changes()).step("60s")
    return query.title_format("{{provider}}").text_format("{{to}}")


def alerts(matchers: str) -> AnnotationQuery:
    """Return annotations for firing warnings and critical alerts."""
    query = AnnotationQuery().name("Alerts").datasource(METRICS).enable(True).icon_color(RED)
    query = query.expr(f'ALERTS{{alertstate="firing", {FROM_WARNING}, {matchers}}}').step("60s")
    return query.title_format("{{alertname}}").text_format("{{severity}}").tag_keys("provider")


def _numbered(board: dashboard.Dashboard) -> dashboard.Dashboard:
    """Set the panels' ids, which links contain."""
    everything = [
        panel
        for outer in board.panels or ()
        for panel in (outer, *(outer.panels if isinstance(outer, dashboard.RowPanel) else ()))
    ]
    for number, panel in enumerate(everything, start=1):
        panel.id_val = number
    return board
