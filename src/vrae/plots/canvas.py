"""Axes of the matplotlib figures and their common style."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vrae.exceptions import check_installed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FAINT", "INK", "finish", "grid", "new_axes", "pyplot"]

INK = "#2B3138"
FAINT = "#D9DDE2"


def pyplot() -> Any:
    """Return matplotlib, or raise if it is not installed."""
    check_installed("matplotlib", "report", "A figure for papers")
    import matplotlib.pyplot as plt

    return plt


def new_axes(size: tuple[float, float]) -> Axes:
    """Return the axes of a new figure of ``size`` (width, height) in inches."""
    ax: Axes = pyplot().subplots(figsize=size, layout="constrained")[1]
    return ax


def grid(n_cells: int, columns: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with a grid of ``n_cells`` charts, filled row by row."""
    rows = -(-n_cells // columns)
    size = (min(3.6 * columns, 16), min(2.3 * rows, 60))
    figure, axes = pyplot().subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[n_cells:]:
        ax.set_axis_off()
    return figure, list(axes.flat)


def finish(ax: Axes, title: str, x_title: str, y_title: str, note: str = "") -> None:
    """Set the titles of a chart and apply the common style."""
    ax.set_title(f"{title}\n{note}" if note else title, fontsize=10, loc="left", color=INK)
    ax.set_xlabel(x_title, fontsize=9, color=INK)
    ax.set_ylabel(y_title, fontsize=9, color=INK)
    ax.tick_params(labelsize=8, color=FAINT, labelcolor=INK)
    ax.grid(color=FAINT, linewidth=0.5)
    ax.set_axisbelow(True)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
