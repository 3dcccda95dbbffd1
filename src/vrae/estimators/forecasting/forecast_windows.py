"""Windows of the past: what was known of an item at an origin, and what came after it.

A window has a context, the ``n_context`` steps before an origin, and a future, the ``horizon``
steps from it on. Everything that a forecast uses (level, spread, group, features) comes from the
context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.item_scale import ItemScale, observed_mean
from vrae.exceptions import InvalidDataError

__all__ = ["AGES", "ForecastWindows", "age_class", "training_windows", "windows_at"]

Floats = npt.NDArray[np.float64]

# Age classes: lowest number of observed steps.
AGES = (1, 2, 3, 5, 9, 17, 33)
# A level below this multiple of the spread is too low to decay.
_MIN_LEVEL = 0.05
# The prior of no decay counts as many windows.
_PRIOR_WINDOWS = 30
# Maximum number of origins of training windows, and of training windows.
_MAX_ORIGINS = 12
_MAX_WINDOWS = 20_000
# Fraction of the training windows whose context is shortened, as if the item were new.
_SHORTENED = 0.35


@dataclass(frozen=True)
class ForecastWindows:
    """Scaled windows.

    Attributes
    ----------
    context : ndarray of shape (n, n_context)
        Scaled values. NaN where not observed.
    future : ndarray of shape (n, horizon)
        Values with the same scale. NaN where not known.
    scale : ItemScale
        Scale of each window, from its context.
    item : ndarray of int64, shape (n,)
        Index of the item.
    origin : ndarray of int64, shape (n,)
        Number of steps of the calendar before the future.
    """

    context: Floats
    future: Floats
    scale: ItemScale
    item: npt.NDArray[np.int64]
    origin: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.context)

    def select(self, indices: npt.NDArray[Any]) -> ForecastWindows:
        """Return the windows at ``indices``."""
        return ForecastWindows(
            self.context[indices],
            self.future[indices],
            self.scale.select(indices),
            self.item[indices],
            self.origin[indices],
        )

    def panel(self, with_future: bool = False) -> Panel:
        """Return contexts and futures as a panel. The future is missing unless asked for."""
        future = self.future if with_future else np.full_like(self.future, np.nan)
        return Panel.from_arrays(np.concatenate([self.context, future], axis=1).astype(np.float32))

    @property
    def age(self) -> npt.NDArray[np.int64]:
        """Observed steps of each context, (n,)."""
        return np.asarray((~np.isnan(self.context)).sum(axis=1))

    def known(self) -> npt.NDArray[np.bool_]:
        """Return which windows have observed values both in the context and in the future, (n,)."""
        return np.asarray(~np.isnan(self.context).all(axis=1) & ~np.isnan(self.future).all(axis=1))

    def level_decay(self, new_until: int) -> Floats:
        """Return the fraction of its level that a new item loses, by age class, (n_classes,).

        Many items are introduced high and settle. The fraction is the median over the windows of an
        age class, shrunk towards 0 if they are few.

        Parameters
        ----------
        new_until : int
            Windows of a higher age do not count. Age classes without windows have no decay.
        """
        lost = observed_mean(self.future) / np.where(self.scale.zero < -_MIN_LEVEL, self.scale.zero, np.nan)
        decay = np.zeros(len(AGES))
        classes = age_class(self.age)
        for k in range(len(AGES)):
            known = lost[(classes == k) & (self.age <= new_until) & ~np.isnan(lost)]
            if len(known):
                decay[k] = np.clip(np.median(known), 0, 1) * len(known) / (len(known) + _PRIOR_WINDOWS)
        return decay


def age_class(age: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the class of each age (n,): the position of the last of `AGES` not above it."""
    return np.asarray(np.clip(np.searchsorted(AGES, age, side="right") - 1, 0, len(AGES) - 1))


def windows_at(
    calendar: CalendarMatrix,
    origin: int,
    n_context: int,
    horizon: int,
    variation: float,
    max_age: npt.NDArray[np.int64] | None = None,
) -> ForecastWindows:
    """Return one window per item.

    Parameters
    ----------
    calendar : CalendarMatrix
    origin : int
        Number of known steps.
    n_context, horizon : int
        Steps before the origin, and from it on.
    variation : float
        See `ItemScale.fit`.
    max_age : ndarray of int64, shape (n_items,), optional
        Shorten each context to this many steps, up to the last observed one.
    """
    context = calendar.values[:, max(0, origin - n_context) : origin]
    context = np.pad(context, ((0, 0), (n_context - context.shape[1], 0)), constant_values=np.nan)
    if max_age is not None:
        context = _shorten(context, max_age)
    future = calendar.values[:, origin : origin + horizon]
    future = np.pad(future, ((0, 0), (0, horizon - future.shape[1])), constant_values=np.nan)
    scale = ItemScale.fit(context, variation)
    ended = np.isnan(context).all(axis=1)
    if ended.any():  # an item that ended before the context keeps the scale of its whole past
        past = ItemScale.fit(calendar.values[ended, :origin], variation)
        scale.level[ended], scale.spread[ended] = past.level, past.spread
    n = len(context)
    return ForecastWindows(scale.transform(context), scale.transform(future), scale, np.arange(n), np.full(n, origin))


def training_windows(
    calendar: CalendarMatrix, n_context: int, horizon: int, variation: float, rng: np.random.Generator
) -> ForecastWindows:
    """Return windows of all items at several origins of a calendar.

    Unless the calendar shows introductions of new items, random contexts are shortened.

    Raises
    ------
    InvalidDataError
        There are fewer than two windows with observed values.
    """
    n = calendar.n_steps
    # A short calendar knows only part of the future.
    last = n - horizon if n >= 2 * horizon else n - max(1, n // 3)
    first = max(1, min(horizon // 2, last))
    shortened = 0.0 if calendar.has_introductions() else _SHORTENED
    parts = []
    for origin in np.unique(np.linspace(first, last, _MAX_ORIGINS).astype(np.int64)):
        max_age = np.exp(rng.uniform(0, np.log(n_context + 1), len(calendar.values))).astype(np.int64)
        max_age = np.where(rng.random(len(max_age)) < shortened, max_age, n_context)
        windows = windows_at(calendar, int(origin), n_context, horizon, variation, max_age)
        parts.append(windows.select(np.flatnonzero(windows.known())))
    windows = _concatenate(parts)
    if len(windows) < 2:
        raise InvalidDataError(
            f"Found {len(windows)} windows with a past and a future in the first {n} steps of the series. Learning to "
            f"forecast {horizon} steps needs at least 2. Ask for a shorter horizon, or pass a longer past."
        )
    if len(windows) > _MAX_WINDOWS:
        windows = windows.select(np.sort(rng.permutation(len(windows))[:_MAX_WINDOWS]))
    return windows


def _concatenate(parts: list[ForecastWindows]) -> ForecastWindows:
    return ForecastWindows(
        np.concatenate([part.context for part in parts]),
        np.concatenate([part.future for part in parts]),
        ItemScale(
            np.concatenate([part.scale.level for part in parts]),
            np.concatenate([part.scale.spread for part in parts]),
        ),
        np.concatenate([part.item for part in parts]),
        np.concatenate([part.origin for part in parts]),
    )


def _shorten(context: Floats, max_age: npt.NDArray[np.int64]) -> Floats:
    """Hide all but the ``max_age`` (n,) steps up to the last observed one."""
    n_context = context.shape[1]
    last = n_context - 1 - np.argmax(~np.isnan(context)[:, ::-1], axis=1)
    return np.where(np.arange(n_context) > (last - max_age)[:, None], context, np.nan)
