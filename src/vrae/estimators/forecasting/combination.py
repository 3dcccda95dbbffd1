"""The weights of several forecasts, and the distribution of the errors of their combination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from vrae.config import check_real
from vrae.estimators.forecasting.forecast_windows import (
    AGES,
    INTERMITTENT,
    ForecastWindows,
    Ints,
    age_class,
    observed_mean,
)
from vrae.exceptions import InvalidParameterError

__all__ = ["Combination", "Traits", "check_levels"]

Floats = npt.NDArray[np.float64]

# Weights for all items are shrunk towards equal ones, those for a group towards those for all. In
# forecast steps.
_EQUAL_STRENGTH = 50.0
_ALL_STRENGTH = 1000.0
# Those for new items are shrunk towards their level alone.
_LEVEL_STRENGTH = 10.0
# Windows count as if their error were at least this multiple of the median one.
_LEAST_ERROR = 0.3
# The bounds of all items count as many forecast steps in those of an age class ...
_AGE_STRENGTH = 200
# ... and the quantiles of all errors as many in those of a group.
_QUANTILE_STRENGTH = 300
# Level, in percent, at which the widths of age classes are compared.
_LEVEL = 80
# Probabilities of the stored quantiles of the errors.
_PROBABILITIES = np.linspace(0.005, 0.995, 199)
# Demand is rare if more than this fraction of the steps is zero.
_RARE = 0.8
# Kinds of items, each with weights of its own: new, young, established, intermittent and rare ones.
_N_KINDS = 5
# Age classes: lowest number of observed steps.
_AGES = (1, 2, 3, 5, 7, 9, 13, 17, 23, 33, 45, 64, 90)


class Traits(NamedTuple):
    """What a combination needs to know of windows."""

    membership: Floats  # (n, n_groups), probabilities of the groups
    age: Ints  # (n,), observed steps
    kind: Ints  # (n,), position in the weights
    knows_season: Ints  # (n,), 1 if a season ago is observed, else 0

    @classmethod
    def of(cls, windows: ForecastWindows, membership: Floats, new_until: int, season: int) -> Self:
        """Return the traits of windows."""
        n_context = windows.context.shape[1]
        kind = np.where(windows.age > (new_until + n_context) // 2, 2, 1)
        kind = np.where(windows.zero_share > INTERMITTENT, 3, kind)
        kind = np.where(windows.zero_share > _RARE, 4, kind)
        kind = np.where(windows.age <= new_until, 0, kind)
        ago = windows.a_season_ago(season)
        return cls(membership, windows.age, kind, (np.isnan(ago).mean(axis=1) < 0.5).astype(np.int64))


@dataclass(frozen=True)
class Combination:
    """How forecasts are combined, and the errors to expect.

    Each kind of items has its own weights, which are not negative and sum to 1. The quantiles are
    those of the scaled errors of established items, at .005, .01, ..., .995. Those of an age class
    are multiples of them, with one factor below the forecast and one above it.
    """

    weights: Floats  # (_N_KINDS, n_groups, n_members)
    age_factor: Floats  # (n_classes, 2), below and above the forecast
    quantiles: Floats  # (n_groups, horizon, n_probabilities)
    season_width: Floats  # (2, horizon), see `season_width`; row 1 for items that know the season

    @classmethod
    def fit(cls, members: Floats, future: Floats, traits: Traits, shortened: npt.NDArray[np.bool_]) -> Self:
        """Estimate weights and errors from backtests.

        From scaled forecasts (n_members, n, horizon), the future (n, horizon) that followed, the
        traits of the windows, and whether more was known of an item than its window has, (n,).
        """
        weights, horizon = _all_weights(members, future, traits, shortened), future.shape[1]
        empty = np.zeros((traits.membership.shape[1], horizon, len(_PROBABILITIES)))
        found = cls(weights, np.ones((len(_AGES), 2)), empty, np.ones((2, horizon)))
        errors = future - found.predict(members, traits)
        kept = ~shortened & (traits.kind > 0)
        kept = kept if kept.any() else ~shortened
        found = replace(found, quantiles=_error_quantiles(errors[kept], traits.membership[kept]))
        return replace(found, age_factor=found._age_factor(errors, traits))

    def _age_factor(self, errors: Floats, traits: Traits) -> Floats:
        """Return by how much the errors of each age class exceed those of established items.

        The factors make the bounds of an age class contain 80 percent of its errors (conformal
        prediction with normalised errors, Papadopoulos et al. 2002).
        """
        factor = np.ones((len(_AGES), 2))
        classes = age_class(traits.age, _AGES)
        for side, sign in enumerate((-1, 1)):
            bound = sign * self.error(0.5 + sign * _LEVEL / 200, traits)
            ratio = np.where(bound > 1e-9, sign * errors / np.maximum(bound, 1e-9), np.nan)
            for k in np.unique(classes):
                known = ratio[classes == k]
                known = known[~np.isnan(known)]
                if len(known):
                    n = len(known)
                    found = np.quantile(known, min((0.5 + _LEVEL / 200) * (n + 1) / n, 1.0))
                    factor[k, side] = np.clip((n * found + _AGE_STRENGTH) / (n + _AGE_STRENGTH), 0.5, 4.0)
        return factor

    def predict(self, members: Floats, traits: Traits) -> Floats:
        """Return the combination (n, horizon) of scaled forecasts (n_members, n, horizon)."""
        weights = np.einsum("ng,ngm->nm", traits.membership, self.weights[traits.kind])
        return np.asarray(np.einsum("nm,mnh->nh", weights, members))

    def error(self, probability: float, traits: Traits) -> Floats:
        """Return the quantile (n, horizon) of the scaled errors at a probability."""
        position = np.interp(probability, _PROBABILITIES, np.arange(len(_PROBABILITIES)))
        position = float(np.clip(position, 0, len(_PROBABILITIES) - 1))
        low, high = int(np.floor(position)), int(np.ceil(position))
        quantile = self.quantiles[..., low] + (position - low) * (self.quantiles[..., high] - self.quantiles[..., low])
        factor = self.age_factor[age_class(traits.age, _AGES), int(probability > 0.5)]
        width = factor[:, None] * self.season_width[traits.knows_season]
        return np.asarray(np.einsum("ng,gh->nh", traits.membership, quantile) * width)

    def interval(self, level: float, mean: Floats, traits: Traits) -> tuple[Floats, Floats]:
        """Return bounds (n, horizon) that contain ``level`` percent of outcomes.

        The combined forecasts ``mean`` are always within them.
        """
        low = mean + self.error(0.5 - level / 200, traits)
        high = mean + self.error(0.5 + level / 200, traits)
        return np.minimum(low, mean), np.maximum(high, mean)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to save."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a combination from its `arrays`.

        Early models have two kinds of items, fewer age classes, and one factor for both sides.
        Their results stay the same.
        """
        if "season_width" in arrays:
            return cls(**arrays)
        weights, quantiles, factor = arrays["weights"], arrays["quantiles"], arrays["age_factor"]
        factor = factor[age_class(np.array(_AGES), AGES)]
        width = np.ones((2, quantiles.shape[1]))
        return cls(weights[[0, 1, 1, 1, 1]], np.stack([factor, factor], axis=1), quantiles, width)


def check_levels(level: Any) -> list[float]:
    """Return the levels of intervals as a list, or raise if one is not above 0 and at most 99."""
    levels = list(level) if isinstance(level, (list, tuple, np.ndarray)) else [level]
    for one in levels:
        if isinstance(one, float) and 0 < one < 1:
            raise InvalidParameterError(f"level={one} is less than 1 percent. Levels are percentages: {100 * one:g}?")
    return [check_real("level", one, above=0, high=99) for one in levels]


def _all_weights(members: Floats, future: Floats, traits: Traits, shortened: npt.NDArray[np.bool_]) -> Floats:
    """Return weights (_N_KINDS, n_groups, n_members) of scaled forecasts (n_members, n, horizon).

    Those of new items are from true introductions, where there are any.
    """
    n_members, n_groups = len(members), traits.membership.shape[1]
    # Errors count relative to what is usual for the window, such that the worst do not dominate.
    error = np.sqrt(np.nan_to_num(observed_mean((members.mean(axis=0) - future) ** 2)))
    window_weight = 1 / (error + _LEAST_ERROR * max(float(np.median(error)), 1e-6)) ** 2
    weights = np.empty((_N_KINDS, n_groups, n_members))
    is_known = traits.kind > 0
    equal = np.full(n_members, 1 / n_members)
    for_known = _weights(members[:, is_known], future[is_known], window_weight[is_known], equal, _EQUAL_STRENGTH)
    for kind in range(_N_KINDS):
        at = traits.kind == kind
        if kind == 0 and (at & ~shortened).any():
            at &= ~shortened
        prior, strength = (for_known, _ALL_STRENGTH) if kind else (np.eye(n_members)[0], _LEVEL_STRENGTH)
        for_all = _weights(members[:, at], future[at], window_weight[at], prior, strength)
        for group in range(n_groups):
            own = window_weight[at] * traits.membership[at, group]
            weights[kind, group] = _weights(members[:, at], future[at], own, for_all, _ALL_STRENGTH)
    return weights


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
