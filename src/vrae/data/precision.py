"""Choose float32 or float64 for the values of a panel.

float32 keeps about 7 digits. That is plenty for a series that varies around its level, and too
coarse for a meter at 3e9 that rises by 1: its steps would be lost before scaling takes the level
off. A panel therefore holds float32 values unless a series needs float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["COARSE", "FINE", "float_type", "narrowed", "rounding_noise"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# A spread below this fraction of the level is rounding noise, in values from float32 and float64.
COARSE, FINE = 1e-6, 1e-13

# float32 rounds a value by up to this fraction, and by up to this much near zero.
_ERROR, _LEAST_ERROR = 6e-8, 7e-46
# An error of at most this fraction of the range of a series changes nothing that matters.
_TOLERATED = 1e-4
# Values are checked this many at a time.
_SLICE_VALUES = 1 << 20


def narrowed(values: npt.NDArray[Any], lengths: Ints) -> Floats:
    """Return the values of series as float32, or as float64 if float32 is too coarse for a series.

    float32 is too coarse if its rounding error exceeds 1e-4 of the range of a series and channel,
    or if most steps from one value to the next are below a millionth of the level (a meter with a
    few zeros). Values that come from float32 need no more, and whole numbers are never noise.

    In a float64 result, series that do not need it are rounded to float32. So the values of a
    series do not depend on the others.

    Parameters
    ----------
    values : ndarray of real numbers, shape (total_steps, n_channels)
        All series, concatenated.
    lengths : ndarray of int64, shape (n_series,)

    Returns
    -------
    ndarray of float32 or float64, shape (total_steps, n_channels)
        float32 input is returned as it is. Values beyond the float32 range become infinite.
    """
    if values.dtype == np.float32:
        return values
    small = values.dtype.kind == "b" or values.dtype.itemsize < 4  # bool, int8, int16, float16: always exact
    wide = np.zeros((0, 0), bool) if small or not len(values) else _too_coarse(values, lengths)
    with np.errstate(over="ignore", under="ignore"):  # overflow gives inf, which `invalid_series` reports
        narrow = values.astype(np.float32)
        if not wide.any():
            return narrow
        exact = np.repeat(wide, lengths, axis=0) & ~np.isinf(narrow)
        return np.where(exact, values.astype(np.float64), narrow)


def float_type(level: npt.ArrayLike, spread: npt.ArrayLike) -> type[np.float32 | np.float64]:
    """Return the type for series of this level and spread: float64 if float32 is too coarse.

    A spread of 1 may stand for that of a constant series, which needs no precision.
    """
    level, spread = np.asarray(level), np.asarray(spread)
    coarse = (_ERROR * np.abs(level) > _TOLERATED * spread) & (spread != 1)
    return np.float64 if coarse.any() else np.float32


def rounding_noise(values: Floats, observed: Mask) -> npt.NDArray[np.float64]:
    """Return the fraction of the level below which the spread of a series is rounding noise.

    Parameters
    ----------
    values : ndarray, shape (batch, time, channel)
    observed : ndarray of bool, shape (batch, time, channel)

    Returns
    -------
    ndarray of float64, shape (batch, channel)
        `COARSE` for values from float32, else `FINE`. A float64 panel can hold both.
    """
    batch, _, channels = values.shape
    if values.dtype == np.float32:
        return np.full((batch, channels), COARSE)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        from_float32 = ((values.astype(np.float32) == values) | ~observed).all(axis=1)
        whole = ((np.rint(values) == values) | ~observed).all(axis=1)
    return np.where(from_float32 & ~whole, COARSE, FINE)


# -------------------------------------------------------------------- the check


def _too_coarse(values: npt.NDArray[Any], lengths: Ints) -> Mask:
    """Return whether float32 is too coarse for each series and channel, (n_series, n_channels)."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    shape = (len(lengths), values.shape[1])
    low, high = np.full(shape, np.nan), np.full(shape, np.nan)
    changes, hidden = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        for own, starts, part in _slices(values, offsets):
            low[own] = np.fmin(low[own], np.fmin.reduceat(part, starts))
            high[own] = np.fmax(high[own], np.fmax.reduceat(part, starts))
            change, size = np.abs(np.diff(part, axis=0, append=np.nan)), np.abs(part)
            change[starts[1:] - 1] = np.nan  # between two series
            visible = change > FINE * size
            changes[own] += np.add.reduceat(visible, starts, dtype=np.int64)
            hidden[own] += np.add.reduceat(visible & (change < COARSE * size), starts, dtype=np.int64)
        largest, extent = np.fmax(np.abs(low), np.abs(high)), high - low
        near = _ERROR * largest + _LEAST_ERROR > _TOLERATED * extent
        wide: Mask = (extent > FINE * largest) & (near | (2 * hidden > changes))
    if not wide.any():
        return wide
    fractional, rounded = np.zeros(shape, bool), np.zeros(shape, bool)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for own, starts, part in _slices(values, offsets):
            known = ~np.isnan(part)
            rounded[own] |= np.logical_or.reduceat((part.astype(np.float32) != part) & known, starts)
            fractional[own] |= np.logical_or.reduceat((np.rint(part) != part) & known, starts)
    return wide & (rounded | ~fractional)


def _slices(values: npt.NDArray[Any], offsets: Ints) -> Iterator[tuple[slice, Ints, npt.NDArray[np.float64]]]:
    """Yield slices of bounded size: the series in each, where these begin in it, and the values."""
    steps = max(1, _SLICE_VALUES // max(1, values.shape[1]))
    for start in range(0, len(values), steps):
        end = min(start + steps, len(values))
        first = int(np.searchsorted(offsets, start, side="right")) - 1
        last = int(np.searchsorted(offsets, end, side="left"))
        yield slice(first, last), np.maximum(offsets[first:last] - start, 0), values[start:end].astype(np.float64)
