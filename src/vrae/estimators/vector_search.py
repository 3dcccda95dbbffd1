"""Nearest vectors: exact, or approximate for very many."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.batching import Indices
from vrae.exceptions import DataWarning, MissingDependencyError, check_installed, warn

__all__ = ["ApproximateSearch", "ExactSearch", "choose_search", "pynndescent"]

# "auto" is exact up to this number of series.
_EXACT = 50_000
# Neighbors per vector in the graph.
_GRAPH = 30
# A k-d tree is faster than comparing with all vectors up to this number of dimensions.
_TREE_DIMENSIONS = 15

Floats = npt.NDArray[np.float64]


class ExactSearch:
    """Vectors (n, dimensions) of the training series at ``indices``, compared exactly."""

    def __init__(self, vectors: Floats, indices: Indices) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.indices = indices
        algorithm = "kd_tree" if vectors.shape[1] <= _TREE_DIMENSIONS else "brute"
        self._search = NearestNeighbors(algorithm=algorithm).fit(vectors)

    def query(self, vectors: Floats, k: int, own: Indices | None) -> tuple[Floats, Indices]:
        """Return distances and positions (n, k). Each query leaves out its ``own`` position."""
        distances, found = self._search.kneighbors(vectors, k + (own is not None))
        return _without(own, distances, self.indices[found])


class ApproximateSearch:
    """Nearest neighbor descent (PyNNDescent) in a graph of neighbors."""

    def __init__(self, vectors: Floats, indices: Indices, seed: int) -> None:
        self.indices = indices
        self._vectors = vectors.astype(np.float32)
        self._search = pynndescent().NNDescent(
            self._vectors, n_neighbors=min(_GRAPH, len(indices)), random_state=seed, n_jobs=1
        )
        self._search.prepare()

    def query(self, vectors: Floats, k: int, own: Indices | None) -> tuple[Floats, Indices]:
        """See `ExactSearch.query`."""
        k += own is not None
        found, distances = self._search.query(vectors.astype(np.float32), k)
        lost = np.flatnonzero((found < 0).any(axis=1))  # parts of the graph may be unreachable
        if len(lost):
            exact = ExactSearch(self._vectors.astype(np.float64), np.arange(len(self.indices)))
            distances[lost], found[lost] = exact.query(vectors[lost], k, None)
        return _without(own, distances.astype(np.float64), self.indices[found])


def _without(own: Indices | None, distances: Floats, indices: Indices) -> tuple[Floats, Indices]:
    """Remove each series from its own neighbors. If copies hide it, remove the last copy."""
    if own is None:
        return distances, indices
    itself = indices == own[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = len(indices), indices.shape[1] - 1
    return distances[~itself].reshape(shape), indices[~itself].reshape(shape)


def choose_search(algorithm: str, n_series: int) -> str:
    """Return the algorithm for a number of series: "exact" or "approximate"."""
    if algorithm != "auto" or n_series <= _EXACT:
        return "exact" if algorithm == "auto" else algorithm
    try:
        pynndescent()
    except MissingDependencyError:
        warn(
            f"Searching {n_series:,} series exactly, which is slow: pip install 'vrae[neighbors]' for approximate "
            f"search, or pass algorithm='exact' to silence this warning.",
            DataWarning,
        )
        return "exact"
    return "approximate"


def pynndescent() -> Any:
    """Return the optional package, or raise a MissingDependencyError."""
    check_installed("pynndescent", "neighbors", "algorithm='approximate'")
    import pynndescent as package

    return package
