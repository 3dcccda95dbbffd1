"""The shape of a typical curve in words: "Rises, then falls", "One peak late"."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Shape", "place_in_words", "shape_phrase"]

Floats = npt.NDArray[np.floating[Any]]

_ALIKE = 0.5  # correlation of a series with the typical curve
_SWING = 0.4  # standard deviation of the typical curve of series with 1: less is left by chance
_NOTABLE = 0.25  # of the range of the curve: smaller ups and downs are left out
_NARROW = 0.4  # of the length: the width of a peak
_FLAT = 0.35  # of the length: the part of a plateau near its highest value
_SUDDEN = 0.7  # of the range, within a tenth of the length


@dataclass(frozen=True)
class Shape:
    """The shape of a typical curve.

    ``at`` is the place of what the text names, 0 to 1, None if it is in no single place.
    ``strength`` (0.7 to 1) says how alike the series are.
    """

    text: str
    at: float | None
    strength: float

    @property
    def place(self) -> str | None:
        """The place in words: "early"."""
        return None if self.at is None else place_in_words(self.at)


def place_in_words(fraction: float) -> str:
    """Return the words for a place from 0, the start, to 1, the end."""
    for limit, words in ((0.12, "at the start"), (0.4, "early"), (0.6, "in the middle"), (0.88, "late")):
        if fraction < limit:
            return words
    return "at the end"


def shape_phrase(shapes: Floats) -> Shape | None:
    """Describe the typical curve of shapes (n_series, n_points); None if they are not alike."""
    typical = np.median(shapes, axis=0)
    curve = np.convolve(np.pad(typical, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    if curve.std() < _SWING:
        return None
    centred = curve - curve.mean()
    norm = np.linalg.norm(centred) * np.linalg.norm(shapes, axis=1)
    alike = shapes @ centred / np.where(norm > 0, norm, np.inf)
    low, middle = np.quantile(alike, (0.2, 0.5))
    if middle < _ALIKE or low < 0:
        return None
    text, at = _words(curve, shapes)
    return Shape(text, at, float(np.clip(0.7 + 0.3 * (middle - _ALIKE) / 0.2, 0.7, 1.0)))


def _words(curve: Floats, shapes: Floats) -> tuple[str, float | None]:
    turns = _turning_points(curve)
    rises = [bool(curve[b] > curve[a]) for a, b in pairwise(turns)]
    if len(rises) == 1:
        return _one_way(curve, shapes, rises[0])
    if len(rises) == 2:
        return _there_and_back(curve, turns[1], rises[0])
    if len(rises) == 3:
        return ("Peak, then dip" if rises[0] else "Dip, then peak"), None
    if len(rises) == 4:
        return ("Two peaks" if rises[0] else "Two dips"), None
    peaks = sum(a and not b for a, b in pairwise(rises))
    return ("Three peaks" if peaks == 3 else "Two peaks" if peaks == 2 else "Many peaks"), None


def _one_way(curve: Floats, shapes: Floats, rises: bool) -> tuple[str, float | None]:
    """Describe a curve that rises or falls: in one step, if each series does so."""
    tenth = max(1, shapes.shape[1] // 10)
    sides = shapes if rises else -shapes
    jumps = sides[:, tenth:] - sides[:, :-tenth]
    size = np.ptp(shapes, axis=1)
    if float(np.median(jumps.max(axis=1) / np.where(size > 0, size, np.inf))) >= _SUDDEN:
        where = (float(np.median(jumps.argmax(axis=1))) + tenth / 2) / (shapes.shape[1] - 1)
        return f"Steps {'up' if rises else 'down'}", where
    return ("Rises" if rises else "Falls"), None


def _there_and_back(curve: Floats, turn: int, rises: bool) -> tuple[str, float | None]:
    upright = curve if rises else -curve
    low = max(upright[: turn + 1].min(), upright[turn:].min())
    part = (upright - low) / (upright[turn] - low)
    if np.mean(part >= 0.85) >= _FLAT:
        return ("Wide plateau" if rises else "Wide trough"), None
    if np.mean(part >= 0.5) <= _NARROW:
        return f"One {'peak' if rises else 'dip'}", turn / (len(curve) - 1)
    return ("Rises, then falls" if rises else "Falls, then rises"), None


def _turning_points(curve: Floats) -> list[int]:
    """Return the ends of a curve and its notable turns between them."""
    least = _NOTABLE * float(np.ptp(curve))
    turns, low, high = [0], 0, 0
    rising: bool | None = None
    for i in range(1, len(curve)):
        low, high = (i if curve[i] < curve[low] else low), (i if curve[i] > curve[high] else high)
        if rising is not True and curve[i] - curve[low] >= least:
            turns += [low] if rising is False or abs(curve[low] - curve[0]) >= least else []
            rising, high = True, i
        elif rising is not False and curve[high] - curve[i] >= least:
            turns += [high] if rising is True or abs(curve[high] - curve[0]) >= least else []
            rising, low = False, i
        if rising is True and curve[i] >= curve[high]:
            high, low = i, i
        if rising is False and curve[i] <= curve[low]:
            low, high = i, i
    return [*turns, len(curve) - 1]
