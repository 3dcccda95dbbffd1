"""Callbacks: early stopping, and the base class for your own."""

from __future__ import annotations

import copy
import math
from typing import Any, Protocol

import torch

from vrae.config import TrainingConfig
from vrae.exceptions import InvalidParameterError
from vrae.nn.model import VRAENetwork
from vrae.train.parallel import ProcessGroup, SingleProcess
from vrae.train.preparation import TrainingData

__all__ = ["Callback", "EarlyStopping", "Record", "TrainingRun", "check_callbacks"]

Record = dict[str, float]


class TrainingRun(Protocol):
    """What a callback sees of a `vrae.train.trainer.Trainer`.

    Attributes
    ----------
    network : VRAENetwork
    config : TrainingConfig
    device : torch.device
    history : list of dict
        The records of finished epochs.
    first_loss : float
        Loss of the held-out series, if any, before the first step.
    stopping : bool
        Set it to end training after the epoch.
    data : TrainingData
    seed : int
    processes : SingleProcess or ProcessGroup
    """

    network: VRAENetwork
    config: TrainingConfig
    device: torch.device
    history: list[Record]
    first_loss: float
    stopping: bool
    data: TrainingData
    seed: int
    processes: SingleProcess | ProcessGroup

    def kl_weight(self) -> float:
        """Return the current weight of the KL divergence."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to resume: tensors and JSON values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""


class Callback:
    """Base class of callbacks. Override the methods that you need.

    The record of an epoch holds ``epoch`` (from 1), ``loss``, ``reconstruction``, ``kl`` (nats per
    series), ``patterns``, ``kl_weight``, ``learning_rate``, ``seconds`` and, with early stopping,
    ``validation_loss``. Set ``trainer.stopping = True`` to end training after the epoch.

    Attributes
    ----------
    comes_last : bool
        Whether it is called after all others, for example because it saves their state.

    Examples
    --------
    >>> from vrae import VRAE
    >>> from vrae.train.callbacks import Callback
    >>> class StopAtTarget(Callback):
    ...     def on_epoch_end(self, trainer, record):
    ...         trainer.stopping = record["reconstruction"] < 10
    >>> model = VRAE(callbacks=[StopAtTarget()])
    """

    comes_last = False

    def on_train_begin(self, trainer: TrainingRun) -> None:
        """Run before the first step."""

    def on_step_end(self, trainer: TrainingRun) -> None:
        """Run after every step."""

    def on_epoch_end(self, trainer: TrainingRun, record: Record) -> None:
        """Run after every epoch."""

    def on_train_end(self, trainer: TrainingRun) -> None:
        """Run after the last epoch, also when training failed."""

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to resume: tensors and JSON values. {} is no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""


class EarlyStopping(Callback):
    """Stop when the held-out loss stagnates, and restore the best weights."""

    def __init__(self, patience: int = 10) -> None:
        self.patience = patience
        self.best = math.inf
        self.best_epoch = 0
        self._weights: dict[str, Any] = {}

    def on_train_begin(self, trainer: TrainingRun) -> None:
        """Keep the first weights: training may make things worse."""
        if trainer.kl_weight() >= trainer.config.beta:
            self.best = trainer.first_loss
            self._weights = copy.deepcopy(trainer.network.state_dict())

    def on_epoch_end(self, trainer: TrainingRun, record: Record) -> None:
        """Keep the best weights. Stop when they are too old."""
        if record["kl_weight"] < trainer.config.beta:
            return  # losses are not comparable while the KL weight changes
        if record["validation_loss"] < self.best:
            self.best, self.best_epoch = record["validation_loss"], int(record["epoch"])
            self._weights = copy.deepcopy(trainer.network.state_dict())
        elif record["epoch"] - self.best_epoch >= self.patience:
            trainer.stopping = True

    def on_train_end(self, trainer: TrainingRun) -> None:
        """Restore the best weights."""
        if self._weights:
            trainer.network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights and their loss."""
        best = self.best if math.isfinite(self.best) else None
        return {"best": best, "best_epoch": self.best_epoch, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore them."""
        self.best = math.inf if state["best"] is None else state["best"]
        self.best_epoch, self._weights = state["best_epoch"], state["weights"]


def check_callbacks(callbacks: Any) -> list[Callback]:
    """Return the user's callbacks as a list."""
    if callbacks is None:
        return []
    found = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for callback in found:
        if not isinstance(callback, Callback):
            raise InvalidParameterError(
                f"callbacks must be a list of vrae.train.callbacks.Callback objects; found {callback!r:.80}."
            )
    return found
