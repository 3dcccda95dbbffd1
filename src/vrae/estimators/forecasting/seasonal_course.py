"""The season of each item, learned from all: courses as draws from one distribution.

An item's course is what its values add to their local level at each step of the season. A course
of its own, from one to three seasons, is mostly noise; what items have in common is not. All
courses are therefore taken as draws from one normal distribution, whose mean and covariance are
estimated from all items (empirical Bayes, by expectation maximisation). The course of an item is
its posterior mean: noisy items and unknown steps get what items like them show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.categories import Categories
from vrae.estimators.forecasting.forecast_windows import (
    ForecastWindows,
    Ints,
    observed_mean,
    typical_variation,
    windows_at,
)
from vrae.estimators.forecasting.plan import ForecastPlan, new_until

__all__ = ["SeasonalCourses", "choose_categories"]

Floats = npt.NDArray[np.float64]

# Items that are used to estimate the distribution, and iterations.
_MAX_ITEMS = 1500
_ITERATIONS = 6
# Level and course are found in turns.
_TURNS = 3
# Variance of the level of an item in its own course, relative to the level. Large: it is free.
_FREE_LEVEL = 1.0
# A level below this multiple of the spread has no relative course.
_MIN_LEVEL = 0.05
# Relative values are clipped.
_CLIP = 8.0
# The prior covariance counts as many items.
_PRIOR_ITEMS = 20.0
# ... and the mean course of all as many in that of a category.
_PRIOR_MEMBERS = 3.0
# First guess of the variance of courses.
_SIGNAL = 0.01
# Lowest level, relative to the mean of the season, that an item is taken to be at.
_MIN_RELATIVE_LEVEL = 0.2
# The prior of an item's noise counts as many steps.
_PRIOR_STEPS = 4.0
# A column must lower the error to this fraction.
_CLEARLY = 0.998
# Windows whose courses are computed at once, to bound the memory.
_PART = 2048
# Courses have at most this many factors.
_MAX_FACTORS = 16
# Items with fewer steps say nothing about courses.
_MIN_STEPS = 8


@dataclass(frozen=True)
class SeasonalCourses:
    """A normal distribution of courses, relative to the level of the items.

    A course is the mean of its category, plus ``basis @ z`` with z from N(0, covariance).
    """

    mean: Floats  # (n_categories + 1, season); the last row is that of all items
    basis: Floats  # (season, n_factors)
    covariance: Floats  # (n_factors, n_factors)
    noise: Floats  # (1,), typical variance of scaled values around level and course

    @property
    def season(self) -> int:
        """Steps of a season."""
        return self.mean.shape[1]

    @classmethod
    def fit(cls, windows: ForecastWindows, plan: ForecastPlan, rng: np.random.Generator) -> Self:
        """Estimate the distribution from windows of one origin."""
        season, n_categories = plan.season, len(plan.categories.names) if plan.categories else 0
        chosen = np.flatnonzero(windows.age >= min(_MIN_STEPS, season))
        if len(chosen) > _MAX_ITEMS:
            chosen = np.sort(rng.permutation(chosen)[:_MAX_ITEMS])
        found = cls(np.zeros((n_categories + 1, season)), np.zeros((season, 0)), np.zeros((0, 0)), np.ones(1))
        if len(chosen) < 2:
            return found
        windows = windows.select(chosen)
        values, size = _relative(windows, season), _size(windows)
        profile, variance, _ = _profiles(values, np.zeros((len(chosen), season)), 1 / size**2)
        found = cls(*_moments(profile, variance, windows.category, n_categories), np.ones(1))
        for _ in range(_ITERATIONS):
            course, z, spread = found._posterior(profile, variance, windows.category)
            found = found._update(profile, variance, windows.category, z, spread)
            profile, variance, noise = _profiles(values, course, found.noise / size**2)
            found = replace(found, noise=np.array([np.median(noise * size[:, 0] ** 2)]))
        return found

    def _update(self, profile: Floats, variance: Floats, category: Ints, z: Floats, spread: Floats) -> Self:
        """Return the distribution after one iteration of expectation maximisation."""
        weight = _weights(variance, float(np.trace(self.basis @ self.covariance @ self.basis.T)) / self.season)
        mean = _means(profile, variance, weight, category, len(self.mean) - 1)
        each = z[:, :, None] * z[:, None, :] + spread
        prior = np.diag(np.diag(self.covariance))
        covariance = (np.einsum("n,nij->ij", weight, each) + _PRIOR_ITEMS * prior) / (weight.sum() + _PRIOR_ITEMS)
        return replace(self, mean=mean, covariance=covariance)

    def _posterior(self, profile: Floats, variance: Floats, category: Ints) -> tuple[Floats, Floats, Floats]:
        """Return courses (n, season), and mean (n, r) and covariance (n, r, r) of their factors."""
        r = self.basis.shape[1]
        precision = np.where(np.isfinite(variance), 1 / variance, 0.0)
        # The level of a course that is known in part is free.
        design = np.concatenate([self.basis, np.ones((self.season, 1))], axis=1)
        prior = np.zeros((r + 1, r + 1))
        prior[:r, :r] = np.linalg.pinv(self.covariance, hermitian=True) if r else 0
        prior[r, r] = 1 / _FREE_LEVEL
        total = prior + np.einsum("si,ns,sj->nij", design, precision, design, optimize=True)
        moment = (precision * np.where(precision > 0, profile - self.mean[category], 0.0)) @ design
        spread = np.linalg.inv(total)
        z = np.einsum("nij,nj->ni", spread, moment)
        return self.mean[category] + z[:, :r] @ self.basis.T, z[:, :r], spread[:, :r, :r]

    def later(self, shift: int) -> Self:
        """Return the courses from an origin ``shift`` steps later."""
        return replace(self, mean=np.roll(self.mean, -shift, axis=1), basis=np.roll(self.basis, -shift, axis=0))

    def courses(self, windows: ForecastWindows) -> Floats:
        """Return the scaled course of each window, (n, season). Step 0 is that of the origin."""
        parts = np.array_split(np.arange(len(windows)), max(1, -(-len(windows) // _PART)))
        return np.concatenate([self._courses(windows.select(part)) for part in parts])

    def _courses(self, windows: ForecastWindows) -> Floats:
        values = _relative(windows, self.season)
        course = np.zeros((len(windows), self.season))
        for _ in range(_TURNS):
            profile, variance, _ = _profiles(values, course, self.noise / _size(windows) ** 2)
            course = self._posterior(profile, variance, windows.category)[0]
        # The level of an item that is known in part of a season is that of this part.
        past = _past(course, windows.context.shape[1])
        relative_level = 1 + np.nan_to_num(observed_mean(np.where(np.isnan(windows.context), np.nan, past)))
        return course * _size(windows) / np.maximum(relative_level, _MIN_RELATIVE_LEVEL)[:, None]

    def forecast(self, windows: ForecastWindows, level: Callable[[ForecastWindows], Floats]) -> Floats:
        """Return scaled forecasts (n, horizon): ``level`` of values without season, and season."""
        course = self.courses(windows)
        rest = _without_course(windows, _past(course, windows.history.shape[1]))
        n_context, horizon = windows.context.shape[1], windows.future.shape[1]
        without = replace(windows, context=rest[:, -n_context:], earlier=rest[:, :-n_context])
        # The mean of few steps is better than their smoothing.
        first = new_until(n_context)
        trust = np.clip((windows.age - first) / max(n_context - first, 1), 0, 1)[:, None]
        mean = np.nan_to_num(observed_mean(without.context))[:, None]
        return trust * level(without) + (1 - trust) * mean + course[:, np.arange(horizon) % self.season]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to save."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `arrays`."""
        return cls(**arrays)


def _past(course: Floats, n_steps: int) -> Floats:
    """Return courses (n, season) at the ``n_steps`` before the origin."""
    return np.tile(course, n_steps // course.shape[1] + 1)[:, -n_steps:]


def _without_course(windows: ForecastWindows, past: Floats) -> Floats:
    """Return the scaled values (n, steps) without the course ``past``, for their level.

    What is more or less than the course grows with it: at the peak of Christmas, a tenth more would
    double the level of an item that hardly sells otherwise. So where the course is high, values are
    divided, and elsewhere it is subtracted.
    """
    zero, size = windows.scale.zero[:, None], _size(windows)
    divided = zero + (windows.history - zero) / (1 + np.maximum(past, 0.0) / size)
    return np.where((past > 0) & (zero < 0), divided, windows.history - past)


def _size(windows: ForecastWindows) -> Floats:
    """Return the level of each item in multiples of its spread, (n, 1)."""
    return np.maximum(np.abs(windows.scale.zero), _MIN_LEVEL)[:, None]


def _relative(windows: ForecastWindows, season: int) -> Floats:
    """Return values relative to the level, (n, whole seasons)."""
    values = np.clip(windows.history / _size(windows), -_CLIP, _CLIP)
    return values[:, values.shape[1] % season :]


def _profiles(values: Floats, course: Floats, prior: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what values (n, steps) add to their level at each step of the season, (n, season).

    And the variance of each, and that of the noise, (n,). The local level is that of the values
    without ``course`` (n, season). The ``prior`` (n, 1) is that of the noise.
    """
    season = course.shape[1]
    n_seasons = values.shape[1] // season
    known = ~np.isnan(values)
    level = _local_mean(values - np.tile(course, n_seasons), season)
    error = np.where(known, values - np.tile(course, n_seasons) - level, 0.0)
    count = known.sum(axis=1)
    noise = ((error**2).sum(axis=1) + _PRIOR_STEPS * prior[:, 0]) / (count + _PRIOR_STEPS)
    shape = (len(values), n_seasons, season)
    by_phase = known.reshape(shape).sum(axis=1)
    profile = np.where(known, values - level, 0.0).reshape(shape).sum(axis=1) / np.maximum(by_phase, 1)
    return profile, np.where(by_phase > 0, noise[:, None] / np.maximum(by_phase, 1), np.inf), noise


def _weights(variance: Floats, signal: float) -> Floats:
    known = np.isfinite(variance)
    noise = np.where(known, variance, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    weight = known.mean(axis=1) / (noise + signal + 1e-6)
    return np.asarray(weight / weight.max())


def _means(profile: Floats, variance: Floats, weight: Floats, category: Ints, n_categories: int) -> Floats:
    """Return the mean course of each category and of all items, (n_categories + 1, season).

    Those of categories are shrunk towards that of all, and that of all towards none.
    """
    known = np.isfinite(variance) * weight[:, None]
    of_all = (known * profile).sum(axis=0) / (known.sum(axis=0) + _PRIOR_ITEMS * weight.mean())
    member = (category[:, None] == np.arange(n_categories)).astype(float).T  # (n_categories, n)
    prior = _PRIOR_MEMBERS * weight.mean()
    of_each = (member @ (known * profile) + prior * of_all) / (member @ known + prior)
    means = np.concatenate([of_each, of_all[None]])
    return np.asarray(means - means.mean(axis=1, keepdims=True))


def _moments(profile: Floats, variance: Floats, category: Ints, n_categories: int) -> tuple[Floats, Floats, Floats]:
    """Return means, basis and covariance of the courses from the moments of their profiles."""
    weight = _weights(variance, _SIGNAL)
    mean = _means(profile, variance, weight, category, n_categories)
    known = np.isfinite(variance)
    centred = np.where(known, profile - mean[category], 0.0) * np.sqrt(weight)[:, None]
    pairs = (known * weight[:, None]).T @ known
    covariance = centred.T @ centred / np.maximum(pairs, 1e-9)
    noise = (weight @ np.where(known, variance, 0.0)) / np.maximum(np.diag(pairs), 1e-9)
    covariance[np.diag_indices_from(covariance)] -= noise
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1][: min(_MAX_FACTORS, profile.shape[1] - 1)]
    return mean, vectors[:, order], np.diag(np.maximum(values[order], 1e-4))


def _local_mean(values: Floats, season: int) -> Floats:
    """Return the mean of the season around each step, (n, steps)."""
    known, steps = ~np.isnan(values), np.arange(values.shape[1])
    first, last = np.maximum(steps - season // 2, 0), np.minimum(steps + season // 2 + 1, len(steps))

    def around(x: npt.NDArray[Any]) -> Floats:
        total = np.concatenate([np.zeros((len(x), 1)), np.cumsum(x, axis=1)], axis=1)
        return np.asarray(total[:, last] - total[:, first])

    return around(np.where(known, values, 0.0)) / np.maximum(around(known), 1)


def choose_categories(calendar: CalendarMatrix, plan: ForecastPlan) -> Categories | None:
    """Return the static column whose values foretell the courses of left-out items best, or None.

    The course of an item is compared with the mean of the others of its category. None if that of
    all items is as good.
    """
    found = Categories.candidates(calendar.static)
    if not found or plan.seasonal_member is None:
        return None
    windows = windows_at(calendar, calendar.n_steps, plan, typical_variation(calendar.values))
    windows = windows.select(np.flatnonzero(windows.age >= min(_MIN_STEPS, plan.season)))
    values, none = _relative(windows, plan.season), np.zeros((len(windows), plan.season))
    profile, variance, _ = _profiles(values, none, 1 / _size(windows) ** 2)
    weight = _weights(variance, _SIGNAL)[:, None] * np.isfinite(variance)
    best, least = None, _error_left_out(profile, weight, np.zeros((len(windows), 1)))
    for categories in found:
        codes = categories.codes(calendar.static, len(calendar.values))[windows.item]
        member = (codes[:, None] == np.arange(len(categories.names))).astype(float)
        error = _error_left_out(profile, weight, member)
        if error < _CLEARLY * least:
            best, least = categories, error
    return best


def _error_left_out(profile: Floats, weight: Floats, member: Floats) -> float:
    """Return the weighted squared error of the mean of the other members, (n, season)."""
    total, count = (weight * profile).sum(axis=0), weight.sum(axis=0)
    of_all = (total - weight * profile) / np.maximum(count - weight, 1e-9)
    prior = _PRIOR_MEMBERS * weight.mean()
    own_total = member @ (member.T @ (weight * profile)) - weight * profile * (member.sum(axis=1) > 0)[:, None]
    own_count = member @ (member.T @ weight) - weight * (member.sum(axis=1) > 0)[:, None]
    guess = (own_total + prior * of_all) / np.maximum(own_count + prior, 1e-9)
    return float((weight * (profile - guess) ** 2).sum())
