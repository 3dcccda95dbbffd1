"""Checkpoints: training that can be interrupted at any moment and resumed to the same result."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrae.config import check_int, check_real
from vrae.exceptions import InvalidParameterError, ModelFileError, TrainingInterrupted
from vrae.io.folder import CONFIG_FILE, Arrays, check_pair, read_folder, write_folder
from vrae.io.model_files import check_checkpoint_replaceable
from vrae.train.callbacks import Callback, Record, TrainingRun

__all__ = ["Checkpoint", "read_state", "write_state"]

_FORMAT_VERSION = 1


class Checkpoint(Callback):
    """Save training to a folder at intervals, and resume from it.

    A checkpoint holds weights, optimizer, schedule, generators, the position in the epoch, its
    order of series, and the history. On the CPU, resumed training ends with the same weights, bit
    by bit, as training that was never interrupted. The folder holds JSON and safetensors, is
    replaced atomically, and belongs to one training: of the same series with the same options.

    Ctrl-C finishes the step, saves, and raises `TrainingInterrupted`. A second one stops at once.

    Parameters
    ----------
    folder : str or Path
    every_minutes : float, default=1.0
        Time between saves. 0 saves after every step.
    every_epochs : int, optional
        Also save after this many epochs.
    resume : bool, default=True
        Resume from the folder, if it holds a checkpoint. False: start over.
    log : callable, optional
        Called with a line of text when training resumes.

    Raises
    ------
    InvalidParameterError
        In `fit`: the folder holds the training of other series, or with other options.
    ModelFileError
        In `fit`: the folder is damaged.
    OutputError
        In `fit`: it cannot be written, or holds something else.

    Examples
    --------
    >>> from vrae import VRAE
    >>> from vrae.train.checkpoint import Checkpoint
    >>> model = VRAE(random_state=0, callbacks=[Checkpoint("training", every_minutes=5)])
    """

    comes_last = True

    def __init__(
        self,
        folder: str | Path,
        every_minutes: float = 1.0,
        every_epochs: int | None = None,
        resume: bool = True,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.every_minutes = check_real("every_minutes", every_minutes, low=0)
        self.every_epochs = None if every_epochs is None else check_int("every_epochs", every_epochs, low=1)
        self.resume = resume
        self._log = log
        self._has_saved = False
        self._interrupted = False
        self._handler: Any = None

    @property
    def is_saved(self) -> bool:
        """Whether the folder holds a checkpoint from which this training can be resumed."""
        return (self.resume or self._has_saved) and (self.folder / CONFIG_FILE).exists()

    def on_train_begin(self, trainer: TrainingRun) -> None:
        """Restore the last checkpoint, and listen for Ctrl-C."""
        self._origin = _origin(trainer)
        self._saved_at = time.monotonic()
        self._has_saved = self.resume and self._restore(trainer)
        if not self._has_saved:
            check_checkpoint_replaceable(self.folder)
        self._interrupted = False
        self._handler = None
        in_charge = threading.current_thread() is threading.main_thread()
        if in_charge and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._handler = signal.signal(signal.SIGINT, self._on_interrupt)

    def on_step_end(self, trainer: TrainingRun) -> None:
        """Save when it is due, or when the user interrupts."""
        if self._interrupted:
            self._save(trainer)
            raise TrainingInterrupted(
                f"Training was stopped in epoch {len(trainer.history) + 1} of {trainer.config.max_epochs} and saved in "
                f"{self.folder}. Run the same call again to resume."
            )
        if time.monotonic() - self._saved_at >= 60 * self.every_minutes:
            self._save(trainer)

    def on_epoch_end(self, trainer: TrainingRun, record: Record) -> None:
        """Save every ``every_epochs`` epochs."""
        if self.every_epochs is not None and len(trainer.history) % self.every_epochs == 0:
            self._save(trainer)

    def on_train_end(self, trainer: TrainingRun) -> None:
        """Save the end of a long training, and restore the handler of Ctrl-C."""
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
        finished = trainer.stopping or len(trainer.history) == trainer.config.max_epochs
        if finished and self._has_saved:
            self._save(trainer)

    def _on_interrupt(self, *_: Any) -> None:
        self._interrupted = True
        signal.signal(signal.SIGINT, self._handler)  # a second Ctrl-C stops at once

    def _save(self, trainer: TrainingRun) -> None:
        write_state(trainer, self.folder, self._origin)
        self._saved_at, self._has_saved = time.monotonic(), True

    def _restore(self, trainer: TrainingRun) -> bool:
        if not (self.folder / CONFIG_FILE).exists():
            return False
        read_state(trainer, self.folder, self._check_origin)
        if self._log is not None:
            self._log(f"Resuming in epoch {len(trainer.history) + 1} of {trainer.config.max_epochs}")
        return True

    def _check_origin(self, found: Any) -> None:
        if not isinstance(found, dict):
            raise ModelFileError(
                f"{self.folder} is damaged: it does not say what was trained. Remove it to start over."
            )
        other = [name for name in self._origin if found.get(name) != self._origin[name]]
        if other:
            changes = ", ".join(_change(name, found.get(name), self._origin[name]) for name in other[:5])
            raise InvalidParameterError(
                f"{self.folder} holds the training of another model: {changes}. Use the same series and options to "
                f"resume, or start over with resume=False (--overwrite)."
            )


def write_state(trainer: TrainingRun, folder: Path, origin: dict[str, Any] | None = None) -> None:
    """Write the state of training, and its identity (JSON values), to a folder atomically."""
    arrays: Arrays = {}
    plain = _split(trainer.state_dict(), arrays)
    write_folder(folder, {"format_version": _FORMAT_VERSION, "origin": origin, "state": plain}, arrays)


def read_state(trainer: TrainingRun, folder: Path, check: Callable[[Any], None] = lambda origin: None) -> None:
    """Restore what `write_state` wrote, after ``check(origin)``."""
    config, arrays = read_folder(folder, "checkpoint", "Remove it to start over.")
    check_pair(folder, config, arrays)
    if config["format_version"] != _FORMAT_VERSION:
        raise ModelFileError(f"{folder} was saved by another version of vrae. Remove it to start over.")
    check(config.get("origin"))
    try:
        trainer.load_state_dict(_merge(config["state"], arrays))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"{folder} is damaged ({error}). Remove it to start over.") from error


def _origin(trainer: TrainingRun) -> dict[str, Any]:
    """Return the identity of a training: its options, series and first weights."""
    panel, indices = trainer.data.panel, trainer.data.indices
    series, start = blake2b(digest_size=16), blake2b(digest_size=16)
    for part in (panel.offsets, indices, *panel.slices()):
        series.update(np.ascontiguousarray(part).data)
    if trainer.data.hidden is not None:
        series.update(np.ascontiguousarray(trainer.data.hidden).data)
    for weights in trainer.network.parameters():
        start.update(weights.detach().cpu().numpy().data)
    return {
        **trainer.network.config.to_dict(),
        **trainer.config.to_dict(),
        "pattern_dilations": list(trainer.network.config.pattern_dilations),
        "scaling": trainer.data.scaler.scaling,
        "random_state": trainer.seed,
        "device": trainer.device.type,
        "series": series.hexdigest(),
        "first weights": start.hexdigest(),
    }


def _change(name: str, before: Any, now: Any) -> str:
    return f"{name} was {before!r} and is {now!r}" if name not in ("series", "first weights") else f"other {name}"


def _split(state: Any, arrays: Arrays, path: str = "") -> Any:
    """Return a nested state as JSON values, with ``{"array": path}`` for tensors, put in arrays."""
    if isinstance(state, Tensor):
        arrays[path] = state.cpu().numpy()
        return {"array": path}
    if not isinstance(state, (dict, list)):
        return state
    items = state.items() if isinstance(state, dict) else enumerate(state)
    pairs = [[name, _split(value, arrays, f"{path}.{name}".removeprefix("."))] for name, value in items]
    # Pairs, since JSON would turn number keys into text.
    return {"pairs": pairs} if isinstance(state, dict) else [value for _, value in pairs]


def _merge(plain: Any, arrays: Arrays) -> Any:
    """Undo `_split`."""
    if isinstance(plain, list):
        return [_merge(value, arrays) for value in plain]
    if not isinstance(plain, dict):
        return plain
    if "array" in plain:
        return torch.from_numpy(arrays[plain["array"]])
    return {name: _merge(value, arrays) for name, value in plain["pairs"]}
