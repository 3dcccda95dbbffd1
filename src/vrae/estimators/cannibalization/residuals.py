"""Residuals: what each item does that other items do not, the input of the tests in `opposition`.

Arrays have one row per item and one column per time step. NaN marks a missing value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel

__all__ = [
    "CommonFactors",
    "Residuals",
    "align",
    "is_signed",
    "presence",
    "prewhiten",
    "score_scale",
    "seasonal_waves",
    "stable_scores",
]

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
# An item counts as absent if this is the probability, or less, of that many zeros in a row.
_MAX_CHANCE_OF_ZEROS = 1e-3
# Highest order of the autoregression that prewhitening removes.
_MAX_ORDER = 4
# An item with at most this fraction of negative values is sales with returns, which count as 0.
_MAX_RETURNS = 0.1
# Largest score of a value, in standard deviations: a single order cannot make an association.
_MAX_SCORE = 4.0
# Steps for each coefficient of a season, at least: two years of weeks give 12 coefficients.
_STEPS_PER_COEFFICIENT = 8

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def align(panel: Panel) -> tuple[Floats, npt.NDArray[Any] | None]:
    """Put the series of one channel on one time axis, by their time stamps or at their starts.

    Returns the values (n, time), and the time stamp of each step that was observed, if the panel
    has time stamps.
    """
    if panel.times is None:
        return panel.to_padded()[:, 0].astype(np.float64), None
    if panel.calendar is None or panel.calendar.freq is None:
        column = np.unique(panel.times, return_inverse=True)[1]
    else:
        column = panel.calendar.cells(panel.times)
        column = column - column.min()
    X = np.full((len(panel), int(column.max()) + 1), np.nan)
    X[np.repeat(np.arange(len(panel)), panel.lengths), column] = panel.values[:, 0]
    stamps = np.full(X.shape[1], panel.times[0])
    stamps[column] = panel.times
    return X, stamps


def is_signed(X: Floats) -> Mask:
    """Say of each item (n,) whether its values have both signs by nature.

    A few negative values among sales or counts are returns and corrections.
    """
    return (X < 0).sum(axis=1) > _MAX_RETURNS * np.maximum((~np.isnan(X)).sum(axis=1), 1)


def presence(X: Floats) -> tuple[Ints, Ints]:
    """Find the steps (n,) at which items are introduced and withdrawn.

    Item ``i`` is present in ``X[i, begin[i] : end[i]]``, from 0 unless it was introduced, and to
    the end unless it was withdrawn. A step without an observation counts as absent. Zeros of sales
    and counts count as absent too, provided that the run of zeros at the start or end is longer
    than the zeros in between make likely.
    """
    time = X.shape[1]
    there = ~np.isnan(X) & ((X != 0) | is_signed(X)[:, None])
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
    """Leading principal components of standardized items: what many items have in common."""

    components: Floats  # (n_factors, time), orthonormal rows
    singular_values: Floats  # (n_factors,)
    explained_variance_ratio: Floats  # (n_factors,), fraction of the items' variance

    @classmethod
    def estimate(cls, Z: Floats) -> CommonFactors:
        """Estimate at most 8 common factors of `stable_scores`, and none for fewer than 6 items.

        A factor is kept if it is larger than chance makes it, even without the five items that
        load most on it. Chance is estimated by parallel analysis (Horn 1965): every item is
        shifted circularly by a random number of steps, which preserves its autocorrelation.
        """
        rng = np.random.default_rng(0)
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

    Removing a factor removes a little of one item from the other, so the residuals of two unrelated
    items have a correlation of minus the product of their loadings.
    """

    values: Floats  # (n, time), mean 0 and variance 1 for each item; 0 where missing
    observed: Mask  # (n, time)
    scores: Floats  # (n, time), `stable_scores` before the factors were removed
    components: Floats  # (n_factors, time)
    explained_variance_ratio: Floats  # (n_factors,)
    loadings: Floats  # (n, n_factors), contribution of each item to each factor

    @classmethod
    def estimate(
        cls,
        X: Floats,
        season: int | None = None,
        common: CommonFactors | None = None,
        reference: Mask | slice = slice(None),
    ) -> Residuals:
        """Remove from items (n, time) the ``common`` factors of a larger set, and then their own.

        The latter are estimated from the ``reference`` items (n,). Leave out items that are
        introduced or withdrawn: each would make a factor of its own.
        """
        scores, observed = stable_scores(X, season), ~np.isnan(X)
        values, factors, loadings = scores, [], []
        for given in [None] if common is None else [common, None]:
            known = given or CommonFactors.estimate(values[reference])
            values, part = _regress_out(values, observed, known)
            factors.append(known)
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


def stable_scores(X: Floats, season: int | None = None) -> Floats:
    """Standardize the square roots of sales and counts, or the values of items with both signs.

    The square root makes the noise of small and large counts alike. The scores of an item have
    mean 0 and variance 1, are at most 4 in size before their season is removed, and are 0 where
    the value is missing.
    """
    observed = ~np.isnan(X)
    scores = _standardize(np.clip(_standardize(_roots(X), observed), -_MAX_SCORE, _MAX_SCORE), observed)
    return scores if season is None else _standardize(_remove_season(scores, observed, season), observed)


def score_scale(X: Floats) -> Floats:
    """Return the standard deviation (n,) of the square roots, by which scores are divided."""
    observed = ~np.isnan(X)
    roots = np.where(observed, _roots(X), 0)
    count = np.maximum(observed.sum(axis=1), 1)
    mean = roots.sum(axis=1) / count
    return np.sqrt(np.maximum((roots**2).sum(axis=1) / count - mean**2, 1e-18))


def seasonal_waves(time: int, season: int) -> Floats:
    """Return sines and cosines (n_waves, time) that describe a season of so many steps.

    There is at most one for every eight steps. Two years of weeks do not support a mean for each
    of 52 weeks: one year minus such means is the other year with the opposite sign.
    """
    n_harmonics = max(1, min(season // 2, time // (2 * _STEPS_PER_COEFFICIENT)))
    angles = 2 * np.pi * np.arange(1, n_harmonics + 1)[:, None] * np.arange(time) / season
    waves = np.concatenate([np.cos(angles), np.sin(angles)])
    return waves[(waves**2).sum(axis=1) > 1e-6 * time]


def prewhiten(residuals: Residuals) -> Floats:
    """Remove from each item what its own past predicts; see `Residuals.values` for the result.

    The prediction is an autoregression of order 4 at most, chosen by BIC.
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


def _regress_out(Z: Floats, observed: Mask, factors: CommonFactors) -> tuple[Floats, Floats]:
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


def _roots(X: Floats) -> Floats:
    return np.where(is_signed(X)[:, None], X, np.sqrt(np.maximum(X, 0)))


def _remove_season(Z: Floats, observed: Mask, season: int) -> Floats:
    """Subtract the least-squares fit of the season from scores (n, time)."""
    waves = seasonal_waves(Z.shape[1], season)
    grams = np.einsum("nt,qt,rt->nqr", observed.astype(np.float64), waves, waves, optimize=True)
    slopes = np.linalg.solve(grams + 1e-3 * np.eye(len(waves)), (Z @ waves.T)[:, :, None])[:, :, 0]
    return np.where(observed, Z - slopes @ waves, 0)


def _standardize(X: Floats, observed: Mask) -> Floats:
    """Scale rows to mean 0 and variance 1. Missing values and constant rows become 0."""
    count = np.maximum(observed.sum(axis=1, keepdims=True), 1)
    Z = np.where(observed, X, 0)
    Z = np.where(observed, Z - Z.sum(axis=1, keepdims=True) / count, 0)
    spread = np.sqrt((Z**2).sum(axis=1, keepdims=True) / count)
    return np.where(spread > 1e-9, Z / np.maximum(spread, 1e-9), 0)
