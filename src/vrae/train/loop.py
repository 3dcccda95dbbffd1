"""The training loop: `Trainer.fit` runs epochs, an epoch runs steps, a step moves the weights once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.config import TrainingConfig
from vrae.data.batching import Batch, Rows, collate, inference_rows, training_rows
from vrae.data.panel import Panel
from vrae.data.scaling import Scaler
from vrae.nn.draws import Draws
from vrae.nn.loss import LossTerms, Pointwise, training_loss
from vrae.nn.model import VRAENetwork
from vrae.runtime import autocast, torch_generator
from vrae.train.callbacks import Callback, EarlyStopping, Record
from vrae.train.crew import Alone, Together
from vrae.train.divergence import Diverged, Guard, broken_batch

__all__ = ["HELD_OUT", "Trainer", "TrainingData"]

# Share of the series that early stopping holds out.
HELD_OUT = 0.1

# Share of the steps over which the "cosine" schedule rises.
_WARMUP = 0.15

# Values, padded, up to which the series of all batches are kept as they enter the network: 16 MiB, and a mask as large.
_KEPT = 1 << 22


@dataclass(frozen=True)
class TrainingData:
    """The series to learn from, and how they become batches.

    Attributes
    ----------
    panel : Panel
    rows : ndarray of int64
        The series to learn from; the others are left alone.
    scaler : Scaler
    patterns : Tensor of shape (n_series, n_patterns), optional
        Statistics of each series of the panel; worked out once, since they take longer than a training step.
    hidden : ndarray of bool, shape (total_steps,), optional
        Steps of the panel that the encoder may not see. The loss counts them: the network learns to complete.
    """

    panel: Panel
    rows: Rows
    scaler: Scaler
    patterns: Tensor | None = None
    hidden: npt.NDArray[np.bool_] | None = None


class Trainer:
    """Fit a network to series.

    Parameters
    ----------
    network : VRAENetwork
        Trained in place, on the device that it is on.
    config : TrainingConfig
    error : callable
        One reconstruction error a value; see `vrae.nn.loss.pointwise_loss`.
    callbacks : sequence of Callback
    seed : int
        Everything random comes from it: order of series, held-out part, noise, dropout and shifts.
    crew : Alone or Together
        Of several processes, each has a trainer of its own, the same in all but the crew and the callbacks.

    Attributes
    ----------
    given : list of Callback
        The callbacks that it was given; ``callbacks`` has those that the configuration asks for besides.
    history : list of dict
        A record an epoch; see `Callback`.
    first_loss : float
        Loss of the held-out series, if there are any, before the first step.
    stopping : bool
        Set by a callback to end training.
    weights : list of Parameter
        What training moves.
    data : TrainingData
        What `fit` was called with.
    """

    def __init__(
        self,
        network: VRAENetwork,
        config: TrainingConfig,
        error: Pointwise,
        callbacks: Sequence[Callback] = (),
        seed: int = 0,
        crew: Alone | Together | None = None,
    ) -> None:
        self.network = network
        self.crew = crew or Alone()
        self.model = self.crew.wrap(network)
        self.config = config
        self.error = error
        own = [] if config.patience is None else [EarlyStopping(config.patience)]
        self.given = list(callbacks)
        self.callbacks = sorted([*callbacks, *own], key=lambda callback: callback.comes_last)
        self.seed = seed
        self.device = next(network.parameters()).device
        self.rng = np.random.default_rng(seed)
        self.generator = torch_generator(seed, self.device)
        self.history: list[Record] = []
        self.first_loss = math.inf
        self.stopping = False
        self.step = 0
        self.n_steps = 1
        self.weights = list(network.parameters())
        self.optimizer = self._optimizer()
        self._guard = Guard()
        self._all: Batch | None = None  # all series, scaled and padded once, if they are few
        self._terms: list[LossTerms] = []  # of the epoch that is running, a batch each
        self._order = self.rng.bit_generator.state  # with which its batches were drawn
        self._begun: dict[str, Any] = {}  # the state in which it began
        self._good: dict[str, Any] = {}  # that in which the epoch before began: what it led to is known

    def fit(self, data: TrainingData) -> list[Record]:
        """Run epochs until the last one, or until a callback stops.

        Raises
        ------
        TrainingError
            The loss is not finite, or runs away at every learning rate; the message says which series began it.
        """
        self.data = data
        self._all = None
        if len(data.panel) * int(data.panel.lengths.max()) * data.panel.n_channels <= _KEPT:
            self._all = self._batch(data, np.arange(len(data.panel)))
        train, held_out = self._split(data.rows)
        # The number of batches of an epoch hardly changes with the shuffling; one draw counts them.
        lengths = data.panel.lengths
        batches = len(training_rows(lengths, train, self.config.batch_size, np.random.default_rng(0)))
        self.n_steps = self.config.max_epochs * batches
        if len(held_out):
            self.first_loss = self.validate(data, held_out)
        with ExitStack() as endings:  # runs every ending, in whatever way training ends
            for callback in reversed(self.callbacks):
                endings.callback(callback.on_train_end, self)
            for callback in self.callbacks:
                callback.on_train_begin(self)
            while len(self.history) < self.config.max_epochs and not self.stopping:
                if not self._terms:
                    now = self._state()
                    self._good, self._begun = self._begun or now, now
                epoch = len(self.history) + 1
                try:
                    record = self.run_epoch(data, train, held_out, epoch)
                except Diverged as found:
                    self._step_back(found, epoch)
                    continue
                self.history.append(record)
                for callback in self.callbacks:
                    callback.on_epoch_end(self, record)
                wanted = torch.tensor(float(self.stopping), device=self.device)
                self.stopping = bool(self.crew.total(wanted) > 0)  # all stop where one wants to
        return self.history

    def run_epoch(self, data: TrainingData, train: Rows, held_out: Rows, epoch: int) -> Record:
        """Show every series once, or what is left of an epoch that was begun; return the epoch's record."""
        started = time.perf_counter()
        if self._terms:
            self.rng.bit_generator.state = self._order
        self._order = self.rng.bit_generator.state
        batches = training_rows(data.panel.lengths, train, self.config.batch_size, self.rng)
        for rows in batches[len(self._terms) :]:
            part = self.crew.part(rows, self.generator)
            self._terms.append(self.train_step(self._batch(data, part.rows), part.draws, part.weight))
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
            record["validation_loss"] = self.validate(data, held_out)
        record["seconds"] = time.perf_counter() - started
        return record

    def train_step(self, batch: Batch, draws: Draws | None = None, weight: float = 1.0) -> LossTerms:
        """Move the weights once; ``weight`` is the share that this batch is of one that several processes see.

        Returns
        -------
        LossTerms
            What this share adds to the means over the whole batch.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._loss(batch, self.generator if draws is None else draws)
        # The mean of everybody's gradients is then that of the whole batch.
        (terms.loss * (weight * self.crew.size)).backward()  # type: ignore[no-untyped-call]
        if self.config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, self.config.max_grad_norm)
        self.optimizer.step()
        self.step += 1
        return LossTerms(*(weight * term.detach() for term in vars(terms).values()))

    @torch.no_grad()
    def validate(self, data: TrainingData, rows: Rows) -> float:
        """Return the mean loss a series over held-out series, without noise."""
        total = torch.zeros((), device=self.device)
        for part in inference_rows(data.panel.lengths, rows, self.config.batch_size):
            share, weight, _ = self.crew.part(part, self.generator)
            total += weight * len(part) * self._loss(self._batch(data, share), None).loss
        return float(self.crew.total(total)) / len(rows)

    def kl_weight(self) -> float:
        """Return ``beta * w(step)``: from 0 to beta over the first ``kl_warmup`` of all steps."""
        warmup = self.config.kl_warmup * self.n_steps
        return self.config.beta * min(1.0, self.step / warmup if warmup else 1.0)

    def learning_rate(self) -> float:
        """Return the learning rate of this step; "cosine" rises, then falls to nearly zero."""
        highest = self.config.learning_rate * self._guard.rate
        if self.config.lr_schedule == "constant":
            return highest
        progress = min(1.0, self.step / self.n_steps)
        rise = min(1.0, 0.04 + progress / _WARMUP)
        fall = 0.5 * (1 + math.cos(math.pi * max(0.0, progress - _WARMUP) / (1 - _WARMUP)))
        return highest * rise * max(fall, 1e-3)

    # ---------------------------------------------------------------- going on later

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all that it takes to go on from here as if nothing had happened, also within an epoch.

        A nested dictionary of tensors and of what JSON can hold.
        """
        return {
            **self._state(),
            "terms": _copy([vars(terms) for terms in self._terms]),
            "guard": self._guard.state_dict(),
            "begun": self._begun,
            "good": self._good if self._terms else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back, or on, to where `state_dict` was called, on a trainer that was made and given data alike."""
        self._return_to(state)
        self._terms = [LossTerms(**terms) for terms in state["terms"]]
        self._guard.load_state_dict(state["guard"])
        self._begun, self._good = state["begun"], state["good"]

    def _state(self) -> dict[str, Any]:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "order": self._order if self._terms else self.rng.bit_generator.state,
            "step": self.step,
            "stopping": self.stopping,
            "callbacks": {name: callback.state_dict() for name, callback in self._knowing().items()},
        }
        copied = {name: _copy(value) for name, value in state.items()}
        return {**copied, "history": list(self.history)}  # a record never changes

    def _return_to(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(_copy(state["optimizer"]))  # it would keep the tensors, and change them
        self.generator.set_state(state["generator"])
        self.rng.bit_generator.state = self._order = state["order"]
        self.step, self.history, self.stopping = state["step"], list(state["history"]), state["stopping"]
        for name, callback in self._knowing().items():
            callback.load_state_dict(state["callbacks"][name])

    def _knowing(self) -> dict[str, Callback]:
        """Return the callbacks that have to know something to go on, each under a name of its own.

        Of several processes the first has more of them than the others.
        """
        knowing = [callback for callback in self.callbacks if callback.state_dict()]
        kinds = [type(callback).__name__ for callback in knowing]
        return {f"{kind}{kinds[:n].count(kind)}": knowing[n] for n, kind in enumerate(kinds)}

    # ---------------------------------------------------------------- parts

    def _optimizer(self) -> torch.optim.Optimizer:
        if self.config.optimizer == "sgd":
            return torch.optim.SGD(self.weights, lr=self.config.learning_rate)
        fused = self.device.type in ("cpu", "cuda")
        return torch.optim.Adam(self.weights, lr=self.config.learning_rate, fused=fused)

    def _split(self, rows: Rows) -> tuple[Rows, Rows]:
        if self.config.patience is None:
            return rows, rows[:0]
        shuffled = self.rng.permutation(rows)
        n = max(1, round(HELD_OUT * len(rows)))
        return shuffled[n:], shuffled[:n]

    def _batch(self, data: TrainingData, rows: Rows) -> Batch:
        if self._all is not None:
            return self._all.take(rows)
        return collate(data.panel, rows, data.scaler, self.device, data.patterns, data.hidden)

    def _loss(self, batch: Batch, draws: Draws | None) -> LossTerms:
        with autocast(self.device, self.config.precision):
            return training_loss(
                self.model(batch.values, batch.mask, batch.lengths, batch.patterns, draws, batch.seen),
                batch.values,
                batch.mask,
                self.error,
                self.kl_weight(),
                batch.patterns,
                self.config.pattern_weight,
            )

    def _step_back(self, found: Diverged, epoch: int) -> None:
        """Return to the last good epoch, to go on more slowly, if that can help."""
        self._return_to(self._good)
        self._terms, self._begun = [], self._good
        if found.rows is not None:  # would these weights, which were good, do any better?
            with torch.no_grad():
                loss = float(self._loss(self._batch(self.data, found.rows), None).loss)
            if not math.isfinite(loss):
                raise broken_batch(loss, epoch, self.data.panel.ids[found.rows])
        self._guard.step_back(found, epoch, len(self.history), self.config.learning_rate)

    def _means(self, batches: list[Rows]) -> Record:
        """Average an epoch's terms over its series: one transfer from the device an epoch."""
        names = list(vars(self._terms[0]))
        own = torch.stack([torch.stack(list(vars(t).values())) for t in self._terms]).double()
        table = self.crew.total(own).cpu().numpy()  # (batch, term)
        panel = self.data.panel
        n_values = panel.n_channels * float(panel.lengths[self.data.rows].mean())
        self._guard.check(table[:, names.index("loss")], table[:, names.index("reconstruction")], batches, n_values)
        sizes = np.array([len(rows) for rows in batches])
        return dict(zip(names, (sizes @ table / sizes.sum()).tolist(), strict=True))


def _copy(state: Any) -> Any:
    """Copy a nested state, tensors and all."""
    if isinstance(state, dict):
        return {name: _copy(value) for name, value in state.items()}
    if isinstance(state, list):
        return [_copy(value) for value in state]
    return state.detach().clone() if isinstance(state, Tensor) else state
