"""The weights of several forecasts, and the distribution of the errors of their combination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.config import check_real
from vrae.estimators.forecasting.forecast_windows import AGES, Ints, age_class, observed_mean

__all__ = ["Combination", "check_levels"]

Floats = npt.NDArray[np.float64]

# Weights for all items are shrunk towards equal ones, those for a group towards those for all. In
# forecast steps.
_EQUAL_STRENGTH = 10.0
_ALL_STRENGTH = 1000.0
# The mean error of established items counts as many forecast steps in that of an age class ...
_AGE_STRENGTH = 200
# ... and the quantiles of all errors as many in those of a group.
_QUANTILE_STRENGTH = 300
# Probabilities of the stored quantiles of the errors.
_PROBABILITIES = np.linspace(0.005, 0.995, 199)


@dataclass(frozen=True)
class Combination:
    """How forecasts are combined, and the errors to expect.

    Items with at most ``new_until`` observed steps are new, the others are established. Each kind
    has its own weights, which are not negative and sum to 1. The quantiles are those of the scaled
    errors divided by the age factor, at .005, .01, ..., .995.
    """

    new_until: int
    weights: Floats  # (2, n_groups, n_members), for new items, and for established ones
    age_factor: Floats  # (n_classes,), errors of each age class relative to established items
    quantiles: Floats  # (n_groups, horizon, n_probabilities)

    @classmethod
    def fit(cls, members: Floats, future: Floats, membership: Floats, age: Ints, new_until: int) -> Self:
        """Estimate weights and errors from backtests.

        From scaled forecasts (n_members, n, horizon), the future (n, horizon) that followed, the
        probabilities of the groups (n, n_groups), and observed steps (n,).
        """
        n_members, n_groups = len(members), membership.shape[1]
        equal = np.full(n_members, 1 / n_members)
        # Weighted such that squares of the worst errors do not dominate.
        error = np.sqrt(np.nan_to_num(observed_mean((members.mean(axis=0) - future) ** 2)))
        window_weight = 1 / (error + max(float(np.median(error)), 1e-6))
        weights = np.empty((2, n_groups, n_members))
        for is_established in (0, 1):
            at = (age > new_until) == bool(is_established)
            prior = equal if is_established else np.eye(n_members)[0]
            for_all = _weights(members[:, at], future[at], window_weight[at], prior, _EQUAL_STRENGTH)
            for group in range(n_groups):
                weights[is_established, group] = _weights(
                    members[:, at], future[at], window_weight[at] * membership[at, group], for_all, _ALL_STRENGTH
                )
        empty = np.zeros((n_groups, future.shape[1], len(_PROBABILITIES)))
        errors = future - cls(new_until, weights, np.ones(len(AGES)), empty).predict(members, membership, age)
        factor = _age_factor(errors, age, new_until)
        established = age > new_until  # new ones may be the same items with a shortened context
        kept = established if established.any() else slice(None)
        errors = (errors / factor[age_class(age)][:, None])[kept]
        return cls(new_until, weights, factor, _error_quantiles(errors, membership[kept]))

    def predict(self, members: Floats, membership: Floats, age: Ints) -> Floats:
        """Return the combination (n, horizon) of scaled forecasts (n_members, n, horizon)."""
        weights = np.where((age > self.new_until)[:, None], membership @ self.weights[1], membership @ self.weights[0])
        return np.asarray(np.einsum("nm,mnh->nh", weights, members))

    def error(self, probability: float, membership: Floats, age: Ints) -> Floats:
        """Return the quantile (n, horizon) of the scaled errors at a probability."""
        position = np.interp(probability, _PROBABILITIES, np.arange(len(_PROBABILITIES)))
        position = float(np.clip(position, 0, len(_PROBABILITIES) - 1))
        low, high = int(np.floor(position)), int(np.ceil(position))
        quantile = self.quantiles[..., low] + (position - low) * (self.quantiles[..., high] - self.quantiles[..., low])
        return np.asarray(membership @ quantile) * self.age_factor[age_class(age)][:, None]

    def interval(self, level: float, mean: Floats, membership: Floats, age: Ints) -> tuple[Floats, Floats]:
        """Return bounds (n, horizon) that contain ``level`` percent of outcomes.

        The combined forecasts ``mean`` are always within them.
        """
        low = mean + self.error(0.5 - level / 200, membership, age)
        high = mean + self.error(0.5 + level / 200, membership, age)
        return np.minimum(low, mean), np.maximum(high, mean)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to save."""
        return {**vars(self), "new_until": np.array([self.new_until])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a combination from its `arrays`."""
        return cls(**{**arrays, "new_until": int(arrays["new_until"][0])})  # type: ignore[arg-type]


def check_levels(level: Any) -> list[float]:
    """Return the levels of intervals as a list, or raise if one is not between 0 and 100."""
    levels = list(level) if isinstance(level, (list, tuple, np.ndarray)) else [level]
    return [check_real("level", one, above=0, below=100) for one in levels]


def _weights(members: Floats, future: Floats, window_weight: Floats, prior: Floats, strength: float) -> Floats:
    """Return least-squares weights, not negative and with sum 1, shrunk towards ``prior``."""
    from scipy.optimize import nnls

    known = ~np.isnan(future)
    root = np.sqrt(np.broadcast_to(window_weight[:, None], future.shape)[known])
    x = members[:, known] * root  # (n_members, m)
    y = future[known] * root
    total = max(window_weight.sum(), 1e-9)
    typical = max(float((window_weight[:, None] * np.nan_to_num(future) ** 2).sum()) / total, 1e-9)
    shrinkage = np.sqrt(strength * typical * float(window_weight.mean()) if len(window_weight) else 1.0)
    sum_penalty = 1e3 * np.sqrt(float((x**2).sum()) + shrinkage**2 + 1.0)
    # Least squares needs only the products of x: a small problem for any number of items.
    gram = x @ x.T + shrinkage**2 * np.eye(len(prior)) + sum_penalty**2
    moment = x @ y + shrinkage**2 * prior + sum_penalty**2
    lower = np.linalg.cholesky(gram + 1e-9 * np.trace(gram) * np.eye(len(prior)) / len(prior))
    weights, _ = nnls(lower.T, np.linalg.solve(lower, moment))
    return weights / weights.sum() if weights.sum() > 0 else prior


def _age_factor(errors: Floats, age: Ints, new_until: int) -> Floats:
    """Return the mean absolute error of each age class, relative to that of established items."""
    sizes, known = np.abs(np.nan_to_num(errors)), ~np.isnan(errors)
    classes = age_class(age)
    total = np.array([sizes[classes == k].sum() for k in range(len(AGES))])
    count = np.array([known[classes == k].sum() for k in range(len(AGES))])
    established = age > new_until if (age > new_until).any() else np.ones(len(age), bool)
    typical = sizes[established].sum() / max(known[established].sum(), 1)
    if typical <= 0:
        return np.ones(len(AGES))
    return np.asarray(np.clip((total / typical + _AGE_STRENGTH) / (count + _AGE_STRENGTH), 0.5, 4.0))


def _error_quantiles(errors: Floats, membership: Floats) -> Floats:
    """Return quantiles (n_groups, horizon, n_probabilities) of errors (n, horizon).

    Those of a group are shrunk towards those of all items.
    """
    n_groups, horizon = membership.shape[1], errors.shape[1]
    quantiles = np.zeros((n_groups, horizon, len(_PROBABILITIES)))
    for step in range(horizon):
        # Errors at neighbouring steps are similar, so a step uses theirs too.
        near = slice(max(0, step - 1), step + 2)
        known = ~np.isnan(errors[:, near])
        if not known.any():
            quantiles[:, step] = quantiles[:, max(step - 1, 0)]
            continue
        values = errors[:, near][known]
        window = np.nonzero(known)[0]
        order = np.argsort(values)
        of_all = _weighted_quantiles(values[order], np.ones(len(values)))
        for group in range(n_groups):
            weight = membership[window, group][order]
            trust = weight.sum() / (weight.sum() + _QUANTILE_STRENGTH)
            own = _weighted_quantiles(values[order], weight) if weight.sum() > 0 else of_all
            quantiles[group, step] = trust * own + (1 - trust) * of_all
    return quantiles


def _weighted_quantiles(ordered: Floats, weight: Floats) -> Floats:
    """Return quantiles of ordered values, slightly wider than those of the sample.

    Of n errors, the interval that contains the next one with probability p is that of
    ceil((n + 1) p) errors (Vovk et al. 2005, conformal prediction).
    """
    n = max(weight.sum(), 1.0)
    probability = np.clip(0.5 + (_PROBABILITIES - 0.5) * (n + 1) / n, 0, 1)
    cumulative = (np.cumsum(weight) - 0.5 * weight) / weight.sum()
    return np.asarray(np.interp(probability, cumulative, ordered))
