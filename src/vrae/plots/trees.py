"""The tree of clusters: which of them are alike, and how they would merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.describe.words import NOISE, cluster_name
from vrae.exceptions import InvalidDataError
from vrae.plots.charts import cluster_sizes
from vrae.plots.mpl_parts import finish, new_axes, wrap
from vrae.plots.palette import INK, NOISE_COLOR, cluster_style
from vrae.plots.web_parts import escape, graph_objects, new_figure, web_wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from plotly.graph_objects import Figure

__all__ = ["plot_tree", "plotly_tree"]

Floats = npt.NDArray[np.floating[Any]]

_TITLE = "How alike the clusters are"
_X_TITLE = "distance in the latent space at which clusters merge"
_LABEL_INCHES = 2.6


@dataclass(frozen=True)
class _Tree:
    """A tree with its leaves at the heights 0, 1, ...: lines, and the labels of the leaves.

    ``distances`` and ``heights`` (n_merges, 4) are the corners of one bracket per merge.
    """

    distances: Floats
    heights: Floats
    labels: list[int]
    names: list[str]
    sizes: list[int]


def _layout(tree: npt.ArrayLike, labels: npt.ArrayLike, names: Mapping[int, str] | None) -> _Tree:
    from scipy.cluster.hierarchy import dendrogram

    merges, sizes = np.asarray(tree, np.float64).reshape(-1, 4), dict(cluster_sizes(labels))
    found = [label for label in sizes if label != NOISE]
    if len(merges) != max(len(found) - 1, 0) or not found:
        raise InvalidDataError(f"A tree of {len(merges) + 1} clusters needs their labels; found {len(found)} clusters.")
    if len(found) == 1:
        order, distances, heights = found, np.zeros((0, 4)), np.zeros((0, 4))
    else:
        drawn = dendrogram(merges, no_plot=True)
        order = [found[leaf] for leaf in drawn["leaves"]]
        distances, heights = np.array(drawn["dcoord"]), (np.array(drawn["icoord"]) - 5) / 10
    shown = [f"{cluster_name(label, names)}\N{NO-BREAK SPACE}({sizes[label]:,})" for label in order]
    return _Tree(distances, heights, order, shown, [sizes[label] for label in order])


def plot_tree(
    tree: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    names: Mapping[int, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how clusters merge: clusters that are alike join first, at the left.

    Parameters
    ----------
    tree : array-like of shape (n_clusters - 1, 4)
        In the format of `scipy.cluster.hierarchy.linkage`, such as ``VRAEClusterer.tree_``.
    labels : array-like of int, shape (n_series,)
        Cluster of every series.
    names : mapping of int to str, optional
        Names of the clusters. Default: "Cluster 0", ...
    ax : Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    Axes
    """
    shown = _layout(tree, labels, names)
    texts = [wrap(name, _LABEL_INCHES) for name in shown.names]
    height = sum(0.14 + 0.17 * (1 + text.count("\n")) for text in texts)
    ax = ax or new_axes((7.0, 0.9 + height))
    for x, y in zip(shown.distances, shown.heights, strict=True):
        ax.plot(x, y, color=NOISE_COLOR, linewidth=1.3, solid_joinstyle="round", clip_on=False)
    for y, (label, size) in enumerate(zip(shown.labels, shown.sizes, strict=True)):
        ax.plot(
            0, y, "o", color=cluster_style(label).color, markersize=_dot(size, shown.sizes), clip_on=False, zorder=3
        )
    ax.set_yticks(range(len(texts)), texts)
    ax.set_ylim(-0.6, len(texts) - 0.4)
    ax.set_xlim(left=0)
    finish(ax, _TITLE, _X_TITLE, "")
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0, pad=8)
    return ax


def plotly_tree(tree: npt.ArrayLike, labels: npt.ArrayLike, *, names: Mapping[int, str] | None = None) -> Figure:
    """Draw how clusters merge.

    Parameters are those of `vrae.plots.plot_tree`.
    """
    go = graph_objects()
    shown = _layout(tree, labels, names)
    figure = new_figure(_TITLE)
    for x, y in zip(shown.distances, shown.heights, strict=True):
        line = {"color": NOISE_COLOR, "width": 1.6}
        figure.add_trace(go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False))
    figure.add_trace(
        go.Scatter(
            x=np.zeros(len(shown.labels)),
            y=np.arange(len(shown.labels)),
            mode="markers",
            marker={
                "color": [cluster_style(label).color for label in shown.labels],
                "size": [1.4 * _dot(size, shown.sizes) for size in shown.sizes],
                "opacity": 1,
            },
            text=[escape(name) for name in shown.names],
            hovertemplate="%{text}<extra></extra>",
            cliponaxis=False,
            showlegend=False,
        )
    )
    texts = [web_wrap(name, 36) for name in shown.names]
    figure.update_xaxes(title_text=_X_TITLE, rangemode="tozero")
    figure.update_yaxes(
        tickvals=list(range(len(texts))),
        ticktext=texts,
        showgrid=False,
        range=[-0.7, len(texts) - 0.3],
        color=INK,
        ticklabelstandoff=12,
    )
    figure.update_layout(height=130 + sum(16 + 15 * (1 + text.count("<br>")) for text in texts))
    return figure


def _dot(size: int, sizes: list[int]) -> float:
    """Return the size of the dot of a cluster: its area shows the number of series."""
    return float(4 + 9 * np.sqrt(size / max(sizes)))
