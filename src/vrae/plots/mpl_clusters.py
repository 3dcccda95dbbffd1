"""Figures of clusters with matplotlib, for papers. Each returns its Axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.describe.words import cluster_name, share_text
from vrae.plots.charts import (
    centre_of,
    cluster_sizes,
    map_groups,
    map_tags,
    selection_curve,
    selection_marks,
    selection_roles,
)
from vrae.plots.maps import MAX_FITTED, Method, project
from vrae.plots.mpl_parts import BELOW, LEGEND, finish, new_axes, wrap
from vrae.plots.palette import COLORS, INK, NOISE_COLOR, cluster_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_cluster_sizes", "plot_latent_map", "plot_selection"]

_NAME_INCHES = 2.2  # of names in a legend or beside bars
_ROLES: dict[str, dict[str, Any]] = {
    "tried": {"color": COLORS[0], "markersize": 4},
    "alternative": {"color": COLORS[0], "markersize": 8, "markerfacecolor": "white", "markeredgewidth": 1.8},
    "not useful": {"color": NOISE_COLOR, "markersize": 4, "markerfacecolor": "white"},
    "chosen": {"color": COLORS[3], "markersize": 9},
}


def plot_latent_map(
    Z: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    method: Method = "pca",
    names: Mapping[int, str] | None = None,
    tags: Mapping[int, str] | None = None,
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
    tags : mapping of int to str, optional
        Short texts to write on each cluster. Default: the numbers of the clusters.
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
    ax = ax or new_axes((5.4 + (_NAME_INCHES + 0.3) * columns, 5.2))
    size = float(np.clip(9000 / max(len(shown.indices), 1), 5, 26))
    texts = map_tags(groups, tags)
    for label, name, style, member in groups:
        x, y = shown.points[member].T
        name = wrap(name, _NAME_INCHES)
        ax.scatter(x, y, s=size, c=style.color, marker=style.marker, linewidths=0, alpha=0.75, label=name)
        if label in texts:
            _write(ax, centre_of(shown.points[member]), texts[label], style.color)
    finish(ax, f"Map of {len(shown.indices):,} series", *shown.titles, note=shown.note)
    if columns:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
        ax.legend(ncols=columns, markerscale=max(1.0, 4.5 / size**0.5), **place, **LEGEND)
    return ax


def _write(ax: Axes, place: npt.NDArray[Any], text: str, color: str) -> None:
    """Write a text on a cluster, in a frame of its colour."""
    frame = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": color, "linewidth": 1.2, "alpha": 0.9}
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "color": INK, "zorder": 4}
    ax.text(float(place[0]), float(place[1]), text, bbox=frame, **look)


def plot_selection(
    selection: Sequence[Mapping[str, Any]],
    *,
    chosen: int | None = None,
    criterion: str = "score",
    alternatives: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the score of each number of clusters tried.

    Parameters
    ----------
    selection : sequence of mappings
        Each with ``n_clusters`` and ``score``, as in ``VRAEClusterer.selection_``. Peaks
        (``is_peak``) are alternatives. Grey: one cluster would hold most series, or clusters would
        not be separated.
    chosen : int, optional
        The selected number of clusters.
    criterion : str, default="score"
        Name of the score.
    alternatives : sequence of int, optional
        Other numbers that are worth a look. Default: the peaks.
    ax : Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    Axes
    """
    from matplotlib.ticker import MaxNLocator

    ax = ax or new_axes((6.4, 3.8))
    numbers, scores = selection_curve(selection)
    roles = selection_roles(selection, chosen, alternatives)
    ax.plot(numbers, scores, color=COLORS[0], linewidth=1.6)
    for role, look in _ROLES.items():
        at = np.flatnonzero(roles == role)
        if len(at):
            ax.plot(numbers[at], scores[at], "o", label=role, **look)
    marks = zip(numbers.tolist(), scores.tolist(), selection_marks(numbers, roles), strict=True)
    for number, score, (text, row) in marks:
        above = (0, 8 + 11 * row)
        if text:
            ax.annotate(text, (number, score), above, textcoords="offset points", ha="center", fontsize=8, color=INK)
    ax.margins(y=0.25)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(ax, "Choice of the number of clusters", "number of clusters", criterion)
    if len(numbers):
        ax.legend(ncols=4, **BELOW, **LEGEND)
    return ax


def plot_cluster_sizes(
    labels: npt.ArrayLike, *, names: Mapping[int, str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the number of series in each cluster.

    Parameters
    ----------
    labels : array-like of int, shape (n_series,)
    names : mapping of int to str, optional
        Names of the clusters. Default: "Cluster 0", ...
    ax : Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    Axes
    """
    sizes = cluster_sizes(labels)
    texts = [wrap(cluster_name(label, names), _NAME_INCHES + 0.4) for label, _ in sizes]
    ax = ax or new_axes((6.4, 0.9 + sum(0.2 + 0.14 * (1 + text.count("\n")) for text in texts)))
    colors = [cluster_style(label).color for label, _ in sizes]
    bars = ax.barh(range(len(sizes)), [size for _, size in sizes], color=colors, height=0.7)
    total = max(sum(size for _, size in sizes), 1)
    ax.bar_label(bars, [f"{n:,} ({share_text(n, total)})" for _, n in sizes], padding=4, fontsize=8, color=INK)
    ax.set_yticks(range(len(sizes)), texts)
    ax.invert_yaxis()
    ax.margins(x=0.2)
    finish(ax, "Series in each cluster", "number of series", "")
    ax.grid(visible=False, axis="y")
    return ax
