"""Training on several processes at once: Ray Train starts them, and starts them again where one was lost.

Each has the same trainer, and sees its share of every batch. The series lie in Ray's object store, once a machine.
"""

from __future__ import annotations

import copy
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pyarrow.dataset as ds
import torch

from vrae.config import TrainingConfig
from vrae.distributed.applying import workshop_of
from vrae.distributed.engine import Engine, connected, ray_module
from vrae.distributed.sampling import sample
from vrae.distributed.series import find_series
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidParameterError, TrainingError, VRAEError, name_some
from vrae.nn.loss import Pointwise
from vrae.nn.model import VRAENetwork
from vrae.runtime import work_threads
from vrae.train.callbacks import Callback, Record
from vrae.train.checkpoint import read_state, write_state
from vrae.train.crew import Together
from vrae.train.loop import Trainer, TrainingData

__all__ = ["fit"]

_STATE = "training"  # folder in a checkpoint of Ray's
_LOSSES = 3  # workers that may be lost, one after the other

Estimator = TypeVar("Estimator", bound=VRAE)


def fit(
    estimator: Estimator,
    X: Any,
    *,
    engine: Engine,
    storage: str | None = None,
    checkpoint_seconds: float = 10.0,
    n_train: int | None = 20_000,
    seed: int = 0,
    **options: Any,
) -> Estimator:
    """Fit an estimator, its network being trained by ``engine.train_workers`` processes together.

    They share every batch, draw the same random numbers as one process would, and move the weights by the mean of their
    gradients: history and model are those of ``estimator.fit(X)`` but for the order in which numbers are added up.
    When one of them is lost, all go on from the last checkpoint.

    Parameters
    ----------
    estimator : VRAE
        Of its callbacks, copies are called in one of the processes.
    X
        As in the estimator's ``fit``. Or Parquet files, as a path, pattern, URL or pyarrow Dataset: of their series
        a sample is drawn where they lie, the same one whoever draws it, and only the sample comes to this process.
    engine : Engine
        With ``train_workers=1`` this is ``estimator.fit(X)``.
    storage : str, optional
        Folder for checkpoints, which all machines must reach; default: a temporary one of this machine.
    checkpoint_seconds : float, default 10.0
        A checkpoint is written after the first epoch that ends so long after the last one.
    n_train : int or None, default 20_000
        Series of Parquet files to learn from. None: all, which must fit into this process.
    seed : int, default 0
        Of the sample.
    **options
        Of Parquet files, as in `vrae.read_panel`.

    Returns
    -------
    VRAE
        The estimator.

    Raises
    ------
    TrainingError
        The loss is not finite, or workers were lost again and again.
    InvalidDataError, InvalidParameterError
        See the estimator's ``fit``.
    """
    files, several = isinstance(X, (str, os.PathLike, ds.Dataset)), engine.train_workers > 1
    if options and not files:
        raise InvalidParameterError(f"{name_some(sorted(options))} belong to Parquet files; X is in memory already.")
    if several and not isinstance(estimator, VRAE):
        raise InvalidParameterError(
            f"Several processes train one network together; a {type(estimator).__name__} has several small ones, which "
            f"they would not speed up. Call its fit, which runs in this process."
        )
    if not files and not several:
        return estimator.fit(X)
    with connected(engine), _folder(storage) as folder:
        if files:
            with workshop_of(f"{folder}/sample") as workshop:
                X = sample(find_series(X, workshop, lambda line: None, **options), n_train, seed)[0]
        if not several:
            return estimator.fit(X)
        crew = _Crew(engine, folder, estimator.hidden_size, checkpoint_seconds)
        with estimator._trained_by(crew.train):
            return estimator.fit(X)


@contextmanager
def _folder(storage: str | None) -> Iterator[str]:
    if storage is not None:
        yield storage
        return
    with TemporaryDirectory(prefix="vrae-") as folder:
        yield folder


@contextmanager
def _ctrl_c_given_back() -> Iterator[None]:
    """Ray Train takes the handler of Ctrl-C and keeps it; give it back to whoever had it."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class _Order:
    """What every process is told."""

    network: VRAENetwork
    config: TrainingConfig
    error: Pointwise
    callbacks: Sequence[Callback]
    seed: int
    data: Any  # reference to the `TrainingData`
    hidden_size: int
    checkpoint_seconds: float


@dataclass(frozen=True)
class _Crew:
    """Trains in the place of a trainer of this process."""

    engine: Engine
    folder: str
    hidden_size: int
    checkpoint_seconds: float

    def train(self, trainer: Trainer, data: TrainingData) -> list[Record]:
        """Do what ``trainer.fit(data)`` does."""
        order = _Order(
            network=copy.deepcopy(trainer.network).cpu(),
            config=trainer.config,
            error=trainer.error,
            callbacks=trainer.given,
            seed=trainer.seed,
            data=ray_module().put(data),
            hidden_size=self.hidden_size,
            checkpoint_seconds=self.checkpoint_seconds,
        )
        try:
            with _ctrl_c_given_back():
                result = self._job(order).fit()
        except ray_module("ray.train").TrainingFailedError as error:
            said = str(error).strip().splitlines()
            raise TrainingError(f"Training on several processes failed: {' '.join(said)[-600:]}") from error
        if "error" in result.metrics:
            raise TrainingError(result.metrics["error"])
        with result.checkpoint.as_directory() as place:
            read_state(trainer, Path(place) / _STATE)
        return trainer.history

    def _job(self, order: _Order) -> Any:
        train = ray_module("ray.train")
        resources = {"CPU": 1.0} | ({"GPU": self.engine.gpus} if self.engine.gpus else {})
        return ray_module("ray.train.torch").TorchTrainer(
            _train_together,
            train_loop_config={"order": order},
            scaling_config=train.ScalingConfig(
                num_workers=self.engine.train_workers, use_gpu=bool(self.engine.gpus), resources_per_worker=resources
            ),
            run_config=train.RunConfig(
                name="training",
                storage_path=self.folder,
                failure_config=train.FailureConfig(max_failures=_LOSSES),
                checkpoint_config=train.CheckpointConfig(num_to_keep=1),
            ),
        )


def _train_together(told: dict[str, Any]) -> None:
    """Be one of the processes."""
    train, torch_train = ray_module("ray.train"), ray_module("ray.train.torch")
    order: _Order = told["order"]
    context, device = train.get_context(), torch_train.get_device()
    crew = Together(context.get_world_rank(), context.get_world_size(), torch_train.prepare_model)
    callbacks = [*(order.callbacks if crew.rank == 0 else ()), _Reporting(order.checkpoint_seconds)]
    trainer = Trainer(order.network.to(device), order.config, order.error, callbacks, order.seed, crew)
    try:
        with work_threads(device, order.hidden_size) as threads, trainer.network.at_work(threads):
            trainer.fit(ray_module().get(order.data))
    except VRAEError as error:  # all have it alike, and would have it again
        train.report({"error": str(error)})
        return
    _report(trainer)  # early stopping has gone back to the best weights


class _Reporting(Callback):
    """Gives Ray Train a checkpoint now and then, and begins with the last one that there is."""

    comes_last = True  # it saves what the others know

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def on_train_begin(self, trainer: Trainer) -> None:
        """Go on where training was when a worker was lost."""
        last = ray_module("ray.train").get_checkpoint()
        if last is not None:
            with last.as_directory() as place:
                read_state(trainer, Path(place) / _STATE)

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """Keep where training stands, if that is due by somebody's clock: Ray Train needs a word from all."""
        due = torch.tensor(float(time.monotonic() - self._last >= self._seconds), device=trainer.device)
        if trainer.crew.total(due) > 0:
            _report(trainer)
            self._last = time.monotonic()


def _report(trainer: Trainer) -> None:
    train = ray_module("ray.train")
    if train.get_context().get_world_rank() != 0:
        train.report({})
        return
    with TemporaryDirectory(prefix="vrae-") as folder:
        write_state(trainer, Path(folder) / _STATE)
        train.report(trainer.history[-1], checkpoint=train.Checkpoint.from_directory(folder))
