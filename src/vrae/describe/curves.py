"""The typical curve of a cluster: median and quantiles at each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import shift

from vrae.describe.words import cluster_labels, cluster_name
from vrae.exceptions import InvalidDataError, Silence

__all__ = [
    "MAX_STEPS",
    "ClusterCurve",
    "bin_means",
    "cluster_curve",
    "cluster_curves",
    "cut_off",
    "means_of_runs",
    "quiet_nan",
    "series_list",
    "steps_of_mean",
    "whole_means",
]

Floats = npt.NDArray[np.floating[Any]]

MAX_STEPS = 1500
"""Longer curves are averaged down to at most this many points."""
_OF_RHYTHM = 6  # a mean of more than this part of a day (week, year) must be one of whole days
_COVERED = 0.8  # of its usual values, which the first and the last mean of a series must have
_EMPTY = Silence(RuntimeWarning, "all-nan |mean of empty slice|degrees of freedom <= 0")
_MAX_MEMBERS = 2000  # the curve of a larger cluster is computed from a random sample


@dataclass(frozen=True)
class ClusterCurve:
    """Typical curve of a group of series.

    ``steps`` (n_points,) are positions from the start of a series. ``middle``, ``low`` and ``high``
    (n_channels, n_points) are the median and the 10 % and 90 % quantiles over the series that reach
    this step. ``members`` are a few of the series.
    """

    label: int
    size: int
    steps: Floats
    middle: Floats
    low: Floats
    high: Floats
    members: list[Floats]

    def title(self, names: Mapping[int, str] | None = None) -> str:
        """Return the name and the size of the cluster."""
        return f"{cluster_name(self.label, names)} · {self.size:,} series"


def cluster_curves(X: Any, labels: npt.ArrayLike, **options: Any) -> list[ClusterCurve]:
    """Return the typical curve of every cluster, noise last; options as in `cluster_curve`."""
    series = series_list(X)
    labels = np.asarray(labels, int)
    if len(labels) != len(series):
        raise InvalidDataError(f"Found {len(labels)} labels for {len(series)} series. Pass one label per series.")
    return [
        cluster_curve([series[i] for i in np.flatnonzero(labels == label)], label, **options)
        for label in cluster_labels(labels)
    ]


def cluster_curve(
    series: Sequence[Floats],
    label: int = 0,
    *,
    lags: npt.ArrayLike | None = None,
    n_members: int = 5,
    adjust: bool = False,
    max_steps: int = MAX_STEPS,
    step_hours: float | None = None,
    random_state: int = 0,
) -> ClusterCurve:
    """Return the typical curve of series (n_channels, n_steps), at least one, of any lengths.

    ``lags`` shifts each series back by as many steps. ``adjust`` rescales each series to the
    median level, so that the curve shows shape: by a factor if no value is below 0, else to the
    median spread as well. ``n_members`` series are kept. Curves are averaged to ``max_steps``
    points: with ``step_hours``, the hours of a step, over whole days, weeks or years where a mean
    would hide their rhythm.
    """
    chosen = np.random.default_rng(random_state).permutation(len(series))[:_MAX_MEMBERS]
    group = [series[i] for i in chosen]
    if lags is not None:
        late = np.asarray(lags)[chosen]
        group = [shift(x, (0, -lag), order=0, cval=np.nan) for x, lag in zip(group, late, strict=True)]
    # A point needs a tenth of the series, and two if possible. The curve ends where fewer remain:
    # one very long series must not squeeze the others.
    enough = max(min(2, len(group)), len(group) // 10)
    end = sorted(x.shape[1] for x in group)[-enough]
    width = steps_of_mean(end, max_steps, step_hours)
    cube = _stack([whole_means(x[:, :end], width) for x in group])
    if adjust:
        cube = _to_median_scale(cube)
    with quiet_nan():
        quantiles = np.nanquantile(cube, (0.1, 0.5, 0.9), axis=0)
    low, middle, high = np.where((~np.isnan(cube)).sum(axis=0) >= enough, quantiles, np.nan)
    steps = np.arange(cube.shape[2]) * width + (width - 1) / 2
    return ClusterCurve(label, len(series), steps, middle, low, high, list(cube[:n_members]))


def steps_of_mean(n_steps: int, max_steps: int, step_hours: float | None = None) -> int:
    """Return over how many steps to average ``n_steps`` to at most ``max_steps`` points.

    A mean over a large part of a day would show waves that are not there. It becomes one over whole
    days; the same holds for weeks and years.
    """
    width = -(-n_steps // max(1, max_steps))
    for hours in (24.0, 168.0, 8766.0):
        rhythm = round(hours / step_hours) if step_hours is not None and np.isfinite(step_hours) else 0
        if width > 1 and 1 < rhythm < n_steps and width * _OF_RHYTHM > rhythm:
            width = -(-width // rhythm) * rhythm
    return max(1, min(width, n_steps))


def series_list(X: Any) -> list[Floats]:
    """Return a Panel, an array or a list of series as float64 arrays (n_channels, n_steps)."""
    listed = X.to_list() if hasattr(X, "to_list") else X
    series: list[Floats] = [np.atleast_2d(np.asarray(x, np.float64)) for x in listed]
    if any(x.ndim != 2 for x in series):
        raise InvalidDataError("Each series must have shape (n_steps,) or (n_channels, n_steps).")
    return series


def bin_means(x: Floats, width: int) -> Floats:
    """Average every ``width`` steps of a series (n_channels, n_steps)."""
    return x if width == 1 or x.shape[1] == 0 else means_of_runs(x, np.arange(0, x.shape[1], width))


def whole_means(x: Floats, width: int) -> Floats:
    """Average every ``width`` steps, without a first or last mean that is of fewer values."""
    means = bin_means(x, width)
    if width == 1 or not means.size:
        return means
    counts = np.add.reduceat(~np.isnan(x), np.arange(0, x.shape[1], width), axis=1, dtype=np.int64)
    return np.where(cut_off(counts), np.nan, means)


def cut_off(counts: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which first and last bins hold too few values, of numbers of values (n_lines, n_bins).

    The three days of a last week are no week: their mean would look like a change.
    """
    known = counts > 0
    with quiet_nan():
        usual = np.nanmedian(np.where(known, counts, np.nan), axis=1, keepdims=True)
    seen = known.cumsum(axis=1)
    at_an_end = (seen == 1) | (seen == seen[:, -1:])
    return known & at_an_end & (counts < _COVERED * usual) & (seen[:, -1:] > 2)


def means_of_runs(x: Floats, starts: npt.NDArray[np.int64]) -> Floats:
    """Average the observed values of the runs that begin at ``starts``; NaN if there are none."""
    observed = ~np.isnan(x)
    counts = np.add.reduceat(observed, starts, axis=1, dtype=np.int64)
    sums = np.add.reduceat(np.where(observed, x, 0.0), starts, axis=1)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


@contextmanager
def quiet_nan() -> Iterator[None]:
    """Silence numpy's warnings where NaN is the right result for an all-missing slice."""
    with np.errstate(all="ignore"), _EMPTY():
        yield


def _stack(series: Sequence[Floats]) -> Floats:
    """Stack series into (n_series, n_channels, longest), with NaN after the end of shorter ones."""
    cube = np.full((len(series), series[0].shape[0], max(x.shape[1] for x in series)), np.nan)
    for row, x in zip(cube, series, strict=True):
        row[:, : x.shape[1]] = x
    return cube


def _to_median_scale(cube: Floats) -> Floats:
    """Rescale each series of (n_series, n_channels, n_steps) to the median level.

    A channel without values below 0 is rescaled by a factor, so that 0 stays 0. Other channels get
    the median spread as well.
    """
    with quiet_nan():
        level = np.nanmean(cube, axis=2, keepdims=True)
        spread = np.nanstd(cube, axis=2, keepdims=True)
        unit = np.where(spread > 0, spread, 1.0)
        moved = np.nanmedian(level, axis=0) + np.nanmedian(spread, axis=0) * (cube - level) / unit
        factor = np.where(level > 0, np.nanmedian(level, axis=0) / np.where(level > 0, level, 1.0), 1.0)
        has_negative = np.nanmin(cube, axis=(0, 2), keepdims=True) < 0
        return np.where(has_negative, moved, cube * factor)
