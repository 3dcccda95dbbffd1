"""Training that is interrupted, by Ctrl-C or by kill -9, resumes to the same result."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vrae import VRAE, Panel
from vrae.config import NetworkConfig, TrainingConfig
from vrae.data.scaling import Scaler
from vrae.exceptions import InvalidParameterError, ModelFileError, OutputError, TrainingInterrupted
from vrae.nn.loss import pointwise_loss
from vrae.nn.model import build_network
from vrae.train.callbacks import Callback
from vrae.train.checkpoint import Checkpoint
from vrae.train.preparation import TrainingData
from vrae.train.trainer import Trainer, TrainingTask

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

Weights = dict[str, torch.Tensor]


def data_of(n: int = 20) -> TrainingData:
    rng = np.random.default_rng(0)
    panel = Panel.from_arrays([rng.standard_normal(length) for length in rng.integers(6, 13, n)])
    return TrainingData(panel, np.arange(n), Scaler("series").fit(panel))


def trainer_of(callbacks: Any = (), seed: int = 0, data: TrainingData | None = None, **options: Any) -> Trainer:
    """Return a trainer that has begun. ``run()`` trains."""
    sizes = NetworkConfig(n_channels=1, n_steps=12, latent_size=3, hidden_size=8, dropout=0.3)
    training = {"max_epochs": 4, "batch_size": 6, "learning_rate": 0.02, "lr_schedule": "cosine", "kl_warmup": 0.5}
    task = TrainingTask(TrainingConfig(**{**training, **options}), pointwise_loss("mse"), callbacks, seed)
    trainer = Trainer()
    trainer.begin(build_network(sizes, seed), data_of() if data is None else data, task)
    return trainer


def outcome(trainer: Trainer) -> tuple[Weights, list[dict[str, float]]]:
    """Return weights and history, without the seconds of the epochs."""
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in trainer.history]
    return {name: w.clone() for name, w in trainer.network.state_dict().items()}, history


def assert_same(one: Trainer, other: Trainer) -> None:
    (weights, history), (others, other_history) = outcome(one), outcome(other)
    assert [name for name in weights if not torch.equal(weights[name], others[name])] == []
    assert history == other_history


class StopAt(Callback):
    """Do something after a step, counted from 1 over all epochs."""

    def __init__(self, step: int, action: Callable[[], Any]) -> None:
        self.step, self.action = step, action

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == self.step:
            self.action()


def fail() -> None:
    raise RuntimeError("power cut")


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


# ---------------------------------------------------------------- resuming


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": "sgd"}, {"patience": 4}],
    ids=["Adam", "an optimizer without state", "early stopping"],
)
def test_resumed_training_gives_the_weights_of_uninterrupted_training(options, tmp_path):
    whole = trainer_of(**options)
    whole.run()
    for step in (1, 2, 3, 4, 5, 8, 11, 12):  # three or four steps per epoch: within epochs, and at their ends
        folder = tmp_path / f"c{step}"
        with pytest.raises(RuntimeError, match="power cut"):
            trainer_of([Checkpoint(folder, 0), StopAt(step, fail)], **options).run()
        resumed = trainer_of([Checkpoint(folder, 0), StopAt(-1, fail)], **options)
        resumed.run()
        assert_same(resumed, whole)


def test_a_checkpoint_is_text_and_tensors(tmp_path):
    trainer_of([Checkpoint(tmp_path / "c", 0)]).run()
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["config.json", "weights.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert json.loads((tmp_path / "c" / "config.json").read_text())["origin"]["max_epochs"] == 4


def test_finished_training_is_not_repeated(tmp_path, monkeypatch):
    whole = trainer_of([Checkpoint(tmp_path / "c", every_epochs=3)], patience=1)
    whole.run()
    again = trainer_of([Checkpoint(tmp_path / "c"), StopAt(-1, fail)], patience=1)
    monkeypatch.setattr(again, "train_step", lambda *a: fail())
    again.run()
    assert_same(again, whole)


def test_short_training_is_not_saved(tmp_path):
    trainer_of([Checkpoint(tmp_path / "c")]).run()
    assert list(tmp_path.iterdir()) == []


def test_every_epochs_saves_after_epochs(tmp_path):
    saved = []

    class Noting(Checkpoint):
        def _save(self, trainer: Any) -> None:
            saved.append((len(trainer.history), len(trainer._terms)))
            super()._save(trainer)

    trainer_of([Noting(tmp_path / "c", every_epochs=2)], max_epochs=5).run()
    assert saved == [(2, 0), (4, 0), (5, 0)]


def test_resume_false_starts_over(tmp_path):
    with pytest.raises(RuntimeError):
        trainer_of([Checkpoint(tmp_path / "c", 0), StopAt(9, fail)]).run()
    steps: list[int] = []
    trainer = trainer_of([Checkpoint(tmp_path / "c", resume=False), StopAt(1, lambda: steps.append(1))])
    trainer.run()
    assert steps == [1]


def test_an_estimator_resumes_too(small_series, tiny, tmp_path):
    X = small_series("missing")
    options = {**tiny, "pattern_weight": 1.0, "max_lag": 2, "early_stopping": 3, "max_epochs": 4}
    whole = VRAE(**options).fit(X)
    stopped = VRAE(**options, callbacks=[Checkpoint(tmp_path / "c", 0), StopAt(5, fail)])
    with pytest.raises(RuntimeError, match="power cut"):
        stopped.fit(X)
    log: list[str] = []
    again = VRAE(**options, callbacks=[Checkpoint(tmp_path / "c", 0, log=log.append), StopAt(-1, fail)]).fit(X)
    np.testing.assert_array_equal(again.embedding_, whole.embedding_)
    assert log == ["Resuming in epoch 2 of 4"]


# ---------------------------------------------------------------- Ctrl-C


def test_ctrl_c_finishes_the_step_saves_and_says_how_to_resume(tmp_path):
    whole = trainer_of()
    whole.run()
    before = signal.getsignal(signal.SIGINT)
    stopped = trainer_of([StopAt(6, press_ctrl_c), Checkpoint(tmp_path / "c")])
    with pytest.raises(TrainingInterrupted, match=r"epoch 2 of 4.*saved in .*c\. Run the same call again to resume"):
        stopped.run()
    assert stopped.step == 6
    assert signal.getsignal(signal.SIGINT) is before
    again = trainer_of([StopAt(-1, fail), Checkpoint(tmp_path / "c")])
    again.run()
    assert_same(again, whole)


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    def twice() -> None:
        press_ctrl_c()
        press_ctrl_c()

    with pytest.raises(KeyboardInterrupt) as caught:
        trainer_of([StopAt(6, twice), Checkpoint(tmp_path / "c")]).run()
    assert not isinstance(caught.value, TrainingInterrupted)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- kill -9


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12
def test_twenty_kills_at_random_moments_give_the_same_weights(tmp_path, monkeypatch, record_property):
    options: Any = {"max_epochs": 80, "patience": 200}
    whole = trainer_of(**options)
    whole.run()
    moments = np.random.default_rng()  # any moment must work
    kills = 0
    while True:
        child = os.fork()
        if child == 0:
            try:
                trainer_of([Checkpoint(tmp_path / "c", 0), StopAt(-1, fail)], **options).run()
            finally:
                os._exit(0)
        time.sleep(moments.uniform(0.01, 0.15) if kills < 20 else 60 / 1000)
        if kills < 20:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            break
        kills += 1
    assert kills >= 10, "training was over before it could be killed often"
    record_property("tries", kills)
    again = trainer_of([Checkpoint(tmp_path / "c"), StopAt(-1, fail)], **options)
    monkeypatch.setattr(again, "train_step", lambda *a: fail())
    again.run()
    assert_same(again, whole)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


# ---------------------------------------------------------------- refusals


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    with pytest.raises(RuntimeError):
        trainer_of([Checkpoint(tmp_path / "c", 0), StopAt(6, fail)]).run()
    return tmp_path / "c"


@pytest.mark.parametrize(
    ("seed", "options", "n", "words"),
    [
        (0, {"max_epochs": 9}, 20, "max_epochs was 4 and is 9"),
        (0, {"beta": 0.5}, 20, "beta was 1.0 and is 0.5"),
        (1, {}, 20, "random_state was 0 and is 1"),
        (0, {}, 21, "other series"),
    ],
    ids=["length", "option", "seed", "series"],
)
def test_the_checkpoint_of_another_training_is_refused(seed, options, n, words, checkpoint):
    before = (checkpoint / "config.json").read_bytes()
    with pytest.raises(InvalidParameterError, match=words):
        trainer_of([Checkpoint(checkpoint)], seed=seed, data=data_of(n), **options).run()
    assert (checkpoint / "config.json").read_bytes() == before


def test_one_changed_value_makes_it_another_training(checkpoint):
    data = data_of()
    data.panel.values[7] += 1e-6
    with pytest.raises(InvalidParameterError, match="other series"):
        trainer_of([Checkpoint(checkpoint)], data=data).run()


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-5] ^= 1
    (folder / "weights.safetensors").write_bytes(content)


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "truncated": lambda f: (f / "weights.safetensors").write_bytes(b"12"),
    "one flipped bit": flip_a_bit,
    "no tensors": lambda f: (f / "weights.safetensors").unlink(),
    "no json": lambda f: (f / "config.json").write_text("{"),
    "another kind of folder": lambda f: (f / "config.json").write_text('{"format_version": 1}'),
    "a newer version": lambda f: (f / "config.json").write_text('{"format_version": 99}'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_refused(damage, checkpoint):
    DAMAGE[damage](checkpoint)
    with pytest.raises(ModelFileError, match=r"c\b.*(start over|again)"):
        trainer_of([Checkpoint(checkpoint)]).run()


def test_a_full_disk_keeps_the_last_checkpoint(checkpoint, monkeypatch):
    import safetensors.numpy

    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(OutputError, match=r"No space left.*Free some space"):
        trainer_of([Checkpoint(checkpoint, 0)]).run()
    assert {path.name: path.read_bytes() for path in checkpoint.iterdir()} == before


@pytest.mark.parametrize("options", [{"every_minutes": -1}, {"every_epochs": 0}], ids=str)
def test_options_are_checked(options, tmp_path):
    with pytest.raises(InvalidParameterError, match=next(iter(options))):
        Checkpoint(tmp_path, **options)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("held", ["notes.txt", "config.json", "a model"])
def test_a_checkpoint_replaces_nothing_else(held, resume, fitted, tmp_path):
    folder = tmp_path / "mine"
    if held == "a model":
        fitted("VRAE").save(folder)
    else:
        folder.mkdir()
        (folder / held).write_text('{"mine": 1}')
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model = VRAE(max_epochs=2, random_state=0, callbacks=[Checkpoint(folder, every_minutes=0, resume=resume)])
    with pytest.raises((OutputError, ModelFileError)):
        model.fit(np.random.default_rng(0).normal(size=(12, 8)))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
