"""Numbers behind the figures, shared by both backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.words import cluster_labels

__all__ = [
    "Chart",
    "channel_names",
    "cluster_sizes",
    "decimate",
    "grid_columns",
    "selection_curve",
    "training_charts",
]

Floats = npt.NDArray[np.floating[Any]]


def channel_names(channels: Sequence[str] | None, unit: str, n_channels: int) -> list[str]:
    """Return one name per channel: the given names, or the unit, numbered if there are several."""
    if channels is not None:
        return [str(name) for name in channels]
    return [unit] if n_channels == 1 else [f"{unit} {c}" for c in range(n_channels)]


def grid_columns(n_channels: int, n_groups: int) -> int:
    """Return the number of columns of a grid: one per channel, or three for a single channel."""
    return n_channels if n_channels > 1 else min(3, n_groups)


def decimate(x: Floats, max_points: int) -> npt.NDArray[np.int64]:
    """Choose the steps of a long series to draw: minimum and maximum of each run, to keep peaks.

    Parameters
    ----------
    x : ndarray of shape (n_steps,)
    max_points : int
        Maximum number of steps to choose.

    Returns
    -------
    ndarray of int64, shape (n_chosen,)
        Ascending. All steps if there are at most ``max_points``.
    """
    if len(x) <= max_points:
        return np.arange(len(x))
    n_runs = max(1, max_points // 2)
    length = -(-len(x) // n_runs)
    padded = np.pad(x, (0, n_runs * length - len(x)), constant_values=np.nan).reshape(n_runs, length)
    lowest = np.where(np.isnan(padded), np.inf, padded).argmin(axis=1)
    highest = np.where(np.isnan(padded), -np.inf, padded).argmax(axis=1)
    first = np.arange(n_runs) * length
    chosen = np.unique(np.concatenate([first + lowest, first + highest]))
    return chosen[chosen < len(x)]


@dataclass(frozen=True)
class Chart:
    """A small chart of several lines over a common axis.

    Attributes
    ----------
    title, unit : str
        Titles of the chart and of its vertical axis.
    lines : list of (str, ndarray, ndarray)
        Name, x and y of each line.
    """

    title: str
    unit: str
    lines: list[tuple[str, Floats, Floats]]


_TRAINING = (
    ("Total loss", "nats per series", (("loss", "training"), ("validation_loss", "held-out series"))),
    (
        "Reconstruction error",
        "nats per series",
        (("reconstruction", "training"), ("validation_reconstruction", "held-out series")),
    ),
    ("Information (KL)", "nats per series", (("kl", "training"), ("validation_kl", "held-out series"))),
    ("KL weight", "factor", (("kl_weight", "weight"),)),
)


def training_charts(history: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Arrange a training history, one mapping per epoch, as small charts without empty ones."""
    charts = (
        Chart(title, unit, [line for key, name in lines for line in _history_line(history, key, name)])
        for title, unit, lines in _TRAINING
    )
    return [chart for chart in charts if chart.lines]


def _history_line(history: Sequence[Mapping[str, Any]], key: str, name: str) -> Iterator[tuple[str, Floats, Floats]]:
    points = [
        (float(epoch.get("epoch", number)), float(epoch[key]))
        for number, epoch in enumerate(history, start=1)
        if epoch.get(key) is not None
    ]
    if points:
        epochs, values = np.array(points).T
        yield name, epochs, values


def selection_curve(selection: Sequence[Mapping[str, Any]]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the numbers of clusters tried, ascending, and their scores, each (n_tried,)."""
    tried = sorted((int(entry["n_clusters"]), float(entry["score"])) for entry in selection)
    return np.array([k for k, _ in tried], np.int64), np.array([score for _, score in tried])


def cluster_sizes(labels: npt.ArrayLike) -> list[tuple[int, int]]:
    """Return (label, number of series) of every cluster, noise last."""
    labels = np.asarray(labels, int)
    return [(label, int((labels == label).sum())) for label in cluster_labels(labels)]
