"""What the model expects, drawn with matplotlib: along a latent direction, and around one series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vrae.exceptions import InvalidDataError
from vrae.plots.canvas import INK, finish, grid, new_axes, pyplot
from vrae.plots.compute import channel_names
from vrae.plots.palette import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_anomalies", "plot_traversal"]


def plot_traversal(
    curves: npt.ArrayLike, *, channels: Sequence[str] | None = None, unit: str = "value", max_directions: int = 6
) -> Figure:
    """Draw what the model makes of the latent space, direction by direction: from one end (blue) to the other (yellow).

    Parameters
    ----------
    curves : array-like of shape (n_directions, n_positions, n_channels, n_steps)
        Series along each direction, for example ``Traversal.curves`` of `vrae.report`, or of
        ``vrae.inverse_transform``.
    channels : sequence of str, optional
        Names of the channels.
    unit : str
        What the values are, for the vertical axis.
    max_directions : int
        Only so many are drawn: the first.

    Returns
    -------
    Figure
        A cell a direction; with several channels, a row a direction and a column a channel.
    """
    shown = np.asarray(curves, np.float64)[:max_directions]
    if shown.ndim != 4:
        raise InvalidDataError(
            f"Curves must have shape (n_directions, n_positions, n_channels, n_steps); found {shown.shape}."
        )
    n_directions, n_positions, n_channels, n_steps = shown.shape
    names = channel_names(channels, unit, n_channels)
    colors = pyplot().get_cmap("cividis")(np.linspace(0, 0.95, n_positions))
    figure, axes = grid(n_directions * n_channels, n_channels if n_channels > 1 else min(3, n_directions))
    cells = ((d, c) for d in range(n_directions) for c in range(n_channels))
    for ax, (d, c) in zip(axes, cells, strict=False):
        for position, color in enumerate(colors):
            ax.plot(np.arange(n_steps), shown[d, position, c], color=color, linewidth=1.2)
        finish(ax, f"Direction {d + 1}", "step", names[c])
    return figure


def plot_anomalies(
    x: npt.ArrayLike,
    low: npt.ArrayLike,
    middle: npt.ArrayLike,
    high: npt.ArrayLike,
    *,
    marked: npt.ArrayLike | None = None,
    title: str = "",
    unit: str = "value",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw one channel of a series over the band that it is expected in, and mark the steps outside.

    Parameters
    ----------
    x : array-like of shape (n_steps,)
        NaN is a missing value.
    low, middle, high : array-like of shape (n_steps,)
        As `VRAEAnomalyDetector.explain` gives them.
    marked : array-like of bool, shape (n_steps,), optional
        Steps to mark; default: those outside the band.
    title : str
    unit : str
        What the values are, for the vertical axis.
    legend : bool
        Say what is what.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidDataError
        The arrays are not of one length.
    """
    x, low, middle, high = (np.asarray(line, np.float64) for line in (x, low, middle, high))
    lines = [x, low, middle, high] + ([] if marked is None else [np.asarray(marked, bool)])
    shapes = {line.shape for line in lines}
    if len(shapes) > 1 or x.ndim != 1:
        raise InvalidDataError(
            f"Series, band and marks must be arrays (n_steps,) of one length; found the shapes {sorted(shapes)}. "
            f"Several channels are drawn one at a time."
        )
    outside = (x < low) | (x > high) if marked is None else lines[-1]
    ax = ax or new_axes((7.2, 2.8))
    steps = np.arange(len(x))
    ax.fill_between(steps, low, high, color=COLORS[0], alpha=0.16, linewidth=0, label="expected")
    ax.plot(steps, middle, color=COLORS[0], linewidth=1.2, label="reconstruction")
    ax.plot(steps, x, color=INK, linewidth=1.0, label="series")
    for begin, end in _stretches(outside):
        ax.axvspan(begin - 0.5, end + 0.5, color=COLORS[3], alpha=0.10, linewidth=0)
    if outside.any():
        ax.plot(steps[outside], x[outside], ".", color=COLORS[3], markersize=5, label="unusual")
    finish(ax, title, "step", unit)
    ax.margins(x=0.01)
    if legend:
        ax.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=4, loc="upper left", bbox_to_anchor=(0, -0.18))
    return ax


def _stretches(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return first and last step of every run of marked steps, (n, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    return edges.reshape(-1, 2) - (0, 1)
