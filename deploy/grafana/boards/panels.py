"""Panels as our dashboards use them, and the frame that all dashboards share."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    nodegraph,
    stat,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.text import TextMode

from boards.sources import POSTGRES

GREEN, YELLOW, RED, BLUE, PURPLE, GREY = "#73BF69", "#FADE2A", "#F2495C", "#5794F2", "#B877D9", "#8E8E8E"
TAG = "regraft"
Query = Any  # a builder of a query: of Prometheus, or Sql


def board(uid: str, title: str, about: str, *, span: str = "now-1h", refresh: str = "5s") -> dashboard.Dashboard:
    """An empty dashboard with links to the others."""
    link = dashboard.DashboardLink("Regraft").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True)
    return (
        dashboard.Dashboard(title)
        .uid(f"regraft-{uid}")
        .description(about)
        .tags([TAG])
        .time(span, "now")
        .refresh(refresh)
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(link.keep_time(True).icon("external link").tooltip("").url(""))
    )


def window() -> dashboard.CustomVariable:
    """How far back a rate looks. Short ones show more, long ones are steadier where there are few calls."""
    choices = ("1m", "5m", "15m", "1h")
    return (
        dashboard.CustomVariable("window")
        .label("Rates over")
        .values(",".join(choices))
        .options([VariableOption(text=each, value=each, selected=each == "5m") for each in choices])
        .current(VariableOption(text="5m", value="5m", selected=True))
    )


def choice(name: str, label: str, query: str, *, everything: bool = False) -> dashboard.QueryVariable:
    """A list to choose from, of a query with columns `__text` and `__value`, asked again with the time range."""
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(POSTGRES)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    return (
        variable.include_all(True).all_value("").current(VariableOption("All", "$__all", True))
        if everything
        else variable
    )


def box(name: str, label: str, value: str) -> dashboard.TextBoxVariable:
    """A text that the reader may change."""
    return (
        dashboard.TextBoxVariable(name)
        .label(label)
        .default_value(value)
        .current(VariableOption(text=value, value=value, selected=True))
        .options([VariableOption(text=value, value=value, selected=True)])
    )


def limits(*steps: tuple[float, str], base: str = GREEN) -> dashboard.ThresholdsConfig:
    """Colours from values on: ``base`` below the first."""
    made = [Threshold(value=None, color=base), *(Threshold(value=value, color=color) for value, color in steps)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(made)


def figure(
    title: str,
    about: str,
    *queries: Query,
    unit: str = "short",
    steps: dashboard.ThresholdsConfig | None = None,
    width: int = 4,
    height: int = 4,
    decimals: int | None = None,
) -> stat.Panel:
    """One number, large, over its course. Without ``steps`` it has no opinion of its value."""
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .span(width)
        .height(height)
        .targets(list(queries))
        .thresholds(steps or limits(base=BLUE))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
        .no_value("no data")
    )
    return panel if decimals is None else panel.decimals(decimals)


def lines(
    title: str,
    about: str,
    *queries: Query,
    unit: str = "short",
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    bars: bool = False,
) -> timeseries.Panel:
    """Values over time, each with its last and highest value in the legend."""
    legend = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .min(0)
        .span(width)
        .height(height)
        .targets(list(queries))
        .draw_style(GraphDrawStyle.BARS if bars else GraphDrawStyle.LINE)
        .fill_opacity(60 if bars else 20 if stacked else 8)
        .line_width(1)
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(legend)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    mode = StackingMode.NORMAL if stacked else StackingMode.NONE
    return panel.stacking(common.StackingConfig().mode(mode).group("A"))


def bars(
    title: str, about: str, query: Query, *, unit: str = "short", width: int = 8, height: int = 8
) -> bargauge.Panel:
    """A bar for each row of a table of names and numbers."""
    return (
        bargauge.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .min(0)
        .span(width)
        .height(height)
        .targets([query])
        .display_mode(BarGaugeDisplayMode.BASIC)
        .orientation(VizOrientation.HORIZONTAL)
        .thresholds(limits(base=BLUE))
        .reduce_options(common.ReduceDataOptions().calcs([]).fields("").values(True))
        .no_value("none")
    )


def listing(title: str, about: str, query: Query, *, width: int = 24, height: int = 10) -> table.Panel:
    """A table, its columns named as the query names them."""
    return (
        table.Panel()
        .title(title)
        .description(about)
        .span(width)
        .height(height)
        .targets([query])
        .show_header(True)
        .filterable(True)
        .no_value("none")
    )


def drawing(title: str, about: str, nodes: Query, edges: Query, *, height: int = 20) -> nodegraph.Panel:
    """A node graph: the queries' refs are `nodes` and `edges`, and their columns those that the panel knows."""
    return nodegraph.Panel().title(title).description(about).span(24).height(height).targets([nodes, edges])


def words(content: str, *, height: int = 3) -> text.Panel:
    """A note in Markdown."""
    return text.Panel().title("").span(24).height(height).transparent(True).mode(TextMode.MARKDOWN).content(content)


def linked(title: str, url: str) -> list[DynamicConfigValue]:
    """What makes a column's values links."""
    return [DynamicConfigValue(id_val="links", value=[{"title": title, "url": url, "targetBlank": False}])]


def shown_as(unit: str) -> list[DynamicConfigValue]:
    """What gives a column its unit."""
    return [DynamicConfigValue(id_val="unit", value=unit)]
