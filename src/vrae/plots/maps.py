"""Maps of latent vectors: projections to two dimensions.

t-SNE: van der Maaten & Hinton, "Visualizing Data using t-SNE", JMLR 2008.
UMAP: McInnes, Healy & Melville, "Uniform Manifold Approximation and Projection", 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vrae.exceptions import InvalidDataError, InvalidParameterError, check_installed, did_you_mean
from vrae.runtime import one_thread

__all__ = ["MAX_FITTED", "METHODS", "Method", "Projection", "available_methods", "project"]

Floats = npt.NDArray[np.floating[Any]]
Method = Literal["pca", "tsne", "umap"]

METHODS: dict[Method, str] = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}

MAX_FITTED = 700
"""t-SNE and UMAP are fitted to at most this many series; others are placed near similar ones."""
_NEIGHBOURS = 5
# Iterations of t-SNE, and how coarsely it treats far points. scikit-learn's defaults, 1,000 and .5,
# take three times as long, and keep neighbours no better.
_ITERATIONS = 350
_ANGLE = 0.8


@dataclass(frozen=True)
class Projection:
    """Points (n_shown, 2) on a map, which series they are, the titles of the axes and a remark."""

    points: Floats
    indices: npt.NDArray[np.int64]
    n_series: int
    titles: tuple[str, str]
    note: str


def available_methods() -> list[Method]:
    """Return the available methods: PCA, t-SNE, and UMAP if umap-learn is installed."""
    return [method for method in METHODS if method != "umap" or find_spec("umap") is not None]


def project(
    Z: npt.ArrayLike, method: Method = "pca", *, random_state: int = 0, max_points: int = MAX_FITTED
) -> Projection:
    """Project latent vectors (n_series, latent_size) to two dimensions, without rows with NaN.

    PCA preserves distances and is deterministic. t-SNE and UMAP preserve neighbourhoods. They are
    fitted to a random sample of ``max_points`` series if there are more. Every other series is
    placed between its five nearest neighbours in the sample.
    """
    if method not in METHODS:
        raise InvalidParameterError(f"Unknown projection {method!r}.{did_you_mean(method, list(METHODS))}")
    Z = np.asarray(Z, np.float64)
    if Z.ndim != 2:
        raise InvalidDataError(f"Latent vectors must have shape (n_series, latent_size); found {Z.shape}.")
    indices = np.flatnonzero(np.isfinite(Z).all(axis=1))
    notes = [f"{len(Z) - len(indices):,} series without a latent vector left out"] if len(indices) < len(Z) else []
    if method == "pca":
        points, titles = _pca(Z[indices])
    else:
        if len(indices) > max_points:
            notes.append(f"fitted to {max_points:,} random series, the others placed near similar ones")
        points = _neighbourhoods(Z[indices], method, random_state, max_points)
        titles = (f"{METHODS[method]} 1 (no unit)", f"{METHODS[method]} 2 (no unit)")
    return Projection(points, indices, len(Z), titles, "; ".join(notes))


def _pca(Z: Floats) -> tuple[Floats, tuple[str, str]]:
    """Return principal components (n, 2), by eigenvectors of the covariance, and axis titles."""
    centred = Z - Z.mean(axis=0) if len(Z) else Z
    variances, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(variances)[::-1][:2]
    axes = axes[:, order]
    # The sign of an eigenvector is arbitrary. A positive largest entry makes runs agree.
    axes = axes * np.where(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0) < 0, -1, 1)
    missing = 2 - len(order)  # 1 if there is a single latent dimension
    points = np.pad(centred @ axes, ((0, 0), (0, missing)))
    explained = np.pad(100 * variances[order] / max(variances.sum(), np.finfo(float).tiny), (0, missing))
    first, second = (f"Main direction {d} ({percent:.0f} % of the variance)" for d, percent in enumerate(explained, 1))
    return points, (first, second)


def _neighbourhoods(Z: Floats, method: Method, random_state: int, max_points: int) -> Floats:
    """Embed vectors (n, latent) so that neighbours stay close together."""
    if len(Z) < 4 or not np.ptp(Z, axis=0).any():  # too few, or all the same
        return _pca(Z)[0]
    if len(Z) <= max_points:
        return _embed(Z, method, random_state)
    chosen = np.sort(np.random.default_rng(random_state).choice(len(Z), max_points, replace=False))
    points = np.empty((len(Z), 2))
    points[chosen] = _embed(Z[chosen], method, random_state)
    rest = np.setdiff1d(np.arange(len(Z)), chosen, assume_unique=True)
    points[rest] = _placed(Z[rest], Z[chosen], points[chosen])
    return points


def _placed(Z: Floats, known: Floats, places: Floats) -> Floats:
    """Place vectors (n, latent) near the most similar of ``known`` ones (m, latent) on the map."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(known))).fit(known)
    distance, neighbour = index.kneighbors(Z)  # both (n, neighbours)
    # Keep only neighbours around the nearest one: their mean could lie between two groups.
    around = np.linalg.norm(places[neighbour] - places[neighbour[:, :1]], axis=2)  # (n, neighbours)
    is_near = around <= 2 * np.median(around, axis=1, keepdims=True)
    weight = is_near / np.maximum(distance, 1e-12) ** 2
    weight /= weight.sum(axis=1, keepdims=True)
    placed: Floats = (weight[..., None] * places[neighbour]).sum(axis=1)
    return placed


def _embed(Z: Floats, method: Method, random_state: int) -> Floats:
    start = _pca(Z)[0]
    model: Any
    if method == "umap":
        check_installed("umap", "umap", "A UMAP map")
        from umap import UMAP

        model = UMAP(n_neighbors=min(15, len(Z) - 1), init=start, random_state=random_state, n_jobs=1)
    else:
        from sklearn.manifold import TSNE

        start *= 1e-4 / start[:, 0].std()  # scikit-learn's scale for init="pca"
        perplexity = min(30.0, (len(Z) - 1) / 3)
        model = TSNE(
            perplexity=perplexity,
            init=start.astype(np.float32),
            max_iter=_ITERATIONS,
            angle=_ANGLE,
            random_state=random_state,
        )
    with one_thread():  # sums in a fixed order: the same map on any number of cores
        points: Floats = model.fit_transform(Z).astype(np.float64)
    return points
