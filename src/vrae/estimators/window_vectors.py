"""Vectors of windows of long series, and how far each is from its nearest windows.

A vector has three parts of equal weight: *patterns*, the `PatternStatistics` of the window;
*course*, mean and spread of eight consecutive pieces of it; and *values*, which values and steps it
holds, in any order. All windows are scaled alike, so level and spread count. Several channels also
have a vector each, of their course and values, so that one unusual channel stands out among many.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from vrae.config import NetworkConfig
from vrae.data.batching import Indices
from vrae.data.scaling import IQR_OF_NORMAL
from vrae.io.folder import Arrays, nested, shape_of, shaped, subset
from vrae.nn.comovement import n_channel_pairs
from vrae.nn.patterns import PatternStatistics, dilations_for, thresholds_for
from vrae.runtime import ordered_map, torch_generator, work_threads

__all__ = ["NO_PLACE", "WindowVectors"]

Floats = npt.NDArray[np.float32]
Known = npt.NDArray[np.bool_]

# Place of a window that overlaps none of the reference windows.
NO_PLACE = np.iinfo(np.int64).min // 2

# A window is judged by its third nearest window, so that an anomaly that happens twice is found.
_NEIGHBOURS = 3
# Reference windows, and windows from which pattern statistics are learned.
_REFERENCES = 4096
_PATTERN_SAMPLE = 2048
_COMPONENTS = 32
_PIECES = 8
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_VALUES = len(_QUANTILES) + 2  # with spread and step
# Spreads and steps below these sizes, relative to the spread of the series, are alike.
_LEAST_SPREAD, _LEAST_STEP = 0.05, 0.02
# Distances below this are rounding; logarithms of distances have at least this spread.
_LEAST_DISTANCE, _LEAST_VARIATION = 1e-2, 0.05
_BATCH = 256
_BLOCK = 512
_SEED = 0


@dataclass(frozen=True, eq=False)
class WindowVectors:
    """Vectors of windows of one size, and the reference windows they are compared with.

    Attributes
    ----------
    size : int
        Steps of a window.
    statistics : PatternStatistics
    mean, deviation : ndarray of shape (n_channels,)
        What pattern statistics take values relative to.
    center : ndarray of shape (n_columns,)
        Mean vector.
    weights : ndarray of shape (n_views, n_columns)
        Weight of each column in the distance of all channels and, if there are several, of each.
        Zero: the column does not count.
    references : ndarray of shape (n_references, n_columns)
        NaN: not known. Views with such a column do not use the window.
    places : ndarray of int64, shape (n_references,)
        Ascending; windows with places closer than ``size`` overlap.
    level, spread : ndarray of shape (n_views,)
        Usual logarithm of the distance, and its spread. A level of NaN: the fit knew too little of
        the view, so it has no scores.
    """

    size: int
    statistics: PatternStatistics
    mean: Floats
    deviation: Floats
    center: Floats
    weights: Floats
    references: Floats
    places: npt.NDArray[np.int64]
    level: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, windows: Floats, places: npt.NDArray[np.int64], known: Known) -> tuple[Self, Floats]:
        """Learn from windows (n, size, n_channels). Return also their scores (n, n_views).

        ``places`` (n,) are ascending, and ``known`` (n, n_views) says what has enough values. The
        scores compare each window with windows that do not overlap it. NaN: not known.
        """
        complete = windows[known[:, 0] if known[:, 0].any() else known.any(axis=1)]
        mean = complete.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        deviation = complete.std(axis=(0, 1), dtype=np.float64).astype(np.float32)
        deviation = np.where(deviation > 0, deviation, 1.0).astype(np.float32)
        statistics = _fit_statistics((complete - mean) / deviation)
        usable = np.flatnonzero(known.any(axis=1))
        raw = _columns(windows, usable, known[usable], statistics, mean, deviation)
        center, variance = _moments(raw)
        chosen = _spread_out(len(usable), _REFERENCES)
        n_views = known.shape[1]
        fitted = cls(
            size=windows.shape[1],
            statistics=statistics,
            mean=mean,
            deviation=deviation,
            center=center,
            weights=_weights(variance, windows.shape[2]),
            references=raw[chosen],
            places=places[usable][chosen],
            level=np.full(n_views, np.nan),
            spread=np.ones(n_views),
        )
        logs = fitted._logarithms(raw, places[usable], known[usable])
        for view in np.flatnonzero(~np.isnan(logs).all(axis=0)):
            low, level, high = np.nanquantile(logs[:, view], (0.25, 0.5, 0.75))
            fitted.level[view] = level
            fitted.spread[view] = max((high - low) / IQR_OF_NORMAL, _LEAST_VARIATION)
        return fitted, fitted._scores(logs, usable, len(windows))

    def __call__(self, windows: Floats, places: npt.NDArray[np.int64], known: Known) -> Floats:
        """Return the scores (n, n_views) of windows: distances in spreads from the usual one."""
        usable = np.flatnonzero(known.any(axis=1))
        raw = _columns(windows, usable, known[usable], self.statistics, self.mean, self.deviation)
        return self._scores(self._logarithms(raw, places[usable], known[usable]), usable, len(windows))

    def _scores(self, logs: npt.NDArray[np.float64], usable: Indices, n_windows: int) -> Floats:
        scores = np.full((n_windows, len(self.level)), np.nan, np.float32)
        scores[usable] = (logs - self.level) / self.spread
        return scores

    def _logarithms(self, raw: Floats, places: npt.NDArray[np.int64], known: Known) -> npt.NDArray[np.float64]:
        """Return logarithms of distances, (n, n_views); NaN where not known."""
        logs = np.full(known.shape, np.nan)
        for view, weights in enumerate(self.weights):
            columns, rows = np.flatnonzero(weights), known[:, view]
            center, weight = self.center[columns], weights[columns]
            own, others = ((part[:, columns] - center) * weight for part in (raw[rows], self.references))
            there = ~np.isnan(others).any(axis=1)
            if not there.any():
                continue
            distances = _distances(own, places[rows], others[there], self.places[there], self.size)
            logs[rows, view] = np.log(np.maximum(distances, _LEAST_DISTANCE))
        return logs

    # ---------------------------------------------------------------- saving

    def arrays(self) -> Arrays:
        """Return the arrays to save."""
        state = {name: tensor.numpy() for name, tensor in self.statistics.state_dict().items()}
        own = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return {**own, **nested({"statistics": state})}

    @classmethod
    def from_arrays(cls, size: int, n_channels: int, arrays: Arrays) -> Self:
        """Rebuild from the `arrays`. Other shapes raise a ValueError."""
        statistics = PatternStatistics(_config(size, n_channels))
        statistics.load_state_dict({name: torch.from_numpy(a) for name, a in subset(arrays, "statistics").items()})
        n_columns, n = _n_columns(n_channels), shape_of(arrays, "references")[0]
        n_views = 1 if n_channels == 1 else 1 + n_channels
        shapes = {
            "mean": (n_channels,),
            "deviation": (n_channels,),
            "center": (n_columns,),
            "weights": (n_views, n_columns),
            "references": (n, n_columns),
            "places": (n,),
            "level": (n_views,),
            "spread": (n_views,),
        }
        return cls(size, statistics, **{name: shaped(name, arrays, shape) for name, shape in shapes.items()})


# -------------------------------------------------------------------- columns of a vector


def _columns(
    windows: Floats,
    rows: Indices,
    known: Known,
    statistics: PatternStatistics,
    mean: Floats,
    deviation: Floats,
) -> Floats:
    """Return the columns of some rows of windows (n, size, n_channels): course, values, patterns.

    ``known`` is of these rows. NaN: a column of a channel that is not known, or of patterns with
    such a channel. Windows may be views of the same steps, so only those of a batch are copied.
    """
    cpu = torch.device("cpu")

    def compute(start: int) -> Floats:
        batch = windows[rows[start : start + _BATCH]]
        patterns = statistics(*_tensors((batch - mean) / deviation)).numpy()
        return np.concatenate([_course(batch), _values(batch), patterns], axis=1)

    parts = list(ordered_map(compute, range(0, len(rows), _BATCH), cpu, 1))
    if not parts:
        return np.zeros((0, _n_columns(windows.shape[2])), np.float32)
    found, by_channel = np.concatenate(parts), known[:, -windows.shape[2] :]
    widths = [2 * _PIECES] * windows.shape[2] + [_VALUES] * windows.shape[2]
    columns = np.repeat(np.concatenate([by_channel, by_channel], axis=1), widths, axis=1)
    found[:, : columns.shape[1]][~columns] = np.nan
    found[~known[:, 0], columns.shape[1] :] = np.nan
    return found


def _n_columns(n_channels: int) -> int:
    return n_channels * (2 * _PIECES + _VALUES) + _COMPONENTS


def _tensors(windows: Floats) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x = torch.from_numpy(np.ascontiguousarray(windows, np.float32))
    return x, torch.ones_like(x), torch.full((len(x),), x.shape[1], dtype=torch.int64)


def _course(x: Floats) -> Floats:
    """Return means and logarithms of spreads of pieces, (n, n_channels * 2 * pieces)."""
    edges = np.linspace(0, x.shape[1], _PIECES + 1).astype(int)
    parts = [x[:, first : max(last, first + 1)] for first, last in itertools.pairwise(edges)]
    means = [part.mean(axis=1) for part in parts]
    spreads = [np.log(part.std(axis=1) + _LEAST_SPREAD) for part in parts]
    return np.stack(means + spreads, axis=2).reshape(len(x), -1)


def _values(x: Floats) -> Floats:
    """Return quantiles, and logarithms of spread and step, (n, n_channels * (quantiles + 2))."""
    quantiles = list(np.quantile(x, _QUANTILES, axis=1).astype(np.float32))
    spread = np.log(x.std(axis=1) + _LEAST_SPREAD)
    step = np.log(np.abs(np.diff(x, axis=1)).mean(axis=1) + _LEAST_STEP)
    return np.stack([*quantiles, spread, step], axis=2).reshape(len(x), -1)


def _moments(raw: Floats) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Return mean and variance of each column, 0 of those that no window has."""
    there = ~np.isnan(raw).all(axis=0)
    center, variance = np.zeros(raw.shape[1], np.float32), np.zeros(raw.shape[1])
    center[there] = np.nanmean(raw[:, there], axis=0)
    variance[there] = np.nanvar(raw[:, there], axis=0, dtype=np.float64)
    return center, variance


def _weights(variance: npt.NDArray[np.float64], n_channels: int) -> Floats:
    """Return weights (n_views, n_columns) that give each kind of column the variance 1."""
    per_course, per_values = 2 * _PIECES, _VALUES
    ends = np.cumsum([0, n_channels * per_course, n_channels * per_values, _COMPONENTS])
    standardising = 1 / np.sqrt(np.maximum(variance[ends[1] : ends[2]], 1e-12)) * (variance[ends[1] : ends[2]] > 1e-12)

    def common(columns: slice) -> npt.NDArray[np.float64]:
        total = variance[columns].sum()
        return np.full(variance[columns].shape, 1 / np.sqrt(total) if total > 1e-12 else 0.0)

    courses, values, patterns = (slice(ends[i], ends[i + 1]) for i in range(3))
    weights = np.zeros((1 if n_channels == 1 else 1 + n_channels, len(variance)))
    weights[0, courses], weights[0, patterns] = common(courses), common(patterns)
    weights[0, values] = standardising / np.sqrt(max(1, int((standardising > 0).sum())))
    for c in range(n_channels if n_channels > 1 else 0):
        course = slice(c * per_course, (c + 1) * per_course)
        own = slice(c * per_values, (c + 1) * per_values)
        weights[1 + c, course] = common(course)
        weights[1 + c, ends[1] :][own] = standardising[own] / np.sqrt(per_values)
    return weights.astype(np.float32)


# -------------------------------------------------------------------- pattern statistics


def _config(size: int, n_channels: int) -> NetworkConfig:
    dilations = dilations_for(size)
    return NetworkConfig(
        n_channels=n_channels,
        n_steps=size,
        n_patterns=_COMPONENTS,
        pattern_dilations=dilations,
        pattern_thresholds=thresholds_for(len(dilations)),
        n_channel_pairs=n_channel_pairs(n_channels),
        scale_differences=True,
    )


def _fit_statistics(windows: Floats) -> PatternStatistics:
    """Fit pattern statistics to scaled windows (n, size, n_channels)."""
    statistics = PatternStatistics(_config(windows.shape[1], windows.shape[2]))
    sample = windows[_spread_out(len(windows), _PATTERN_SAMPLE)]
    batches = [_tensors(sample[start : start + _BATCH]) for start in range(0, len(sample), _BATCH)]
    with work_threads(torch.device("cpu"), hidden_size=1):
        no_scale = torch.zeros(len(sample), 2, windows.shape[2])
        statistics.fit(batches, no_scale, torch_generator(_SEED))
    return statistics


def _spread_out(count: int, most: int) -> Indices:
    """Return a random sample of positions, ascending. Even steps would favour some phases."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(_SEED).choice(count, most, replace=False))


# -------------------------------------------------------------------- nearest windows


def _distances(
    own: Floats,
    places: npt.NDArray[np.int64],
    others: Floats,
    other_places: npt.NDArray[np.int64],
    exclusion: int,
) -> npt.NDArray[np.float64]:
    """Return the distance (n,) of each window to its third nearest one among the others.

    These three do not overlap the window, nor each other. Where there are only fewer, the last of
    them counts; without any, the distance is 0.
    """
    squares = (others**2).sum(axis=1)  # (n_others,)
    first, last = (np.searchsorted(other_places, places + shift) for shift in (1 - exclusion, exclusion))
    near_first = np.searchsorted(other_places, other_places + 1 - exclusion)
    near_last = np.searchsorted(other_places, other_places + exclusion)
    found = np.zeros(len(own))
    for start in range(0, len(own), _BLOCK):
        block = own[start : start + _BLOCK]
        between = squares - 2 * (block @ others.T)  # (block, n_others), less the square of the own
        rows = np.arange(len(block))
        for row in rows:
            between[row, first[start + row] : last[start + row]] = np.inf
        size = (block**2).sum(axis=1)
        for _ in range(_NEIGHBOURS):
            nearest = between.argmin(axis=1)
            distance = between[rows, nearest] + size
            is_there = np.isfinite(distance)
            found[start + rows[is_there]] = np.sqrt(np.maximum(distance[is_there], 0))
            for row in rows:
                between[row, near_first[nearest[row]] : near_last[nearest[row]]] = np.inf
    return found
