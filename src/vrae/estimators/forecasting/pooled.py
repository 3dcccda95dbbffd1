"""One linear model for all items, and how each group departs from it.

Every window of every item is one observation, scaled, so that a few steps of a new item are read with what all others
have taught. A group's own coefficients are drawn towards those of all (a hierarchical ridge regression): a small group
says little, a large one much. A linear model is a few arrays: it is saved as such, and fitted in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.windows import Floats, Windows, observed_mean

__all__ = ["PooledModel", "group_courses", "season_ahead"]

# Steps just before the origin that enter one by one; means over so many last steps; weights of smoothed means.
_LAGS = 6
_SPANS = (2, 4, 8, 13, 26)
_SMOOTHINGS = (0.1, 0.3)
# Penalty on coefficients, and on a group's departure from them, in observations.
_RIDGE = 50.0
_GROUP_RIDGE = 300.0
# Fewer known futures than this at a step are too few; the nearest earlier step's model serves.
_FEWEST = 10
# An average over a group counts as much as so many items of all groups.
_PRIOR_ITEMS = 5.0
# What goes into linear models and group averages is cut at these scaled values.
_LOW, _HIGH = -5.0, 8.0


def group_courses(windows: Windows, membership: Floats) -> Floats:
    """Return the mean scaled course of each group, (n_groups, n_context), drawn towards that of all items.

    Parameters
    ----------
    windows : Windows
        Of one origin.
    membership : ndarray, shape (n, n_groups)
        Probabilities.
    """
    context = np.clip(windows.context, _LOW, _HIGH)
    observed = ~np.isnan(context)
    known = np.where(observed, context, 0.0)
    count = observed.sum(axis=0)
    everyone = known.sum(axis=0) / np.maximum(count, 1)
    courses = (membership.T @ known + _PRIOR_ITEMS * everyone) / (membership.T @ observed + _PRIOR_ITEMS)
    return np.where(count > 0, courses, np.nan)


def season_ahead(courses: Floats, season: int, horizon: int) -> Floats:
    """Return what a course (n, n_context) did a season before each step to come, beside where it stood then.

    A mean of three steps, (n, horizon); 0 where the course does not reach back a season.
    """
    n, n_context = courses.shape
    if season < 2 or n_context < season:
        return np.zeros((n, horizon))
    ahead = _a_season_ago(n_context, season, horizon)
    around = np.clip(ahead[:, None] + np.array([-1, 0, 1]), 0, n_context - 1)  # (horizon, 3)
    then = observed_mean(courses[:, around], axis=2)
    before = observed_mean(courses[:, max(n_context - season - 4, 0) : max(n_context - season, 1)])[:, None]
    covered = ((~np.isnan(courses)).sum(axis=1) >= 0.8 * season)[:, None]
    return np.where(covered & ~np.isnan(then) & ~np.isnan(before), then - before, 0.0)


def _a_season_ago(n_context: int, season: int, horizon: int) -> npt.NDArray[np.int64]:
    steps = np.arange(horizon)
    return np.asarray(n_context - season + steps % season)


@dataclass(frozen=True)
class PooledModel:
    """Ridge regressions, one a step ahead, over features of windows.

    Attributes
    ----------
    mean, deviation : ndarray, shape (n_features,)
        Of the features in training.
    coefficients : ndarray, shape (horizon, n_features)
    departures : ndarray, shape (n_groups, horizon, n_features)
        What each group adds to them; n_groups is 0 for a model without groups.
    season : int
    """

    mean: Floats
    deviation: Floats
    coefficients: Floats
    departures: Floats
    season: int

    @classmethod
    def fit(cls, windows: Windows, season: int, membership: Floats | None = None, ahead: Floats | None = None) -> Self:
        """Fit to windows.

        Parameters
        ----------
        windows : Windows
        season : int
            Steps of a season; 1 is none.
        membership : ndarray of shape (n, n_groups), optional
        ahead : ndarray of shape (n, horizon), optional
            What the group of each window did a season ago; see `season_ahead`.
        """
        fixed, moving = features(windows, season, ahead)
        horizon = windows.future.shape[1]
        both = np.concatenate([fixed, moving.mean(axis=1)], axis=1)
        mean, deviation = both.mean(axis=0), both.std(axis=0) + 1e-6
        mean[0], deviation[0] = 0.0, 1.0  # the intercept
        membership = np.zeros((len(windows), 0)) if membership is None else membership
        n_features, n_groups = both.shape[1], membership.shape[1]
        penalty = np.full(n_features, _RIDGE)
        penalty[0] = 1e-3
        coefficients = np.zeros((horizon, n_features))
        departures = np.zeros((n_groups, horizon, n_features))
        for step in range(horizon):
            known = np.flatnonzero(~np.isnan(windows.future[:, step]))
            if len(known) < _FEWEST and step:
                coefficients[step], departures[:, step] = coefficients[step - 1], departures[:, step - 1]
                continue
            x = (np.concatenate([fixed, moving[:, step]], axis=1)[known] - mean) / deviation
            y = windows.future[known, step]
            coefficients[step] = np.linalg.solve(x.T @ x + np.diag(penalty), x.T @ y)
            rest = y - x @ coefficients[step]
            for group in range(n_groups):
                weighted = x * np.take(membership[known], [group], axis=1)
                gram = x.T @ weighted + _GROUP_RIDGE * np.eye(n_features)
                departures[group, step] = np.linalg.solve(gram, weighted.T @ rest)
        return cls(mean, deviation, coefficients, departures, season)

    def predict(self, windows: Windows, membership: Floats | None = None, ahead: Floats | None = None) -> Floats:
        """Return scaled forecasts (n, horizon)."""
        fixed, moving = features(windows, self.season, ahead)
        forecast = np.empty_like(windows.future)
        for step in range(len(self.coefficients)):
            x = (np.concatenate([fixed, moving[:, step]], axis=1) - self.mean) / self.deviation
            forecast[:, step] = x @ self.coefficients[step]
            if membership is not None and len(self.departures):
                forecast[:, step] += ((x @ self.departures[:, step].T) * membership).sum(axis=1)
        return forecast

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything there is to save."""
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "coefficients": self.coefficients,
            "departures": self.departures,
            "season": np.array([self.season]),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Build the model whose `arrays` these are."""
        return cls(**{**arrays, "season": int(arrays["season"][0])})  # type: ignore[arg-type]


def features(windows: Windows, season: int, ahead: Floats | None) -> tuple[Floats, Floats]:
    """Return what is the same for all steps ahead, (n, f), and what is not, (n, horizon, g)."""
    context = np.clip(windows.context, _LOW, _HIGH)
    observed = ~np.isnan(context)
    known = np.where(observed, context, 0.0)  # 0 is the item's level
    n, n_context = context.shape
    age = windows.age
    columns = [np.ones(n)]
    columns += [known[:, -lag] for lag in range(1, min(_LAGS, n_context) + 1)]
    spans = [np.nan_to_num(observed_mean(context[:, -span:])) for span in _SPANS if span <= n_context]
    columns += spans
    for smoothing in _SMOOTHINGS:
        weight = (1 - smoothing) ** np.arange(n_context)[::-1]
        columns.append((known @ weight) / np.maximum(observed @ weight, 1e-9))
    columns += [1 / np.sqrt(age + 1), np.clip(windows.scale.zero, -4.0, 4.0)]
    # A mean says less where it is of few steps.
    columns += [span * (age / (age + 8)) for span in spans[:2]]
    return np.stack(columns, axis=1), _seasonal(context, age, season, windows.future.shape[1], ahead)


def _seasonal(context: Floats, age: npt.NDArray[np.int64], season: int, horizon: int, ahead: Floats | None) -> Floats:
    """Return the item's own last season, and its group's, at each step ahead: (n, horizon, g)."""
    n, n_context = context.shape
    moving = []
    if 1 < season <= n_context:
        then = context[:, _a_season_ago(n_context, season, horizon)]
        moving += [np.nan_to_num(then), season_ahead(context, season, horizon), (~np.isnan(then)).astype(np.float64)]
    if ahead is not None:
        moving += [ahead, ahead * (8 / (8 + age))[:, None]]
    return np.stack(moving, axis=2) if moving else np.zeros((n, horizon, 0))
