"""How much an item loses while another one is present: units a step, and a fraction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Losses"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Losses:
    """Items (n, time) of the panel, their presence and their groups."""

    X: Floats
    begin: Ints
    end: Ints
    codes: Ints
    courses: Floats  # (n, time), see `presence_courses`

    def of_pair(self, item: int, other: int, lag: int) -> tuple[float, float]:
        """Return the units a step and the fraction that ``other`` loses while ``item`` is there.

        What it would sell is its mean without ``item``, times the change of the always-present
        items of the group. The fraction is NaN if that is not above 0.
        """
        time = self.X.shape[1]
        present = np.zeros(time, bool)
        present[lag:] = self.courses[item, : time - lag] >= 0.5
        own = np.arange(time)
        own = (own >= self.begin[other]) if self.begin[item] > 0 else (own < self.end[other])
        known = own & ~np.isnan(self.X[other])
        absent_level, level = _mean(self.X[other, known & ~present]), _mean(self.X[other, known & present])
        expected = absent_level * self._change_of_rest(other, known & ~present, known & present)
        units = expected - level
        return units, units / expected if expected > 0 else np.nan

    def _change_of_rest(self, other: int, absent: npt.NDArray[np.bool_], present: npt.NDArray[np.bool_]) -> float:
        """Return by which factor the other items of the group changed, 1 if that is unknown."""
        always = (self.begin == 0) & (self.end == self.X.shape[1]) & (self.codes == self.codes[other])
        always[other] = False
        rest = self.X[always]
        before, after = _mean(rest[:, absent]), _mean(rest[:, present])
        return after / before if before > 0 and after > 0 else 1.0


def _mean(values: Floats) -> float:
    """Return the mean of the observed values, NaN if there are none."""
    return float(np.nanmean(values)) if values.size and not np.isnan(values).all() else np.nan
