"""Training: the record, the random numbers, callbacks and stopping."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from vrae import VRAE, Panel
from vrae.config import NetworkConfig, TrainingConfig
from vrae.data.scaling import Scaler
from vrae.exceptions import InvalidParameterError, NotFittedError, PosteriorCollapseWarning, TrainingError
from vrae.nn.loss import pointwise_loss
from vrae.nn.model import build_network
from vrae.nn.noise import normal, uniform
from vrae.runtime import torch_generator
from vrae.train.callbacks import Callback, EarlyStopping
from vrae.train.parallel import ProcessGroup
from vrae.train.preparation import TrainingData
from vrae.train.trainer import Trainer, TrainingTask

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")


def data_of(n: int = 20, **ids: Any) -> TrainingData:
    rng = np.random.default_rng(0)
    X = np.sin(np.arange(12) * rng.uniform(0.3, 1.5, (n, 1))) + 0.1 * rng.standard_normal((n, 12))
    panel = Panel.from_arrays(X, **ids)
    return TrainingData(panel, np.arange(n), Scaler("series").fit(panel))


def trainer_of(
    callbacks: Any = (),
    seed: int = 0,
    error: Any = "mse",
    dropout: float = 0.0,
    data: TrainingData | None = None,
    **options: Any,
) -> Trainer:
    """Return a trainer that has begun. ``run()`` trains."""
    sizes = NetworkConfig(n_channels=1, n_steps=12, latent_size=3, hidden_size=8, dropout=dropout)
    config = TrainingConfig(**{"max_epochs": 3, "batch_size": 8, "learning_rate": 0.01, **options})
    trainer = Trainer()
    task = TrainingTask(config, pointwise_loss(error), callbacks, seed)
    trainer.begin(build_network(sizes, seed), data_of() if data is None else data, task)
    return trainer


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: w.clone() for name, w in trainer.network.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


class Recorder(Callback):
    """Record the calls, and fail on request."""

    def __init__(self, name: str = "", log: list[str] | None = None, fail_at: str = "") -> None:
        self.name, self.fail_at = name, fail_at
        self.log: list[str] = [] if log is None else log
        self.records: list[dict[str, float]] = []
        self.weights: list[dict[str, torch.Tensor]] = []

    def _note(self, event: str) -> None:
        self.log.append(f"{self.name}{event}")
        if event == self.fail_at:
            raise RuntimeError("on request")

    def on_train_begin(self, trainer):
        self._note("begin")

    def on_epoch_end(self, trainer, record):
        self.records.append(record)
        self.weights.append(weights(trainer))
        self._note("epoch")

    def on_train_end(self, trainer):
        self._note("end")


# ---------------------------------------------------------------- history


def test_every_epoch_has_a_record_with_all_fields():
    history = trainer_of(beta=0.5).run()
    fields = {"epoch", "loss", "reconstruction", "kl", "patterns", "kl_weight", "learning_rate", "seconds"}
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert all(set(record) == fields for record in history)
    assert all(math.isfinite(value) for record in history for value in record.values())
    for record in history:
        assert record["loss"] == pytest.approx(record["reconstruction"] + 0.5 * record["kl"], rel=1e-5)


def test_training_lowers_the_reconstruction_error():
    history = trainer_of(max_epochs=25, beta=0.01).run()
    assert history[-1]["reconstruction"] < 0.8 * history[0]["reconstruction"]


def test_kl_weight_rises_over_the_warm_up_and_then_stays():
    recorder = Recorder()
    trainer_of([recorder], data=data_of(16), max_epochs=10, beta=2.0, kl_warmup=0.5).run()  # 2 steps per epoch
    found = [record["kl_weight"] for record in recorder.records]
    assert found == pytest.approx([0.4, 0.8, 1.2, 1.6] + [2.0] * 6)
    assert trainer_of(kl_warmup=0.0, beta=2.0).kl_weight() == 2.0


def test_cosine_schedule_rises_falls_and_ends_low():
    trainer = trainer_of(lr_schedule="cosine", learning_rate=0.5)
    trainer.n_steps = 200
    rates = []
    for trainer.step in range(200):
        rates.append(trainer.learning_rate())
    top = int(np.argmax(rates))
    assert 0 < top < 100
    assert rates[top] == pytest.approx(0.5, rel=0.01)
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) <= 0).all()
    assert 0 < rates[-1] < 0.02


def test_constant_schedule_is_constant():
    assert {record["learning_rate"] for record in trainer_of(learning_rate=0.03).run()} == {0.03}


# ---------------------------------------------------------------- early stopping


def test_early_stopping_restores_the_best_weights():
    recorder = Recorder()
    trainer = trainer_of([recorder], max_epochs=40, patience=2, learning_rate=0.05, beta=0.01)
    history = trainer.run()
    losses = [record["validation_loss"] for record in history]
    best = int(np.argmin(losses))
    assert len(history) < 40
    assert len(history) == best + 1 + 2
    assert equal(weights(trainer), recorder.weights[best])


def test_early_stopping_waits_for_the_end_of_the_warm_up():
    stopping = EarlyStopping(1)
    trainer = trainer_of([stopping], max_epochs=6, patience=1, kl_warmup=0.8)
    trainer.run()
    assert stopping.best_epoch >= 5


def test_held_out_series_are_not_trained_on(monkeypatch):
    trainer = trainer_of(patience=5)
    shown: list[int] = []
    step = trainer.train_step

    def note(batch: Any, *rest: Any) -> Any:
        shown.extend(batch.indices.tolist())
        return step(batch, *rest)

    monkeypatch.setattr(trainer, "train_step", note)
    trainer.run()
    assert len(set(shown)) == 18
    assert len(shown) == 18 * len(trainer.history)


def test_early_stopping_works_with_very_few_series():
    for n in (2, 3, 5):
        X = np.random.default_rng(0).standard_normal((n, 12))
        model = VRAE(latent_size=2, hidden_size=8, max_epochs=3, early_stopping=1, random_state=0, device="cpu")
        assert model.fit_transform(X).shape == (n, 2)


# ---------------------------------------------------------------- callbacks


def test_callbacks_are_called_in_order():
    log: list[str] = []
    trainer_of([Recorder("a ", log), Recorder("b ", log)], max_epochs=2).run()
    assert log == ["a begin", "b begin", "a epoch", "b epoch", "a epoch", "b epoch", "a end", "b end"]


def test_a_callback_can_stop_training():
    class Stop(Callback):
        def on_epoch_end(self, trainer, record):
            trainer.stopping = True

    assert len(trainer_of([Stop()], max_epochs=9).run()) == 1


def test_train_end_is_called_when_training_fails():
    for fail_at in ("begin", "epoch"):
        log: list[str] = []
        with pytest.raises(RuntimeError, match="on request"):
            trainer_of([Recorder("a ", log), Recorder("b ", log, fail_at)]).run()
        assert log[-2:] == ["a end", "b end"]


def test_train_end_is_called_on_all_callbacks_if_one_fails_there():
    log: list[str] = []
    with pytest.raises(RuntimeError, match="on request"):
        trainer_of([Recorder("a ", log, "end"), Recorder("b ", log)]).run()
    assert log[-2:] == ["a end", "b end"]


def test_verbose_and_callbacks_come_from_the_estimator(small_series, tiny, capsys):
    recorder = Recorder()
    VRAE(**{**tiny, "callbacks": [recorder], "verbose": 1}).fit(small_series("2d"))
    assert recorder.log == ["begin", "epoch", "epoch", "end"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2/2" in captured.err
    with pytest.raises(InvalidParameterError, match=r"callbacks.*'progress'"):
        VRAE(**{**tiny, "callbacks": ["progress"]}).fit(small_series("2d"))


# ---------------------------------------------------------------- steps


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_optimizers_move_every_weight(optimizer):
    trainer = trainer_of(optimizer=optimizer, learning_rate=1e-3)
    before = weights(trainer)
    assert isinstance(trainer.optimizer, {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer])
    trainer.run()
    assert [name for name, w in weights(trainer).items() if torch.equal(w, before[name])] == []


def test_long_gradients_are_clipped():
    def length_of_one_step(max_grad_norm: float | None) -> float:
        options: Any = {"optimizer": "sgd", "learning_rate": 1.0, "max_epochs": 1, "max_grad_norm": max_grad_norm}
        trainer = trainer_of(data=data_of(8), **options)
        before = weights(trainer)
        trainer.run()
        return math.sqrt(sum(float(((w - before[n]) ** 2).sum()) for n, w in weights(trainer).items()))

    free = length_of_one_step(None)
    assert free > 0.5
    assert length_of_one_step(0.25) == pytest.approx(0.25, rel=1e-3)
    assert length_of_one_step(1e6) == pytest.approx(free, rel=1e-5)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_the_series_of_its_batch(broken):
    class Breaks(torch.nn.Module):
        def forward(self, prediction, target):
            hit = (target.amax(dim=(1, 2), keepdim=True) > 3.1).expand_as(target)  # only the spike
            return torch.where(hit, broken, (prediction - target) ** 2)

    data = data_of(20, ids=[f"s{i}" for i in range(20)])
    data.panel.values[data.panel.offsets[13] + 4] = 1e3
    log: list[str] = []
    with pytest.raises(TrainingError, match=r"not finite.*epoch 1.*'s13'") as caught:
        trainer_of([Recorder("", log)], data=data, error=Breaks(), batch_size=4).run()
    assert str(caught.value).count("'s") == 4
    assert "learning_rate" in str(caught.value)
    assert log == ["begin", "end"]


def test_a_failed_fit_leaves_an_unfitted_model(small_series, tiny):
    X = small_series("2d")
    model = VRAE(**{**tiny, "callbacks": [Recorder(fail_at="epoch")]})
    with pytest.raises(RuntimeError, match="on request"):
        model.fit(X)
    with pytest.raises(NotFittedError):
        model.transform(X)


def test_a_failed_second_fit_leaves_the_first(small_series, tiny):
    model = VRAE(**tiny).fit(small_series("2d"))
    before = model.transform(small_series("2d"))
    model.set_params(callbacks=[Recorder(fail_at="epoch")], hidden_size=9)
    with pytest.raises(RuntimeError, match="on request"):
        model.fit(small_series("2d", seed=1))
    np.testing.assert_array_equal(model.transform(small_series("2d")), before)


# ---------------------------------------------------------------- random numbers


def test_the_same_seed_gives_the_same_weights_bit_by_bit():
    one, same, other = (trainer_of(seed=seed, dropout=0.3, max_epochs=2, patience=3) for seed in (1, 1, 2))
    for trainer in (one, same, other):
        trainer.run()
    assert equal(weights(one), weights(same))
    assert not equal(weights(one), weights(other))


def test_the_global_random_state_is_neither_read_nor_changed(small_series, tiny, global_random_state):
    X = small_series("missing")
    results = []
    for _ in range(2):
        np.random.rand(), torch.rand(1)  # noqa: NPY002
        before = global_random_state()
        model = VRAE(**{**tiny, "dropout": 0.2, "max_lag": 2, "early_stopping": 3})
        results.append((model.fit(X).transform(X), model.sample(3, random_state=0)))
        model.sample(3)
        assert global_random_state() == before
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_without_a_random_state_fits_differ(small_series, tiny, global_random_state):
    before = global_random_state()
    one, other = (VRAE(**{**tiny, "random_state": None, "max_epochs": 1}).fit(small_series("2d")) for _ in range(2))
    assert not np.array_equal(one.embedding_, other.embedding_)
    assert global_random_state() == before


# ---------------------------------------------------------------- collapse


def test_posterior_collapse_is_a_warning_with_advice(small_series, tiny):
    model = VRAE(**{**tiny, "beta": 1e4, "max_epochs": 25, "pattern_weight": 0.0})
    with pytest.warns(PosteriorCollapseWarning, match=r"Posterior collapse: none of the 3 .*Lower beta \(now 10000\)"):
        model.fit(small_series("2d"))
    assert model.active_units_ == 0


# ---------------------------------------------------------------- several processes


@pytest.mark.parametrize("size", [1, 2, 7], ids=["one", "two", "more processes than series"])
def test_processes_share_a_batch_and_its_random_numbers(size):
    indices = np.array([5, 1, 9, 0, 4])
    device = torch.device("cpu")
    whole = normal((5, 3), torch_generator(0), device), uniform((5,), torch_generator(1), device)
    processes = [ProcessGroup(rank, size, lambda network: network) for rank in range(size)]
    parts = [process.part(indices, torch_generator(0)) for process in processes]
    counted = [part for part in parts if part.weight]
    assert np.concatenate([part.indices for part in counted]).tolist() == indices.tolist()
    assert sum(part.weight for part in parts) == pytest.approx(1)
    assert all(len(part.indices) for part in parts)
    assert torch.equal(torch.cat([normal((len(p.indices), 3), p.source, device) for p in counted]), whole[0])
    uniforms = [part for process in processes if (part := process.part(indices, torch_generator(1))).weight]
    assert torch.equal(torch.cat([uniform((len(p.indices),), p.source, device) for p in uniforms]), whole[1])


def test_a_fit_learns_where_gradients_are_off():
    X = np.random.default_rng(0).standard_normal((12, 16))
    with torch.no_grad():
        off = VRAE(max_epochs=1, hidden_size=4, device="cpu", random_state=0).fit(X)
        assert not torch.is_grad_enabled()
    on = VRAE(max_epochs=1, hidden_size=4, device="cpu", random_state=0).fit(X)
    np.testing.assert_array_equal(off.embedding_, on.embedding_)
