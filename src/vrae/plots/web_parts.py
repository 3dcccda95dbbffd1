"""Parts of the figures with plotly: grids of small charts, and their common style."""

from __future__ import annotations

import html
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from vrae.exceptions import check_installed
from vrae.plots.charts import Chart, ChartGrid, Line
from vrae.plots.palette import COLORS, INK, NOISE_COLOR, rgba

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["draw_web_grid", "escape", "graph_objects", "new_figure", "web_wrap"]

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_FAINT = "#E3E7EB"
_CHART = 150  # height of a small chart in pixels, without its titles
_TITLES = 46  # of the axis and the ticks between two rows
_LINE = 16  # of a title
_CHARACTERS = 120  # of a title as wide as the figure


def escape(text: str) -> str:
    """Return a text that plotly shows as it is."""
    return html.escape(text)


def web_wrap(text: str, width: int) -> str:
    """Break a title into lines of at most ``width`` characters."""
    return "<br>".join(escape(part) for line in text.split("\n") for part in textwrap.wrap(line, max(12, width)))


def graph_objects() -> Any:
    """Return `plotly.graph_objects`, or raise if plotly is not installed."""
    check_installed("plotly", "report", "A figure for the screen")
    import plotly.graph_objects as go

    return go


def new_figure(title: str, note: str = "") -> Figure:
    """Return an empty figure in the common style."""
    return _styled(graph_objects().Figure(), f"{title}<br><sup>{note}</sup>" if note else title)


def draw_web_grid(title: str, grid: ChartGrid) -> Figure:
    """Draw charts in a grid, row by row."""
    check_installed("plotly", "report", "A figure for the screen")
    from plotly.subplots import make_subplots

    charts, columns = grid.charts, grid.columns
    rows = max(1, -(-len(charts) // columns))
    titles = [web_wrap(chart.title, _CHARACTERS // min(columns, 4)) for chart in charts]
    is_first = [i % columns == 0 or charts[i - 1].title != chart.title for i, chart in enumerate(charts)]
    lines = 1 + max((text.count("<br>") for text in titles), default=0)
    gap = _TITLES + _LINE * lines
    height = rows * _CHART + (rows - 1) * gap
    figure = make_subplots(
        rows, columns, vertical_spacing=gap / height, horizontal_spacing=min(0.08, 0.4 / columns) if columns > 1 else 0
    )
    _styled(figure, f"{title}<br><sup>{escape(grid.note)}</sup>" if grid.note else title)
    above, below = (48 if title else 24) + _LINE * lines, 56
    figure.update_layout(height=height + above + below, margin={"t": above, "b": below})
    in_legend: set[str] = set()
    for cell, chart in enumerate(charts):
        place = {"row": cell // columns + 1, "col": cell % columns + 1}
        for line in chart.lines:
            for trace in _traces(line, showlegend=bool(line.name) and line.name not in in_legend):
                figure.add_trace(trace, **place)
            in_legend.add(line.name)
        if is_first[cell]:
            _add_title(figure, titles[cell], place)
        _finish_cell(figure, chart, place, grid.same_x)
    return figure


def _add_title(figure: Figure, title: str, place: dict[str, int]) -> None:
    where = {"xref": "x domain", "yref": "y domain", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"}
    figure.add_annotation(text=title, align="left", showarrow=False, font_size=13, **where, **place)


def _finish_cell(figure: Figure, chart: Chart, place: dict[str, int], same_x: bool) -> None:
    figure.update_xaxes(title_text=escape(chart.x_title), matches="x" if same_x else None, **place)
    figure.update_yaxes(title_text=escape(chart.y_title), range=chart.y_range, **place)
    for begin, end in chart.spans:
        figure.add_vrect(x0=begin, x1=end, fillcolor=rgba(COLORS[3], 0.12), line_width=0, **place)


def _traces(line: Line, *, showlegend: bool) -> list[Any]:
    """Return one trace for a line or for points, or two for an area."""
    go = graph_objects()
    shared = {"x": line.x, "name": line.name or None, "legendgroup": line.name or None}
    if line.low is not None:
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", **shared}
        fill = {"fill": "tonexty", "fillcolor": rgba(line.color, line.opacity)}
        return [
            go.Scatter(y=line.y, showlegend=False, **edge),
            go.Scatter(y=line.low, showlegend=showlegend, **edge, **fill),
        ]
    color = line.color if line.opacity == 1 else rgba(line.color, line.opacity)
    look: dict[str, Any] = {"mode": "lines", "line": {"color": color, "width": line.width + 0.2}}  # pixels are thin
    if line.is_points:
        look = {"mode": "markers", "marker": {"color": color, "size": line.width + 1}}
    elif line.lonely.all():
        look["mode"] = "markers"
    elif line.lonely.any():  # a line does not show them
        look |= {"mode": "lines+markers", "marker": {"color": color, "size": np.where(line.lonely, 4, 0)}}
    template = "%{x}: %{y:.4g}<extra></extra>"
    return [go.Scatter(y=line.y, showlegend=showlegend, hovertemplate=template, **look, **shared)]


def _styled(figure: Figure, title: str) -> Figure:
    figure.update_layout(
        template="none",
        title={"text": title, "x": 0.01, "y": 0.99, "yanchor": "top", "yref": "container", "font": {"size": 16}},
        title_pad_t=8,
        font={"family": _FONT, "size": 12, "color": INK},
        margin={"l": 64, "r": 16, "t": 72 if title else 24, "b": 56},
        legend={"orientation": "h", "yref": "container", "yanchor": "top", "y": 0.995, "xanchor": "right", "x": 1},
        hoverlabel={"font": {"family": _FONT}},
        paper_bgcolor="#FFFFFF",
        plot_bgcolor="#FFFFFF",
    )
    axis = {"gridcolor": _FAINT, "linecolor": NOISE_COLOR, "zeroline": False, "automargin": True}
    figure.update_xaxes(**axis, title_standoff=8)
    figure.update_yaxes(**axis, title_standoff=8)
    return figure
