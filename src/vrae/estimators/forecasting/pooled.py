"""A linear model of all items, and how each group differs from it.

Every window of every item is one observation, in scaled values. The forecast of a new item with a
few steps therefore uses what all items show. The coefficients of a group are shrunk towards those
of all items (a hierarchical ridge regression): a small group differs little. The model is fitted in
closed form, and saved as a few arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.forecast_windows import ForecastWindows, Ints, observed_mean, steps_a_season_ago

__all__ = ["PooledModel", "group_curves", "seasonal_change"]

Floats = npt.NDArray[np.float64]

# Features: the last steps, means over several numbers of last steps, and exponential smoothing.
_LAGS = 6
_SPANS = (2, 4, 8, 13, 26)
_SMOOTHINGS = (0.1, 0.3)
# Penalty on coefficients, and on how a group's coefficients differ from them. In observations.
_RIDGE = 50.0
_GROUP_RIDGE = 300.0
# With fewer known futures at a step, the model of the step before is used.
_MIN_FUTURES = 10
# The mean of all items counts as many items in the mean of a group.
_PRIOR_ITEMS = 5.0
# Limits of the scaled values in features and group curves.
_LOW, _HIGH = -5.0, 8.0


def group_curves(windows: ForecastWindows, membership: Floats) -> Floats:
    """Return mean scaled curves (n_groups, n_context), shrunk towards that of all items.

    The windows have one origin. NaN at steps where no item was observed.
    """
    context = np.clip(windows.context, _LOW, _HIGH)
    observed = ~np.isnan(context)
    values = np.where(observed, context, 0.0)
    count = observed.sum(axis=0)
    mean = values.sum(axis=0) / np.maximum(count, 1)
    curves = (membership.T @ values + _PRIOR_ITEMS * mean) / (membership.T @ observed + _PRIOR_ITEMS)
    return np.where(count > 0, curves, np.nan)


def seasonal_change(curves: Floats, season: int, horizon: int) -> Floats:
    """Return how curves (n, n_context) changed a season before the horizon, (n, horizon).

    The mean of three steps around the one a season ago, minus the mean just before that horizon. 0
    for a curve that is too short.
    """
    n, n_context = curves.shape
    if season < 2 or n_context < season:
        return np.zeros((n, horizon))
    steps = steps_a_season_ago(n_context, season, horizon)
    around = np.clip(steps[:, None] + np.array([-1, 0, 1]), 0, n_context - 1)  # (horizon, 3)
    then = observed_mean(curves[:, around], axis=2)
    before = observed_mean(curves[:, max(n_context - season - 4, 0) : max(n_context - season, 1)])[:, None]
    is_covered = ((~np.isnan(curves)).sum(axis=1) >= 0.8 * season)[:, None]
    return np.where(is_covered & ~np.isnan(then) & ~np.isnan(before), then - before, 0.0)


@dataclass(frozen=True)
class PooledModel:
    """Ridge regressions on features of windows, one per step of the horizon."""

    mean: Floats  # (n_features,), of the features in training
    deviation: Floats  # (n_features,)
    coefficients: Floats  # (horizon, n_features), for all items
    group_coefficients: Floats  # (n_groups, horizon, n_features), what each group adds to them
    season: int  # steps; 1 is none

    @classmethod
    def fit(
        cls, windows: ForecastWindows, season: int, membership: Floats | None = None, change: Floats | None = None
    ) -> Self:
        """Fit the regressions to windows.

        With groups: their probabilities (n, n_groups), and the `seasonal_change` (n, horizon) of
        the group of each window.
        """
        fixed, varying = features(windows, season, change)
        horizon = windows.future.shape[1]
        both = np.concatenate([fixed, varying.mean(axis=1)], axis=1)
        mean, deviation = both.mean(axis=0), both.std(axis=0) + 1e-6
        mean[0], deviation[0] = 0.0, 1.0  # the intercept
        membership = np.zeros((len(windows), 0)) if membership is None else membership
        n_features, n_groups = both.shape[1], membership.shape[1]
        penalty = np.full(n_features, _RIDGE)
        penalty[0] = 1e-3
        coefficients = np.zeros((horizon, n_features))
        group_coefficients = np.zeros((n_groups, horizon, n_features))
        for step in range(horizon):
            known = np.flatnonzero(~np.isnan(windows.future[:, step]))
            if len(known) < _MIN_FUTURES and step:
                coefficients[step] = coefficients[step - 1]
                group_coefficients[:, step] = group_coefficients[:, step - 1]
                continue
            x = (np.concatenate([fixed, varying[:, step]], axis=1)[known] - mean) / deviation
            y = windows.future[known, step]
            coefficients[step] = np.linalg.solve(x.T @ x + np.diag(penalty), x.T @ y)
            residual = y - x @ coefficients[step]
            for group in range(n_groups):
                weighted = x * np.take(membership[known], [group], axis=1)
                gram = x.T @ weighted + _GROUP_RIDGE * np.eye(n_features)
                group_coefficients[group, step] = np.linalg.solve(gram, weighted.T @ residual)
        return cls(mean, deviation, coefficients, group_coefficients, season)

    def predict(
        self, windows: ForecastWindows, membership: Floats | None = None, change: Floats | None = None
    ) -> Floats:
        """Return scaled forecasts (n, horizon). The parameters are those of `fit`."""
        fixed, varying = features(windows, self.season, change)
        forecast = np.empty_like(windows.future)
        for step in range(len(self.coefficients)):
            x = (np.concatenate([fixed, varying[:, step]], axis=1) - self.mean) / self.deviation
            forecast[:, step] = x @ self.coefficients[step]
            if membership is not None and len(self.group_coefficients):
                forecast[:, step] += ((x @ self.group_coefficients[:, step].T) * membership).sum(axis=1)
        return forecast

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to save."""
        return {**vars(self), "season": np.array([self.season])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model from its `arrays`."""
        return cls(**{**arrays, "season": int(arrays["season"][0])})  # type: ignore[arg-type]


def features(windows: ForecastWindows, season: int, change: Floats | None) -> tuple[Floats, Floats]:
    """Return features (n, f) that are equal at all steps, and others (n, horizon, g)."""
    context = np.clip(windows.context, _LOW, _HIGH)
    observed = ~np.isnan(context)
    values = np.where(observed, context, 0.0)  # 0 is the item's level
    n, n_context = context.shape
    age = windows.age
    columns = [np.ones(n)]
    columns += [values[:, -lag] for lag in range(1, min(_LAGS, n_context) + 1)]
    spans = [np.nan_to_num(observed_mean(context[:, -span:])) for span in _SPANS if span <= n_context]
    columns += spans
    for smoothing in _SMOOTHINGS:
        weight = (1 - smoothing) ** np.arange(n_context)[::-1]
        columns.append((values @ weight) / np.maximum(observed @ weight, 1e-9))
    columns += [1 / np.sqrt(age + 1), np.clip(windows.scale.zero, -4.0, 4.0)]
    # A mean of few steps is less reliable.
    columns += [span * (age / (age + 8)) for span in spans[:2]]
    return np.stack(columns, axis=1), _seasonal(context, age, season, windows.future.shape[1], change)


def _seasonal(context: Floats, age: Ints, season: int, horizon: int, change: Floats | None) -> Floats:
    """Return features from the last season of items and groups at each step, (n, horizon, g)."""
    n, n_context = context.shape
    columns = []
    if 1 < season <= n_context:
        then = context[:, steps_a_season_ago(n_context, season, horizon)]
        columns += [np.nan_to_num(then), seasonal_change(context, season, horizon), (~np.isnan(then)).astype(float)]
    if change is not None:
        columns += [change, change * (8 / (8 + age))[:, None]]
    return np.stack(columns, axis=2) if columns else np.zeros((n, horizon, 0))
