"""The contract of every estimator, for every kind of input. `test_heads` has their composition."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.cluster.hierarchy import dendrogram
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import DBSCAN, BisectingKMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import vrae
from conftest import HEADS, KINDS, make_estimator
from vrae import VRAE, Panel, VRAEClusterer, load_model
from vrae.data.reading import as_panel
from vrae.estimators.cluster_number import score_numbers
from vrae.estimators.grouping import cluster_tree
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError
from vrae.metrics import best_number

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

# `GroupForecaster` has its own tests.
CLASSES = ("VRAE", "VRAEClusterer", "VRAEAnomalyDetector", "VRAENeighbors")

# Every path through the network on which a series could disturb the others of its batch.
NETWORKS: dict[str, dict[str, Any]] = {
    "classic": {"architecture": "classic", "patch_size": 1, "pattern_weight": 0.0},
    "patches": {"patch_size": 3, "pattern_weight": 0.0},
    "gru, lag": {"cell": "gru", "num_layers": 2, "max_lag": 3, "pattern_weight": 0.0},
    "linear": {"architecture": "linear", "pattern_weight": 0.0},
    "patterns": {"pattern_weight": 1.0},
}


def take(X: Any, indices: Any) -> Any:
    if isinstance(X, Panel):
        return X.select(indices)
    return [X[i] for i in indices] if isinstance(X, list) else X[indices]


def results(estimator: Any, X: Any) -> dict[str, Any]:
    """Return what an estimator says of X, one row per series."""
    found: dict[str, Any] = {}
    if isinstance(estimator, VRAE):
        found |= {"Z": estimator.transform(X), "bound": estimator.score_samples(X), "lags": estimator.lags(X)}
    elif isinstance(estimator, VRAEClusterer):
        found |= {"labels": estimator.predict(X), "probabilities": estimator.predict_proba(X)}
    elif isinstance(estimator, vrae.VRAEAnomalyDetector):
        found |= {"scores": estimator.score_samples(X), "verdicts": estimator.predict(X)}
    else:
        found["distances"], found["indices"] = estimator.kneighbors(X)
    return found


def assert_close(one: dict[str, Any], other: dict[str, Any]) -> None:
    for name in one:
        atol = 1e-4 if name == "scores" else 1e-5  # anomaly scores are logarithms divided by spreads
        np.testing.assert_allclose(one[name], other[name], atol=atol, rtol=1e-4, err_msg=name)


# ---------------------------------------------------------------- every class, every input


@pytest.mark.parametrize("name", CLASSES)
def test_shapes_ids_and_finiteness(name, small_series, fitted):
    for kind in KINDS:
        estimator, X = fitted(name, kind), small_series(kind)
        n, k = len(X), 2 if name == "VRAEClusterer" else 5  # clusters, or neighbours
        assert estimator.embedding_.shape == (n, 3)
        assert estimator.embedding_.dtype == np.float32
        np.testing.assert_array_equal(estimator.ids_, as_panel(X).ids)
        for key, values in results(estimator, X).items():
            shape = (n, 3) if key == "Z" else (n, k) if values.ndim == 2 else (n,)
            assert values.shape == shape, (kind, key)
            assert np.isfinite(values).all(), (kind, key)


def test_latent_vectors_decode_to_the_shape_of_the_training_series(kind, small_series, fitted):
    model, X = fitted("VRAE", kind), small_series(kind)
    Z = model.transform(X)
    np.testing.assert_allclose(Z, model.embedding_, atol=1e-6)
    steps, channels = int(np.median(as_panel(X).lengths)), as_panel(X).n_channels
    shape = (4, steps) if channels == 1 else (4, channels, steps)
    assert model.sample(4, random_state=0).shape == shape
    assert model.inverse_transform(Z[:4]).shape == shape
    assert model.inverse_transform(Z[:2], n_steps=31).shape[-1] == 31
    assert np.isfinite(model.sample(4, random_state=0)).all()


def test_reconstructions_come_in_the_container_of_the_input(kind, small_series, fitted):
    X = small_series(kind)
    back = fitted("VRAE", kind).reconstruct(X)
    assert type(back) is type(X)
    pairs = list(zip(back, X, strict=True))
    assert all(np.shape(b) == np.shape(x) for b, x in pairs)
    assert all(np.isfinite(b).all() for b, _ in pairs)  # missing values are filled
    assert all(abs(np.mean(b) - np.nanmean(x)) < 3 for b, x in pairs)  # in the units of X


@pytest.mark.parametrize("name", CLASSES)
def test_permuted_series_give_permuted_results(name, small_series, fitted):
    for kind in KINDS:
        estimator, X = fitted(name, kind), small_series(kind)
        order = np.random.default_rng(1).permutation(len(X))
        expected = {key: values[order] for key, values in results(estimator, X).items()}
        assert_close(results(estimator, take(X, order)), expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_result_does_not_depend_on_the_other_series(network, small_series, fitted):
    for kind in ("missing", "list of channels"):
        model, X = fitted("VRAE", kind, **NETWORKS[network]), small_series(kind)
        together = results(model, X)
        for row in (0, 5, len(X) - 1):
            assert_close(results(model, take(X, [row])), {key: values[[row]] for key, values in together.items()})
        reconstruction = np.array(model.reconstruct(X)[5])
        np.testing.assert_allclose(model.reconstruct(take(X, [5]))[0], reconstruction, atol=1e-4)


def test_a_short_series_keeps_its_vector_in_a_batch_with_a_long_one(fitted):
    model = fitted("VRAE", "list")
    short, long = np.sin(np.arange(9.0)), np.cos(np.arange(5000) / 7)
    together = model.transform([short, long])
    np.testing.assert_allclose(together[:1], model.transform([short]), atol=1e-5)
    np.testing.assert_allclose(together[1:], model.transform([long]), atol=1e-5)


def test_nan_at_the_end_is_missing(fitted):
    X = np.random.default_rng(0).standard_normal((3, 16))
    X[0, 10:] = np.nan
    assert np.isfinite(fitted("VRAE", "missing").transform(X)).all()


def test_every_series_gets_a_row_whatever_the_batch_size(fitted):
    model = fitted("VRAE")
    for n in (1, 7, 8, 9, 127, 128, 129):
        X = np.random.default_rng(0).standard_normal((n, 16))
        Z = model.transform(X)
        assert Z.shape == (n, 3)
        np.testing.assert_allclose(Z[-1:], model.transform(X[-1:]), atol=1e-5)


@pytest.mark.parametrize("name", ["VRAE", "VRAEClusterer"])
def test_fit_takes_any_number_of_series(name, small_series):
    for n in (2, 7, 8, 9):  # the batch size is 8
        estimator = make_estimator(name, max_epochs=1).fit(small_series("2d", n))
        assert estimator.embedding_.shape == (n, 3)
        assert np.isfinite(estimator.embedding_).all()


def test_results_depend_on_the_seed_only(small_series):
    X = small_series("missing")
    one, same, other = (make_estimator("VRAEClusterer", max_epochs=1, random_state=seed).fit(X) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.embedding_, same.embedding_)
    np.testing.assert_array_equal(one.labels_, same.labels_)
    np.testing.assert_array_equal(one.model_.sample(2, random_state=1), same.model_.sample(2, random_state=1))
    assert not np.array_equal(one.embedding_, other.embedding_)


# ---------------------------------------------------------------- scikit-learn's rules

# Values that only `fit` may refuse.
UNCHECKED: dict[str, dict[str, Any]] = {
    "VRAE": {"latent_size": "many", "beta": -1, "callbacks": [object()], "max_lag": np.int8(3), "scaling": 5},
    "VRAEClusterer": {"n_clusters": -1, "clusterer": 3, "model": object()},
    "VRAEAnomalyDetector": {"contamination": "yes", "false_alarm_rate": 2, "model": 1},
    "VRAENeighbors": {"n_neighbors": 0, "algorithm": None, "model": VRAE},
    "GroupForecaster": {"horizon": "far", "level": (), "classical": None, "model": "VRAE"},
}


@pytest.mark.parametrize("name", ["VRAE", *HEADS])
def test_options_are_stored_unchanged_and_unchecked(name):
    kind = getattr(vrae, name)
    defaults = {n: p.default for n, p in inspect.signature(kind).parameters.items()}
    assert kind().get_params(deep=False) == defaults
    estimator = kind(**UNCHECKED[name])
    assert all(getattr(estimator, option) is value for option, value in UNCHECKED[name].items())
    params = estimator.get_params(deep=False)
    assert all(params[option] is value for option, value in UNCHECKED[name].items())
    again = clone(kind(random_state=1))
    assert again.random_state == 1
    assert not hasattr(again, "embedding_")
    assert again.set_params(random_state=3).random_state == 3
    with pytest.raises(ValueError, match="random_seed"):
        again.set_params(random_seed=3)
    with pytest.raises(TypeError, match="random_seed"):
        kind(random_seed=3)


@pytest.mark.parametrize("name", CLASSES)
def test_fit_returns_self_and_changes_neither_options_nor_data(name, small_series):
    X = small_series("missing")
    before, estimator = X.copy(), make_estimator(name, max_epochs=1, max_lag=0.2)
    params = estimator.get_params()
    assert estimator.fit(X) is estimator
    assert estimator.get_params() == params
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("name", CLASSES)
def test_fitting_again_starts_over(name, small_series):
    estimator = make_estimator(name, max_epochs=1)
    estimator.fit(small_series("3d"))
    again = estimator.fit(small_series("2d")).embedding_
    np.testing.assert_array_equal(again, clone(estimator).fit(small_series("2d")).embedding_)


def test_pipelines(small_series, tiny):
    X = small_series("list")
    pipeline = make_pipeline(VRAE(**tiny), StandardScaler(), PCA(2))
    assert pipeline.fit_transform(X).shape == (len(X), 2)
    np.testing.assert_allclose(pipeline.transform(X[:3]), pipeline.transform(X)[:3], atol=1e-4)
    assert pipeline.set_params(vrae__latent_size=4).named_steps["vrae"].latent_size == 4


def test_repr_shows_changed_options():
    assert repr(VRAE(latent_size=7)) == "VRAE(latent_size=7)"
    assert repr(VRAEClusterer(3)) == "VRAEClusterer(n_clusters=3)"
    assert "model=VRAE(latent_size=7)" in repr(VRAEClusterer(model=VRAE(latent_size=7)))


def test_latent_vectors_come_as_tables_on_request(small_series, tiny):
    panel = small_series("panel")
    model = VRAE(**{**tiny, "max_epochs": 1}).set_output(transform="pandas")
    table = model.fit(panel).transform(panel)
    assert isinstance(table, pd.DataFrame)
    assert table.index.tolist() == panel.ids.tolist()
    assert table.columns.tolist() == ["vrae0", "vrae1", "vrae2"] == model.get_feature_names_out().tolist()
    np.testing.assert_array_equal(table.to_numpy(), model.embedding_)
    assert isinstance(clone(model).fit_transform(panel), pd.DataFrame)
    table = model.set_output(transform="polars").transform(panel)
    assert isinstance(table, pl.DataFrame)
    assert table.shape == (len(panel), 3)
    assert isinstance(model.set_output(transform="default").transform(panel), np.ndarray)
    with pytest.raises(ValueError, match=r"pandaz.*Did you mean 'pandas'"):
        model.set_output(transform="pandaz")


# ---------------------------------------------------------------- VRAE


def test_lags_are_zero_without_max_lag_and_within_it_with(small_series, fitted):
    X = small_series("2d")
    assert fitted("VRAE").lags(X).tolist() == [0] * len(X)
    lags = fitted("VRAE", max_lag=3).lags(X)
    assert lags.dtype == np.int64
    assert (np.abs(lags) <= 3).all()
    assert fitted("VRAE", max_lag=0.25).network_.config.max_lag == 4  # of 16 steps


def test_samples_depend_on_their_seed(fitted):
    model = fitted("VRAE")
    np.testing.assert_array_equal(model.sample(3, random_state=0), model.sample(3, random_state=0))
    assert not np.array_equal(model.sample(3, random_state=0), model.sample(3, random_state=1))


def test_an_anomalous_series_has_a_lower_score(tiny):
    rng = np.random.default_rng(0)
    X = np.sin(np.arange(24) / 3 + rng.uniform(0, 1, (40, 1))) + 0.05 * rng.standard_normal((40, 24))
    model = VRAE(**{**tiny, "max_epochs": 15}).fit(X)
    anomalous = rng.standard_normal((5, 24))
    assert model.score_samples(anomalous).max() < model.score_samples(X).min()


def test_inverse_transform_takes_latent_vectors_only(fitted):
    model = fitted("VRAE")
    for Z in (np.zeros((2, 4)), np.zeros(3), [[np.nan, 0, 0]], np.zeros((1, 2, 3))):
        with pytest.raises(InvalidDataError, match=r"\(n, 3\)"):
            model.inverse_transform(Z)


def test_classic_is_the_original_network(small_series):
    options = {
        "latent_size": 20,
        "hidden_size": 90,
        "num_layers": 1,
        "cell": "lstm",
        "patch_size": 1,
        "dropout": 0.2,
        "reconstruction_loss": "mse",
        "beta": 1.0,
        "max_lag": 0,
        "pattern_weight": 0.0,
        "max_epochs": 40,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 5e-4,
        "early_stopping": False,
    }
    classic = VRAE.classic()
    assert {name: classic.get_params()[name] for name in options} == options
    X = as_panel(small_series("2d"))
    network = classic.network_config(X, np.arange(len(X)), classic.latent_size)
    assert (network.bidirectional, network.pooling, network.feed_latent) == (False, "last", False)
    assert (network.n_patterns, network.linear_path, network.mask_input) == (0, False, False)
    training = classic.training_config(len(X))
    assert (training.lr_schedule, training.kl_warmup, training.max_grad_norm) == ("constant", 0.0, 5.0)
    changed = VRAE.classic(max_epochs=3, cell="gru")
    assert (changed.max_epochs, changed.cell, changed.hidden_size) == (3, "gru", 90)


# ---------------------------------------------------------------- clusters


class Halves(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """A user's own clusterer, with labels of its own and without n_clusters."""

    def fit(self, Z, y=None):
        self.labels_ = np.where(Z[:, 0] > np.median(Z[:, 0]), 7, 3)
        return self


# Name or object, and whether it takes the number of clusters.
CLUSTERERS: list[tuple[Any, bool]] = [
    ("gmm", True),
    ("kmeans", True),
    ("ward", True),
    ("hdbscan", False),
    (BisectingKMeans(), True),
    (GaussianMixture(), True),
    (DBSCAN(eps=5.0), False),
    (Halves(), False),
]


@pytest.mark.parametrize(("clusterer", "takes_number"), CLUSTERERS, ids=str)
def test_clusterers(clusterer, takes_number, small_series):
    X = small_series("2d", 24)
    before = clusterer.get_params() if isinstance(clusterer, BaseEstimator) else None
    for n_clusters in (3, "auto"):
        estimator = make_estimator("VRAEClusterer", n_clusters=n_clusters, clusterer=clusterer, max_epochs=1)
        labels = estimator.fit_predict(X)
        np.testing.assert_array_equal(labels, estimator.labels_)
        np.testing.assert_array_equal(labels, estimator.predict(X))
        assert labels.dtype == np.int64
        sizes = np.bincount(labels[labels >= 0], minlength=estimator.n_clusters_)
        assert len(sizes) == estimator.n_clusters_
        assert (np.diff(sizes) <= 0).all()  # the largest first
        assert labels.min() >= -1
        probabilities, inside = estimator.predict_proba(X), labels >= 0
        assert probabilities.shape == (24, estimator.n_clusters_)
        np.testing.assert_allclose(probabilities[inside].sum(axis=1), 1)
        assert (probabilities[~inside] == 0).all()
        assert (probabilities[inside, labels[inside]] == probabilities[inside].max(axis=1, initial=0)).all()
        if takes_number and n_clusters == 3:
            assert estimator.n_clusters_ <= 3
        assert bool(estimator.selection_) == (takes_number and n_clusters == "auto")
    if before is not None:
        assert clusterer.get_params() == before  # the user's object is unchanged


def test_auto_takes_the_number_with_the_best_score(fitted):
    clusterer = fitted("VRAEClusterer", n_clusters="auto")
    curve = clusterer.selection_
    assert [tried["n_clusters"] for tried in curve] == list(range(2, 2 + len(curve)))
    useful = [tried for tried in curve if tried["largest"] <= 0.7 and tried["silhouette"] >= 0.25]
    assert clusterer.n_clusters_ == max(useful or curve, key=lambda tried: tried["score"])["n_clusters"]
    assert max(curve, key=lambda tried: tried["score"])["is_peak"]
    for tried in curve:
        assert 0 < tried["evenness"] <= 1
        expected = max(tried["silhouette"], 0) * max(tried["stability"], 0) ** 0.5 * tried["evenness"]
        assert tried["score"] == pytest.approx(expected)
        assert 1 / tried["n_clusters"] <= tried["largest"] <= 1


@pytest.mark.parametrize("k", [2, 4, 7])
def test_auto_finds_the_number_of_groups_that_are_far_apart(k):
    rng = np.random.default_rng(k)
    X = 5 * rng.standard_normal((k, 8))[np.arange(40 * k) % k] + 0.3 * rng.standard_normal((40 * k, 8))
    curve = score_numbers(X, "kmeans", seed=0)
    assert best_number(curve) == k
    found = next(tried for tried in curve if tried["n_clusters"] == k)
    assert found["stability"] == pytest.approx(1.0)
    assert found["largest"] == pytest.approx(1 / k)


@pytest.mark.parametrize(("k", "last"), [(3, 20), (36, 50)])
def test_large_numbers_are_tried_only_while_they_may_be_best(k, last):
    rng = np.random.default_rng(0)
    X = 9 * rng.standard_normal((k, 8))[np.arange(8 * 36) % k] + 0.3 * rng.standard_normal((8 * 36, 8))
    curve = score_numbers(X, "kmeans", seed=0)
    assert best_number(curve) == k
    assert curve[-1]["n_clusters"] == last


def test_auto_does_not_put_most_series_into_one_cluster_if_there_are_other_groups():
    rng = np.random.default_rng(0)
    sizes = (60, 60, 60, 6)
    centers = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0], [400.0, 400.0]])
    X = np.repeat(centers, sizes, axis=0) + 0.5 * rng.standard_normal((sum(sizes), 2))
    curve = score_numbers(X, "kmeans", seed=0)
    two = curve[0]
    assert two["silhouette"] > 0.95
    assert two["largest"] > 0.9
    assert best_number(curve) == 4
    assert best_number([two]) == 2  # nothing else is there


def test_the_tree_joins_near_clusters_first(small_series):
    X = np.concatenate([np.full((9, 2), place) + np.eye(9, 2) for place in (0.0, 50.0, 60.0)])
    tree = cluster_tree(X, np.repeat([0, 1, 2], 9))
    assert tree.shape == (2, 4)
    assert tree[0, :2].tolist() == [1, 2]
    assert dendrogram(tree, no_plot=True)["ivl"] == ["0", "1", "2"]
    estimator = make_estimator("VRAEClusterer", n_clusters=3).fit(small_series("2d", 24))
    assert estimator.tree_.shape == (2, 4)
    assert estimator.regroup(1).tree_.shape == (0, 4)


def test_fewer_distinct_groups_than_asked_for_are_a_warning():
    X = np.repeat(np.random.default_rng(0).standard_normal((2, 20)), 10, axis=0)
    clusterer = make_estimator("VRAEClusterer", n_clusters=5)
    with pytest.warns(DataWarning, match="Found 2 clusters, and 5 were asked for"):
        clusterer.fit(X)
    assert clusterer.n_clusters_ == 2
    assert np.bincount(clusterer.labels_).tolist() == [10, 10]
    assert clusterer.predict_proba(X).shape == (20, 2)


@pytest.mark.slow
def test_slow_and_fast_waves_are_separated(small_series):
    X = small_series("list", 40)
    clusterer = make_estimator("VRAEClusterer", max_epochs=30)
    labels = clusterer.fit_predict(X)
    truth = np.arange(40) % 2
    assert max((labels == truth).mean(), (labels != truth).mean()) > 0.9
    new = small_series("list", 20, seed=1)
    found = clusterer.predict(new)
    assert max((found == truth[:20]).mean(), (found != truth[:20]).mean()) > 0.85


# ---------------------------------------------------------------- series of a new kind


def waves_and_steps(n: int, seed: int, n_steps: int = 60) -> Any:
    """Return smooth waves of two periods in turn, (n, n_steps)."""
    rng = np.random.default_rng(seed)
    period = np.where(np.arange(n) % 2, 9.0, 20.0)[:, None] * rng.uniform(0.95, 1.05, (n, 1))
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    return np.sin(2 * np.pi * np.arange(n_steps) / period + phase) + 0.2 * rng.standard_normal((n, n_steps))


def sawtooths(n: int, seed: int, n_steps: int = 60) -> Any:
    rng = np.random.default_rng(seed)
    return (np.arange(n_steps) / 7 + rng.uniform(0, 1, (n, 1))) % 1 + 0.02 * rng.standard_normal((n, n_steps))


@pytest.mark.parametrize("clusterer", ["kmeans", "gmm", "ward", "hdbscan"])
def test_series_of_a_new_kind_have_no_cluster(clusterer, tmp_path):
    X, known, new = waves_and_steps(80, 0), waves_and_steps(300, 1), sawtooths(40, 2)
    estimator = make_estimator("VRAEClusterer", n_clusters="auto", clusterer=clusterer).fit(X)
    np.testing.assert_array_equal(estimator.predict(X), estimator.labels_)
    loaded = load_model(estimator.save(tmp_path / "model"))
    for each in (estimator, loaded):
        assert (each.predict(new) == -1).all()
        assert (each.predict_proba(new) == 0).all()
        every = clone(each, safe=False)
        every.__dict__.update(vars(each))
        every.false_alarm_rate = None
        if clusterer != "hdbscan":
            assert (every.predict(known) >= 0).all()
            assert (each.predict(known) == -1).mean() <= 0.03


@pytest.mark.parametrize("rate", [None, 0.01])
def test_nothing_but_noise_has_no_cluster(rate):
    X = np.random.default_rng(0).normal(size=(60, 48))
    estimator = make_estimator("VRAEClusterer", n_clusters="auto", clusterer="hdbscan", false_alarm_rate=rate).fit(X)
    assert estimator.n_clusters_ == 0
    assert estimator.predict_proba(X).shape == (60, 0)
    assert (estimator.predict(X) == -1).all()


def test_without_a_false_alarm_rate_every_series_has_a_cluster(tmp_path):
    estimator = make_estimator("VRAEClusterer", n_clusters=2, false_alarm_rate=None).fit(waves_and_steps(40, 0))
    loaded = load_model(estimator.save(tmp_path / "model"))
    for each in (estimator, loaded):
        assert (each.predict(sawtooths(20, 1)) >= 0).all()


@pytest.mark.parametrize("rate", [0, 0.5, -0.1, "often"])
def test_rates_of_false_alarms_out_of_range_are_refused_before_training(rate):
    with pytest.raises(InvalidParameterError, match=r"false_alarm_rate must be .*above 0 and below 0\.5"):
        make_estimator("VRAEClusterer", false_alarm_rate=rate).fit(waves_and_steps(20, 0))


def test_more_training_series_than_references_all_keep_their_cluster(monkeypatch):
    monkeypatch.setattr("vrae.estimators.belonging._MOST_REFERENCES", 30)
    X = waves_and_steps(300, 0)
    estimator = make_estimator("VRAEClusterer", n_clusters=2, false_alarm_rate=0.3).fit(X)
    assert estimator.belonging_.is_new(*estimator.model_.inference_.raw_statistics(as_panel(X), np.arange(300))).any()
    np.testing.assert_array_equal(estimator.predict(X), estimator.labels_)


@pytest.mark.parametrize("n_clusters", [2, "auto"])
@pytest.mark.parametrize("first", ["fit", "partial_fit"])
def test_partial_fit_opens_a_cluster_for_a_new_kind(n_clusters, first):
    X, new = waves_and_steps(80, 0), sawtooths(40, 2)
    estimator = VRAEClusterer(n_clusters, model=VRAE(max_epochs=10), random_state=0)
    getattr(estimator, first)(X)
    before = estimator.predict(X)
    if n_clusters == 2:
        estimator.partial_fit(waves_and_steps(30, 3))
        assert (estimator.n_clusters, estimator.n_clusters_) == (2, 2)  # nothing new
    earlier = estimator.n_clusters_
    assert (estimator.predict(new) == -1).all()
    estimator.partial_fit(new)
    assert estimator.n_clusters_ > earlier
    assert estimator.n_clusters == (3 if n_clusters == 2 else "auto")
    after = estimator.predict(X)
    assert (after == before).mean() > 0.95  # clusters keep their numbers
    assert not set(after) & set(estimator.predict(new))


def test_partial_fit_uses_the_current_options_for_what_is_new():
    X, new = waves_and_steps(60, 0), sawtooths(20, 1)
    new[3] = np.nan
    estimator = make_estimator("VRAEClusterer", n_clusters=2, false_alarm_rate=None).fit(X)
    estimator.set_params(false_alarm_rate="often")
    with pytest.raises(InvalidParameterError, match="false_alarm_rate"):
        estimator.partial_fit(new)
    estimator.set_params(false_alarm_rate=0.01, model__on_invalid="drop")
    with pytest.warns(DataWarning, match="1 of 20"):
        estimator.partial_fit(new)
    assert len(estimator.labels_) == 79


def test_a_loaded_clusterer_opens_no_cluster_next_to_clusters_that_are_gone(tmp_path):
    X, new = waves_and_steps(60, 0), sawtooths(5, 1)
    estimator = load_model(make_estimator("VRAEClusterer", n_clusters=5).fit(X).save(tmp_path / "model"))
    with pytest.warns(DataWarning, match="new series alone"):
        estimator.partial_fit(new)
    assert estimator.n_clusters == 5


def test_regroup_scores_again_for_another_clusterer():
    estimator = make_estimator("VRAEClusterer", n_clusters="auto").fit(waves_and_steps(60, 0))
    by_kmeans = estimator.selection_
    assert estimator.regroup("auto").selection_ == by_kmeans
    estimator.set_params(clusterer="ward").regroup("auto")
    assert estimator.selection_ != by_kmeans
    assert estimator.set_params(clusterer="hdbscan").regroup("auto").selection_ == []


def test_short_series_have_a_cluster():
    X = waves_and_steps(80, 0)
    estimator = VRAEClusterer(2, model=VRAE(max_epochs=10), random_state=0).fit(X)
    assert (estimator.predict(sawtooths(20, 1)) == -1).all()
    assert (estimator.predict(sawtooths(20, 1)[:, :40]) >= 0).all()


def test_a_loaded_model_says_that_it_has_no_earlier_series(tmp_path):
    X = waves_and_steps(30, 0)
    estimator = load_model(make_estimator("VRAEClusterer").fit(X).save(tmp_path / "model"))
    with pytest.warns(DataWarning, match="trained further on the new series alone"):
        estimator.partial_fit(X[:20])
    assert len(estimator.labels_) == 20
    estimator.partial_fit(X[20:])
    assert len(estimator.labels_) == 30


def test_models_without_patterns_compare_latent_vectors():
    X = waves_and_steps(80, 0)
    estimator = VRAEClusterer(2, model=VRAE(pattern_weight=0.0, max_epochs=20), random_state=0).fit(X)
    assert (estimator.predict(waves_and_steps(200, 1)) == -1).mean() < 0.05


# ---------------------------------------------------------------- series without values


@pytest.mark.parametrize("name", ["VRAE", "VRAEClusterer"])
def test_series_without_values_keep_their_row_without_a_result(name):
    X = np.random.default_rng(0).standard_normal((10, 16))
    complete, X[3], X[9] = X.copy(), np.nan, np.nan
    estimator = make_estimator(name, max_epochs=1, on_invalid="keep").fit(X)
    model = getattr(estimator, "model_", estimator)
    nothing = [False] * 3 + [True] + [False] * 5 + [True]
    assert len(estimator.ids_) == 10
    for Z in (estimator.embedding_, model.transform(X), model.reconstruct(X)):
        assert np.isnan(Z).all(axis=1).tolist() == np.isnan(Z).any(axis=1).tolist() == nothing
    assert np.isnan(model.score_samples(X)).tolist() == nothing
    assert (model.lags(X) == 0).all()
    np.testing.assert_allclose(model.transform(complete)[:3], model.transform(X)[:3], atol=1e-5)
    if name == "VRAEClusterer":
        assert (estimator.labels_ == -1).tolist() == (estimator.predict(X) == -1).tolist() == nothing
        assert (estimator.predict_proba(X)[nothing] == 0).all()
    everything_missing = np.full((2, 16), np.nan)
    assert np.isnan(model.transform(everything_missing)).all()


@pytest.mark.parametrize("name", CLASSES)
def test_estimators_that_kept_series_without_values_can_be_loaded(name, tmp_path):
    X = np.random.default_rng(0).standard_normal((6, 20))
    X[2] = np.nan
    options = {"n_neighbors": 2} if name == "VRAENeighbors" else {}
    estimator = make_estimator(name, on_invalid="keep", **options).fit(X)
    loaded = load_model(estimator.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.embedding_, estimator.embedding_)
    for key, values in results(estimator, X).items():
        np.testing.assert_array_equal(results(loaded, X)[key], values)


@pytest.mark.parametrize("name", ["VRAE", "VRAEClusterer"])
def test_series_without_values_can_be_left_out(name):
    X = np.random.default_rng(0).standard_normal((6, 20))
    X[2] = np.nan
    with pytest.warns(DataWarning, match=r"1 of 6 .* ids 2"):
        estimator = make_estimator(name, on_invalid="drop").fit(X)
    assert estimator.ids_.tolist() == [0, 1, 3, 4, 5]
    assert len(estimator.embedding_) == 5
    with pytest.warns(DataWarning):
        assert getattr(estimator, "model_", estimator).transform(X).shape == (5, 3)


# ---------------------------------------------------------------- level, and continued training


def shapes_and_levels(n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sine and square waves on two levels, a factor of 30 apart, with shape and level."""
    rng = np.random.default_rng(0)
    shape, level = rng.integers(0, 2, (2, n))
    phase = np.arange(48) / 12 + rng.random((n, 1))
    wave = np.sin(2 * np.pi * phase)
    X = np.where(shape[:, None] == 0, wave, np.sign(wave)) + 0.1 * rng.standard_normal((n, 48)) + 4
    return X * np.where(level == 0, 1, 30)[:, None], shape, level


@pytest.mark.slow
def test_level_weight_makes_the_level_count(tmp_path):
    X, shape, level = shapes_and_levels()
    by_shape = VRAEClusterer(2, random_state=0).fit(X)
    by_both = VRAEClusterer(4, model=VRAE(level_weight=1.0), random_state=0).fit(X)
    assert adjusted_rand_score(shape, by_shape.labels_) > 0.9
    assert adjusted_rand_score(2 * shape + level, by_both.labels_) > 0.9
    assert (by_both.predict(X) == by_both.labels_).all()
    assert (load_model(by_both.save(tmp_path / "model")).predict(X) == by_both.labels_).all()


@pytest.mark.slow
def test_clusters_keep_their_numbers_in_continued_training():
    X, shape, _ = shapes_and_levels(90)
    clusterer = VRAEClusterer(2, random_state=0).partial_fit(X[:40])
    before = clusterer.predict(X)
    clusterer.partial_fit(X[40:60]).partial_fit(X[60:])
    assert clusterer.ids_.tolist() == list(range(90))
    assert (clusterer.predict(X) == before).mean() > 0.9
    assert adjusted_rand_score(shape, clusterer.labels_) > 0.9
    history = clusterer.model_.history_
    assert [record["epoch"] for record in history] == list(range(1, len(history) + 1))


@pytest.mark.parametrize("name", CLASSES)
def test_the_first_partial_fit_is_a_fit(name, small_series):
    X = small_series("2d")
    one, other = make_estimator(name).partial_fit(X), make_estimator(name).fit(X)
    np.testing.assert_array_equal(one.embedding_, other.embedding_)


def test_a_repeated_id_replaces_the_earlier_series(tiny):
    X = np.random.default_rng(0).standard_normal((5, 20)).astype(np.float32)
    model = VRAE(**tiny).partial_fit(Panel.from_arrays(X, ids=list("abcde")))
    model.partial_fit(Panel.from_arrays(X[:2] + 1, ids=["b", "f"]))
    assert model.ids_.tolist() == ["a", "c", "d", "e", "b", "f"]


def test_the_replay_buffer_is_bounded(tiny, monkeypatch):
    monkeypatch.setattr("vrae.estimators.fitting._REPLAY_BUFFER", 10)
    X = np.random.default_rng(0).standard_normal((40, 12))
    model = VRAE(**tiny)
    for part in np.split(X, 4):
        model.partial_fit(part)
    assert len(model.replay_buffer_) == 10
    assert model.n_seen_ == 40
    assert len(set(model.replay_buffer_.ids.tolist()) - set(range(30, 40))) >= 3  # earlier ones are in it


@pytest.mark.parametrize("bad", [np.full((3, 20), np.inf), np.zeros((3, 2, 20))], ids=["infinite", "two channels"])
def test_a_failed_partial_fit_leaves_the_model_unchanged(bad, tiny):
    X = np.random.default_rng(0).standard_normal((6, 20))
    model = VRAE(**tiny).partial_fit(X)
    before = model.transform(X)
    with pytest.raises(InvalidDataError):
        model.partial_fit(bad)
    np.testing.assert_array_equal(model.transform(X), before)
    assert model.n_seen_ == 6
