"""Bad input: one clear message that says what was found, where, and what to do; and what only looks bad works."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vrae import VRAE, Panel, VRAEClusterer
from vrae.config import NetworkConfig
from vrae.exceptions import InvalidDataError, InvalidParameterError, NotFittedError, VRAEError

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

rng = np.random.default_rng(0)
GOOD = rng.standard_normal((6, 12))


class Scalar(torch.nn.Module):
    """A user's loss that averages by itself, over the batch and over what was never observed."""

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (prediction - target).abs().mean()


def changed(row: int, value: Any) -> np.ndarray:
    X = GOOD.copy()
    X[row] = value
    return X


def named(X: Any) -> Panel:
    return Panel.from_arrays(X, ids=[f"item{i}" for i in range(len(X))])


def complaint(error: type[Exception], action: Any) -> str:
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
        ["1 of 6 series", "all NaN", "'item4'", "on_invalid='drop'", "on_invalid='keep'"],
    ),
    "all without values": (np.full((3, 12), np.nan), ["3 of 3", "all NaN"]),
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


@pytest.mark.parametrize("name", SERIES)
def test_series_that_cannot_be_used(name, tiny):
    X, words = SERIES[name]
    message = complaint(InvalidDataError, lambda: VRAE(**tiny).fit(X))
    assert [word for word in words if word not in message] == []


def test_many_bad_series_are_counted_and_a_few_are_named(tiny):
    X = np.full((40, 5), np.nan)
    X[:3] = 1.0
    message = complaint(InvalidDataError, lambda: VRAE(**tiny).fit(named(X)))
    assert "37 of 40" in message
    assert "'item3', 'item4'" in message
    assert "more" in message
    assert len(message) < 400


def test_ids_that_stand_twice():
    message = complaint(InvalidDataError, lambda: Panel.from_arrays(GOOD[:3], ids=["a", "b", "a"]))
    assert "'a'" in message
    assert "'b'" not in message


def test_too_few_usable_series_with_keep(tiny):
    X = np.full((4, 12), np.nan)
    X[1] = GOOD[1]
    message = complaint(InvalidDataError, lambda: VRAE(**{**tiny, "on_invalid": "keep"}).fit(X))
    assert "1 usable series" in message


@pytest.mark.parametrize("method", ["transform", "predict", "predict_proba", "score_samples", "lags"])
def test_new_series_are_checked_too(method, fitted):
    model = fitted("VRAEClusterer")
    assert "fitted to 1 channel" in complaint(InvalidDataError, lambda: getattr(model, method)(np.zeros((2, 3, 16))))
    assert "'item2'" in complaint(InvalidDataError, lambda: getattr(model, method)(named(changed(2, np.inf))))
    assert "empty" in complaint(InvalidDataError, lambda: getattr(model, method)([]))


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.transform(GOOD),
        lambda m: m.predict(GOOD),
        lambda m: m.reconstruct(GOOD),
        lambda m: m.sample(),
        lambda m: m.inverse_transform([[0.0]]),
        lambda m: m.score_samples(GOOD),
        lambda m: m.lags(GOOD),
        lambda m: m.get_feature_names_out(),
    ],
)
def test_an_unfitted_model_says_so(use):
    with pytest.raises(NotFittedError, match=r"VRAEClusterer is not fitted.*fit"):
        use(VRAEClusterer())


# ---------------------------------------------------------------- what only looks bad

STRANGE = {
    "a constant series": changed(1, 7.0),
    "all constant": np.tile(np.arange(6.0)[:, None], (1, 12)),
    "all zero": np.zeros((6, 12)),
    "two series": GOOD[:2],
    "two steps": GOOD[:, :2],
    "a step beside many": [np.array([1.0]), *GOOD],
    "one value observed": changed(3, [5.0] + [np.nan] * 11),
    "a channel of nothing": np.stack([GOOD, np.full_like(GOOD, np.nan)], axis=1),
    "huge values": GOOD * 1e30,
    "tiny values": GOOD * 1e-30,
    "one huge outlier": changed(2, [1e30] + [0.0] * 11),
    "identical series": np.tile(GOOD[0], (6, 1)),
    "whole numbers": (10 * GOOD).astype(np.int64),
    "bools": GOOD > 0,
    "read-only": np.broadcast_to(GOOD[0], (6, 12)),
    "not contiguous": np.asfortranarray(GOOD)[::-1, ::2],
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_looks_bad_works(name, tiny):
    X = STRANGE[name]
    model = VRAEClusterer(2, **{**tiny, "max_epochs": 1, "max_lag": 2}).fit(X)
    assert np.isfinite(model.embedding_).all()
    assert model.predict(X).tolist() == model.labels_.tolist()
    assert np.isfinite(model.score_samples(X)).all()
    assert all(np.isfinite(x).all() for x in model.reconstruct(X))


@pytest.mark.parametrize("scaling", ["series", "channel", "robust", None])
def test_every_scaling_survives_strange_series(scaling, tiny):
    X = np.stack([GOOD, np.zeros_like(GOOD)], axis=1)
    X[0, 0] = 7.0
    X[1, 1] = np.nan
    X[2, 0, 1:] = np.nan
    model = VRAE(**{**tiny, "max_epochs": 1, "scaling": scaling}).fit(X)
    assert np.isfinite(model.embedding_).all()
    assert np.isfinite(model.reconstruct(X)).all()


@pytest.mark.slow
def test_one_step_beside_a_hundred_thousand_works(tiny):
    X = [np.array([1.0]), rng.standard_normal(100_000), rng.standard_normal(50)]
    model = VRAEClusterer(2, **{**tiny, "max_epochs": 1, "patch_size": "auto", "local_patterns": 0.0}).fit(X)
    assert model.transform(X).shape == (3, 3)
    assert [len(x) for x in model.reconstruct(X)] == [1, 100_000, 50]


# ---------------------------------------------------------------- options

OPTIONS: list[tuple[dict[str, Any], list[str]]] = [
    ({"latent_size": 0}, ["latent_size", "0", "at least 1"]),
    ({"latent_size": 2.5}, ["latent_size", "whole number", "2.5"]),
    ({"latent_size": True}, ["latent_size", "True"]),
    ({"hidden_size": -3}, ["hidden_size", "-3"]),
    ({"num_layers": "two"}, ["num_layers", "'two'"]),
    ({"cell": "lsm"}, ["cell", "'lsm'", "Did you mean 'lstm'?", "gru"]),
    ({"cell": None}, ["cell", "lstm", "gru"]),
    ({"bidirectional": "yes"}, ["bidirectional", "True or False", "'yes'"]),
    ({"pooling": "max"}, ["pooling", "mean", "last"]),
    ({"patch_size": 0}, ["patch_size", "at least 1"]),
    ({"patch_size": "big"}, ["patch_size", "'big'", "auto"]),
    ({"dropout": 1.0}, ["dropout", "below 1"]),
    ({"dropout": -0.1}, ["dropout", "at least 0"]),
    ({"reconstruction_loss": "mae"}, ["reconstruction_loss", "mse", "smooth_l1"]),
    ({"reconstruction_loss": torch.nn.MSELoss}, ["reconstruction_loss"]),
    ({"beta": -1}, ["beta", "at least 0", "-1"]),
    ({"beta": float("nan")}, ["beta", "finite", "nan"]),
    ({"kl_warmup": 1.5}, ["kl_warmup", "at most 1"]),
    ({"max_lag": -1}, ["max_lag", "at least 0"]),
    ({"max_lag": 0.9}, ["max_lag", "at most 0.5"]),
    ({"max_lag": "far"}, ["max_lag", "'far'"]),
    ({"local_patterns": -1.0}, ["local_patterns", "at least 0"]),
    ({"scaling": "serie"}, ["scaling", "'serie'", "Did you mean 'series'?"]),
    ({"max_epochs": 0}, ["max_epochs", "at least 1"]),
    ({"max_epochs": "many"}, ["max_epochs", "'many'", "auto"]),
    ({"batch_size": 0}, ["batch_size", "at least 1"]),
    ({"optimizer": "adm"}, ["optimizer", "Did you mean 'adam'?", "sgd"]),
    ({"learning_rate": 0}, ["learning_rate", "above 0"]),
    ({"lr_schedule": "cosin"}, ["lr_schedule", "Did you mean 'cosine'?"]),
    ({"max_grad_norm": 0}, ["max_grad_norm", "above 0"]),
    ({"early_stopping": -2}, ["early_stopping", "at least 1"]),
    ({"early_stopping": "yes"}, ["early_stopping", "'yes'"]),
    ({"on_invalid": "ignore"}, ["on_invalid", "raise", "drop", "keep"]),
    ({"level_weight": -1}, ["level_weight", "-1"]),
    ({"level_weight": 1.0, "local_patterns": 0}, ["level_weight", "local_patterns"]),
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


@pytest.mark.parametrize(("options", "words"), OPTIONS, ids=lambda value: str(value)[:50])
def test_options_that_cannot_be_used(options, words, tiny, monkeypatch):
    model = VRAEClusterer(**{**tiny, **options})

    def trains(*args: Any) -> None:
        raise AssertionError("training began before the options were checked")

    monkeypatch.setattr("vrae.train.loop.Trainer.run_epoch", trains)
    message = complaint(InvalidParameterError, lambda: model.fit(GOOD))
    assert [word for word in words if word not in message] == []


def test_numpy_numbers_are_options_too(tiny):
    numbers = {"latent_size": np.int64(3), "beta": np.float32(0.1), "max_epochs": np.int32(1)}
    assert VRAEClusterer(np.int64(2), **{**tiny, **numbers}).fit(GOOD).n_clusters_ == 2


@pytest.mark.parametrize("loss", [torch.nn.GaussianNLLLoss(), Scalar()], ids=lambda loss: type(loss).__name__)
def test_a_loss_module_has_to_give_one_error_a_value(loss, tiny):
    message = complaint(InvalidParameterError, lambda: VRAE(**{**tiny, "reconstruction_loss": loss}).fit(GOOD))
    assert "reconstruction_loss" in message


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_precision_works_or_is_refused_in_words(precision, tiny):
    try:
        model = VRAE(**{**tiny, "max_epochs": 1, "max_lag": 2, "precision": precision}).fit(GOOD)
    except InvalidParameterError as error:
        assert "precision" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(model.reconstruct(GOOD)).all()


@pytest.mark.parametrize("clusterer", ["gmm", "kmeans", "ward", "hdbscan"])
@pytest.mark.parametrize("n_clusters", [2, "auto"])
@pytest.mark.parametrize("n", [2, 3])
def test_a_handful_of_series_can_be_clustered(n, n_clusters, clusterer, tiny):
    labels = VRAEClusterer(n_clusters, clusterer, **{**tiny, "max_epochs": 1}).fit_predict(GOOD[:n])
    assert len(labels) == n


@pytest.mark.parametrize("clusterer", ["gmm", "kmeans", "ward", "hdbscan"])
def test_series_that_are_all_alike_are_one_cluster_or_none(clusterer, tiny):
    X = np.tile(GOOD[0], (9, 1))
    labels = VRAEClusterer("auto", clusterer, **{**tiny, "max_epochs": 1}).fit_predict(X)
    assert len(set(labels.tolist())) == 1


@pytest.mark.parametrize(("name", "value"), [("n_steps", 0), ("n_steps", 2.5), ("n_samples", 0)])
def test_sizes_of_what_is_generated(name, value, fitted):
    model = fitted("VRAE")
    use = model.sample if name == "n_samples" else lambda **o: model.inverse_transform(np.zeros((1, 3)), **o)
    assert name in complaint(InvalidParameterError, lambda: use(**{name: value}))


def test_configurations_refuse_unknown_keys():
    state = NetworkConfig(n_channels=1, n_steps=3).to_dict()
    assert NetworkConfig.from_dict(state).to_dict() == state
    assert "colour" in complaint(InvalidParameterError, lambda: NetworkConfig.from_dict({**state, "colour": "red"}))
    del state["cell"]
    assert "cell" in complaint(InvalidParameterError, lambda: NetworkConfig.from_dict(state))
