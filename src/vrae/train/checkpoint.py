"""Training put down and taken up again: two files, JSON and safetensors, in which all that training goes on from is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from vrae.train.loop import Trainer

__all__ = ["load_checkpoint", "save_checkpoint"]

_STATE, _TENSORS = "training.json", "training.safetensors"


def save_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Write where training stands after an epoch: weights, optimizer, random numbers, history and early stopping.

    Parameters
    ----------
    trainer : Trainer
    folder : Path
        Is there already.
    """
    stopper = trainer.early_stopping
    state = {
        "history": trainer.history,
        "step": trainer.step,
        "stopping": trainer.stopping,
        "first_loss": _finite(trainer.first_loss),
        "rng": trainer.rng.bit_generator.state,
        "best": None if stopper is None else _finite(stopper.best),
        "best_epoch": 0 if stopper is None else stopper.best_epoch,
    }
    tensors = {f"network.{name}": tensor for name, tensor in trainer.network.state_dict().items()}
    for number, values in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": v for key, v in values.items() if isinstance(v, Tensor)}
    if stopper is not None:
        tensors |= {f"best.{name}": tensor for name, tensor in stopper.weights.items()}
    tensors["generator"] = trainer.generator.get_state()
    save_file({name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}, folder / _TENSORS)
    (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")


def load_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Take training up where `save_checkpoint` put it down; the trainer was made as the one before."""
    state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    tensors = load_file(folder / _TENSORS)
    trainer.history = state["history"]
    trainer.step = state["step"]
    trainer.stopping = state["stopping"]
    trainer.first_loss = _number(state["first_loss"])
    trainer.rng.bit_generator.state = state["rng"]
    trainer.network.load_state_dict(_below("network.", tensors))
    _restore_optimizer(trainer, _below("optimizer.", tensors))
    trainer.generator.set_state(tensors["generator"])
    if trainer.early_stopping is not None:
        trainer.early_stopping.best = _number(state["best"])
        trainer.early_stopping.best_epoch = state["best_epoch"]
        trainer.early_stopping.weights = _below("best.", tensors)


def _restore_optimizer(trainer: Trainer, tensors: dict[str, Tensor]) -> None:
    found: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        found.setdefault(int(number), {})[key] = tensor
    groups = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict({"state": found, "param_groups": groups})


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _finite(number: float) -> float | None:
    """Return a number as JSON knows it: infinity is None."""
    return number if math.isfinite(number) else None


def _number(found: float | None) -> float:
    return math.inf if found is None else found
