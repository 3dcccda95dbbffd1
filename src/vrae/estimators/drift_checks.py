"""What looks wrong with a later table itself: its units, its ids, or missing rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.drift_result import LevelChange
from vrae.estimators.drift_past import MOST_CHANGE

__all__ = ["alike_ids", "more_missing", "new_units", "other_units"]

Floats = npt.NDArray[np.float64]

# A median level that differs by this factor is that of another unit, if this many items have one.
_FACTOR, _LEAST_ITEMS = 5.0, 5
# Levels around 0 have ratios that say nothing: this fraction of the items has to keep its sign.
_SAME_SIGN = 0.9
# Of this many new ids, this fraction looks like one that is gone.
_IDS, _ALIKE = 200, 0.5
# More steps are missing than at the fit, by this fraction of all.
_MISSING = 0.1


def other_units(before: Floats, now: Floats) -> str:
    """Say if items (n_items,) have another level than at the fit in the steps that both have."""
    known = np.isfinite(before) & np.isfinite(now) & (before != 0) & (now != 0)
    before, now = before[known], now[known]
    alike = before * now > 0
    if len(before) < _LEAST_ITEMS or alike.mean() < _SAME_SIGN:
        return ""
    factor = float(np.exp(np.median(np.log(now[alike] / before[alike]))))
    if 1 / _FACTOR < factor < _FACTOR:
        return ""
    return f"Check the units: the level of the items is {_times(factor)} that at the fit, in the steps of both."


def new_units(levels: Sequence[LevelChange], against: str) -> str:
    """Say if the level of new steps is that of other units; ``levels`` begins with all items."""
    if not levels or not levels[0].n_items:
        return ""
    level, factor = levels[0], 1 + levels[0].change
    is_usual = level.usual is not None and level.usual[0] <= level.change <= level.usual[1]
    if is_usual or 1 / _FACTOR < factor < _FACTOR:
        return ""
    return (
        f"Check the units of the new steps, and whether they are complete: the level of the items is {_times(factor)} "
        f"that {against}."
    )


def more_missing(before: float | None, now: float | None, unit: str) -> str:
    """Say if a larger fraction of the steps has no row than at the fit; None is not known."""
    if before is None or now is None or now - before <= _MISSING:
        return ""
    return (
        f"Check the rows: {100 * now:.1f} % of {unit} have no row, and {100 * before:.1f} % at the fit. "
        f"Is the table complete?"
    )


def alike_ids(gone: npt.NDArray[Any], new: npt.NDArray[Any], n_known: int) -> str:
    """Say if most ids are new, as other ways to write those that are gone; ``n_known`` are not."""
    if n_known >= len(new) or not len(gone):
        return ""
    was, now = (ids[np.random.default_rng(0).permutation(len(ids))[:_IDS]].tolist() for ids in (gone, new))
    pairs = _same_signs(gone.tolist(), now)
    if len(pairs) < _ALIKE * len(now):
        pairs = _same_affix(gone.tolist(), now)
    if len(pairs) < _ALIKE * len(now):
        pairs = [(name, other) for other, name in _same_affix(new.tolist(), was)]
        if len(pairs) < _ALIKE * len(was):
            return ""
    count = f"{len(new):,} of {n_known + len(new):,} ids of the table are not" if n_known else "no id of the table is"
    own, other = min(pairs)
    return (
        f"Check the ids: {count} known to the model, but they look alike: {own!r} here, {other!r} at the fit. Write "
        f"them as at the fit."
    )


def _same_signs(known: list[str], sample: list[str]) -> list[tuple[str, str]]:
    """Pair ids with the same letters and digits, but for case, other signs, leading 0 and ".0"."""
    place = {_plain(name): name for name in known}
    return [(name, place[_plain(name)]) for name in sample if _plain(name) and _plain(name) in place]


def _plain(name: str) -> str:
    text = re.sub(r"\.0+$", "", name.strip()).casefold()
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]", "", text))


def _same_affix(known: list[str], sample: list[str]) -> list[tuple[str, str]]:
    """Pair ids of a sample with known ones that lack one and the same beginning or end."""
    # Digits alone are no such part: 110 is another item than 10.
    place = {name.casefold(): name for name in known}
    found: dict[tuple[bool, str], list[tuple[str, str]]] = {}
    for name in sample:
        text = name.casefold()
        for cut in range(1, len(text)):
            for is_start, affix, rest in ((True, text[:cut], text[cut:]), (False, text[cut:], text[:cut])):
                if rest in place and not affix.isdigit():
                    found.setdefault((is_start, affix), []).append((name, place[rest]))
    return max(found.values(), key=len, default=[])


def _times(factor: float) -> str:
    """Return "1,000 times" or "1/1,000 of"."""
    size = max(factor, 1 / factor) if factor > 0 else np.inf
    if np.log(size) >= MOST_CHANGE - 0.01:  # changes of new steps are not known beyond
        return "more than 1,000 times" if factor > 1 else "less than 1/1,000 of"
    rounded = f"{float(f'{size:.2g}'):,.0f}"
    return f"{rounded} times" if factor > 1 else f"1/{rounded} of"
