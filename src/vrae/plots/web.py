"""Figures with plotly, for the screen. Each returns a ``plotly.graph_objects.Figure``."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.describe.words import cluster_name
from vrae.exceptions import check_installed
from vrae.plots.charts import (
    Chart,
    Line,
    cluster_sizes,
    curve_charts,
    map_groups,
    reconstruction_charts,
    selection_curve,
    training_charts,
)
from vrae.plots.maps import MAX_FITTED, Method, project
from vrae.plots.palette import COLORS, INK, NOISE_COLOR, cluster_style, rgba

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

    Parameters are those of `vrae.plots.plot_latent_map`. In addition, ``ids`` of shape (n_series,)
    are names of the series to show on hover. Default: 0, 1, 2, ...
    """
    go = _graph_objects()
    shown = project(Z, method, random_state=random_state, max_points=max_points)
    scatter = go.Scattergl if len(shown.indices) > _MAX_SVG_POINTS else go.Scatter
    figure = _figure(f"Map of {len(shown.indices):,} series", shown.note)
    for name, style, member in map_groups(shown, labels, names):
        x, y = shown.points[member].T
        indices = shown.indices[member].tolist()
        figure.add_trace(
            scatter(
                x=x,
                y=y,
                mode="markers",
                name=html.escape(name),
                text=[html.escape(str(i if ids is None else ids[i])) for i in indices],
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
    """
    options = {"n_members": n_members, "adjust": adjust, "random_state": random_state}
    return _draw("Typical curve of each cluster", *curve_charts(X, labels, names, channels, unit, **options))


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
    """
    charts = reconstruction_charts(X, reconstruction, ids, channels, unit, max_series)
    return _draw("Series and their reconstructions", *charts)


def plotly_training(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the training history: loss, reconstruction error, KL divergence and its weight.

    The parameter is that of `vrae.plots.plot_training`.
    """
    figure = _draw("", training_charts(history), 2)
    figure.update_layout(margin_t=64)  # room for the legend
    return figure


def plotly_selection(
    selection: Sequence[Mapping[str, Any]], *, chosen: int | None = None, criterion: str = "score"
) -> Figure:
    """Draw the score of each number of clusters tried.

    Parameters are those of `vrae.plots.plot_selection`.
    """
    go = _graph_objects()
    numbers, scores = selection_curve(selection)
    is_chosen = numbers == chosen
    marker = {"size": np.where(is_chosen, 13, 7), "color": np.where(is_chosen, COLORS[3], COLORS[0]), "opacity": 1}
    figure = _figure("")
    figure.add_trace(
        go.Scatter(
            x=numbers,
            y=scores,
            mode="lines+markers+text",
            text=np.where(is_chosen, "chosen", ""),
            textposition="middle right",
            line={"color": COLORS[0], "width": 2},
            marker=marker,
            hovertemplate="%{x} clusters: %{y:.3f}<extra></extra>",
            showlegend=False,
        )
    )
    low, high = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 1)
    figure.update_xaxes(
        title_text="number of clusters", dtick=-(-(high - low) // 12) or 1, range=[low - 0.5, high + 0.5]
    )
    figure.update_yaxes(title_text=criterion)
    return figure


def plotly_cluster_sizes(labels: npt.ArrayLike) -> Figure:
    """Draw the number of series in each cluster; ``labels`` has the shape (n_series,)."""
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


def _draw(title: str, charts: Sequence[Chart], columns: int) -> Figure:
    """Draw charts in a grid, row by row."""
    check_installed("plotly", "report", "A figure for the screen")
    from plotly.subplots import make_subplots

    rows = max(1, -(-len(charts) // columns))
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[html.escape(chart.title) for chart in charts],
        vertical_spacing=110 / (_CELL * rows),
        horizontal_spacing=min(0.1, 0.4 / columns),
    )
    figure.update_annotations(font_size=13)
    _styled(figure, title)
    figure.update_layout(height=_CELL * rows + 60)
    in_legend: set[str] = set()
    for cell, chart in enumerate(charts):
        place = {"row": cell // columns + 1, "col": cell % columns + 1}
        for line in chart.lines:
            is_new = chart.legend and line.name not in in_legend
            if is_new:
                in_legend.add(line.name)
            for trace in _traces(line, showlegend=is_new):
                figure.add_trace(trace, **place)
        figure.update_xaxes(title_text=chart.x_title, **place)
        figure.update_yaxes(title_text=html.escape(chart.y_title), **place)
    return figure


def _traces(line: Line, *, showlegend: bool) -> list[Any]:
    """Return one trace for a line (a dot if it is a single point), or two for an area."""
    go = _graph_objects()
    if line.low is not None:
        edge = {"x": line.x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        fill = {"fill": "tonexty", "fillcolor": rgba(line.color, line.opacity)}
        return [go.Scatter(y=line.y, **edge), go.Scatter(y=line.low, **edge, **fill)]
    color = line.color if line.opacity == 1 else rgba(line.color, line.opacity)
    return [
        go.Scatter(
            x=line.x,
            y=line.y,
            mode="markers" if len(line.x) == 1 else "lines",
            line={"color": color, "width": line.width + 0.2},  # pixels are thinner than matplotlib's points
            name=line.name or None,
            legendgroup=line.name or None,
            showlegend=showlegend,
            hovertemplate="%{x}: %{y:.4g}<extra></extra>",
        )
    ]


def _styled(figure: Figure, title: str) -> Figure:
    figure.update_layout(
        template="none",
        title={"text": title, "x": 0.01, "font": {"size": 16}},
        font={"family": _FONT, "size": 12, "color": INK},
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
