"""What all dashboards have around their panels."""

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

from grafana.generator.sources import LOGS, METRICS, STREAM, source_variables
from grafana.generator.states import BLUE, RED

PanelBuilder = Builder[dashboard.Panel]


@dataclass(frozen=True)
class Section:
    """A row with a title, and its panels from left to right."""

    title: str
    panels: Sequence[PanelBuilder]


@dataclass(frozen=True)
class Frame:
    """A dashboard but for its panels."""

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
        board = board.with_row(Row(section.title))
        for panel in section.panels:
            board = board.with_panel(panel)
    return _numbered(board.build())


def health_changes(matcher: str) -> AnnotationQuery:
    """Return marks where a provider's health changed, as the log tells it."""
    changed = f'{STREAM} |= "Provider health changed" | json | message="Provider health changed"'
    mark = AnnotationQuery().name("Health changes").datasource(LOGS).enable(True).icon_color(BLUE)
    return mark.expr(f"{changed} | {matcher}").title_format("{{provider}}").text_format("{{from}} → {{to}}")


def alerts(matchers: str) -> AnnotationQuery:
    """Return marks where alerts fired that somebody is notified of; the Watchdog always fires."""
    mark = AnnotationQuery().name("Alerts").datasource(METRICS).enable(True).icon_color(RED)
    firing = 'alertstate="firing", alertname=~"Gatewayz.+", severity=~"warning|critical"'
    mark = mark.expr(f"ALERTS{{{firing}, {matchers}}}").step("60s")
    return mark.title_format("{{alertname}}").text_format("{{severity}}").tag_keys("provider")


def _numbered(board: dashboard.Dashboard) -> dashboard.Dashboard:
    """Give each panel its number, by which links name it."""
    for number, panel in enumerate(board.panels or (), start=1):
        panel.id_val = number
    return board
