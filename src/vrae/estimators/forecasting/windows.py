"""Items on one calendar, and windows of it: what was known at an origin, and what came after.

A window is a context of ``n_context`` steps up to an origin, and the ``horizon`` steps after it. Everything that a
forecast rests on (level, spread, group, features) is worked out from the context alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.exceptions import InvalidDataError

__all__ = [
    "AGES",
    "CLIP",
    "Course",
    "Scale",
    "Windows",
    "age_class",
    "observed_mean",
    "training_windows",
    "windows_at",
]

Floats = npt.NDArray[np.float64]

# Ages (observed steps) from which on items are of another kind.
AGES = (1, 2, 3, 5, 9, 17, 33)
# A level of less than so many spreads is not one that can be lost; so many windows are few.
_LEVEL = 0.05
_FEW = 30
# A scaled value beyond this counts as this: one outlier must not rule a model.
CLIP = 10.0
# A step further from the median than this many times the upper quartile of all departures is an outlier.
_OUTLIER = 6.0
# So many observed steps weigh as much as what is usual among all items when the spread of one is estimated.
_PRIOR_STEPS = 4.0
# Origins of training windows, training windows in all, and the share whose history is cut short: new items have little.
_ORIGINS = 12
_MOST_WINDOWS = 20_000
_SHORTENED = 0.35
# With so many items that began on the calendar, these show what new ones do, and no history is cut short.
_BEGINNINGS = 100


@dataclass(frozen=True)
class Course:
    """Items on one calendar.

    Attributes
    ----------
    values : ndarray of float64, shape (n_items, n_steps)
        NaN where nothing was observed: before an item's introduction, in gaps, after its end.
    times : ndarray, shape (n_steps,), or None
        Time stamps of the calendar.
    """

    values: Floats
    times: npt.NDArray[Any] | None = None

    @classmethod
    def of(cls, panel: Panel, most_steps: int) -> Course:
        """Lay the series of a panel on the calendar of their time stamps; without stamps, all end now.

        Parameters
        ----------
        panel : Panel
            Of one channel.
        most_steps : int
            Earlier steps are left out.

        Raises
        ------
        InvalidDataError
            There are several channels.
        """
        if panel.n_channels != 1:
            raise InvalidDataError(
                f"A forecast is of one value a step; found {panel.n_channels} channels: {', '.join(panel.channels)}. "
                f"Name the one to forecast with value=."
            )
        row = np.repeat(np.arange(len(panel)), panel.lengths)
        if panel.times is None:
            times = None
            n_steps = int(panel.lengths.max())
            step = n_steps - np.repeat(panel.offsets[1:], panel.lengths) + np.arange(len(row))
        else:
            times, step = np.unique(panel.times, return_inverse=True)
            n_steps = len(times)
        first = max(0, n_steps - most_steps)
        recent = step >= first
        values = np.full((len(panel), n_steps - first), np.nan)
        values[row[recent], step[recent] - first] = panel.values[recent, 0]
        return cls(values, None if times is None else times[first:])

    @property
    def n_steps(self) -> int:
        """Steps of the calendar."""
        return self.values.shape[1]

    @property
    def first(self) -> npt.NDArray[np.int64]:
        """First observed step of each item, (n_items,); ``n_steps`` where there is none."""
        observed = ~np.isnan(self.values)
        return np.asarray(np.where(observed.any(axis=1), observed.argmax(axis=1), self.n_steps))

    def shows_beginnings(self) -> bool:
        """Tell whether enough items were introduced while the calendar ran.

        They start high and settle, or start from nothing; an old item of which only a few steps are looked at does not.
        """
        return int(((self.first > 0) & (self.first < self.n_steps)).sum()) >= _BEGINNINGS

    def until(self, n_steps: int) -> Course:
        """Return what was known after the first ``n_steps``."""
        return Course(self.values[:, :n_steps], None if self.times is None else self.times[:n_steps])

    def next_times(self, horizon: int) -> npt.NDArray[Any] | None:
        """Return the stamps (horizon,) of the steps to come, where those so far keep a rhythm; else None."""
        if self.times is None or len(self.times) < 2:
            return None
        ahead = np.arange(1, horizon + 1)
        if self.times.dtype.kind == "M":
            for early in (np.timedelta64(0, "D"), np.timedelta64(1, "D")):  # the last day is one before a first day
                times = self.times + early
                months = times.astype("datetime64[M]")
                within = times - months.astype(times.dtype)
                gaps = np.unique(np.diff(months.astype(np.int64)))
                if len(gaps) == 1 and gaps[0] > 0 and len(np.unique(within)) == 1:
                    return (months[-1] + ahead * gaps[0]).astype(times.dtype) + within[0] - early
        gaps = np.unique(np.diff(self.times))
        if len(gaps) > 1 and not (gaps.dtype.kind == "f" and np.ptp(gaps) < 1e-6 * gaps.max()):
            return None
        return np.asarray(self.times[-1] + ahead * gaps[0])


@dataclass(frozen=True)
class Scale:
    """Level and spread, each (n,): ``(values - level) / spread`` is free of units."""

    level: Floats
    spread: Floats

    @classmethod
    def of(cls, context: Floats, variation: float) -> Scale:
        """Work out the scale of contexts (n, n_context).

        The spread of a few steps is drawn towards what is usual: ``variation`` times the mean size of a value.
        """
        observed = ~np.isnan(context)
        count = np.maximum(observed.sum(axis=1), 1)
        level, size, variance = _moments(_without_outliers(context), observed, count)
        usual = (variation * size) ** 2
        spread = np.sqrt((count * variance + _PRIOR_STEPS * usual) / (count + _PRIOR_STEPS))
        return cls(level, np.where(spread > 1e-9 * np.maximum(size, 1e-30), spread, 1.0))

    def apply(self, values: Floats) -> Floats:
        """Scale values (n, steps)."""
        return np.clip((values - self.level[:, None]) / self.spread[:, None], -CLIP, CLIP)

    def undo(self, scaled: Floats) -> Floats:
        """Return values (n, steps) in the user's units."""
        return scaled * self.spread[:, None] + self.level[:, None]

    @property
    def zero(self) -> Floats:
        """Where 0 of the user's units lies, (n,), scaled."""
        return np.clip(-self.level / self.spread, -CLIP, CLIP)


def usual_variation(context: Floats) -> float:
    """Return the median over contexts of their standard deviation beside the mean size of their values."""
    observed = ~np.isnan(context)
    count = np.maximum(observed.sum(axis=1), 1)
    _, size, variance = _moments(_without_outliers(context), observed, count)
    known = (observed.sum(axis=1) >= 2 * _PRIOR_STEPS) & (size > 0)
    return float(np.median(np.sqrt(variance[known]) / size[known])) if known.any() else 1.0


def _moments(context: Floats, observed: npt.NDArray[np.bool_], count: npt.NDArray[Any]) -> tuple[Floats, ...]:
    level = np.where(observed, context, 0.0).sum(axis=1) / count
    size = np.where(observed, np.abs(context), 0.0).sum(axis=1) / count
    variance = np.where(observed, (context - level[:, None]) ** 2, 0.0).sum(axis=1) / count
    return level, size, variance


def _without_outliers(context: Floats) -> Floats:
    """Bring outliers of each context (n, n_context) to the edge of what is usual in it."""
    middle = _quantile(context, 0.5)[:, None]
    departure = np.abs(context - middle)
    # Where most steps are alike (no sale), only those that are not can say what is usual.
    usual = _quantile(np.where(departure > 0, departure, np.nan), 0.75)[:, None]
    edge = _OUTLIER * np.where(np.isnan(usual), np.inf, usual)
    return np.clip(context, middle - edge, middle + edge)


def _quantile(values: Floats, q: float) -> Floats:
    """Quantile of the observed values of each row; NaN where there is none. Much faster than numpy's nanquantile."""
    ordered = np.sort(values, axis=1)  # NaN last
    last = np.maximum((~np.isnan(values)).sum(axis=1) - 1, 0)
    at = q * last
    low = np.floor(at).astype(np.int64)
    rows = np.arange(len(values))
    left, right = ordered[rows, low], ordered[rows, np.minimum(low + 1, last)]
    return np.asarray(left + (at - low) * (right - left))


@dataclass(frozen=True)
class Windows:
    """Scaled windows.

    Attributes
    ----------
    context : ndarray, shape (n, n_context)
        Scaled; NaN where not observed.
    future : ndarray, shape (n, horizon)
        Scaled in the same way; NaN where not (yet) known.
    scale : Scale
    item : ndarray of int64, shape (n,)
        Row of the item.
    origin : ndarray of int64, shape (n,)
        Steps of the calendar that were known.
    """

    context: Floats
    future: Floats
    scale: Scale
    item: npt.NDArray[np.int64]
    origin: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.context)

    def select(self, rows: npt.NDArray[Any]) -> Windows:
        """Return the windows at these rows."""
        scale = Scale(self.scale.level[rows], self.scale.spread[rows])
        return Windows(self.context[rows], self.future[rows], scale, self.item[rows], self.origin[rows])

    def panel(self, with_future: bool = False) -> Panel:
        """Return contexts and futures as one panel for the network; the future missing unless asked for."""
        future = self.future if with_future else np.full_like(self.future, np.nan)
        return Panel.from_arrays(np.concatenate([self.context, future], axis=1).astype(np.float32))

    @property
    def age(self) -> npt.NDArray[np.int64]:
        """Observed steps of each context, (n,)."""
        return np.asarray((~np.isnan(self.context)).sum(axis=1))

    def fading(self, new_until: int) -> Floats:
        """Return the share of its level that a new item of each age class loses by its future, (n_classes,).

        Many are introduced high, and settle: the median over the windows of an age, and 0 for older ones.
        """
        lost = observed_mean(self.future) / np.where(self.scale.zero < -_LEVEL, self.scale.zero, np.nan)
        fading = np.zeros(len(AGES))
        own = age_class(self.age)
        for at in range(len(AGES)):
            known = lost[(own == at) & (self.age <= new_until) & ~np.isnan(lost)]
            if len(known):
                # A few say little: the median is drawn towards nothing lost.
                fading[at] = np.clip(np.median(known), 0, 1) * len(known) / (len(known) + _FEW)
        return fading


def age_class(age: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the class of each age (n,): the last of `AGES` that it has reached."""
    return np.asarray(np.clip(np.searchsorted(AGES, age, side="right") - 1, 0, len(AGES) - 1))


def windows_at(
    course: Course,
    origin: int,
    n_context: int,
    horizon: int,
    variation: float,
    keep: npt.NDArray[np.int64] | None = None,
) -> Windows:
    """Return one window for each item at an origin; ``keep`` (n_items,): only so many steps up to the last are seen."""
    context = course.values[:, max(0, origin - n_context) : origin]
    context = np.pad(context, ((0, 0), (n_context - context.shape[1], 0)), constant_values=np.nan)
    if keep is not None:
        context = _shorten(context, keep)
    future = course.values[:, origin : origin + horizon]
    future = np.pad(future, ((0, 0), (0, horizon - future.shape[1])), constant_values=np.nan)
    scale = Scale.of(context, variation)
    nothing = np.isnan(context).all(axis=1)
    if nothing.any():  # an item that ended long ago is forecast from what there was
        long_ago = Scale.of(course.values[nothing, :origin], variation)
        scale.level[nothing], scale.spread[nothing] = long_ago.level, long_ago.spread
    n = len(context)
    return Windows(scale.apply(context), scale.apply(future), scale, np.arange(n), np.full(n, origin))


def training_windows(
    course: Course, n_context: int, horizon: int, variation: float, rng: np.random.Generator
) -> Windows:
    """Return windows of all items at several origins; all that is in them lies within the course."""
    n = course.n_steps
    last = n - horizon if n >= 2 * horizon else n - max(1, n // 3)  # short courses have part of a future only
    first = max(1, min(horizon // 2, last))
    shortened = 0.0 if course.shows_beginnings() else _SHORTENED
    parts = []
    for origin in np.unique(np.linspace(first, last, _ORIGINS).astype(np.int64)):
        keep = np.exp(rng.uniform(0, np.log(n_context + 1), len(course.values))).astype(np.int64)
        keep = np.where(rng.random(len(keep)) < shortened, keep, n_context)
        windows = windows_at(course, int(origin), n_context, horizon, variation, keep)
        known = ~np.isnan(windows.context).all(axis=1) & ~np.isnan(windows.future).all(axis=1)
        parts.append(windows.select(np.flatnonzero(known)))
    every = _joined(parts)
    if len(every) > _MOST_WINDOWS:
        every = every.select(np.sort(rng.permutation(len(every))[:_MOST_WINDOWS]))
    return every


def _joined(parts: list[Windows]) -> Windows:
    def column(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    scale = Scale(np.concatenate([p.scale.level for p in parts]), np.concatenate([p.scale.spread for p in parts]))
    return Windows(column("context"), column("future"), scale, column("item"), column("origin"))


def _shorten(context: Floats, keep: npt.NDArray[np.int64]) -> Floats:
    """Blank all but the ``keep`` (n,) steps up to the last observed one."""
    n_context = context.shape[1]
    last = n_context - 1 - np.argmax(~np.isnan(context)[:, ::-1], axis=1)
    return np.where(np.arange(n_context) > (last - keep)[:, None], context, np.nan)


def observed_mean(values: Floats, axis: int = 1) -> Floats:
    """Mean of the observed values; NaN where there is none."""
    observed = ~np.isnan(values)
    count = observed.sum(axis=axis)
    total = np.where(observed, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
