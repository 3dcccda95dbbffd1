"""Items that fall and stay there when another is introduced, or rise when it is withdrawn.

Every other item of the group is regressed on the course of the new item's presence
(`shift_regression`). How large such a statistic gets by chance is seen in the data: the same
regressions at other dates (placebo dates), of all items. Real items change their level for reasons
of their own, and this is how often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from vrae.estimators.cannibalization.opposition import null_scale, z_from_t
from vrae.estimators.cannibalization.residuals import (
    CommonFactors,
    Residuals,
    is_signed,
    score_scale,
    seasonal_waves,
    stable_scores,
)
from vrae.estimators.cannibalization.shift_regression import Design, estimate_shifts

__all__ = ["PlaceboNull", "ShiftGroup", "presence_courses", "rising_steps", "sales_levels", "shifted"]

# Fewest observed steps of an item on each side of a shift.
_MIN_SIDE = 4
# Largest number of placebo dates.
_MAX_DATES = 60
# Fewest statistics from which the distribution at one date, or the null distribution, is estimated.
_MIN_AT_DATE = 30
_MIN_FOR_NULL = 200
# An item with a statistic as unlikely as this at a real date is left out of the null distribution.
_SUSPECT = 1e-3
# Fraction of the null distribution that is its tail, and fewest statistics in the tail.
_TAIL, _MIN_IN_TAIL = 0.005, 20
# Smallest part of the variance of an item that factors leave to the noise.
_MIN_NOISE = 0.1

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def presence_courses(X: Floats, begin: Ints, end: Ints) -> Floats:
    """Return how far each item (n, time) has arrived: 0 while absent, rising to 1, then falling.

    An item has arrived when its sales first reach their median while it is present. Three steps are
    averaged, so one large order is no arrival.
    """
    courses = np.zeros(X.shape)
    for course, x, first, last in zip(courses, X, begin.tolist(), end.tolist(), strict=True):
        own = np.nan_to_num(x[first:last])
        padded = np.concatenate([own[:1], own, own[-1:]])
        smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
        usual = float(np.median(own)) or float(own.mean())
        level = np.clip(smooth / usual, 0, 1) if usual > 0 else np.ones(len(own))
        rising = np.maximum.accumulate(level) if first > 0 else np.ones(len(own))
        falling = np.maximum.accumulate(level[::-1])[::-1] if last < len(x) else np.ones(len(own))
        course[first:last] = np.minimum(rising, falling)
    return courses


def rising_steps(courses: Floats) -> Ints:
    """Return about how many steps each item (n,) takes to arrive or to leave."""
    return 2 * ((courses > 0) & (courses < 0.5)).sum(axis=1)


@dataclass(frozen=True)
class ShiftGroup:
    """Statistics of the items (n,) of one group, for presence courses and at placebo dates.

    ``kind`` is 1 for introductions: the steps before an item's own introduction are left out. It is
    2 for withdrawals: the steps after its own withdrawal are.
    """

    items: Ints  # of the whole panel
    X: Floats  # (n, time)
    observed: Mask  # (n, time)
    scores: Floats  # (n, time)
    design: Design
    kind: int
    dates: Ints  # placebo dates
    placebo: Floats  # (n, n_dates), z-scores, NaN where there are too few steps

    @classmethod
    def prepare(
        cls,
        items: Ints,
        X: Floats,
        begin: Ints,
        end: Ints,
        common: CommonFactors,
        season: int | None,
        kind: int,
    ) -> ShiftGroup:
        """Estimate the factors of the group, and compute the statistics at placebo dates."""
        time = X.shape[1]
        always = (begin == 0) & (end == time)
        steps = np.arange(time)
        there = steps >= begin[:, None] if kind == 1 else steps < end[:, None]
        X = np.where(there, X, np.nan)
        observed = ~np.isnan(X)
        scores = stable_scores(X)
        residuals = Residuals.estimate(X, season, common, always)
        factors = residuals.components * np.sqrt(time)
        explained = residuals.explained_variance_ratio
        waves = np.empty((0, time)) if season is None else seasonal_waves(time, season)
        precision = [np.full(1 + len(waves), 1e-6), max(1 - explained.sum(), _MIN_NOISE) / explained]
        base = np.concatenate([np.ones((1, time)), waves, factors])
        design = Design(base, np.concatenate(precision), 1 + len(waves))
        dates = np.arange(_MIN_SIDE, time - _MIN_SIDE + 1)
        if len(dates) > _MAX_DATES:
            dates = dates[np.linspace(0, len(dates) - 1, _MAX_DATES).astype(int)]
        group = cls(items, X, observed, scores, design, kind, dates, np.empty((len(items), 0)))
        return group.with_placebo()

    def with_placebo(self, n_rising: int = 1) -> ShiftGroup:
        """Return it with the statistics of placebo courses that take this many steps to rise."""
        after = np.clip((np.arange(self.X.shape[1]) - self.dates[:, None] + (n_rising + 1) / 2) / n_rising, 0, 1)
        courses = after if self.kind == 1 else 1 - after
        shifts = estimate_shifts(self.scores, self.observed, courses, self.design)
        z = z_from_t(shifts.t, shifts.df[:, None])
        return replace(self, placebo=np.where(_enough(self.observed, courses), z, np.nan))

    def z_scores(self, courses: Floats, levels: Floats) -> Floats:
        """Return z-scores (n, q) of the fall of each item with each course (q, time).

        An item cannot lose more than the new one sells, ``levels`` (q,) a step. What goes beyond
        is no evidence, so a z-score is the signed root of the likelihood ratio up to that loss.
        """
        shifts = estimate_shifts(self.scores, self.observed, courses, self.design)
        largest = self._largest_fall(courses, levels) / shifts.standard_error
        beyond = np.maximum(shifts.t - largest, 0)
        squared = shifts.t**2 - beyond**2
        t = np.where(beyond > 0, np.sign(squared) * np.sqrt(np.abs(squared)), shifts.t)
        z = z_from_t(t, shifts.df[:, None])
        return np.where(_enough(self.observed, courses), z, -np.inf)

    def given(self, rows: Ints, course: Floats) -> ShiftGroup:
        """Return some items (rows) of the group, of which a course (time,) explains a part."""
        base = np.concatenate([self.design.base[:1], course[None], self.design.base[1:]])
        precision = np.concatenate([self.design.precision[:1], [1e-6], self.design.precision[1:]])
        return replace(
            self,
            items=self.items[rows],
            X=self.X[rows],
            observed=self.observed[rows],
            scores=self.scores[rows],
            design=Design(base, precision, self.design.n_fitted + 1),
        )

    def _largest_fall(self, courses: Floats, levels: Floats) -> Floats:
        """Return the fall of each item (n, q), in scores, if it lost as much as the other sells."""
        signed = is_signed(self.X)[:, None]
        roots = np.where(self.observed, np.sqrt(np.maximum(np.nan_to_num(self.X), 0)), 0)
        absent = (courses < 0.5).astype(np.float64).T  # (time, q)
        before = (roots @ absent) / np.maximum(self.observed @ absent, 1)
        fall = before - np.sqrt(np.maximum(before**2 - levels, 0))
        return np.where(signed | ~np.isfinite(levels), np.inf, fall / score_scale(self.X)[:, None])


def _enough(observed: Mask, courses: Floats) -> Mask:
    """Say which items (n, q) have enough observed steps with and without the other one."""
    present = (courses >= 0.5).astype(np.float64).T
    counts = observed @ present
    return np.asarray(np.minimum(counts, observed.sum(axis=1)[:, None] - counts) >= _MIN_SIDE)


def sales_levels(X: Floats, begin: Ints, end: Ints) -> Floats:
    """Return what each item (n,) sells a step while present, inf if its values have both signs.

    The mean of square roots, squared: single large orders count less.
    """
    steps = np.arange(X.shape[1])
    there = (steps >= begin[:, None]) & (steps < end[:, None]) & ~np.isnan(X)
    roots = np.where(there, np.sqrt(np.maximum(np.nan_to_num(X), 0)), 0)
    level = (roots.sum(axis=1) / np.maximum(there.sum(axis=1), 1)) ** 2
    return np.where(is_signed(X), np.inf, level)


class PlaceboNull:
    """The distribution of the z-scores of unrelated items, from placebo dates.

    Where many items fall at one date, z-scores of that date are centered and scaled. Suspects,
    items that fall at a real date, are left out: their fall would be seen at nearby dates too.
    """

    def __init__(self, groups: list[ShiftGroup]) -> None:
        self.dates = groups[0].dates
        self._items = np.concatenate([group.items for group in groups])
        placebo = np.concatenate([group.placebo for group in groups])
        self._center, self._scale = np.zeros(len(self.dates)), np.ones(len(self.dates))
        for date, z in enumerate(placebo.T):
            known = z[np.isfinite(z)]
            if len(known) >= _MIN_AT_DATE:
                self._center[date], self._scale[date] = max(0.0, float(np.median(known))), null_scale(known)
        self._placebo = (placebo - self._center) / self._scale
        self._sorted = np.empty(0)

    def standardize(self, z: Floats, step: int) -> Floats:
        """Remove from z-scores what all items have in common at this step."""
        date = int(np.abs(self.dates - step).argmin()) if len(self.dates) else -1
        return z if date < 0 else (z - self._center[date]) / self._scale[date]

    def leave_out(self, items: Ints) -> None:
        """Estimate the null distribution from all items but these."""
        kept = self._placebo[~np.isin(self._items, items)]
        self._sorted = np.sort(kept[np.isfinite(kept)])

    def p_values(self, z: Floats) -> Floats:
        """Return the larger of the p-values of a normal distribution and of the placebo dates.

        Beyond the highest half percent of the placebo dates the tail is exponential.
        """
        p = np.asarray(norm.sf(z), np.float64)
        n = len(self._sorted)
        if n < _MIN_FOR_NULL:
            return p
        k = max(_MIN_IN_TAIL, int(_TAIL * n))
        start = self._sorted[-k]
        mean_excess = max(float((self._sorted[-k:] - start).mean()), 1e-3)
        above = n - np.searchsorted(self._sorted, z, side="left")
        tail = k / n * np.exp(-np.maximum(z - start, 0) / mean_excess)
        return np.maximum(p, np.where(z > start, tail, (above + 1) / (n + 1)))

    @staticmethod
    def suspects(z: Floats) -> Mask:
        """Say which z-scores are too large for an unrelated item."""
        return np.asarray(norm.sf(z) < _SUSPECT)


def shifted(courses: Floats, max_lag: int) -> Iterator[tuple[int, Floats]]:
    """Yield each lag and the courses (q, time) delayed by it."""
    for lag in range(max_lag + 1):
        delayed = np.empty_like(courses)
        delayed[:, lag:] = courses[:, : courses.shape[1] - lag]
        delayed[:, :lag] = courses[:, :1]
        yield lag, delayed
