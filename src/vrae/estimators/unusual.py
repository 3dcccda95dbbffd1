"""How unusual is a series? Four kinds of surprise, each beside what the usual series have of it.

*Course*: what the importance-weighted bound falls short of the best possible, a value. *Stretch*: the
largest mean squared error of a short stretch. *Patterns*: the error of the pattern head. *Place*: the squared
Mahalanobis distance of the latent vector from the majority. Each is taken as a logarithm, in spreads above the median
of the majority, and the mean of the four is the score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Majority", "Surprise", "Yardstick"]

Floats = npt.NDArray[np.float64]

# Rounds in which the majority settles.
_ROUNDS = 20
# Vectors that it is found on.
_SAMPLE = 20_000
_SPOTS = 2_000
# Of normally distributed vectors, so many lie within the limit; latent vectors are not quite that, so it is stretched.
_INSIDE = 0.975
_REACH = 2.0
# Quartiles of a normal distribution are 1.349 standard deviations apart.
_IQR_OF_NORMAL = 1.349
# A logarithm of next to nothing is not a surprise.
_LEAST = 1e-9


@dataclass(frozen=True)
class Surprise:
    """What there is to be surprised by in each series, all at least 0.

    Attributes
    ----------
    Z : ndarray of shape (n, latent)
        Latent vectors.
    course, stretch, patterns : ndarray of shape (n,)
    """

    Z: Floats
    course: Floats
    stretch: Floats
    patterns: Floats

    def take(self, rows: npt.NDArray[Any]) -> Surprise:
        """Return these series' part, in this order."""
        return Surprise(self.Z[rows], self.course[rows], self.stretch[rows], self.patterns[rows])


@dataclass(frozen=True)
class Majority:
    """Centre (latent,) and covariance (latent, latent) of most vectors, whatever the others do."""

    center: Floats
    covariance: Floats

    @classmethod
    def fit(cls, Z: Floats) -> tuple[Majority, float]:
        """Find the half of vectors (n, latent) that lies closest together, then all that belong to it.

        The search begins at the densest spot, the vector whose nearer half of the others is nearest. The half is fitted
        and the distances are taken anew, over and over: the concentration step of Rousseeuw & Van Driessen, "A Fast
        Algorithm for the Minimum Covariance Determinant Estimator", Technometrics 1999. The covariances are those of
        Ledoit & Wolf, which few vectors suffice for.

        Returns
        -------
        majority : Majority
        limit : float
            Largest squared distance of those that belong to it.
        """
        from scipy.stats import chi2

        Z = Z[:: -(-len(Z) // _SAMPLE)]
        half = max(2, -(-len(Z) // 2))
        distance = _from_densest_spot(Z, half)
        for _ in range(_ROUNDS):
            distance = cls._of(Z[np.argsort(distance, kind="stable")[:half]], Z).distance(Z)
        # Half of the vectors make a covariance too small; the median distance says by how much.
        latent = Z.shape[1]
        limit = _REACH * np.median(distance) / chi2.ppf(0.5, latent) * chi2.ppf(_INSIDE, latent)
        chosen = Z[distance <= max(limit, np.median(distance))]
        majority = cls._of(chosen, Z)
        return majority, float(majority.distance(chosen).max())

    @classmethod
    def _of(cls, chosen: Floats, Z: Floats) -> Majority:
        from sklearn.covariance import LedoitWolf

        fitted = LedoitWolf().fit(chosen)
        return cls(fitted.location_, fitted.covariance_ + _floor(Z) * np.eye(Z.shape[1]))

    def distance(self, Z: Floats) -> Floats:
        """Return squared Mahalanobis distances of vectors (n, latent), shape (n,)."""
        away = Z - self.center  # (n, latent)
        return np.einsum("nd,nd->n", away, np.linalg.solve(self.covariance, away.T).T)


def _from_densest_spot(Z: Floats, half: int) -> Floats:
    """Return squared distances (n,) of vectors (n, latent) from the one that has half of them nearest around it."""
    from scipy.spatial.distance import cdist

    stride = -(-len(Z) // _SPOTS)
    among = cdist(Z[::stride], Z[::stride], "sqeuclidean")  # (spots, spots)
    reach = np.partition(among, (half - 1) // stride, axis=1)[:, (half - 1) // stride]
    return ((Z - Z[::stride][reach.argmin()]) ** 2).sum(axis=1)


def _floor(Z: Floats) -> float:
    """Return a variance far below any that matters: vectors that are all alike have none."""
    return float(1e-6 * Z.var(axis=0).mean() + 1e-10)


@dataclass(frozen=True)
class Yardstick:
    """What is usual, and how many spreads above it a series is.

    Attributes
    ----------
    majority : Majority
    level, spread : ndarray of shape (4,)
        Median and spread of the logarithms of course, stretch, patterns and place in the majority.
    weights : ndarray of shape (4,)
        What each of them counts.
    """

    majority: Majority
    level: Floats
    spread: Floats
    weights: Floats

    @classmethod
    def fit(cls, surprise: Surprise, weights: Floats) -> Yardstick:
        """Learn what is usual from series, most of which are."""
        majority, limit = Majority.fit(surprise.Z)
        logs = _logarithms(surprise, majority)  # (n, 4)
        usual = logs[np.exp(logs[:, -1]) <= max(limit, _LEAST) * (1 + 1e-9)]
        low, level, high = np.quantile(usual, (0.25, 0.5, 0.75), axis=0)
        return cls(majority, level, np.maximum((high - low) / _IQR_OF_NORMAL, 1e-3), weights / weights.sum())

    def __call__(self, surprise: Surprise) -> Floats:
        """Return the score of each series, (n,): 0 is the middle of the usual, higher is more unusual."""
        return self.parts(surprise) @ self.weights

    def parts(self, surprise: Surprise) -> Floats:
        """Return how many spreads above the usual each series is in course, stretch, patterns and place, (n, 4)."""
        return (_logarithms(surprise, self.majority) - self.level) / self.spread

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything there is to save."""
        own = {"level": self.level, "spread": self.spread, "weights": self.weights}
        return {**own, "center": self.majority.center, "covariance": self.majority.covariance}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Yardstick:
        """Build the yardstick whose ``arrays()`` these are."""
        majority = Majority(arrays["center"], arrays["covariance"])
        return cls(majority, arrays["level"], arrays["spread"], arrays["weights"])


def _logarithms(surprise: Surprise, majority: Majority) -> Floats:
    place = majority.distance(surprise.Z)
    parts = np.column_stack([surprise.course, surprise.stretch, surprise.patterns, place])  # (n, 4)
    return np.log(np.maximum(parts, _LEAST))
