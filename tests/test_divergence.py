"""Training that diverges is undone and slowed down. Extreme series do not make it diverge."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from conftest import make_estimator
from vrae import VRAE
from vrae.exceptions import DataWarning, DivergenceWarning, TrainingError
from vrae.train.callbacks import Callback
from vrae.train.checkpoint import Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")


# The learning rate is constant, so that only divergence changes it.
CONSTANT = {"architecture": "classic"}


class Explodes(Callback):
    """Multiply the weights by a factor after some epochs, a number of times."""

    def __init__(self, epoch: int, times: int, factor: float) -> None:
        self.epoch, self.times, self.factor = epoch, times, factor

    def on_step_end(self, trainer: Any) -> None:
        if self.times and len(trainer.history) == self.epoch:
            self.times -= 1
            with torch.no_grad():
                for weights in trainer.network.parameters():
                    weights.mul_(self.factor)


@pytest.mark.parametrize(
    ("learning_rate", "optimizer"),
    [(30.0, "adam"), (1000.0, "adam"), (30.0, "sgd")],
    ids=["two steps back", "four, the most", "plain gradient descent"],
)
def test_a_learning_rate_far_too_high_is_lowered_with_a_warning(learning_rate, optimizer, small_series, tiny):
    X = small_series("2d")
    options = {**tiny, **CONSTANT, "max_epochs": 12, "learning_rate": learning_rate, "optimizer": optimizer}
    with pytest.warns(DivergenceWarning, match=r"learning_rate=.* is too high\. Resumed") as caught:
        model = VRAE(**options).fit(X)
    messages = [str(w.message) for w in caught if issubclass(w.category, DivergenceWarning)]
    assert 1 <= len(messages) <= 4
    assert __file__ == caught[0].filename, "the warning points at the user's line"
    assert len(model.history_) == 12
    assert np.isfinite(model.embedding_).all()
    assert model.history_[-1]["learning_rate"] == pytest.approx(learning_rate * 0.1 ** len(messages))
    # As good as training that started at the final rate.
    calm = VRAE(**{**options, "learning_rate": learning_rate * 0.1 ** len(messages)}).fit(X)
    assert model.history_[-1]["reconstruction"] < 3 * calm.history_[-1]["reconstruction"]


@pytest.mark.parametrize("factor", [float("nan"), 1e30, 100.0], ids=["not a number", "overflow", "large error"])
def test_training_resumes_from_the_last_good_epoch(factor, small_series, tiny):
    options = {**tiny, **CONSTANT, "max_epochs": 5}
    with pytest.warns(DivergenceWarning, match=r"diverged in epoch 4.*end of epoch 2"):
        model = VRAE(**options, callbacks=[Explodes(3, 1, factor)]).fit(small_series("2d"))
    calm = VRAE(**options).fit(small_series("2d"))
    assert [record["epoch"] for record in model.history_] == [1, 2, 3, 4, 5]
    assert [r["loss"] for r in model.history_[:2]] == [r["loss"] for r in calm.history_[:2]]
    assert [r["learning_rate"] for r in model.history_] == pytest.approx([0.02, 0.02, 0.002, 0.002, 0.002])
    assert np.isfinite(model.embedding_).all()


@pytest.mark.filterwarnings("ignore::vrae.exceptions.DivergenceWarning")
def test_after_several_steps_back_there_is_a_clear_error(small_series, tiny):
    model = VRAE(**tiny, callbacks=[Explodes(1, 99, float("nan"))])
    with pytest.raises(
        TrainingError,
        match=r"epoch 2.*every learning rate from 0.02 down to 2e-06.*scaling='robust'.*learning_rate below 2e-06",
    ):
        model.fit(small_series("2d"))
    assert not hasattr(model, "network_")


@pytest.mark.parametrize(
    "stop",
    [3, 6, 7, 8, 10],
    ids=["before the bad epoch", "in it", "after the step back", "within a repeated epoch", "after it"],
)
@pytest.mark.filterwarnings("ignore::vrae.exceptions.DivergenceWarning")
def test_a_checkpoint_keeps_the_lowered_learning_rate(stop, small_series, tiny, tmp_path):
    steps = []

    class Stop(Callback):
        def on_step_end(self, trainer: Any) -> None:
            steps.append(trainer.step)
            if len(steps) == stop:
                raise RuntimeError("power cut")

    X = small_series("2d")
    options = {**tiny, "max_epochs": 6}
    whole = VRAE(**options, callbacks=[Explodes(2, 1, 1e30)]).fit(X)
    explodes = Explodes(2, 1, 1e30)
    with pytest.raises(RuntimeError):
        VRAE(**options, callbacks=[explodes, Checkpoint(tmp_path / "c", 0), Stop()]).fit(X)
    again = VRAE(**options, callbacks=[explodes, Checkpoint(tmp_path / "c", 0)]).fit(X)
    np.testing.assert_array_equal(again.embedding_, whole.embedding_)


rng = np.random.default_rng(0)
NOISE = rng.standard_normal((8, 20))


def with_outlier(value: float) -> np.ndarray:
    X = NOISE.copy()
    X[3, 7] = value
    return X


HARSH = {
    "outlier": with_outlier(1e30),
    "outlier below": with_outlier(-3e38),
    "exploding": NOISE * np.logspace(0, 30, 20),
    "exploding over the series": NOISE * np.logspace(0, 37, 8)[:, None],
    "all equal": np.full((8, 20), 7.0),
    "all equal and huge": np.full((8, 20), 3e38),
    "huge with gaps": np.where(rng.random((8, 20)) < 0.3, np.nan, 3e38),
    "two channels": np.stack([with_outlier(1e30), NOISE], axis=1),
}


@pytest.mark.parametrize("name", HARSH)
def test_extreme_series_do_not_give_nan(name):
    X = HARSH[name]
    for scaling in ("series", "channel", "robust", None):
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # no overflow on the way either
            warnings.filterwarnings("ignore", "Found 1 cluster", DataWarning)
            if scaling is None and name != "all equal":
                warnings.filterwarnings("ignore", "scaling=None leaves the values as they are", DataWarning)
            clusterer = make_estimator("VRAEClusterer", scaling=scaling).fit(X)
            model = clusterer.model_
            found = [model.embedding_, model.transform(X), clusterer.predict_proba(X), model.score_samples(X)]
        assert all(np.isfinite(result).all() for result in found), scaling
        assert all(np.isfinite(list(record.values())).all() for record in model.history_), scaling
        assert np.isfinite(model.reconstruct(X)).all() or np.abs(X[np.isfinite(X)]).max() > 1e38, scaling
