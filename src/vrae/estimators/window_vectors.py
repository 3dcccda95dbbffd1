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
    places : ndarray of int64, shape (n_references,)
        Ascending; windows with places closer than ``size`` overlap.
    level, spread : ndarray of shape (n_views,)
        Usual logarithm of the distance, and its spread.
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
    def fit(cls, windows: Floats, places: npt.NDArray[np.int64], usable: Indices) -> tuple[Self, Floats]:
        """Learn from windows (n, size, n_channels). Return also their scores (n, n_views).

        ``places`` (n,) are ascending, and ``usable`` the windows with enough values. The scores
        compare each window with windows that do not overlap it. They are NaN for the others.
        """
        known = windows[usable]
        mean = known.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        deviation = known.std(axis=(0, 1), dtype=np.float64).astype(np.float32)
        deviation = np.where(deviation > 0, deviation, 1.0).astype(np.float32)
        statistics = _fit_statistics((known - mean) / deviation)
        raw = _columns(windows, statistics, mean, deviation)
        own = raw[usable]
        chosen = usable[_spread_out(len(usable), _REFERENCES)]
        n_views = 1 if windows.shape[2] == 1 else 1 + windows.shape[2]
        fitted = cls(
            size=windows.shape[1],
            statistics=statistics,
            mean=mean,
            deviation=deviation,
            center=own.mean(axis=0),
            weights=_weights(own, windows.shape[2]),
            references=raw[chosen],
            places=places[chosen],
            level=np.zeros(n_views),
            spread=np.ones(n_views),
        )
        logs = fitted._logarithms(raw, places)
        low, level, high = np.quantile(logs[usable], (0.25, 0.5, 0.75), axis=0)
        fitted.level[:], fitted.spread[:] = level, np.maximum((high - low) / IQR_OF_NORMAL, _LEAST_VARIATION)
        scores = ((logs - fitted.level) / fitted.spread).astype(np.float32)
        scores[np.setdiff1d(np.arange(len(scores)), usable)] = np.nan
        return fitted, scores

    def __call__(self, windows: Floats, places: npt.NDArray[np.int64]) -> Floats:
        """Return the scores (n, n_views) of windows: distances in spreads from the usual one."""
        raw = _columns(windows, self.statistics, self.mean, self.deviation)
        return ((self._logarithms(raw, places) - self.level) / self.spread).astype(np.float32)

    def _logarithms(self, raw: Floats, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return logarithms of distances, (n, n_views)."""
        views = []
        for weights in self.weights:
            columns = np.flatnonzero(weights)
            center, weight = self.center[columns], weights[columns]
            own, others = ((part[:, columns] - center) * weight for part in (raw, self.references))
            views.append(_distances(own, places, others, self.places, self.size))
        return np.log(np.maximum(np.stack(views, axis=1), _LEAST_DISTANCE))

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


def _columns(windows: Floats, statistics: PatternStatistics, mean: Floats, deviation: Floats) -> Floats:
    """Return the columns of windows (n, size, n_channels): course, values, patterns."""
    cpu = torch.device("cpu")

    def compute(start: int) -> Floats:
        batch = windows[start : start + _BATCH]
        patterns = statistics(*_tensors((batch - mean) / deviation)).numpy()
        return np.concatenate([_course(batch), _values(batch), patterns], axis=1)

    parts = list(ordered_map(compute, range(0, len(windows), _BATCH), cpu, 1))
    return np.concatenate(parts) if parts else np.zeros((0, _n_columns(windows.shape[2])), np.float32)


def _n_columns(n_channels: int) -> int:
    return n_channels * (2 * _PIECES + len(_QUANTILES) + 2) + _COMPONENTS


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


def _weights(raw: Floats, n_channels: int) -> Floats:
    """Return weights (n_views, n_columns) that give each kind of column the variance 1."""
    variance = raw.var(axis=0, dtype=np.float64)
    per_course, per_values = 2 * _PIECES, len(_QUANTILES) + 2
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
