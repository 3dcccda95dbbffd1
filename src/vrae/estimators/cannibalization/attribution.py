"""Which of several introductions explains the fall of an item.

An item that falls when one item is introduced has also fallen after the introduction of another one
a few steps before or later. Each introduction has to add something to the strongest other one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vrae.estimators.cannibalization.level_shifts import ShiftGroup, shifted
from vrae.estimators.cannibalization.pair_table import BestLag

__all__ = ["Attribution"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Attribution:
    """The items (n,) of a group, and the events (q,) that may explain their falls."""

    group: ShiftGroup
    courses: Floats  # (q, time), see `presence_courses`
    levels: Floats  # (q,), see `sales_levels`
    max_lag: int

    def explain_once(self, best: BestLag, allowed: Mask, rows: Ints) -> Floats:
        """Replace z-scores by what events add to the strongest event of an item.

        Only items (rows) with a clear event change, and their strongest event does not. Returns for
        each pair (n, q) how much its event adds to the strongest other one, as a z-score: inf where
        nothing competes.
        """
        z = np.where(allowed, best.z, -np.inf)
        added = np.full(z.shape, np.inf)
        if z.shape[1] < 2 or not len(rows):
            return added
        order = np.argsort(-z, axis=1, kind="stable")
        strongest, second = order[:, 0], order[:, 1]
        rival = rows[np.isfinite(z[rows, second[rows]])]
        for event in np.unique(second[rival]).tolist():
            own = rival[second[rival] == event]
            given = self._z_given(own, event, best)
            added[own, strongest[own]] = given[np.arange(len(own)), strongest[own]]
        for event in np.unique(strongest[rows]).tolist():
            own = rows[strongest[rows] == event]
            given = self._z_given(own, event, best)
            given[:, event] = best.z[own, event]
            best.z[own] = given
            given[:, event] = np.inf
            added[own] = np.minimum(added[own], given)
        return added

    def _z_given(self, rows: Ints, event: int, best: BestLag) -> Floats:
        """Return the z-scores of all events for some items, given one event, all at their lags."""
        by_lag = [courses for _, courses in shifted(self.courses, self.max_lag)]
        known = by_lag[int(np.median(best.lags[rows, event]))][event]
        group = self.group.given(rows, known)
        z = np.full((len(rows), len(self.courses)), np.inf)
        for lag, courses in enumerate(by_lag):
            own = best.lags[rows] == lag
            if own.any():
                z = np.where(own, group.z_scores(courses, self.levels), z)
        return z
