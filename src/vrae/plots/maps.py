"""Maps of latent vectors: many dimensions brought to two, so that series that behave alike lie near each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vrae.exceptions import InvalidDataError, InvalidParameterError, did_you_mean
from vrae.optional import check_installed

__all__ = ["MAX_ARRANGED", "METHODS", "Method", "Projection", "available_methods", "finite_rows", "project"]

Floats = npt.NDArray[np.floating[Any]]
Method = Literal["pca", "tsne", "umap"]

METHODS: dict[Method, str] = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}

MAX_ARRANGED = 1000
"""t-SNE and UMAP arrange at most so many series; the others are placed between those that they are most like."""
_NEIGHBOURS = 5
_CHUNK = 4096  # series placed at once


@dataclass(frozen=True)
class Projection:
    """Latent vectors brought to two dimensions.

    Attributes
    ----------
    points : ndarray of shape (n_shown, 2)
    rows : ndarray of int, shape (n_shown,)
        Which series the points are.
    n_series : int
        How many there are in all.
    titles : (str, str)
        Titles of the two axes.
    note : str
        What a reader has to know: a sample, or vectors that are missing. May be empty.
    """

    points: Floats
    rows: npt.NDArray[np.int64]
    n_series: int
    titles: tuple[str, str]
    note: str


def available_methods() -> list[Method]:
    """Return the methods that this installation has: PCA and t-SNE, and UMAP where umap-learn is installed."""
    return [method for method in METHODS if method != "umap" or find_spec("umap") is not None]


def project(
    Z: npt.ArrayLike,
    method: Method = "pca",
    *,
    random_state: int = 0,
    max_points: int = MAX_ARRANGED,
) -> Projection:
    """Bring latent vectors to two dimensions.

    Parameters
    ----------
    Z : array-like of shape (n_series, latent_size)
        Rows with NaN (series that could not be embedded) are left out.
    method : {"pca", "tsne", "umap"}
        PCA keeps distances and needs no luck; t-SNE and UMAP keep neighbourhoods. UMAP needs umap-learn.
    random_state : int
        Same seed, same map.
    max_points : int
        t-SNE and UMAP only: a random sample of this many series is arranged; every other series is placed between
        the five of them that are nearest to it.

    Returns
    -------
    Projection

    Raises
    ------
    InvalidParameterError
        Unknown method.
    InvalidDataError
        ``Z`` is not a table of vectors.
    MissingDependencyError
        UMAP is asked for and not installed.

    References
    ----------
    van der Maaten & Hinton, "Visualizing Data using t-SNE", JMLR 2008. McInnes, Healy & Melville, "UMAP", 2018.
    """
    if method not in METHODS:
        raise InvalidParameterError(f"Unknown projection {method!r}.{did_you_mean(method, list(METHODS))}")
    Z = np.asarray(Z, np.float64)
    if Z.ndim != 2:
        raise InvalidDataError(f"Latent vectors must have shape (n_series, latent_size); found {Z.shape}.")
    rows = finite_rows(Z)
    notes = [f"{len(Z) - len(rows):,} series without a latent vector left out"] if len(rows) < len(Z) else []
    if method == "pca":
        points, titles = _pca(Z[rows])
    else:
        if len(rows) > max_points:
            notes.append(f"{max_points:,} series drawn at random are arranged, the others placed beside the most alike")
        points = _arranged(Z[rows], _tsne if method == "tsne" else _umap, random_state, max_points)
        titles = (f"{METHODS[method]} 1 (no unit)", f"{METHODS[method]} 2 (no unit)")
    return Projection(points, rows, len(Z), titles, "; ".join(notes))


def finite_rows(Z: Floats) -> npt.NDArray[np.int64]:
    """Return the positions of the rows without NaN."""
    return np.flatnonzero(np.isfinite(Z).all(axis=1))


def _pca(Z: Floats) -> tuple[Floats, tuple[str, str]]:
    """Principal components by the eigenvectors of the covariance: exact, and quick for any number of rows."""
    centred = Z - Z.mean(axis=0) if len(Z) else Z
    variances, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(variances)[::-1][:2]
    axes = axes[:, order]
    # An eigenvector's sign is arbitrary: let its largest entry be positive, so that runs agree.
    axes = axes * np.where(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0) < 0, -1, 1)
    shares = 100 * variances[order] / max(variances.sum(), np.finfo(float).tiny)
    points = np.zeros((len(Z), 2))
    points[:, : len(order)] = centred @ axes
    shares = np.pad(shares, (0, 2 - len(shares)))
    first, second = (f"Main direction {d + 1} ({share:.0f} % of the variation)" for d, share in enumerate(shares))
    return points, (first, second)


def _arranged(Z: Floats, arrange: Callable[[Floats, int], Floats], random_state: int, max_points: int) -> Floats:
    """Arrange vectors (n, latent), or a sample of them, and place the others beside their nearest."""
    if len(Z) < 4 or not np.ptp(Z, axis=0).any():  # nothing to arrange
        return _pca(Z)[0]
    if len(Z) <= max_points:
        return arrange(Z, random_state)
    chosen = np.sort(np.random.default_rng(random_state).choice(len(Z), max_points, replace=False))
    points = np.empty((len(Z), 2))
    points[chosen] = arrange(Z[chosen], random_state)
    rest = np.setdiff1d(np.arange(len(Z)), chosen, assume_unique=True)
    points[rest] = _placed(Z[rest], Z[chosen], points[chosen])
    return points


def _placed(Z: Floats, known: Floats, places: Floats) -> Floats:
    """Place vectors (n, latent) among ``known`` ones (m, latent) at ``places`` (m, 2): the nearer, the closer."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(known))).fit(known)
    found = np.empty((len(Z), 2))
    for start in range(0, len(Z), _CHUNK):
        distance, neighbour = index.kneighbors(Z[start : start + _CHUNK])  # both (chunk, neighbours)
        weight = 1 / np.maximum(distance, 1e-12) ** 2
        # The neighbours' middle would lie in the gap between two groups; only those around the nearest count.
        around = np.linalg.norm(places[neighbour] - places[neighbour[:, :1]], axis=2)  # (chunk, neighbours)
        weight = np.where(around <= 2 * np.median(around, axis=1, keepdims=True), weight, 0.0)
        weight /= weight.sum(axis=1, keepdims=True)
        found[start : start + _CHUNK] = (weight[..., None] * places[neighbour]).sum(axis=1)
    return found


def _tsne(Z: Floats, random_state: int) -> Floats:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, (len(Z) - 1) / 3)
    start = _pca(Z)[0]
    start *= 1e-4 / start[:, 0].std()  # the usual size of a start
    model = TSNE(perplexity=perplexity, init=start.astype(np.float32), random_state=random_state)
    with threadpool_limits(1):  # sums in one order: the same picture on any number of cores
        points: Floats = model.fit_transform(Z).astype(np.float64)
    return points


def _umap(Z: Floats, random_state: int) -> Floats:
    check_installed("umap", "umap", "A UMAP map")
    from umap import UMAP

    model = UMAP(n_neighbors=min(15, len(Z) - 1), init=_pca(Z)[0], random_state=random_state, n_jobs=1)
    points: Floats = model.fit_transform(Z).astype(np.float64)
    return points
