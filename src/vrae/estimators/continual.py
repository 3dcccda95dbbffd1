"""Continued training on series that arrive later."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from vrae.data.batching import Indices
from vrae.data.containers import is_table
from vrae.data.panel import Panel
from vrae.data.selection import join_panels
from vrae.estimators.fitting import FittedVRAE, Prepared, check_enough
from vrae.runtime import seed_of
from vrae.train.preparation import TrainingData
from vrae.train.trainer import Trainer, TrainingTask

__all__ = ["ContinualVRAE"]

# Series that are kept for replay.
_REPLAY_BUFFER = 4096


@dataclass(kw_only=True, eq=False, repr=False)
class ContinualVRAE(FittedVRAE):
    """A VRAE that can be trained further, without forgetting earlier series."""

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train further, on series that arrive later.

        The first call is a `fit`. Later calls train the network at a lower learning rate on the new
        series and on a replay buffer: a random sample of at most 4,096 earlier series. ``ids_``,
        ``embedding_`` and the other attributes then describe both together. A series of a table or
        `Panel` replaces one in the buffer with the same id; series of arrays get new numbers. A
        loaded model has an empty buffer.

        Parameters
        ----------
        X, y
            See `fit`.

        Returns
        -------
        self
            Unchanged if anything is raised.

        Raises
        ------
        InvalidDataError, InvalidParameterError, TrainingError
            See `fit`. Also if the series have other channels than earlier ones.
        """
        self.extend(X)
        return self

    def extend(self, X: Any) -> Panel:
        """Do what `partial_fit` does, and return the series that were used: replayed ones and X."""
        is_first = not self.__sklearn_is_fitted__()
        panel, indices = self.usable(X) if is_first else self.open(X)
        panel = replace(panel.select(indices), static={}, times=None)
        earlier: Panel | None = getattr(self, "replay_buffer_", None)
        seen: int = getattr(self, "n_seen_", 0)
        if not isinstance(X, Panel) and not is_table(X):
            panel = replace(panel, ids=panel.ids + seen)  # series without ids differ from earlier ones
        n_new = len(panel)
        if earlier is not None:
            kept = earlier.select(np.flatnonzero(~np.isin(earlier.ids, panel.ids)))
            panel = join_panels([kept, replace(panel, channels=earlier.channels)])
        everything = np.arange(len(panel))
        if is_first:
            self.fit_panel(panel, everything)
        else:
            self._continue(panel, everything)
        self.replay_buffer_ = panel.select(_reservoir(len(panel) - n_new, n_new, seen, seed_of(self.random_state)))
        self.n_seen_ = seen + n_new
        return panel

    def _continue(self, panel: Panel, indices: Indices) -> None:
        """Train a copy of the network further, and take it when all went well."""
        check_enough(panel, indices)
        network, past = copy.deepcopy(self.network_), self.history_
        patterns = self.inference_.patterns(panel, indices) if network.config.n_patterns else None
        data = TrainingData(panel, indices, self.scaler_, patterns)
        task = self._task(len(indices), seed_of(self.random_state))
        task = TrainingTask(task.config.continued(), task.error, task.callbacks, task.seed)
        prepared = Prepared(data, network.config, task, self.inference_.device, None, self.size_curve_)
        records = Trainer().fit(network, data, task)
        history = past + [{**record, "epoch": len(past) + record["epoch"]} for record in records]
        self._summarise(network, prepared, history)


def _reservoir(n_earlier: int, n_new: int, n_seen: int, seed: int) -> Indices:
    """Choose which series to keep, of earlier ones (a sample of ``n_seen``) and new ones."""
    if n_earlier + n_new <= _REPLAY_BUFFER:
        return np.arange(n_earlier + n_new)
    rng = np.random.default_rng([seed, n_seen])
    of_new = min(n_new, max(_REPLAY_BUFFER - n_earlier, round(_REPLAY_BUFFER * n_new / (n_seen + n_new))))
    kept = rng.permutation(n_earlier)[: _REPLAY_BUFFER - of_new], n_earlier + rng.permutation(n_new)[:of_new]
    return np.sort(np.concatenate(kept))
