"""Figures of the detector, the neighbours, the forecaster and of pairs that take sales."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.config import check_int, check_real
from vrae.data.calendar import local_times
from vrae.data.panel import Panel
from vrae.data.reading import as_panel
from vrae.describe.words import plain, plural
from vrae.estimators.cluster_plots import GroupPlots
from vrae.estimators.forecasting.covariate_series import open_series
from vrae.estimators.forecasting.fitted_items import open_items
from vrae.estimators.plotting import Backend, Plots, check_drawing, draw_charts, some_series
from vrae.exceptions import InvalidDataError
from vrae.plots.charts import Chart, ChartGrid, Line, line_of
from vrae.plots.maps import Method
from vrae.plots.palette import COLORS, INK
from vrae.plots.ranges import expected_chart, forecast_chart
from vrae.plots.timeline import StepAxis, common_axis, own_axes

__all__ = ["AnomalyPlots", "ForecastPlots", "NeighborPlots", "PairPlots"]


class AnomalyPlots(Plots):
    """Figures of a fitted `VRAEAnomalyDetector`.

    Each draws with matplotlib, or with plotly if ``backend="plotly"``, and returns the figure of
    that library. Both need ``pip install 'vrae[report]'``.
    """

    def anomalies(
        self,
        X: Any,
        series_id: Any = None,
        *,
        n_series: int = 3,
        width: float = 3.0,
        backend: Backend = "matplotlib",
    ) -> Any:
        """Draw series with the range in which the model expects them, and mark what is outside.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
        series_id : Any, optional
            Id of the series to draw; for arrays, its number from 0. Default: the most anomalous.
        n_series : int, default=3
            Number of series, without ``series_id``.
        width : float, default=3.0
            Half of the width of the range in standard deviations.
        backend : {"matplotlib", "plotly"}, default="matplotlib"

        Returns
        -------
        matplotlib or plotly Figure
            One chart per series and channel.
        """
        detector, model = self._owner, self._model()
        check_drawing(backend)
        check_int("n_series", n_series, low=1)
        check_real("width", width, above=0)
        panel, indices = model.open(X)
        if series_id is None:
            scores = detector.score_samples(panel)
            rows = indices[np.argsort(scores[indices], kind="stable")[:n_series]]
            scores = scores[rows]
        else:
            rows = np.array([some_series(panel, indices, series_id)])
            scores = detector.score_samples(panel.select(rows))
        shown = panel.select(rows)
        band = detector.expected_range(shown, width)
        charts = []
        for i, axis in enumerate(own_axes(shown, len(shown))):
            what = "outlier" if scores[i] < detector.offset_ else "normal"
            title = f"Series {shown.ids[i]}: {what}, score {plain(scores[i])} (threshold {plain(detector.offset_)})"
            for c, channel in enumerate(shown.channels):
                x, low, middle, high = (part[i][c] for part in (shown, *band))
                charts.append(expected_chart(axis, x, low, middle, high, None, title, channel))
        return draw_charts(ChartGrid(charts, 1), "Expected and found", backend)

    def scores(self, *, backend: Backend = "matplotlib", ax: Any = None) -> Any:
        """Draw the distribution of the scores of the training series, and the threshold.

        Parameters
        ----------
        backend : {"matplotlib", "plotly"}, default="matplotlib"
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes or plotly Figure
        """
        self._model()
        found, threshold = self._owner.scores_, self._owner.offset_
        n_outliers = int((found < threshold).sum())
        title = f"Scores of {plural(int(np.isfinite(found).sum()), 'series')}, {n_outliers:,} of them outliers"
        return self._draw("scores", backend, found, threshold=threshold, title=title, ax=ax)

    def map(self, *, method: Method = "pca", backend: Backend = "matplotlib", ax: Any = None) -> Any:
        """Draw a map of the training series: normal ones and outliers.

        Parameters
        ----------
        method : {"pca", "tsne", "umap"}, default="pca"
            How latent vectors become points. "pca" keeps distances, the others neighbours.
        backend : {"matplotlib", "plotly"}, default="matplotlib"
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes or plotly Figure
        """
        self._model()
        is_outlier = self._owner.scores_ < self._owner.offset_
        labels = np.where(np.isnan(self._owner.scores_), -1, np.where(is_outlier, 3, 0))  # vermilion and blue
        names = {0: "normal", 3: "outlier", -1: "without a value"}
        return self._draw_map(backend, self._owner.embedding_, labels, names=names, tags={}, method=method, ax=ax)


class NeighborPlots(Plots):
    """Figures of fitted `VRAENeighbors`.

    Each draws with matplotlib, or with plotly if ``backend="plotly"``, and returns the figure of
    that library. Both need ``pip install 'vrae[report]'``.
    """

    def neighbors(
        self, X: Any = None, *, n_neighbors: int = 3, n_series: int = 4, backend: Backend = "matplotlib"
    ) -> Any:
        """Draw series and the training series that are most similar to each of them.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel, optional
            Default: the training series, each without itself.
        n_neighbors : int, default=3
            Neighbors of each series.
        n_series : int, default=4
            Draw the first ``n_series`` series.
        backend : {"matplotlib", "plotly"}, default="matplotlib"

        Returns
        -------
        matplotlib or plotly Figure
            One row per series and channel: the series, then its neighbors, nearest first.
        """
        model, owner = self._model(), self._owner
        check_drawing(backend)
        check_int("n_series", n_series, low=1)
        if X is None:
            queries, rows = owner.series_, np.flatnonzero(np.isfinite(owner.embedding_).all(axis=1))[:n_series]
            distances, found = (part[rows] for part in owner.kneighbors(None, n_neighbors))
        else:
            queries, indices = model.open(X)
            rows = indices[:n_series]
            distances, found = owner.kneighbors(queries.select(rows), n_neighbors)
        queries = owner.dated_series(rows) if X is None else queries.select(rows)
        charts = []
        for i, axis in enumerate(own_axes(queries, len(queries))):
            close = owner.dated_series(found[i])
            axes = own_axes(close, len(close))
            for c, channel in enumerate(queries.channels):
                line = line_of(axis, queries[i][c].astype(np.float64), INK, 1.4)
                charts.append(Chart(f"Series {queries.ids[i]}", axis.title, channel, [line]))
                for j, (name, away) in enumerate(zip(close.ids.tolist(), distances[i], strict=True)):
                    line = line_of(axes[j], close[j][c].astype(np.float64), COLORS[0], 1.4)
                    title = f"{j + 1}: {name}, distance {plain(round(away, 6))}"
                    charts.append(Chart(title, axes[j].title, channel, [line]))
        return draw_charts(ChartGrid(charts, n_neighbors + 1), "Most similar series", backend)

    def map(self, *, method: Method = "pca", backend: Backend = "matplotlib", ax: Any = None) -> Any:
        """Draw a map of the training series: similar series are close together.

        Parameters
        ----------
        method : {"pca", "tsne", "umap"}, default="pca"
            How latent vectors become points. "pca" keeps distances, the others neighbours.
        backend : {"matplotlib", "plotly"}, default="matplotlib"
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes or plotly Figure
        """
        self._model()
        return self._draw_map(backend, self._owner.embedding_, method=method, ax=ax)


class ForecastPlots(GroupPlots):
    """Figures of a fitted `GroupForecaster`.

    Each draws with matplotlib, or with plotly if ``backend="plotly"``, and returns the figure of
    that library. Both need ``pip install 'vrae[report]'``.
    """

    _word = "Group"
    _criterion = "mean squared error in backtests (lower is better)"

    def forecast(self, X: Any, *, n_items: int = 6, n_past: int | None = None, backend: Backend = "matplotlib") -> Any:
        """Draw the past of items, their forecasts and the ranges of outcomes.

        Parameters
        ----------
        X : array (n, steps), list of arrays, table or Panel
            The past of the items of `fit`, or of others.
        n_items : int, default=6
            Draw the first ``n_items`` items.
        n_past : int, optional
            Steps of the past to draw. Default: six times the horizon, and at least 52.
        backend : {"matplotlib", "plotly"}, default="matplotlib"

        Returns
        -------
        matplotlib or plotly Figure
        """
        forecaster, model = self._owner, self._model()
        check_drawing(backend)
        check_int("n_items", n_items, low=1)
        horizon = forecaster.horizon
        n_past = max(6 * horizon, 52) if n_past is None else check_int("n_past", n_past, low=1)
        items, names = forecaster._items_, forecaster._items_.covariates
        X = as_panel(open_series(X, names, model.reading_), model.reading_)
        panel = model.usable(open_items(X, model, names)[0])[0]
        levels = sorted(items.levels, reverse=True)
        query, found = forecaster._forecast(X, levels)
        zone = model.calendar_.zone if model.calendar_ else None
        future = None if query.times is None else local_times(query.times, zone)
        charts = []
        for i, axis in enumerate(own_axes(panel, min(n_items, len(panel)))):
            x = panel[i][0].astype(np.float64)[-n_past:]
            if future is None:  # without dates, all items end now
                title, past, after = "steps from now", np.arange(-len(x), 0) + 1, np.arange(1, horizon + 1)
            else:
                title, past, after = axis.title, axis.at(np.arange(int(panel.lengths[i])))[-n_past:], future
            bands = [
                (f"{level:g} % of outcomes", found[f"lo-{level:g}"][i], found[f"hi-{level:g}"][i]) for level in levels
            ]
            titles = (f"{panel.ids[i]}", title, panel.channels[0])
            charts.append(forecast_chart(past, x, after, found["mean"][i], bands, titles))
        columns = 1 if len(charts) == 1 else 2
        return draw_charts(ChartGrid(charts, columns), "Forecasts", backend)


class PairPlots(Plots):
    """Figures of the result of `find_cannibalization`.

    Each draws with matplotlib, or with plotly if ``backend="plotly"``, and returns the figure of
    that library. Both need ``pip install 'vrae[report]'``.
    """

    def pairs(self, X: Any, n_pairs: int = 6, *, backend: Backend = "matplotlib") -> Any:
        """Draw the pairs of items that take sales from each other, the most significant first.

        Parameters
        ----------
        X : array of shape (n_series, n_steps), list of arrays, table or Panel
            The series in which they were found.
        n_pairs : int, default=6
            Number of pairs to draw.
        backend : {"matplotlib", "plotly"}, default="matplotlib"

        Returns
        -------
        matplotlib or plotly Figure

        Raises
        ------
        InvalidDataError
            No pair was found, or an item is not in X.
        """
        found = self._owner
        check_drawing(backend)
        check_int("n_pairs", n_pairs, low=1)
        if not len(found):
            raise InvalidDataError("No pair of items takes sales from each other: there is nothing to draw.")
        panel = as_panel(X)
        axis, first = common_axis(panel)
        charts = []
        for i in range(min(n_pairs, len(found))):
            item, other = found.item[i], found.other[i]
            lines = [
                _placed(panel, axis, first, item, COLORS[0], "first item"),
                _placed(panel, axis, first, other, COLORS[3], "second item"),
            ]
            lost = "" if np.isnan(found.taken[i]) else f", {other} loses {100 * found.taken[i]:.0f} %"
            charts.append(Chart(f"{item} and {other}: {found.kind[i]}{lost}", axis.title, panel.channels[0], lines))
        return draw_charts(ChartGrid(charts, 1 if len(charts) == 1 else 2, same_x=True), "Pairs of items", backend)


def _placed(
    panel: Panel, axis: StepAxis, first: npt.NDArray[np.int64] | None, name: Any, color: str, text: str
) -> Line:
    """Return the line of one item on the axis of all."""
    row = panel.position(name)
    x = panel[row][0].astype(np.float64)
    start = 0 if first is None else int(first[row])
    return Line(axis.at(np.arange(start, start + len(x))), x, color, 1.4, text)
