"""Training that can be stopped at any moment, even by a power cut, and goes on as if it had not been."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.config import check_int, check_real
from vrae.exceptions import InvalidParameterError, ModelFileError, TrainingInterrupted
from vrae.persistence import CONFIG_FILE, check_pair, read_folder, write_folder
from vrae.train.callbacks import Callback, Record

if TYPE_CHECKING:
    from vrae.train.loop import Trainer

__all__ = ["Checkpoint", "read_state", "write_state"]

_FORMAT_VERSION = 1

Arrays = dict[str, npt.NDArray[Any]]


class Checkpoint(Callback):
    """Save training into a folder now and then, and go on from there.

    Saved are weights, optimizer, schedule, generators, the place in the epoch and its order of series, and the history:
    on the CPU the weights at the end are those of training that was not stopped, bit by bit. The folder holds JSON and
    safetensors, is replaced in one step, and belongs to one training: of these series with these options.

    Ctrl-C ends the step, saves, and raises `TrainingInterrupted`; a second one stops at once.

    Parameters
    ----------
    folder : str or Path
    every_minutes : float, default=1.0
        Time from one save to the next; 0 saves after every step.
    every_epochs : int, optional
        Save after so many epochs, besides.
    resume : bool, default=True
        Go on from what the folder holds, if it holds anything. False: begin anew.
    tell : callable, optional
        Is given a line when training goes on.

    Raises
    ------
    InvalidParameterError
        In `fit`: the folder holds a training of other series, or with other options.
    ModelFileError
        In `fit`: the folder is damaged.
    OutputError
        In `fit`: it cannot be written.

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
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.every_minutes = check_real("every_minutes", every_minutes, low=0)
        self.every_epochs = None if every_epochs is None else check_int("every_epochs", every_epochs, low=1)
        self.resume = resume
        self._tell = tell
        self._interrupted = False
        self._handler: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        """Take training back to where it was saved, and listen for Ctrl-C."""
        self._origin = _origin(trainer)
        self._saved_at = time.monotonic()
        self._has_saved = self.resume and self._restore(trainer)
        self._interrupted = False
        self._handler = None
        in_charge = threading.current_thread() is threading.main_thread()
        if in_charge and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._handler = signal.signal(signal.SIGINT, self._on_interrupt)

    def on_step_end(self, trainer: Trainer) -> None:
        """Save when it is time, or when the user wants to stop."""
        if self._interrupted:
            self._save(trainer)
            raise TrainingInterrupted(
                f"Training was stopped in epoch {len(trainer.history) + 1} of {trainer.config.max_epochs} and saved in "
                f"{self.folder}. The same call goes on from there."
            )
        if time.monotonic() - self._saved_at >= 60 * self.every_minutes:
            self._save(trainer)

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """Save after every so many epochs."""
        if self.every_epochs is not None and len(trainer.history) % self.every_epochs == 0:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer) -> None:
        """Save the end of a long training, and leave Ctrl-C as it was."""
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
        finished = trainer.stopping or len(trainer.history) == trainer.config.max_epochs
        if finished and self._has_saved:
            self._save(trainer)

    def _on_interrupt(self, *_: Any) -> None:
        self._interrupted = True
        signal.signal(signal.SIGINT, self._handler)  # whoever presses it twice means it

    def _save(self, trainer: Trainer) -> None:
        write_state(trainer, self.folder, self._origin)
        self._saved_at, self._has_saved = time.monotonic(), True

    def _restore(self, trainer: Trainer) -> bool:
        if not (self.folder / CONFIG_FILE).exists():
            return False
        read_state(trainer, self.folder, self._check_origin)
        if self._tell is not None:
            self._tell(f"Going on in epoch {len(trainer.history) + 1} of {trainer.config.max_epochs}")
        return True

    def _check_origin(self, found: Any) -> None:
        if not isinstance(found, dict):
            raise ModelFileError(
                f"{self.folder} is damaged: it does not say what was trained. Remove it to begin anew."
            )
        other = [name for name in self._origin if found.get(name) != self._origin[name]]
        if other:
            changes = ", ".join(_change(name, found.get(name), self._origin[name]) for name in other[:5])
            raise InvalidParameterError(
                f"{self.folder} holds the training of another model: {changes}. Use the same series and options to "
                f"go on, or begin anew with resume=False (--overwrite)."
            )


def write_state(trainer: Trainer, folder: Path, origin: dict[str, Any] | None = None) -> None:
    """Write all that it takes to go on from here into a folder, JSON and safetensors, in one step.

    Parameters
    ----------
    trainer : Trainer
    folder : Path
    origin : dict, optional
        What makes the training this one and no other, JSON-ready.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    plain, arrays = _apart(trainer.state_dict())
    write_folder(folder, {"format_version": _FORMAT_VERSION, "origin": origin, "state": plain}, arrays)


def read_state(trainer: Trainer, folder: Path, check: Callable[[Any], None] = lambda origin: None) -> None:
    """Take training to where `write_state` left it; ``check`` is given the origin before anything is changed.

    Raises
    ------
    ModelFileError
        The folder is damaged, or another version's.
    """
    config, arrays = read_folder(folder, "checkpoint", "Remove it to begin anew.")
    check_pair(folder, config)
    if config["format_version"] != _FORMAT_VERSION:
        raise ModelFileError(f"{folder} was saved by another version of vrae. Remove it to begin anew.")
    check(config.get("origin"))
    try:
        trainer.load_state_dict(_together(config["state"], arrays))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"{folder} is damaged ({error}). Remove it to begin anew.") from error


def _origin(trainer: Trainer) -> dict[str, Any]:
    """Return what makes a training this one and no other."""
    panel, rows = trainer.data.panel, trainer.data.rows
    series, start = blake2b(digest_size=16), blake2b(digest_size=16)
    for part in (panel.offsets, rows, *panel.slices()):
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


def _apart(state: Any, path: str = "") -> tuple[Any, Arrays]:
    """Split a nested state into what JSON can hold, in which ``{"array": path}`` stands for a tensor, and arrays."""
    if isinstance(state, Tensor):
        return {"array": path}, {path: state.cpu().numpy()}
    if not isinstance(state, (dict, list)):
        return state, {}
    # Keys may be numbers, which JSON would turn into text: pairs keep them.
    items = state.items() if isinstance(state, dict) else enumerate(state)
    arrays: Arrays = {}
    pairs = []
    for name, value in items:
        plain, own = _apart(value, f"{path}.{name}" if path else str(name))
        pairs.append([name, plain])
        arrays |= own
    return ({"pairs": pairs} if isinstance(state, dict) else [value for _, value in pairs]), arrays


def _together(plain: Any, arrays: Arrays) -> Any:
    """Undo `_apart`."""
    if isinstance(plain, list):
        return [_together(value, arrays) for value in plain]
    if not isinstance(plain, dict):
        return plain
    if "array" in plain:
        return torch.from_numpy(arrays[plain["array"]])
    return {name: _together(value, arrays) for name, value in plain["pairs"]}
