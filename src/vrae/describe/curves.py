"""The typical curve of a cluster: median and quantiles at each step."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.words import cluster_labels, cluster_name
from vrae.exceptions import InvalidDataError

__all__ = [
    "MAX_MEMBERS",
    "MAX_STEPS",
    "ClusterCurve",
    "bin_means",
    "cluster_curve",
    "cluster_curves",
    "quiet_nan",
    "series_list",
]

Floats = npt.NDArray[np.floating[Any]]

MAX_STEPS = 400
"""Longer curves are averaged down to at most this many points."""
MAX_MEMBERS = 2000
"""The curve of a larger cluster is computed from a random sample of this many series."""


@dataclass(frozen=True)
class ClusterCurve:
    """Typical curve of a group of series.

    Attributes
    ----------
    label : int
    size : int
        Number of series in the group.
    steps : ndarray of shape (n_points,)
        Positions of the points, in steps from the start of a series.
    middle, low, high : ndarray of shape (n_channels, n_points)
        Median, 10 % and 90 % quantile over the series that reach this step.
    members : list of ndarray of shape (n_channels, n_points)
        A few of the series.
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
        return f"{(names or {}).get(self.label, cluster_name(self.label))} · {self.size:,} series"


def cluster_curves(
    X: Any, labels: npt.ArrayLike, *, n_members: int = 5, adjust: bool = False, random_state: int = 0
) -> list[ClusterCurve]:
    """Return the typical curve of every cluster, noise last.

    Parameters
    ----------
    X : array, list of arrays or Panel
        See `series_list`.
    labels : array-like of int, shape (n_series,)
    n_members, adjust, random_state
        See `cluster_curve`.

    Returns
    -------
    list of ClusterCurve

    Raises
    ------
    InvalidDataError
        The number of labels differs from the number of series.
    """
    series = series_list(X)
    labels = np.asarray(labels, int)
    if len(labels) != len(series):
        raise InvalidDataError(f"Found {len(labels)} labels for {len(series)} series. Pass one label per series.")
    return [
        cluster_curve(
            [series[index] for index in np.flatnonzero(labels == label)],
            label,
            n_members=n_members,
            adjust=adjust,
            random_state=random_state,
        )
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
    random_state: int = 0,
) -> ClusterCurve:
    """Return the typical curve of one group of series.

    Parameters
    ----------
    series : sequence of ndarray of shape (n_channels, n_steps)
        At least one; lengths may differ.
    label : int, default=0
        Label of the cluster.
    lags : array-like of int, shape (n_series,), optional
        Steps by which each series is late. Each series is shifted back by its lag.
    n_members : int, default=5
        Number of series to keep for drawing.
    adjust : bool, default=False
        Rescale each series to the group's median level and spread, so that the curve shows shape.
    max_steps : int, default=400
        Longer curves are averaged down to at most this many points.
    random_state : int, default=0
        Seed for the sample of members.

    Returns
    -------
    ClusterCurve
    """
    rng = np.random.default_rng(random_state)
    chosen = rng.permutation(len(series))[:MAX_MEMBERS]
    group = [series[i] for i in chosen]
    if lags is not None:
        group = [_shifted(x, lag) for x, lag in zip(group, np.asarray(lags)[chosen].tolist(), strict=True)]
    # End the curve where too few series remain: one very long series must not squeeze the others.
    end = sorted(x.shape[1] for x in group)[-_min_observed(len(group))]
    group = [x[:, :end] for x in group]
    width = -(-end // max_steps)
    cube = _stack([bin_means(x, width) for x in group])
    if adjust:
        cube = _to_median_scale(cube)
    low, middle, high = _quantiles(cube, (0.1, 0.5, 0.9))
    steps = np.arange(cube.shape[2]) * width + (width - 1) / 2
    return ClusterCurve(label, len(series), steps, middle, low, high, list(cube[:n_members]))


def series_list(X: Any) -> list[Floats]:
    """Return series as a list of float64 arrays of shape (n_channels, n_steps).

    Parameters
    ----------
    X : array, list of arrays or Panel
        An array of shape (n_series, n_steps) or (n_series, n_channels, n_steps), or a list of
        arrays of shape (n_steps,) or (n_channels, n_steps).
    """
    listed = X.to_list() if hasattr(X, "to_list") else X
    series: list[Floats] = [np.atleast_2d(np.asarray(x, np.float64)) for x in listed]
    if any(x.ndim != 2 for x in series):
        raise InvalidDataError("Each series must have shape (n_steps,) or (n_channels, n_steps).")
    return series


def bin_means(x: Floats, width: int) -> Floats:
    """Average the observed values of each run of ``width`` steps.

    Parameters
    ----------
    x : ndarray of shape (n_channels, n_steps)
    width : int

    Returns
    -------
    ndarray of shape (n_channels, ceil(n_steps / width))
        NaN where a run has no observed value.
    """
    if width == 1 or x.shape[1] == 0:
        return x
    starts = np.arange(0, x.shape[1], width)
    observed = ~np.isnan(x)
    counts = np.add.reduceat(observed, starts, axis=1, dtype=np.int64)
    sums = np.add.reduceat(np.where(observed, x, 0.0), starts, axis=1)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


@contextmanager
def quiet_nan() -> Iterator[None]:
    """Silence numpy's warnings where NaN is the right result for an all-missing slice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def _shifted(x: Floats, lag: int) -> Floats:
    """Shift a series back by ``lag`` steps, keeping its length; steps that move in are missing."""
    moved = np.full_like(x, np.nan)
    n = x.shape[1]
    if abs(lag) < n:
        moved[:, max(0, -lag) : n - max(0, lag)] = x[:, max(0, lag) : n - max(0, -lag)]
    return moved


def _stack(series: Sequence[Floats]) -> Floats:
    """Stack series into (n_series, n_channels, longest), with NaN after the end of shorter ones."""
    cube = np.full((len(series), series[0].shape[0], max(x.shape[1] for x in series)), np.nan)
    for i, x in enumerate(series):
        cube[i, :, : x.shape[1]] = x
    return cube


def _to_median_scale(cube: Floats) -> Floats:
    """Rescale each series of (n_series, n_channels, n_steps) to the median level and spread."""
    with quiet_nan():
        level = np.nanmean(cube, axis=2, keepdims=True)
        spread = np.nanstd(cube, axis=2, keepdims=True)
        median_level = np.nanmedian(level, axis=0)
        median_spread = np.nanmedian(spread, axis=0)
    safe = np.where(spread > 0, spread, 1.0)
    scaled: Floats = median_level + median_spread * (cube - level) / safe
    return scaled


def _min_observed(n_series: int) -> int:
    """Return how many series a point of the curve needs: a tenth of them, and two if possible."""
    return max(1, min(2, n_series), n_series // 10)


def _quantiles(cube: Floats, levels: tuple[float, ...]) -> Floats:
    """Return quantiles over the series; NaN at steps that too few series observe."""
    enough = (~np.isnan(cube)).sum(axis=0) >= _min_observed(len(cube))
    with quiet_nan():
        quantiles = np.nanquantile(cube, levels, axis=0)
    return np.where(enough, quantiles, np.nan)
