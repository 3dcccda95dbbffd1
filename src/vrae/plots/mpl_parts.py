"""Parts of the figures with matplotlib: axes, grids of small charts, and their common style."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vrae.exceptions import check_installed
from vrae.plots.charts import Chart, ChartGrid, Line
from vrae.plots.palette import COLORS, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BELOW", "LEGEND", "draw_chart", "draw_grid", "finish", "new_axes", "pyplot", "wrap"]

LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 8, "labelcolor": INK}
BELOW: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, -0.18)}
"""Where to place a legend below a chart."""

_FAINT = "#D9DDE2"
_WIDTH, _HEIGHT = 3.4, 2.1  # of a small chart in inches, without its title
_WIDE = (7.4, 2.3)
_SMALL_HEIGHT = 1.3  # of charts in many columns
_WIDEST, _HIGHEST = 16.0, 80.0  # of a figure
_TITLE_SIZE = 9.5  # points
_CHARACTER = 0.55 * _TITLE_SIZE / 72  # width of a character of a title in inches


def pyplot() -> Any:
    """Return `matplotlib.pyplot`, or raise if matplotlib is not installed."""
    check_installed("matplotlib", "report", "A figure for papers")
    import matplotlib.pyplot as plt

    return plt


def new_axes(size: tuple[float, float]) -> Axes:
    """Return the axes of a new figure of ``size`` (width, height) in inches."""
    ax: Axes = pyplot().subplots(figsize=size, layout="constrained")[1]
    return ax


def wrap(text: str, inches: float) -> str:
    """Break a title into lines of a width."""
    width = max(12, int(inches / _CHARACTER))
    return "\n".join(part for line in text.split("\n") for part in textwrap.wrap(line, width))


def draw_grid(grid: ChartGrid) -> Figure:
    """Draw charts in a grid, row by row."""
    n, columns = len(grid.charts), grid.columns
    rows = -(-max(1, n) // columns)
    width, height = _WIDE if grid.wide or columns == 1 else (_WIDTH, _HEIGHT)
    width = min(width, _WIDEST / columns)
    height = height if columns <= 4 else _SMALL_HEIGHT
    labels = [grid.label(i) for i in range(n)]
    titles = [wrap(labels[i].title, grid.span(i) * width - 0.6) for i in range(n)]
    lines = sum(
        max((t.count("\n") + 1 for t in titles[r * columns : (r + 1) * columns]), default=1) for r in range(rows)
    )
    size = (width * columns, min(height * rows + 0.16 * lines + 0.3, _HIGHEST))
    figure, axes = pyplot().subplots(
        rows, columns, figsize=size, squeeze=False, layout="constrained", sharex="all" if grid.same_x else "none"
    )
    for i, ax in enumerate(axes.flat):
        if i >= n:
            ax.set_axis_off()
            continue
        draw_chart(ax, grid.charts[i])
        finish(ax, titles[i], labels[i].x_title, wrap(labels[i].y_title, height))
        if titles[i] and grid.span(i) > 1:
            _let_title_span(ax, titles[i])
        ax.tick_params(labelbottom=not grid.same_x or i + columns >= n)
        if columns > 4:
            ax.tick_params(labelsize=6)
    _add_legend(figure, grid.charts)
    if grid.note:
        figure.suptitle(grid.note, x=0.01, ha="left", fontsize=9, color=INK)
    if "inline" in pyplot().get_backend():
        # A notebook shows the value of a cell. Pyplot would show the same figure again.
        pyplot().close(figure)
    return figure


def _let_title_span(ax: Axes, title: str) -> None:
    """Let a title reach over the charts to its right: only its height takes room."""
    ax.set_title("", loc="left")
    ax.set_title("\n".join(" " * (title.count("\n") + 1)), fontsize=_TITLE_SIZE)
    text = ax.annotate(
        title,
        (0, 1),
        (0, 6),
        "axes fraction",
        textcoords="offset points",
        va="baseline",
        fontsize=_TITLE_SIZE,
        color=INK,
    )
    text.set_in_layout(False)


def _add_legend(figure: Figure, charts: Sequence[Chart]) -> None:
    """Add one legend for all charts, if lines have names."""
    named: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
    if charts and named:
        ncols = min(len(named), 4)
        figure.legend(list(named.values()), list(named), loc="outside upper right", ncols=ncols, **LEGEND)


def draw_chart(ax: Axes, chart: Chart) -> None:
    """Draw the lines of a chart."""
    for begin, end in chart.spans:
        ax.axvspan(begin, end, color=COLORS[3], alpha=0.10, linewidth=0)
    for line in chart.lines:
        _draw_line(ax, line)
    if chart.y_range is not None:
        ax.set_ylim(*chart.y_range)
    if any(line.x.dtype.kind == "M" for line in chart.lines):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=3, maxticks=7)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _draw_line(ax: Axes, line: Line) -> None:
    look: dict[str, Any] = {"color": line.color, "alpha": line.opacity, "label": line.name or None}
    if line.low is not None:
        ax.fill_between(line.x, line.low, line.y, linewidth=0, **look)
    elif line.is_points:
        ax.plot(line.x, line.y, ".", markersize=line.width, **look)
    else:
        lonely = np.flatnonzero(line.lonely)
        if len(lonely):  # a line does not show them
            look |= {"marker": ".", "markersize": max(3.0, line.width), "markevery": lonely.tolist()}
        ax.plot(line.x, line.y, linewidth=line.width, **look)


def finish(ax: Axes, title: str, x_title: str, y_title: str, note: str = "") -> None:
    """Set the titles of a chart and apply the common style."""
    ax.set_title(f"{title}\n{note}" if note else title, fontsize=_TITLE_SIZE, loc="left", color=INK)
    ax.set_xlabel(x_title, fontsize=9, color=INK)
    ax.set_ylabel(y_title, fontsize=9, color=INK)
    ax.tick_params(labelsize=8, color=_FAINT, labelcolor=INK)
    ax.grid(color=_FAINT, linewidth=0.5)
    ax.set_axisbelow(True)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_FAINT)
