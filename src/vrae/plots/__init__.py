"""Figures: arrays in, figures out. The ``plot`` of an estimator draws what it has found with them.

Every figure has two versions: ``plot_*`` draws with matplotlib, for papers, and ``plotly_*`` with
plotly, for the screen. Neither library is imported before the first figure.

Series ``X`` are an array of shape ``(n, n_steps)`` or ``(n, n_channels, n_steps)``, a list of
arrays of shape ``(n_steps,)`` or ``(n_channels, n_steps)`` of any lengths, or a Panel, which brings
its dates and the names of its channels. NaN is a missing value. The label -1 means "not assigned"
and is always grey.
"""

from __future__ import annotations

from vrae.plots.mpl import (
    plot_anomalies,
    plot_courses,
    plot_reconstructions,
    plot_scores,
    plot_training,
    plot_traversal,
)
from vrae.plots.mpl_clusters import plot_cluster_sizes, plot_latent_map, plot_selection
from vrae.plots.trees import plot_tree, plotly_tree
from vrae.plots.web import (
    plotly_anomalies,
    plotly_cluster_sizes,
    plotly_courses,
    plotly_latent_map,
    plotly_reconstructions,
    plotly_scores,
    plotly_selection,
    plotly_training,
    plotly_traversal,
)

__all__ = [
    "plot_anomalies",
    "plot_cluster_sizes",
    "plot_courses",
    "plot_latent_map",
    "plot_reconstructions",
    "plot_scores",
    "plot_selection",
    "plot_training",
    "plot_traversal",
    "plot_tree",
    "plotly_anomalies",
    "plotly_cluster_sizes",
    "plotly_courses",
    "plotly_latent_map",
    "plotly_reconstructions",
    "plotly_scores",
    "plotly_selection",
    "plotly_training",
    "plotly_traversal",
    "plotly_tree",
]
