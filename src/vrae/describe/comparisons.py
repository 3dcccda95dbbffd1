"""How a cluster differs from others, as short phrases: "higher level", "lower early"."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.phrases import Phrase
from vrae.describe.portraits import SHAPE_POINTS, Portraits, middle_of
from vrae.describe.shapes import place_in_words

__all__ = ["comparisons"]

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

_APART = 1.0  # robust standard deviations between two medians: less is no difference
_FAR = 8.0  # more is not clearer

# Words for more and for less, the smallest difference that is one, and how much it tells.
_WORDS: dict[str, tuple[str, str, float, float]] = {
    "length": ("longer", "shorter", 1.0, 1.0),
    "zeros": ("more zeros", "fewer zeros", 0.05, 1.0),
    "growth": ("more of a rise", "more of a fall", 0.15, 0.9),
    "spikiness": ("sharper peaks", "flatter", 0.4, 0.9),
    "cycles": ("more swings", "fewer swings", 1.0, 0.8),
    "roughness": ("rougher", "smoother", 0.04, 0.7),
    "missing": ("more gaps", "fewer gaps", 0.05, 0.5),
}
_PLACES = ((0, 5), (5, 16), (16, 24), (24, 35), (35, SHAPE_POINTS))  # points of a shape


def comparisons(portraits: Portraits, member: Mask, others: Mask, channel: int) -> list[Phrase]:
    """Return how members differ from others in one channel, the clearest first.

    The weight of a phrase is the number of robust standard deviations between the medians. Small
    differences count if there are no others.
    """
    found = _compared(portraits, member, others, channel, 1.0) or _compared(portraits, member, others, channel, 0.2)
    return sorted(found, key=lambda phrase: -phrase.weight)


def _compared(portraits: Portraits, member: Mask, others: Mask, channel: int, scale: float) -> list[Phrase]:
    found = _levels(portraits, member, others, channel)
    with np.errstate(invalid="ignore", divide="ignore"):
        even = np.log(portraits.numbers["half"] / portraits.numbers["length"])[:, channel]
    far = _apart(even[member], even[others], scale * 0.3)
    if abs(far) >= _APART:
        found.append(Phrase("half", "more even" if far > 0 else "more uneven", abs(far)))
    for name, (more, less, least, telling) in _WORDS.items():
        values = portraits.numbers[name][:, channel]
        far = _apart(values[member], values[others], scale * least)
        if abs(far) >= _APART:
            found.append(Phrase(name, more if far > 0 else less, telling * abs(far)))
    shapes = portraits.shapes[:, channel]
    for first, last in _PLACES:
        means = shapes[:, first:last].mean(axis=1)
        far = _apart(means[member], means[others], scale * 0.25)
        if abs(far) >= _APART:
            where = place_in_words((first + last - 1) / 2 / (SHAPE_POINTS - 1))
            found.append(Phrase("shape", f"{'higher' if far > 0 else 'lower'} {where}", abs(far)))
    return found


def _levels(portraits: Portraits, member: Mask, others: Mask, channel: int) -> list[Phrase]:
    """Compare level and size of swings, unless each series was normalised."""
    found = []
    level, spread = (portraits.numbers[name][:, channel] for name in ("level", "spread"))
    positive = bool(np.nanmin(level) >= 0)
    scale = float(np.nanmedian(spread)) or 1.0
    for kind, values, noun in (("level", level, "level"), ("spread", spread, "swings")):
        on_log = positive or kind == "spread"
        scaled = np.log(np.maximum(values, 1e-3 * scale)) if on_log else values / scale
        far = _apart(scaled[member], scaled[others], np.log(1.5) if on_log else 0.5)
        if abs(far) >= _APART:
            words = ("larger", "smaller") if kind == "spread" else ("higher", "lower")
            noun = "volume" if kind == "level" and portraits.counts else noun
            found.append(Phrase(kind, f"{words[far < 0]} {noun}", abs(far)))
    return found


def _apart(inside: Floats, outside: Floats, least: float) -> float:
    """Return the gap between two medians in robust standard deviations, 0 if it is small."""
    here, there = middle_of(inside), middle_of(outside)
    if not abs(here - there) >= least:  # also without any value
        return 0.0
    spread = [1.4826 * middle_of(np.abs(x - m)) for x, m in ((inside, here), (outside, there))]
    within = max(float(np.mean(spread)), least / 2)
    return float(np.clip((here - there) / within, -_FAR, _FAR))
