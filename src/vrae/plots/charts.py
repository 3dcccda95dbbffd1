"""What the figures show, computed once for both backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.curves import cluster_curves, series_list
from vrae.describe.words import cluster_labels, cluster_name
from vrae.plots.maps import Projection
from vrae.plots.palette import COLORS, INK, Style, cluster_style

__all__ = [
    "Chart",
    "Line",
    "cluster_sizes",
    "curve_charts",
    "decimate",
    "direction_charts",
    "map_groups",
    "reconstruction_charts",
    "selection_curve",
    "training_charts",
]

Floats = npt.NDArray[np.floating[Any]]

_DRAWN_STEPS = 2000


@dataclass(frozen=True)
class Line:
    """A line of shape (n_points,), or the area between ``low`` and ``y``."""

    x: npt.NDArray[Any]
    y: Floats
    color: Any
    width: float = 0
    name: str = ""
    opacity: float = 1.0
    low: Floats | None = None


@dataclass(frozen=True)
class Chart:
    """A small chart of several lines."""

    title: str
    x_title: str
    y_title: str
    lines: list[Line]
    legend: bool = False


def curve_charts(
    X: Any,
    labels: npt.ArrayLike,
    names: Mapping[int, str] | None,
    channels: Sequence[str] | None,
    unit: str,
    **options: Any,
) -> tuple[list[Chart], int]:
    """Return one chart per cluster and channel, and the number of columns."""
    curves = cluster_curves(X, labels, **options)
    units = _units(channels, unit, len(curves[0].middle))
    charts = []
    for curve in curves:
        color = cluster_style(curve.label).color
        for c in range(len(curve.middle)):
            lines = [Line(curve.steps, member[c], color, 0.6, opacity=0.35) for member in curve.members]
            lines.append(Line(curve.steps, curve.high[c], color, opacity=0.18, low=curve.low[c]))
            lines.append(Line(curve.steps, curve.middle[c], color, 2))
            charts.append(Chart(curve.title(names), "step", units[c], lines))
    return charts, _columns(len(curves), len(charts))


def reconstruction_charts(
    X: Any, reconstruction: Any, ids: Sequence[Any] | None, channels: Sequence[str] | None, unit: str, max_series: int
) -> tuple[list[Chart], int]:
    """Return one chart per series and channel, and the number of columns."""
    pairs = list(zip(series_list(X), series_list(reconstruction), strict=True))[:max_series]
    units = _units(channels, unit, len(pairs[0][0]))
    charts: list[Chart] = []
    for i, (original, model) in enumerate(pairs):
        for c in range(len(original)):
            lines = []
            for x, color, width, name in (
                (original[c], INK, 1.0, "original"),
                (model[c], COLORS[3], 1.6, "reconstruction"),
            ):
                steps = decimate(x, _DRAWN_STEPS)
                lines.append(Line(steps, x[steps], color, width, name))
            charts.append(Chart(f"Series {i if ids is None else ids[i]}", "step", units[c], lines, legend=not charts))
    return charts, _columns(len(pairs), len(charts))


def direction_charts(
    curves: Floats, colors: Sequence[Any], channels: Sequence[str] | None, unit: str
) -> tuple[list[Chart], int]:
    """Return one chart per direction and channel, with a line per position, and the columns."""
    units, steps = _units(channels, unit, curves.shape[2]), np.arange(curves.shape[3])
    charts = []
    for d, direction in enumerate(curves):  # (n_positions, n_channels, n_steps)
        for c in range(curves.shape[2]):
            lines = [Line(steps, x[c], color, 1.2) for x, color in zip(direction, colors, strict=True)]
            charts.append(Chart(f"Direction {d + 1}", "step", units[c], lines))
    return charts, _columns(len(curves), len(charts))


def _units(channels: Sequence[str] | None, unit: str, n_channels: int) -> list[str]:
    """Return one name per channel: the given names, or the unit, numbered if there are several."""
    if channels is not None:
        return [str(name) for name in channels]
    return [unit] if n_channels == 1 else [f"{unit} {c}" for c in range(n_channels)]


def _columns(n_groups: int, n_charts: int) -> int:
    """Return the columns of a grid: one per channel, or up to three for a single channel."""
    return n_charts // n_groups if n_charts > n_groups else min(3, n_groups)


def decimate(x: Floats, max_points: int) -> npt.NDArray[np.int64]:
    """Choose at most ``max_points`` steps: the lowest and highest of each run, to keep peaks."""
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


_TRAINING = (
    ("Total loss", "nats per series", {"loss": "training", "validation_loss": "held-out series"}),
    (
        "Reconstruction error",
        "nats per series",
        {"reconstruction": "training", "validation_reconstruction": "held-out series"},
    ),
    ("Information (KL)", "nats per series", {"kl": "training", "validation_kl": "held-out series"}),
    ("KL weight", "factor", {"kl_weight": "weight"}),
)


def training_charts(history: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Arrange a training history, one mapping per epoch, as small charts without empty ones."""
    charts = []
    for title, unit, names in _TRAINING:
        lines = []
        for (key, name), color in zip(names.items(), COLORS, strict=False):
            known = [
                (epoch.get("epoch", n), epoch[key]) for n, epoch in enumerate(history, 1) if epoch.get(key) is not None
            ]
            if known:
                epochs, values = np.array(known, float).T
                lines.append(Line(epochs, values, color, 1.8, name))
        if lines:
            charts.append(Chart(title, "epoch", unit, lines, legend=len(lines) > 1))
    return charts


def map_groups(
    shown: Projection, labels: npt.ArrayLike | None, names: Mapping[int, str] | None
) -> Iterator[tuple[str, Style, npt.NDArray[np.bool_]]]:
    """Yield name, style and points, as a mask of shape (n_shown,), of every cluster on a map."""
    groups = np.zeros(shown.n_series, int) if labels is None else np.asarray(labels, int)
    groups = groups[shown.indices]
    for label in cluster_labels(groups):
        yield cluster_name(label, names), cluster_style(label), groups == label


def selection_curve(selection: Sequence[Mapping[str, Any]]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the numbers of clusters tried, ascending, and their scores, each (n_tried,)."""
    tried = sorted((int(entry["n_clusters"]), float(entry["score"])) for entry in selection)
    return np.array([k for k, _ in tried], np.int64), np.array([score for _, score in tried])


def cluster_sizes(labels: npt.ArrayLike) -> list[tuple[int, int]]:
    """Return (label, number of series) of every cluster, noise last."""
    labels = np.asarray(labels, int)
    return [(label, int((labels == label).sum())) for label in cluster_labels(labels)]
