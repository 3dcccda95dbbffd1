"""Anomaly scores: four features of a series, compared with those of normal series.

*Likelihood*: the importance-weighted bound, relative to a perfect reconstruction. *Window*: the
largest mean squared error of a short window. *Patterns*: the error of the pattern head. *Distance*:
the squared Mahalanobis distance of the latent vector from the normal ones. Each feature is
log-transformed and standardised by its median and spread among normal series. The score is their
weighted mean. Higher scores are more anomalous here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vrae.data.scaling import IQR_OF_NORMAL
from vrae.io.folder import Arrays, shaped

__all__ = ["MIN_SCORES", "ReferenceScores", "RobustCovariance", "quantile_threshold", "tail_threshold"]

Floats = npt.NDArray[np.float64]

# Concentration steps of the robust covariance, and number of vectors that it is fitted to.
_ROUNDS = 20
_SAMPLE = 20_000
_START_SAMPLE = 2_000
# Of normally distributed vectors this fraction is inside the limit. Latent vectors are not quite
# normal, so the limit is widened.
_INSIDE = 0.975
_WIDENING = 2.0
# Features below this do not count as anomalous.
_FLOOR = 1e-9

# Fewest scores from which a tail can be estimated.
MIN_SCORES = 20
# The tail: the largest tenth of the scores, at least this number.
_TAIL = 0.1
_MIN_EXCESSES = 10
# Fitted shapes outside this range are chance: lower ones bound the tail, higher ones have no mean.
_SHAPES = (-0.5, 0.9)


@dataclass(frozen=True)
class RobustCovariance:
    """Robust center (latent,) and covariance (latent, latent) of normal vectors."""

    center: Floats
    covariance: Floats

    @classmethod
    def fit(cls, Z: Floats) -> tuple[RobustCovariance, float]:
        """Find the most concentrated half of vectors (n, latent), then all consistent ones.

        The search starts at the densest vector: the one with the smallest median distance to the
        others. Fitting the nearest half and computing distances is repeated: the concentration step
        of Rousseeuw & Van Driessen, "A Fast Algorithm for the Minimum Covariance Determinant
        Estimator", Technometrics 1999. The covariance estimator is that of Ledoit & Wolf, which
        works for few vectors. The second result is the largest squared distance included.
        """
        from scipy.stats import chi2

        Z = Z[:: -(-len(Z) // _SAMPLE)]
        half = max(2, -(-len(Z) // 2))
        distance = _from_densest(Z, half)
        for _ in range(_ROUNDS):
            distance = cls._estimate(Z[np.argsort(distance, kind="stable")[:half]], Z).distance(Z)
        # Half of the vectors underestimate the covariance. The median distance tells by how much.
        latent = Z.shape[1]
        limit = _WIDENING * np.median(distance) / chi2.ppf(0.5, latent) * chi2.ppf(_INSIDE, latent)
        chosen = Z[distance <= max(limit, np.median(distance))]
        fitted = cls._estimate(chosen, Z)
        return fitted, float(fitted.distance(chosen).max())

    @classmethod
    def _estimate(cls, chosen: Floats, Z: Floats) -> RobustCovariance:
        from sklearn.covariance import LedoitWolf

        fitted = LedoitWolf().fit(chosen)
        floor = float(1e-6 * Z.var(axis=0).mean() + 1e-10)  # identical vectors have no variance
        return cls(fitted.location_, fitted.covariance_ + floor * np.eye(Z.shape[1]))

    def distance(self, Z: Floats) -> Floats:
        """Return squared Mahalanobis distances (n,) of vectors (n, latent)."""
        centred = Z - self.center  # (n, latent)
        return np.einsum("nd,nd->n", centred, np.linalg.solve(self.covariance, centred.T).T)


def _from_densest(Z: Floats, half: int) -> Floats:
    """Return squared distances (n,) from the vector nearest to half of the others."""
    from scipy.spatial.distance import cdist

    stride = -(-len(Z) // _START_SAMPLE)
    between = cdist(Z[::stride], Z[::stride], "sqeuclidean")  # (sample, sample)
    median = np.partition(between, (half - 1) // stride, axis=1)[:, (half - 1) // stride]
    return ((Z - Z[::stride][median.argmin()]) ** 2).sum(axis=1)


@dataclass(frozen=True)
class ReferenceScores:
    """Features of normal series, as a reference for the scores of others.

    Features are likelihood, window and patterns, (n, 3), and the distance of latent vectors.
    """

    latent: RobustCovariance
    level: Floats  # (4,), median of the logarithm of each feature
    spread: Floats  # (4,)
    weights: Floats  # (4,)

    @classmethod
    def fit(cls, Z: Floats, features: Floats, weights: Floats) -> ReferenceScores:
        """Estimate the reference from series of which most are normal."""
        latent, limit = RobustCovariance.fit(Z)
        logs = _logarithms(Z, features, latent)  # (n, 4)
        normal = logs[np.exp(logs[:, -1]) <= max(limit, _FLOOR) * (1 + 1e-9)]
        low, level, high = np.quantile(normal, (0.25, 0.5, 0.75), axis=0)
        return cls(latent, level, np.maximum((high - low) / IQR_OF_NORMAL, 1e-3), weights / weights.sum())

    def __call__(self, Z: Floats, features: Floats) -> Floats:
        """Return the score of each series (n,). 0 is normal; higher is more anomalous."""
        standardised = (_logarithms(Z, features, self.latent) - self.level) / self.spread  # (n, 4)
        return standardised @ self.weights

    def arrays(self) -> Arrays:
        """Return the arrays to save."""
        own = {name: value for name, value in vars(self).items() if name != "latent"}
        return {**own, **vars(self.latent)}

    @classmethod
    def from_arrays(cls, arrays: Arrays, latent_size: int) -> ReferenceScores:
        """Rebuild the reference from its `arrays`. Other shapes raise a ValueError."""
        center = shaped("center", arrays, (latent_size,))
        covariance = shaped("covariance", arrays, (latent_size, latent_size))
        level, spread, weights = (shaped(name, arrays, (4,)) for name in ("level", "spread", "weights"))
        return cls(RobustCovariance(center, covariance), level, spread, weights)


def _logarithms(Z: Floats, features: Floats, latent: RobustCovariance) -> Floats:
    return np.log(np.maximum(np.column_stack([features, latent.distance(Z)]), _FLOOR))  # (n, 4)


# -------------------------------------------------------------------- thresholds


def quantile_threshold(scores: Floats, fraction: float) -> float:
    """Return the score that this fraction of all scores (n,) exceeds."""
    return float(np.quantile(scores, 1 - fraction))


def tail_threshold(scores: Floats, rate: float) -> float:
    """Return the score that normal series exceed with a probability in (0, 1).

    The scores (n,), at least `MIN_SCORES`, belong to series that nothing was fitted to. A
    generalised Pareto distribution is fitted to the excesses over a high score, so the rate may be
    smaller than one divided by the number of scores: Coles, "An Introduction to Statistical
    Modeling of Extreme Values", 2001, section 4.3; for anomalies Siffer et al., "Anomaly Detection
    in Streams with Extreme Value Theory", KDD 2017.
    """
    from scipy.stats import genpareto

    n_tail = min(max(round(_TAIL * len(scores)), _MIN_EXCESSES), len(scores) // 2)
    ordered = np.sort(scores)
    start = ordered[-n_tail - 1]
    excesses = ordered[-n_tail:] - start
    fraction = n_tail / len(scores)
    if rate >= fraction or excesses.mean() <= 1e-12 * max(1.0, abs(start)):
        return quantile_threshold(scores, rate)
    shape, _, scale = genpareto.fit(excesses, floc=0)
    if not _SHAPES[0] <= shape <= _SHAPES[1]:
        shape, _, scale = genpareto.fit(excesses, f0=float(np.clip(shape, *_SHAPES)), floc=0)
    return float(start + genpareto.isf(rate / fraction, shape, scale=scale))
