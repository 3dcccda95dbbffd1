"""What is true of the series of a cluster, as short phrases: "Peaks in December", "Declining"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.portraits import Portraits, middle_of
from vrae.describe.shapes import shape_phrase
from vrae.describe.time_words import (
    Told,
    has_rhythm,
    hours_phrase,
    month_of,
    months_phrase,
    rough_time,
    weekdays_phrase,
)

__all__ = ["ALONE", "FEW", "Phrase", "phrases"]

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

ALONE = ("few", "constant")
"""Kinds of phrases after which nothing else can be said."""

FEW = 3
"""A series of no more values has no shape."""

_SHAPED = 6  # values that are not 0: fewer have no shape in words
_LONG = 20  # values: in fewer, a few are always a large part
_MOST = 0.7  # of the series of a cluster, for which a phrase must hold
_SPIKY = 5.0  # standard deviations of a series: the highest or lowest value of a few spikes
_TREND = 0.6  # rank correlation with time: a clear trend, also of a dozen values
_WAVES = 0.6  # autocorrelation of regular waves
_ALIKE = 0.6  # correlation between the months of two years: less can be chance
_EDGE = 0.12  # of the calendar: what begins or ends within it has been there all the time

_RHYTHMS = {"month": "Yearly rhythm", "weekday": "Weekly rhythm", "hour": "Daily rhythm"}
_LEAST_ZEROS = {"weekday": 1 / 7, "hour": 1 / 24}  # of the values: one weekday, or one hour

# Numbers of steps that ranges are rounded to, so that they stay when a few series come or go.
_ROUND = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)


@dataclass(frozen=True)
class Phrase:
    """Something that is true of most series of a cluster.

    ``weight`` (0 to 1) says how much it tells, by its kind and by how clear it is. ``bins`` are the
    months or weekdays of which a phrase of this kind speaks; ``is_high`` is whether series are high
    or low then.
    """

    kind: str
    text: str
    weight: float
    bins: tuple[str, ...] = ()
    is_high: bool = True


def phrases(portraits: Portraits, member: Mask, channel: int) -> list[Phrase]:
    """Return what is true of the members, at least one, in a channel; the most telling first."""
    group = _Group(portraits, member, channel)
    alone = _without_shape(group)
    if alone:
        return [alone]
    recurring = list(_recurring(group))
    if not any(phrase.kind == "month" for phrase in recurring):
        recurring += _once(group)
    shape = [] if recurring else [*_shape(group), *(_steady(group) or _all_year(group))]
    found = [*recurring, *shape, *(phrase for make in _KINDS for phrase in make(group))]
    if any(phrase.kind == "life" for phrase in found):
        told = ("growth",) if _lives_for_years(group) else ("growth", "month")  # by the start or the end itself
        found = [phrase for phrase in found if phrase.kind not in told and phrase.text not in ("Rises", "Falls")]
    if portraits.calendar is None and any(phrase.kind == "shape" for phrase in shape):
        found = [phrase for phrase in found if phrase.kind != "growth"]  # the shape says more
    return sorted(found, key=lambda phrase: -phrase.weight) or [Phrase("none", "No common pattern", 0.1)]


@dataclass(frozen=True)
class _Group:
    """The members of a cluster, in one channel."""

    portraits: Portraits
    member: Mask
    channel: int

    @property
    def unit(self) -> str:
        """Plural of a step, or "values" without dates."""
        return "values" if self.portraits.unit == "steps" else self.portraits.unit

    @property
    def n_steps(self) -> float:
        """Steps of the calendar."""
        return float(self.portraits.n_steps)

    def values(self, name: str) -> Floats:
        """Return a number of each member, shape (n_members,)."""
        return self.portraits.numbers[name][self.member, self.channel]

    def median(self, name: str) -> float:
        return middle_of(self.values(name))

    def quantiles(self, name: str, *at: float) -> list[float]:
        values = self.values(name)
        return [float(q) for q in np.quantile(values[~np.isnan(values)], at)]

    def profiles(self, name: str) -> Floats | None:
        """Return recurring means (n_known, n_parts); None if fewer than half of them are known."""
        means = self.portraits.recurring.get(name)
        if means is None:
            return None
        own = means[self.member, self.channel]
        known = ~np.isnan(own).all(axis=1)
        return own[known] if known.mean() >= 0.5 else None

    def at_zero(self, name: str) -> Floats:
        """Return what the `profiles` of series are where they are 0, shape (n_known,)."""
        known = ~np.isnan(self.portraits.recurring[name][self.member, self.channel]).all(axis=1)
        level, spread = self.values("level")[known], self.values("deviation")[known]
        return np.asarray(-level / np.where(spread > 0, spread, np.nan))


# ------------------------------------------------------------------------------- no shape


def _without_shape(group: _Group) -> Phrase | None:
    """Return the phrase for series without values, with a few, or with equal ones."""
    known, active, dated = group.values("known"), group.values("active"), group.unit != "values"
    if np.mean(known == 0) > _MOST:
        return Phrase("few", "No values", 1.0)
    if np.mean(known <= FEW) >= _MOST:
        count = _counted(known, group.unit, outer=0.05)
        return Phrase("few", f"Seen in {count} only" if dated else f"Only {count}", 1.0)
    if np.mean(active == 0) > _MOST:
        return Phrase("constant", "Always zero", 1.0)
    if np.mean(active <= FEW) >= _MOST:
        return Phrase("few", f"Active in {_counted(active, group.unit, outer=0.05)} only", 1.0)
    if np.mean(group.values("spread") <= 1e-6 * np.abs(group.values("level"))) > _MOST:
        return Phrase("constant", "Constant", 1.0)
    return None


def _counted(numbers: Floats, unit: str, outer: float = 0.1) -> str:
    """Return the usual range of numbers with their unit: "1 or 2 weeks"."""
    low, high = (float(q) for q in np.quantile(numbers[numbers > 0], (outer, 1 - outer)))
    least = max((n for n in _ROUND if n <= low + 0.5), default=1)
    most = min((n for n in _ROUND if n >= high - 0.5), default=round(high))
    if least == most:
        return f"{least} {unit.removesuffix('s') if least == 1 else unit}"
    return f"{least} {'or' if most == least + 1 else 'to'} {most} {unit}"


# ------------------------------------------------------------------------------- time


def _recurring(group: _Group) -> Iterator[Phrase]:
    """Say what comes again every year, week or day."""
    for name, weight in (("month", 0.95), ("weekday", 0.88), ("hour", 0.85)):
        profiles = group.profiles(name)
        if profiles is None or (name == "month" and not _years_are_alike(group)):
            continue
        found = months_phrase(profiles) if name == "month" else _week_or_day(group, name, profiles)
        if found:
            yield Phrase(name, found.words, weight * found.clear, found.bins, found.is_high)
        elif has_rhythm(profiles):
            yield Phrase(name, _RHYTHMS[name], 0.6)


def _years_are_alike(group: _Group) -> bool:
    """Return whether months are high and low in the same order in all years, for most series."""
    alike = group.portraits.recurring.get("alike")
    if alike is None:
        return True  # portraits of an older model
    return not middle_of(alike[group.member, group.channel, 0]) < _ALIKE


def _week_or_day(group: _Group, name: str, profiles: Floats) -> Told | None:
    words = weekdays_phrase if name == "weekday" else hours_phrase
    found = words(profiles, group.at_zero(name))
    if found and found.words.startswith("Zero") and group.median("zeros") < 0.9 * _LEAST_ZEROS[name]:
        return words(profiles)
    return found


def _once(group: _Group) -> Iterator[Phrase]:
    """Say in which month of which year series are high or low, if that is not so every year."""
    month, burst = group.values("once"), group.values("burst")
    side = np.sign(burst)
    high = bool(np.mean(side > 0) >= _MOST)
    if not high and np.mean(side < 0) < _MOST:
        return
    words = "High" if high else "Low"
    common = middle_of(month)
    if np.mean((month == common) & ((side > 0) == high)) >= _MOST:
        yield Phrase("once", f"{words} in {month_of(np.datetime64(int(common), 'M'))}", 0.8)
    else:
        yield Phrase("once", f"{words} in single months", 0.55)


def _lifetime(group: _Group) -> Iterator[Phrase]:
    """Say when series begin and end, if that is long after the first or before the last date."""
    if not group.portraits.aligned:
        return
    begin, finish = group.values("begin"), group.values("finish")
    # A series that is seldom active begins late and ends early by chance.
    gap = np.maximum(_EDGE * group.n_steps, 3 * (finish - begin + 1) / np.maximum(group.values("active"), 1))
    late, early = begin > gap, finish < group.n_steps - 1 - gap
    is_launched, is_ended = np.mean(late) >= _MOST, np.mean(early) >= _MOST
    start = _when(group, "first", "begin") if is_launched else ""
    end = _when(group, "last", "finish") if is_ended else ""
    change = np.nan_to_num(group.median("since"))
    trend = ", growing" if change >= 0.4 else ", declining" if change <= -0.4 else ""
    if start and end:
        until = "" if start == end else f" to {end.removeprefix('around ')}"
        yield Phrase("life", f"Only {start}{until}" if until else f"Only {_in(start)}", 0.92)
    elif is_launched and not is_ended:
        yield Phrase("life", f"Launched {_in(start) or 'late'}{trend}", 0.92 if start else 0.7)
    elif is_ended and not is_launched:
        yield Phrase("life", f"Ended {_in(end) or 'early'}", 0.92 if end else 0.7)
    yield from _short(group, late, early)


def _lives_for_years(group: _Group) -> bool:
    """Return whether most series are active for two years or more."""
    active = group.values("finish") - group.values("begin") + 1
    return bool(np.mean(active >= 1.95 * group.portraits.steps_per_year) >= _MOST)


def _in(time: str) -> str:
    """Return a rough time with its preposition, "" without one."""
    return time if not time or time.startswith("around") else f"in {time}"


def _when(group: _Group, observed: str, active: str) -> str:
    """Return when series begin or end: with their first or last value, or the one that is not 0."""
    steps, last = group.values(observed), group.n_steps - 1
    edge = _EDGE * last
    at_the_edge = (steps <= edge) if observed == "first" else (steps >= last - edge)
    name = active if at_the_edge.mean() > 1 - _MOST else observed
    return rough_time(group.portraits, *group.quantiles(name, 0.15, 0.5, 0.85))


def _short(group: _Group, late: Mask, early: Mask) -> Iterator[Phrase]:
    length = group.values("length")
    if np.quantile(length, 0.9) > 0.5 * group.n_steps:
        return
    low, high = np.quantile(length, (0.1, 0.9))
    count = _counted(length, group.unit)
    if low < 0.4 * high:
        count = f"up to {count.split(' to ')[-1]}"
    one_side = np.mean(late ^ early)
    if one_side >= _MOST and 0.2 <= np.mean(late & ~early) <= 0.8:
        yield Phrase("short", f"New or ended, {count}", 0.85)
    else:
        yield Phrase("short", f"Lasts {count}", 0.8)


def _growth(group: _Group) -> Iterator[Phrase]:
    growth, middle = group.values("growth"), group.median("growth")
    if abs(middle) >= 0.25 and np.mean(np.sign(growth) == np.sign(middle)) >= 0.8:
        dated = group.portraits.calendar is not None
        words = ("Growing", "Declining") if dated else ("Rises", "Falls")
        yield Phrase("growth", words[middle < 0], 0.85 * _clear(abs(middle), 0.25, 0.4))


def _all_year(group: _Group) -> list[Phrase]:
    if group.profiles("month") is None or abs(group.median("growth")) > 0.25 or not _stay(group):
        return []
    if np.mean(group.values("zeros") < 0.5) >= _MOST and not any(_concentrated(group)):
        return [Phrase("year", "All year round", 0.5)]
    return []


def _stay(group: _Group) -> bool:
    """Return whether most series have no clear trend: growth and decline do not cancel out."""
    return bool(np.mean(np.abs(group.values("growth")) < _TREND) >= _MOST)


# ------------------------------------------------------------------------------- values


def _seldom(group: _Group) -> Iterator[Phrase]:
    """Say how often series are zero, if that is often."""
    zeros, unit = group.median("zeros"), group.unit
    low, high = group.quantiles("zeros", 0.2, 0.8)
    if zeros >= 0.8 and low > 0.6:
        few = group.quantiles("active", 0.9)[0] <= 12
        a_year = " a year" if group.portraits.steps_per_year >= 12 and unit in ("weeks", "months", "days") else ""
        where = f"{_counted(group.values('active'), unit)} only" if few else f"a few {unit}{a_year}"
        text = "Mostly zero" if unit == "values" and not few else f"Active in {where}"
        yield Phrase("zeros", text, 0.85 * _clear(zeros, 0.8, 0.85))
    elif zeros >= 0.5 and low > 0.3:
        yield Phrase("zeros", "Often zero" if unit == "values" else f"Zero in most {unit}", 0.5)
    elif zeros <= 0.05 and high < 0.2 and np.nanquantile(group.portraits.numbers["zeros"], 0.8) > 0.3:
        yield Phrase("zeros", "Seldom zero" if unit == "values" else f"Active nearly every {unit[:-1]}", 0.4)


def _concentrated(group: _Group) -> Iterator[Phrase]:
    """Say that a few steps make up half of the total."""
    half, length = group.median("half"), group.median("length")
    if length >= _LONG and half <= min(6, 0.15 * length) and group.median("zeros") < 0.85:
        count = f"1 or 2 {group.unit}" if half <= 2 else f"a few {group.unit}"
        what = "volume" if group.portraits.counts else "total"
        yield Phrase("half", f"Half the {what} in {count}", 0.6)


def _shape(group: _Group) -> Iterator[Phrase]:
    if group.median("active") < _SHAPED:
        return
    portraits = group.portraits
    found = shape_phrase(portraits.shapes[group.member, group.channel])
    if found is None:
        return
    place = "" if found.place is None else f" {found.place}"
    if portraits.aligned and found.at is not None:
        place = ""
        if group.quantiles("length", 0.2)[0] >= 0.9 * group.n_steps:
            at = found.at * (group.n_steps - 1)
            when = rough_time(portraits, at, at, at, exact=False)
            place = f" {_in(when)}"
    weight = 0.5 if portraits.aligned else 0.75
    yield Phrase("shape", f"{found.text}{place}", weight * found.strength)


def _texture(group: _Group) -> Iterator[Phrase]:
    if group.median("active") < _SHAPED or group.median("zeros") >= 0.4:
        return  # what goes down to zero again and again is told by its zeros
    dated = group.portraits.calendar is not None
    cycles, rough = group.median("cycles"), group.median("roughness")
    spiky, season = group.median("spikiness"), group.median("season")
    if spiky > _SPIKY:
        yield Phrase("texture", "A few sharp spikes", 0.55 * _clear(spiky, _SPIKY, _SPIKY + 1))
    elif season >= _WAVES and cycles >= 2.5:
        yield Phrase("texture", f"{_several(cycles)} regular waves", 0.6)
    elif rough > 0.8:
        unit = group.unit.removesuffix("s")
        text = "Many quick swings" if unit == "value" else f"Up and down from {unit} to {unit}"
        yield Phrase("texture", text, 0.42)
    elif cycles >= 1.5:
        smooth = " smooth" if rough < 0.2 else ""
        yield Phrase("texture", f"{_several(cycles)}{smooth} swings", 0.35 if dated else 0.5)


def _several(number: float) -> str:
    for most, words in ((2.5, "About 2"), (3.5, "About 3"), (5.5, "4 or 5"), (8.5, "6 to 8")):
        if number <= most:
            return words
    return "Many"


def _steady(group: _Group) -> list[Phrase]:
    if group.median("spikiness") > _SPIKY or (group.median("season") >= _WAVES and group.median("cycles") >= 2.5):
        return []
    level, spread = group.values("level"), group.values("spread")
    varies = np.divide(spread, np.abs(level), out=np.full(level.shape, np.inf), where=level != 0)
    is_flat = np.mean(varies < 0.6) >= _MOST and abs(group.median("growth")) < 0.3 and _stay(group)
    if is_flat and group.median("half") > 0.2 * group.median("length"):
        return [Phrase("steady", "Steady", 0.6)]
    return []


def _gaps(group: _Group) -> Iterator[Phrase]:
    if group.median("missing") >= 0.3:
        yield Phrase("gaps", "Many gaps", 0.35)


_KINDS = (_lifetime, _growth, _seldom, _concentrated, _texture, _gaps)


def _clear(value: float, least: float, enough: float) -> float:
    """Return how clear a value above ``least`` is: 0.7 at least, 1 from ``enough`` on."""
    return float(np.clip(0.7 + 0.3 * (value - least) / (enough - least), 0.7, 1.0))
