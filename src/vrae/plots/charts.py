"""What the figures show, computed once for both backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import shift

from vrae.data.panel import Panel
from vrae.describe.curves import ClusterCurve, cluster_curve, series_list
from vrae.describe.verdict import peaks
from vrae.describe.words import NOISE, cluster_labels, cluster_name
from vrae.exceptions import InvalidDataError
from vrae.metrics import is_useful
from vrae.plots.maps import Projection
from vrae.plots.palette import COLORS, INK, Style, cluster_style
from vrae.plots.timeline import StepAxis, common_axis, own_axes

__all__ = [
    "Chart",
    "ChartGrid",
    "Line",
    "centre_of",
    "channel_names",
    "cluster_sizes",
    "curve_charts",
    "decimate",
    "direction_charts",
    "histogram_bins",
    "line_of",
    "map_groups",
    "map_tags",
    "reconstruction_charts",
    "selection_curve",
    "selection_roles",
    "training_charts",
]

Floats = npt.NDArray[np.floating[Any]]

_DRAWN_STEPS = 2000
_DRAWN_CHANNELS = 12
_ROOM = 0.6  # above and below the band of a curve, relative to its height
_SAMPLE = 2000  # series of a cluster from which its curve is computed


@dataclass(frozen=True)
class Line:
    """A line of shape (n_points,), or the area between ``low`` and ``y``, or points."""

    x: npt.NDArray[Any]
    y: Floats
    color: Any
    width: float = 0
    name: str = ""
    opacity: float = 1.0
    low: Floats | None = None
    is_points: bool = False

    @property
    def lonely(self) -> npt.NDArray[np.bool_]:
        """Points (n_points,) without a neighbour: a line would not show them."""
        gap = np.concatenate([[True], np.isnan(self.y), [True]])
        return ~gap[1:-1] & gap[:-2] & gap[2:]


@dataclass(frozen=True)
class Chart:
    """A small chart of several lines.

    ``spans`` are parts of the horizontal axis to shade. ``y_range`` are the ends of the vertical
    axis, by default those of the lines.
    """

    title: str
    x_title: str
    y_title: str
    lines: list[Line]
    spans: list[tuple[Any, Any]] = field(default_factory=list)
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class ChartGrid:
    """Charts in rows of ``columns``, with a note about what is not shown.

    With ``same_x``, all charts have the same horizontal axis.
    """

    charts: list[Chart]
    columns: int
    note: str = ""
    same_x: bool = False
    wide: bool = False

    def label(self, i: int) -> Chart:
        """Return a chart of the grid with the titles that it shows itself.

        Charts of a row share a title, and the title of their vertical axis. Charts of a column
        share that of the horizontal axis.
        """
        chart, columns = self.charts[i], self.columns
        left = self.charts[i - 1] if i % columns else None
        below = self.charts[i + columns] if i + columns < len(self.charts) else None
        return replace(
            chart,
            title="" if left is not None and left.title == chart.title else chart.title,
            x_title="" if below is not None and below.x_title == chart.x_title else chart.x_title,
            y_title="" if left is not None and left.y_title == chart.y_title else chart.y_title,
        )

    def span(self, i: int) -> int:
        """Return how many charts of a row have the title of this one."""
        row = self.charts[i : (i // self.columns + 1) * self.columns]
        other = [n for n, chart in enumerate(row) if chart.title != self.charts[i].title]
        return other[0] if other else len(row)


# -------------------------------------------------------------------- series


def curve_charts(
    X: Any,
    labels: npt.ArrayLike,
    names: Mapping[int, str] | None,
    channels: Sequence[str] | None,
    unit: str,
    lags: npt.ArrayLike | None = None,
    **options: Any,
) -> ChartGrid:
    """Return one chart per cluster and channel.

    ``lags`` (n_series,) are steps by which to shift each series back.
    """
    curves, axis = _typical_curves(X, labels, lags, **options)
    units = channel_names(X, channels, unit, len(curves[0].middle))
    charts = []
    for curve in curves:
        color, x = cluster_style(curve.label).color, axis.at(curve.steps)
        for c, name in enumerate(units[:_DRAWN_CHANNELS]):
            lines = [Line(x, member[c], color, 0.6, opacity=0.35) for member in curve.members]
            lines.append(Line(x, curve.high[c], color, opacity=0.18, low=curve.low[c]))
            lines.append(Line(x, curve.middle[c], color, 2))
            charts.append(Chart(_with_size(curve, names), axis.title, name, lines, y_range=_y_range(curve, c)))
    return ChartGrid(charts, _columns(len(curves), len(charts)), _channel_note(units), same_x=True)


def _typical_curves(
    X: Any, labels: npt.ArrayLike, lags: npt.ArrayLike | None, **options: Any
) -> tuple[list[ClusterCurve], StepAxis]:
    """Return the typical curve of each cluster, and their axis: a calendar if there is one."""
    series = X if isinstance(X, Panel) else series_list(X)
    labels = np.asarray(labels, int)
    if len(labels) != len(series):
        raise InvalidDataError(f"Found {len(labels)} labels for {len(series)} series. Pass one label per series.")
    axis, first = (StepAxis("step, shifts removed"), None) if lags is not None else common_axis(X)
    late = None if lags is None else np.asarray(lags)

    def placed(i: int) -> Floats:
        x = np.asarray(series[i], np.float64)
        if late is not None:
            return np.asarray(shift(x, (0, -late[i]), order=0, cval=np.nan))
        return x if first is None else np.pad(x, ((0, 0), (int(first[i]), 0)), constant_values=np.nan)

    curves = []
    for label in cluster_labels(labels):
        members = np.flatnonzero(labels == label)
        chosen = np.sort(np.random.default_rng(0).permutation(members)[:_SAMPLE])
        curve = cluster_curve([placed(i) for i in chosen], label, **options)
        curves.append(replace(curve, size=len(members)))
    return curves, axis


def _y_range(curve: ClusterCurve, channel: int) -> tuple[float, float] | None:
    """Return the ends of the vertical axis: a few high single series do not flatten the band."""
    band = np.concatenate([curve.low[channel], curve.high[channel]])
    low, high = np.nanmin(band, initial=np.inf), np.nanmax(band, initial=-np.inf)
    if not low < high:
        return None
    drawn = np.concatenate([band, *(member[channel] for member in curve.members)])
    room = _ROOM * (high - low)
    lowest, highest = np.nanmin(drawn), np.nanmax(drawn)
    margin = 0.05 * (min(high + room, highest) - max(low - room, lowest))
    return float(max(low - room, lowest) - margin), float(min(high + room, highest) + margin)


def _with_size(curve: ClusterCurve, names: Mapping[int, str] | None) -> str:
    return f"{cluster_name(curve.label, names)}, {curve.size:,}\N{NO-BREAK SPACE}series"


def reconstruction_charts(
    X: Any,
    reconstruction: Any,
    ids: Sequence[Any] | None,
    channels: Sequence[str] | None,
    unit: str,
    max_series: int,
    titles: Sequence[str] | None = None,
) -> ChartGrid:
    """Return one chart per series and channel. ``titles`` (n_series,) are more than their ids."""
    pairs = list(zip(series_list(X[:max_series]), series_list(reconstruction[:max_series]), strict=True))
    if ids is None and isinstance(X, Panel):
        ids = X.ids[:max_series].tolist()
    units = channel_names(X, channels, unit, len(pairs[0][0]))
    charts: list[Chart] = []
    for i, ((original, model), axis) in enumerate(zip(pairs, own_axes(X, len(pairs)), strict=True)):
        title = f"Series {i if ids is None else ids[i]}" if titles is None else titles[i]
        for c, name in enumerate(units[:_DRAWN_CHANNELS]):
            lines = [
                line_of(axis, original[c], INK, 1.0, "original"),
                line_of(axis, model[c], COLORS[3], 1.6, "reconstruction"),
            ]
            charts.append(Chart(title, axis.title, name, lines))
    return ChartGrid(charts, _columns(len(pairs), len(charts)), _channel_note(units))


def line_of(axis: StepAxis, x: Floats, color: Any, width: float, name: str = "") -> Line:
    """Return the line of a series (n_steps,), with as many steps as a screen can show."""
    steps = decimate(x, _DRAWN_STEPS)
    return Line(axis.at(steps), x[steps], color, width, name)


def direction_charts(
    curves: Floats,
    colors: Sequence[Any],
    channels: Sequence[str] | None,
    unit: str,
    titles: Sequence[str] | None = None,
    ends: tuple[str, str] = ("", ""),
) -> ChartGrid:
    """Return one chart per direction and channel, with a line per position.

    ``ends`` are the names of the first and the last line.
    """
    units, steps = channel_names(None, channels, unit, curves.shape[2]), np.arange(1, curves.shape[3] + 1)
    last = len(colors) - 1
    charts = []
    for d, direction in enumerate(curves):  # (n_positions, n_channels, n_steps)
        for c, unit_of_channel in enumerate(units[:_DRAWN_CHANNELS]):
            lines = [
                Line(steps, x[c], color, 1.2, {0: ends[0], last: ends[1]}.get(p, ""))
                for p, (x, color) in enumerate(zip(direction, colors, strict=True))
            ]
            title = f"Direction {d + 1}" if titles is None else titles[d]
            charts.append(Chart(title, "step", unit_of_channel, lines))
    return ChartGrid(charts, _columns(len(curves), len(charts)), _channel_note(units))


def channel_names(X: Any, channels: Sequence[str] | None, unit: str, n_channels: int) -> list[str]:
    """Return one name per channel: the given ones, those of a panel, or the unit with a number."""
    if channels is None and isinstance(X, Panel):
        channels = X.channels
    if channels is not None:
        return [str(name) for name in channels]
    return [unit] if n_channels == 1 else [f"{unit} {c}" for c in range(n_channels)]


def _channel_note(units: Sequence[str]) -> str:
    return f"The first {_DRAWN_CHANNELS} of {len(units)} channels" if len(units) > _DRAWN_CHANNELS else ""


def _columns(n_groups: int, n_charts: int) -> int:
    """Return the columns of a grid: one per channel, or up to four for a single channel."""
    if n_charts > n_groups:
        return n_charts // n_groups
    return {1: 1, 2: 2, 4: 2}.get(n_groups, 3 if n_groups <= 9 else 4)


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


# -------------------------------------------------------------------- training


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


def training_charts(history: Sequence[Mapping[str, Any]]) -> ChartGrid:
    """Arrange a training history, one mapping per epoch, as small charts without empty ones."""
    has_held_out = any(epoch.get("validation_loss") is not None for epoch in history)
    charts = []
    for title, unit, names in _TRAINING:
        lines = []
        for (key, name), color in zip(names.items(), COLORS, strict=False):
            known = [
                (epoch.get("epoch", n), epoch[key]) for n, epoch in enumerate(history, 1) if epoch.get(key) is not None
            ]
            if known:
                epochs, values = np.array(known, float).T
                has_name = has_held_out and key != "kl_weight"
                lines.append(Line(epochs, values, color, 1.8, name if has_name else ""))
        if lines:
            charts.append(Chart(title, "epoch", unit, lines))
    return ChartGrid(charts, 2)


# -------------------------------------------------------------------- clusters


def map_groups(
    shown: Projection, labels: npt.ArrayLike | None, names: Mapping[int, str] | None
) -> Iterator[tuple[int, str, Style, npt.NDArray[np.bool_]]]:
    """Yield label, name, style and points, as a mask (n_shown,), of every cluster on a map."""
    groups = np.zeros(shown.n_series, int) if labels is None else np.asarray(labels, int)
    groups = groups[shown.indices]
    for label in cluster_labels(groups):
        yield label, cluster_name(label, names), cluster_style(label), groups == label


def selection_curve(selection: Sequence[Mapping[str, Any]]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the numbers of clusters tried, ascending, and their scores, each (n_tried,)."""
    tried = sorted((int(entry["n_clusters"]), float(entry["score"])) for entry in selection)
    return np.array([k for k, _ in tried], np.int64), np.array([score for _, score in tried])


def cluster_sizes(labels: npt.ArrayLike) -> list[tuple[int, int]]:
    """Return (label, number of series) of every cluster, noise last."""
    labels = np.asarray(labels, int)
    return [(label, int((labels == label).sum())) for label in cluster_labels(labels)]


def selection_roles(
    selection: Sequence[Mapping[str, Any]], chosen: int | None, alternatives: Sequence[int] | None = None
) -> npt.NDArray[np.str_]:
    """Return what each number of clusters is, ascending, (n_tried,).

    "chosen", "alternative" (one of ``alternatives``, by default `peaks`), "not useful" (one cluster
    holds most series, or clusters are not separated) or "tried".
    """
    worth = peaks(selection, -1 if chosen is None else chosen) if alternatives is None else alternatives
    roles = []
    for entry in sorted(selection, key=lambda entry: int(entry["n_clusters"])):
        others = "tried" if is_useful(entry) else "not useful"
        role = "alternative" if int(entry["n_clusters"]) in worth else others
        roles.append("chosen" if int(entry["n_clusters"]) == chosen else role)
    return np.array(roles, np.str_)


def selection_marks(numbers: npt.NDArray[Any], roles: npt.NDArray[np.str_]) -> list[tuple[str, int]]:
    """Return what to write at each number of clusters, and in which row above it: 0 or 1.

    "chosen: 6" is wider than a number: where neighbours have a mark, it is one row higher.
    """
    texts = [
        {"chosen": f"chosen: {number}", "alternative": f"{number}"}.get(role, "")
        for number, role in zip(numbers.tolist(), roles.tolist(), strict=True)
    ]
    near = 0.08 * max(float(np.ptp(numbers)) if len(numbers) else 0.0, 12.0)  # about the width of the text

    def row(i: int) -> int:
        if roles[i] != "chosen":
            return 0
        return int(any(text and j != i and abs(numbers[j] - numbers[i]) <= near for j, text in enumerate(texts)))

    return [(text, row(i)) for i, text in enumerate(texts)]


def map_tags(groups: Sequence[tuple[int, Any, Any, Any]], tags: Mapping[int, str] | None) -> dict[int, str]:
    """Return what to write on each cluster of a map: by default its number if there are several."""
    if tags is not None:
        return dict(tags)
    labels = [label for label, *_ in groups if label != NOISE]
    return {label: str(label) for label in labels} if len(labels) > 1 else {}


def centre_of(points: Floats) -> Floats:
    """Return the point (2,) of a cluster nearest to the median of its points (n, 2)."""
    away = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    return np.asarray(points[away.argmin()])


def histogram_bins(n_values: int) -> int:
    """Return the number of bars of a histogram."""
    return int(np.clip(2 * np.sqrt(n_values), 5, 60))
