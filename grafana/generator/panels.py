"""Builders for each type of panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    logs,
    loki,
    piechart,
    prometheus,
    stat,
    statetimeline,
    table,
    tempo,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    AxisPlacement,
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    LogsSortOrder,
    SortOrder,
    StackingMode,
    TableCellDisplayMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    FieldConfig,
    FieldConfigSource,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.piechart import PieChartLegendValues, PieChartType

from grafana.generator.sources import LOGS, METRICS, TRACES
from grafana.generator.states import State, mapping, missing, thresholds

TIME_DESCENDING = 5
"""Order of an alert list, as numbered by Grafana: the newest alert first."""
RATE_STEP = "10m"
"""Minimum step of panels with rates.

`$__rate_interval` is one scrape interval longer: it contains two scrapes even at an interval of five minutes,
and neighbouring bars hardly overlap."""

Query = prometheus.Dataquery | loki.Dataquery | tempo.Dataquery
Properties = Mapping[str, object]
Panel = TypeVar(
    "Panel",
    stat.Panel,
    piechart.Panel,
    statetimeline.Panel,
    timeseries.Panel,
    table.Panel,
    logs.Panel,
    heatmap.Panel,
    bargauge.Panel,
)


@dataclass(frozen=True)
class Text:
    """The texts of a panel.

    Attributes:
        title: The title.
        description: What it shows, and what to do.
        no_data: The text without data.
    """

    title: str
    description: str
    no_data: str


def value(
    text: Text, unit: str, *queries: Query, colors: dashboard.ThresholdsConfig | None = None
) -> stat.Panel:
    """Return a stat panel with one value or several."""
    panel = _described(stat.Panel(), text, unit, METRICS, queries).thresholds(colors or thresholds("text"))
    panel = panel.reduce_options(_last_value()).graph_mode(BigValueGraphMode.NONE)
    return panel.color_mode(BigValueColorMode.VALUE).height(4).span(4)


def state(text: Text, states: Mapping[float, State], *queries: Query) -> stat.Panel:
    """Return a stat panel with a state on its colour."""
    panel = value(text, "short", *queries).mappings([mapping(states)])
    return panel.color_mode(BigValueColorMode.BACKGROUND)


def word(text: Text, label: str, query: Query) -> stat.Panel:
    """Return a stat panel with the value of a label; the query has the table format."""
    panel = value(text, "string", query)
    return panel.reduce_options(_last_value().fields(f"/^{label}$/"))


def pie(
    text: Text, shares: Mapping[State, Query], place: LegendPlacement = LegendPlacement.RIGHT
) -> piechart.Panel:
    """Return a pie chart of states, with one query per state."""
    panel = _described(piechart.Panel(), text, "short", METRICS, list(shares.values()))
    legend = piechart.PieChartLegendOptions().show_legend(True).display_mode(LegendDisplayMode.TABLE)
    legend = legend.placement(place)
    legend = legend.values([PieChartLegendValues.VALUE, PieChartLegendValues.PERCENT])
    panel = panel.pie_type(PieChartType.DONUT).reduce_options(_last_value()).legend(legend).height(7).span(6)
    for state in shares:
        panel = panel.override_by_name(state.text, _properties({"color": _fixed(state.color)}))
    return panel


def timeline(text: Text, states: Mapping[float, State], *queries: Query) -> statetimeline.Panel:
    """Return a state timeline, with one line per series."""
    panel = _described(statetimeline.Panel(), text, "short", METRICS, queries)
    legend = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
    panel = panel.mappings([mapping(states)]).legend(legend.placement(LegendPlacement.BOTTOM).calcs([]))
    panel = panel.show_value(VisibilityMode.NEVER).merge_values(True).row_height(0.8).line_width(0)
    return panel.fill_opacity(80).height(12).span(24)


def lines(text: Text, unit: str, *queries: Query) -> timeseries.Panel:
    """Return a time series panel, with last and highest values in the legend."""
    panel = _described(timeseries.Panel(), text, unit, METRICS, queries)
    legend = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.TABLE)
    legend = (
        legend.placement(LegendPlacement.RIGHT)
        .calcs(["lastNotNull", "max"])
        .sort_by("Last *")
        .sort_desc(True)
    )
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    # Grafana 9 leaves panels with colours by name blank.
    color = dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC)
    panel = panel.color_scheme(color).legend(legend).tooltip(tooltip)
    return panel.show_points(VisibilityMode.AUTO).line_width(1).fill_opacity(0).min(0).height(8).span(12)


def bars(text: Text, unit: str, *queries: Query) -> timeseries.Panel:
    """Return a time series panel with stacked bars."""
    panel = lines(text, unit, *queries).draw_style(GraphDrawStyle.BARS).fill_opacity(80)
    return panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))


def ranking(text: Text, unit: str, query: Query, colors: dashboard.ThresholdsConfig) -> bargauge.Panel:
    """Return horizontal bars in the order of the result."""
    panel = _described(bargauge.Panel(), text, unit, METRICS, [query]).thresholds(colors)
    panel = panel.reduce_options(_last_value()).orientation(VizOrientation.HORIZONTAL)
    return panel.display_mode(BarGaugeDisplayMode.BASIC).height(10).span(8)


def alert_list(title: str, description: str, matchers: str) -> dashboard.Panel:
    """Return the firing and pending alerts with these labels.

    The panel reads the rules of every Prometheus data source that manages alerts; it has no query of its own.
    """
    options = {
        "alertInstanceLabelFilter": f"{{{matchers}}}",
        "alertName": "",
        "dashboardAlerts": False,
        "groupBy": [],
        "groupMode": "default",
        "maxItems": 50,
        "showInstances": False,
        "sortOrder": TIME_DESCENDING,
        "stateFilter": {"error": True, "firing": True, "noData": False, "normal": False, "pending": True},
        "viewMode": "list",
    }
    panel = dashboard.Panel().type("alertlist").title(title).description(description)
    return panel.options(options).height(8).span(10)


def rows(text: Text, source: DataSourceRef, *queries: Query) -> table.Panel:
    """Return a table."""
    return _described(table.Panel(), text, "short", source, queries).height(12).span(24)


def events(text: Text, query: Query) -> logs.Panel:
    """Return log records, the newest first."""
    panel = _described(logs.Panel(), text, "string", LOGS, [query])
    panel = panel.show_time(True).wrap_log_message(True).enable_log_details(True)
    return panel.sort_order(LogsSortOrder.DESCENDING).height(10).span(12)


def latencies(text: Text, unit: str, query: Query) -> heatmap.Panel:
    """Return a heatmap of a histogram."""
    panel = _described(heatmap.Panel(), text, "short", METRICS, [query])
    colors = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32)
    axis = heatmap.YAxisConfig().unit(unit).axis_placement(AxisPlacement.LEFT)
    return panel.calculate(False).color(colors).y_axis(axis).show_legend().height(9).span(12)


def trace(text: Text, query: Query) -> dashboard.Panel:
    """Return a panel with the spans of one trace."""
    panel = dashboard.Panel().type("traces").title(text.title).description(text.description)
    panel = panel.datasource(TRACES).targets(_referenced([query])).height(12).span(24)
    defaults = FieldConfig(unit="string", no_value=text.no_data)
    return panel.field_config(FieldConfigSource(defaults=defaults))


def named(panel: Panel, name: str, properties: Properties) -> Panel:
    """Set properties of the field with a name."""
    return panel.override_by_name(name, _properties(properties))


def column_of(width: int, **properties: object) -> Properties:
    """Return the properties of a column with a width in pixels, and a text for missing values."""
    return {"custom.width": width, "mappings": [missing()], **properties}


def colored(width: int, states: Mapping[float, State]) -> Properties:
    """Return the properties of a column with states."""
    mappings = [mapping(states), missing()]
    return column_of(
        width, mappings=mappings, **{**_cell(TableCellDisplayMode.COLOR_BACKGROUND_SOLID), **_CENTERED}
    )


def colored_by(width: int, colors: dashboard.ThresholdsConfig, **properties: object) -> Properties:
    """Return the properties of a column with coloured numbers."""
    own = {"thresholds": colors.build(), "color": FieldColor(FieldColorModeId.THRESHOLDS), **properties}
    return column_of(width, **{**own, **_cell(TableCellDisplayMode.COLOR_TEXT)})


_CENTERED = {"custom.align": "center"}


def _cell(mode: TableCellDisplayMode) -> Properties:
    """Return the display of a column in the form of Grafana 9, which newer versions migrate."""
    return {"custom.displayMode": mode}


def _described(panel: Panel, text: Text, unit: str, source: DataSourceRef, queries: Sequence[Query]) -> Panel:
    panel = panel.title(text.title).description(text.description).no_value(text.no_data)
    if any("$__rate_interval" in str(getattr(query.build(), "expr", "")) for query in queries):
        panel = panel.interval(RATE_STEP)
    return panel.unit(unit).datasource(source).targets(_referenced(queries))


def _referenced(queries: Sequence[Query]) -> list[Builder[Dataquery]]:
    """Set the letters of the queries, in order."""
    return [query.ref_id(letter) for letter, query in zip(ascii_uppercase, queries, strict=False)]


def _last_value() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")


def _properties(properties: Properties) -> list[DynamicConfigValue]:
    return [DynamicConfigValue(name, setting) for name, setting in properties.items()]


def _fixed(color: str) -> FieldColor:
    return FieldColor(FieldColorModeId.FIXED, color)
