"""Search for the nearest of very many vectors, exactly or nearly so."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.exceptions import DataWarning, MissingDependencyError
from vrae.optional import check_installed

__all__ = ["Approximate", "Exact", "choose_search", "pynndescent"]

# Series up to which "auto" compares with every one of them.
_EXACT = 50_000
# Neighbours of each series in the graph that is followed.
_GRAPH = 30

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


class Exact:
    """Neighbours by a k-d tree over the vectors (n, dimensions) of the training series at ``rows``."""

    def __init__(self, vectors: Floats, rows: Rows) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.rows = rows
        self._search = NearestNeighbors(algorithm="kd_tree").fit(vectors)

    def query(self, vectors: Floats, k: int, own: Rows | None) -> tuple[Floats, Rows]:
        """Return distances and training rows (n, k); ``own`` are training rows that each leaves out, its own."""
        distances, found = self._search.kneighbors(vectors, k + (own is not None))
        return _without(own, distances, self.rows[found])


class Approximate:
    """Neighbours by descent in a graph of neighbours."""

    def __init__(self, vectors: Floats, rows: Rows, seed: int) -> None:
        self.rows = rows
        self._vectors = vectors.astype(np.float32)
        self._search = pynndescent().NNDescent(
            self._vectors, n_neighbors=min(_GRAPH, len(rows)), random_state=seed, n_jobs=1
        )
        self._search.prepare()

    def query(self, vectors: Floats, k: int, own: Rows | None) -> tuple[Floats, Rows]:
        """See `Exact.query`."""
        k += own is not None
        found, distances = self._search.query(vectors.astype(np.float32), k)
        lost = np.flatnonzero((found < 0).any(axis=1))  # the graph has corners from which k cannot be reached
        if len(lost):
            exact = Exact(self._vectors.astype(np.float64), np.arange(len(self.rows)))
            distances[lost], found[lost] = exact.query(vectors[lost], k, None)
        return _without(own, distances.astype(np.float64), self.rows[found])


def _without(own: Rows | None, distances: Floats, rows: Rows) -> tuple[Floats, Rows]:
    """Leave each series itself out of its neighbours; of copies of it, which may hide it, the last."""
    if own is None:
        return distances, rows
    itself = rows == own[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = len(rows), rows.shape[1] - 1
    return distances[~itself].reshape(shape), rows[~itself].reshape(shape)


def choose_search(algorithm: str, n_series: int) -> str:
    """Return what an algorithm comes to for so many series: "exact" or "approximate"."""
    if algorithm != "auto" or n_series <= _EXACT:
        return "exact" if algorithm == "auto" else algorithm
    try:
        pynndescent()
    except MissingDependencyError:
        warnings.warn(
            f"Searching {n_series:,} series exactly, which is slow: pip install 'vrae[neighbors]' for approximate "
            f"search, or pass algorithm='exact' to be content with it.",
            DataWarning,
            stacklevel=2,
        )
        return "exact"
    return "approximate"


def pynndescent() -> Any:
    """Return the optional package, or raise."""
    check_installed("pynndescent", "neighbors", "algorithm='approximate'")
    import pynndescent as package

    return package
