"""Figures of series with matplotlib, for papers. Each returns its Axes or its Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.describe.words import plain
from vrae.exceptions import InvalidDataError
from vrae.plots.charts import curve_charts, direction_charts, histogram_bins, reconstruction_charts, training_charts
from vrae.plots.mpl_parts import BELOW, LEGEND, draw_chart, draw_grid, finish, new_axes, pyplot
from vrae.plots.palette import COLORS
from vrae.plots.ranges import expected_chart
from vrae.plots.timeline import StepAxis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "plot_anomalies",
    "plot_courses",
    "plot_reconstructions",
    "plot_scores",
    "plot_training",
    "plot_traversal",
]


def plot_courses(
    X: Any,
    labels: npt.ArrayLike,
    *,
    names: Mapping[int, str] | None = None,
    channels: Sequence[str] | None = None,
    unit: str = "value",
    lags: npt.ArrayLike | None = None,
    n_members: int = 5,
    adjust: bool = False,
    random_state: int = 0,
) -> Figure:
    """Draw the typical curve of every cluster.

    Line: median. Band: the middle 80 % of the series (10 % to 90 %). Thin lines: single series.
    Series on one calendar are drawn by date, others from their start.

    Parameters
    ----------
    X : array, list of arrays or Panel
        Series, as in `vrae.plots`.
    labels : array-like of int, shape (n_series,)
    names : mapping of int to str, optional
        Names of the clusters. Default: "Cluster 0", ...
    channels : sequence of str, optional
        Names of the channels. Default: those of a Panel.
    unit : str, default="value"
        Title of the vertical axis, if the channels have no names.
    lags : array-like of int, shape (n_series,), optional
        Steps by which each series is late; see `VRAE.lags`. It is shifted back.
    n_members : int, default=5
        Number of thin lines per cluster.
    adjust : bool, default=False
        Rescale each series to its cluster's median level and spread, so that the figure shows
        shape.
    random_state : int, default=0
        Seed for the choice of members.

    Returns
    -------
    Figure
        One chart per cluster, or one row per cluster and one column per channel.
    """
    options = {"n_members": n_members, "adjust": adjust, "random_state": random_state}
    return draw_grid(curve_charts(X, labels, names, channels, unit, lags, **options))


def plot_reconstructions(
    X: Any,
    reconstruction: Any,
    *,
    ids: Sequence[Any] | None = None,
    channels: Sequence[str] | None = None,
    unit: str = "value",
    titles: Sequence[str] | None = None,
    max_series: int = 6,
) -> Figure:
    """Draw series and their reconstructions.

    Parameters
    ----------
    X, reconstruction : array, list of arrays or Panel
        Series, as in `vrae.plots`, of the same lengths. A Panel with times is drawn by date.
    ids : sequence of length n_series, optional
        Names of the series. Default: those of a Panel; else 0, 1, 2, ...
    channels : sequence of str, optional
        Names of the channels. Default: those of a Panel.
    unit : str, default="value"
        Title of the vertical axis, if the channels have no names.
    titles : sequence of str, length n_series, optional
        Titles of the charts. Default: "Series" and the id.
    max_series : int, default=6
        Draw only the first ``max_series`` series.

    Returns
    -------
    Figure
        One chart per series, or one row per series and one column per channel.
    """
    return draw_grid(reconstruction_charts(X, reconstruction, ids, channels, unit, max_series, titles))


def plot_training(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the training history: loss, reconstruction error, KL divergence and its weight.

    Parameters
    ----------
    history : sequence of mappings
        One per epoch, with ``epoch``, ``loss``, ``reconstruction``, ``kl``, ``kl_weight`` and, with
        a validation set, ``validation_loss``. Missing keys are not drawn.

    Returns
    -------
    Figure
    """
    return draw_grid(training_charts(history))


def plot_traversal(
    curves: npt.ArrayLike,
    *,
    channels: Sequence[str] | None = None,
    unit: str = "value",
    titles: Sequence[str] | None = None,
    max_directions: int = 6,
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
        Title of the vertical axis, if the channels have no names.
    titles : sequence of str, length n_directions, optional
        Titles of the charts. Default: "Direction 1", ...
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
    colors = pyplot().get_cmap("cividis")(np.linspace(0, 0.95, shown.shape[1]))
    return draw_grid(direction_charts(shown, colors, channels, unit, titles))


def plot_anomalies(
    x: npt.ArrayLike,
    low: npt.ArrayLike,
    middle: npt.ArrayLike,
    high: npt.ArrayLike,
    *,
    marked: npt.ArrayLike | None = None,
    times: npt.ArrayLike | None = None,
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
        Expected range and reconstruction, as returned by `VRAEAnomalyDetector.expected_range`.
    marked : array-like of bool, shape (n_steps,), optional
        Steps to mark. Default: those outside the range.
    times : array-like of datetime64 or numbers, shape (n_steps,), optional
        Time of each step. Default: 0, 1, 2, ...
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
    axis = StepAxis("step") if times is None else StepAxis("time", np.asarray(times))
    chart = expected_chart(axis, x, low, middle, high, marked, title, unit)
    ax = ax or new_axes((7.2, 2.8))
    draw_chart(ax, chart)
    finish(ax, chart.title, chart.x_title, chart.y_title)
    ax.margins(x=0.01)
    if legend:
        ax.legend(ncols=4, **BELOW, **LEGEND)
    return ax


def plot_scores(
    scores: npt.ArrayLike, *, threshold: float | None = None, title: str = "Scores", ax: Axes | None = None
) -> Axes:
    """Draw the distribution of scores, and the threshold below which series are outliers.

    Parameters
    ----------
    scores : array-like of shape (n_series,)
        For example ``VRAEAnomalyDetector.scores_``. NaN is left out.
    threshold : float, optional
    title : str, default="Scores"
    ax : Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    Axes
    """
    known = np.asarray(scores, np.float64)
    known = known[np.isfinite(known)]
    ax = ax or new_axes((6.4, 3.2))
    ax.hist(known, bins=histogram_bins(len(known)), color=COLORS[0], alpha=0.75)
    if threshold is not None:
        ax.axvline(threshold, color=COLORS[3], linewidth=1.6, label=f"threshold {plain(threshold)}: below are outliers")
        ax.legend(**BELOW, **LEGEND)
    finish(ax, title, "score (lower is more anomalous)", "number of series")
    return ax
