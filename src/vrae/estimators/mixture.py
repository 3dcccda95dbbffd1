"""A Gaussian mixture with one shared ("tied") covariance.

A shared covariance can be estimated from few series. It also makes the result independent of the
scale of the axes: clusters that differ only along an axis of small variance are found as well.
k-means corresponds to a spherical covariance, and finds clusters along axes of large variance.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning

from vrae.exceptions import Silence
from vrae.runtime import one_thread

__all__ = ["N_INIT", "Mixture", "fit_kmeans", "fit_mixture"]

# Restarts. The best of them depends much less on the seed than a single one.
N_INIT = 10

# Restarts run on at most this many vectors.
_START_SAMPLE = 5_000

_MAX_ITERATIONS = 200
_TOLERANCE = 1e-6  # nats per vector

# Shrinkage of the covariance towards a sphere, since few vectors determine it poorly.
_SHRINKAGE = 0.1

_IDENTICAL = Silence(ConvergenceWarning, "number of distinct clusters")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """Weights (k,), means (k, d) and the shared covariance (d, d), in the first d dimensions."""

    weights: Floats
    means: Floats
    covariance: Floats

    @property
    def n_clusters(self) -> int:
        """Number of components."""
        return len(self.means)

    def predict_proba(self, X: Floats) -> Floats:
        """Return the components' responsibilities (n, k) for vectors (n, d or more).

        The quadratic term of a vector is the same for every component, so it cancels.
        """
        X = X[:, : self.means.shape[1]]
        directions = np.linalg.solve(self.covariance, self.means.T)  # (d, k)
        offset = np.log(self.weights) - 0.5 * (self.means.T * directions).sum(axis=0)  # (k,)
        return softmax(X @ directions + offset, axis=1)

    def ordered(self, order: npt.NDArray[np.int64]) -> Mixture:
        """Return these components in this order; those that it leaves out are dropped."""
        weights = self.weights[order]
        return Mixture(weights / weights.sum(), self.means[order], self.covariance)

    def arrays(self) -> dict[str, Floats]:
        """Return the arrays to save."""
        return dict(vars(self))


def fit_mixture(X: Floats, n_clusters: int, seed: int, n_init: int = N_INIT) -> Mixture:
    """Fit mixtures to vectors (n, d) by EM from several k-means starts; return the most likely.

    With many vectors, starts run on a sample, and only the winner continues on all of them.
    """
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(seed)
    few = X if len(X) <= _START_SAMPLE else X[rng.permutation(len(X))[:_START_SAMPLE]]
    with _quiet_single_thread():
        seeds = rng.integers(2**31, size=n_init)
        starts = [KMeans(n_clusters, n_init=1, random_state=int(s)).fit_predict(few) for s in seeds]
        best = _most_likely(few, np.eye(n_clusters)[np.array(starts)])
        return best if few is X else _most_likely(X, best.predict_proba(X)[None])


def fit_kmeans(X: Floats, n_clusters: int, seed: int, n_init: int = N_INIT) -> Mixture:
    """Fit k-means: a mixture with equal weights and a sphere for a covariance."""
    from sklearn.cluster import KMeans

    with _quiet_single_thread():
        model = KMeans(n_clusters, n_init=n_init, random_state=seed).fit(X)
    spread = model.inertia_ / X.size + 1e-9 * max(1.0, float(X.var()))
    return Mixture(np.full(n_clusters, 1 / n_clusters), model.cluster_centers_, spread * np.eye(X.shape[1]))


@contextmanager
def _quiet_single_thread() -> Iterator[None]:
    """Run small fits in one thread, without warnings about identical series."""
    with one_thread(), _IDENTICAL():
        yield


def _most_likely(X: Floats, responsibility: Floats) -> Mixture:
    """Run EM from responsibilities (start, n, k), all starts at once; return the most likely.

    With a shared covariance, the quadratic term of a vector is the same for every component. It
    cancels in the responsibilities, and its mean follows from the second moments. An iteration
    takes two products with the vectors.
    """
    d = X.shape[1]
    total = X.T @ X / len(X)  # (d, d)
    found: list[Floats] = []
    likelihood = np.full(len(responsibility), -np.inf)  # mean of log p(x)
    running = np.arange(len(responsibility))
    for _ in range(_MAX_ITERATIONS):
        weights, means, covariance = now = _from_responsibilities(X, responsibility, total)
        found = found or [np.empty_like(part) for part in now]
        for kept, part in zip(found, now, strict=True):
            kept[running] = part
        precision = np.linalg.inv(covariance)  # (start, d, d)
        directions = precision @ means.swapaxes(1, 2)  # (start, d, k)
        offset = np.log(weights) - 0.5 * (means.swapaxes(1, 2) * directions).sum(axis=1)  # (start, k)
        responsibility = X @ directions + offset[:, None]  # (start, n, k)
        largest = responsibility.max(axis=2, keepdims=True)
        responsibility = np.exp(responsibility - largest)
        joint = responsibility.sum(axis=2, keepdims=True)
        quadratic = (precision * total).sum(axis=(1, 2)) - np.linalg.slogdet(precision)[1] + d * np.log(2 * np.pi)
        before = likelihood[running]
        likelihood[running] = (largest + np.log(joint)).mean(axis=(1, 2)) - 0.5 * quadratic
        rising = likelihood[running] - before >= _TOLERANCE
        if not rising.any():
            break
        running, responsibility = running[rising], (responsibility / joint)[rising]
    return Mixture(*(part[int(likelihood.argmax())] for part in found))


def _from_responsibilities(X: Floats, responsibility: Floats, total: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the most likely weights, means and covariance of every start."""
    size = responsibility.sum(axis=1) + 1e-10  # (start, k)
    weights = size / size.sum(axis=1, keepdims=True)
    means = responsibility.swapaxes(1, 2) @ X / size[:, :, None]  # (start, k, d)
    covariance = total - (means * weights[:, :, None]).swapaxes(1, 2) @ means  # (start, d, d)
    d = X.shape[1]
    sphere = np.trace(covariance, axis1=1, axis2=2)[:, None, None] / d * np.eye(d)
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * sphere
    floor = max(1e-6 * np.trace(total) / d, 1e-10)  # identical vectors have no spread
    return weights, means, covariance + floor * np.eye(d)
