"""Scaled windows of the past: what was known of an item at an origin, and what came after it.

A window has a context, the ``n_context`` steps before an origin, and a future, the ``horizon``
steps from it on. Everything that a forecast uses (level, spread, group, features) comes from the
context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.plan import ForecastPlan
from vrae.exceptions import InvalidDataError

__all__ = [
    "AGES",
    "CLIP",
    "INTERMITTENT",
    "ForecastWindows",
    "ItemScale",
    "Variation",
    "age_class",
    "observed_mean",
    "steps_a_season_ago",
    "training_windows",
    "typical_variation",
    "windows_at",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Scaled values are clipped to +-CLIP, so that one outlier cannot dominate a model.
CLIP = 10.0
# Demand is intermittent if more than this fraction of the steps is zero.
INTERMITTENT = 0.5
# An outlier is further from the median than this multiple of the 75 % quantile of all deviations.
_OUTLIER = 6.0
# The prior of an item's variance counts as many steps.
_PRIOR_STEPS = 4.0
# Age classes: lowest number of observed steps.
AGES = (1, 2, 3, 5, 9, 17, 33)
# A level below this multiple of the spread is too low to decay.
_MIN_LEVEL = 0.05
# The prior of no decay counts as many windows.
_PRIOR_WINDOWS = 30
# Maximum number of origins of training windows, and of training windows.
_MAX_ORIGINS = 12
_MAX_WINDOWS = 20_000
# Fraction of the items that are said to vary least.
_LEAST = 0.05
# Fraction of the training windows whose context is shortened, as if the item were new.
_SHORTENED = 0.35


# -------------------------------------------------------------------- scale


class Variation(NamedTuple):
    """How much the items of a panel usually vary."""

    relative: float  # median ratio of standard deviation to mean absolute value
    spread: float  # standard deviation of the items that vary least


@dataclass(frozen=True)
class ItemScale:
    """Level and spread of items, (n,): ``(values - level) / spread`` has no unit."""

    level: Floats
    spread: Floats

    @classmethod
    def fit(cls, context: Floats, variation: Variation) -> ItemScale:
        """Estimate level and spread of the rows of (n, n_context), robust to outliers.

        The relative variation of all items times the mean absolute value of an item is the prior of
        its spread, which matters for items with few steps. An item that shows no spread at all,
        such as one without a sale, has that of the items that vary least.
        """
        count, level, size, variance = _moments(context)
        prior = (variation.relative * size) ** 2
        spread = np.sqrt((count * variance + _PRIOR_STEPS * prior) / (count + _PRIOR_STEPS))
        return cls(level, np.where(spread > 1e-9 * size, spread, variation.spread))

    def transform(self, values: Floats) -> Floats:
        """Scale values (n, steps), and clip outliers."""
        return np.clip((values - self.level[:, None]) / self.spread[:, None], -CLIP, CLIP)

    def inverse_transform(self, scaled: Floats) -> Floats:
        """Return scaled values (n, steps) in the user's units."""
        return scaled * self.spread[:, None] + self.level[:, None]

    @property
    def zero(self) -> Floats:
        """Scaled value of 0 in the user's units, (n,)."""
        return np.clip(-self.level / self.spread, -CLIP, CLIP)


def typical_variation(context: Floats) -> Variation:
    """Return how much the rows of (n, n_steps) usually vary."""
    count, _, size, variance = _moments(context)
    known = (count >= 2 * _PRIOR_STEPS) & (size > 0)
    relative = float(np.median(np.sqrt(variance[known]) / size[known])) if known.any() else 1.0
    varies = variance > 0
    return Variation(relative, float(np.quantile(np.sqrt(variance[varies]), _LEAST)) if varies.any() else 1.0)


def observed_mean(values: Floats, axis: int = 1) -> Floats:
    """Return the mean of the observed values, or NaN where there are none."""
    observed = ~np.isnan(values)
    count = observed.sum(axis=axis)
    total = np.where(observed, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _moments(context: Floats) -> tuple[Any, ...]:
    """Return count (at least 1), mean, mean absolute value and variance of each row, each (n,)."""
    observed = ~np.isnan(context)
    count = np.maximum(observed.sum(axis=1), 1)
    context = _clip_outliers(context)
    level = np.where(observed, context, 0.0).sum(axis=1) / count
    size = np.where(observed, np.abs(context), 0.0).sum(axis=1) / count
    variance = np.where(observed, (context - level[:, None]) ** 2, 0.0).sum(axis=1) / count
    return count, level, size, variance


def _clip_outliers(context: Floats) -> Floats:
    """Clip outliers of each row (n, n_context) to the limit for normal values."""
    median = _quantile(context, 0.5)[:, None]
    deviation = np.abs(context - median)
    # If most steps are equal (no sales), the others alone define what is normal.
    typical = _quantile(np.where(deviation > 0, deviation, np.nan), 0.75)[:, None]
    limit = _OUTLIER * np.where(np.isnan(typical), np.inf, typical)
    return np.clip(context, median - limit, median + limit)


def _quantile(values: Floats, q: float) -> Floats:
    """Return the quantile of the observed values of each row. Much faster than ``np.nanquantile``.

    NaN for a row without any.
    """
    ordered = np.sort(values, axis=1)  # NaN last
    last = np.maximum((~np.isnan(values)).sum(axis=1) - 1, 0)
    position = q * last
    low = np.floor(position).astype(np.int64)
    row = np.arange(len(values))
    left, right = ordered[row, low], ordered[row, np.minimum(low + 1, last)]
    return np.asarray(left + (position - low) * (right - left))


# -------------------------------------------------------------------- windows


@dataclass(frozen=True)
class ForecastWindows:
    """Scaled windows. All have the same number of steps, with NaN where nothing is known."""

    context: Floats  # (n, n_context)
    future: Floats  # (n, horizon), in the scale of the context
    level: Floats  # (n,), see `ItemScale`
    spread: Floats  # (n,)
    item: Ints  # (n,), index of the item
    origin: Ints  # (n,), number of steps of the calendar before the future
    earlier: Floats  # (n, n_history - n_context), scaled steps before the context
    category: Ints  # (n,), see `Categories.codes`

    def __len__(self) -> int:
        return len(self.context)

    @classmethod
    def join(cls, parts: list[ForecastWindows]) -> ForecastWindows:
        """Return the windows of all parts, one part after the other."""
        return cls(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})

    def select(self, indices: Ints) -> ForecastWindows:
        """Return the windows at ``indices``."""
        return ForecastWindows(**{name: values[indices] for name, values in vars(self).items()})

    def panel(self, with_future: bool = False) -> Panel:
        """Return contexts and futures as a panel. The future is missing unless asked for."""
        future = self.future if with_future else np.full_like(self.future, np.nan)
        return Panel.from_arrays(np.concatenate([self.context, future], axis=1).astype(np.float32))

    @property
    def scale(self) -> ItemScale:
        """Scale of each window, from its context."""
        return ItemScale(self.level, self.spread)

    @property
    def age(self) -> Ints:
        """Observed steps of each context, (n,)."""
        return np.asarray((~np.isnan(self.context)).sum(axis=1))

    @property
    def history(self) -> Floats:
        """All steps that are kept, (n, n_history): those before the context, and the context."""
        return np.concatenate([self.earlier, self.context], axis=1)

    @property
    def zero_share(self) -> Floats:
        """Fraction of the observed steps of each context that are zero, (n,)."""
        is_zero = np.abs(self.context - self.scale.zero[:, None]) < 1e-6  # False for NaN
        return np.asarray(is_zero.sum(axis=1) / np.maximum(self.age, 1))

    def a_season_ago(self, season: int) -> Floats:
        """Return the scaled values a season before each step of the horizon, (n, horizon)."""
        return np.asarray(self.context[:, steps_a_season_ago(self.context.shape[1], season, self.future.shape[1])])

    def known(self) -> npt.NDArray[np.bool_]:
        """Return which windows have observed values both in the context and in the future, (n,)."""
        return np.asarray(~np.isnan(self.context).all(axis=1) & ~np.isnan(self.future).all(axis=1))

    def level_decay(self, new_until: int) -> Floats:
        """Return the fraction of its level that a new item loses, by age class, (n_classes,).

        Many items are introduced high and settle. The fraction is the median over the windows of an
        age class up to ``new_until``, shrunk towards 0 if they are few.
        """
        zero = self.scale.zero
        lost = observed_mean(self.future) / np.where(zero < -_MIN_LEVEL, zero, np.nan)
        decay = np.zeros(len(AGES))
        classes = age_class(self.age)
        for k in range(len(AGES)):
            known = lost[(classes == k) & (self.age <= new_until) & ~np.isnan(lost)]
            if len(known):
                decay[k] = np.clip(np.median(known), 0, 1) * len(known) / (len(known) + _PRIOR_WINDOWS)
        return decay


def steps_a_season_ago(n_context: int, season: int, horizon: int) -> Ints:
    """Return the steps of a context that are a season before those of the horizon, (horizon,)."""
    return np.asarray(n_context - season + np.arange(horizon) % season)


def age_class(age: Ints, ages: Sequence[int] = AGES) -> Ints:
    """Return the class of each age (n,): the position of the last of ``ages`` not above it."""
    return np.asarray(np.clip(np.searchsorted(ages, age, side="right") - 1, 0, len(ages) - 1))


def windows_at(
    calendar: CalendarMatrix, origin: int, plan: ForecastPlan, variation: Variation, max_age: Ints | None = None
) -> ForecastWindows:
    """Return one window per item, scaled with the `typical_variation` of all.

    ``max_age`` (n_items,) shortens each past to this many steps, up to the last observed one.
    """
    n_history, horizon = plan.n_history, plan.horizon
    past = calendar.values[:, max(0, origin - n_history) : origin]
    past = np.pad(past, ((0, 0), (n_history - past.shape[1], 0)), constant_values=np.nan)
    if max_age is not None:
        last = n_history - 1 - np.argmax(~np.isnan(past)[:, ::-1], axis=1)
        past = np.where(np.arange(n_history) > (last - max_age)[:, None], past, np.nan)
    earlier, context = np.split(past, [n_history - plan.n_context], axis=1)
    future = calendar.values[:, origin : origin + horizon]
    future = np.pad(future, ((0, 0), (0, horizon - future.shape[1])), constant_values=np.nan)
    scale = ItemScale.fit(context, variation)
    ended = np.isnan(context).all(axis=1)
    if ended.any():  # an item that ended before the context keeps the scale of its whole past
        ever = ItemScale.fit(calendar.values[ended, :origin], variation)
        scale.level[ended], scale.spread[ended] = ever.level, ever.spread
    return ForecastWindows(
        scale.transform(context),
        scale.transform(future),
        scale.level,
        scale.spread,
        item=np.arange(len(context)),
        origin=np.full(len(context), origin),
        earlier=scale.transform(earlier),
        category=plan.categories.codes(calendar.static, len(context)) if plan.categories else np.full(len(context), -1),
    )


def training_windows(
    calendar: CalendarMatrix, plan: ForecastPlan, variation: Variation, rng: np.random.Generator
) -> ForecastWindows:
    """Return windows of all items at several origins of a calendar.

    Unless the calendar shows introductions of new items, random contexts are shortened.
    """
    n, horizon, n_context = calendar.n_steps, plan.horizon, plan.n_context
    # A short calendar knows only part of the future.
    last = n - horizon if n >= 2 * horizon else n - max(1, n // 3)
    first = max(1, min(horizon // 2, last))
    shortened = 0.0 if calendar.has_introductions() else _SHORTENED
    parts = []
    for origin in np.unique(np.linspace(first, last, _MAX_ORIGINS).astype(np.int64)):
        max_age = np.exp(rng.uniform(0, np.log(n_context + 1), len(calendar.values))).astype(np.int64)
        max_age = np.where(rng.random(len(max_age)) < shortened, max_age, plan.n_history)
        windows = windows_at(calendar, int(origin), plan, variation, max_age)
        parts.append(windows.select(np.flatnonzero(windows.known())))
    windows = ForecastWindows.join(parts)
    if len(windows) < 2:
        raise InvalidDataError(
            f"Found {len(windows)} windows with a past and a future in the first {n} steps of the series. Learning to "
            f"forecast {horizon} steps needs at least 2. Ask for a shorter horizon, or pass a longer past."
        )
    if len(windows) > _MAX_WINDOWS:
        windows = windows.select(np.sort(rng.permutation(len(windows))[:_MAX_WINDOWS]))
    return windows
