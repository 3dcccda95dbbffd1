"""What comes again: in the same month of every year, on the same weekday, at the same hour."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.arrays import Array, Ints
from vrae.data.calendar import local_times
from vrae.data.panel import Panel
from vrae.describe.curves import quiet_nan

__all__ = ["PARTS", "recurring_means"]

Floats = npt.NDArray[np.floating[Any]]

PARTS = {"month": 12, "weekday": 7, "hour": 24, "alike": 1}
"""Parts of a year, of a week and of a day; "alike" is one number."""

_HOURS = {"month": 8766.0, "weekday": 168.0, "hour": 24.0}  # of a round
_LONGEST_STEP = {"month": 2300.0, "weekday": 36.0, "hour": 6.0}  # hours: quarters, business days, a quarter of a day
_LEAST_ROUNDS = {"month": 1.97, "weekday": 3.0, "hour": 3.0}  # that the dates must cover
_FOLDS = 4  # parts of the whole time, which must agree
_LAST_ROUND = 0.75  # of a round: more of it counts as a round of its own
_TWICE = 0.9  # of the months (weekdays, hours), which a series must have in two folds


def recurring_means(panel: Panel) -> dict[str, Floats]:
    """Measure by how much a series is above or below its mean in each month, weekday and hour.

    The time of each series is split into up to four folds of whole years (weeks, days). A result
    counts as far as all folds agree in which it is known, at least two: it is the one nearest to
    0, or 0 if they differ in sign. Neither a straight trend nor a change from fold to fold counts.

    Returns
    -------
    dict of str to ndarray of shape (n_series, n_channels, n_parts)
        In standard deviations of the series. NaN for a part that is known in fewer than two folds,
        and for a series with several of these. Only what the calendar can tell: hours need steps
        below a day, months need two years. With months, "alike" is the mean correlation between
        the months of two folds.
    """
    calendar, times = panel.calendar, panel.times
    if calendar is None or times is None or not len(panel):
        return {}
    span = float((times.max() - times.min()) / np.timedelta64(1, "h")) + calendar.hours
    local = local_times(np.asarray(times), calendar.zone)
    found = {}
    for name, length in _HOURS.items():
        if calendar.hours <= _LONGEST_STEP[name] and span / length >= _LEAST_ROUNDS[name]:
            index, part = _part(name, local)
            found[name], alike = _agreed(panel, part, _folds(panel, index, PARTS[name]), PARTS[name])
            if name == "month":
                found["alike"] = alike
    return found


def _part(name: str, local: Array) -> tuple[Ints, Ints]:
    """Return the number of each month (day, hour) since 1970, and within its year (week, day)."""
    index: Ints = local.astype({"month": "M8[M]", "weekday": "M8[D]", "hour": "M8[h]"}[name]).astype(np.int64)
    return index, (index + 3 * (name == "weekday")) % PARTS[name]  # 1970-01-01 was a Thursday


def _folds(panel: Panel, index: Ints, n_parts: int) -> Ints:
    """Return the fold of each step: whole rounds from the first value of its series on."""
    owner = np.repeat(np.arange(len(panel)), panel.lengths)
    first, last = index[panel.offsets[:-1]], index[panel.offsets[1:] - 1]
    rounds = np.maximum(((last - first + 1) / n_parts + 1 - _LAST_ROUND).astype(np.int64), 1)
    own = np.clip((index - first[owner]) // n_parts, 0, rounds[owner] - 1)  # what is left belongs to the last
    return np.asarray(own * np.minimum(rounds, _FOLDS)[owner] // rounds[owner])


def _agreed(panel: Panel, part: Ints, fold: Ints, n_parts: int) -> tuple[Floats, Floats]:
    """Return the deviation of each part on which all folds agree, and how alike the folds are."""
    n = len(panel)
    owner = np.repeat(np.arange(n), panel.lengths)
    occurs = np.bincount(part, minlength=n_parts) > 0
    found = np.full((n, panel.n_channels, n_parts), np.nan)
    alike = np.full((n, panel.n_channels, 1), np.nan)
    for channel in range(panel.n_channels):
        line = panel.values[:, channel].astype(np.float64)
        known = ~np.isnan(line)
        key = ((owner * _FOLDS + fold) * n_parts + part)[known]
        size = n * _FOLDS * n_parts
        count = np.bincount(key, minlength=size).reshape(n, _FOLDS, n_parts)
        means = []
        for deviation in _standardised(line, known, owner, owner * _FOLDS + fold):
            total = np.bincount(key, deviation[known], minlength=size).reshape(n, _FOLDS, n_parts)
            means.append(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
        agreed = _nearest_to_0(np.concatenate(means, axis=1))
        twice = (count > 0).sum(axis=1) >= 2
        twice &= (twice.sum(axis=1) >= _TWICE * occurs.sum())[:, None]
        found[:, channel] = np.where(twice, agreed, np.nan)
        alike[:, channel, 0] = _correlation(means[0])
    return found, alike


def _correlation(folds: Floats) -> Floats:
    """Return the mean correlation of two folds of (n_series, n_folds, n_parts)."""
    pairs = []
    with quiet_nan(), np.errstate(invalid="ignore", divide="ignore"):
        for one, other in combinations(range(folds.shape[1]), 2):
            both = np.isfinite(folds[:, one] + folds[:, other])
            a, b = (np.where(both, folds[:, fold], np.nan) for fold in (one, other))
            a, b = (x - np.nanmean(x, axis=1, keepdims=True) for x in (a, b))
            pairs.append(np.nansum(a * b, axis=1) / np.sqrt(np.nansum(a**2, axis=1) * np.nansum(b**2, axis=1)))
        return np.asarray(np.nanmean(pairs, axis=0))


def _nearest_to_0(values: Floats) -> Floats:
    """Return of each column what all values reach, 0 if they differ in sign."""
    with quiet_nan():
        low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    return np.where(low > 0, low, np.where(high < 0, high, np.where(np.isnan(low), np.nan, 0.0)))


def _standardised(line: Floats, known: npt.NDArray[np.bool_], owner: Ints, fold: Ints) -> tuple[Floats, Floats]:
    """Return each series at mean 0 and standard deviation 1, without its trend in two ways.

    A straight line does not follow a step, and means of folds do not follow a line: what recurs is
    left by both.
    """

    def means(values: Floats, group: Ints) -> Floats:
        size = int(group.max()) + 1
        count = np.maximum(np.bincount(group[known], minlength=size), 1)
        return np.asarray((np.bincount(group[known], values[known], minlength=size) / count)[group])

    centred = line - means(line, owner)
    time = np.arange(len(line), dtype=np.float64)
    time = time - means(time, owner)
    slope = means(centred * time, owner) / np.maximum(means(time**2, owner), 1e-12)
    spread = np.sqrt(means(centred**2, owner))
    spread = np.where(spread > 0, spread, 1.0)
    return (centred - slope * time) / spread, (line - means(line, fold)) / spread
