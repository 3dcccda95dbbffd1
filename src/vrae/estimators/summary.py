"""A fitted estimator in a notebook: what it learned, in a few words and two small pictures."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vrae.plots.maps import project
from vrae.plots.palette import cluster_labels, cluster_name, cluster_style

if TYPE_CHECKING:
    from vrae.estimators.vrae import VRAE

__all__ = ["summary_html"]

_POINTS = 400  # on the map: it is a thumbnail
_BARS = 12
_WIDTH, _HEIGHT = 260, 180


def summary_html(estimator: VRAE) -> str:
    """Return a fitted estimator as a piece of HTML: no script, and nothing that is fetched.

    Parameters
    ----------
    estimator : VRAE
        Fitted. With ``labels_`` (a clusterer), the map is coloured and the clusters' sizes are shown.
    """
    Z = estimator.embedding_
    labels = np.asarray(getattr(estimator, "labels_", np.zeros(len(Z), int)))
    last = estimator.history_[-1]
    has_clusters = hasattr(estimator, "labels_")
    channels = estimator.network_.config.n_channels
    facts = [
        f"{len(Z):,} series, median length {estimator.n_steps_:,}, {channels} channel{'s' * (channels != 1)}",
        f"{estimator.active_units_} of {Z.shape[1]} latent dimensions in use",
        f"{len(estimator.history_):,} epochs; last loss {last['loss']:.4g}",
    ]
    if has_clusters:
        known = len(np.unique(labels[labels >= 0]))
        facts.insert(1, f"{known} cluster{'s' * (known != 1)}")
    words = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:24px;align-items:center;font:13px system-ui,sans-serif;'
        f'margin-bottom:8px"><div><b>{type(estimator).__name__}, fitted</b>'
        f'<ul style="margin:4px 0;padding-left:18px">{words}</ul></div>'
        f"{_map(Z, labels)}{_sizes(labels) if has_clusters else ''}</div>"
    )


def _map(Z: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> str:
    """Draw vectors (n, latent) by their two main directions."""
    rows = np.sort(np.random.default_rng(0).permutation(len(Z))[:_POINTS])
    shown = project(Z[rows], "pca")
    if not len(shown.rows):
        return ""
    low, span = shown.points.min(axis=0), np.maximum(np.ptp(shown.points, axis=0), 1e-12)
    at = 6 + (shown.points - low) / span * [_WIDTH - 12, _HEIGHT - 12]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{_HEIGHT - y:.1f}" r="2.6" fill="{cluster_style(label).color}" opacity=".75"/>'
        for (x, y), label in zip(at, labels[rows[shown.rows]].tolist(), strict=True)
    )
    return _svg(_HEIGHT, "Map of the series by the two main directions of their latent vectors", dots)


def _sizes(labels: npt.NDArray[np.int64]) -> str:
    """Draw a bar a cluster, of the first few clusters."""
    found = cluster_labels(labels)
    sizes = {label: int((labels == label).sum()) for label in found[:_BARS]}
    largest = max(sizes.values())
    parts = []
    for row, (label, size) in enumerate(sizes.items()):
        y = 18 * row
        parts.append(
            f'<rect x="82" y="{y + 3}" width="{max(1, 120 * size / largest):.1f}" height="11" rx="2" '
            f'fill="{cluster_style(label).color}"/><text x="76" y="{y + 13}" text-anchor="end">{cluster_name(label)}'
            f'</text><text x="{88 + 120 * size / largest:.1f}" y="{y + 13}">{size:,}</text>'
        )
    if len(found) > _BARS:
        parts.append(f'<text x="82" y="{18 * _BARS + 13}">and {len(found) - _BARS} more</text>')
    return _svg(18 * (len(sizes) + (len(found) > _BARS)), "Series in each cluster", "".join(parts))


def _svg(height: int, name: str, inside: str) -> str:
    return (
        f'<svg width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{name}" '
        f'style="font-size:12px;fill:currentColor"><title>{name}</title>{inside}</svg>'
    )
