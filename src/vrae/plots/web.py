"""The figures drawn with plotly, for the screen: each returns a ``go.Figure``. Twins of `vrae.plots.mpl`."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.optional import check_installed
from vrae.plots.compute import (
    Floats,
    channel_names,
    cluster_courses,
    cluster_sizes,
    decimate,
    grid_columns,
    selection_curve,
    series_list,
    training_charts,
)
from vrae.plots.maps import MAX_ARRANGED, Method, project
from vrae.plots.palette import COLORS, NOISE_COLOR, cluster_labels, cluster_name, cluster_style, rgba

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
    max_points: int = MAX_ARRANGED,
) -> Figure:
    """Draw every series as a point: near points are series that behave alike.

    Parameters
    ----------
    Z : array-like of shape (n_series, latent_size)
    labels : array-like of int, shape (n_series,), optional
        Clusters, or known classes, to colour by; -1 is grey.
    ids : sequence of length n_series, optional
        Shown when the pointer rests on a point.
    method : {"pca", "tsne"}
    names : mapping of int to str, optional
        Names for the legend.
    random_state, max_points : int
        See `vrae.plots.plot_latent_map`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    go = _graph_objects()
    shown = project(Z, method, random_state=random_state, max_points=max_points)
    groups = np.zeros(shown.n_series, int) if labels is None else np.asarray(labels, int)
    names = {label: html.escape(name) for label, name in (names or {}).items()}
    scatter = go.Scattergl if len(shown.rows) > _MAX_SVG_POINTS else go.Scatter
    figure = _figure(f"Map of {len(shown.rows):,} series", shown.note)
    for label in cluster_labels(groups[shown.rows]):
        style, member = cluster_style(label), groups[shown.rows] == label
        rows = shown.rows[member]
        figure.add_trace(
            scatter(
                x=shown.points[member, 0],
                y=shown.points[member, 1],
                mode="markers",
                name=names.get(label, cluster_name(label)),
                text=[html.escape(str(row if ids is None else ids[row])) for row in rows.tolist()],
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
    """Draw a snapshot of the data by cluster: the typical course, a band, a few members.

    Parameters and layout as `vrae.plots.plot_courses`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    courses = cluster_courses(X, labels, n_members=n_members, adjust=adjust, random_state=random_state)
    n_channels = len(courses[0].middle)
    units = channel_names(channels, unit, n_channels)
    cells = [(course, c) for course in courses for c in range(n_channels)]
    columns = grid_columns(n_channels, len(courses))
    figure = _grid("Typical course of each cluster", [course.title(names) for course, _ in cells], columns)
    for cell, (course, c) in enumerate(cells):
        color = cluster_style(course.label).color
        for member in course.members:
            _add_line(figure, cell, columns, course.steps, member[c], rgba(color, 0.35), 0.8)
        edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        _add_line(figure, cell, columns, course.steps, course.high[c], **edge)
        band: dict[str, Any] = {"fill": "tonexty", "fillcolor": rgba(color, 0.18)}
        _add_line(figure, cell, columns, course.steps, course.low[c], **edge, **band)
        _add_line(figure, cell, columns, course.steps, course.middle[c], color, 2.2)
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
    """Draw series and the model's version of them, one over the other.

    Parameters and layout as `vrae.plots.plot_reconstructions`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    pairs = list(zip(series_list(X), series_list(reconstruction), strict=True))[:max_series]
    n_channels = len(pairs[0][0])
    names = channel_names(channels, unit, n_channels)
    cells = [(row, c) for row in range(len(pairs)) for c in range(n_channels)]
    columns = grid_columns(n_channels, len(pairs))
    titles = [f"Series {row if ids is None else ids[row]}" for row, _ in cells]
    figure = _grid("Series and the model's version of them", titles, columns)
    for cell, (row, c) in enumerate(cells):
        original, model = (x[c] for x in pairs[row])
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
    """Draw how training went: loss, reconstruction, KL and its weight by epoch.

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
    """Draw the score of every number of clusters that was tried.

    Parameters
    ----------
    selection : sequence of mappings
        Each with ``n_clusters`` and ``score``.
    chosen : int, optional
        The number of clusters that was taken.
    criterion : str
        Name of the score.

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
    """Draw the number of series of every cluster.

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


# ---------------------------------------------------------------------------------------- pieces


def _graph_objects() -> Any:
    """Return plotly's figures, or raise if it is not installed."""
    check_installed("plotly", "report", "A figure for the screen")
    import plotly.graph_objects as go

    return go


def _figure(title: str, note: str = "") -> Figure:
    """Return an empty figure with the calm look that all of them share."""
    return _styled(_graph_objects().Figure(), f"{title}<br><sup>{note}</sup>" if note else title)


def _grid(title: str, titles: Sequence[str], columns: int) -> Figure:
    """Return a figure of small charts, row by row, each with its title."""
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
    """Add a line to chart number ``cell`` of a grid; a single point is drawn as a dot."""
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
