"""How a cluster differs from others, as short phrases: "higher level", "lower early"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.curves import quiet_nan
from vrae.describe.phrases import Phrase
from vrae.describe.portraits import SHAPE_POINTS, Portraits
from vrae.describe.shapes import place_in_words

__all__ = ["comparisons", "level_comparisons"]

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

_APART = 1.0  # robust standard deviations between two medians: less is no difference
_FAR = 8.0  # more is not clearer
_SMALL = 0.2  # of the smallest differences: it counts where there are no others

# Words for more and for less, the smallest difference that is one, and how much it tells.
_WORDS: dict[str, tuple[str, str, float, float]] = {
    "length": ("longer", "shorter", 1.0, 1.0),
    "zeros": ("more zeros", "fewer zeros", 0.05, 1.0),
    "growth": ("rising", "falling", 0.15, 0.9),
    "spikiness": ("sharper peaks", "flatter", 0.4, 0.9),
    "cycles": ("more swings", "fewer swings", 1.0, 0.8),
    "roughness": ("rougher", "smoother", 0.04, 0.7),
    "missing": ("more gaps", "fewer gaps", 0.05, 0.5),
}
_PLACES = ((0, 5), (5, 16), (16, 24), (24, 35), (35, SHAPE_POINTS))  # points of a shape

# Kind, words for more and for less, values (n_sample, n_channels), smallest difference, and how
# much it tells.
_Feature = tuple[str, str, str, Floats, float, float]


def comparisons(portraits: Portraits, member: Mask, others: Mask) -> list[list[Phrase]]:
    """Return for each channel how members differ from others, the clearest first.

    The weight of a phrase is the number of robust standard deviations between the medians. Small
    differences count in a channel without larger ones.
    """
    features = [*_levels(portraits, 1.5), *_features(portraits)]
    large = _compared(features, member, others, 1.0)
    if all(large):
        return large
    small = _compared(features, member, others, _SMALL)
    return [found or other for found, other in zip(large, small, strict=True)]


def level_comparisons(portraits: Portraits, member: Mask, others: Mask, factor: float) -> list[list[Phrase]]:
    """Compare level and size of swings only, whose medians must differ by a factor.

    Medians of levels below 0 must differ by a third of it in typical swings.
    """
    return _compared(list(_levels(portraits, factor)), member, others, 1.0)


def _compared(features: list[_Feature], member: Mask, others: Mask, scale: float) -> list[list[Phrase]]:
    found: list[list[Phrase]] = [[] for _ in range(features[0][3].shape[1])]
    for kind, more, less, values, least, telling in features:
        far = _apart(values[member], values[others], scale * least)
        for channel in np.flatnonzero(np.abs(far) >= _APART):
            text, weight = (more if far[channel] > 0 else less), telling * abs(float(far[channel]))
            if kind == "growth":
                text = _growth_words(float(_medians(values[member])[channel]), bool(far[channel] > 0))
            found[channel].append(Phrase(kind, text, weight))
    return [sorted(own, key=lambda phrase: -phrase.weight) for own in found]


def _growth_words(growth: float, is_more: bool) -> str:
    """Return which way series go (-1 to 1), where others rise less (or more) than they do."""
    if is_more:
        return "rising slightly" if 0.05 < growth < 0.25 else "rising" if growth > 0 else "falling less"
    return "falling slightly" if -0.25 < growth < -0.05 else "falling" if growth < 0 else "rising less"


def _levels(portraits: Portraits, factor: float) -> Iterator[_Feature]:
    level, spread = portraits.numbers["level"], portraits.numbers["spread"]
    scale = _medians(spread)
    scale = np.where(scale > 0, scale, 1.0)
    on_log = np.log(np.maximum(level, 1e-3 * scale))
    noun = "volume" if portraits.counts else "level"
    if not np.nanmin(level, initial=0.0) < 0:
        yield "level", f"higher {noun}", f"lower {noun}", on_log, float(np.log(factor)), 1.0
    else:
        yield "level", f"higher {noun}", f"lower {noun}", level / scale, factor / 3, 1.0
    swings = np.log(np.maximum(spread, 1e-3 * scale))
    yield "spread", "larger swings", "smaller swings", swings, float(np.log(factor)), 1.0


def _features(portraits: Portraits) -> Iterator[_Feature]:
    for name, (more, less, least, telling) in _WORDS.items():
        yield name, more, less, portraits.numbers[name], least, telling
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.log(portraits.numbers["half"] / portraits.numbers["length"])
    yield "half", "more even", "more uneven", part, 0.3, 1.0
    shapes = portraits.shapes
    middle = (shapes.max(axis=2, keepdims=True) + shapes.min(axis=2, keepdims=True)) / 2
    yield "width", "high for longer", "high for a shorter time", (shapes > middle).mean(axis=2), 0.08, 1.0
    for first, last in _PLACES:
        where = place_in_words((first + last - 1) / 2 / (SHAPE_POINTS - 1))
        yield "shape", f"higher {where}", f"lower {where}", shapes[:, :, first:last].mean(axis=2), 0.25, 1.0


def _apart(inside: Floats, outside: Floats, least: float) -> Floats:
    """Return the gaps between two medians in robust standard deviations, 0 if they are small."""
    here, there = _medians(inside), _medians(outside)
    within = 1.4826 * (_medians(np.abs(inside - here)) + _medians(np.abs(outside - there))) / 2
    gap = here - there
    far = np.clip(gap / np.maximum(within, least / 2), -_FAR, _FAR)
    return np.where(np.abs(gap) >= least, far, 0.0)  # also where a gap is NaN


def _medians(values: Floats) -> Floats:
    """Return the median of each column, without missing values."""
    if not np.isnan(values).any():
        return np.asarray(np.median(values, axis=0))
    with quiet_nan():
        return np.asarray(np.nanmedian(values, axis=0))
