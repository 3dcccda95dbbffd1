"""What listens to training: progress in the terminal, early stopping, and whatever a user adds."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from vrae.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from vrae.train.loop import Trainer

__all__ = ["Callback", "EarlyStopping", "ProgressBar", "check_callbacks", "numbers_of"]

Record = dict[str, float]


class Callback:
    """Base of all callbacks; override what you need.

    A record of an epoch holds ``epoch`` (from 1), ``loss``, ``reconstruction``, ``kl`` (nats a series),
    ``patterns``, ``kl_weight``, ``learning_rate``, ``seconds`` and, with early stopping,
    ``validation_loss``. Set ``trainer.stopping = True`` to end training after the epoch.
    """

    def on_train_begin(self, trainer: Trainer) -> None:
        """Before the first step."""

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """After every epoch."""

    def on_train_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training failed."""


class EarlyStopping(Callback):
    """Stop when the held-out loss has not improved for ``patience`` epochs; go back to the best weights."""

    def __init__(self, patience: int = 10) -> None:
        self.patience = patience
        self.best = float("inf")
        self.best_epoch = 0
        self.weights: dict[str, Any] = {}

    def on_train_begin(self, trainer: Trainer) -> None:
        """Remember the weights there are: training may make things worse."""
        if trainer.kl_weight() >= trainer.config.beta:
            self.best = trainer.first_loss
            self.weights = copy.deepcopy(trainer.network.state_dict())

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """Remember the best weights; give up when they are too old."""
        if record["kl_weight"] < trainer.config.beta:
            return  # the loss is still changing its meaning
        if record["validation_loss"] < self.best:
            self.best, self.best_epoch = record["validation_loss"], int(record["epoch"])
            self.weights = copy.deepcopy(trainer.network.state_dict())
        elif record["epoch"] - self.best_epoch >= self.patience:
            trainer.stopping = True

    def on_train_end(self, trainer: Trainer) -> None:
        """Go back to the best weights."""
        if self.weights:
            trainer.network.load_state_dict(self.weights)


class ProgressBar(Callback):
    """A bar in the terminal: epoch, loss, reconstruction, KL and the time left."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def on_train_begin(self, trainer: Trainer) -> None:
        """Show the empty bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("[bold]Training[/]  epoch {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._progress.start()
        self._task = self._progress.add_task("train", total=trainer.config.max_epochs, numbers="")

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """Move the bar on."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=record["epoch"], numbers=numbers_of(record))

    def on_train_end(self, trainer: Trainer) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def numbers_of(record: Record) -> str:
    """Write what a record of an epoch is watched for."""
    names = (("loss", "loss"), ("reconstruction", "reconstruction"), ("KL", "kl"))
    return " ".join(f"{name} {record[key]:.4g}" for name, key in names)


def check_callbacks(callbacks: Any) -> list[Callback]:
    """Return the user's callbacks as a list.

    Raises
    ------
    InvalidParameterError
        Something in it is not a `Callback`.
    """
    if callbacks is None:
        return []
    found = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for callback in found:
        if not isinstance(callback, Callback):
            raise InvalidParameterError(
                f"callbacks must be a list of vrae.train.callbacks.Callback objects; found {callback!r:.80}."
            )
    return found
