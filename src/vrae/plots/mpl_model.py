"""What the model expects, drawn with matplotlib: along a latent direction, and around one series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vrae.exceptions import InvalidDataError
from vrae.plots.compute import channel_names
from vrae.plots.mpl import _finish, _grid, _new_axes
from vrae.plots.palette import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_expected", "plot_traversal"]

_INK = "#2B3138"


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
    import matplotlib as mpl

    shown = np.asarray(curves, np.float64)[:max_directions]
    if shown.ndim != 4:
        raise InvalidDataError(
            f"Curves must have shape (n_directions, n_positions, n_channels, n_steps); found {shown.shape}."
        )
    n_directions, n_positions, n_channels, n_steps = shown.shape
    names = channel_names(channels, unit, n_channels)
    colors = mpl.colormaps["cividis"](np.linspace(0, 0.95, n_positions))
    figure, axes = _grid(n_directions * n_channels, n_channels if n_channels > 1 else min(3, n_directions))
    cells = ((d, c) for d in range(n_directions) for c in range(n_channels))
    for ax, (d, c) in zip(axes, cells, strict=False):
        for position, color in enumerate(colors):
            ax.plot(np.arange(n_steps), shown[d, position, c], color=color, linewidth=1.2)
        _finish(ax, f"Direction {d + 1}", "step", names[c])
    return figure


def plot_expected(
    x: npt.ArrayLike,
    model: npt.ArrayLike,
    noise: float,
    *,
    place: tuple[int, int] | None = None,
    title: str = "",
    unit: str = "value",
    ax: Axes | None = None,
) -> Axes:
    """Draw one channel of a series, the model's version of it and the band where 95 % of its values are expected.

    Parameters
    ----------
    x, model : array-like of shape (n_steps,)
        NaN is a missing value.
    noise : float
        Standard deviation of the model's error, in the unit of the series.
    place : (int, int), optional
        First and last step of a place to mark.
    title, unit : str
        Of the chart, and of its vertical axis.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    x, model = np.asarray(x, np.float64), np.asarray(model, np.float64)
    if x.ndim != 1 or x.shape != model.shape:
        raise InvalidDataError(f"x and model must have one shape (n_steps,); found {x.shape} and {model.shape}.")
    ax = ax or _new_axes((5.6, 3.2))
    steps = np.arange(len(x))
    if place is not None:
        ax.axvspan(place[0] - 0.5, place[1] + 0.5, color=COLORS[1], alpha=0.26, linewidth=0, label="furthest off")
    band = (model - 1.96 * noise, model + 1.96 * noise)
    ax.fill_between(steps, *band, color=COLORS[3], alpha=0.16, linewidth=0, label="expected range (95 %)")
    ax.plot(steps, model, color=COLORS[3], linewidth=1.6, linestyle="--", label="reconstruction")
    ax.plot(steps, x, color=_INK, linewidth=1.0, label="original", marker="." if len(x) == 1 else "")
    ax.legend(frameon=False, fontsize=8)
    _finish(ax, title or "Series and what the model expects", "step", unit)
    return ax
