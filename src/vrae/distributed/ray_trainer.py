"""Train one network in several processes, with Ray Train, which restarts processes that are lost.

Each process has a trainer and sees its part of every batch. The series are in Ray's object store,
once per machine.
"""

from __future__ import annotations

import copy
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pyarrow.dataset as ds
import torch

from vrae.distributed.engine import EngineOptions, connected, ray_module
from vrae.distributed.series import draw_sample, find_series
from vrae.distributed.staging import TRAINING, staging_folder
from vrae.estimators.head import SeriesHead
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidParameterError, TrainingError, VRAEError, name_some
from vrae.nn.model import VRAENetwork
from vrae.train.callbacks import Callback, Record, TrainingRun
from vrae.train.checkpoint import read_state, write_state
from vrae.train.parallel import ProcessGroup
from vrae.train.preparation import TrainingData
from vrae.train.trainer import Trainer, TrainingTask

__all__ = ["RayTrainer", "fit"]

_STATE = "training"  # folder in a checkpoint of Ray
_MAX_FAILURES = 3  # lost workers, one after the other

Estimator = TypeVar("Estimator", bound=VRAE | SeriesHead)


def fit(
    estimator: Estimator,
    X: Any,
    *,
    engine: EngineOptions,
    storage: str | None = None,
    checkpoint_seconds: float = 10.0,
    n_train: int | None = 20_000,
    seed: int = 0,
    **options: Any,
) -> Estimator:
    """Fit an estimator. ``engine.train_workers`` processes train its network together.

    They share every batch, use the random numbers of a single process, and update the weights by
    the mean of their gradients. History and model are those of ``estimator.fit(X)``, up to
    rounding. If a process is lost, all resume from the last checkpoint.

    Parameters
    ----------
    estimator : VRAE, VRAEClusterer, VRAEAnomalyDetector or VRAENeighbors
        One of the processes calls copies of its callbacks.
    X : array, list of arrays, table or Panel; or path, URL or pyarrow Dataset of Parquet files
        In memory, as in the estimator's ``fit``. From Parquet files, workers draw a sample. Only
        the sample is sent to this process.
    engine : EngineOptions
        With ``train_workers=1``, this process trains alone.
    storage : str, optional
        Folder for checkpoints, which all machines must reach. Default: a temporary folder on this
        machine.
    checkpoint_seconds : float, default=10.0
        A checkpoint is written after the first epoch that ends this long after the last checkpoint.
    n_train : int or None, default=20_000
        Number of series to draw from Parquet files. None takes all, which must fit into memory.
    seed : int, default=0
        Seed of the sample.
    **options
        For Parquet files: options of `vrae.read_panel`.

    Returns
    -------
    estimator
        The same object, fitted.

    Raises
    ------
    TrainingError
        The loss is not finite, or too many workers were lost.
    InvalidDataError, InvalidParameterError
        See the estimator's ``fit``.
    """
    from_files, several = isinstance(X, (str, os.PathLike, ds.Dataset)), engine.train_workers > 1
    if options and not from_files:
        raise InvalidParameterError(
            f"Found the options {name_some(sorted(options))}, which are for Parquet files, but X is in memory. "
            f"Leave them out."
        )
    if several and "trainer" not in signature(estimator.fit).parameters:
        raise InvalidParameterError(
            f"{type(estimator).__name__} trains several small networks, which several processes would not speed up. "
            f"Call its fit, which trains in this process."
        )
    if not from_files and not several:
        return estimator.fit(X)
    own = TemporaryDirectory(prefix="vrae-") if storage is None else nullcontext(storage)
    with connected(engine), own as folder:
        if from_files:
            with staging_folder(f"{folder}/sample") as staging:
                X = draw_sample(find_series(X, staging, lambda line: None, **options), n_train, seed)[0]
        if not several:
            return estimator.fit(X)
        return estimator.fit(X, trainer=RayTrainer(engine, folder, checkpoint_seconds))


@dataclass(frozen=True)
class RayTrainer:
    """Trains a network in several processes. Ray must be connected. Checkpoints are in a folder."""

    engine: EngineOptions
    folder: str
    checkpoint_seconds: float

    def fit(self, network: VRAENetwork, data: TrainingData, task: TrainingTask) -> list[Record]:
        """Train the network in place, as `Trainer.fit` does. Return one record per epoch."""
        train = ray_module("ray.train")
        resources = {"CPU": 1.0} | ({"GPU": self.engine.gpus} if self.engine.gpus else {})
        workers = ray_module("ray.train.torch").TorchTrainer(
            _train_in_worker,
            train_loop_config={
                "network": copy.deepcopy(network).cpu(),
                "task": task,
                "data": ray_module().put(data),
                "checkpoint_seconds": self.checkpoint_seconds,
            },
            scaling_config=train.ScalingConfig(
                num_workers=self.engine.train_workers, use_gpu=bool(self.engine.gpus), resources_per_worker=resources
            ),
            run_config=train.RunConfig(
                name=TRAINING,
                storage_path=self.folder,
                failure_config=train.FailureConfig(max_failures=_MAX_FAILURES),
                checkpoint_config=train.CheckpointConfig(num_to_keep=1),
            ),
        )
        try:
            with _interrupt_handler_kept():
                result = workers.fit()
        except train.TrainingFailedError as error:
            lines = str(error).strip().splitlines()
            raise TrainingError(f"Training in several processes failed: {' '.join(lines)[-600:]}") from error
        if "error" in result.metrics:
            raise TrainingError(result.metrics["error"])
        finished = _FinishedTrainer()
        finished.begin(network, data, task)
        with result.checkpoint.as_directory() as folder:
            read_state(finished, Path(folder) / _STATE)
        return finished.history


class _FinishedTrainer(Trainer):
    """Takes over the result of the workers, which may have used another kind of device."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore weights, history and callbacks. Generators differ between kinds of device."""
        self.network.load_state_dict(state["network"])
        self.history = list(state["history"])
        for name, callback in self._stateful_callbacks().items():
            callback.load_state_dict(state["callbacks"][name])


@contextmanager
def _interrupt_handler_kept() -> Iterator[None]:
    """Restore the handler of Ctrl-C, which Ray Train replaces and keeps."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


# -------------------------------------------------------------------- in the workers


def _train_in_worker(config: dict[str, Any]) -> None:
    train, ray_torch = ray_module("ray.train"), ray_module("ray.train.torch")
    context, device = train.get_context(), ray_torch.get_device()
    processes = ProcessGroup(context.get_world_rank(), context.get_world_size(), ray_torch.prepare_model)
    task: TrainingTask = config["task"]
    own = task.callbacks if processes.rank == 0 else ()
    task = replace(task, callbacks=[*own, _Reporting(config["checkpoint_seconds"])])
    trainer = Trainer(processes)
    try:
        trainer.fit(config["network"].to(device), ray_module().get(config["data"]), task)
    except VRAEError as error:  # all workers raise it, and would raise it again
        train.report({"error": str(error)})
        return
    _report(trainer)  # early stopping has restored the best weights


class _Reporting(Callback):
    """Report checkpoints to Ray Train at intervals, and resume from the last one."""

    comes_last = True  # it saves the state of the other callbacks

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def on_train_begin(self, trainer: TrainingRun) -> None:
        """Resume where training was when a worker was lost."""
        last = ray_module("ray.train").get_checkpoint()
        if last is not None:
            with last.as_directory() as folder:
                read_state(trainer, Path(folder) / _STATE)

    def on_epoch_end(self, trainer: TrainingRun, record: Record) -> None:
        """Report if a checkpoint is due on any worker: Ray Train needs a report from all."""
        due = torch.tensor(float(time.monotonic() - self._last >= self._seconds), device=trainer.device)
        if trainer.processes.total(due) > 0:
            _report(trainer)
            self._last = time.monotonic()


def _report(trainer: TrainingRun) -> None:
    train = ray_module("ray.train")
    if train.get_context().get_world_rank() != 0:
        train.report({})
        return
    with TemporaryDirectory(prefix="vrae-") as folder:
        write_state(trainer, Path(folder) / _STATE)
        train.report(trainer.history[-1], checkpoint=train.Checkpoint.from_directory(folder))
