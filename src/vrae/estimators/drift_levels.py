"""Tests of whether items have another level than before: all of them, or those of a cluster."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Ints
from vrae.describe.drift_result import LevelChange
from vrae.estimators.drift_past import Past
from vrae.estimators.drift_tests import holm

__all__ = ["levels_beside_the_fit", "levels_beside_the_past", "mark_levels"]

Floats = npt.NDArray[np.float64]

_LEAST_ITEMS = 10
# Independent earlier parts that are needed to say what is usual.
_LEAST_PARTS = 3
# A level that changed by less is no finding.
_LEAST_CHANGE = 0.1
# All items changed if clusters with this fraction of them moved the same way, at least half as far.
_MOST_ITEMS = 2 / 3
_BOUND = 1e3


def levels_beside_the_past(totals: Floats, past: Past, names: list[str]) -> list[LevelChange]:
    """Compare the newest part with what is usual: with the changes of all earlier parts.

    ``totals`` are those of `Past.totals`. The first result is that of all items. A cluster is
    compared with the others, so what moves all of them is no change of one.
    """
    everyone = totals.sum(axis=1)
    is_earlier = past.starts >= past.n_new
    n_parts = 1 + (int(past.starts[-1]) - past.n_new) // past.n_new if is_earlier.any() else 0
    found = []
    for k in range(-1, totals.shape[1]):
        own = everyone if k < 0 else totals[:, k]
        change = _log_ratio(own)
        beside = change if k < 0 else change - _log_ratio(everyone - own)
        earlier = beside[is_earlier & (own[2] >= _LEAST_ITEMS)]
        p_value, middle, usual = _unusual(float(beside[0]), earlier, n_parts)
        n_items, name = int(own[2, 0]), "" if k < 0 else names[k]
        p_value = p_value if n_items >= _LEAST_ITEMS else 1.0
        excess = float(np.expm1(beside[0] - middle))
        found.append(LevelChange(k, name, n_items, float(np.expm1(change[0])), excess, usual, p_value))
    return found


def levels_beside_the_fit(before: Floats, now: Floats, labels: Ints, names: list[str]) -> list[LevelChange]:
    """Compare the levels of items now with those at the fit, (n_items,); their order is chance.

    The relative difference of an item is between -2 and 2, so no item decides.
    """
    from scipy.stats import norm, ttest_ind

    both = (before >= 0) & (now >= 0) & (before + now > 0)  # NaN is not
    difference, labels = 2 * (now[both] - before[both]) / (now[both] + before[both]), labels[both]
    found = []
    for k in range(-1, len(names)):
        own, rest = difference[labels == k] if k >= 0 else difference, difference[labels != k]
        p_value, beside = 1.0, _as_ratio(own)
        if len(own) >= _LEAST_ITEMS:
            p_value = float(2 * norm.sf(abs(own.sum()) / np.sqrt(max((own**2).sum(), 1e-300))))
        if k >= 0:
            is_enough = min(len(own), len(rest)) >= _LEAST_ITEMS and np.ptp(difference) > 0
            p_value = float(ttest_ind(own, rest, equal_var=False).pvalue) if is_enough else 1.0
            beside = (1 + beside) / (1 + _as_ratio(rest)) - 1
        found.append(LevelChange(k, "" if k < 0 else names[k], len(own), _as_ratio(own), beside, None, p_value))
    return found


def mark_levels(levels: list[LevelChange], alpha: float, is_found: bool) -> list[LevelChange]:
    """Say which levels changed beyond chance, if any did (``is_found``)."""
    corrected = np.array(holm([level.p_value for level in levels]))
    clear = corrected <= max(alpha, corrected.min(initial=1.0))
    clusters = [level for level in levels[1:] if level.n_items]
    n_alike = sum(level.n_items for level in clusters if _is_alike(level.change, levels[0].change))
    most = n_alike >= _MOST_ITEMS * sum(level.n_items for level in clusters)
    marked = []
    for level, is_clear in zip(levels, clear.tolist(), strict=True):
        is_large = min(abs(level.change), abs(level.beside)) >= _LEAST_CHANGE
        marked.append(level.marked(bool(is_found and is_clear and is_large and (level.cluster >= 0 or most))))
    return marked


def _is_alike(change: float, other: float) -> bool:
    return change * other > 0 and abs(change) >= abs(other) / 2


def _log_ratio(totals: Floats) -> Floats:
    """Return log ratios (n_parts,) of levels to those before, of totals (3, n_parts)."""
    now, before = totals[0], totals[1]
    ratio = np.divide(now, before, out=np.where(now > 0, _BOUND, 1.0), where=before > 0)
    return np.asarray(np.log(np.clip(ratio, 1 / _BOUND, _BOUND)))


def _unusual(value: float, earlier: Floats, n_parts: int) -> tuple[float, float, tuple[float, float] | None]:
    """Return the p-value of a value beside earlier ones, their mean, and their range as fractions.

    Parts that overlap count as few: as many as there are next to each other.
    """
    from scipy.stats import t

    n_parts = min(n_parts, len(earlier))
    if n_parts < _LEAST_PARTS:
        return 1.0, 0.0, None
    middle = float(np.mean(earlier))
    width = float(np.std(earlier)) * np.sqrt(n_parts / (n_parts - 1)) * np.sqrt(1 + 1 / n_parts)
    p_value = float(2 * t.sf(abs(value - middle) / max(width, 1e-6), n_parts - 1))
    reach = float(t.ppf(0.975, n_parts - 1)) * width
    return p_value, middle, (float(np.expm1(middle - reach)), float(np.expm1(middle + reach)))


def _as_ratio(difference: Floats) -> float:
    """Return the change of the mean level, of relative differences: -0.4 is 40 % less."""
    mean = float(difference.mean()) if len(difference) else 0.0
    return min((2 + mean) / max(2 - mean, 1e-9), _BOUND) - 1
