"""Parts of the figures with plotly: grids of small charts, and their common style."""

from __future__ import annotations

import html
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

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
_CHARACTERS = 96  # of a title as wide as the figure


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
    return _styled(graph_objects().Figure(), title, note)


def draw_web_grid(title: str, grid: ChartGrid) -> Figure:
    """Draw charts in a grid, row by row."""
    check_installed("plotly", "report", "A figure for the screen")
    from plotly.subplots import make_subplots

    n, columns = len(grid.charts), grid.columns
    rows = max(1, -(-n // columns))
    labels = [grid.label(i) for i in range(n)]
    titles = [web_wrap(labels[i].title, _CHARACTERS * grid.span(i) // columns) for i in range(n)]
    lines = 1 + max((text.count("<br>") for text in titles), default=0)
    gap = _TITLES + _LINE * lines
    height = rows * _CHART + (rows - 1) * gap
    space = {"vertical_spacing": gap / height, "horizontal_spacing": min(0.08, 0.4 / columns) if columns > 1 else 0}
    figure = _styled(make_subplots(rows, columns, **space), title, escape(grid.note))
    above, below = (48 if title else 24) + _LINE * lines, 56
    figure.update_layout(height=height + above + below, margin={"t": above, "b": below})
    in_legend: set[str] = set()
    for i, chart in enumerate(grid.charts):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        for line in chart.lines:
            for trace in _traces(line, showlegend=bool(line.name) and line.name not in in_legend):
                figure.add_trace(trace, **place)
            in_legend.add(line.name)
        if titles[i]:
            _add_title(figure, titles[i], place)
        _finish_cell(figure, labels[i], place, grid.same_x)
        if columns > 4:
            _make_small(figure, chart.y_title, place)
    return figure


def _add_title(figure: Figure, title: str, place: dict[str, int]) -> None:
    where = {"xref": "x domain", "yref": "y domain", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"}
    figure.add_annotation(text=title, align="left", showarrow=False, font_size=13, **where, **place)


def _make_small(figure: Figure, y_title: str, place: dict[str, int]) -> None:
    """Move the title of the vertical axis into a chart of many in a row."""
    where = {"xref": "x domain", "yref": "y domain", "x": 1, "y": 1, "xanchor": "right", "yanchor": "top"}
    look = {"font_size": 10, "bgcolor": "rgba(255, 255, 255, 0.7)", "showarrow": False}
    figure.add_annotation(text=escape(y_title), name="channel", **look, **where, **place)
    figure.update_xaxes(tickfont_size=9, nticks=3, **place)
    figure.update_yaxes(tickfont_size=9, nticks=4, title_text="", **place)


def _finish_cell(figure: Figure, chart: Chart, place: dict[str, int], same_x: bool) -> None:
    figure.update_xaxes(title_text=escape(chart.x_title), matches="x" if same_x else None, **place)
    figure.update_yaxes(title_text=escape(chart.y_title), range=chart.y_range, **place)
    for begin, end in chart.spans:
        figure.add_vrect(x0=begin, x1=end, fillcolor=rgba(COLORS[3], 0.12), line_width=0, **place)


def _traces(line: Line, *, showlegend: bool) -> list[Any]:
    """Return the traces of a line, of points or of an area."""
    go = graph_objects()
    shared = {"x": line.x, "name": line.name or None, "legendgroup": line.name or None}
    if line.low is not None:
        x, y = _outline(line.x, line.low, line.y)
        fill = {"fill": "toself", "fillcolor": rgba(line.color, line.opacity), "line": {"width": 0}, "mode": "lines"}
        return [go.Scatter(**{**shared, "x": x}, y=y, showlegend=showlegend, hoverinfo="skip", **fill)]
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


def _outline(
    x: npt.NDArray[Any], low: npt.NDArray[Any], high: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the outline of an area: one polygon for each run of points without a gap."""
    known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    around_x, around_y = [x[:0]], [high[:0]]
    for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        around_x += [x[run], x[run][::-1], x[run[:1]]]
        around_y += [high[run], low[run][::-1], np.full(len(run[:1]), np.nan)]  # NaN ends a polygon
    return np.concatenate(around_x), np.concatenate(around_y)


def _styled(figure: Figure, title: str, note: str = "") -> Figure:
    title = f"{title}<br><sup>{note}</sup>" if note else title
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
