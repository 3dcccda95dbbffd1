"""Bad input is refused: a message says what was found, where, and what to do. Odd input works."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import vrae
from conftest import make_estimator
from vrae import VRAE, Panel, VRAEClusterer
from vrae.config import NetworkConfig
from vrae.exceptions import InvalidDataError, InvalidParameterError, NotFittedError, VRAEError

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

rng = np.random.default_rng(0)
GOOD = rng.standard_normal((6, 12))


class Scalar(torch.nn.Module):
    """A user's loss that returns the mean of the batch, unobserved values included."""

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (prediction - target).abs().mean()


def changed(row: int, value: Any) -> np.ndarray:
    X = GOOD.copy()
    X[row] = value
    return X


def named(X: Any) -> Panel:
    return Panel.from_arrays(X, ids=[f"item{i}" for i in range(len(X))])


def message_of(error: type[Exception], action: Any) -> str:
    """Return the message of an error, which must be one line."""
    with pytest.raises(error) as caught:
        action()
    assert isinstance(caught.value, VRAEError)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------- series

SERIES = {
    "nothing": (np.empty((0, 12)), ["empty", "at least two series"]),
    "empty list": ([], ["empty", "at least two series"]),
    "no steps": (np.empty((3, 0)), ["0 steps"]),
    "a series of no steps": ([[1.0, 2.0], [], [3.0, 1.0]], ["0 steps", "ids 1", "Remove"]),
    "one series": (GOOD[:1], ["1 usable series", "at least 2"]),
    "one series, 1-D": (GOOD[0], ["1D array", "reshape(1, -1)"]),
    "one step": (GOOD[:, :1], ["one step", "longer series"]),
    "one step each": ([[1.0], [2.0], [3.0]], ["one step"]),
    "a series without values": (
        named(changed(4, np.nan)),
        ["1 of 6 series", "all missing", "'item4'", "on_invalid='drop'", "on_invalid='keep'"],
    ),
    "all without values": (np.full((3, 12), np.nan), ["3 of 3", "all missing"]),
    "infinities": (named(changed(2, np.inf)), ["1 of 6", "inf", "'item2'", "NaN"]),
    "minus infinity": (named(changed(2, -np.inf)), ["'item2'"]),
    "beyond float32": (named(changed(5, 1e39)), ["3.4e38", "'item5'"]),
    "text": ([["1", "2"], ["3", "oops"], ["5", "6"]], ["Series 1", "'oops'"]),
    "text array": (np.array([["1", "a"], ["2", "3"]]), ["numbers", "a"]),
    "dates": (np.array([["2024-01-01", "2024-01-02"]] * 2, "datetime64[D]"), ["datetime64"]),
    "None within": ([[1.0, {}, 3.0], [1.0, 2.0]], ["Series 0"]),
    "mixed channels": ([np.zeros((2, 5)), np.zeros((2, 4)), np.zeros((3, 5))], ["most have 2", "2 has 3"]),
    "four dimensions": (np.zeros((2, 2, 2, 2)), ["4D array"]),
    "complex": (GOOD + 1j, ["omplex"]),
    "text alone": ("sales", ["'sales'"]),
    "a number": (3, ["int"]),
    "nothing at all": (None, ["None"]),
}


def test_unusable_series_are_refused(tiny):
    lacking = {}
    for name, (X, words) in SERIES.items():
        message = message_of(InvalidDataError, lambda X=X: VRAE(**tiny).fit(X))
        if absent := [word for word in words if word not in message]:
            lacking[name] = absent, message
    assert lacking == {}


def test_many_bad_series_are_counted_and_a_few_are_named(tiny):
    X = np.full((40, 5), np.nan)
    X[:3] = 1.0
    message = message_of(InvalidDataError, lambda: VRAE(**tiny).fit(named(X)))
    assert "37 of 40" in message
    assert "'item3', 'item4'" in message
    assert "more" in message
    assert len(message) < 400


def test_duplicate_ids_are_refused():
    message = message_of(InvalidDataError, lambda: Panel.from_arrays(GOOD[:3], ids=["a", "b", "a"]))
    assert "'a'" in message
    assert "'b'" not in message


def test_too_few_usable_series_with_keep(tiny):
    X = np.full((4, 12), np.nan)
    X[1] = GOOD[1]
    message = message_of(InvalidDataError, lambda: VRAE(**{**tiny, "on_invalid": "keep"}).fit(X))
    assert "1 usable series" in message


# Methods of fitted estimators that take series.
METHODS = {
    "VRAE": ("transform", "score_samples", "lags", "reconstruct", "reduce"),
    "VRAEClusterer": ("predict", "predict_proba", "describe", "score"),
    "VRAEAnomalyDetector": ("predict", "score_samples", "step_scores"),
    "VRAENeighbors": ("kneighbors", "similar"),
}


def test_new_series_are_checked_too(fitted):
    for name, methods in METHODS.items():
        for use in (getattr(fitted(name), method) for method in methods):
            assert "fitted to 1 channel" in message_of(InvalidDataError, lambda use=use: use(np.zeros((2, 3, 16))))
            assert "'item2'" in message_of(InvalidDataError, lambda use=use: use(named(changed(2, np.inf))))
            assert "empty" in message_of(InvalidDataError, lambda use=use: use([]))


def test_an_unfitted_estimator_is_named():
    for name, methods in METHODS.items():
        for method in (*methods, "save"):
            with pytest.raises(NotFittedError, match=f"This {name} is not fitted.*fit"):
                getattr(getattr(vrae, name)(), method)(GOOD)
    for use in (VRAE().sample, VRAE().get_feature_names_out, VRAEClusterer().regroup):
        with pytest.raises(NotFittedError):
            use()
    for decode in (VRAE().inverse_transform, VRAEClusterer().predict_proba_from_latent):
        with pytest.raises(NotFittedError):
            decode(np.zeros((1, 16), np.float32))


# ---------------------------------------------------------------- odd series that work

ODD = {
    "a constant series": changed(1, 7.0),
    "all constant": np.tile(np.arange(6.0)[:, None], (1, 12)),
    "all zero": np.zeros((6, 12)),
    "two series": GOOD[:2],
    "two steps": GOOD[:, :2],
    "one step and many": [np.array([1.0]), *GOOD],
    "one value observed": changed(3, [5.0] + [np.nan] * 11),
    "a channel without values": np.stack([GOOD, np.full_like(GOOD, np.nan)], axis=1),
    "huge values": GOOD * 1e30,
    "tiny values": GOOD * 1e-30,
    "one huge outlier": changed(2, [1e30] + [0.0] * 11),
    "identical series": np.tile(GOOD[0], (6, 1)),
    "whole numbers": (10 * GOOD).astype(np.int64),
    "bools": GOOD > 0,
    "read-only": np.broadcast_to(GOOD[0], (6, 12)),
    "not contiguous": np.asfortranarray(GOOD)[::-1, ::2],
}


@pytest.mark.filterwarnings("ignore:Found 1 cluster")
def test_odd_series_work():
    for name, X in ODD.items():
        clusterer = make_estimator("VRAEClusterer", max_epochs=1, max_lag=2).fit(X)
        model = clusterer.model_
        assert np.isfinite(clusterer.embedding_).all(), name
        assert clusterer.predict(X).tolist() == clusterer.labels_.tolist(), name
        assert np.isfinite(model.score_samples(X)).all(), name
        assert all(np.isfinite(x).all() for x in model.reconstruct(X)), name


@pytest.mark.parametrize("scaling", ["series", "channel", "robust", None])
def test_every_scaling_takes_constant_and_sparse_series(scaling, tiny):
    X = np.stack([GOOD, np.zeros_like(GOOD)], axis=1)
    X[0, 0] = 7.0
    X[1, 1] = np.nan
    X[2, 0, 1:] = np.nan
    model = VRAE(**{**tiny, "max_epochs": 1, "scaling": scaling}).fit(X)
    assert np.isfinite(model.embedding_).all()
    assert np.isfinite(model.reconstruct(X)).all()


@pytest.mark.slow
def test_one_step_and_a_hundred_thousand_work_together():
    X = [np.array([1.0]), rng.standard_normal(100_000), rng.standard_normal(50)]
    clusterer = make_estimator("VRAEClusterer", max_epochs=1, patch_size="auto", pattern_weight=0.0).fit(X)
    assert clusterer.model_.transform(X).shape == (3, 3)
    assert [len(x) for x in clusterer.model_.reconstruct(X)] == [1, 100_000, 50]


# ---------------------------------------------------------------- options

OPTIONS: list[tuple[dict[str, Any], list[str]]] = [
    ({"latent_size": 0}, ["latent_size", "0", "at least 1"]),
    ({"latent_size": 2.5}, ["latent_size", "whole number", "2.5"]),
    ({"latent_size": True}, ["latent_size", "True"]),
    ({"hidden_size": -3}, ["hidden_size", "-3"]),
    ({"num_layers": "two"}, ["num_layers", "'two'"]),
    ({"cell": "lsm"}, ["cell", "'lsm'", "Did you mean 'lstm'?", "gru"]),
    ({"cell": None}, ["cell", "lstm", "gru"]),
    ({"architecture": "clasic"}, ["architecture", "Did you mean 'classic'?", "default", "linear"]),
    ({"architecture": "linear", "max_lag": 2}, ["architecture='linear'", "max_lag=2", "max_lag=0"]),
    ({"patch_size": 0}, ["patch_size", "at least 1"]),
    ({"patch_size": "big"}, ["patch_size", "'big'", "auto"]),
    ({"dropout": 1.0}, ["dropout", "below 1"]),
    ({"dropout": -0.1}, ["dropout", "at least 0"]),
    ({"reconstruction_loss": "mae"}, ["reconstruction_loss", "mse", "smooth_l1"]),
    ({"reconstruction_loss": torch.nn.MSELoss}, ["reconstruction_loss"]),
    ({"beta": -1}, ["beta", "at least 0", "-1"]),
    ({"beta": float("nan")}, ["beta", "finite", "nan"]),
    ({"max_lag": -1}, ["max_lag", "at least 0"]),
    ({"max_lag": 0.9}, ["max_lag", "at most 0.5"]),
    ({"max_lag": "far"}, ["max_lag", "'far'"]),
    ({"pattern_weight": -1.0}, ["pattern_weight", "at least 0"]),
    ({"scaling": "serie"}, ["scaling", "'serie'", "Did you mean 'series'?"]),
    ({"max_epochs": 0}, ["max_epochs", "at least 1"]),
    ({"max_epochs": "many"}, ["max_epochs", "'many'", "auto"]),
    ({"batch_size": 0}, ["batch_size", "at least 1"]),
    ({"optimizer": "adm"}, ["optimizer", "Did you mean 'adam'?", "sgd"]),
    ({"learning_rate": 0}, ["learning_rate", "above 0"]),
    ({"early_stopping": -2}, ["early_stopping", "at least 1"]),
    ({"early_stopping": "yes"}, ["early_stopping", "'yes'"]),
    ({"on_invalid": "ignore"}, ["on_invalid", "raise", "drop", "keep"]),
    ({"level_weight": -1}, ["level_weight", "-1"]),
    ({"level_weight": 1.0, "pattern_weight": 0}, ["level_weight", "pattern_weight"]),
    ({"level_weight": 1.0, "scaling": "channel"}, ["level_weight", "'channel'"]),
    ({"device": "gpu"}, ["device", "'gpu'", "cuda"]),
    ({"device": "meta"}, ["device", "cpu"]),
    ({"precision": "float64"}, ["precision", "float32", "bfloat16"]),
    ({"random_state": "today"}, ["random_state", "today"]),
    ({"random_state": -1}, ["random_state", "-1"]),
    ({"callbacks": ["bar"]}, ["callbacks", "'bar'"]),
    ({"callbacks": 3}, ["callbacks", "3"]),
    ({"n_clusters": 0}, ["n_clusters", "at least 1"]),
    ({"n_clusters": 7}, ["n_clusters=7", "6 series", "fewer"]),
    ({"n_clusters": "atuo"}, ["n_clusters", "'atuo'", "auto"]),
    ({"clusterer": "kmean"}, ["clusterer", "Did you mean 'kmeans'?", "ward"]),
    ({"clusterer": 3}, ["clusterer", "3", "scikit-learn"]),
]


def test_unusable_options_are_refused_before_training(monkeypatch):
    def trains(*args: Any) -> None:
        raise AssertionError("training began before the options were checked")

    monkeypatch.setattr("vrae.train.trainer.Trainer.run_epoch", trains)
    lacking = []
    for options, words in OPTIONS:
        estimator = make_estimator("VRAEClusterer", **options)
        message = message_of(InvalidParameterError, lambda fit=estimator.fit: fit(GOOD))
        if absent := [word for word in words if word not in message]:
            lacking.append((options, absent, message))
    assert lacking == []


def test_options_of_the_heads_are_checked_before_training(monkeypatch):
    def trains(*args: Any) -> None:
        raise AssertionError("training began before the options were checked")

    monkeypatch.setattr("vrae.train.trainer.Trainer.run_epoch", trains)
    for name, option, value in [
        ("VRAEAnomalyDetector", "contamination", 0.9),
        ("VRAEAnomalyDetector", "false_alarm_rate", 0),
        ("VRAENeighbors", "n_neighbors", 0),
        ("VRAENeighbors", "algorithm", "tree"),
        ("GroupForecaster", "horizon", 0),
    ]:
        estimator = make_estimator(name, **{option: value})
        assert option in message_of(InvalidParameterError, lambda fit=estimator.fit: fit(GOOD))


def test_numpy_numbers_are_accepted_as_options():
    numbers = {"latent_size": np.int64(3), "beta": np.float32(0.1), "max_epochs": np.int32(1)}
    assert make_estimator("VRAEClusterer", n_clusters=np.int64(2), **numbers).fit(GOOD).n_clusters_ == 2


@pytest.mark.parametrize("loss", [torch.nn.GaussianNLLLoss(), Scalar()], ids=lambda loss: type(loss).__name__)
def test_a_loss_module_must_return_one_error_per_value(loss, tiny):
    message = message_of(InvalidParameterError, lambda: VRAE(**{**tiny, "reconstruction_loss": loss}).fit(GOOD))
    assert "reconstruction_loss" in message


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_precision_works_or_is_refused(precision, tiny):
    try:
        model = VRAE(**{**tiny, "max_epochs": 1, "max_lag": 2, "precision": precision}).fit(GOOD)
    except InvalidParameterError as error:
        assert "precision" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(model.reconstruct(GOOD)).all()


@pytest.mark.parametrize("clusterer", ["gmm", "kmeans", "ward", "hdbscan"])
def test_two_or_three_series_can_be_clustered(clusterer):
    for n in (2, 3):
        for n_clusters in (2, "auto"):
            estimator = make_estimator("VRAEClusterer", n_clusters=n_clusters, clusterer=clusterer, max_epochs=1)
            assert len(estimator.fit_predict(GOOD[:n])) == n


@pytest.mark.parametrize("clusterer", ["gmm", "kmeans", "ward", "hdbscan"])
def test_identical_series_are_one_cluster_or_none(clusterer):
    estimator = make_estimator("VRAEClusterer", n_clusters="auto", clusterer=clusterer, max_epochs=1)
    assert len(set(estimator.fit_predict(np.tile(GOOD[0], (9, 1))).tolist())) == 1


@pytest.mark.parametrize(("name", "value"), [("n_steps", 0), ("n_steps", 2.5), ("n_samples", 0)])
def test_impossible_sizes_of_generated_series_are_refused(name, value, fitted):
    model = fitted("VRAE")
    use = model.sample if name == "n_samples" else lambda **o: model.inverse_transform(np.zeros((1, 3)), **o)
    assert name in message_of(InvalidParameterError, lambda: use(**{name: value}))


def test_configurations_refuse_unknown_keys():
    state = NetworkConfig(n_channels=1, n_steps=3).to_dict()
    assert NetworkConfig.from_dict(state).to_dict() == state
    assert "colour" in message_of(InvalidParameterError, lambda: NetworkConfig.from_dict({**state, "colour": "red"}))
    del state["cell"]
    assert "cell" in message_of(InvalidParameterError, lambda: NetworkConfig.from_dict(state))
