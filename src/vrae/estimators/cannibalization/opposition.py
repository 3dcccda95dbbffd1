"""Two tests for negative association between items, vectorized over many pairs.

*Movements*: the correlation of two items' innovations, at several lags (Haugh 1976). The test is
valid if only one of the two items is well predicted from its own past.

*Level shifts*: does an item fall (or rise), and stay there, when another is introduced (or
withdrawn)?

Both tests return z-scores. Under the null hypothesis a z-score is standard normal, and it is large
if the association is negative. Multiple testing is not corrected for here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from scipy.stats import t as student

from vrae.estimators.cannibalization.residuals import Residuals, prewhiten

__all__ = ["MovementTest", "level_shift_scores", "recalibrate"]

# Fewest steps at which two items must both be observed.
_MIN_SHARED = 12
# Fewest observed steps on each side of a level shift.
_MIN_SIDE = 4
# The null distribution is estimated from at least this many z-scores.
_MIN_FOR_NULL = 30
# Upper tails by which the null distribution of level shifts is estimated, and fewest z-scores in
# a tail.
_TAILS = (0.25, 0.1, 0.05, 0.02, 0.01)
_MIN_IN_TAIL = 8
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

    @classmethod
    def prepare(cls, residuals: Residuals) -> MovementTest:
        """Prewhiten the items of ``residuals``, and compute what every comparison needs."""
        x, observed = prewhiten(residuals), residuals.observed
        time = x.shape[1]
        count = np.maximum(observed.sum(axis=1), 1)
        lags = range(1, max(2, time // 4))
        autocorrelations = [(x[:, lag:] * x[:, : time - lag]).sum(axis=1) / count for lag in lags]
        local_variance = _local_variance(x, observed)
        return cls(x, observed, local_variance, np.stack(autocorrelations, axis=1), residuals.loadings)

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
        t = opposition * np.sqrt((n - 2) / (1 - opposition**2))
        return np.where(usable, _z_from_t(t, n - 2), -np.inf), correlations

    def null_scale(self, lag: int) -> float:
        """Return `null_scale` of the z-scores at one lag, of all pairs of at most 300 items."""
        n = len(self.innovations)
        items = np.sort(np.random.default_rng(0).permutation(n)[:_NULL_SAMPLE])
        z, _ = self.z_scores(items, items, lag)
        return null_scale(z[np.triu_indices(len(items), 1)])


def level_shift_scores(residuals: Residuals, item: int, step: int, sign: int) -> tuple[Floats, Floats]:
    """Test for every item whether its level falls (1) or rises (-1) when ``item`` comes or goes.

    Each item is regressed on the common factors and a function that steps up at ``step``, between 1
    and ``time - 1``. The variance of the coefficient is the larger of the ordinary one and White's
    (heteroscedastic residuals). It is widened by the first-order autocorrelation of the residuals,
    corrected for its bias in short series (Kendall 1954).

    Returns z-scores (n,), -inf for fewer than 4 observed steps on either side, and the partial
    correlations (n,) with the step function, given the factors.
    """
    scores, loadings = residuals.scores, residuals.loadings
    observed = residuals.observed.astype(np.float64)
    after = np.arange(scores.shape[1]) >= step
    sides = np.minimum(observed[:, after].sum(axis=1), observed[:, ~after].sum(axis=1))
    level = _partial_out(residuals, observed * after)  # (n, time): the step function
    rest = _partial_out(residuals, scores)
    weight = np.maximum((level * after).sum(axis=1), 1e-9)
    change = (rest * after).sum(axis=1) / weight
    errors = rest - change[:, None] * level
    n, n_fitted = observed.sum(axis=1), len(residuals.components) + 2
    inflation = _variance_inflation(errors, n_fitted / np.maximum(n, 1))
    ordinary = (errors**2).sum(axis=1) / np.maximum(n - n_fitted, 1) / weight
    white = (level**2 * errors**2).sum(axis=1) / weight**2 * n / np.maximum(n - n_fitted, 1)
    standard_error = np.sqrt(np.maximum(np.maximum(ordinary, white), 1e-9) * inflation)
    df = np.minimum(n - n_fitted, weight**2 / np.maximum((level**4).sum(axis=1), 1e-12)) / inflation
    # The item that came or went is part of the factors, so they take a little of its own step
    # from the others.
    fraction = step / len(after)
    built_in = np.maximum(loadings @ loadings[item], 0) / np.sqrt(fraction * (1 - fraction))
    t = (-sign * change - built_in) / standard_error
    usable = (sides >= _MIN_SIDE) & (df >= 2)
    correlations = sign * change * np.sqrt(weight / np.maximum((rest**2).sum(axis=1), 1e-9))
    return np.where(usable, _z_from_t(t, np.maximum(df, 2)), -np.inf), correlations


def null_scale(z: Floats) -> float:
    """Return the standard deviation of an empirical null distribution, at least 1.

    The quartiles give it, so a few true associations hardly matter (Devlin & Roeder 1999).
    """
    known = z[np.isfinite(z)]
    if len(known) < _MIN_FOR_NULL:
        return 1.0
    quartiles = np.quantile(known, (0.25, 0.75))
    return max(1.0, float(quartiles[1] - quartiles[0]) / 1.349)


def recalibrate(z: Floats) -> Floats:
    """Standardize the z-scores (n,) of one step by their empirical null distribution.

    If many items fall at the same step, the fall of one of them is weak evidence. The scale is the
    largest of `null_scale` and the estimates from the upper tails.
    """
    known = z[np.isfinite(z)]
    if len(known) < _MIN_FOR_NULL:
        return z
    median = max(0.0, float(np.median(known)))
    tails = [tail for tail in _TAILS if len(known) * tail >= _MIN_IN_TAIL]
    scales = [(float(np.quantile(known, 1 - tail)) - median) / norm.isf(tail) for tail in tails]
    return (z - median) / max([null_scale(known), *scales])


def _partial_out(residuals: Residuals, x: Floats) -> Floats:
    """Return rows (n, time) without their mean and the common factors, where observed.

    The ridge penalty assumes that an item loads on a factor about as much as items do on average,
    so the factors explain no more of a step function than is plausible.
    """
    time = x.shape[1]
    observed = residuals.observed.astype(np.float64)
    design = np.concatenate([np.ones((1, time)), residuals.components * np.sqrt(time)])  # (1 + n_factors, time)
    explained = residuals.explained_variance_ratio
    ridge = np.diag(np.concatenate([[1e-6], max(1 - explained.sum(), 0.1) / explained]))
    grams = np.einsum("nt,qt,rt->nqr", observed, design, design, optimize=True)
    slopes = np.linalg.solve(grams + ridge, ((x * observed) @ design.T)[:, :, None])[:, :, 0]
    return (x - slopes @ design) * observed


def _local_variance(x: Floats, observed: npt.NDArray[np.bool_]) -> Floats:
    """Return the mean square of the two steps before and the two steps after each step."""
    total, count = np.zeros_like(x), np.zeros_like(x)
    for lag in (1, 2):
        for here, there in ((slice(lag, None), slice(None, -lag)), (slice(None, -lag), slice(lag, None))):
            total[:, here] += x[:, there] ** 2
            count[:, here] += observed[:, there]
    return np.where(observed, np.where(count > 0, total / np.maximum(count, 1), 1), 0)


def _variance_inflation(errors: Floats, cost: Floats) -> Floats:
    """Return the factor, at least 1, by which autocorrelation widens the variance of a mean."""
    phi = (errors[:, 1:] * errors[:, :-1]).sum(axis=1) / np.maximum((errors**2).sum(axis=1), 1e-12)
    phi = np.clip(phi + cost * (1 + 3 * phi), 0, 0.95)  # each fitted coefficient biases phi by (1 + 3 phi) / n
    return (1 + phi) / (1 - phi)


def _z_from_t(t: Floats, df: Floats) -> Floats:
    """Convert t statistics to z-scores with the same tail probability."""
    upper = student.sf(np.abs(t), df)
    return np.sign(t) * norm.isf(np.maximum(upper, 1e-300))
