"""The training loop: `Trainer.fit` runs epochs, an epoch runs steps, a step moves the weights once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.config import TrainingConfig
from vrae.data.batching import Batch, Rows, collate, inference_rows, training_rows
from vrae.data.panel import Panel
from vrae.data.scaling import Scaler
from vrae.exceptions import TrainingError, name_some
from vrae.nn.draws import Draws
from vrae.nn.loss import LossTerms, Pointwise, training_loss
from vrae.nn.model import VRAENetwork
from vrae.runtime import autocast, torch_generator
from vrae.train.callbacks import Callback, EarlyStopping, Record
from vrae.train.crew import Alone, Together

__all__ = ["HELD_OUT", "Trainer", "TrainingData"]

# Share of the series that early stopping holds out.
HELD_OUT = 0.1

# Share of the steps over which the "cosine" schedule rises.
_WARMUP = 0.15


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
    history : list of dict
        A record an epoch; see `Callback`.
    first_loss : float
        Loss of the held-out series, if there are any, before the first step.
    stopping : bool
        Set by a callback to end training.
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
        self.callbacks = list(callbacks)
        self.device = next(network.parameters()).device
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.generator = torch_generator(seed, self.device)
        self.history: list[Record] = []
        self.first_loss = math.inf
        self.stopping = False
        self.step = 0
        self.n_steps = 1
        self.optimizer = self._optimizer()
        self.early_stopping = None if config.patience is None else EarlyStopping(config.patience)

    def fit(self, data: TrainingData) -> list[Record]:
        """Run epochs until the last one, or until a callback stops.

        Raises
        ------
        TrainingError
            The loss is not finite; the message names the series of that batch.
        """
        train, held_out = self._split(data.rows)
        # Early stopping comes first: what the others see of an epoch is settled, and so is what they keep of it.
        callbacks = [*([self.early_stopping] if self.early_stopping else []), *self.callbacks]
        # The number of batches of an epoch hardly changes with the shuffling; one draw counts them.
        lengths = data.panel.lengths
        batches = len(training_rows(lengths, train, self.config.batch_size, np.random.default_rng(0)))
        self.n_steps = self.config.max_epochs * batches
        if len(held_out):
            self.first_loss = self.validate(data, held_out)
        with ExitStack() as endings:  # runs every ending, in whatever way training ends
            for callback in reversed(callbacks):
                endings.callback(callback.on_train_end, self)
            for callback in callbacks:
                callback.on_train_begin(self)
            first = len(self.history) + 1  # a callback may have brought a past
            for epoch in range(first, first if self.stopping else self.config.max_epochs + 1):
                record = self.run_epoch(data, train, held_out, epoch)
                self.history.append(record)
                for callback in callbacks:
                    callback.on_epoch_end(self, record)
                if self._all_stop():
                    break
        return self.history

    def run_epoch(self, data: TrainingData, train: Rows, held_out: Rows, epoch: int) -> Record:
        """Show every series once; return the epoch's record."""
        started = time.perf_counter()
        batches = training_rows(data.panel.lengths, train, self.config.batch_size, self.rng)
        parts = [self.crew.part(rows, self.generator) for rows in batches]
        terms = [self.train_step(self._batch(data, part.rows), part.draws, part.weight) for part in parts]
        means = self._means(terms, [part.weight for part in parts], batches, data.panel)
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
        """Move the weights once; ``weight`` is the share that this batch is of one that several processes see."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._loss(batch, self.generator if draws is None else draws)
        # The mean of everybody's gradients is then that of the whole batch.
        (terms.loss * (weight * self.crew.size)).backward()  # type: ignore[no-untyped-call]
        if self.config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        self.step += 1
        return LossTerms(*(term.detach() for term in vars(terms).values()))

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
        if self.config.lr_schedule == "constant":
            return self.config.learning_rate
        progress = min(1.0, self.step / self.n_steps)
        rise = min(1.0, 0.04 + progress / _WARMUP)
        fall = 0.5 * (1 + math.cos(math.pi * max(0.0, progress - _WARMUP) / (1 - _WARMUP)))
        return self.config.learning_rate * rise * max(fall, 1e-3)

    # ---------------------------------------------------------------- parts

    def _optimizer(self) -> torch.optim.Optimizer:
        if self.config.optimizer == "sgd":
            return torch.optim.SGD(self.network.parameters(), lr=self.config.learning_rate)
        fused = self.device.type in ("cpu", "cuda")
        return torch.optim.Adam(self.network.parameters(), lr=self.config.learning_rate, fused=fused)

    def _split(self, rows: Rows) -> tuple[Rows, Rows]:
        if self.config.patience is None:
            return rows, rows[:0]
        shuffled = self.rng.permutation(rows)
        n = max(1, round(HELD_OUT * len(rows)))
        return shuffled[n:], shuffled[:n]

    def _batch(self, data: TrainingData, rows: Rows) -> Batch:
        return collate(data.panel, rows, data.scaler, self.device, data.patterns, data.hidden)

    def _all_stop(self) -> bool:
        """Tell whether to stop: all do where one wants to."""
        self.stopping = bool(self.crew.total(torch.tensor(float(self.stopping), device=self.device)) > 0)
        return self.stopping

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

    def _means(self, terms: list[LossTerms], weights: list[float], batches: list[Rows], panel: Panel) -> Record:
        """Average an epoch's terms over its series: one transfer from the device an epoch."""
        names = list(vars(terms[0]))
        own = torch.stack(
            [weight * torch.stack(list(vars(t).values())) for t, weight in zip(terms, weights, strict=True)]
        )
        table = self.crew.total(own.double()).cpu().numpy()  # (batch, term)
        broken = np.flatnonzero(~np.isfinite(table[:, 0]))
        if len(broken):
            raise TrainingError(
                f"The loss is not finite ({table[broken[0], 0]}) in epoch {len(self.history) + 1}. It began in "
                f"the batch of the series with ids {name_some(panel.ids[batches[broken[0]]])}. Look at these "
                f"series for extreme values (scaling='robust' helps), or lower learning_rate "
                f"(now {self.config.learning_rate:g}) or max_grad_norm."
            )
        sizes = np.array([len(rows) for rows in batches])
        return dict(zip(names, (sizes @ table / sizes.sum()).tolist(), strict=True))
