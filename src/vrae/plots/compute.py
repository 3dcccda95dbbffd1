"""What the figures show, before any drawing: courses and curves. Both backends draw from this."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.exceptions import InvalidDataError
from vrae.plots.palette import cluster_labels, cluster_name

__all__ = [
    "Chart",
    "Course",
    "bin_means",
    "channel_names",
    "cluster_course",
    "cluster_courses",
    "cluster_sizes",
    "decimate",
    "grid_columns",
    "quiet_nan",
    "selection_curve",
    "series_list",
    "training_charts",
]

Floats = npt.NDArray[np.floating[Any]]

MAX_STEPS = 400
"""Longer courses are drawn by this many points."""
MAX_MEMBERS = 2000
"""The course of a larger cluster is computed on a random sample of this many series."""


# ---------------------------------------------------------------------------------------- series


def series_list(X: Any) -> list[Floats]:
    """Return series as a list of arrays (n_channels, n_steps); a panel, which holds steps first, knows how."""
    listed = X.to_list() if hasattr(X, "to_list") else X
    series: list[Floats] = [np.atleast_2d(np.asarray(x, np.float64)) for x in listed]
    if any(x.ndim != 2 for x in series):
        raise InvalidDataError("Each series must have shape (n_steps,) or (n_channels, n_steps).")
    return series


def channel_names(channels: Sequence[str] | None, unit: str, n_channels: int) -> list[str]:
    """Return a name a channel: the given ones, or the unit, numbered where there are several."""
    if channels is not None:
        return [str(name) for name in channels]
    return [unit] if n_channels == 1 else [f"{unit} {c}" for c in range(n_channels)]


def grid_columns(n_channels: int, n_groups: int) -> int:
    """Return the columns of a grid of small charts: a column a channel, or a compact block."""
    return n_channels if n_channels > 1 else min(3, n_groups)


def bin_means(x: Floats, width: int) -> Floats:
    """Average each run of ``width`` steps over its observed values.

    Parameters
    ----------
    x : ndarray of shape (n_channels, n_steps)
    width : int

    Returns
    -------
    ndarray of shape (n_channels, ceil(n_steps / width))
        NaN where a run holds no observed value.
    """
    if width == 1 or x.shape[1] == 0:
        return x
    starts = np.arange(0, x.shape[1], width)
    observed = ~np.isnan(x)
    counts = np.add.reduceat(observed, starts, axis=1, dtype=np.int64)
    sums = np.add.reduceat(np.where(observed, x, 0.0), starts, axis=1)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def decimate(x: Floats, max_points: int) -> npt.NDArray[np.int64]:
    """Choose the steps to draw of a long series: the lowest and the highest of each run, so peaks stay.

    Parameters
    ----------
    x : ndarray of shape (n_steps,)
    max_points : int
        At most this many steps are chosen.

    Returns
    -------
    ndarray of int, shape (n_chosen,)
        Ascending; all steps when there are few enough.
    """
    if len(x) <= max_points:
        return np.arange(len(x))
    n_runs = max(1, max_points // 2)
    runs = -(-len(x) // n_runs)
    padded = np.pad(x, (0, runs * n_runs - len(x)), constant_values=np.nan).reshape(n_runs, runs)
    lowest = np.where(np.isnan(padded), np.inf, padded).argmin(axis=1)
    highest = np.where(np.isnan(padded), -np.inf, padded).argmax(axis=1)
    first = np.arange(n_runs) * runs
    chosen = np.unique(np.concatenate([first + lowest, first + highest]))
    return chosen[chosen < len(x)]


@dataclass(frozen=True)
class Course:
    """The typical course of a group of series.

    Attributes
    ----------
    label : int
    size : int
        Number of series in the group.
    steps : ndarray of shape (n_points,)
        Where the points lie, in steps from a series' start.
    middle, low, high : ndarray of shape (n_channels, n_points)
        Median, 10 % and 90 % quantile of the series that reach this far.
    members : list of ndarray (n_channels, n_points)
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
        """Say which cluster it is, by the name given to it if there is one, and how large."""
        return f"{(names or {}).get(self.label, cluster_name(self.label))} · {self.size:,} series"


def cluster_courses(
    X: Any, labels: npt.ArrayLike, *, n_members: int = 5, adjust: bool = False, random_state: int = 0
) -> list[Course]:
    """Return the typical course of every cluster; see `cluster_course`."""
    series = series_list(X)
    labels = np.asarray(labels, int)
    if len(labels) != len(series):
        raise InvalidDataError(f"Found {len(labels)} labels for {len(series)} series; one a series is needed.")
    return [
        cluster_course(
            [series[row] for row in np.flatnonzero(labels == label)],
            label,
            n_members=n_members,
            adjust=adjust,
            random_state=random_state,
        )
        for label in cluster_labels(labels)
    ]


def cluster_course(
    series: Sequence[Floats],
    label: int = 0,
    *,
    lags: npt.ArrayLike | None = None,
    n_members: int = 5,
    adjust: bool = False,
    max_steps: int = MAX_STEPS,
    random_state: int = 0,
) -> Course:
    """Return the typical course of one group of series.

    Parameters
    ----------
    series : sequence of ndarray (n_channels, n_steps)
        At least one; lengths may differ.
    label : int
        The cluster's number.
    lags : array-like of int, shape (n_series,), optional
        Steps by which each series is late; taken out first.
    n_members : int
        How many series to keep for drawing.
    adjust : bool
        Bring each series to the group's usual level and spread first, so that the course shows shape.
    max_steps : int
        Longer courses are averaged down to this many points.
    random_state : int
        For the sample of members.
    """
    rng = np.random.default_rng(random_state)
    chosen = rng.permutation(len(series))[:MAX_MEMBERS]
    group = [series[i] for i in chosen]
    if lags is not None:
        group = [_shifted(x, lag) for x, lag in zip(group, np.asarray(lags)[chosen].tolist(), strict=True)]
    # The course ends where too few series go on: one very long series must not squeeze all others.
    end = sorted(x.shape[1] for x in group)[-_enough(len(group))]
    group = [x[:, :end] for x in group]
    width = -(-end // max_steps)
    cube = _stack([bin_means(x, width) for x in group])
    if adjust:
        cube = _to_usual_scale(cube)
    low, middle, high = _quantiles(cube, (0.1, 0.5, 0.9))
    steps = np.arange(cube.shape[2]) * width + (width - 1) / 2
    return Course(label, len(series), steps, middle, low, high, list(cube[:n_members]))


def _shifted(x: Floats, lag: int) -> Floats:
    """Move a series ``lag`` steps back in time within its own length; what moves in is missing."""
    moved = np.full_like(x, np.nan)
    n = x.shape[1]
    if abs(lag) < n:
        moved[:, max(0, -lag) : n - max(0, lag)] = x[:, max(0, lag) : n - max(0, -lag)]
    return moved


def _stack(series: Sequence[Floats]) -> Floats:
    """Put series into one array (n, n_channels, longest), NaN after the end of a shorter one."""
    cube = np.full((len(series), series[0].shape[0], max(x.shape[1] for x in series)), np.nan)
    for row, x in enumerate(series):
        cube[row, :, : x.shape[1]] = x
    return cube


def _to_usual_scale(cube: Floats) -> Floats:
    """Bring each series of (n, n_channels, n_steps) to the group's median level and spread."""
    with quiet_nan():
        level = np.nanmean(cube, axis=2, keepdims=True)
        spread = np.nanstd(cube, axis=2, keepdims=True)
        usual_level = np.nanmedian(level, axis=0)
        usual_spread = np.nanmedian(spread, axis=0)
    safe = np.where(spread > 0, spread, 1.0)
    scaled: Floats = usual_level + usual_spread * (cube - level) / safe
    return scaled


def _enough(n_series: int) -> int:
    """Return how many series a point of the course needs: a tenth of them, and two where there are two."""
    return max(1, min(2, n_series), n_series // 10)


def _quantiles(cube: Floats, shares: tuple[float, ...]) -> Floats:
    """Quantiles over series, where enough of them are observed; the rest is NaN."""
    enough = (~np.isnan(cube)).sum(axis=0) >= _enough(len(cube))
    with quiet_nan():
        quantiles = np.nanquantile(cube, shares, axis=0)
    return np.where(enough, quantiles, np.nan)


@contextmanager
def quiet_nan() -> Iterator[None]:
    """Silence numpy where an all-missing slice is expected and NaN is the right answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


# ---------------------------------------------------------------------------------------- curves


@dataclass(frozen=True)
class Chart:
    """One small chart of several lines over a common axis.

    Attributes
    ----------
    title, unit : str
        Title of the chart and of its vertical axis.
    lines : list of (str, ndarray, ndarray)
        Name, positions and heights of each line.
    """

    title: str
    unit: str
    lines: list[tuple[str, Floats, Floats]]


_TRAINING = (
    ("Total loss", "nats a series", (("loss", "training"), ("validation_loss", "held-out series"))),
    (
        "Reconstruction error",
        "nats a series",
        (("reconstruction", "training"), ("validation_reconstruction", "held-out series")),
    ),
    ("Information (KL)", "nats a series", (("kl", "training"), ("validation_kl", "held-out series"))),
    ("KL weight", "factor", (("kl_weight", "weight"),)),
)


def training_charts(history: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Arrange a training history, one mapping an epoch, as small charts; absent curves are left out."""
    charts = (
        Chart(title, unit, [line for key, name in curves for line in _curve(history, key, name)])
        for title, unit, curves in _TRAINING
    )
    return [chart for chart in charts if chart.lines]


def _curve(history: Sequence[Mapping[str, Any]], key: str, name: str) -> Iterator[tuple[str, Floats, Floats]]:
    points = [
        (float(epoch.get("epoch", number)), float(epoch[key]))
        for number, epoch in enumerate(history, start=1)
        if epoch.get(key) is not None
    ]
    if points:
        epochs, values = np.array(points).T
        yield name, epochs, values


def selection_curve(selection: Sequence[Mapping[str, Any]]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the numbers of clusters tried, ascending, and their scores, each shape (n_tried,)."""
    tried = sorted((int(row["n_clusters"]), float(row["score"])) for row in selection)
    return np.array([k for k, _ in tried], np.int64), np.array([score for _, score in tried])


def cluster_sizes(labels: npt.ArrayLike) -> list[tuple[int, int]]:
    """Return (label, number of series) of every cluster, noise last."""
    labels = np.asarray(labels, int)
    return [(label, int((labels == label).sum())) for label in cluster_labels(labels)]
