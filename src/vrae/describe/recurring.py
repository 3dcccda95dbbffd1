"""What comes again: in the same month of every year, on the same weekday, at the same hour."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.arrays import Array, Ints
from vrae.data.calendar import local_times
from vrae.data.panel import Panel
from vrae.describe.curves import quiet_nan

__all__ = ["PARTS", "recurring_means"]

Floats = npt.NDArray[np.floating[Any]]

PARTS = {"month": 12, "weekday": 7, "hour": 24}
"""Parts of a year, of a week and of a day."""

_HOURS = {"month": 8766.0, "weekday": 168.0, "hour": 24.0}  # of a round
_LONGEST_STEP = {"month": 2300.0, "weekday": 36.0, "hour": 6.0}  # hours: quarters, business days, a quarter of a day
_LEAST_ROUNDS = {"month": 0.97, "weekday": 3.0, "hour": 3.0}  # that the dates must cover
_FOLDS = 4  # parts of the whole time, which must agree


def recurring_means(panel: Panel) -> dict[str, Floats]:
    """Measure by how much a series is above or below its mean in each month, weekday and hour.

    The whole time is split into up to four parts of whole years (weeks, days). A result counts as
    far as all parts agree: it is the one nearest to 0, or 0 if they differ in sign. A straight
    trend is taken off first if there are two parts or more.

    Returns
    -------
    dict of str to ndarray of shape (n_series, n_channels, n_parts)
        In standard deviations of the series. NaN for a series without a complete round, and for a
        part that the calendar does not have. Only what the calendar can tell: hours need steps
        below a day, months need a year.
    """
    calendar, times = panel.calendar, panel.times
    if calendar is None or times is None or not len(panel):
        return {}
    hours = (times - times.min()) / np.timedelta64(1, "h")
    span = float(hours.max()) + calendar.hours
    local = local_times(np.asarray(times), calendar.zone)
    found = {}
    for name, length in _HOURS.items():
        rounds = span / length
        if calendar.hours <= _LONGEST_STEP[name] and rounds >= _LEAST_ROUNDS[name]:
            folds = int(np.clip(rounds + 0.03, 1, _FOLDS))
            # Folds are whole rounds; what is left at the end belongs to the last.
            fold = np.minimum(hours // length // max(1, int(rounds + 0.03) // folds), folds - 1)
            found[name] = _agreed(panel, _part(name, local), fold.astype(np.int64), folds, PARTS[name])
    return found


def _part(name: str, local: Array) -> Ints:
    if name == "month":
        return np.asarray(local.astype("M8[M]").astype(np.int64) % 12)
    if name == "weekday":
        return np.asarray((local.astype("M8[D]").astype(np.int64) + 3) % 7)  # 1970-01-01 was a Thursday
    return np.asarray(local.astype("M8[h]").astype(np.int64) % 24)


def _agreed(panel: Panel, part: Ints, fold: Ints, n_folds: int, n_parts: int) -> Floats:
    """Return the deviation of each part on which all folds agree."""
    n = len(panel)
    owner = np.repeat(np.arange(n), panel.lengths)
    occurs = np.bincount(part, minlength=n_parts) > 0
    found = np.full((n, panel.n_channels, n_parts), np.nan)
    for channel in range(panel.n_channels):
        line = panel.values[:, channel].astype(np.float64)
        known = ~np.isnan(line)
        deviation = _standardised(line, known, owner, n, detrend=n_folds > 1)
        key = ((owner * n_folds + fold) * n_parts + part)[known]
        size = n * n_folds * n_parts
        count = np.bincount(key, minlength=size).reshape(n, n_folds, n_parts)
        total = np.bincount(key, deviation[known], minlength=size).reshape(n, n_folds, n_parts)
        mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        complete = (count > 0)[:, :, occurs].all(axis=2)
        mean[~complete] = np.nan
        with quiet_nan():
            low, high = np.nanmin(mean, axis=1), np.nanmax(mean, axis=1)
        found[:, channel] = np.where(low > 0, low, np.where(high < 0, high, np.where(np.isnan(low), np.nan, 0.0)))
    return found


def _standardised(line: Floats, known: npt.NDArray[np.bool_], owner: Ints, n: int, detrend: bool) -> Floats:
    """Return each series at mean 0 and standard deviation 1, if wanted without a straight trend."""

    def means(values: Floats) -> Floats:
        return np.asarray(np.bincount(owner[known], values[known], minlength=n) / count)

    count = np.maximum(np.bincount(owner[known], minlength=n), 1)
    centred = line - means(line)[owner]
    if detrend:
        time = np.arange(len(line), dtype=np.float64)
        time = time - means(time)[owner]
        slope = means(np.where(known, centred, 0.0) * time) / np.maximum(means(time**2), 1e-12)
        rest = centred - slope[owner] * time
    else:
        rest = centred
    spread = np.sqrt(means(np.where(known, centred, 0.0) ** 2))
    return np.asarray(rest / np.where(spread > 0, spread, 1.0)[owner])
