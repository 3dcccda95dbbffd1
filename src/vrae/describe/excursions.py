"""What happened once: a month that is far above or below those around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.arrays import Ints
from vrae.data.calendar import local_times
from vrae.data.panel import Panel

__all__ = ["excursions"]

Floats = npt.NDArray[np.floating[Any]]

_LONGEST_STEP = 800.0  # hours: months
_LEAST_MONTHS = 6
_AROUND = 4  # nearest months, which say what is usual
_CLEAR = 5.0  # robust standard deviations of all months from what is usual
_LARGE = 0.5  # of the range of the months without a straight trend
_RIVAL = 0.4  # of the largest: another month as far out makes it one of several
_HALF_FULL = 0.5  # of the usual number of values: a month with fewer is left out


def excursions(panel: Panel) -> tuple[Floats, Floats]:
    """Find in each series the month that lies far off a straight line through those around it.

    Returns
    -------
    month : ndarray of shape (n_series, n_channels)
        Months since January 1970, in local time. NaN without such a month, or with several.
    size : ndarray of shape (n_series, n_channels)
        Distance as a part of the range of all months, below 0 if the month is low. 0 if no month
        is clear.
    """
    shape = (len(panel), panel.n_channels)
    month, size = np.full(shape, np.nan), np.zeros(shape)
    calendar, times = panel.calendar, panel.times
    if calendar is None or times is None or calendar.hours > _LONGEST_STEP:
        return month, size
    months = local_times(np.asarray(times), calendar.zone).astype("M8[M]").astype(np.int64)
    for i, (start, stop) in enumerate(zip(panel.offsets[:-1], panel.offsets[1:], strict=True)):
        for channel in range(panel.n_channels):
            when, means = _monthly(months[start:stop], panel.values[start:stop, channel].astype(np.float64))
            if len(means) >= _LEAST_MONTHS and np.ptp(means) > 0:
                at, size[i, channel] = _farthest(when, means)
                month[i, channel] = np.nan if at is None else when[at]
    return month, size


def _monthly(months: Ints, line: Floats) -> tuple[Ints, Floats]:
    """Return the months of a series that are about complete, and their means."""
    known = ~np.isnan(line)
    if not known.any():
        return months[:0], line[:0]
    first = int(months[0])
    count = np.bincount(months[known] - first)
    full = np.flatnonzero(count >= max(1.0, _HALF_FULL * float(np.median(count[count > 0]))))
    total = np.bincount(months[known] - first, line[known])
    return full + first, np.asarray(total[full] / count[full])


def _farthest(when: Ints, means: Floats) -> tuple[int | None, float]:
    """Return the month farthest from the line through the months around it, and how far it is."""
    far, error = _distances(when, means)
    at = int(np.argmax(np.abs(far / error)))
    others = np.delete(np.arange(len(far)), at)
    usual = 1.4826 * float(np.median(np.abs(far[others] / error[others])))
    rest = means - np.polyval(np.polyfit(when[others] - when[at], means[others], 1), when - when[at])
    size = float(far[at] / max(float(np.ptp(rest)), 1e-12 * float(np.abs(means).max())))
    if abs(far[at]) <= _CLEAR * usual * error[at] or abs(size) < _LARGE:
        return None, 0.0
    # The months around an excursion lie on a line that it has tilted.
    apart = others[np.abs(when[others] - when[at]) > _AROUND]
    is_single = not len(apart) or np.abs(far[apart]).max() < _RIVAL * abs(far[at])
    return (at if is_single else None), float(np.clip(size, -1.0, 1.0))


def _distances(when: Ints, means: Floats) -> tuple[Floats, Floats]:
    """Return how far each month is from a straight line through the nearest other ones.

    Also by how much noise that is multiplied: the first and last months are farther from a line
    that ends before them.
    """
    gap = np.abs(when[:, None] - when[None]).astype(np.float64)
    np.fill_diagonal(gap, np.inf)
    near = np.argsort(gap, axis=1, kind="stable")[:, :_AROUND]
    time = (when[near] - when[:, None]).astype(np.float64)
    values = means[near]
    centre, level = time.mean(axis=1), values.mean(axis=1)
    off = time - centre[:, None]
    slope = (off * values).sum(axis=1) / (off**2).sum(axis=1)
    error = np.sqrt(1 + 1 / near.shape[1] + centre**2 / (off**2).sum(axis=1))
    return np.asarray(means - (level - slope * centre)), np.asarray(error)
