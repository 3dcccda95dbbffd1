"""What is true of the series of a cluster, as short phrases: "Peaks in December", "Declining"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.curves import quiet_nan
from vrae.describe.portraits import Portraits
from vrae.describe.shapes import shape_phrase
from vrae.describe.time_words import hours_phrase, months_phrase, rough_time, weekdays_phrase

__all__ = ["Phrase", "phrases"]

Floats = npt.NDArray[np.floating[Any]]

_FEW = 3  # values: a series with fewer has no shape
_MOST = 0.7  # of the series of a cluster, for which a phrase must hold


@dataclass(frozen=True)
class Phrase:
    """Something that is true of most series of a cluster.

    ``weight`` (0 to 1) says how much it tells, by its kind and by how clear it is. ``alone`` is for
    series of which nothing else can be said.
    """

    kind: str
    text: str
    weight: float
    alone: bool = False


def phrases(portraits: Portraits, member: npt.NDArray[np.bool_], channel: int) -> list[Phrase]:
    """Return what is true of the members in one channel, the most telling first."""
    group = _Group(portraits, member, channel)
    alone = _without_shape(group)
    found = [alone] if alone else [p for make in _KINDS for p in make(group)]
    return sorted(found, key=lambda phrase: -phrase.weight)


@dataclass(frozen=True)
class _Group:
    """The members of a cluster, in one channel."""

    portraits: Portraits
    member: npt.NDArray[np.bool_]
    channel: int

    def values(self, name: str) -> Floats:
        """Return a number of each member, shape (n_members,)."""
        return self.portraits.numbers[name][self.member, self.channel]

    def median(self, name: str) -> float:
        with quiet_nan():
            return float(np.nanmedian(self.values(name)))

    def quantiles(self, name: str, *at: float) -> list[float]:
        return [float(q) for q in np.nanquantile(self.values(name), at)]

    def profile(self, name: str) -> Floats | None:
        """Return the median recurring means (n_parts,), NaN for a part that does not occur.

        None without, or if fewer than half of the members have any.
        """
        means = self.portraits.recurring.get(name)
        if means is None:
            return None
        own = means[self.member, self.channel]
        known = ~np.isnan(own).all(axis=1)
        if known.mean() < 0.5:
            return None
        with quiet_nan():
            return np.asarray(np.nanmedian(own[known], axis=0))

    @property
    def ever(self) -> float:
        """Steps of the calendar."""
        return float(self.portraits.n_steps)


def _without_shape(group: _Group) -> Phrase | None:
    """Return the phrase for series without values, with a few, or all equal."""
    known, active = group.values("known"), group.values("active")
    unit = group.portraits.unit
    if np.mean(known == 0) > _MOST:
        return Phrase("few", "No values", 1.0, alone=True)
    if np.mean(known <= _FEW) >= _MOST:
        what = f"Only {_range(known)} {'values' if unit == 'steps' else unit}"
        return Phrase("few", _singular(what), 1.0, alone=True)
    if np.mean(active == 0) > _MOST:
        return Phrase("constant", "Always zero", 1.0, alone=True)
    if np.mean(active <= _FEW) >= _MOST:
        what = f"Active in only {_range(active)} {unit}"
        return Phrase("few", _singular(what), 1.0, alone=True)
    if np.mean(group.values("spread") <= 1e-6 * np.abs(group.values("level"))) > _MOST:
        return Phrase("constant", "Constant", 1.0, alone=True)
    return None


def _range(numbers: Floats) -> str:
    low, high = (round(float(q)) for q in np.quantile(numbers[numbers > 0], (0.05, 0.95)))
    high = min(high, _FEW) if np.mean(numbers <= _FEW) >= _MOST else high
    low = max(1, min(low, high))
    return f"{low}" if low == high else f"{low} {'or' if high == low + 1 else 'to'} {high}"


def _singular(text: str) -> str:
    return text.removesuffix("s") if " 1 " in text and " or " not in text and " to " not in text else text


# ------------------------------------------------------------------------------- kinds of phrases


def _seasons(group: _Group) -> Iterator[Phrase]:
    for name, weight, words in (
        ("month", 0.95, months_phrase),
        ("weekday", 0.85, weekdays_phrase),
        ("hour", 0.85, hours_phrase),
    ):
        profile = group.profile(name)
        found = None if profile is None else words(profile)
        if found:
            yield Phrase(name, found[0], weight * found[1])


def _lifecycle(group: _Group) -> Iterator[Phrase]:
    portraits = group.portraits
    if not portraits.aligned:
        return
    last = group.ever - 1
    late, soon = 0.12 * last, 0.88 * last
    begins, ends = group.values("begin"), group.values("finish")
    is_launched, is_ended = np.mean(begins > late) >= _MOST, np.mean(ends < soon) >= _MOST
    start = _when(group, "begin") if is_launched else ""
    end = _when(group, "finish") if is_ended else ""
    if start and end and start == end:
        yield Phrase("life", f"Only in {start}", 0.92)
    elif start and end:
        yield Phrase("life", f"Only {start} to {end}", 0.92)
    elif start:
        yield Phrase("life", f"Launched in {start}{_growth_after(group)}", 0.9)
    elif end:
        yield Phrase("life", f"Ended in {end}", 0.9)
    lasts = group.median("finish") - group.median("begin") + 1
    if is_launched and is_ended and not (start and end) and lasts < 0.5 * group.ever:
        yield Phrase("life", "Come and gone at different times", 0.8)
    elif is_launched and not is_ended and not start:
        yield Phrase("life", f"Launched later{_growth_after(group)}", 0.7)
    elif is_ended and not is_launched and not end:
        yield Phrase("life", "Ended early", 0.7)


def _when(group: _Group, name: str) -> str:
    low, middle, high = group.quantiles(name, 0.15, 0.5, 0.85)
    return rough_time(group.portraits, low, middle, high)


def _growth_after(group: _Group) -> str:
    growth = group.median("growth")
    return ", growing" if growth >= 0.4 else ", declining" if growth <= -0.4 else ""


def _growth(group: _Group) -> Iterator[Phrase]:
    low, middle, high = group.quantiles("growth", 0.25, 0.5, 0.75)
    clear = low > 0.2 if middle > 0 else high < -0.2
    if clear and abs(middle) >= 0.4:
        dated = group.portraits.calendar is not None
        words = ("Growing", "Declining") if dated else ("Rises", "Falls")
        yield Phrase("growth", words[middle < 0], 0.85 * _clear(abs(middle), 0.4, 0.6))


def _zeros(group: _Group) -> Iterator[Phrase]:
    zeros, unit = group.median("zeros"), group.portraits.unit
    low, high = group.quantiles("zeros", 0.2, 0.8)
    yearly = group.portraits.steps_per_year >= 12
    if zeros >= 0.8 and low > 0.6:
        where = "" if unit == "steps" else f" in a few {unit}" + (" a year" if yearly and unit != "hours" else "")
        yield Phrase("zeros", f"Active{where}" if where else "Mostly zero", 0.8 * _clear(zeros, 0.8, 0.85))
    elif zeros >= 0.4 and low > 0.2:
        yield Phrase("zeros", "Often zero" if unit == "steps" else f"Many {unit} without any", 0.55)
    elif zeros <= 0.05 and high < 0.2:
        yield Phrase("zeros", "Never zero" if unit == "steps" else f"Active nearly every {unit[:-1]}", 0.35)


def _shape(group: _Group) -> Iterator[Phrase]:
    portraits = group.portraits
    if group.median("active") < 6:
        return
    found = shape_phrase(portraits.shapes[group.member, group.channel])
    if found:
        yield Phrase("shape", found[0], (0.5 if portraits.aligned else 0.75) * found[1])


def _texture(group: _Group) -> Iterator[Phrase]:
    if group.median("active") < 6:
        return
    cycles, rough = group.median("cycles"), group.median("roughness")
    spiky, season = group.median("spikiness"), group.median("season")
    if season >= 0.6 and cycles >= 3:
        yield Phrase("texture", "Many quick waves" if cycles > 12 else "Regular waves", 0.6)
    elif spiky > 5:
        yield Phrase("texture", "Single sharp spikes", 0.5 * _clear(spiky, 5, 6))
    elif rough > 0.9:
        yield Phrase("texture", "Many quick swings", 0.45)
    elif cycles >= 8:
        yield Phrase("texture", "Many swings", 0.4)
    elif rough < 0.2:
        yield Phrase("texture", "Smooth", 0.35)


def _steady(group: _Group) -> Iterator[Phrase]:
    level, spread = group.values("level"), group.values("spread")
    with np.errstate(divide="ignore", invalid="ignore"):
        varies = float(np.nanmedian(spread / np.abs(level)))
    if varies < 0.5 and abs(group.median("growth")) < 0.3 and group.median("level") > 0:
        yield Phrase("steady", "Steady", 0.4)


def _gaps(group: _Group) -> Iterator[Phrase]:
    if group.median("missing") >= 0.3:
        yield Phrase("gaps", "Many gaps", 0.3)


_KINDS = (_seasons, _lifecycle, _growth, _zeros, _shape, _texture, _steady, _gaps)


def _clear(value: float, least: float, enough: float) -> float:
    """Return how clear a value above ``least`` is: 0.7 at least, 1 from ``enough`` on."""
    return float(np.clip(0.7 + 0.3 * (value - least) / (enough - least), 0.7, 1.0))
