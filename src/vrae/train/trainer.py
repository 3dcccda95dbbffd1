"""The training loop: `Trainer.fit` runs epochs, an epoch runs steps, a step updates the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrae.config import TrainingConfig
from vrae.data.batching import Batch, Indices, collate, inference_batches, training_batches
from vrae.nn.loss import LossTerms, Pointwise, training_loss
from vrae.nn.model import VRAENetwork
from vrae.nn.noise import RandomSource
from vrae.phases import advance
from vrae.runtime import autocast, torch_generator, work_threads
from vrae.train.callbacks import Callback, EarlyStopping, Record
from vrae.train.divergence import Diverged, DivergenceGuard, broken_batch
from vrae.train.optimizers import EagerAdam, EagerSGD
from vrae.train.parallel import ProcessGroup, SingleProcess
from vrae.train.preparation import TrainingData

__all__ = ["HELD_OUT", "Trainer", "TrainingTask"]

# Fraction of the series that early stopping holds out.
HELD_OUT = 0.1

# Fraction of the steps over which the "cosine" schedule rises.
_WARMUP = 0.15

# Up to this many padded values the whole panel is scaled and padded once: 16 MiB, and a mask as
# large.
_CACHED_VALUES = 1 << 22


@dataclass(frozen=True)
class TrainingTask:
    """How to train. ``seed`` is the source of all randomness."""

    config: TrainingConfig
    error: Pointwise
    callbacks: Sequence[Callback] = ()
    seed: int = 0


class Trainer:
    """Fit a network to series, in this process alone or in one of several."""

    def __init__(self, processes: SingleProcess | ProcessGroup | None = None) -> None:
        self.processes = processes or SingleProcess()

    def fit(self, network: VRAENetwork, data: TrainingData, task: TrainingTask) -> list[Record]:
        """Train until the last epoch, or until a callback stops. Return one record per epoch."""
        self.begin(network, data, task)
        with work_threads(self.device, network.config.hidden_size), torch.enable_grad():
            return self.run()

    def begin(self, network: VRAENetwork, data: TrainingData, task: TrainingTask) -> None:
        """Set up optimizer, generators and counters, without a training step."""
        self.network, self.data, self.config = network, data, task.config
        self.model = self.processes.wrap(network)
        self.error, self.seed = task.error, task.seed
        own = [] if task.config.patience is None else [EarlyStopping(task.config.patience)]
        self.callbacks = sorted([*task.callbacks, *own], key=lambda callback: callback.comes_last)
        self.device = next(network.parameters()).device
        self.rng = np.random.default_rng(task.seed)
        self.generator = torch_generator(task.seed, self.device)
        self.history: list[Record] = []
        self.first_loss = math.inf
        self.stopping = False
        self.step, self.n_steps = 0, 1
        self.weights = list(network.parameters())
        self.optimizer = self._optimizer()
        self._guard = DivergenceGuard()
        self._terms: list[LossTerms] = []  # of the current epoch, one entry per batch
        self._order = self.rng.bit_generator.state  # generator state before its batches were drawn
        self._epoch_start: dict[str, Any] = {}  # state at the start of the current epoch
        self._good: dict[str, Any] = {}  # state at the start of the previous one, known to be good
        self._whole: Batch | None = None
        if len(data.panel) * int(data.panel.lengths.max()) * data.panel.n_channels <= _CACHED_VALUES:
            self._whole = self._batch(np.arange(len(data.panel)))

    def run(self) -> list[Record]:
        """Run epochs after `begin`."""
        train, held_out = self._split(self.data.indices)
        # Shuffling hardly changes the number of batches, so one draw is enough to count them.
        lengths = self.data.panel.lengths
        batches = len(training_batches(lengths, train, self.config.batch_size, np.random.default_rng(0)))
        self.n_steps = self.config.max_epochs * batches
        if len(held_out):
            self.first_loss = self.validate(held_out)
        with ExitStack() as endings:  # on_train_end runs however training ends
            for callback in reversed(self.callbacks):
                endings.callback(callback.on_train_end, self)
            for callback in self.callbacks:
                callback.on_train_begin(self)
            while len(self.history) < self.config.max_epochs and not self.stopping:
                if not self._terms:
                    now = self._state()
                    self._good, self._epoch_start = self._epoch_start or now, now
                epoch = len(self.history) + 1
                try:
                    record = self.run_epoch(train, held_out, epoch)
                except Diverged as found:
                    self._step_back(found, epoch)
                    continue
                self.history.append(record)
                for callback in self.callbacks:
                    callback.on_epoch_end(self, record)
                wanted = torch.tensor(float(self.stopping), device=self.device)
                self.stopping = bool(self.processes.total(wanted) > 0)  # one process stops all
        return self.history

    def run_epoch(self, train: Indices, held_out: Indices, epoch: int) -> Record:
        """Show every series once, or finish an interrupted epoch. Return the epoch's record."""
        started = time.perf_counter()
        if self._terms:
            self.rng.bit_generator.state = self._order
        self._order = self.rng.bit_generator.state
        batches = training_batches(self.data.panel.lengths, train, self.config.batch_size, self.rng)
        for indices in batches[len(self._terms) :]:
            part = self.processes.part(indices, self.generator)
            self._terms.append(self.train_step(self._batch(part.indices), part.source, part.weight))
            advance(epoch - 1, self.config.max_epochs, "passes", self.step / self.n_steps)
            for callback in self.callbacks:
                callback.on_step_end(self)
        means = self._means(batches)
        self._terms = []
        record = {
            "epoch": epoch,
            **means,
            "kl_weight": self.kl_weight(),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }
        if len(held_out):
            record["validation_loss"] = self.validate(held_out)
        record["seconds"] = time.perf_counter() - started
        return record

    def train_step(self, batch: Batch, source: RandomSource | None = None, weight: float = 1.0) -> LossTerms:
        """Update the weights once. Return this part's contribution to the batch's means.

        ``weight`` is the fraction of the batch that this process sees.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._loss(batch, self.generator if source is None else source)
        # The mean of all processes' gradients is then that of the whole batch.
        (terms.loss * (weight * self.processes.size)).backward()  # type: ignore[no-untyped-call]
        if self.config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, self.config.max_grad_norm)
        self.optimizer.step()
        self.step += 1
        return LossTerms(*(weight * term.detach() for term in vars(terms).values()))

    @torch.no_grad()
    def validate(self, indices: Indices) -> float:
        """Return the mean loss of held-out series, without noise."""
        total = torch.zeros((), device=self.device)
        for whole in inference_batches(self.data.panel.lengths, indices, self.config.batch_size):
            part = self.processes.part(whole, self.generator)
            total += part.weight * len(whole) * self._loss(self._batch(part.indices), None).loss
        return float(self.processes.total(total)) / len(indices)

    def kl_weight(self) -> float:
        """Return ``beta * w(step)``; w rises from 0 to 1 over ``kl_warmup`` of the steps."""
        warmup = self.config.kl_warmup * self.n_steps
        return self.config.beta * min(1.0, self.step / warmup if warmup else 1.0)

    def learning_rate(self) -> float:
        """Return the learning rate of this step. "cosine" rises, then falls to almost zero."""
        highest = self.config.learning_rate * self._guard.rate
        if self.config.lr_schedule == "constant":
            return highest
        progress = min(1.0, self.step / self.n_steps)
        rise = min(1.0, 0.04 + progress / _WARMUP)
        fall = 0.5 * (1 + math.cos(math.pi * max(0.0, progress - _WARMUP) / (1 - _WARMUP)))
        return highest * rise * max(fall, 1e-3)

    # ---------------------------------------------------------------- resuming

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of everything needed to resume exactly here, also within an epoch."""
        return {
            **self._state(),
            "terms": _copy([vars(terms) for terms in self._terms]),
            "guard": self._guard.state_dict(),
            "begun": self._epoch_start,
            "good": self._good if self._terms else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, on a trainer that began with the same arguments."""
        self._restore(state)
        self._terms = [LossTerms(**terms) for terms in state["terms"]]
        self._guard.load_state_dict(state["guard"])
        self._epoch_start, self._good = state["begun"], state["good"]

    def _state(self) -> dict[str, Any]:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "order": self._order if self._terms else self.rng.bit_generator.state,
            "step": self.step,
            "stopping": self.stopping,
            "callbacks": {name: callback.state_dict() for name, callback in self._stateful_callbacks().items()},
        }
        copied = {name: _copy(value) for name, value in state.items()}
        return {**copied, "history": list(self.history)}  # records never change

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(_copy(state["optimizer"]))  # it keeps the tensors and changes them
        self.generator.set_state(state["generator"])
        self.rng.bit_generator.state = self._order = state["order"]
        self.step, self.history, self.stopping = state["step"], list(state["history"]), state["stopping"]
        for name, callback in self._stateful_callbacks().items():
            callback.load_state_dict(state["callbacks"][name])

    def _stateful_callbacks(self) -> dict[str, Callback]:
        """Return the callbacks that have state, each under a unique name."""
        stateful = [callback for callback in self.callbacks if callback.state_dict()]
        kinds = [type(callback).__name__ for callback in stateful]
        return {f"{kind}{kinds[:n].count(kind)}": stateful[n] for n, kind in enumerate(kinds)}

    # ---------------------------------------------------------------- parts

    def _optimizer(self) -> torch.optim.Optimizer:
        if self.config.optimizer == "sgd":
            return EagerSGD(self.weights, lr=self.config.learning_rate)
        fused = self.device.type in ("cpu", "cuda")
        return EagerAdam(self.weights, lr=self.config.learning_rate, fused=fused)

    def _split(self, indices: Indices) -> tuple[Indices, Indices]:
        if self.config.patience is None:
            return indices, indices[:0]
        shuffled = self.rng.permutation(indices)
        n = max(1, round(HELD_OUT * len(indices)))
        return shuffled[n:], shuffled[:n]

    def _batch(self, indices: Indices) -> Batch:
        if self._whole is not None:
            return self._whole.take(indices)
        data = self.data
        return collate(data.panel, indices, data.scaler, self.device, data.patterns, data.hidden)

    def _loss(self, batch: Batch, source: RandomSource | None) -> LossTerms:
        with autocast(self.device, self.config.precision):
            return training_loss(
                self.model(batch.values, batch.mask, batch.lengths, batch.patterns, source, batch.visible),
                batch.values,
                batch.mask,
                self.error,
                self.kl_weight(),
                batch.patterns,
                self.config.pattern_weight,
            )

    def _step_back(self, found: Diverged, epoch: int) -> None:
        """Return to the last good epoch and lower the learning rate, if that can help."""
        self._restore(self._good)
        self._terms, self._epoch_start = [], self._good
        if found.indices is not None:  # are good weights any better on this batch?
            with torch.no_grad():
                loss = float(self._loss(self._batch(found.indices), None).loss)
            if not math.isfinite(loss):
                raise broken_batch(loss, epoch, self.data.panel.ids[found.indices])
        self._guard.step_back(found, epoch, len(self.history), self.config.learning_rate)

    def _means(self, batches: list[Indices]) -> Record:
        """Average an epoch's terms over its series, with one transfer from the device."""
        names = list(vars(self._terms[0]))
        own = torch.stack([torch.stack(list(vars(t).values())) for t in self._terms]).double()
        table = self.processes.total(own).cpu().numpy()  # (batch, term)
        panel = self.data.panel
        n_values = panel.n_channels * float(panel.lengths[self.data.indices].mean())
        self._guard.check(table[:, names.index("loss")], table[:, names.index("reconstruction")], batches, n_values)
        sizes = np.array([len(indices) for indices in batches])
        return dict(zip(names, (sizes @ table / sizes.sum()).tolist(), strict=True))


def _copy(state: Any) -> Any:
    """Copy a nested state with its tensors."""
    if isinstance(state, dict):
        return {name: _copy(value) for name, value in state.items()}
    if isinstance(state, list):
        return [_copy(value) for value in state]
    return state.detach().clone() if isinstance(state, Tensor) else state
