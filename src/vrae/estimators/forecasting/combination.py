"""Weights of several forecasts by backtest, and how far off their combination usually is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.windows import AGES, Floats, age_class, observed_mean

__all__ = ["Combination"]

# Weights of all are drawn towards equal ones as if by so many forecast steps, a group's towards those of all.
_EQUAL = 10.0
_EVERYONE = 1000.0
# Probabilities at which the distribution of errors is kept.
_GRID = np.linspace(0.005, 0.995, 199)


@dataclass(frozen=True)
class Combination:
    """How forecasts are combined, and with which errors.

    Attributes
    ----------
    new_until : int
        Items with no more observed steps are new: for them other forecasts can be trusted.
    weights : ndarray, shape (2, n_groups, n_members)
        For items that are new, and for all others; not negative, sum 1.
    age_factor : ndarray, shape (7,)
        Size of the errors of items of at least 1, 2, 3, 5, 9, 17, 33 observed steps, beside the usual one.
    quantiles : ndarray, shape (n_groups, horizon, 199)
        Of the scaled errors over the age factor, at .005, .01, ..., .995.
    """

    new_until: int
    weights: Floats
    age_factor: Floats
    quantiles: Floats

    @classmethod
    def fit(
        cls, members: Floats, future: Floats, membership: Floats, age: npt.NDArray[np.int64], new_until: int
    ) -> Self:
        """Learn from backtests.

        Parameters
        ----------
        members : ndarray, shape (n_members, n, horizon)
            Scaled forecasts.
        future : ndarray, shape (n, horizon)
            What came, scaled; NaN where not known.
        membership : ndarray, shape (n, n_groups)
        age : ndarray of int64, shape (n,)
            Observed steps.
        new_until : int
        """
        n_members, n_groups = len(members), membership.shape[1]
        equal = np.full(n_members, 1 / n_members)
        # What counts is how far off an item usually is, not how far off the worst ones are squared.
        off = np.sqrt(np.nan_to_num(observed_mean((members.mean(axis=0) - future) ** 2)))
        even = 1 / (off + max(float(np.median(off)), 1e-6))
        weights = np.empty((2, n_groups, n_members))
        for grown in (0, 1):
            rows = (age > new_until) == bool(grown)
            prior = equal if grown else np.eye(n_members)[0]
            everyone = _weights(members[:, rows], future[rows], even[rows], prior, _EQUAL)
            for group in range(n_groups):
                weights[grown, group] = _weights(
                    members[:, rows], future[rows], even[rows] * membership[rows, group], everyone, _EVERYONE
                )
        unfinished = cls(new_until, weights, np.ones(len(AGES)), np.zeros((n_groups, future.shape[1], len(_GRID))))
        errors = future - unfinished.predict(members, membership, age)
        factor = _age_factor(errors, age, new_until)
        old = age > new_until  # new ones are the same items again, cut short
        errors = (errors / factor[age_class(age)][:, None])[old if old.any() else slice(None)]
        membership = membership[old if old.any() else slice(None)]
        return cls(new_until, weights, factor, _error_quantiles(errors, membership))

    def predict(self, members: Floats, membership: Floats, age: npt.NDArray[np.int64]) -> Floats:
        """Return combined scaled forecasts (n, horizon) of members (n_members, n, horizon)."""
        weights = np.where((age > self.new_until)[:, None], membership @ self.weights[1], membership @ self.weights[0])
        return np.asarray(np.einsum("nm,mnh->nh", weights, members))

    def error(self, probability: float, membership: Floats, age: npt.NDArray[np.int64]) -> Floats:
        """Return the scaled error (n, horizon) that is not exceeded with this probability."""
        at = float(np.clip(np.interp(probability, _GRID, np.arange(len(_GRID))), 0, len(_GRID) - 1))
        low, high = int(np.floor(at)), int(np.ceil(at))
        quantile = self.quantiles[..., low] + (at - low) * (self.quantiles[..., high] - self.quantiles[..., low])
        return np.asarray(membership @ quantile) * self.age_factor[age_class(age)][:, None]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything there is to save."""
        return {
            "new_until": np.array([self.new_until]),
            "weights": self.weights,
            "age_factor": self.age_factor,
            "quantiles": self.quantiles,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Build the combination whose `arrays` these are."""
        return cls(**{**arrays, "new_until": int(arrays["new_until"][0])})  # type: ignore[arg-type]


def _weights(members: Floats, future: Floats, row_weight: Floats, prior: Floats, strength: float) -> Floats:
    """Least squares with weights that are not negative and sum to 1, drawn towards ``prior``."""
    from scipy.optimize import nnls

    known = ~np.isnan(future)
    root = np.sqrt(np.broadcast_to(row_weight[:, None], future.shape)[known])
    x = members[:, known] * root  # (n_members, m)
    y = future[known] * root
    typical = max(float((row_weight[:, None] * np.nan_to_num(future) ** 2).sum()) / max(row_weight.sum(), 1e-9), 1e-9)
    pull = np.sqrt(strength * typical * float(row_weight.mean()) if len(row_weight) else 1.0)
    certain = 1e3 * np.sqrt(float((x**2).sum()) + pull**2 + 1.0)
    # The sum of squares needs x only by its products: a small problem, whatever the number of items.
    gram = x @ x.T + pull**2 * np.eye(len(prior)) + certain**2
    moment = x @ y + pull**2 * prior + certain**2
    lower = np.linalg.cholesky(gram + 1e-9 * np.trace(gram) * np.eye(len(prior)) / len(prior))
    weights, _ = nnls(lower.T, np.linalg.solve(lower, moment))
    return weights / weights.sum() if weights.sum() > 0 else prior


def _age_factor(errors: Floats, age: npt.NDArray[np.int64], new_until: int) -> Floats:
    """Return the mean size of errors of each age beside that of grown items; never less for a younger one."""
    sizes, known = np.abs(np.nan_to_num(errors)), ~np.isnan(errors)
    own = age_class(age)
    total = np.array([sizes[own == c].sum() for c in range(len(AGES))])
    count = np.array([known[own == c].sum() for c in range(len(AGES))])
    old = age > new_until if (age > new_until).any() else np.ones(len(age), bool)
    usual = sizes[old].sum() / max(known[old].sum(), 1)
    if usual <= 0:
        return np.ones(len(AGES))
    return np.asarray(np.clip((total / usual + 200) / (count + 200), 0.5, 4.0))


def _error_quantiles(errors: Floats, membership: Floats) -> Floats:
    """Return quantiles (n_groups, horizon, grid) of errors (n, horizon), a group's drawn towards those of all."""
    n_groups, horizon = membership.shape[1], errors.shape[1]
    quantiles = np.zeros((n_groups, horizon, len(_GRID)))
    for step in range(horizon):
        # A step borrows from its neighbours: their errors are of nearly the same size.
        near = slice(max(0, step - 1), step + 2)
        known = ~np.isnan(errors[:, near])
        if not known.any():
            quantiles[:, step] = quantiles[:, max(step - 1, 0)]
            continue
        values = errors[:, near][known]
        owners = np.nonzero(known)[0]
        order = np.argsort(values)
        everyone = _weighted_quantiles(values[order], np.ones(len(values)))
        for group in range(n_groups):
            weight = membership[owners, group][order]
            share = weight.sum() / (weight.sum() + 300)
            own = _weighted_quantiles(values[order], weight) if weight.sum() > 0 else everyone
            quantiles[group, step] = share * own + (1 - share) * everyone
    return quantiles


def _weighted_quantiles(ordered: Floats, weight: Floats) -> Floats:
    """Return quantiles of ordered values at the grid, a little outside of those of the sample itself.

    Of n errors, the interval that holds the next one with probability p is that of ceil((n + 1) p) of them (Vovk et
    al. 2005, conformal prediction).
    """
    n = max(weight.sum(), 1.0)
    reach = np.clip(0.5 + (_GRID - 0.5) * (n + 1) / n, 0, 1)
    share = (np.cumsum(weight) - 0.5 * weight) / weight.sum()
    return np.asarray(np.interp(reach, share, ordered))
