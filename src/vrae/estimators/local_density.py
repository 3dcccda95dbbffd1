"""How far a series is from its nearest reference series, for the density around these.

Vectors are compared in two spaces. One has all of them as they are. In the other, directions in
which neighbours differ little count as much as those in which they differ a lot: the differences
between neighbours, each of length 1 so that a few outliers cannot set the scale (Tyler, "A
Distribution-Free M-Estimator of Multivariate Scatter", Annals of Statistics 1987), are whitened.

In both, the score of a vector is the logarithm of the distance to its k-th neighbour. Where all
references are normal, half the logarithm of the usual distance around its neighbours is subtracted:
half of what the local outlier factor subtracts (Breunig, Kriegel, Ng & Sander, "LOF", SIGMOD 2000).
Each of the two is standardised, and the larger counts.

What is fitted to vectors describes them better than new ones. So reference vectors are scored by
cross-fitting: the spaces are fitted to four fifths of them, and score the last fifth; with few
references, all of them normal, in up to 20 parts. A vector that is one of the references keeps the
score that it got this way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.batching import Indices
from vrae.data.scaling import IQR_OF_NORMAL
from vrae.io.folder import Arrays, shape_of, shaped

__all__ = ["LocalDensity", "Space", "reference_rows"]

Floats = npt.NDArray[np.float64]

# The neighbour to look at. Anomalies can be alike, and must not vouch for each other: if a fraction
# of the references may be anomalies, the neighbour is twice as far down the list.
_NEIGHBOR = 5
_BEYOND = 2.0

# Principal axes. What a vector has outside them counts with its length alone.
_AXES = 64
# Neighbours whose differences are whitened, and what is added to all eigenvalues of their
# covariance, as a fraction of the mean one.
_DIFFERENCES = 5
_RIDGE = 0.1
# The weight of the density around the neighbours, if these are normal. 1 would be that of the local
# outlier factor. Anomalies that are alike would excuse each other.
_LOCAL = 0.5
# Parts for cross-fitting. Of few normal series, a fifth less changes the space and the density, and
# new series would look more anomalous than these: then up to 20 parts.
_FOLDS, _MOST_FOLDS, _FEW = 5, 20, 6000
# Smaller distances, relative to the usual length of a vector or absolute, are those of rounding.
_SAME = 1e-3
_ROUNDING = 5e-3
_LEAST_SPREAD = 1e-3
# Vectors that are compared at once. Larger tables of distances do not stay in the cache.
_BLOCK = 512
# Arrays that are saved in single precision.
_LARGE = ("center", "axes", "whitening", "vectors", "rest", "around")


@dataclass(frozen=True)
class Space:
    """Coordinates on principal axes, as they are and whitened."""

    center: Floats  # (p,)
    axes: Floats  # (p, d)
    whitening: Floats  # (d, d)
    outside: float  # scale, in the whitened space, of what is outside the axes

    @classmethod
    def fit(cls, X: Floats) -> Space:
        """Fit to vectors (n, p), at least two."""
        center = X.mean(axis=0)
        axes = _principal_axes(X - center)
        whitening, outside = _whitening((X - center) @ axes)
        return cls(center, axes, whitening, outside)

    def __call__(self, X: Floats) -> tuple[Floats, Floats]:
        """Return coordinates (n, d), and the squared length (n,) of what is outside the axes."""
        centred = X - self.center
        along = centred @ self.axes
        return along, np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0.0)

    def distances(self, a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> Floats:
        """Return squared distances (2, n, m) of coordinates: as they are, and whitened.

        What two vectors have outside the axes is taken to be unrelated.
        """
        outside = np.add.outer(a[1], b[1])
        whitened = _squared_distances(a[0] @ self.whitening, b[0] @ self.whitening)
        return np.stack([_squared_distances(a[0], b[0]) + outside, whitened + self.outside * outside])

    def rounded(self) -> Space:
        """Return it with the precision of a model directory."""
        return Space(_f32(self.center), _f32(self.axes), _f32(self.whitening), self.outside)


def _principal_axes(centred: Floats) -> Floats:
    from sklearn.utils.extmath import randomized_svd

    count = min(_AXES, len(centred) - 1, centred.shape[1])
    return randomized_svd(centred, count, n_iter=4, random_state=0)[2].T.astype(np.float64)  # (p, d)


def _whitening(coordinates: Floats) -> tuple[Floats, float]:
    """Return what whitens differences between neighbours (d, d), and the scale outside."""
    n, d = coordinates.shape
    squares = _squared_distances(coordinates, coordinates)
    np.fill_diagonal(squares, np.inf)
    nearest = np.argpartition(squares, min(_DIFFERENCES, n - 1) - 1, axis=1)[:, : min(_DIFFERENCES, n - 1)]
    differences = (coordinates[:, None] - coordinates[nearest]).reshape(-1, d)
    length = np.linalg.norm(differences, axis=1)
    differences /= np.maximum(length, max(1e-3 * float(np.median(length)), 1e-12))[:, None]
    variances, vectors = np.linalg.eigh(differences.T @ differences / len(differences))
    usual = max(float(np.maximum(variances, 0).mean()), 1e-12)
    scales = 1 / (np.maximum(variances, 0) + _RIDGE * usual)
    return (vectors * np.sqrt(scales)) @ vectors.T, 1 / (_RIDGE * usual)


def _squared_distances(a: Floats, b: Floats) -> Floats:
    from sklearn.metrics.pairwise import euclidean_distances

    squares: Floats = euclidean_distances(a, b, squared=True)
    return squares


@dataclass(frozen=True)
class LocalDensity:
    """Reference vectors (m, d) of a space, the density around each, and what scores are usual."""

    space: Space
    vectors: Floats  # (m, d)
    rest: Floats  # (m,), squared lengths outside the axes
    around: Floats  # (2, m), the usual logarithm of a distance around each, in both spaces
    scores: Floats  # (m,), of the references themselves, cross-fitted
    level: Floats  # (3,), medians of both scores and of the larger one
    spread: Floats  # (3,)
    n_neighbors: int
    local: float  # weight of the density

    @classmethod
    def fit(cls, X: npt.NDArray[Any], contamination: float | None) -> LocalDensity:
        """Fit to vectors (m, p), of which a fraction may be anomalies. None: all are normal."""
        X = _f32(X)
        k = max(_NEIGHBOR, math.ceil(min(_BEYOND * (contamination or 0.0), 0.5) * len(X)))
        k, local = max(1, min(k, len(X) - 1)), _LOCAL if contamination is None else 0.0
        n_folds = _FOLDS if contamination is not None else min(max(_FOLDS, _FEW // len(X)), _MOST_FOLDS)
        squares, fewer = _cross_fitted(X, k, n_folds)
        space = Space.fit(X).rounded()
        along, rest = (_f32(part) for part in space(X))
        smallest = _smallest_distance(along, rest)
        nearest = np.partition(squares, fewer - 1, axis=2)[:, :, :fewer]
        around = _f32(_logarithms(nearest, smallest).mean(axis=2))  # (2, m)
        both = _of_squares(squares, around, fewer, local, smallest)
        level, spread = _usual(both)
        larger = _larger(both, level, spread)
        level, spread = (np.append(a, b) for a, b in zip((level, spread), _usual(larger[None]), strict=True))
        return cls(space, along, rest, around, (larger - level[2]) / spread[2], level, spread, k, local)

    def __call__(self, X: npt.NDArray[Any]) -> Floats:
        """Return the score of each vector (n, p). 0 is usual; higher is more anomalous."""
        smallest = _smallest_distance(self.vectors, self.rest)
        blocks = np.array_split(X, max(1, math.ceil(len(X) / _BLOCK)))
        return np.concatenate([self._scores(block, smallest) for block in blocks])

    def _scores(self, X: npt.NDArray[Any], smallest: float) -> Floats:
        along, rest = self.space(_f32(X))
        squares = self.space.distances((along, rest), (self.vectors, self.rest))
        both = _of_squares(squares, self.around, self.n_neighbors, self.local, smallest)
        found = (_larger(both, self.level, self.spread) - self.level[2]) / self.spread[2]
        # To compare a vector with itself, what both have outside the axes is related.
        apart = squares[0] - 2 * np.outer(np.sqrt(rest), np.sqrt(self.rest))
        nearest = apart.argmin(axis=1)
        is_reference = apart[np.arange(len(X)), nearest] <= smallest**2
        return np.where(is_reference, self.scores[nearest], found)

    def arrays(self) -> Arrays:
        """Return the arrays to save."""
        own = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self) if f.name != "space"}
        own |= {f.name: np.asarray(getattr(self.space, f.name)) for f in fields(Space)}
        return {name: array.astype(np.float32) if name in _LARGE else array for name, array in own.items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays, n_statistics: int) -> LocalDensity:
        """Rebuild it from its `arrays`. Other shapes raise a ValueError."""
        d, m, p = shape_of(arrays, "axes")[-1], shape_of(arrays, "vectors")[0], n_statistics
        shapes = {"center": (p,), "axes": (p, d), "whitening": (d, d), "outside": (), "vectors": (m, d), "rest": (m,)}
        shapes |= {"around": (2, m), "scores": (m,), "level": (3,), "spread": (3,), "n_neighbors": (), "local": ()}
        found = {name: shaped(name, arrays, shape).astype(np.float64) for name, shape in shapes.items()}
        space = Space(found["center"], found["axes"], found["whitening"], float(found["outside"]))
        k = int(found["n_neighbors"])
        if not 1 <= k <= m:
            raise ValueError(f"n_neighbors should be between 1 and {m}, and is {k}")
        large = found["vectors"], found["rest"], found["around"]
        return cls(space, *large, found["scores"], found["level"], found["spread"], k, float(found["local"]))


def reference_rows(indices: Indices, most: int) -> Indices:
    """Return which of the series at ``indices`` are references: a random sample of this size."""
    if len(indices) <= most:
        return indices
    return np.sort(np.random.default_rng(0).permutation(indices)[:most])


def _cross_fitted(X: Floats, k: int, n_folds: int) -> tuple[Floats, int]:
    """Return squared distances (2, m, m), infinite within a fold, and the neighbour to look at.

    With a part of the vectors missing, k neighbours are as far as fewer of the rest.
    """
    squares = np.full((2, len(X), len(X)), np.inf)
    smallest_rest = len(X)
    for fold in _folds(len(X), n_folds):
        rest = np.setdiff1d(np.arange(len(X)), fold)
        space = Space.fit(X[rest]) if len(rest) > 1 else Space.fit(X)
        squares[:, fold[:, None], rest[None]] = space.distances(space(X[fold]), space(X[rest]))
        smallest_rest = min(smallest_rest, len(rest))
    return squares, max(1, min(round(k * smallest_rest / (len(X) - 1)), smallest_rest))


def _folds(n: int, n_folds: int) -> Iterator[Indices]:
    order = np.random.default_rng(0).permutation(n)
    yield from (np.sort(fold) for fold in np.array_split(order, min(n_folds, n)))


def _of_squares(squares: Floats, around: Floats, k: int, local: float, smallest: float) -> Floats:
    """Return both scores (2, n) from squared distances (2, n, m)."""
    if not local:
        return _logarithms(np.partition(squares, k - 1, axis=2)[:, :, k - 1], smallest)
    nearest = np.argpartition(squares, k - 1, axis=2)[:, :, :k]  # (2, n, k)
    found = _logarithms(np.take_along_axis(squares, nearest, axis=2).max(axis=2), smallest)
    usual = np.stack([own[near].mean(axis=1) for own, near in zip(around, nearest, strict=True)])
    return found - local * usual


def _logarithms(squares: Floats, smallest: float) -> Floats:
    return 0.5 * np.log(np.maximum(squares, smallest**2))


def _smallest_distance(along: Floats, rest: Floats) -> float:
    """Return the distance below which vectors are the same."""
    return max(_SAME * math.sqrt(float(((along**2).sum(axis=1) + rest).mean())), _ROUNDING)


def _usual(scores: Floats) -> tuple[Floats, Floats]:
    """Return the median and the spread of rows of scores (row, m)."""
    low, level, high = np.quantile(scores, (0.25, 0.5, 0.75), axis=1)
    return level, np.maximum((high - low) / IQR_OF_NORMAL, _LEAST_SPREAD)


def _larger(raw: Floats, level: Floats, spread: Floats) -> Floats:
    return ((raw - level[:2, None]) / spread[:2, None]).max(axis=0)


def _f32(values: npt.NDArray[Any]) -> Floats:
    """Round to what a model directory holds."""
    return values.astype(np.float32).astype(np.float64)
