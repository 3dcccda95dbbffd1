"""Figures with plotly, for the screen. Each returns a ``plotly.graph_objects.Figure``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.describe.words import cluster_name, plain
from vrae.exceptions import InvalidDataError
from vrae.plots.charts import (
    ChartGrid,
    centre_of,
    cluster_sizes,
    curve_charts,
    direction_charts,
    histogram_bins,
    map_groups,
    map_tags,
    reconstruction_charts,
    selection_curve,
    selection_marks,
    selection_roles,
    training_charts,
)
from vrae.plots.maps import MAX_FITTED, Method, project
from vrae.plots.palette import COLORS, INK, NOISE_COLOR, cluster_style
from vrae.plots.ranges import expected_chart
from vrae.plots.timeline import StepAxis
from vrae.plots.web_parts import draw_web_grid, escape, graph_objects, new_figure, web_wrap

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = [
    "plotly_anomalies",
    "plotly_cluster_sizes",
    "plotly_courses",
    "plotly_latent_map",
    "plotly_reconstructions",
    "plotly_scores",
    "plotly_selection",
    "plotly_training",
    "plotly_traversal",
]

_MAX_SVG_POINTS = 4000  # beyond this, points are drawn by WebGL
_NAME = 32  # characters of a line of a name
_ROLES: dict[str, tuple[int, str, str]] = {  # size, fill and edge
    "tried": (7, COLORS[0], COLORS[0]),
    "alternative": (11, "#FFFFFF", COLORS[0]),
    "not useful": (7, "#FFFFFF", NOISE_COLOR),
    "chosen": (13, COLORS[3], COLORS[3]),
}


def plotly_latent_map(
    Z: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    ids: Sequence[Any] | None = None,
    method: Method = "pca",
    names: Mapping[int, str] | None = None,
    tags: Mapping[int, str] | None = None,
    random_state: int = 0,
    max_points: int = MAX_FITTED,
) -> Figure:
    """Draw a map of latent vectors: one point per series, similar series close together.

    Parameters are those of `vrae.plots.plot_latent_map`. In addition, ``ids`` of shape (n_series,)
    are names of the series to show on hover. Default: 0, 1, 2, ...
    """
    go = graph_objects()
    shown = project(Z, method, random_state=random_state, max_points=max_points)
    scatter = go.Scattergl if len(shown.indices) > _MAX_SVG_POINTS else go.Scatter
    figure = new_figure(f"Map of {len(shown.indices):,} series", shown.note)
    groups = list(map_groups(shown, labels, names))
    texts = map_tags(groups, tags)
    for label, name, style, member in groups:
        x, y = shown.points[member].T
        indices = shown.indices[member].tolist()
        figure.add_trace(
            scatter(
                x=x,
                y=y,
                mode="markers",
                name=web_wrap(name, _NAME),
                text=[escape(str(i if ids is None else ids[i])) for i in indices],
                hovertemplate="%{text}<extra>%{fullData.name}</extra>",
                marker={"color": style.color, "symbol": style.symbol, "size": 7, "opacity": 0.75},
                showlegend=labels is not None,
            )
        )
        if label in texts:
            x0, y0 = centre_of(shown.points[member]).tolist()
            look = {"bgcolor": "rgba(255, 255, 255, 0.85)", "bordercolor": style.color, "font_color": INK}
            figure.add_annotation(x=x0, y=y0, text=escape(texts[label]), showarrow=False, borderpad=2, **look)
    figure.update_xaxes(title_text=shown.titles[0])
    figure.update_yaxes(title_text=shown.titles[1])
    figure.update_layout(
        height=520, legend={"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yref": "paper", "yanchor": "top"}
    )
    return figure


def plotly_courses(
    X: Any,
    labels: npt.ArrayLike,
    *,
    names: Mapping[int, str] | None = None,
    channels: Sequence[str] | None = None,
    unit: str = "value",
    lags: npt.ArrayLike | None = None,
    n_members: int = 5,
    adjust: bool = False,
    random_state: int = 0,
) -> Figure:
    """Draw the typical curve of every cluster.

    Parameters and layout are those of `vrae.plots.plot_courses`.
    """
    options = {"n_members": n_members, "adjust": adjust, "random_state": random_state}
    charts = curve_charts(X, labels, names, channels, unit, lags, **options)
    return draw_web_grid("Typical curve of each cluster", charts)


def plotly_reconstructions(
    X: Any,
    reconstruction: Any,
    *,
    ids: Sequence[Any] | None = None,
    channels: Sequence[str] | None = None,
    unit: str = "value",
    titles: Sequence[str] | None = None,
    max_series: int = 6,
) -> Figure:
    """Draw series and their reconstructions.

    Parameters and layout are those of `vrae.plots.plot_reconstructions`.
    """
    charts = reconstruction_charts(X, reconstruction, ids, channels, unit, max_series, titles)
    return draw_web_grid("Series and their reconstructions", charts)


def plotly_training(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the training history: loss, reconstruction error, KL divergence and its weight.

    The parameter is that of `vrae.plots.plot_training`.
    """
    figure = draw_web_grid("", training_charts(history))
    figure.update_layout(margin_t=64)  # room for the legend
    return figure


def plotly_traversal(
    curves: npt.ArrayLike,
    *,
    channels: Sequence[str] | None = None,
    unit: str = "value",
    titles: Sequence[str] | None = None,
    max_directions: int = 6,
) -> Figure:
    """Draw series decoded along latent directions, from one end (blue) to the other (yellow).

    Parameters and layout are those of `vrae.plots.plot_traversal`.
    """
    graph_objects()
    from plotly.colors import sample_colorscale

    shown = np.asarray(curves, np.float64)[:max_directions]
    if shown.ndim != 4:
        raise InvalidDataError(
            f"Curves must have shape (n_directions, n_positions, n_channels, n_steps); found {shown.shape}."
        )
    colors = sample_colorscale("cividis", np.linspace(0, 0.95, shown.shape[1]))
    return draw_web_grid("Series along each direction", direction_charts(shown, colors, channels, unit, titles))


def plotly_anomalies(
    x: npt.ArrayLike,
    low: npt.ArrayLike,
    middle: npt.ArrayLike,
    high: npt.ArrayLike,
    *,
    marked: npt.ArrayLike | None = None,
    times: npt.ArrayLike | None = None,
    title: str = "",
    unit: str = "value",
) -> Figure:
    """Draw one channel of a series with its expected range, and mark the steps outside.

    Parameters are those of `vrae.plots.plot_anomalies`.
    """
    axis = StepAxis("step") if times is None else StepAxis("time", np.asarray(times))
    return draw_web_grid("", ChartGrid([expected_chart(axis, x, low, middle, high, marked, title, unit)], 1))


def plotly_scores(scores: npt.ArrayLike, *, threshold: float | None = None, title: str = "Scores") -> Figure:
    """Draw the distribution of scores, and the threshold below which series are outliers.

    Parameters are those of `vrae.plots.plot_scores`.
    """
    go = graph_objects()
    known = np.asarray(scores, np.float64)
    known = known[np.isfinite(known)]
    counts, edges = np.histogram(known, histogram_bins(len(known)))
    figure = new_figure(title)
    template = "%{x:.3g}: %{y:,} series<extra></extra>"
    bars = {"x": (edges[1:] + edges[:-1]) / 2, "y": counts, "width": np.diff(edges)}
    figure.add_trace(go.Bar(**bars, marker_color=COLORS[0], hovertemplate=template))
    if threshold is not None:
        text = f"threshold {plain(threshold)}:<br>below are outliers"
        place = {"annotation_position": "top left", "annotation_font_color": INK}
        figure.add_vline(threshold, line_color=COLORS[3], annotation_text=text, **place)
    figure.update_xaxes(title_text="score (lower is more anomalous)")
    figure.update_yaxes(title_text="number of series")
    figure.update_layout(height=360, bargap=0)
    return figure


def plotly_selection(
    selection: Sequence[Mapping[str, Any]],
    *,
    chosen: int | None = None,
    criterion: str = "score",
    alternatives: Sequence[int] | None = None,
) -> Figure:
    """Draw the score of each number of clusters tried.

    Parameters are those of `vrae.plots.plot_selection`.
    """
    go = graph_objects()
    numbers, scores = selection_curve(selection)
    roles = selection_roles(selection, chosen, alternatives)
    looks = [_ROLES[role] for role in roles.tolist()]
    figure = new_figure("")
    figure.add_trace(
        go.Scatter(
            x=numbers,
            y=scores,
            mode="lines+markers+text",
            text=[text + row * "<br> " for text, row in selection_marks(numbers, roles)],
            textposition="top center",
            cliponaxis=False,
            line={"color": COLORS[0], "width": 2},
            marker={
                "size": [size for size, *_ in looks],
                "color": [fill for _, fill, _ in looks],
                "line": {"color": [edge for *_, edge in looks], "width": 2},
                "opacity": 1,
            },
            customdata=roles,
            hovertemplate="%{x} clusters: %{y:.3f} (%{customdata})<extra></extra>",
            showlegend=False,
        )
    )
    low, high = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 1)
    figure.update_xaxes(
        title_text="number of clusters", dtick=-(-(high - low) // 12) or 1, range=[low - 0.5, high + 0.5]
    )
    figure.update_yaxes(title_text=escape(criterion))
    figure.update_layout(margin_t=52)  # room for the marks
    return figure


def plotly_cluster_sizes(labels: npt.ArrayLike, *, names: Mapping[int, str] | None = None) -> Figure:
    """Draw the number of series in each cluster.

    Parameters are those of `vrae.plots.plot_cluster_sizes`.
    """
    go = graph_objects()
    sizes = cluster_sizes(labels)
    texts = [web_wrap(cluster_name(label, names), _NAME) for label, _ in sizes]
    figure = new_figure("Series in each cluster")
    figure.add_trace(
        go.Bar(
            x=[size for _, size in sizes],
            y=texts,
            orientation="h",
            marker={"color": [cluster_style(label).color for label, _ in sizes]},
            text=[f"{size:,}" for _, size in sizes],
            textposition="outside",
            hovertemplate="%{y}: %{x:,} series<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="number of series")
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=110 + sum(14 + 14 * (1 + text.count("<br>")) for text in texts))
    return figure
