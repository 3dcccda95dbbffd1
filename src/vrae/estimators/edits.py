"""Changes to clusters by hand: merged, split, and series that were moved.

Each edit turns the probabilities of the clusters before it into those of the clusters after it, so
that new series are assigned as the training series were. A series is in the cluster that follows
from the cluster it was in before. If the probabilities alone would say otherwise, they are shifted
towards this cluster as little as possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.estimators.mixture import Mixture
from vrae.estimators.partition import Partition, labels_of, partition_from_arrays
from vrae.io.folder import Arrays, nested, subset

__all__ = ["Edit", "Edited", "Merge", "Move", "Split", "are_same", "edits_from_arrays", "groups_of_same"]

# Vectors that differ by less than this are of the same series, or of identical ones. The latent
# space has a variance of about 1.
_SAME = 1e-4

# A cluster wins by at least about this much, so that rounding cannot change it.
_LEAD = 1e-6

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Merge:
    """Clusters that became one. ``place`` (k,) is the new number of every earlier cluster."""

    place: Labels

    @property
    def n_more(self) -> int:
        """Number of clusters that this edit adds."""
        return int(self.place.max()) + 1 - len(self.place)

    def relabel(self, labels: Labels) -> Labels:
        """Return the new labels of series with these labels."""
        return np.append(self.place, -1)[labels]

    def __call__(self, probabilities: Floats, X: Floats) -> Floats:
        """Return the new probabilities: those of merged clusters add up."""
        joined = probabilities @ np.eye(len(self.place) + self.n_more)[self.place]
        return _favour(joined, self.relabel(labels_of(probabilities)))

    def arrays(self) -> Arrays:
        """Return the arrays to save."""
        return {"place": self.place}


@dataclass(frozen=True, eq=False)
class Split:
    """A cluster that was divided. Its first part keeps the number, the others get the next ones."""

    cluster: int
    parts: Mixture

    @property
    def n_more(self) -> int:
        """Number of clusters that this edit adds."""
        return self.parts.n_clusters - 1

    def relabel(self, labels: Labels, X: Floats, n_clusters: int) -> Labels:
        """Return the new labels of vectors X (n, d) with these labels in ``n_clusters``."""
        part = self.parts.predict_proba(X).argmax(axis=1)
        inside = np.where(part == 0, self.cluster, n_clusters + part - 1)
        return np.where(labels == self.cluster, inside, labels)

    def __call__(self, probabilities: Floats, X: Floats) -> Floats:
        """Return the new probabilities: the parts share that of their cluster."""
        shares = probabilities[:, [self.cluster]] * self.parts.predict_proba(X)  # (n, parts)
        divided = np.hstack([probabilities, shares[:, 1:]])
        divided[:, self.cluster] = shares[:, 0]
        return _favour(divided, self.relabel(labels_of(probabilities), X, probabilities.shape[1]))

    def arrays(self) -> Arrays:
        """Return the arrays to save."""
        return {"cluster": np.array([self.cluster]), **nested({"parts": self.parts.arrays()})}


@dataclass(frozen=True, eq=False)
class Move:
    """Series that were moved, by their vectors (m, d), to clusters ``to`` (m,).

    A new series follows if the nearest of all training series, ``known`` (n, d), was moved.
    """

    vectors: Floats
    to: Labels
    known: Floats

    n_more = 0

    def then(self, vectors: Floats, to: int) -> Move:
        """Return this move and a later one. A series that is in both goes where the later says."""
        stays = ~are_same(self.vectors, vectors)
        places = np.append(self.to[stays], np.full(len(vectors), to))
        return Move(np.vstack([self.vectors[stays], vectors]), places, self.known)

    def target(self, X: Floats) -> Labels:
        """Return where vectors X (n, d) go; -1 if they are not moved."""
        moved, others = self._trees
        distance, nearest = moved.query(X)
        if others is not None:
            follows = distance <= others.query(X)[0] + _SAME
            return np.where(follows, self.to[nearest], -1)
        return self.to[nearest]

    @cached_property
    def _trees(self) -> tuple[Any, Any]:
        """Search trees of the moved series, and of all other training series."""
        from scipy.spatial import cKDTree

        others = self.known[~are_same(self.known, self.vectors)]
        return cKDTree(self.vectors), cKDTree(others) if len(others) else None

    def __call__(self, probabilities: Floats, X: Floats) -> Floats:
        """Return the new probabilities: a series that moves takes the largest one with it."""
        before, target = labels_of(probabilities), self.target(X)
        rows = np.flatnonzero(target >= 0)
        changed, own, new = probabilities.copy(), before[rows], target[rows]
        changed[rows, new] = np.where(own < 0, 1.0, probabilities[rows, own])
        assigned = own >= 0  # the others belonged to no cluster: a row of zeros
        changed[rows[assigned], own[assigned]] = probabilities[rows[assigned], new[assigned]]
        return _favour(changed, np.where(target >= 0, target, before))

    def arrays(self) -> Arrays:
        """Return the arrays to save."""
        return {"vectors": self.vectors, "to": self.to}


Edit = Merge | Split | Move


@dataclass(frozen=True, eq=False)
class Edited:
    """A partition, and what was changed in it since, in this order."""

    found: Partition
    edits: tuple[Edit, ...]

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return self.found.n_clusters + sum(edit.n_more for edit in self.edits)

    def predict_proba(self, X: Floats) -> Floats:
        """Return the probabilities (n, n_clusters) of vectors (n, d); a row of zeros is none."""
        probabilities = self.found.predict_proba(X)
        for edit in self.edits:
            probabilities = edit(probabilities, X)
        return probabilities


def edits_from_arrays(saved: Sequence[Arrays], n_clusters: int, known: Floats) -> tuple[Edit, ...]:
    """Rebuild the edits of a partition of ``n_clusters`` from their arrays.

    Raise a ValueError if they do not fit the clusters, or the vectors ``known`` (n, d).
    """
    edits: list[Edit] = []
    for arrays in saved:
        edit = _edit_from_arrays(arrays, n_clusters, known)
        edits.append(edit)
        n_clusters += edit.n_more
    return tuple(edits)


def _edit_from_arrays(arrays: Arrays, n_clusters: int, known: Floats) -> Edit:
    if "place" in arrays:
        place = arrays["place"]
        is_merge = place.shape == (n_clusters,) and place.dtype == np.int64
        if not is_merge or not np.array_equal(np.unique(place), np.arange(place.max(initial=-1) + 1)):
            raise ValueError("merged clusters do not fit the clusters")
        return Merge(place)
    if "cluster" in arrays:
        parts = partition_from_arrays(subset(arrays, "parts"))
        number, size = arrays["cluster"], known.shape[1]
        is_split = number.shape == (1,) and number.dtype == np.int64 and 0 <= number[0] < n_clusters
        if not is_split or not isinstance(parts, Mixture) or not _fits(parts, size):
            raise ValueError("a split cluster does not fit the clusters")
        return Split(int(number[0]), parts)
    vectors, to = arrays["vectors"], arrays["to"]
    is_move = vectors.shape == (len(to), known.shape[1]) and to.ndim == 1 and len(to) > 0 and to.dtype == np.int64
    if not is_move or vectors.dtype != np.float64 or not ((to >= 0) & (to < n_clusters)).all():
        raise ValueError("moved series do not fit the clusters")
    return Move(vectors, to, known)


def _fits(parts: Mixture, size: int) -> bool:
    """Return whether the parts of a split are at least two, in this number of dimensions."""
    k = len(parts.weights)
    shapes = (parts.weights.shape, parts.means.shape, parts.covariance.shape)
    if k < 2 or shapes != ((k,), (k, size), (size, size)) or not (parts.weights > 0).all():
        return False
    return bool((np.linalg.eigvalsh(parts.covariance) > 0).all())


def are_same(X: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """Return which vectors X (n, d) equal one of the others (m, d), but for rounding."""
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(others).query(X, distance_upper_bound=_SAME)[0] < np.inf)


def groups_of_same(X: Floats) -> Labels:
    """Return groups (n,) of vectors X (n, d) that `are_same`: 1, 2, ..., and 0 for all others.

    All vectors of a group equal each other. Chains of close vectors that are longer are no group.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if len(X) < 2:
        return np.zeros(len(X), np.int64)
    # Many series can be identical, so pairs are those of cells. A cell is smaller than the limit.
    cells = np.unique(np.floor(X * (2 * np.sqrt(X.shape[1]) / _SAME)), axis=0, return_inverse=True)[1].reshape(-1)
    first = np.unique(cells, return_index=True)[1]
    pairs = cKDTree(X[first]).query_pairs(_SAME, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(first), len(first)))
    group = connected_components(links, directed=False)[1][cells]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    extent = np.maximum.reduceat(X[order], starts) - np.minimum.reduceat(X[order], starts)
    is_group = (np.bincount(group) > 1) & (np.linalg.norm(extent, axis=1) <= _SAME)
    return np.where(is_group, np.cumsum(is_group), 0)[group]


def _favour(probabilities: Floats, winners: Labels) -> Floats:
    """Shift probabilities (n, k) so that the winner of each row is the largest, if there is one."""
    rows = np.flatnonzero((winners >= 0) & (probabilities.argmax(axis=1) != winners))
    if len(rows) == 0:
        return probabilities
    won = winners[rows]
    lead = probabilities[rows].max(axis=1) - probabilities[rows, won] + _LEAD
    part = lead / (1 + lead)
    shifted = probabilities.copy()
    shifted[rows] *= (1 - part)[:, None]
    shifted[rows, won] += part
    return shifted
