"""Figures: arrays in, figures out.

Most figures have two versions: ``plot_*`` draws with matplotlib, for papers, and ``plotly_*`` with
plotly, for the screen. Neither library is imported before the first figure.

Series ``X`` are an array of shape ``(n, n_steps)`` or ``(n, n_channels, n_steps)``, a list of
arrays of shape ``(n_steps,)`` or ``(n_channels, n_steps)`` of any lengths, or a Panel. NaN is a
missing value. The label -1 means "not assigned" and is always grey.
"""

from __future__ import annotations

from vrae.plots.mpl import (
    plot_anomalies,
    plot_cluster_sizes,
    plot_courses,
    plot_latent_map,
    plot_reconstructions,
    plot_selection,
    plot_training,
    plot_traversal,
)
from vrae.plots.web import (
    plotly_cluster_sizes,
    plotly_courses,
    plotly_latent_map,
    plotly_reconstructions,
    plotly_selection,
    plotly_training,
)

__all__ = [
    "plot_anomalies",
    "plot_cluster_sizes",
    "plot_courses",
    "plot_latent_map",
    "plot_reconstructions",
    "plot_selection",
    "plot_training",
    "plot_traversal",
    "plotly_cluster_sizes",
    "plotly_courses",
    "plotly_latent_map",
    "plotly_reconstructions",
    "plotly_selection",
    "plotly_training",
]
