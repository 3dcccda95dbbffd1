"""The season of items without time stamps, from their autocorrelation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vrae.data.sliding import lagged_products

__all__ = ["find_season"]

Floats = npt.NDArray[np.float64]

# A season must have been seen this many times.
_LEAST_TIMES = 2.5
# The mean autocorrelation at a season is at least this high, and as much above the lowest one
# between half of it and it. Of few values it is at least as many standard errors.
_LEAST_PEAK = 0.06
_STANDARD_ERRORS = 4.0
# An item with fewer steps says nothing.
_MIN_STEPS = 8
# A lag whose autocorrelation is this fraction of the highest one is as good: it is the shorter one
# that repeats.
_AS_GOOD = 0.8


def find_season(values: Floats) -> int:
    """Return the steps of the season of items (n, n_steps). 1 if there is none.

    It is the shortest lag at which the mean autocorrelation has a clear peak, and another one at
    twice the lag, if the series are long enough to show it.
    """
    longest = int(values.shape[1] / _LEAST_TIMES)
    if longest < 2:
        return 1
    correlation, pairs = _autocorrelation(values, min(2 * longest, values.shape[1] - 1))
    least = np.maximum(_LEAST_PEAK, _STANDARD_ERRORS / np.sqrt(np.maximum(pairs, 1)))
    peaks = [lag for lag in range(2, longest + 1) if _is_peak(correlation, lag, least[lag])]
    if not peaks:
        return 1
    highest = max(correlation[lag] for lag in peaks)
    return next(lag for lag in peaks if correlation[lag] >= _AS_GOOD * highest)


def _is_peak(correlation: Floats, lag: int, least: float) -> bool:
    """Return whether the autocorrelation is high at a lag, low before, and high at twice it."""
    here = correlation[lag]
    # A season of 2 steps alternates; others are low at about half of the season.
    rise = here - correlation[max(1, lag // 2) : lag].min()
    if here < least or rise < least or here < correlation[lag - 1 : lag + 2].max():
        return False
    again = correlation[2 * lag - 1 : 2 * lag + 2]
    return len(again) < 3 or bool(again.max() - correlation[lag + lag // 2 : 2 * lag].min() > rise / 2)


def _autocorrelation(values: Floats, longest: int) -> tuple[Floats, Floats]:
    """Return the mean autocorrelation of items without their trends, and the numbers of pairs.

    Both have the shape (longest + 1,).
    """
    steps = np.arange(values.shape[1], dtype=float)
    products, pairs = np.zeros((2, longest + 1))
    for series in values:
        known = ~np.isnan(series)
        if known.sum() < _MIN_STEPS or np.ptp(series[known]) == 0:
            continue
        trend = np.polynomial.Polynomial.fit(steps[known], series[known], 2)
        rest = np.where(known, series - trend(steps), 0.0)
        # Outliers are cut, so that none makes peaks of its own.
        limit = 3 * np.quantile(np.abs(rest[known]), 0.75)
        rest = np.clip(rest, -limit, limit)
        if (size := float((rest[known] ** 2).mean())) > 0:
            products += lagged_products(rest / np.sqrt(size))[: longest + 1]
            pairs += lagged_products(known)[: longest + 1]
    return np.where(pairs > 0.5, products / np.maximum(pairs, 1), 0.0), pairs
