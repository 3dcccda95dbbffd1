"""Figures with plotly: counterparts of `vrae.plots.mpl`. Each returns a ``go.Figure``."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.describe.curves import cluster_curves, series_list
from vrae.describe.words import cluster_labels, cluster_name
from vrae.exceptions import check_installed
from vrae.plots.compute import (
    Floats,
    channel_names,
    cluster_sizes,
    decimate,
    grid_columns,
    selection_curve,
    training_charts,
)
from vrae.plots.maps import MAX_FITTED, Method, project
from vrae.plots.palette import COLORS, NOISE_COLOR, cluster_style, rgba

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = [
    "plotly_cluster_sizes",
    "plotly_courses",
    "plotly_latent_map",
    "plotly_reconstructions",
    "plotly_selection",
    "plotly_training",
]

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_INK = "#2B3138"
_FAINT = "#E3E7EB"
_CELL = 240  # height of a small chart, with its titles
_MAX_SVG_POINTS = 4000  # beyond this, points are drawn by WebGL


def plotly_latent_map(
    Z: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    ids: Sequence[Any] | None = None,
    method: Method = "pca",
    names: Mapping[int, str] | None = None,
    random_state: int = 0,
    max_points: int = MAX_FITTED,
) -> Figure:
    """Draw a map of latent vectors: one point per series, similar series close together.

    Parameters
    ----------
    Z, labels, method, names, random_state, max_points
        See `vrae.plots.plot_latent_map`.
    ids : sequence of length n_series, optional
        Names of the series, shown on hover. Default: 0, 1, 2, ...

    Returns
    -------
    plotly.graph_objects.Figure
    """
    go = _graph_objects()
    shown = project(Z, method, random_state=random_state, max_points=max_points)
    groups = np.zeros(shown.n_series, int) if labels is None else np.asarray(labels, int)
    names = {label: html.escape(name) for label, name in (names or {}).items()}
    scatter = go.Scattergl if len(shown.indices) > _MAX_SVG_POINTS else go.Scatter
    figure = _figure(f"Map of {len(shown.indices):,} series", shown.note)
    for label in cluster_labels(groups[shown.indices]):
        style, member = cluster_style(label), groups[shown.indices] == label
        indices = shown.indices[member]
        figure.add_trace(
            scatter(
                x=shown.points[member, 0],
                y=shown.points[member, 1],
                mode="markers",
                name=names.get(label, cluster_name(label)),
                text=[html.escape(str(i if ids is None else ids[i])) for i in indices.tolist()],
                hovertemplate="%{text}<extra>%{fullData.name}</extra>",
                marker={"color": style.color, "symbol": style.symbol, "size": 7, "opacity": 0.75},
                showlegend=labels is not None,
            )
        )
    figure.update_xaxes(title_text=shown.titles[0])
    figure.update_yaxes(title_text=shown.titles[1])
    return figure


def plotly_courses(
    X: Any,
    labels: npt.ArrayLike,
    *,
    names: Mapping[int, str] | None = None,
    channels: Sequence[str] | None = None,
    unit: str = "value",
    n_members: int = 5,
    adjust: bool = False,
    random_state: int = 0,
) -> Figure:
    """Draw the typical curve of every cluster.

    Parameters and layout are those of `vrae.plots.plot_courses`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    curves = cluster_curves(X, labels, n_members=n_members, adjust=adjust, random_state=random_state)
    n_channels = len(curves[0].middle)
    units = channel_names(channels, unit, n_channels)
    cells = [(curve, c) for curve in curves for c in range(n_channels)]
    columns = grid_columns(n_channels, len(curves))
    figure = _grid("Typical curve of each cluster", [curve.title(names) for curve, _ in cells], columns)
    for cell, (curve, c) in enumerate(cells):
        color = cluster_style(curve.label).color
        for member in curve.members:
            _add_line(figure, cell, columns, curve.steps, member[c], rgba(color, 0.35), 0.8)
        edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        _add_line(figure, cell, columns, curve.steps, curve.high[c], **edge)
        band: dict[str, Any] = {"fill": "tonexty", "fillcolor": rgba(color, 0.18)}
        _add_line(figure, cell, columns, curve.steps, curve.low[c], **edge, **band)
        _add_line(figure, cell, columns, curve.steps, curve.middle[c], color, 2.2)
        _title_axes(figure, cell, columns, "step", units[c])
    return figure


def plotly_reconstructions(
    X: Any,
    reconstruction: Any,
    *,
    ids: Sequence[Any] | None = None,
    channels: Sequence[str] | None = None,
    unit: str = "value",
    max_series: int = 6,
) -> Figure:
    """Draw series and their reconstructions.

    Parameters and layout are those of `vrae.plots.plot_reconstructions`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    pairs = list(zip(series_list(X), series_list(reconstruction), strict=True))[:max_series]
    n_channels = len(pairs[0][0])
    names = channel_names(channels, unit, n_channels)
    cells = [(i, c) for i in range(len(pairs)) for c in range(n_channels)]
    columns = grid_columns(n_channels, len(pairs))
    titles = [f"Series {i if ids is None else ids[i]}" for i, _ in cells]
    figure = _grid("Series and their reconstructions", titles, columns)
    for cell, (i, c) in enumerate(cells):
        original, model = (x[c] for x in pairs[i])
        for x, color, width, name in (
            (original, _INK, 1.0, "original"),
            (model, COLORS[3], 1.8, "reconstruction"),
        ):
            steps = decimate(x, 2000)
            _add_line(
                figure,
                cell,
                columns,
                steps,
                x[steps],
                color,
                width,
                name=name,
                legendgroup=name,
                showlegend=cell == 0,
            )
        _title_axes(figure, cell, columns, "step", names[c])
    return figure


def plotly_training(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the training history: loss, reconstruction error, KL divergence and its weight.

    Parameters
    ----------
    history : sequence of mappings
        See `vrae.plots.plot_training`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    charts = training_charts(history)
    figure = _grid("", [chart.title for chart in charts], 2)
    figure.update_layout(margin_t=64)  # room for the legend
    named: set[str] = set()
    for cell, chart in enumerate(charts):
        for color, (name, epochs, values) in zip((COLORS[0], COLORS[1]), chart.lines, strict=False):
            first = len(chart.lines) > 1 and name not in named
            named |= {name} if first else set()
            _add_line(figure, cell, 2, epochs, values, color, 2, name=name, legendgroup=name, showlegend=first)
        _title_axes(figure, cell, 2, "epoch", chart.unit)
    return figure


def plotly_selection(
    selection: Sequence[Mapping[str, Any]], *, chosen: int | None = None, criterion: str = "score"
) -> Figure:
    """Draw the score of each number of clusters tried.

    Parameters
    ----------
    selection, chosen, criterion
        See `vrae.plots.plot_selection`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    go = _graph_objects()
    numbers, scores = selection_curve(selection)
    is_chosen = numbers == chosen
    figure = _figure("")
    figure.add_trace(
        go.Scatter(
            x=numbers,
            y=scores,
            mode="lines+markers+text",
            text=np.where(is_chosen, "chosen", ""),
            textposition="top center",
            line={"color": COLORS[0], "width": 2},
            marker={
                "size": np.where(is_chosen, 13, 7),
                "color": np.where(is_chosen, COLORS[3], COLORS[0]),
                "opacity": 1,
            },
            hovertemplate="%{x} clusters: %{y:.3f}<extra></extra>",
            showlegend=False,
        )
    )
    figure.update_xaxes(title_text="number of clusters", dtick=max(1, len(numbers) // 15))
    figure.update_yaxes(title_text=criterion)
    return figure


def plotly_cluster_sizes(labels: npt.ArrayLike) -> Figure:
    """Draw the number of series in each cluster.

    Parameters
    ----------
    labels : array-like of int, shape (n_series,)

    Returns
    -------
    plotly.graph_objects.Figure
    """
    go = _graph_objects()
    sizes = cluster_sizes(labels)
    figure = _figure("Series in each cluster")
    figure.add_trace(
        go.Bar(
            x=[size for _, size in sizes],
            y=[cluster_name(label) for label, _ in sizes],
            orientation="h",
            marker={"color": [cluster_style(label).color for label, _ in sizes]},
            text=[f"{size:,}" for _, size in sizes],
            textposition="outside",
            hovertemplate="%{y}: %{x:,} series<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="number of series")
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=110 + 26 * len(sizes))
    return figure


def _graph_objects() -> Any:
    """Return `plotly.graph_objects`, or raise if plotly is not installed."""
    check_installed("plotly", "report", "A figure for the screen")
    import plotly.graph_objects as go

    return go


def _figure(title: str, note: str = "") -> Figure:
    """Return an empty figure in the common style."""
    return _styled(_graph_objects().Figure(), f"{title}<br><sup>{note}</sup>" if note else title)


def _grid(title: str, titles: Sequence[str], columns: int) -> Figure:
    """Return a figure with a grid of titled charts, filled row by row."""
    check_installed("plotly", "report", "A figure for the screen")
    from plotly.subplots import make_subplots

    rows = max(1, -(-len(titles) // columns))
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[html.escape(str(title)) for title in titles],
        vertical_spacing=110 / (_CELL * rows),
        horizontal_spacing=min(0.1, 0.4 / columns),
    )
    figure.update_annotations(font_size=13)
    _styled(figure, title)
    figure.update_layout(height=_CELL * rows + 60)
    return figure


def _styled(figure: Figure, title: str) -> Figure:
    figure.update_layout(
        template="none",
        title={"text": title, "x": 0.01, "font": {"size": 16}},
        font={"family": _FONT, "size": 12, "color": _INK},
        margin={"l": 64, "r": 16, "t": 72 if title else 24, "b": 56},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.06, "xanchor": "right", "x": 1},
        hoverlabel={"font": {"family": _FONT}},
        paper_bgcolor="#FFFFFF",
        plot_bgcolor="#FFFFFF",
    )
    axis = {"gridcolor": _FAINT, "linecolor": NOISE_COLOR, "zeroline": False, "automargin": True}
    figure.update_xaxes(**axis, title_standoff=8)
    figure.update_yaxes(**axis, title_standoff=8)
    return figure


def _add_line(
    figure: Figure,
    cell: int,
    columns: int,
    x: Floats | npt.NDArray[np.int64],
    y: Floats,
    color: str = "",
    width: float = 0,
    **extra: Any,
) -> None:
    """Add a line to chart number ``cell`` of a grid. A single point becomes a dot."""
    go = _graph_objects()
    look = {"line": {"color": color, "width": width}} if color else {}
    mode = "markers" if len(x) == 1 else "lines"
    options = {
        "mode": mode,
        "showlegend": False,
        "hovertemplate": "%{x}: %{y:.4g}<extra></extra>",
        **look,
        **extra,
    }
    if "hoverinfo" in options:
        del options["hovertemplate"]
    figure.add_trace(go.Scatter(x=x, y=y, **options), row=cell // columns + 1, col=cell % columns + 1)


def _title_axes(figure: Figure, cell: int, columns: int, x_title: str, y_title: str) -> None:
    place = {"row": cell // columns + 1, "col": cell % columns + 1}
    figure.update_xaxes(title_text=x_title, **place)
    figure.update_yaxes(title_text=html.escape(y_title), **place)
