"""A mixture of normal distributions with one covariance for all components.

One shared ("tied") covariance makes groups of the same shape and orientation, which EM can find from few
series, and it makes the result indifferent to how the axes are stretched: groups that are far apart only along
an axis of little variance are found as well. k-means, with a sphere for a covariance, finds those of large variance.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

__all__ = ["Mixture", "fit_kmeans", "fit_mixture"]

# Restarts: the best of them is far less a matter of the seed than one alone.
_N_INIT = 10

_MAX_ITERATIONS = 200
_TOLERANCE = 1e-6  # nats a vector

# The covariance is moved this far towards a sphere of the same size: with few vectors it is uncertain.
_SHRINKAGE = 0.1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """Weights (k,), means (k, d) and the one covariance (d, d)."""

    weights: Floats
    means: Floats
    covariance: Floats

    @property
    def n_clusters(self) -> int:
        """Number of components."""
        return len(self.means)

    def log_joint(self, X: Floats) -> Floats:
        """Return log(weight * density) of vectors (n, d) under every component, (n, k)."""
        chol = np.linalg.cholesky(self.covariance)
        a = solve_triangular(chol, X.T, lower=True)  # (d, n)
        b = solve_triangular(chol, self.means.T, lower=True)  # (d, k)
        squares = (a**2).sum(axis=0)[:, None] - 2 * a.T @ b + (b**2).sum(axis=0)  # (n, k)
        log_det = 2 * np.log(np.diag(chol)).sum()
        constant = X.shape[1] * np.log(2 * np.pi) + log_det
        return np.log(self.weights) - 0.5 * (squares + constant)

    def predict_proba(self, X: Floats) -> Floats:
        """Return the components' responsibilities, (n, k)."""
        return softmax(self.log_joint(X), axis=1)

    def ordered(self, order: npt.NDArray[np.int64]) -> Mixture:
        """Return the same components in another order."""
        return Mixture(self.weights[order], self.means[order], self.covariance)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return weights, means and covariance."""
        return {"weights": self.weights, "means": self.means, "covariance": self.covariance}


def fit_mixture(X: Floats, n_clusters: int, seed: int, n_init: int = _N_INIT) -> Mixture:
    """Fit a mixture by expectation-maximisation from k-means starts; the likeliest one wins.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    n_clusters : int
    seed : int
    n_init : int
        Starts.
    """
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(seed)
    best: tuple[float, Mixture] | None = None
    with _quiet_and_alone():
        for _ in range(n_init):
            start = KMeans(n_clusters, n_init=1, random_state=int(rng.integers(2**31))).fit_predict(X)
            likelihood, mixture = _maximise(X, np.eye(n_clusters)[start])
            if best is None or likelihood > best[0]:
                best = likelihood, mixture
    assert best is not None
    return best[1]


def fit_kmeans(X: Floats, n_clusters: int, seed: int) -> Mixture:
    """Fit k-means: a mixture with equal weights and a sphere for a covariance."""
    from sklearn.cluster import KMeans

    with _quiet_and_alone():
        model = KMeans(n_clusters, n_init=_N_INIT, random_state=seed).fit(X)
    spread = model.inertia_ / X.size + 1e-9 * max(1.0, float(X.var()))
    return Mixture(np.full(n_clusters, 1 / n_clusters), model.cluster_centers_, spread * np.eye(X.shape[1]))


@contextmanager
def _quiet_and_alone() -> Iterator[None]:
    """Run small fits in one thread, and without a word on series that are all alike."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _maximise(X: Floats, responsibility: Floats) -> tuple[float, Mixture]:
    """Run EM from responsibilities (n, k); return mean log-likelihood and mixture.

    With one covariance for all, what is quadratic in a vector is the same under every component. It is left out of the
    responsibilities, and its mean is known from the second moments: a round takes two products with the vectors.
    """
    d = X.shape[1]
    total = X.T @ X / len(X)  # (d, d)
    before = -np.inf
    for _ in range(_MAX_ITERATIONS):
        mixture = _from_responsibilities(X, responsibility, total)
        precision = np.linalg.inv(mixture.covariance)  # (d, d)
        directions = precision @ mixture.means.T  # (d, k)
        responsibility = X @ directions + (np.log(mixture.weights) - 0.5 * (mixture.means.T * directions).sum(axis=0))
        largest = responsibility.max(axis=1, keepdims=True)
        responsibility = np.exp(responsibility - largest)
        joint = responsibility.sum(axis=1, keepdims=True)
        quadratic = (precision * total).sum() - np.linalg.slogdet(precision)[1] + d * np.log(2 * np.pi)
        likelihood = float((largest + np.log(joint)).mean() - 0.5 * quadratic)
        responsibility /= joint
        if likelihood - before < _TOLERANCE:
            break
        before = likelihood
    return likelihood, mixture


def _from_responsibilities(X: Floats, responsibility: Floats, total: Floats) -> Mixture:
    size = responsibility.sum(axis=0) + 1e-10  # (k,)
    weights = size / size.sum()
    means = responsibility.T @ X / size[:, None]  # (k, d)
    covariance = total - (means.T * weights) @ means
    d = X.shape[1]
    sphere = np.trace(covariance) / d * np.eye(d)
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * sphere
    floor = max(1e-6 * np.trace(total) / d, 1e-10)  # vectors that are all alike have no spread at all
    return Mixture(weights, means, covariance + floor * np.eye(d))
