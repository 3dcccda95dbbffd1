"""Learning that goes on when series arrive later, and what is remembered of earlier ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from vrae.data.batching import Rows
from vrae.data.containers import is_table
from vrae.data.panel import Panel
from vrae.data.selection import join_panels
from vrae.estimators.base import BaseVRAE, check_enough
from vrae.runtime import seed_of

__all__ = ["LearnsOn"]

# Series that `partial_fit` keeps, to train on them again.
_REMEMBERED = 4096


@dataclass(kw_only=True, eq=False, repr=False)
class LearnsOn(BaseVRAE):
    """An estimator that can go on learning: what it learned of earlier series stays true of later ones."""

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Go on learning, from series that arrive later.

        The first call is a `fit`. Each later one trains the network on, at a lower learning rate, with the new series
        and with those that it remembers, 4,096 at most, a random share of all that it was given; ``ids_``,
        ``embedding_`` and all that is said about training series are about these and the new ones together. A series
        of a table or `Panel` takes the place of a remembered one with its id; those of arrays are numbered on. A model
        that was loaded remembers none.

        Parameters
        ----------
        X, y
            See `fit`.

        Returns
        -------
        self
            As it was before, if anything is raised.

        Raises
        ------
        InvalidDataError, InvalidParameterError, TrainingError
            See `fit`; or the series have other channels than earlier ones.
        """
        anew = not self.__sklearn_is_fitted__()
        panel, rows = self._usable(X) if anew else self._open(X)
        panel = replace(panel.select(rows), static={}, times=None)
        earlier: Panel | None = getattr(self, "remembered_", None)
        seen: int = getattr(self, "n_seen_", 0)
        if not isinstance(X, Panel) and not is_table(X):
            panel = replace(panel, ids=panel.ids + seen)  # series without ids are others than those before
        n_new = len(panel)
        if earlier is not None:
            kept = earlier.select(np.flatnonzero(~np.isin(earlier.ids, panel.ids)))
            panel = join_panels([kept, replace(panel, channels=earlier.channels)])
        everything = np.arange(len(panel))
        check_enough(panel, everything)
        self._learn(panel, everything, anew)
        self.remembered_ = panel.select(_reservoir(len(panel) - n_new, n_new, seen, seed_of(self.random_state)))
        self.n_seen_ = seen + n_new
        return self


def _reservoir(n_earlier: int, n_new: int, n_seen: int, seed: int) -> Rows:
    """Return which of earlier series, a random share of ``n_seen``, and of new ones after them to remember."""
    if n_earlier + n_new <= _REMEMBERED:
        return np.arange(n_earlier + n_new)
    rng = np.random.default_rng([seed, n_seen])
    of_new = min(n_new, max(_REMEMBERED - n_earlier, round(_REMEMBERED * n_new / (n_seen + n_new))))
    kept = rng.permutation(n_earlier)[: _REMEMBERED - of_new], n_earlier + rng.permutation(n_new)[:of_new]
    return np.sort(np.concatenate(kept))
