"""Figures of the model with matplotlib: curves along latent directions, and anomalies."""

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
    """Draw series decoded along latent directions, from one end (blue) to the other (yellow).

    Parameters
    ----------
    curves : array-like of shape (n_directions, n_positions, n_channels, n_steps)
        Series along each direction, for example ``DirectionCurves.curves`` of `vrae.report` or
        decoded with `VRAE.inverse_transform`.
    channels : sequence of str, optional
        Names of the channels.
    unit : str, default="value"
        Title of the vertical axis.
    max_directions : int, default=6
        Draw only the first ``max_directions`` directions.

    Returns
    -------
    Figure
        One chart per direction, or one row per direction and one column per channel.

    Raises
    ------
    InvalidDataError
        ``curves`` does not have four dimensions.
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
    """Draw one channel of a series with its expected range, and mark the steps outside.

    Parameters
    ----------
    x : array-like of shape (n_steps,)
        NaN is a missing value.
    low, middle, high : array-like of shape (n_steps,)
        Expected range and reconstruction, as returned by `VRAEAnomalyDetector.explain`.
    marked : array-like of bool, shape (n_steps,), optional
        Steps to mark. Default: those outside the range.
    title : str, default=""
    unit : str, default="value"
        Title of the vertical axis.
    legend : bool, default=True
        Draw a legend.
    ax : Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidDataError
        The arrays differ in length.
    """
    x, low, middle, high = (np.asarray(line, np.float64) for line in (x, low, middle, high))
    lines = [x, low, middle, high] + ([] if marked is None else [np.asarray(marked, bool)])
    shapes = {line.shape for line in lines}
    if len(shapes) > 1 or x.ndim != 1:
        raise InvalidDataError(
            f"Series, range and marks must be arrays of one length, (n_steps,); found the shapes {sorted(shapes)}. "
            f"Draw one channel at a time."
        )
    outside = (x < low) | (x > high) if marked is None else lines[-1]
    ax = ax or new_axes((7.2, 2.8))
    steps = np.arange(len(x))
    ax.fill_between(steps, low, high, color=COLORS[0], alpha=0.16, linewidth=0, label="expected")
    ax.plot(steps, middle, color=COLORS[0], linewidth=1.2, label="reconstruction")
    ax.plot(steps, x, color=INK, linewidth=1.0, label="series")
    for begin, end in _runs(outside):
        ax.axvspan(begin - 0.5, end + 0.5, color=COLORS[3], alpha=0.10, linewidth=0)
    if outside.any():
        ax.plot(steps[outside], x[outside], ".", color=COLORS[3], markersize=5, label="anomalous")
    finish(ax, title, "step", unit)
    ax.margins(x=0.01)
    if legend:
        ax.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=4, loc="upper left", bbox_to_anchor=(0, -0.18))
    return ax


def _runs(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the first and last step of every run of marked steps, (n_runs, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    return edges.reshape(-1, 2) - (0, 1)
