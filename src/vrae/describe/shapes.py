"""The shape of a typical curve in words: "Rises, then falls", "One peak near the end"."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["shape_phrase"]

Floats = npt.NDArray[np.floating[Any]]

_ALIKE = 0.5  # correlation of a series with the typical curve
_NOTABLE = 0.25  # of the range of the curve: smaller ups and downs are left out
_NARROW = 0.25  # of the length: the width of a peak
_SUDDEN = 0.13  # of the length


def shape_phrase(shapes: Floats) -> tuple[str, float] | None:
    """Describe the typical curve of shapes (n_series, n_points), and how alike they are.

    None if the series are not alike.
    """
    typical = np.median(shapes, axis=0)
    curve = np.convolve(np.pad(typical, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    centred = curve - curve.mean()
    norm = np.linalg.norm(centred) * np.linalg.norm(shapes, axis=1)
    if norm.max(initial=0) == 0:
        return None
    alike = float(np.median(shapes @ centred / np.where(norm > 0, norm, np.inf)))
    if alike < _ALIKE:
        return None
    return _words(curve), float(np.clip(0.7 + 0.3 * (alike - _ALIKE) / 0.2, 0.7, 1.0))


def _words(curve: Floats) -> str:
    turns = _turning_points(curve)
    rises = [curve[b] > curve[a] for a, b in zip(turns[:-1], turns[1:], strict=True)]
    n = len(curve)
    if len(rises) == 1:
        return _monotone(curve, rises[0])
    if len(rises) == 2:
        word = "peak" if rises[0] else "dip"
        if _width(curve if rises[0] else -curve, turns[1]) <= _NARROW * n:
            return f"One {word} {_place(turns[1] / (n - 1))}"
        return "Rises, then falls" if rises[0] else "Falls, then rises"
    peaks = sum(a and not b for a, b in zip(rises[:-1], rises[1:], strict=True))
    if len(rises) == 3:
        return "Peak, then dip" if rises[0] else "Dip, then peak"
    if len(rises) == 4:
        return "Two peaks" if rises[0] else "Two dips"
    return f"{_NUMBERS[peaks]} peaks" if peaks < len(_NUMBERS) else "Many peaks"


_NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six")


def _monotone(curve: Floats, rises: bool) -> str:
    low, high = sorted((curve[0], curve[-1]))
    part = (curve - low) / (high - low)
    inside = np.flatnonzero((part > 0.2) & (part < 0.8))
    if len(inside) <= _SUDDEN * len(curve):
        step = int(np.argmax(np.abs(np.diff(curve))))
        return f"Steps {'up' if rises else 'down'} {_place((step + 0.5) / (len(curve) - 1))}"
    return "Rises" if rises else "Falls"


def _width(curve: Floats, top: int) -> int:
    """Return the number of points around a peak that are in its upper half."""
    low = min(curve[0], curve[-1]) if top in (0, len(curve) - 1) else max(curve[:top].min(), curve[top:].min())
    above = curve >= (curve[top] + low) / 2
    left = top - np.argmin(np.append(above[: top + 1][::-1], False)) + 1
    right = top + np.argmin(np.append(above[top:], False)) - 1
    return int(right - left + 1)


def _place(fraction: float) -> str:
    for limit, words in ((0.12, "at the start"), (0.38, "early"), (0.62, "in the middle"), (0.88, "late")):
        if fraction < limit:
            return words
    return "at the end"


def _turning_points(curve: Floats) -> list[int]:
    """Return the ends of a curve and its notable turns between them."""
    least = _NOTABLE * float(np.ptp(curve))
    turns, candidate, direction = [0], 0, 0  # direction: 1 rising, -1 falling, 0 not known yet
    low = high = 0
    for i in range(1, len(curve)):
        if direction == 0:
            low, high = (i if curve[i] < curve[low] else low), (i if curve[i] > curve[high] else high)
            if curve[i] - curve[low] >= least:
                turns, direction, candidate = ([0, low] if low and curve[0] - curve[low] >= least else [0]), 1, i
            elif curve[high] - curve[i] >= least:
                turns, direction, candidate = ([0, high] if high and curve[high] - curve[0] >= least else [0]), -1, i
        elif direction * (curve[i] - curve[candidate]) >= 0:
            candidate = i
        elif direction * (curve[candidate] - curve[i]) >= least:
            turns.append(candidate)
            direction, candidate = -direction, i
    turns.append(candidate if direction and abs(curve[-1] - curve[candidate]) < least else len(curve) - 1)
    return turns
