"""A test for items that move in opposite directions, vectorized over many pairs.

The correlation of two items' innovations, at several lags (Haugh 1976). The test is valid if only
one of the two items is well predicted from its own past. It returns z-scores. Under the null
hypothesis a z-score is standard normal, and it is large if the association is negative. Multiple
testing is not corrected for here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from scipy.stats import t as student

from vrae.data.scaling import IQR_OF_NORMAL
from vrae.estimators.cannibalization.residuals import Residuals, prewhiten

__all__ = ["MovementTest", "null_scale", "z_from_t"]

# Fewest steps at which two items must both be observed.
_MIN_SHARED = 12
# The null distribution is estimated from at least this many z-scores.
_MIN_FOR_NULL = 30
# Number of items that estimate the null distribution of movements.
_NULL_SAMPLE = 300

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MovementTest:
    """Test whether pairs of items move in opposite directions."""

    innovations: Floats  # (n, time), what the past of each item does not predict; see `prewhiten`
    observed: npt.NDArray[np.bool_]  # (n, time)
    local_variance: Floats  # (n, time), mean square of the innovations just before and after
    autocorrelations: Floats  # (n, n_lags), that prewhitening left in the innovations, from lag 1
    loadings: Floats  # (n, n_factors), see `Residuals`
    n_fitted: int  # coefficients of the season that was removed from each item

    @classmethod
    def prepare(cls, residuals: Residuals, n_fitted: int = 0) -> MovementTest:
        """Prewhiten the items of ``residuals``, and compute what every comparison needs."""
        x, observed = prewhiten(residuals), residuals.observed
        time = x.shape[1]
        count = np.maximum(observed.sum(axis=1), 1)
        lags = range(1, max(2, time // 4))
        autocorrelations = [(x[:, lag:] * x[:, : time - lag]).sum(axis=1) / count for lag in lags]
        local_variance = _local_variance(x, observed)
        return cls(x, observed, local_variance, np.stack(autocorrelations, axis=1), residuals.loadings, n_fitted)

    def z_scores(self, items: Ints, others: Ints, lag: int) -> tuple[Floats, Floats]:
        """Return z-scores and correlations (a, b) of items (a,) with others (b,) that lag them.

        The sum of products is divided by the larger of two standard errors: one assumes that the
        variance of an item is constant, the other uses its local variance. Remaining
        autocorrelation in both items widens the standard error (Bartlett). A z-score is -inf if two
        items share fewer than 12 steps.
        """
        time = self.innovations.shape[1]
        early, late = slice(0, time - abs(lag)), slice(abs(lag), time)
        mine, theirs = (early, late) if lag >= 0 else (late, early)
        x, y = self.innovations[items, mine], self.innovations[others, theirs]  # (a, time), (b, time)
        m, k = self.observed[items, mine].astype(np.float64), self.observed[others, theirs].astype(np.float64)
        x2, y2 = x**2, y**2
        local = self.local_variance[items, mine] @ self.local_variance[others, theirs].T
        shared = m @ k.T  # (a, b)
        usable = shared >= _MIN_SHARED
        n = np.maximum(shared, _MIN_SHARED)
        constant = (x2 @ k.T) * (m @ y2.T)
        variance = np.maximum(np.maximum(constant / n, local), 1e-12)
        bartlett = np.maximum(1 + 2 * self.autocorrelations[items] @ self.autocorrelations[others].T, 1)
        products = x @ y.T
        correlations = products / np.sqrt(np.maximum(constant, 1e-12))
        opposition = -products / np.sqrt(n * variance * bartlett)  # in units of a correlation
        if lag == 0:  # removing the factors made the items negatively correlated by this much
            opposition -= np.maximum(self.loadings[items] @ self.loadings[others].T, 0)
        opposition = np.clip(opposition, -1 + 1e-12, 1 - 1e-12)
        df = np.maximum(n - 2 - self.n_fitted, 2)
        t = opposition * np.sqrt(df / (1 - opposition**2))
        return np.where(usable, z_from_t(t, df), -np.inf), correlations

    def null_scale(self, lag: int) -> float:
        """Return `null_scale` of the z-scores at one lag, of all pairs of at most 300 items."""
        n = len(self.innovations)
        items = np.sort(np.random.default_rng(0).permutation(n)[:_NULL_SAMPLE])
        z, _ = self.z_scores(items, items, lag)
        return null_scale(z[np.triu_indices(len(items), 1)])


def null_scale(z: Floats) -> float:
    """Return the standard deviation of an empirical null distribution, at least 1.

    The quartiles give it, so a few true associations hardly matter (Devlin & Roeder 1999).
    """
    known = z[np.isfinite(z)]
    if len(known) < _MIN_FOR_NULL:
        return 1.0
    quartiles = np.quantile(known, (0.25, 0.75))
    return max(1.0, float(quartiles[1] - quartiles[0]) / IQR_OF_NORMAL)


def _local_variance(x: Floats, observed: npt.NDArray[np.bool_]) -> Floats:
    """Return the mean square of the two steps before and the two steps after each step."""
    total, count = np.zeros_like(x), np.zeros_like(x)
    for lag in (1, 2):
        for here, there in ((slice(lag, None), slice(None, -lag)), (slice(None, -lag), slice(lag, None))):
            total[:, here] += x[:, there] ** 2
            count[:, here] += observed[:, there]
    return np.where(observed, np.where(count > 0, total / np.maximum(count, 1), 1), 0)


def z_from_t(t: Floats, df: Floats) -> Floats:
    """Convert t statistics to z-scores with the same tail probability."""
    upper = student.sf(np.abs(t), df)
    return np.sign(t) * norm.isf(np.maximum(upper, 1e-300))
