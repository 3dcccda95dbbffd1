"""Figures with matplotlib, for papers. Each returns its Axes or its Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.describe.words import cluster_name
from vrae.exceptions import InvalidDataError, check_installed
from vrae.plots.charts import (
    Chart,
    cluster_sizes,
    curve_charts,
    direction_charts,
    map_groups,
    reconstruction_charts,
    selection_curve,
    training_charts,
)
from vrae.plots.maps import MAX_FITTED, Method, project
from vrae.plots.palette import COLORS, INK, cluster_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "plot_anomalies",
    "plot_cluster_sizes",
    "plot_courses",
    "plot_latent_map",
    "plot_reconstructions",
    "plot_selection",
    "plot_training",
    "plot_traversal",
]

_FAINT = "#D9DDE2"
_LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 8}


def plot_latent_map(
    Z: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    method: Method = "pca",
    names: Mapping[int, str] | None = None,
    random_state: int = 0,
    max_points: int = MAX_FITTED,
    ax: Axes | None = None,
) -> Axes:
    """Draw a map of latent vectors: one point per series, similar series close together.

    Parameters
    ----------
    Z : array-like of shape (n_series, latent_size)
        Latent vectors.
    labels : array-like of int, shape (n_series,), optional
        Clusters, or known classes, to colour by. -1 is grey.
    method : {"pca", "tsne", "umap"}, default="pca"
        Projection; see `vrae.plots.maps.project`.
    names : mapping of int to str, optional
        Names of the clusters. Default: "Cluster 0", ...
    random_state : int, default=0
        Seed for t-SNE and UMAP.
    max_points : int, default=1000
        t-SNE and UMAP are fitted to a random sample of at most this many series.
    ax : Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    Axes
    """
    shown = project(Z, method, random_state=random_state, max_points=max_points)
    groups = list(map_groups(shown, labels, names))
    columns = 0 if labels is None else -(-len(groups) // 20)
    ax = ax or _new_axes((5.4 + 1.2 * columns, 5.2))
    size = float(np.clip(9000 / max(len(shown.indices), 1), 3, 26))
    for name, style, member in groups:
        x, y = shown.points[member].T
        ax.scatter(x, y, s=size, c=style.color, marker=style.marker, linewidths=0, alpha=0.75, label=name)
    _finish(ax, f"Map of {len(shown.indices):,} series", *shown.titles, note=shown.note)
    if columns:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
        ax.legend(ncols=columns, markerscale=max(1.0, 4.5 / size**0.5), **place, **_LEGEND)
    return ax


def plot_courses(
    X: Any,
    labels: npt.ArrayLike,
    *,
    names: Mapping[int, str] | None = None,
    channels: Sequence[str] | None = None,
    unit: str = "value",
    n_members: int = 5,
    adjust: bool = False,
    random_state: int = 0,
) -> Figure:
    """Draw the typical curve of every cluster.

    Line: median. Band: the middle 80 % of the series (10 % to 90 %). Thin lines: single series.

    Parameters
    ----------
    X : array, list of arrays or Panel
        Series, as in `vrae.plots`.
    labels : array-like of int, shape (n_series,)
    names : mapping of int to str, optional
        Names of the clusters. Default: "Cluster 0", ...
    channels : sequence of str, optional
        Names of the channels.
    unit : str, default="value"
        Title of the vertical axis.
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
    return _draw(*curve_charts(X, labels, names, channels, unit, **options))


def plot_reconstructions(
    X: Any,
    reconstruction: Any,
    *,
    ids: Sequence[Any] | None = None,
    channels: Sequence[str] | None = None,
    unit: str = "value",
    max_series: int = 6,
) -> Figure:
    """Draw series and their reconstructions.

    Parameters
    ----------
    X, reconstruction : array, list of arrays or Panel
        Series, as in `vrae.plots`, of the same lengths.
    ids : sequence of length n_series, optional
        Names of the series. Default: 0, 1, 2, ...
    channels : sequence of str, optional
        Names of the channels.
    unit : str, default="value"
        Title of the vertical axis.
    max_series : int, default=6
        Draw only the first ``max_series`` series.

    Returns
    -------
    Figure
        One chart per series, or one row per series and one column per channel.
    """
    return _draw(*reconstruction_charts(X, reconstruction, ids, channels, unit, max_series))


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
    return _draw(training_charts(history), 2)


def plot_selection(
    selection: Sequence[Mapping[str, Any]],
    *,
    chosen: int | None = None,
    criterion: str = "score",
    ax: Axes | None = None,
) -> Axes:
    """Draw the score of each number of clusters tried.

    Parameters
    ----------
    selection : sequence of mappings
        Each with ``n_clusters`` and ``score``.
    chosen : int, optional
        The selected number of clusters.
    criterion : str, default="score"
        Name of the score.
    ax : Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    Axes
    """
    from matplotlib.ticker import MaxNLocator

    ax = ax or _new_axes((5.6, 3.6))
    numbers, scores = selection_curve(selection)
    ax.plot(numbers, scores, color=COLORS[0], linewidth=1.8, marker="o", markersize=4)
    for number, score in zip(numbers, scores, strict=True):
        if number == chosen:
            ax.plot(number, score, "o", color=COLORS[3], markersize=9)
            ax.annotate(f"chosen: {number}", (number, score), (0, 9), textcoords="offset points", ha="center")
    ax.margins(y=0.2)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(ax, "Choice of the number of clusters", "number of clusters", criterion)
    return ax


def plot_cluster_sizes(labels: npt.ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw the number of series in each cluster.

    Parameters
    ----------
    labels : array-like of int, shape (n_series,)
    ax : Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    Axes
    """
    sizes = cluster_sizes(labels)
    ax = ax or _new_axes((5.6, 0.8 + 0.32 * len(sizes)))
    bars = ax.barh(
        [cluster_name(label) for label, _ in sizes],
        [size for _, size in sizes],
        color=[cluster_style(label).color for label, _ in sizes],
        height=0.7,
    )
    ax.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=8, color=INK)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    _finish(ax, "Series in each cluster", "number of series", "")
    return ax


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
    colors = _pyplot().get_cmap("cividis")(np.linspace(0, 0.95, shown.shape[1]))
    return _draw(*direction_charts(shown, colors, channels, unit))


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
        Expected range and reconstruction, as returned by `VRAEAnomalyDetector.expected_range`.
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
    shapes = {np.shape(line) for line in (x, low, middle, high, x if marked is None else marked)}
    if len(shapes) > 1 or x.ndim != 1:
        raise InvalidDataError(
            f"Series, range and marks must be arrays of one length, (n_steps,); found the shapes {sorted(shapes)}. "
            "Draw one channel at a time."
        )
    outside = (x < low) | (x > high) if marked is None else np.asarray(marked, bool)
    ax = ax or _new_axes((7.2, 2.8))
    steps = np.arange(len(x))
    ax.fill_between(steps, low, high, color=COLORS[0], alpha=0.16, linewidth=0, label="expected")
    ax.plot(steps, middle, color=COLORS[0], linewidth=1.2, label="reconstruction")
    ax.plot(steps, x, color=INK, linewidth=1.0, label="series")
    for begin, end in _runs(outside):
        ax.axvspan(begin - 0.5, end + 0.5, color=COLORS[3], alpha=0.10, linewidth=0)
    if outside.any():
        ax.plot(steps[outside], x[outside], ".", color=COLORS[3], markersize=5, label="anomalous")
    _finish(ax, title, "step", unit)
    ax.margins(x=0.01)
    if legend:
        ax.legend(labelcolor=INK, ncols=4, loc="upper left", bbox_to_anchor=(0, -0.18), **_LEGEND)
    return ax


def _runs(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the first and last step of every run of marked steps, (n_runs, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    return edges.reshape(-1, 2) - (0, 1)


def _pyplot() -> Any:
    check_installed("matplotlib", "report", "A figure for papers")
    import matplotlib.pyplot as plt

    return plt


def _new_axes(size: tuple[float, float]) -> Axes:
    """Return the axes of a new figure of ``size`` (width, height) in inches."""
    ax: Axes = _pyplot().subplots(figsize=size, layout="constrained")[1]
    return ax


def _draw(charts: Sequence[Chart], columns: int) -> Figure:
    """Draw charts in a grid, row by row."""
    n_cells = max(1, len(charts))
    rows = -(-n_cells // columns)
    size = (min(3.6 * columns, 16), min(2.3 * rows, 60))
    figure, axes = _pyplot().subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[n_cells:]:
        ax.set_axis_off()
    for ax, chart in zip(axes.flat, charts, strict=False):
        for line in chart.lines:
            look = {"color": line.color, "alpha": line.opacity, "linewidth": line.width}
            if line.low is not None:
                ax.fill_between(line.x, line.low, line.y, **look)
            else:
                ax.plot(line.x, line.y, label=line.name, marker="." if len(line.x) == 1 else "", **look)
        _finish(ax, chart.title, chart.x_title, chart.y_title)
        if chart.legend:
            ax.legend(**_LEGEND)
    return figure


def _finish(ax: Axes, title: str, x_title: str, y_title: str, note: str = "") -> None:
    """Set the titles of a chart and apply the common style."""
    ax.set_title(f"{title}\n{note}" if note else title, fontsize=10, loc="left", color=INK)
    ax.set_xlabel(x_title, fontsize=9, color=INK)
    ax.set_ylabel(y_title, fontsize=9, color=INK)
    ax.tick_params(labelsize=8, color=_FAINT, labelcolor=INK)
    ax.grid(color=_FAINT, linewidth=0.5)
    ax.set_axisbelow(True)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_FAINT)
