"""When each cluster is high: by month, weekday and hour, and along the calendar.

Every series is compared with its own mean, so that large series do not decide for small ones.
Dates are on the clock of the zone of the panel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import local_times
from vrae.data.panel import Panel
from vrae.describe.curves import cut_off, quiet_nan
from vrae.describe.time_bins import Bins, calendar_bins, seasonal_bins
from vrae.describe.words import cluster_labels

__all__ = ["Levels", "Seasons", "when_high"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]

_MAX_MEMBERS = 2000  # a larger cluster is measured on a random sample
_COVERED = 0.8  # of the bins of a season: a series with fewer says nothing about it
_LEAST_SHARE = 0.1  # of a cluster's series that a season needs
_LEAST_MEMBERS = 3  # a season needs as many, in a cluster that has them
_NEGATIVE = 0.02  # of the total size of all values; with more, ratios to the mean say nothing
_FLAT = 0.05  # coefficient of variation below which ratios to the mean say nothing
_NOTHING = 0.1  # of the own mean: a bin of a series with about no sales
_RARE = 0.25  # with more such bins, medians say nothing
_REPEATED = 0.1  # variance of the time within bins, in cycles, that tells a trend from a season
_CYCLES = 1.5  # of data from which a series must show whether its season is a trend
_IDLE = 2  # times the longest zeros within: zeros at an end that are longer are no part of its life
_EDGE = 0.05  # of its steps, or more
_CHANCE = 0.01  # that any bin of a cluster is called certain by chance


@dataclass(frozen=True, eq=False)
class Levels:
    """Typical level of every cluster in bins of time, relative to its own mean.

    Attributes
    ----------
    bins : Bins
    values : ndarray of shape (n_clusters, n_channels, n_bins)
        Multiple of the own mean, or standard deviations from it; see ``Seasons.is_ratio``. NaN
        where too few series have values.
    certain : ndarray of bool, same shape
        Whether the series of the cluster agree that the level differs from the mean.
    """

    bins: Bins
    values: Floats
    certain: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Seasons:
    """When each cluster is high.

    Attributes
    ----------
    labels : list of int
        The clusters, in the order of the rows of all levels; noise last.
    is_ratio : tuple of bool
        For every channel: whether levels are multiples of the mean. Otherwise (values below zero,
        or small swings around a high level), they are standard deviations from the mean.
    profiles : tuple of Levels
        By "month", "weekday", "hour" and "hour of the week", as far as the dates allow.
    calendar : Levels or None
        Along the calendar.
    repeats : bool
        Whether there are at least one and a half years, so that a trend does not look like months.
    """

    labels: list[int]
    is_ratio: tuple[bool, ...]
    profiles: tuple[Levels, ...]
    calendar: Levels | None
    repeats: bool


def when_high(panel: Panel, labels: npt.ArrayLike, max_channels: int = 8) -> Seasons | None:
    """Measure when each cluster is high. None if the steps have no dates.

    Parameters
    ----------
    panel : Panel
    labels : array of shape (n_series,)
        Cluster of each series, -1 = not assigned.
    max_channels : int, default=8
        Further channels are left out.
    """
    labels = np.asarray(labels, int)
    if panel.times is None or panel.times.dtype.kind != "M" or not len(panel):
        return None
    rows = _sample(labels)
    part, labels = panel.select(rows), labels[rows]
    wall = local_times(np.asarray(part.times), part.zone)
    X = part.values[:, :max_channels].astype(np.float64)
    owner = np.repeat(np.arange(len(part)), part.lengths)
    is_ratio = tuple(_suits_ratio(x, owner) for x in X.T)
    shown = cluster_labels(labels)
    groups = [np.flatnonzero(labels == label) for label in shown]

    alive = [_alive(x, owner) for x in X.T]

    def measured(bins: Bins, covered: float) -> Levels:
        lines = zip(alive if covered else X.T, is_ratio, strict=True)
        found = [_levels(x, owner, bins, groups, ratio, covered) for x, ratio in lines]
        values, certain = (np.stack(arrays, axis=1) for arrays in zip(*found, strict=True))
        return Levels(bins, values, certain)

    seasonal = [measured(bins, _COVERED) for bins in seasonal_bins(part.calendar, wall)]
    calendar = calendar_bins(part, wall)
    return Seasons(
        labels=shown,
        is_ratio=is_ratio,
        profiles=tuple(levels for levels in seasonal if np.isfinite(levels.values).any()),
        calendar=None if calendar is None else _within(measured(calendar, 0.0)),
        repeats=bool((wall.max() - wall.min()) / np.timedelta64(1, "D") >= 1.5 * 365),
    )


def _within(levels: Levels) -> Levels:
    """Leave out first and last bins without any level."""
    known = np.flatnonzero(np.isfinite(levels.values).any(axis=(0, 1)))
    if not len(known):
        return levels
    bins, part = levels.bins, slice(int(known[0]), int(known[-1]) + 1)
    codes = np.where((bins.codes >= part.start) & (bins.codes < part.stop), bins.codes - part.start, -1)
    starts = None if bins.starts is None else bins.starts[part]
    shown = replace(bins, names=bins.names[part], codes=codes, starts=starts)
    return Levels(shown, levels.values[:, :, part], levels.certain[:, :, part])


def _sample(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the series to measure, in their order."""
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:_MAX_MEMBERS] for label in cluster_labels(labels)]
    return np.sort(np.concatenate(chosen))


def _suits_ratio(x: Floats, owner: Array) -> bool:
    """Return whether the level of a channel is best told as a multiple of the mean."""
    known = np.nan_to_num(x)
    if -np.minimum(known, 0).sum() > _NEGATIVE * max(np.abs(known).sum(), 1e-300):
        return False
    mean, deviation = _mean_and_deviation(x, owner)
    with quiet_nan(), np.errstate(divide="ignore", invalid="ignore"):
        variation = np.nanmedian(np.where(mean > 0, deviation / mean, np.nan))
    return not 0 < variation < _FLAT


def _mean_and_deviation(x: Floats, owner: Array) -> tuple[Floats, Floats]:
    """Return the mean and the standard deviation of each series, NaN without values."""
    observed = ~np.isnan(x)
    count = np.bincount(owner, observed)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(owner, np.where(observed, x, 0.0)) / count
        squares = np.bincount(owner, np.where(observed, x - mean[owner], 0.0) ** 2)
        return mean, np.sqrt(squares / count)


def _alive(x: Floats, owner: Array) -> Floats:
    """Return values with NaN for the zeros before a series begins and after it has ended.

    In a season, zeros come again: those at an end are much longer than any between two values.
    """
    active = np.flatnonzero(np.nan_to_num(x))
    own, lengths = owner[active], np.bincount(owner)
    ends = np.cumsum(lengths)
    first, last = ends.copy(), ends - lengths - 1  # of a series that is never active: all of it is idle
    np.minimum.at(first, own, active)
    np.maximum.at(last, own, active)
    within = np.zeros(len(ends), np.int64)
    same = own[1:] == own[:-1]
    np.maximum.at(within, own[1:][same], np.diff(active)[same] - 1)
    longest = np.maximum(_IDLE * within, _EDGE * lengths)
    step = np.arange(len(x))
    before = (step < first[owner]) & (first - (ends - lengths) > longest)[owner]
    after = (step > last[owner]) & (ends - 1 - last > longest)[owner]
    return np.where((before | after) & (x == 0), np.nan, x)


# -------------------------------------------------------------------- levels in bins


def _levels(
    x: Floats, owner: Array, bins: Bins, groups: Sequence[Array], is_ratio: bool, covered: float
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the typical level of each group in each bin, and which levels are certain."""
    means = _bin_means(x, owner, bins)
    known = np.isfinite(means)
    means[known.sum(axis=1) < covered * known.any(axis=0).sum()] = np.nan
    relative = _relative(means, is_ratio, _mean_and_deviation(x, owner)[1])
    found = [_typical(relative[group], is_ratio, seasonal=covered > 0) for group in groups]
    values, certain = zip(*found, strict=True)
    return np.array(values), np.array(certain)


def _bin_means(x: Floats, owner: Array, bins: Bins) -> Floats:
    """Return the mean of each series in each bin, (n_series, n_bins), without its linear trend.

    The trend is the change of one bin from one cycle to the next. It cannot be told from the season
    in a single cycle. So shorter series count only if the data have a single cycle.
    """
    n_series, n_bins = int(owner[-1]) + 1, len(bins.names)
    use = ~np.isnan(x) & (bins.codes >= 0)
    place, x, t = owner[use] * n_bins + bins.codes[use], x[use], bins.cycles[use]

    def total(weights: Floats | None) -> Floats:
        return np.bincount(place, weights, n_series * n_bins).reshape(n_series, n_bins).astype(np.float64)

    count = total(None)
    with np.errstate(invalid="ignore", divide="ignore"):
        means, when = total(x) / count, total(t) / count
        if not bins.is_seasonal:
            return np.where(cut_off(count), np.nan, means)
        apart = t - when.ravel()[place]  # time within the bin
        spread, together = total(apart**2).sum(axis=1), total(apart * x).sum(axis=1)
        repeated = spread > _REPEATED * count.sum(axis=1)
        slope = np.where(repeated, together / np.where(repeated, spread, 1.0), 0.0)
        if bins.cycles.max() >= _CYCLES:
            means[~repeated] = np.nan
        with quiet_nan():
            return np.asarray(means - slope[:, None] * (when - np.nanmean(when, axis=1, keepdims=True)))


def _relative(means: Floats, is_ratio: bool, deviation: Floats) -> Floats:
    """Compare the bins of each series with its own mean. A series without one becomes NaN."""
    with quiet_nan(), np.errstate(divide="ignore", invalid="ignore"):
        own = np.nanmean(means, axis=1, keepdims=True)
        if is_ratio:
            return np.maximum(np.where(own > 0, means / own, np.nan), 0.0)
        unit = np.where(deviation > 0, deviation, 1.0)[:, None]
        return np.asarray((means - own) / unit)


def _typical(relative: Floats, is_ratio: bool, seasonal: bool) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the typical level of one group in each bin, and whether it surely is not the mean."""
    from scipy.stats import t as student

    count = np.isfinite(relative).sum(axis=0)
    n_used = int(np.isfinite(relative).any(axis=1).sum())
    least = max(min(_LEAST_MEMBERS, len(relative)), _LEAST_SHARE * len(relative)) if seasonal else 1
    if n_used < least:
        return np.full(relative.shape[1], np.nan), np.zeros(relative.shape[1], bool)
    centre = 1.0 if is_ratio else 0.0
    with quiet_nan(), np.errstate(divide="ignore", invalid="ignore"):
        mean = np.nanmean(relative, axis=0)
        is_rare = is_ratio and (relative < _NOTHING).sum() > _RARE * count.sum()
        typical = mean if is_rare else np.nanmedian(relative, axis=0)
        if is_ratio:
            typical = typical / np.nanmean(typical)  # the bins are 1 on average
        error = np.nanstd(relative, axis=0) / np.sqrt(np.maximum(count - 1, 1))
        errors = student.ppf(1 - _CHANCE / (2 * len(count)), np.maximum(count - 1, 1))  # Bonferroni's correction
        return typical, (count >= 3) & (np.abs(mean - centre) > errors * error)
