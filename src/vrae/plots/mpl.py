"""The figures drawn with matplotlib, for papers: each returns its Axes or its Figure, ready to save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.plots.canvas import INK, finish, grid, new_axes
from vrae.plots.compute import (
    channel_names,
    cluster_courses,
    cluster_sizes,
    decimate,
    grid_columns,
    selection_curve,
    series_list,
    training_charts,
)
from vrae.plots.maps import MAX_ARRANGED, Method, project
from vrae.plots.palette import COLORS, cluster_labels, cluster_name, cluster_style

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
    max_points: int = MAX_ARRANGED,
    ax: Axes | None = None,
) -> Axes:
    """Draw every series as a point: near points are series that behave alike.

    Parameters
    ----------
    Z : array-like of shape (n_series, latent_size)
        Latent vectors.
    labels : array-like of int, shape (n_series,), optional
        Clusters, or known classes, to colour by; -1 is grey.
    method : {"pca", "tsne"}
    names : mapping of int to str, optional
        Names for the legend; default "Cluster 0", ...
    random_state : int
        Same seed, same t-SNE.
    max_points : int
        t-SNE of more series than this shows a random sample of them, and says so.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    shown = project(Z, method, random_state=random_state, max_points=max_points)
    groups = np.zeros(shown.n_series, int) if labels is None else np.asarray(labels, int)
    found = cluster_labels(groups[shown.rows])
    columns = 0 if labels is None else -(-len(found) // 20)
    ax = ax or new_axes((5.4 + 1.2 * columns, 5.2))
    size = float(np.clip(9000 / max(len(shown.rows), 1), 3, 26))
    for label in found:
        style, member = cluster_style(label), groups[shown.rows] == label
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
    finish(ax, f"Map of {len(shown.rows):,} series", *shown.titles, note=shown.note)
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
    """Draw a snapshot of the data by cluster: the typical course, a band, a few members.

    Line: median. Band: the middle 80 % of the series (10 % to 90 %). Thin lines: single series.

    Parameters
    ----------
    X : array or list of arrays
        Series, as in `vrae.plots`.
    labels : array-like of int, shape (n_series,)
    names : mapping of int to str, optional
        Names for the titles; default "Cluster 0", ...
    channels : sequence of str, optional
        Names of the channels.
    unit : str
        What the values are, for the vertical axis.
    n_members : int
        Thin lines a cluster.
    adjust : bool
        Bring each series to its cluster's usual level and spread first, so that the figure shows shape.
    random_state : int
        For the choice of members.

    Returns
    -------
    Figure
        A cell a cluster; with several channels, a row a cluster and a column a channel.
    """
    courses = cluster_courses(X, labels, n_members=n_members, adjust=adjust, random_state=random_state)
    n_channels = len(courses[0].middle)
    units = channel_names(channels, unit, n_channels)
    columns = grid_columns(n_channels, len(courses))
    figure, axes = grid(len(courses) * n_channels, columns)
    cells = ((course, c) for course in courses for c in range(n_channels))
    for ax, (course, c) in zip(axes, cells, strict=False):
        color = cluster_style(course.label).color
        for member in course.members:
            ax.plot(course.steps, member[c], color=color, linewidth=0.6, alpha=0.35)
        ax.fill_between(course.steps, course.low[c], course.high[c], color=color, alpha=0.18, linewidth=0)
        ax.plot(
            course.steps,
            course.middle[c],
            color=color,
            linewidth=2,
            marker="." if len(course.steps) == 1 else "",
        )
        finish(ax, course.title(names), "step", units[c])
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
    """Draw series and the model's version of them, one over the other.

    Parameters
    ----------
    X, reconstruction : array or list of arrays
        Series, as in `vrae.plots`; both of the same lengths.
    ids : sequence of length n_series, optional
        Names of the series; default 0, 1, 2, ...
    channels : sequence of str, optional
        Names of the channels.
    unit : str
        What the values are, for the vertical axis.
    max_series : int
        Only so many are drawn: the first.

    Returns
    -------
    Figure
        A cell a series; with several channels, a row a series and a column a channel.
    """
    pairs = list(zip(series_list(X), series_list(reconstruction), strict=True))[:max_series]
    n_channels = len(pairs[0][0])
    names = channel_names(channels, unit, n_channels)
    figure, axes = grid(len(pairs) * n_channels, grid_columns(n_channels, len(pairs)))
    cells = ((row, c) for row in range(len(pairs)) for c in range(n_channels))
    for ax, (row, c) in zip(axes, cells, strict=False):
        original, model = (x[c] for x in pairs[row])
        for x, color, width, name in (
            (original, INK, 1.0, "original"),
            (model, COLORS[3], 1.6, "reconstruction"),
        ):
            steps = decimate(x, 2000)
            ax.plot(steps, x[steps], color=color, linewidth=width, label=name, marker="." if len(x) == 1 else "")
        finish(ax, f"Series {row if ids is None else ids[row]}", "step", names[c])
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def plot_training(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw how training went: loss, reconstruction, KL and its weight by epoch.

    Parameters
    ----------
    history : sequence of mappings
        One an epoch, with ``epoch``, ``loss``, ``reconstruction``, ``kl``, ``kl_weight`` and, where a part
        was held out, ``validation_loss``; what is absent is not drawn.

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
    """Draw the score of every number of clusters that was tried.

    Parameters
    ----------
    selection : sequence of mappings
        Each with ``n_clusters`` and ``score``.
    chosen : int, optional
        The number of clusters that was taken.
    criterion : str
        Name of the score.
    ax : Axes, optional

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
    """Draw the number of series of every cluster.

    Parameters
    ----------
    labels : array-like of int, shape (n_series,)
    ax : Axes, optional

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
