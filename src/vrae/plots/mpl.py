"""Figures of data and clusters with matplotlib. Each returns its Axes or its Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.describe.curves import cluster_curves, series_list
from vrae.describe.words import cluster_labels, cluster_name
from vrae.plots.canvas import INK, finish, grid, new_axes
from vrae.plots.compute import (
    channel_names,
    cluster_sizes,
    decimate,
    grid_columns,
    selection_curve,
    training_charts,
)
from vrae.plots.maps import MAX_FITTED, Method, project
from vrae.plots.palette import COLORS, cluster_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "plot_cluster_sizes",
    "plot_courses",
    "plot_latent_map",
    "plot_reconstructions",
    "plot_selection",
    "plot_training",
]


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
    groups = np.zeros(shown.n_series, int) if labels is None else np.asarray(labels, int)
    found = cluster_labels(groups[shown.indices])
    columns = 0 if labels is None else -(-len(found) // 20)
    ax = ax or new_axes((5.4 + 1.2 * columns, 5.2))
    size = float(np.clip(9000 / max(len(shown.indices), 1), 3, 26))
    for label in found:
        style, member = cluster_style(label), groups[shown.indices] == label
        ax.scatter(
            shown.points[member, 0],
            shown.points[member, 1],
            s=size,
            c=style.color,
            marker=style.marker,
            linewidths=0,
            alpha=0.75,
            label=(names or {}).get(label, cluster_name(label)),
        )
    finish(ax, f"Map of {len(shown.indices):,} series", *shown.titles, note=shown.note)
    if columns:
        ax.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            frameon=False,
            fontsize=8,
            ncols=columns,
            markerscale=max(1.0, 4.5 / size**0.5),
        )
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
    curves = cluster_curves(X, labels, n_members=n_members, adjust=adjust, random_state=random_state)
    n_channels = len(curves[0].middle)
    units = channel_names(channels, unit, n_channels)
    columns = grid_columns(n_channels, len(curves))
    figure, axes = grid(len(curves) * n_channels, columns)
    cells = ((curve, c) for curve in curves for c in range(n_channels))
    for ax, (curve, c) in zip(axes, cells, strict=False):
        color = cluster_style(curve.label).color
        for member in curve.members:
            ax.plot(curve.steps, member[c], color=color, linewidth=0.6, alpha=0.35)
        ax.fill_between(curve.steps, curve.low[c], curve.high[c], color=color, alpha=0.18, linewidth=0)
        marker = "." if len(curve.steps) == 1 else ""
        ax.plot(curve.steps, curve.middle[c], color=color, linewidth=2, marker=marker)
        finish(ax, curve.title(names), "step", units[c])
    return figure


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
    pairs = list(zip(series_list(X), series_list(reconstruction), strict=True))[:max_series]
    n_channels = len(pairs[0][0])
    names = channel_names(channels, unit, n_channels)
    figure, axes = grid(len(pairs) * n_channels, grid_columns(n_channels, len(pairs)))
    cells = ((i, c) for i in range(len(pairs)) for c in range(n_channels))
    for ax, (i, c) in zip(axes, cells, strict=False):
        original, model = (x[c] for x in pairs[i])
        for x, color, width, name in (
            (original, INK, 1.0, "original"),
            (model, COLORS[3], 1.6, "reconstruction"),
        ):
            steps = decimate(x, 2000)
            ax.plot(steps, x[steps], color=color, linewidth=width, label=name, marker="." if len(x) == 1 else "")
        finish(ax, f"Series {i if ids is None else ids[i]}", "step", names[c])
    axes[0].legend(frameon=False, fontsize=8)
    return figure


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
    charts = training_charts(history)
    figure, axes = grid(max(1, len(charts)), 2)
    for ax, chart in zip(axes, charts, strict=False):
        for color, (name, epochs, values) in zip((COLORS[0], COLORS[1]), chart.lines, strict=False):
            ax.plot(epochs, values, color=color, linewidth=1.8, label=name, marker="." if len(epochs) == 1 else "")
        if len(chart.lines) > 1:
            ax.legend(frameon=False, fontsize=8)
        finish(ax, chart.title, "epoch", chart.unit)
    return figure


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

    ax = ax or new_axes((5.6, 3.6))
    numbers, scores = selection_curve(selection)
    ax.plot(numbers, scores, color=COLORS[0], linewidth=1.8, marker="o", markersize=4)
    for number, score in zip(numbers, scores, strict=True):
        if number == chosen:
            ax.plot(number, score, "o", color=COLORS[3], markersize=9)
            ax.annotate(f"chosen: {number}", (number, score), (0, 9), textcoords="offset points", ha="center")
    ax.margins(y=0.2)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(ax, "Choice of the number of clusters", "number of clusters", criterion)
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
    ax = ax or new_axes((5.6, 0.8 + 0.32 * len(sizes)))
    bars = ax.barh(
        [cluster_name(label) for label, _ in sizes],
        [size for _, size in sizes],
        color=[cluster_style(label).color for label, _ in sizes],
        height=0.7,
    )
    ax.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=8, color=INK)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    finish(ax, "Series in each cluster", "number of series", "")
    return ax
