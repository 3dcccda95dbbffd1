"""Residuals: what each item does that other items do not, the input of the tests in `opposition`.

Arrays have one row per item and one column per time step. NaN marks a missing value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata

from vrae.data.panel import Panel

__all__ = ["CommonFactors", "Residuals", "align", "normal_scores", "presence", "prewhiten"]

# A common factor is shared by at least this many items. One that two or three items share would
# be the association between them, which is what the tests look for.
_MIN_SHARERS = 6
_MAX_FACTORS = 8
# Largest number of items from which factors are estimated, and number of random shifts that
# estimate what chance produces.
_FACTOR_SAMPLE = 2_000
_N_SHIFTS = 10
# Fewest steps before an introduction and after a withdrawal.
_MIN_ABSENT = 4
# An item counts as absent if this is the probability, or less, of so many zeros in a row.
_MAX_CHANCE_OF_ZEROS = 1e-3
# Highest order of the autoregression that prewhitening removes.
_MAX_ORDER = 4

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ALL = slice(None)


def align(panel: Panel) -> Floats:
    """Put the series of a univariate panel on one time axis.

    Parameters
    ----------
    panel : Panel
        One channel. Series are aligned by their time stamps. Series without time stamps all start
        at the first step.

    Returns
    -------
    ndarray of shape (n, time)
    """
    if panel.times is None:
        return panel.to_padded()[:, 0].astype(np.float64)
    grid, column = np.unique(panel.times, return_inverse=True)
    X = np.full((len(panel), len(grid)), np.nan)
    X[np.repeat(np.arange(len(panel)), panel.lengths), column] = panel.values[:, 0]
    return X


def presence(X: Floats) -> tuple[Ints, Ints]:
    """Find the steps at which items are introduced and withdrawn.

    A step without an observation counts as absent. If no value is negative (sales, counts), zeros
    count as absent too, provided that the run of zeros at the start or end is longer than the
    zeros in between make likely.

    Parameters
    ----------
    X : ndarray of shape (n, time)

    Returns
    -------
    begin, end : ndarray of int64, shape (n,)
        Item ``i`` is present in ``X[i, begin[i] : end[i]]``. ``begin`` is 0 unless the item was
        introduced, ``end`` is ``time`` unless it was withdrawn.
    """
    time = X.shape[1]
    there = ~np.isnan(X)
    if not (X < 0).any():
        there &= X != 0
    some = there.any(axis=1)
    first = np.where(some, there.argmax(axis=1), 0)
    end = np.where(some, time - there[:, ::-1].argmax(axis=1), time)
    span = np.maximum(end - first, 1)
    # Proportion of zeros between the first sale and the last. Half a zero is added: an item
    # without any zero so far can still have one.
    zeros = (span - there.sum(axis=1) + 0.5) / (span + 1)
    long_enough = np.maximum(np.log(_MAX_CHANCE_OF_ZEROS) / np.log(zeros), _MIN_ABSENT)
    lasting = span >= 2 * _MIN_ABSENT
    introduced = lasting & (first >= long_enough)
    withdrawn = lasting & (time - end >= long_enough)
    return np.where(introduced, first, 0), np.where(withdrawn, end, time)


@dataclass(frozen=True)
class CommonFactors:
    """Leading principal components of standardized items: what many items have in common.

    Attributes
    ----------
    components : ndarray of shape (n_factors, time)
        Orthonormal rows, one per factor.
    singular_values : ndarray of shape (n_factors,)
    explained_variance_ratio : ndarray of shape (n_factors,)
        Fraction of the items' variance that each factor explains.
    """

    components: Floats
    singular_values: Floats
    explained_variance_ratio: Floats

    @classmethod
    def estimate(cls, Z: Floats, seed: int = 0) -> CommonFactors:
        """Estimate the common factors of items.

        A factor is kept if it is larger than chance makes it, even without the five items that
        load most on it. Chance is estimated by parallel analysis (Horn 1965): every item is
        shifted circularly by a random number of steps, which preserves its autocorrelation.

        Parameters
        ----------
        Z : ndarray of shape (n, time)
            Standardized items, see `normal_scores`. If there are more than 2,000, 2,000 are
            sampled.
        seed : int, default=0

        Returns
        -------
        CommonFactors
            At most 8 factors, and none for fewer than 6 items.
        """
        rng = np.random.default_rng(seed)
        Z = Z[np.sort(rng.permutation(len(Z))[:_FACTOR_SAMPLE])]
        n, time = Z.shape
        if n < _MIN_SHARERS:
            return cls(np.empty((0, time)), np.empty(0), np.empty(0))
        by_chance = max(_largest_singular_value(_shift_randomly(Z, rng)) for _ in range(_N_SHIFTS))
        loadings, sizes, components = np.linalg.svd(Z, full_matrices=False)
        shared = np.sqrt(np.sort(loadings**2, axis=0)[: 1 - _MIN_SHARERS].sum(axis=0)) * sizes
        kept = (shared > by_chance) & (np.arange(len(sizes)) < _MAX_FACTORS)
        return cls(components[kept], sizes[kept], sizes[kept] ** 2 / (n * time))


@dataclass(frozen=True)
class Residuals:
    """Items without their common factors.

    Attributes
    ----------
    values : ndarray of shape (n, time)
        Residuals of the normal scores, with mean 0 and variance 1 for each item. 0 where the value
        is missing.
    observed : ndarray of bool, shape (n, time)
    scores : ndarray of shape (n, time)
        The items as normal scores, before the factors were removed; see `normal_scores`.
    components : ndarray of shape (n_factors, time)
    explained_variance_ratio : ndarray of shape (n_factors,)
        See `CommonFactors`.
    loadings : ndarray of shape (n, n_factors)
        Contribution of each item to each factor. Removing a factor removes a little of one item
        from the other, so the residuals of two unrelated items have a correlation of minus the
        product of their loadings.
    """

    values: Floats
    observed: npt.NDArray[np.bool_]
    scores: Floats
    components: Floats
    explained_variance_ratio: Floats
    loadings: Floats

    @classmethod
    def estimate(
        cls,
        X: Floats,
        season: int | None = None,
        common: CommonFactors | None = None,
        reference: npt.NDArray[np.bool_] | slice = _ALL,
    ) -> Residuals:
        """Remove the common factors from items.

        Parameters
        ----------
        X : ndarray of shape (n, time)
        season : int, optional
            Length of the season in steps; see `normal_scores`.
        common : CommonFactors, optional
            Factors of a larger set of items. They are removed first.
        reference : ndarray of bool, shape (n,), optional
            Items from which the other factors are estimated, by default all. Leave out items that
            are introduced or withdrawn: each would make a factor of its own.

        Returns
        -------
        Residuals
        """
        scores, observed = normal_scores(X, season), ~np.isnan(X)
        factors = [] if common is None else [common]
        values, loadings = scores, []
        for last in range(len(factors) + 1):
            known = CommonFactors.estimate(values[reference]) if last == len(factors) else factors[last]
            values, part = _regress_out(values, observed, known)
            factors[last:] = [known]
            loadings.append(part)
            spread = np.sqrt((values**2).sum(axis=1) / np.maximum(observed.sum(axis=1), 1))
            values = _standardize(values, observed)
        return cls(
            values,
            observed,
            scores,
            components=np.concatenate([known.components for known in factors]),
            explained_variance_ratio=np.concatenate([known.explained_variance_ratio for known in factors]),
            loadings=np.concatenate(loadings, axis=1) / np.maximum(spread, 1e-2)[:, None],
        )


def normal_scores(X: Floats, season: int | None = None) -> Floats:
    """Replace the values of each item by normal quantiles of their ranks (van der Waerden).

    The scores of an item have mean 0 and variance 1, whatever its level, spread and distribution.

    Parameters
    ----------
    X : ndarray of shape (n, time)
    season : int, optional
        Length of the season in steps. The mean of each phase of the season is removed.

    Returns
    -------
    ndarray of shape (n, time)
        0 where the value is missing.
    """
    observed = ~np.isnan(X)
    ranks = rankdata(X, axis=1, nan_policy="omit")
    scores = ndtri(ranks / (observed.sum(axis=1, keepdims=True) + 1))
    return _standardize(scores if season is None else _remove_season(scores, season), observed)


def prewhiten(residuals: Residuals) -> Floats:
    """Remove from each item what its own past predicts.

    The prediction is an autoregression of order 4 at most, chosen by BIC.

    Parameters
    ----------
    residuals : Residuals

    Returns
    -------
    ndarray of shape (n, time)
        Innovations, with mean 0 and variance 1 for each item. 0 where the value is missing.
    """
    x, observed = residuals.values, residuals.observed
    count = np.maximum(observed.sum(axis=1), 2)
    highest = min(_MAX_ORDER, x.shape[1] // 8)
    gamma = np.stack([(x[:, lag:] * x[:, : x.shape[1] - lag]).sum(axis=1) / count for lag in range(highest + 1)])
    gamma[0] = np.maximum(gamma[0], 1e-12)
    error, phi = gamma[0].copy(), np.zeros((highest, len(x)))
    best, chosen = count * np.log(error), phi
    for order in range(1, highest + 1):  # Levinson-Durbin recursion, vectorized over items
        ahead = gamma[order] - (phi[: order - 1] * gamma[order - 1 : 0 : -1]).sum(axis=0)
        kappa = np.clip(ahead / error, -0.99, 0.99)
        phi = phi.copy()
        phi[: order - 1] -= kappa * phi[: order - 1][::-1].copy()
        phi[order - 1] = kappa
        error = error * (1 - kappa**2)
        criterion = count * np.log(error) + order * np.log(count)
        chosen = np.where(criterion < best, phi, chosen)
        best = np.minimum(criterion, best)
    predicted = np.zeros_like(x)
    for lag in range(1, highest + 1):
        predicted[:, lag:] += chosen[lag - 1][:, None] * x[:, :-lag]
    return _standardize(x - predicted, observed)


def _regress_out(Z: Floats, observed: npt.NDArray[np.bool_], factors: CommonFactors) -> tuple[Floats, Floats]:
    """Return the residuals of items (n, time) and their loadings (n, n_factors)."""
    components = factors.components
    projections = Z @ components.T  # (n, n_factors)
    grams = np.einsum("nt,qt,rt->nqr", observed.astype(np.float64), components, components, optimize=True)
    slopes = np.linalg.solve(grams + 1e-3 * np.eye(len(components)), projections[:, :, None])[:, :, 0]
    values = np.where(observed, Z - slopes @ components, 0)
    return values, projections / np.maximum(factors.singular_values, 1e-12)


def _shift_randomly(Z: Floats, rng: np.random.Generator) -> Floats:
    """Shift each row circularly by a random number of steps."""
    columns = (np.arange(Z.shape[1]) + rng.integers(Z.shape[1], size=len(Z))[:, None]) % Z.shape[1]
    return np.take_along_axis(Z, columns, axis=1)


def _largest_singular_value(Z: Floats) -> float:
    gram = Z @ Z.T if len(Z) < Z.shape[1] else Z.T @ Z
    return float(np.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0)))


def _remove_season(X: Floats, season: int) -> Floats:
    """Subtract the mean of each phase of the season that was observed at least twice."""
    X = X.copy()
    for phase in range(season):
        same = X[:, phase::season]  # a view
        known = ~np.isnan(same)
        count = known.sum(axis=1, keepdims=True)
        same -= np.where(count >= 2, np.where(known, same, 0).sum(axis=1, keepdims=True) / np.maximum(count, 1), 0)
    return X


def _standardize(X: Floats, observed: npt.NDArray[np.bool_]) -> Floats:
    """Scale rows to mean 0 and variance 1. Missing values and constant rows become 0."""
    count = np.maximum(observed.sum(axis=1, keepdims=True), 1)
    Z = np.where(observed, X, 0)
    Z = np.where(observed, Z - Z.sum(axis=1, keepdims=True) / count, 0)
    spread = np.sqrt((Z**2).sum(axis=1, keepdims=True) / count)
    return np.where(spread > 1e-9, Z / np.maximum(spread, 1e-9), 0)
