"""Tests of whether items have another level than before: all of them, or those of a cluster."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Ints
from vrae.describe.drift_result import LevelChange
from vrae.estimators.drift_past import Past
from vrae.estimators.drift_tests import holm

__all__ = ["corrected_levels", "levels_beside_the_fit", "levels_beside_the_past", "mark_levels"]

Floats = npt.NDArray[np.float64]

_LEAST_ITEMS = 10
# Independent earlier parts that are needed to say what is usual.
_LEAST_PARTS = 3
# A level that changed by less is no finding.
_LEAST_CHANGE = 0.1
# All items changed if clusters with this fraction of them moved the same way, at least half as far.
_MOST_ITEMS = 2 / 3
# A change with this p-value is outside the range that is shown as usual.
_UNUSUAL = 0.05
_BOUND = 1e3
# Levels at the fit are kept in single precision: smaller relative differences are none.
_ROUNDING = 1e-6


def levels_beside_the_past(changes: Floats, labels: Ints, past: Past, names: list[str]) -> list[LevelChange]:
    """Compare the newest part with what is usual: with the changes of all earlier parts.

    ``changes`` (n_items, n_parts) are those of `Past.changes`. Of each part, the median item
    counts. The first result is that of all items. A cluster is compared with the others, so what
    moves all of them is no change of one.
    """
    is_earlier = past.starts >= past.n_new
    n_parts = 1 + (int(past.starts[-1]) - past.n_new) // past.n_new if is_earlier.any() else 0
    found = []
    for k in range(-1, len(names)):
        own = labels >= 0 if k < 0 else labels == k
        change = _medians(changes[own])
        beside = change if k < 0 else change - _medians(changes[(labels >= 0) & ~own])
        earlier = beside[is_earlier & ~np.isnan(beside)]
        p_value, middle, usual = _unusual(float(beside[0]), earlier, n_parts)
        is_known = not np.isnan(change[0])
        n_items, name = int((~np.isnan(changes[own, 0])).sum()) if is_known else 0, "" if k < 0 else names[k]
        excess, own_change = np.expm1(np.nan_to_num([beside[0] - middle, change[0]])).tolist()
        found.append(LevelChange(k, name, n_items, own_change, excess, usual, p_value))
    return found


def levels_beside_the_fit(before: Floats, now: Floats, labels: Ints, names: list[str]) -> list[LevelChange]:
    """Compare the levels of items now with those at the fit, (n_items,); their order is chance.

    The relative difference of an item is between -2 and 2, so no item decides.
    """
    from scipy.stats import norm, ttest_ind

    both = (before >= 0) & (now >= 0) & (before + now > 0)  # NaN is not
    difference, labels = 2 * (now[both] - before[both]) / (now[both] + before[both]), labels[both]
    difference[np.abs(difference) < _ROUNDING] = 0.0
    found = []
    for k in range(-1, len(names)):
        own, rest = difference[labels == k] if k >= 0 else difference, difference[(labels >= 0) & (labels != k)]
        p_value, beside = 1.0, _as_ratio(own)
        if len(own) >= _LEAST_ITEMS:
            p_value = float(2 * norm.sf(abs(own.sum()) / np.sqrt(max((own**2).sum(), 1e-300))))
        if k >= 0:
            is_enough = min(len(own), len(rest)) >= _LEAST_ITEMS and np.ptp(difference) > 0
            p_value = float(ttest_ind(own, rest, equal_var=False).pvalue) if is_enough else 1.0
            beside = (1 + beside) / (1 + _as_ratio(rest)) - 1
        found.append(LevelChange(k, "" if k < 0 else names[k], len(own), _as_ratio(own), beside, None, p_value))
    return found


def corrected_levels(levels: list[LevelChange]) -> Floats:
    """Return corrected p-values: that of all items counts as much as all others together."""
    clusters = holm([level.p_value for level in levels[1:]])
    return np.minimum(2 * np.array([levels[0].p_value, *clusters]), 1.0)


def mark_levels(levels: list[LevelChange], alpha: float, is_found: bool) -> list[LevelChange]:
    """Say which levels changed beyond chance, if any did (``is_found``), and why others did not."""
    corrected = corrected_levels(levels)
    clear = corrected <= max(alpha, corrected.min(initial=1.0))
    clusters = [level for level in levels[1:] if level.n_items]
    n_alike = sum(level.n_items for level in clusters if _is_alike(level.change, levels[0].change))
    most = n_alike >= _MOST_ITEMS * sum(level.n_items for level in clusters)
    marked = []
    for level, is_clear in zip(levels, clear.tolist(), strict=True):
        is_large = min(abs(level.change), abs(level.beside)) >= _LEAST_CHANGE
        changed = bool(is_found and is_clear and is_large and (level.cluster >= 0 or most))
        unusual = level.p_value <= _UNUSUAL and not changed
        remark = _remark(level, is_large, is_found and is_clear) if unusual else ""
        marked.append(replace(level, changed=changed, remark=remark))
    return marked


def _remark(level: LevelChange, is_large: bool, is_clear: bool) -> str:
    """Say why a change that is unusual on its own is no finding; not of groups with small ones."""
    if not is_large:
        return "" if level.cluster >= 0 else f"unusual, but less than {100 * _LEAST_CHANGE:g} % is no finding"
    return "unusual, but of some groups alone" if is_clear else "unusual, but within chance for four questions"


def _is_alike(change: float, other: float) -> bool:
    return change * other > 0 and abs(change) >= abs(other) / 2


def _medians(changes: Floats) -> Floats:
    """Return the median change of items (n_items, n_parts) in each part; NaN of few items."""
    enough = (~np.isnan(changes)).sum(axis=0) >= _LEAST_ITEMS
    found = np.full(changes.shape[1], np.nan)
    found[enough] = np.nanmedian(changes[:, enough], axis=0)
    return found


def _unusual(value: float, earlier: Floats, n_parts: int) -> tuple[float, float, tuple[float, float] | None]:
    """Return the p-value of a value beside earlier ones, their mean, and their range as fractions.

    Parts that overlap count as few: as many as there are next to each other.
    """
    from scipy.stats import t

    n_parts = min(n_parts, len(earlier))
    if n_parts < _LEAST_PARTS or np.isnan(value):
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
