"""Seasons in words: "highest in November and December (2.6 times its average)"."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vrae.describe.phrases import Phrase, phrases
from vrae.describe.portraits import Portraits
from vrae.describe.seasons import Floats, Levels, Seasons
from vrae.describe.time_words import OFTEN, peaks_of
from vrae.describe.words import joined, plain, whole

__all__ = ["agrees", "level_words", "season_sentence", "standing_out", "told_seasons"]

# The least level that is called high, and the largest that is called low.
_HIGH, _LOW = {True: 1.15, False: 0.3}, {True: 0.85, False: -0.3}
_FLAT = {True: (0.75, 1.33), False: (-0.5, 0.5)}  # of levels that are about the same, if not certain
_MOST_CHANNELS = 8  # of which levels are measured
_MOST_PEAKS = 6  # that are named
_NEAR_PEAK = 0.6  # of the way from the mean to the peak: bins that high belong to it

# For each season: before a single bin, before a run of bins, and what "always" is.
_PREPOSITIONS = {
    "month": ("in", "from", "in every month"),
    "weekday": ("on", "from", "on every weekday"),
    "hour": ("at", "from", "at every hour"),
    "hour of the week": ("on", "from", "all week"),
    "week": ("in the", "from the", "in every week"),
    "day": ("on", "from", "on every day"),
    "business day": ("on", "from", "on every day"),
}
_CYCLES = {"month": "a year", "weekday": "a week", "hour": "a day", "hour of the week": "a week"}
_OTHER = ("in", "from", "all the time")


def level_words(value: float, is_ratio: bool, average: str = " its average") -> str:
    """Return a level relative to the mean in words, such as "2.6 times its average"."""
    if not is_ratio:
        side = "above" if value > 0 else "below"
        return f"{plain(round(abs(value), 1))} standard deviations {side}{average}"
    if value < 0.05:
        return "almost nothing"
    if value >= 1.495:
        return f"{plain(round(value, 1))} times its average"
    percent = whole(100 * (value - 1))
    if percent == 0:
        return "the same as its average"
    return f"{abs(percent)}\N{NO-BREAK SPACE}% {'above' if percent > 0 else 'below'}{average}"


def standing_out(levels: Levels, row: int, channel: int, is_ratio: bool) -> tuple[list[int], list[int]]:
    """Return the bins in which one cluster is clearly high, and those where it is clearly low."""
    values, certain = levels.values[row, channel], levels.certain[row, channel]
    sure = [i for i in range(len(values)) if values[i] == values[i] and certain[i]]
    high = [i for i in sure if values[i] >= _HIGH[is_ratio]]
    return high, [i for i in sure if values[i] <= _LOW[is_ratio]]


def told_seasons(portraits: Portraits, member: npt.NDArray[np.bool_]) -> list[dict[str, Phrase]]:
    """Return for each channel the phrases about months and weekdays, by "month" and "weekday".

    ``member`` (n_sample,) says which series of the portraits are in the cluster.
    """
    channels = range(min(len(portraits.channels), _MOST_CHANNELS))
    found = [phrases(portraits, member, channel) for channel in channels]
    return [{phrase.kind: phrase for phrase in own if phrase.bins} for own in found]


def agrees(seasons: Seasons | None, label: int, phrase: Phrase, channel: int) -> bool:
    """Return whether the levels of a cluster agree with a phrase about months or weekdays."""
    if seasons is None or not phrase.bins or channel >= len(seasons.is_ratio) or label not in seasons.labels:
        return True
    levels = next((profile for profile in seasons.profiles if profile.bins.view == phrase.kind), None)
    row, is_ratio = seasons.labels.index(label), seasons.is_ratio[channel]
    return levels is None or bool(_told(levels, row, channel, is_ratio, phrase))


def _told(levels: Levels, row: int, channel: int, is_ratio: bool, phrase: Phrase) -> list[int]:
    """Return the bins of a phrase, if the levels are on its side; else an empty list."""
    values, certain = levels.values[row, channel], levels.certain[row, channel]
    bins = [levels.bins.names.index(name) for name in phrase.bins if name in levels.bins.names]
    side, centre = (1.0 if phrase.is_high else -1.0), (1.0 if is_ratio else 0.0)
    limit = (_HIGH if phrase.is_high else _LOW)[is_ratio]
    right = [i for i in bins if side * (values[i] - centre) > 0 and (certain[i] or side * (values[i] - limit) >= 0)]
    return bins if right else []


def season_sentence(levels: Levels, row: int, channel: int, is_ratio: bool, phrase: Phrase | None = None) -> str:
    """Say when one cluster is high and low, if its series agree.

    ``row`` is its position in ``Seasons.labels``. ``phrase`` is what its name or description says
    of these bins: the same bins are named here, unless its levels are otherwise.
    """
    values = levels.values[row, channel]
    known = values == values
    if not known.any():
        return f"Too few of its series cover {_CYCLES.get(levels.bins.view, 'the calendar')}."
    always, centre = _PREPOSITIONS.get(levels.bins.view, _OTHER)[2], 1.0 if is_ratio else 0.0
    high, low = standing_out(levels, row, channel, is_ratio)
    told = [] if phrase is None else _told(levels, row, channel, is_ratio, phrase)
    is_high = told and phrase is not None and phrase.is_high
    parts = []
    if high or is_high:
        peak = max(high or told, key=lambda i: values[i])
        run = told if is_high else _run(values, peak, centre, levels.bins.is_seasonal)
        where = _place(levels, run, [] if is_high else _peaks(levels, values, high, centre))
        parts.append(f"highest {where} ({level_words(float(values[run].mean()), is_ratio)})")
    if low or (told and not is_high):
        lowest = min(low or told, key=lambda i: values[i])
        is_hour = levels.bins.view == "hour"  # a single hour says little
        own = _run(-values, lowest, -centre, levels.bins.is_seasonal) if is_hour else [lowest]
        run = told if told and not is_high else own
        where = _place(levels, run, _peaks(levels, -values, low, -centre) if is_hour else [])
        words = level_words(float(values[run].mean()), is_ratio, "" if parts else " its average")
        parts.append(f"lowest {where} ({words})")
    least, most = _FLAT[is_ratio]
    is_flat = all(least < value < most for value in values[known])
    text = ", ".join(parts) or (f"about the same {always}" if is_flat else "no common rhythm: its series differ")
    return f"{text[0].upper()}{text[1:]}."


def _run(values: Floats, peak: int, centre: float, circular: bool) -> list[int]:
    """Return the bins around the peak that are nearly as high, in their order."""
    n = len(values)
    least = centre + _NEAR_PEAK * (values[peak] - centre)
    first = last = peak
    while last - first + 1 < n and (circular or first > 0) and values[(first - 1) % n] >= least:
        first -= 1
    while last - first + 1 < n and (circular or last < n - 1) and values[(last + 1) % n] >= least:
        last += 1
    return [i % n for i in range(first, last + 1)]


def _peaks(levels: Levels, values: Floats, high: list[int], centre: float) -> list[int]:
    """Return those of the ``high`` bins that are peaks of one height, if they are several."""
    if not levels.bins.is_seasonal or not np.isfinite(values).all() or not high:
        return []
    peaks = [i for i in peaks_of(values, centre + _NEAR_PEAK * (max(values[high]) - centre)) if i in high]
    return peaks if len(peaks) >= OFTEN else []


def _place(levels: Levels, run: list[int], peaks: list[int]) -> str:
    """Say when a run of bins is, or several peaks."""
    one, several, _ = _PREPOSITIONS.get(levels.bins.view, _OTHER)
    names = [levels.bins.names[i] for i in peaks or run]
    if len(peaks) > _MOST_PEAKS:
        return f"{len(peaks)} times {_CYCLES[levels.bins.view]}"
    if peaks:
        return f"{one} {joined(names)}"
    if len(names) == 1:
        return f"{one} {names[0]}"
    if len(names) == 2:
        return f"{one} {names[0]} and {names[1]}"
    return f"{several} {names[0]} to {'the ' * several.endswith('the')}{names[-1]}"
