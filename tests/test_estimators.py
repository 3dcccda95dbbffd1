"""The contract of every estimator, on every kind of input."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import DBSCAN, BisectingKMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import BayesianGaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vrae import VRAE, Panel, VRAEClusterer, load_model
from vrae.data.containers import as_panel
from vrae.exceptions import DataWarning, InvalidDataError

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

CLASSES = ("VRAE", "VRAEClusterer")
OF = {"VRAE": VRAE, "VRAEClusterer": VRAEClusterer}

# What decides about numbers but not about shapes: every way through the network that a batch could disturb.
NETWORKS: dict[str, dict[str, Any]] = {
    "seed": {"patch_size": 1, "pooling": "last", "bidirectional": False, "feed_latent": False, "local_patterns": 0.0},
    "patches": {"patch_size": 3, "pooling": "mean", "bidirectional": True, "local_patterns": 0.0},
    "gru, lag": {"cell": "gru", "num_layers": 2, "max_lag": 3, "local_patterns": 0.0},
    "patterns": {"local_patterns": 1.0},
}


def take(X: Any, rows: Any) -> Any:
    if isinstance(X, Panel):
        return X.select(rows)
    return [X[r] for r in rows] if isinstance(X, list) else X[rows]


def results(model: Any, X: Any) -> dict[str, Any]:
    """Return everything that a model says about X, one row a series."""
    found = {"Z": model.transform(X), "bound": model.score_samples(X), "lags": model.lags(X)}
    if isinstance(model, VRAEClusterer):
        found |= {"labels": model.predict(X), "probabilities": model.predict_proba(X)}
    return found


def close(one: dict[str, Any], other: dict[str, Any]) -> None:
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-5, rtol=1e-4, err_msg=name)


# ---------------------------------------------------------------- every class, every input


@pytest.mark.parametrize("name", CLASSES)
def test_shapes_ids_and_finiteness(name, kind, small_series, fitted):
    model, X = fitted(name, kind), small_series(kind)
    n, channels = len(X), as_panel(X).n_channels
    assert model.embedding_.shape == (n, 3)
    assert model.embedding_.dtype == np.float32
    np.testing.assert_array_equal(model.ids_, as_panel(X).ids)
    found = results(model, X)
    assert {key: values.shape for key, values in found.items()} == {
        "Z": (n, 3),
        "bound": (n,),
        "lags": (n,),
        **({"labels": (n,), "probabilities": (n, 2)} if name == "VRAEClusterer" else {}),
    }
    assert all(np.isfinite(values).all() for values in found.values())
    np.testing.assert_allclose(found["Z"], model.embedding_, atol=1e-6)
    steps = int(np.median(as_panel(X).lengths))
    series = (4, steps) if channels == 1 else (4, channels, steps)
    assert model.sample(4, random_state=0).shape == series
    assert model.inverse_transform(found["Z"][:4]).shape == series
    assert model.inverse_transform(found["Z"][:2], n_steps=31).shape[-1] == 31
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
def test_permuting_rows_permutes_results(name, kind, small_series, fitted):
    model, X = fitted(name, kind), small_series(kind)
    order = np.random.default_rng(1).permutation(len(X))
    expected = {key: values[order] for key, values in results(model, X).items()}
    close(results(model, take(X, order)), expected)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", ["missing", "list of channels"])
def test_company_does_not_change_a_series(kind, network, small_series, fitted):
    model, X = fitted("VRAE", kind, **NETWORKS[network]), small_series(kind)
    whole = results(model, X)
    for row in (0, 5, len(X) - 1):
        close(results(model, take(X, [row])), {key: values[[row]] for key, values in whole.items()})
    reconstruction = np.array(model.reconstruct(X)[5])
    np.testing.assert_allclose(model.reconstruct(take(X, [5]))[0], reconstruction, atol=1e-4)


def test_a_short_series_beside_a_long_one_keeps_its_vector(fitted):
    model = fitted("VRAE", "list")
    short, long = np.sin(np.arange(9.0)), np.cos(np.arange(5000) / 7)
    together = model.transform([short, long])
    np.testing.assert_allclose(together[:1], model.transform([short]), atol=1e-5)
    np.testing.assert_allclose(together[1:], model.transform([long]), atol=1e-5)


def test_nan_at_the_end_is_missing_and_not_an_error(fitted):
    X = np.random.default_rng(0).standard_normal((3, 16))
    X[0, 10:] = np.nan
    assert np.isfinite(fitted("VRAE", "missing").transform(X)).all()


@pytest.mark.parametrize("n", [1, 7, 8, 9, 127, 128, 129])
def test_every_row_comes_back(n, fitted):
    X = np.random.default_rng(0).standard_normal((n, 16))
    Z = fitted("VRAE").transform(X)
    assert Z.shape == (n, 3)
    np.testing.assert_allclose(Z[-1:], fitted("VRAE").transform(X[-1:]), atol=1e-5)


@pytest.mark.parametrize("n", [2, 7, 8, 9])
@pytest.mark.parametrize("name", CLASSES)
def test_fit_takes_any_number_of_rows_beside_its_batch(name, n, small_series, tiny):
    model = OF[name](**{**tiny, "max_epochs": 1}).fit(small_series("2d", n))
    assert np.isfinite(model.embedding_).all()
    assert len(model.embedding_) == n


def test_results_depend_on_the_seed_only(small_series, tiny):
    X = small_series("missing")
    one, same, other = (
        VRAEClusterer(2, **{**tiny, "random_state": seed, "max_epochs": 1}).fit(X) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.embedding_, same.embedding_)
    np.testing.assert_array_equal(one.labels_, same.labels_)
    np.testing.assert_array_equal(one.sample(2, random_state=1), same.sample(2, random_state=1))
    assert not np.array_equal(one.embedding_, other.embedding_)


# ---------------------------------------------------------------- scikit-learn's rules


@pytest.mark.parametrize("name", CLASSES)
def test_arguments_are_stored_untouched_and_cloned(name):
    defaults = {n: p.default for n, p in inspect.signature(OF[name]).parameters.items()}
    assert OF[name]().get_params(deep=False) == defaults
    odd = {"latent_size": "many", "beta": -1, "callbacks": [object()], "max_lag": np.int8(3), "scaling": 5}
    model = OF[name](**odd)  # checked in fit, not here
    assert all(getattr(model, key) is value for key, value in odd.items())
    assert all(model.get_params()[key] is value for key, value in odd.items())
    again = clone(OF[name](latent_size=7, random_state=1))
    assert again.get_params()["latent_size"] == 7
    assert not hasattr(again, "network_")
    assert again.set_params(beta=3.0).beta == 3.0
    with pytest.raises(ValueError, match="latent_sizes"):
        again.set_params(latent_sizes=3)
    with pytest.raises(TypeError, match="latent_sizes"):
        OF[name](latent_sizes=3)


@pytest.mark.parametrize("name", CLASSES)
def test_fit_returns_self_and_leaves_options_and_data_alone(name, small_series, tiny):
    X = small_series("missing")
    before, model = X.copy(), OF[name](**{**tiny, "max_epochs": 1, "max_lag": 0.2})
    params = model.get_params()
    assert model.fit(X) is model
    assert model.get_params() == params
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("name", CLASSES)
def test_fitting_again_starts_afresh(name, small_series, tiny):
    model = OF[name](**{**tiny, "max_epochs": 1})
    model.fit(small_series("3d"))
    again = model.fit(small_series("2d")).embedding_
    np.testing.assert_array_equal(again, clone(model).fit(small_series("2d")).embedding_)


def test_pipelines(small_series, tiny):
    X = small_series("list")
    pipeline = make_pipeline(VRAE(**tiny), StandardScaler(), PCA(2))
    assert pipeline.fit_transform(X).shape == (len(X), 2)
    np.testing.assert_allclose(pipeline.transform(X[:3]), pipeline.transform(X)[:3], atol=1e-4)
    assert pipeline.set_params(vrae__latent_size=4).named_steps["vrae"].latent_size == 4


def test_repr_shows_what_was_changed():
    assert repr(VRAE(latent_size=7)) == "VRAE(latent_size=7)"
    assert "n_clusters=3" in repr(VRAEClusterer(3))


@pytest.mark.parametrize("name", CLASSES)
def test_tables_out(name, small_series, tiny):
    panel = small_series("panel")
    model = OF[name](**{**tiny, "max_epochs": 1}).set_output(transform="pandas")
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


# ---------------------------------------------------------------- VRAE alone


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


def test_an_unusual_series_scores_lower(tiny):
    rng = np.random.default_rng(0)
    X = np.sin(np.arange(24) / 3 + rng.uniform(0, 1, (40, 1))) + 0.05 * rng.standard_normal((40, 24))
    model = VRAE(**{**tiny, "max_epochs": 15}).fit(X)
    strange = rng.standard_normal((5, 24))
    assert model.score_samples(strange).max() < model.score_samples(X).min()


@pytest.mark.parametrize("Z", [np.zeros((2, 4)), np.zeros(3), [[np.nan, 0, 0]], np.zeros((1, 2, 3))])
def test_inverse_transform_refuses_what_is_not_a_latent_vector(Z, fitted):
    with pytest.raises(InvalidDataError, match=r"\(n, 3\)"):
        fitted("VRAE").inverse_transform(Z)


@pytest.mark.parametrize("name", CLASSES)
def test_classic_is_the_network_of_the_seed_and_can_be_overridden(name):
    expected = {
        "latent_size": 20,
        "hidden_size": 90,
        "num_layers": 1,
        "cell": "lstm",
        "bidirectional": False,
        "pooling": "last",
        "patch_size": 1,
        "dropout": 0.2,
        "feed_latent": False,
        "reconstruction_loss": "mse",
        "beta": 1.0,
        "kl_warmup": 0.0,
        "max_lag": 0,
        "local_patterns": 0.0,
        "max_epochs": 40,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 5e-4,
        "lr_schedule": "constant",
        "max_grad_norm": 5.0,
        "early_stopping": False,
    }
    classic = OF[name].classic()
    assert type(classic) is OF[name]
    assert {key: classic.get_params()[key] for key in expected} == expected
    changed = OF[name].classic(max_epochs=3, cell="gru")
    assert (changed.max_epochs, changed.cell, changed.hidden_size) == (3, "gru", 90)


# ---------------------------------------------------------------- clusters


class Halves(ClusterMixin, BaseEstimator):
    """A user's own clusterer, without n_clusters and with labels of its own."""

    def fit(self, Z, y=None):
        self.labels_ = np.where(Z[:, 0] > np.median(Z[:, 0]), 7, 3)
        return self


CLUSTERERS = [
    "gmm",
    "kmeans",
    "ward",
    "hdbscan",
    BisectingKMeans(),
    BayesianGaussianMixture(),
    DBSCAN(eps=5.0),
    Halves(),
]


@pytest.mark.parametrize("n_clusters", [3, "auto"])
@pytest.mark.parametrize("clusterer", CLUSTERERS, ids=str)
def test_clusterers(clusterer, n_clusters, small_series, tiny):
    X = small_series("2d", 24)
    before = clusterer.get_params() if isinstance(clusterer, BaseEstimator) else None
    model = VRAEClusterer(n_clusters, clusterer, **{**tiny, "max_epochs": 1})
    labels = model.fit_predict(X)
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_array_equal(labels, model.predict(X))
    assert labels.dtype == np.int64
    sizes = np.bincount(labels[labels >= 0], minlength=model.n_clusters_)
    assert len(sizes) == model.n_clusters_
    assert (np.diff(sizes) <= 0).all()  # by falling size
    assert labels.min() >= -1
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (24, model.n_clusters_)
    np.testing.assert_allclose(probabilities[labels >= 0].sum(axis=1), 1)
    assert (probabilities[labels < 0] == 0).all()
    inside = labels >= 0
    assert (probabilities[inside, labels[inside]] == probabilities[inside].max(axis=1, initial=0)).all()
    takes_number = clusterer in ("gmm", "kmeans", "ward") or isinstance(
        clusterer, (BisectingKMeans, BayesianGaussianMixture)
    )
    if takes_number and n_clusters == 3:
        assert model.n_clusters_ <= 3
    assert bool(model.selection_) == (takes_number and n_clusters == "auto")
    if before is not None:
        assert clusterer.get_params() == before  # the user's object is left alone


def test_auto_shows_why(small_series, fitted):
    model = fitted("VRAEClusterer", n_clusters="auto")
    numbers = [row["n_clusters"] for row in model.selection_]
    assert numbers == list(range(2, 2 + len(numbers)))
    best = max(model.selection_, key=lambda row: row["score"])
    assert model.n_clusters_ == best["n_clusters"]


@pytest.mark.slow
def test_two_kinds_of_series_are_told_apart(small_series, tiny):
    X = small_series("list", 40)
    model = VRAEClusterer(2, **{**tiny, "max_epochs": 30})
    labels = model.fit_predict(X)
    truth = np.arange(40) % 2
    assert max((labels == truth).mean(), (labels != truth).mean()) > 0.9
    new = small_series("list", 20, seed=1)
    assert max((model.predict(new) == truth[:20]).mean(), (model.predict(new) != truth[:20]).mean()) > 0.85


@pytest.mark.parametrize("name", CLASSES)
def test_series_without_values_keep_their_row_and_get_no_result(name, tiny):
    X = np.random.default_rng(0).standard_normal((10, 16))
    complete, X[3], X[9] = X.copy(), np.nan, np.nan
    model = OF[name](**{**tiny, "max_epochs": 1, "on_invalid": "keep"}).fit(X)
    nothing = [False] * 3 + [True] + [False] * 5 + [True]
    assert len(model.ids_) == 10
    for Z in (model.embedding_, model.transform(X), model.reconstruct(X)):
        assert np.isnan(Z).all(axis=1).tolist() == np.isnan(Z).any(axis=1).tolist() == nothing
    assert np.isnan(model.score_samples(X)).tolist() == nothing
    assert (model.lags(X) == 0).all()
    np.testing.assert_allclose(model.transform(complete)[:3], model.transform(X)[:3], atol=1e-5)
    if name == "VRAEClusterer":
        assert (model.labels_ == -1).tolist() == (model.predict(X) == -1).tolist() == nothing
        assert (model.predict_proba(X)[nothing] == 0).all()
    everything_missing = np.full((2, 16), np.nan)
    assert np.isnan(model.transform(everything_missing)).all()


@pytest.mark.parametrize("name", CLASSES)
def test_a_model_that_kept_series_without_values_opens_again(name, tiny, tmp_path):
    X = np.random.default_rng(0).standard_normal((6, 20))
    X[2] = np.nan
    model = OF[name](**tiny, on_invalid="keep").fit(X)
    loaded = load_model(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.embedding_, model.embedding_)
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))


@pytest.mark.parametrize("name", CLASSES)
def test_series_without_values_can_be_left_out(name, tiny):
    X = np.random.default_rng(0).standard_normal((6, 20))
    X[2] = np.nan
    with pytest.warns(DataWarning, match=r"1 of 6 .* ids 2"):
        model = OF[name](**tiny, on_invalid="drop").fit(X)
    assert model.ids_.tolist() == [0, 1, 3, 4, 5]
    assert len(model.embedding_) == 5
    with pytest.warns(DataWarning):
        assert model.transform(X).shape == (5, model.latent_size)


# ---------------------------------------------------------------- level, and series that arrive later


def shapes_and_levels(n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sines and square waves on two levels, a factor of 30 apart."""
    rng = np.random.default_rng(0)
    shape, level = rng.integers(0, 2, (2, n))
    phase = np.arange(48) / 12 + rng.random((n, 1))
    wave = np.sin(2 * np.pi * phase)
    X = np.where(shape[:, None] == 0, wave, np.sign(wave)) + 0.1 * rng.standard_normal((n, 48)) + 4
    return X * np.where(level == 0, 1, 30)[:, None], shape, level


@pytest.mark.slow
def test_level_counts_when_it_is_asked_for(tmp_path):
    X, shape, level = shapes_and_levels()
    by_shape = VRAEClusterer(2, random_state=0).fit(X)
    by_both = VRAEClusterer(4, level_weight=0.5, random_state=0).fit(X)
    assert adjusted_rand_score(shape, by_shape.labels_) > 0.9
    assert adjusted_rand_score(2 * shape + level, by_both.labels_) > 0.9
    assert (by_both.predict(X) == by_both.labels_).all()
    assert (load_model(by_both.save(tmp_path / "model")).predict(X) == by_both.labels_).all()


@pytest.mark.slow
def test_learning_goes_on_and_clusters_keep_their_numbers():
    X, shape, _ = shapes_and_levels(90)
    model = VRAEClusterer(2, random_state=0).partial_fit(X[:40])
    before = model.predict(X)
    model.partial_fit(X[40:60]).partial_fit(X[60:])
    assert model.ids_.tolist() == list(range(90))
    assert (model.predict(X) == before).mean() > 0.9
    assert adjusted_rand_score(shape, model.labels_) > 0.9
    assert [record["epoch"] for record in model.history_] == list(range(1, len(model.history_) + 1))


@pytest.mark.parametrize("name", CLASSES)
def test_the_first_partial_fit_is_a_fit(name, small_series, tiny):
    X = small_series("equal lengths")
    np.testing.assert_array_equal(OF[name](**tiny).partial_fit(X).embedding_, OF[name](**tiny).fit(X).embedding_)


def test_a_series_that_comes_again_takes_the_place_of_the_first(tiny):
    X = np.random.default_rng(0).standard_normal((5, 20)).astype(np.float32)
    model = VRAE(**tiny).partial_fit(Panel.from_arrays(X, ids=list("abcde")))
    model.partial_fit(Panel.from_arrays(X[:2] + 1, ids=["b", "f"]))
    assert model.ids_.tolist() == ["a", "c", "d", "e", "b", "f"]


def test_memory_of_earlier_series_is_bounded(tiny, monkeypatch):
    monkeypatch.setattr("vrae.estimators.memory._REMEMBERED", 10)
    X = np.random.default_rng(0).standard_normal((40, 12))
    model = VRAE(**tiny)
    for part in np.split(X, 4):
        model.partial_fit(part)
    assert len(model.remembered_) == 10
    assert model.n_seen_ == 40
    assert len(set(model.remembered_.ids.tolist()) - set(range(30, 40))) >= 3  # earlier ones are not forgotten


@pytest.mark.parametrize("bad", [np.full((3, 20), np.inf), np.zeros((3, 2, 20))])
def test_a_partial_fit_that_fails_leaves_the_model_as_it_was(bad, tiny):
    X = np.random.default_rng(0).standard_normal((6, 20))
    model = VRAE(**tiny).partial_fit(X)
    before = model.transform(X)
    with pytest.raises(InvalidDataError):
        model.partial_fit(bad)
    np.testing.assert_array_equal(model.transform(X), before)
    assert model.n_seen_ == 6
