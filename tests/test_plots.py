"""Figures: what they hold, that both backends agree, and that colours can be told apart."""

from __future__ import annotations

import sys
import types
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from vrae import plots
from vrae.exceptions import InvalidDataError, InvalidParameterError, MissingDependencyError
from vrae.plots import charts, maps, palette, ranges

mpl.use("Agg")

# Machado et al. 2009: what the three kinds of colour-blind eyes see of linear RGB.
SIGHTS = {
    "full": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
HISTORY = [
    {
        "epoch": e,
        "loss": 9.0 - e,
        "reconstruction": 7.0 - e,
        "kl": 2.0,
        "kl_weight": e / 4,
        "validation_loss": 10.0 - e,
    }
    for e in range(1, 5)
]
SELECTION = [{"n_clusters": k, "score": score} for k, score in ((2, 0.2), (3, 0.4), (4, 0.3))]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def linear(color: str) -> np.ndarray:
    channel = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089], 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(color: str, ground: str) -> float:
    weights = np.array([0.2126, 0.7152, 0.0722])
    low, high = sorted((linear(color) @ weights, linear(ground) @ weights))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    made = [rng.normal(size=(2, length)) for length in (1, 30, 40, 900, 25, 31)]
    made[1][0, 3:9] = np.nan
    made[2][:] = np.nan
    return made


LABELS = np.array([0, 0, 1, 1, -1, 1])


# ------------------------------------------------------------------------------- palette


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_differ_for_every_kind_of_sight(sight):
    seen = [lab(np.asarray(SIGHTS[sight]) @ linear(color)) for color in (*palette.COLORS, palette.NOISE_COLOR)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 8


@pytest.mark.parametrize("ground", ["#FFFFFF", "#171C22"])
def test_colours_stand_out_from_light_and_dark(ground):
    assert min(contrast(color, ground) for color in (*palette.COLORS, palette.NOISE_COLOR)) > 2


def test_sixty_clusters_look_different_and_noise_is_grey():
    styles = {palette.cluster_style(label) for label in range(60)}
    assert len(styles) == 60
    assert palette.cluster_style(-1).color == palette.NOISE_COLOR
    assert palette.NOISE_COLOR not in {style.color for style in styles}
    assert {palette.cluster_style(label).marker for label in range(7)} == {"o"}


# ------------------------------------------------------------------------------- computing


def test_pca_agrees_with_scikit_learn():
    from sklearn.decomposition import PCA

    Z = np.random.default_rng(0).normal(size=(40, 6)) * np.arange(1, 7)
    model = PCA(2).fit(Z)
    ours = maps.project(Z, "pca")
    np.testing.assert_allclose(np.abs(ours.points), np.abs(model.transform(Z)), atol=1e-8)
    assert f"{100 * model.explained_variance_ratio_[0]:.0f} %" in ours.titles[0]


def test_tsne_is_the_same_for_the_same_seed_and_notes_its_sample():
    Z = np.random.default_rng(0).normal(size=(60, 4))
    first, second = (maps.project(Z, "tsne", random_state=3, max_points=30) for _ in range(2))
    np.testing.assert_array_equal(first.points, second.points)
    assert first.points.shape == (60, 2)
    assert first.note.startswith("fitted to 30 random series")


def test_series_beyond_the_sample_are_placed_near_similar_ones():
    rng = np.random.default_rng(0)
    group = np.arange(400) % 4
    Z = 9 * np.eye(4)[group] + rng.normal(size=(400, 4))
    points = maps.project(Z, "tsne", max_points=80).points
    distance = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(400)
    assert (group[distance.argmin(axis=1)] == group).mean() > 0.97


def test_umap_is_offered_only_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(maps, "find_spec", lambda name: None)
    assert maps.available_methods() == ["pca", "tsne"]
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vrae\[umap\]'"):
        maps.project(np.eye(9), "umap")


def test_umap_gets_what_it_needs(monkeypatch):
    """A stand-in for the optional library keeps the first two dimensions of the vectors."""

    class UMAP:
        def __init__(self, **options):
            assert options["n_neighbors"] < 9
            assert options["init"].shape == (9, 2)
            assert options["random_state"] == 3

        def fit_transform(self, Z):
            return Z[:, :2].astype(np.float32)

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    Z = np.random.default_rng(0).normal(size=(9, 4))
    shown = maps.project(Z, "umap", random_state=3)
    np.testing.assert_allclose(shown.points, Z[:, :2], atol=1e-6)
    assert shown.titles == ("UMAP 1 (no unit)", "UMAP 2 (no unit)")


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_projection_of_few_vectors(method, n, size):
    Z = np.vstack([np.random.default_rng(0).normal(size=(n, size)), np.full((2, size), np.nan)])
    shown = maps.project(Z, method)
    assert shown.points.shape == (n, 2)
    assert np.isfinite(shown.points).all()
    assert "2 series without a latent vector" in shown.note


def test_projection_of_identical_vectors():
    assert np.isfinite(maps.project(np.ones((9, 3)), "tsne").points).all()


def test_projection_refuses_what_it_does_not_know():
    with pytest.raises(InvalidParameterError, match=r"'psa'.*Did you mean 'pca'"):
        maps.project(np.ones((3, 3)), "psa")  # type: ignore[arg-type]  # misspelt on purpose
    with pytest.raises(InvalidDataError, match="shape"):
        maps.project(np.ones(3))


def test_decimation_keeps_peaks_and_its_promise():
    x = np.zeros(100_003)
    x[77_777], x[5] = 9, -9
    steps = charts.decimate(x, 300)
    assert {77_777, 5} <= set(steps)
    assert len(steps) <= 300
    assert (np.diff(steps) > 0).all()
    np.testing.assert_array_equal(charts.decimate(x[:10], 300), np.arange(10))
    assert len(charts.decimate(np.full(1000, np.nan), 100)) <= 100


def test_training_charts_leave_out_what_is_absent():
    assert [chart.title for chart in charts.training_charts(HISTORY).charts] == [
        "Total loss",
        "Reconstruction error",
        "Information (KL)",
        "KL weight",
    ]
    assert [line.name for line in charts.training_charts(HISTORY).charts[0].lines] == ["training", "held-out series"]
    assert [chart.title for chart in charts.training_charts([{"loss": 1.0}]).charts] == ["Total loss"]
    assert charts.training_charts([]).charts == []


# ------------------------------------------------------------------------------- drawing


def axes_of(figure):
    return [ax for ax in figure.axes if ax.axison]


def has_titles(ax):
    return bool(ax.get_title(loc="left") and ax.get_xlabel() and ax.get_ylabel())


def titles_of(figure):
    """Return the titles of charts. One title stands for all channels of a row."""
    titles = [title for ax in figure.axes for title in (ax.get_title(loc="left"), *(t.get_text() for t in ax.texts))]
    return [title.replace("\N{NO-BREAK SPACE}", " ") for title in titles if title]


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_latent_map_in_both_backends(method):
    Z, labels = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 4 - 1
    ax = plots.plot_latent_map(Z, labels, method=method)
    figure = plots.plotly_latent_map(Z, labels, method=method)
    assert has_titles(ax)
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [trace.name for trace in figure.data]
    for drawn, trace in zip(ax.collections, figure.data, strict=True):
        np.testing.assert_allclose(np.asarray(drawn.get_offsets()), np.column_stack([trace.x, trace.y]))
    assert figure.data[-1].name == "Not assigned"
    assert figure.data[-1].marker.color == palette.NOISE_COLOR
    assert figure.layout.xaxis.title.text == ax.get_xlabel()


def test_latent_map_draws_on_given_axes_and_without_labels():
    ax = plots.plot_latent_map(np.eye(3), ax=mpl.figure.Figure().subplots())
    assert ax.get_legend() is None
    assert plots.plotly_latent_map(np.eye(3)).data[0].showlegend is False


def test_large_map_uses_webgl():
    Z = np.random.default_rng(0).normal(size=(5000, 2))
    assert plots.plotly_latent_map(Z, np.zeros(5000, int)).data[0].type == "scattergl"


def test_curves_in_both_backends(series):
    figure = plots.plot_courses(series, LABELS, channels=["speed", "heart rate"])
    axes = axes_of(figure)
    assert len(axes) == 6  # one row per cluster, one column per channel
    assert titles_of(figure) == ["Cluster 0, 2 series", "Cluster 1, 3 series", "Not assigned, 1 series"]
    assert [ax.get_ylabel() for ax in axes] == ["speed", "heart rate"] * 3
    assert [ax.get_xlabel() for ax in axes] == [""] * 4 + ["step"] * 2  # below each column
    twin = plots.plotly_courses(series, LABELS, channels=["speed", "heart rate"])
    texts = [note.text.replace("\N{NO-BREAK SPACE}", " ") for note in twin.layout.annotations]
    assert texts == titles_of(figure)
    assert twin.layout.yaxis2.title.text == "heart rate"


def test_curves_of_plain_arrays():
    X = np.random.default_rng(0).normal(size=(8, 20))
    assert len(axes_of(plots.plot_courses(X, np.arange(8) % 4))) == 4
    assert len(axes_of(plots.plot_courses(X[:, None], np.zeros(8, int)))) == 1


def test_reconstructions_in_both_backends(series):
    figure = plots.plot_reconstructions(series, series, ids=list("abcdef"), max_series=2)
    assert titles_of(figure) == ["Series a", "Series b"]
    twin = plots.plotly_reconstructions(series, series, max_series=2)
    assert sum(trace.showlegend for trace in twin.data) == 2


def test_names_are_shown_as_text_by_plotly():
    figure = plots.plotly_reconstructions(np.ones((1, 4)), np.ones((1, 4)), ids=["<b>bold</b>"])
    assert figure.layout.annotations[0].text == "Series &lt;b&gt;bold&lt;/b&gt;"


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "inline", "agg"])
def test_a_notebook_shows_a_figure_once(series, backend, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "get_backend", lambda: backend)
    figure = plots.plot_courses(series, np.arange(len(series)) % 2)
    assert plt.fignum_exists(figure.number) == (backend == "agg")  # pyplot shows those it knows
    assert figure.axes


def test_training_in_both_backends():
    figure, twin = plots.plot_training(HISTORY), plots.plotly_training(HISTORY)
    assert len(titles_of(figure)) == 4
    assert len(twin.data) == sum(len(ax.lines) for ax in axes_of(figure)) == 5
    assert len(plots.plotly_training([]).data) == 0


def test_selection_in_both_backends():
    ax = plots.plot_selection(SELECTION, chosen=3, criterion="silhouette")
    assert has_titles(ax)
    assert [text.get_text() for text in ax.texts] == ["chosen: 3"]
    figure = plots.plotly_selection(SELECTION[::-1], chosen=3, criterion="silhouette")
    assert list(figure.data[0].x) == [2, 3, 4]
    assert list(figure.data[0].text) == ["", "chosen: 3", ""]
    assert figure.layout.yaxis.title.text == "silhouette"


def test_sizes_in_both_backends():
    ax = plots.plot_cluster_sizes(LABELS)
    figure = plots.plotly_cluster_sizes(LABELS)
    assert [bar.get_width() for bar in ax.patches if isinstance(bar, Rectangle)] == list(figure.data[0].x) == [2, 3, 1]
    assert list(figure.data[0].y) == ["Cluster 0", "Cluster 1", "Not assigned"]


def test_no_drawing_library_is_imported_before_the_first_figure():
    import subprocess
    import sys

    code = "import sys, vrae.plots; print({'matplotlib', 'plotly', 'sklearn.manifold'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "set()"


# ------------------------------------------------------------------------------- the model


@pytest.mark.parametrize("n_channels", [1, 2])
def test_directions_have_one_line_per_position(n_channels, tmp_path):
    curves = np.random.default_rng(0).normal(size=(4, 5, n_channels, 20))
    figure = plots.plot_traversal(curves, max_directions=3)
    axes = axes_of(figure)
    assert len(axes) == 3 * n_channels
    assert titles_of(figure) == ["Direction 1", "Direction 2", "Direction 3"]
    np.testing.assert_array_equal(axes[n_channels].lines[2].get_ydata(), curves[1, 2, 0])
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        figure.savefig(tmp_path / f"figure.{kind}")
        assert (tmp_path / f"figure.{kind}").read_bytes().startswith(start)
    with pytest.raises(InvalidDataError, match="shape"):
        plots.plot_traversal(curves[0])


def test_the_expected_range_surrounds_the_reconstruction():
    model = np.sin(np.arange(30.0))
    x = model + 0.1
    x[7:9] += 3
    ax = plots.plot_anomalies(x, model - 1, model, model + 1, title="a")
    assert has_titles(ax)
    edge = np.asarray(ax.collections[0].get_paths()[0].vertices)[:, 1]
    assert edge.max() == pytest.approx(model.max() + 1)
    assert edge.min() == pytest.approx(model.min() - 1)
    np.testing.assert_array_equal(ax.lines[2].get_xdata(), [8, 9])  # steps are counted from 1
    with pytest.raises(InvalidDataError, match="one length"):
        plots.plot_anomalies(x, model - 1, model, model[:3])


def test_rgba():
    assert palette.rgba("#0072B2", 0.5) == "rgba(0, 114, 178, 0.5)"


@pytest.mark.parametrize("gap", [1, 9])
def test_a_forecast_continues_the_last_value_if_it_is_the_step_before(gap):
    weeks = np.datetime64("2024-01-01") + 7 * np.arange(20)
    past, future = weeks[:5], weeks[4 + gap : 8 + gap]
    chart = ranges.forecast_chart(past, np.ones(5), future, np.zeros(4), [("80 %", -np.ones(4), np.ones(4))], ("",) * 3)
    line = chart.lines[-1]
    assert len(line.x) == len(future) + (gap == 1)
    assert line.x[0] == (past[-1] if gap == 1 else future[0])


def test_areas_end_at_gaps():
    from vrae.plots.web_parts import draw_web_grid

    y = np.array([1.0, 2.0, np.nan, 3.0, 4.0])
    grid = charts.ChartGrid([charts.Chart("", "", "", [charts.Line(np.arange(5), y, "#000000", low=y - 1)])], 1)
    (trace,) = draw_web_grid("", grid).data
    assert trace.fill == "toself"
    np.testing.assert_array_equal(trace.x, [0, 1, 1, 0, 0, 3, 4, 4, 3, 3])
    np.testing.assert_array_equal(trace.y, [1, 2, 1, 0, np.nan, 3, 4, 3, 2, np.nan])


def test_points_without_a_neighbour_are_seen():
    X = np.array([[1.0, np.nan, 2.0, 3.0, np.nan, 4.0]])
    (ax,) = plots.plot_reconstructions(X, X).axes
    assert ax.lines[0].get_markevery() == [0, 5]
    figure = plots.plotly_reconstructions(X, X)
    assert list(figure.data[0].marker.size) == [4, 0, 0, 0, 0, 4]


def test_a_few_high_series_do_not_flatten_a_curve():
    X = np.random.default_rng(0).random((40, 20))
    X[0] *= 1000
    figure = plots.plot_courses(X, np.zeros(40, int), n_members=40)
    low, high = figure.axes[0].get_ylim()
    assert low < 0.1
    assert 1 < high < 2
    assert plots.plotly_courses(X, np.zeros(40, int), n_members=40).layout.yaxis.range == (low, high)
