"""Summary of a fitted estimator for notebooks: facts, a small map and the cluster sizes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.words import cluster_name
from vrae.plots.charts import cluster_sizes
from vrae.plots.maps import project
from vrae.plots.palette import cluster_style

__all__ = ["summary_html"]

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]

_POINTS = 400  # on the map, a thumbnail
_BARS = 12
_WIDTH, _HEIGHT = 260, 180


def summary_html(name: str, embedding: Floats, labels: Labels | None, facts: Sequence[str]) -> str:
    """Return a summary of a fitted estimator as HTML without scripts or external files.

    It shows facts as plain text, a map of the embedding (n_series, latent_size), and, if there are
    labels, the sizes of the clusters.
    """
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    colours = np.zeros(len(embedding), int) if labels is None else np.asarray(labels)
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:24px;align-items:center;font:13px system-ui,sans-serif;'
        f'margin-bottom:8px"><div><b>{escape(name)}, fitted</b>'
        f'<ul style="margin:4px 0;padding-left:18px">{items}</ul></div>'
        f"{_map(embedding, colours)}{'' if labels is None else _bars(labels)}</div>"
    )


def _map(Z: Floats, labels: Labels) -> str:
    """Draw vectors (n_series, latent_size) in their two main directions."""
    indices = np.sort(np.random.default_rng(0).permutation(len(Z))[:_POINTS])
    shown = project(Z[indices], "pca")
    if not len(shown.indices):
        return ""
    low, span = shown.points.min(axis=0), np.maximum(np.ptp(shown.points, axis=0), 1e-12)
    at = 6 + (shown.points - low) / span * [_WIDTH - 12, _HEIGHT - 12]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{_HEIGHT - y:.1f}" r="2.6" fill="{cluster_style(label).color}" opacity=".75"/>'
        for (x, y), label in zip(at, labels[indices[shown.indices]].tolist(), strict=True)
    )
    return _svg(_HEIGHT, "Map of the series in the two main directions of their latent vectors", dots)


def _bars(labels: Labels) -> str:
    """Draw one bar per cluster, for the first few clusters."""
    sizes = cluster_sizes(labels)
    shown = sizes[:_BARS]
    largest = max(size for _, size in shown)
    parts = []
    for row, (label, size) in enumerate(shown):
        y = 18 * row
        parts.append(
            f'<rect x="82" y="{y + 3}" width="{max(1, 120 * size / largest):.1f}" height="11" rx="2" '
            f'fill="{cluster_style(label).color}"/><text x="76" y="{y + 13}" text-anchor="end">{cluster_name(label)}'
            f'</text><text x="{88 + 120 * size / largest:.1f}" y="{y + 13}">{size:,}</text>'
        )
    if len(sizes) > _BARS:
        parts.append(f'<text x="82" y="{18 * _BARS + 13}">and {len(sizes) - _BARS} more</text>')
    return _svg(18 * (len(shown) + (len(sizes) > _BARS)), "Series in each cluster", "".join(parts))


def _svg(height: int, name: str, inside: str) -> str:
    return (
        f'<svg width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{name}" '
        f'style="font-size:12px;fill:currentColor"><title>{name}</title>{inside}</svg>'
    )
