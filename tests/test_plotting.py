"""``estimator.plot``: every figure, of every kind of series, with both libraries."""

from __future__ import annotations

import copy
import sys
from functools import cache
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from plotly.graph_objects import Figure as WebFigure

from conftest import make_estimator
from vrae import VRAEClusterer, find_cannibalization, load_model, read_panel
from vrae.exceptions import InvalidDataError, InvalidParameterError, MissingDependencyError, NotFittedError

mpl.use("Agg")

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

BACKENDS = ("matplotlib", "plotly")
KINDS = ("array", "dated", "hours", "channels", "gaps")
FIRST, LAST = np.datetime64("2024-01-01"), np.datetime64("2024-07-15")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


# ------------------------------------------------------------------------------- series


def waves(n: int, n_steps: int, n_channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    period = np.where(np.arange(n) % 2, 4, 12)[:, None, None]
    time = np.arange(n_steps) + rng.uniform(0, 2, (n, n_channels, 1))
    return 20 + 5 * np.sin(2 * np.pi * time / period) + 0.3 * rng.standard_normal((n, n_channels, n_steps))


@cache
def series(kind: str) -> Any:
    """Return 14 series: an array, tables with weeks and hours, unequal channels, or with gaps."""
    X = waves(14, 29, 2 if kind == "channels" else 1)
    if kind == "array":
        return X[:, 0]
    if kind == "channels":
        return [x[:, : 20 + i % 9] for i, x in enumerate(X)]
    if kind == "gaps":
        X[3, 0, 5:9] = X[4, 0, ::2] = np.nan
        return X[:, 0]
    days = pd.date_range(FIRST, periods=29, freq="W-MON")
    if kind == "hours":
        days = pd.date_range("2024-07-01 00:00", periods=29, freq="h", tz="Europe/Paris")
    rows = [
        pd.DataFrame({"item": f"item {i}", "week": days[i % 5 :], "sold items": x[0, i % 5 :]}) for i, x in enumerate(X)
    ]
    return read_panel(pd.concat(rows), id="item", time="week", value="sold items")


@cache
def fitted(name: str, kind: str) -> Any:
    options = {"n_clusters": 3} if name == "VRAEClusterer" else {}
    return make_estimator(name, **options).fit(series(kind))


# ------------------------------------------------------------------------------- figures

CALLS: dict[str, dict[str, Any]] = {
    "VRAEClusterer": {
        "courses": lambda plot, X, **o: plot.courses(X, **o),
        "map": lambda plot, X, **o: plot.map(**o),
        "tree": lambda plot, X, **o: plot.tree(**o),
        "reconstructions": lambda plot, X, **o: plot.reconstructions(X, 4, **o),
        "training": lambda plot, X, **o: plot.training(**o),
        "sizes": lambda plot, X, **o: plot.sizes(**o),
    },
    "VRAE": {
        "map": lambda plot, X, **o: plot.map(["a", "b"] * 7, **o),
        "reconstructions": lambda plot, X, **o: plot.reconstructions(X, 4, **o),
        "training": lambda plot, X, **o: plot.training(**o),
        "traversal": lambda plot, X, **o: plot.traversal(2, n_values=3, **o),
    },
    "VRAEAnomalyDetector": {
        "anomalies": lambda plot, X, **o: plot.anomalies(X, n_series=2, **o),
        "scores": lambda plot, X, **o: plot.scores(**o),
        "map": lambda plot, X, **o: plot.map(**o),
        "training": lambda plot, X, **o: plot.training(**o),
    },
    "VRAENeighbors": {
        "neighbors": lambda plot, X, **o: plot.neighbors(X, n_neighbors=2, n_series=2, **o),
        "map": lambda plot, X, **o: plot.map(**o),
        "training": lambda plot, X, **o: plot.training(**o),
    },
    "GroupForecaster": {
        "forecast": lambda plot, X, **o: plot.forecast(X, n_items=2, **o),
        "map": lambda plot, X, **o: plot.map(**o),
        "sizes": lambda plot, X, **o: plot.sizes(**o),
        "training": lambda plot, X, **o: plot.training(**o),
    },
}
OF_SERIES = ("courses", "reconstructions", "anomalies", "neighbors", "forecast")
CASES = [
    (name, figure, kind)
    for name, figures in CALLS.items()
    for figure in figures
    for kind in KINDS
    if figure in OF_SERIES or kind == "array"
    if not (name == "GroupForecaster" and kind == "channels")
]


def draw(name: str, figure: str, kind: str, backend: str = "matplotlib", **options: Any) -> Any:
    return CALLS[name][figure](fitted(name, kind).plot, series(kind), backend=backend, **options)


def figure_of(drawn: Any) -> Any:
    return drawn.figure if isinstance(drawn, Axes) else drawn


def texts_of(drawn: Any) -> str:
    """Return everything that is written in a figure."""
    figure = figure_of(drawn)
    if isinstance(figure, WebFigure):
        layout = figure.layout
        names = [trace.name for trace in figure.data if trace.name]
        axes = [part.title.text for part in (*figure.select_xaxes(), *figure.select_yaxes()) if part.title.text]
        ticks = [text for axis in figure.select_yaxes() for text in axis.ticktext or ()]
        bars = [text for trace in figure.data if trace.type == "bar" and trace.orientation == "h" for text in trace.y]
        written = [layout.title.text, *names, *axes, *ticks, *bars, *(note.text for note in layout.annotations)]
        return " | ".join(text.replace("<br>", " ") for text in written if text).replace("\N{NO-BREAK SPACE}", " ")
    figure.draw_without_rendering()
    found = figure.findobj(mpl.text.Text)
    written = [text.get_text() for text in found if text.get_visible()]
    return " | ".join(written).replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")


def places_of(drawn: Any) -> list[np.ndarray]:
    """Return the places on the horizontal axis of all lines."""
    if isinstance(drawn, WebFigure):
        return [np.asarray(trace.x) for trace in drawn.data]
    return [np.asarray(line.get_xdata()) for ax in drawn.axes for line in ax.lines]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "figure", "kind"), CASES)
def test_every_figure(name, figure, kind, backend):
    drawn = draw(name, figure, kind, backend)
    assert isinstance(drawn, WebFigure if backend == "plotly" else (Figure, Axes))
    written = texts_of(drawn)
    if figure not in OF_SERIES:
        return
    is_dated = kind in ("dated", "hours")
    assert ("sold items" if is_dated else "value") in written
    assert {"dated": "week", "hours": "week (Europe/Paris)"}.get(kind, "step") in written
    kinds = {x.dtype.kind for x in places_of(drawn) if len(x)}
    assert kinds == ({"M"} if is_dated else kinds - {"M"})


@pytest.mark.parametrize("backend", BACKENDS)
def test_dates_are_those_of_the_calendar(backend):
    for figure in ("courses", "reconstructions"):
        places = np.concatenate(places_of(draw("VRAEClusterer", figure, "dated", backend)))
        assert (places.min(), places.max()) == (FIRST, LAST)
        weeks = (places - FIRST) / np.timedelta64(7, "D")
        assert (weeks == weeks.round()).all()
    axis = draw("VRAEClusterer", "courses", "dated").axes[0].xaxis
    assert isinstance(axis.get_major_formatter(), ConciseDateFormatter)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hours_are_those_of_the_clock_of_the_zone(backend):
    places = np.concatenate(places_of(draw("VRAEAnomalyDetector", "anomalies", "hours", backend)))
    assert places.min() >= np.datetime64("2024-06-30T23:00")
    assert places.max() <= np.datetime64("2024-07-02T05:00")
    panel = series("hours")
    drawn = fitted("VRAEAnomalyDetector", "hours").plot.anomalies(panel, "item 0", backend=backend)
    x = places_of(drawn)[1]
    assert x[0] == np.datetime64("2024-07-01T00:00")  # 22:00 of the day before in UTC


@pytest.mark.parametrize("backend", BACKENDS)
def test_forecasts_continue_the_calendar(backend):
    drawn = draw("GroupForecaster", "forecast", "dated", backend)
    last = max(x.max() for x in places_of(drawn) if len(x))
    assert last == LAST + np.timedelta64(14, "D")  # horizon 2
    assert "80 % of outcomes" in texts_of(drawn)
    assert "item 1" in texts_of(drawn)


def test_without_dates_forecasts_begin_after_now():
    ax = figure_of(draw("GroupForecaster", "forecast", "array")).axes[0]
    past, forecast = ax.lines
    assert past.get_xdata()[-1] == 0
    assert list(forecast.get_xdata()) == [0, 1, 2]
    assert forecast.get_ydata()[0] == past.get_ydata()[-1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("figure", ["courses", "map", "tree", "sizes", "reconstructions"])
def test_clusters_have_their_names(figure, backend):
    clusterer = copy.deepcopy(fitted("VRAEClusterer", "dated")).rename({0: "Christmas <b>lights</b>"})
    drawn = CALLS["VRAEClusterer"][figure](clusterer.plot, series("dated"), backend=backend)
    name = "0 · Christmas <b>lights</b>"
    assert (name.replace("<", "&lt;").replace(">", "&gt;") if backend == "plotly" else name) in texts_of(drawn)
    for label, other in clusterer.names_.items():
        assert f"{label} · {other}" in texts_of(drawn).replace("&lt;", "<").replace("&gt;", ">")


def test_one_title_and_one_curve_for_each_cluster_and_channel():
    figure = draw("VRAEClusterer", "courses", "channels")
    clusterer = fitted("VRAEClusterer", "channels")
    assert len(figure.axes) == 2 * clusterer.n_clusters_
    sizes = np.bincount(clusterer.labels_)
    for label, size in enumerate(sizes):
        assert f"{clusterer.names_[label]}, {size} series" in texts_of(figure)


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_clusters_are_written_on_the_map_by_number(backend):
    clusterer = copy.deepcopy(fitted("VRAEClusterer", "array")).regroup(11)
    written = texts_of(clusterer.plot.map(backend=backend)).split(" | ")
    assert {str(label) for label in range(11)} <= set(written)
    assert len(clusterer.plot.courses(series("array"), backend="plotly").layout.annotations) == 11


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_choice_of_the_number_marks_peaks(backend):
    clusterer = copy.deepcopy(fitted("VRAEClusterer", "array")).regroup("auto")
    chosen, peaks = clusterer.n_clusters_, [row["n_clusters"] for row in clusterer.selection_ if row["is_peak"]]
    written = texts_of(clusterer.plot.selection(backend=backend)) if backend == "matplotlib" else None
    if written is None:
        written = " | ".join(clusterer.plot.selection(backend=backend).data[0].text)
    assert f"chosen: {chosen}" in written
    assert peaks


def test_a_number_that_was_given_has_no_choice_to_draw():
    with pytest.raises(InvalidParameterError, match=r"3, was given.*regroup\('auto'\)"):
        fitted("VRAEClusterer", "array").plot.selection()


def test_the_tree_of_one_cluster_is_a_dot():
    clusterer = copy.deepcopy(fitted("VRAEClusterer", "array")).regroup(1)
    assert len(clusterer.plot.tree().lines) == 1
    assert len(clusterer.plot.tree(backend="plotly").data) == 1


# ------------------------------------------------------------------------------- other estimators


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_map_shows_known_classes_of_any_kind(backend):
    model = fitted("VRAE", "array")
    some = [*["north", "south", None, ""], *["south"] * 10]
    for labels in (some, np.arange(14) % 3, [np.nan, 1.0] * 7):
        written = texts_of(model.plot.map(labels, backend=backend))
        assert "Not labelled" in written or isinstance(labels, np.ndarray)
    assert "north" in texts_of(model.plot.map(["north"] * 14, backend=backend))
    with pytest.raises(InvalidDataError, match=r"shape \(3,\); expected \(14,\)"):
        model.plot.map([1, 2, 3])


def test_the_most_anomalous_series_are_drawn_first():
    detector, X = fitted("VRAEAnomalyDetector", "array"), series("array")
    worst = int(np.argmin(detector.scores_))
    written = texts_of(detector.plot.anomalies(X, n_series=1))
    assert f"Series {worst}: outlier" in written
    assert "Series 3: " in texts_of(detector.plot.anomalies(X, 3))
    with pytest.raises(InvalidDataError, match="No series has the id 77"):
        detector.plot.anomalies(X, 77)


def test_steps_outside_the_range_are_marked():
    detector, X = fitted("VRAEAnomalyDetector", "array"), series("array").copy()
    X[2, 10] += 500
    (ax,) = detector.plot.anomalies(X, 2).axes
    marked = {line.get_label(): line for line in ax.lines}["anomalous"]
    assert 11 in marked.get_xdata()  # steps are counted from 1


@pytest.mark.parametrize("kind", ["dated", "hours"])
def test_neighbours_have_their_dates_after_a_save_too(kind, tmp_path):
    neighbors = fitted("VRAENeighbors", kind)
    panel = series(kind)
    for estimator in (neighbors, load_model(neighbors.save(tmp_path / "model"))):
        np.testing.assert_array_equal(estimator.dated_series(np.array([3, 1])).times, panel.select([3, 1]).times)
        assert f"week{' (Europe/Paris)' if kind == 'hours' else ''}" in texts_of(estimator.plot.neighbors(n_series=2))
    np.testing.assert_array_equal(neighbors.plot.neighbors(n_series=1).axes[0].lines[0].get_ydata(), panel[0][0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_pairs_that_take_sales(backend):
    sales = np.random.default_rng(0).poisson(50, (20, 60)).astype(float)
    sales[0, :30] = 0
    sales[1, 30:] *= 0.4
    found = find_cannibalization(sales)
    written = texts_of(found.plot.pairs(sales, 1, backend=backend))
    assert "0 and 1: introduction, 1 loses" in written
    nothing = find_cannibalization(np.random.default_rng(1).poisson(50, (4, 60)).astype(float), fdr=0.0)
    with pytest.raises(InvalidDataError, match="nothing to draw"):
        nothing.plot.pairs(sales)


# ------------------------------------------------------------------------------- requests


@pytest.mark.parametrize("name", CALLS)
def test_wrong_requests_are_refused(name, monkeypatch):
    estimator = fitted(name, "array")
    for figure, call in CALLS[name].items():
        with pytest.raises(InvalidParameterError, match=r"backend: unknown value 'plotyl'. Did you mean 'plotly'\?"):
            draw(name, figure, "array", "plotyl")
        with pytest.raises(NotFittedError, match="not fitted"):
            call(make_estimator(name).plot, series("array"), backend="matplotlib")
        for backend in BACKENDS:
            with monkeypatch.context() as patch:
                patch.setitem(sys.modules, backend, None)
                with pytest.raises(MissingDependencyError, match=r"pip install 'vrae\[report\]'"):
                    draw(name, figure, "array", backend)
    for figure in {"map", "tree", "sizes", "scores"} & set(CALLS[name]):
        ax = mpl.figure.Figure().subplots()
        assert draw(name, figure, "array", ax=ax) is ax
        with pytest.raises(InvalidParameterError, match="ax= is for matplotlib"):
            draw(name, figure, "array", "plotly", ax=ax)
    assert all(figure in repr(estimator.plot) for figure in CALLS[name])
    assert all(getattr(type(estimator).plot, figure).__doc__ for figure in CALLS[name])


def test_series_that_were_fitted_are_not_embedded_again(monkeypatch):
    clusterer, X = fitted("VRAEClusterer", "array"), series("array")
    monkeypatch.setattr(VRAEClusterer, "embed_and_assign", lambda *_: pytest.fail("embedded again"))
    clusterer.plot.courses(X)
    clusterer.describe(X)
    other = X.copy()
    other[0, 0] += 1e-6
    with pytest.raises(pytest.fail.Exception, match="embedded again"):
        clusterer.plot.courses(other)


def test_a_saved_clusterer_knows_what_it_was_fitted_to(tmp_path):
    clusterer = fitted("VRAEClusterer", "dated")
    again = load_model(clusterer.save(tmp_path / "model"))
    assert again._is_fitted_to(series("dated"))
    assert not again._is_fitted_to(series("dated")[:5])
    assert not again._is_fitted_to(series("hours"))
