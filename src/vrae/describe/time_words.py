"""Times in words: months, weekdays, hours of the day, and rough dates such as "mid-2011"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vrae.data.arrays import Ints
from vrae.data.calendar import time_text
from vrae.describe.curves import quiet_nan
from vrae.describe.portraits import Portraits
from vrae.describe.time_bins import MONTHS, WEEKDAYS

__all__ = [
    "OFTEN",
    "Told",
    "has_rhythm",
    "hours_phrase",
    "month_of",
    "months_phrase",
    "peaks_of",
    "rough_time",
    "span_of_time",
    "weekdays_phrase",
]

Floats = npt.NDArray[np.floating[Any]]


class Told(NamedTuple):
    """Words, how clear they are (0.7 to 1), and the months or weekdays that are high (or low)."""

    words: str
    clear: float
    bins: tuple[str, ...] = ()
    is_high: bool = True


Found = Told | None

_ORDER = ("first", "second", "third", "fourth")
_PARTS = ("morning", "afternoon", "evening", "night")

_LEAST = 0.35  # standard deviations of a series: by which a part must be above its mean
_CLEAR = 0.8
_MOST = 0.65  # of the series, which must be above their means there
_AS_HIGH = 0.6  # of the highest part: neighbours of this height are named with it
_LONG = 7  # hours that are not a peak
_FEW_HOURS = 11  # hours that are less than half of the day
_TWO = 0.85  # of the series, whose highest months are one of two
_EACH = 0.2  # of the series, at least, for each of them
_LEAST_MONTHS = 9  # that a year must have
_RHYTHM = 0.1  # of the variance of a series: a rhythm that explains less is weak
_NEARLY = 0.1  # of the distance from the mean to 0: what is nearer to 0 may be 0
_TWO_MONTHS = 62  # days
OFTEN = 3
"""Peaks in a day, or a year, that are a rhythm of their own."""
_UNEVEN = 2  # parts by which the distances between such peaks may differ
_NUMBERS = {2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight"}
_RIVAL = 0.8  # of the highest part: another peak of this height makes it one of several


def months_phrase(profiles: Floats) -> Found:
    """Say in which months, or quarters, recurring means (n_series, 12) are highest or lowest."""
    occurs = np.flatnonzero(np.isfinite(profiles).any(axis=0))
    if len(occurs) == 4:
        return _high_or_low(profiles[:, occurs], occurs, _quarters)
    if np.isfinite(_typical(profiles)).sum() < _LEAST_MONTHS:
        return None
    several = None
    if _run(profiles) is None:
        several = _either_month(profiles) or _several_times(_typical(profiles), "a year")
    return several or _high_or_low(profiles, np.arange(12), _months)


def _high_or_low(profiles: Floats, months: Ints, words: Callable[[Any], str]) -> Found:
    """Name the highest parts, whose months are ``months``, or the lowest if they stand out more."""
    high, low = _run(profiles), _run(-profiles)
    longest = np.isfinite(_typical(profiles)).sum() // 2
    is_high = high is not None and len(high[0]) <= longest
    if low is not None and len(low[0]) <= longest and (high is None or not is_high or low[1] > 1.2 * high[1]):
        found = months[low[0]]
        return Told(f"Lowest {words(found)}", 0.9 * _strength(low[1]), _names(found), False)
    if high is None or not is_high:
        return None
    found = months[high[0]]
    return Told(f"{'Peaks' if len(found) <= 2 else 'Highest'} {words(found)}", _strength(high[1]), _names(found))


def _either_month(profiles: Floats) -> Found:
    """Say that some series peak in one month and the others in another one."""
    known = profiles[np.isfinite(profiles).all(axis=1)]
    known = known[known.max(axis=1, initial=-np.inf) >= _LEAST]
    if len(known) < 2 or len(known) < _TWO * len(profiles):
        return None
    top = known.argmax(axis=1)
    one, other = sorted(np.argsort(-np.bincount(top, minlength=12), kind="stable")[:2].tolist())
    parts = [known[top == one], known[top == other]]
    if min(map(len, parts)) < _EACH * len(known) or sum(map(len, parts)) < _TWO * len(known):
        return None
    if min(other - one, 12 + one - other) < 2:  # neighbours are one peak
        return None
    pairs = zip(parts, ([one, other], [other, one]), strict=True)
    heights = [np.median(part[:, months], axis=0) for part, months in pairs]
    if any(away > _AS_HIGH * own for own, away in heights):
        return None  # all of them have both peaks
    clear = _strength(float(min(own for own, _ in heights)))
    return Told(f"Peaks in {MONTHS[one]} or {MONTHS[other]}", clear, _names([one, other]))


def _names(months: Any) -> tuple[str, ...]:
    return tuple(MONTHS[month] for month in months)


def _quarters(months: Any) -> str:
    names = [_ORDER[month // 3] for month in months]
    return f"in the {' and '.join(names)} quarter{'s' if len(names) > 1 else ''}"


def _months(months: Any) -> str:
    names = [MONTHS[month] for month in months]
    if len(names) <= 2:
        return f"in {' and '.join(names)}"
    return f"from {names[0]} to {names[-1]}"


def weekdays_phrase(profiles: Floats, zero: Floats | None = None) -> Found:
    """Say on which weekdays recurring means (n_series, 7) are highest or lowest.

    ``zero`` (n_series,) is what the means are where the series are 0.
    """
    profile = _typical(profiles)
    if np.isfinite(profile[:5]).sum() < 5:
        return None
    high, low = _run(profiles), _run(-profiles)
    if high and len(high[0]) == 1:
        return Told(f"Peaks on {_weekdays(high[0])}", _strength(high[1]), _days_of(high[0]))
    if low and _is_zero(profiles[:, low[0]], zero):
        return Told(f"Zero on {_weekdays(low[0])}", _strength(low[1]), _days_of(low[0]), False)
    week, weekend = profile[:5], profile[5:]
    gap = float(weekend.mean() - week.mean())  # NaN without weekends
    if weekend.min() > week.max() and gap >= _LEAST:
        return Told("Higher on weekends", _strength(gap), WEEKDAYS[5:])
    if weekend.max() < week.min() and gap <= -_LEAST and not (low and len(low[0]) == 1):
        return Told("Lower on weekends", _strength(-gap), WEEKDAYS[5:], False)
    if low and len(low[0]) <= 2:
        return Told(f"Lowest on {_weekdays(low[0])}", _strength(low[1]), _days_of(low[0]), False)
    return None


def _days_of(days: list[int]) -> tuple[str, ...]:
    return tuple(WEEKDAYS[day] for day in days)


def _weekdays(days: list[int]) -> str:
    if days == [5, 6]:
        return "weekends"
    names = [f"{day}s" for day in _days_of(days)]
    return " and ".join(names) if len(names) <= 2 else f"{names[0]} to {names[-1]}"


def hours_phrase(profiles: Floats, zero: Floats | None = None) -> Found:
    """Say at which hours recurring means (n_series, 24) are highest, or lowest if those are few.

    ``zero`` (n_series,) is what the means are where the series are 0.
    """
    profile = _typical(profiles)
    known = np.flatnonzero(np.isfinite(profile))
    if len(known) < 4:
        return None
    hours = np.interp(np.arange(24), known, profile[known], period=24)
    often = _several_times(hours, "a day")
    if often:
        return often
    top = int(np.argmax(hours))
    run = _around(hours, top, 0.5)
    if hours[top] < _LEAST or len(run) > _FEW_HOURS + 1:
        return _low_hours(profiles, hours, known, zero)
    strength = _strength(float(hours[run].mean()))
    middle = _part_of_day(run[len(run) // 2])
    if len(run) >= _LONG:
        return _long_hours(hours, run, strength)
    rest = hours.copy()
    rest[run] = -np.inf
    second = int(np.argmax(rest))
    is_peak = rest[second] >= max(rest[(second - 1) % 24], rest[(second + 1) % 24], 0.6 * hours[top])
    other = _part_of_day(second)
    if is_peak and other != middle and not {(second - 1) % 24, (second + 1) % 24} & set(run):
        first, last = sorted((middle, other), key=_PARTS.index)
        return Told(f"Peaks {_in_part(first)} and {'at night' if last == 'night' else last}", strength)
    return Told(f"Peaks {_in_part(middle)}", strength)


def _long_hours(hours: Floats, run: list[int], strength: float) -> Told:
    """Name many hours by day or at night; where the other hours are fewer, those."""
    low = _around(-hours, int(np.argmin(hours)), 0.5)
    if len(low) < len(run) and len(low) <= _FEW_HOURS and -hours.min() > hours.max():
        return _lower(hours, low, "Lower")
    return Told(f"{'High' if _is_noon(run, hours) else 'Higher'} {_hours(run, hours)}", strength)


def _low_hours(profiles: Floats, hours: Floats, known: Ints, zero: Floats | None) -> Found:
    """Name the few hours that are low where all others are about the same."""
    run = _around(-hours, int(np.argmin(hours)), 0.5)
    if hours.min() > -_LEAST or len(run) > _FEW_HOURS:
        return None
    word = "Zero" if _is_zero(profiles[:, np.intersect1d(run, known)], zero) else "Lower"
    return _lower(hours, run, word)


def _lower(hours: Floats, run: list[int], word: str) -> Told:
    """Say when the run of the lowest hours is, unless others are as low."""
    rest = -hours
    rest[run] = -np.inf
    n = 1 + len(peaks_of(rest, _RIVAL * -float(hours.min())))
    text = f"{word} {_hours(run, -hours)}" if n == 1 else f"{_NUMBERS.get(n, 'Many')} dips a day"
    return Told(text, _strength(float(-hours[run].mean())), is_high=False)


def _hours(run: list[int], hours: Floats) -> str:
    """Return when a run of hours is: "around noon" if it is highest there, with less around."""
    if _is_noon(run, hours):
        return "around noon"
    if 6 <= run[0] <= 12 and 12 <= run[-1] <= 20:
        return "by day"
    return "at night" if run[0] >= 19 or run[-1] <= 8 else _in_part(_part_of_day(run[len(run) // 2]))


def _is_noon(run: list[int], hours: Floats) -> bool:
    """Return whether hours are high around noon and much less at both ends of the day."""
    near = _around(hours, run[int(np.argmax(hours[run]))], 0.85)
    return len(run) <= _FEW_HOURS and len(near) <= 5 and 11 <= near[len(near) // 2] <= 14


def _part_of_day(hour: int) -> str:
    return "night" if hour < 5 or hour >= 23 else "morning" if hour < 12 else "afternoon" if hour < 17 else "evening"


def _in_part(part: str) -> str:
    return "at night" if part == "night" else f"in the {part}"


# ------------------------------------------------------------------------------- profiles


def has_rhythm(profiles: Floats) -> bool:
    """Return whether recurring means (n_series, n_parts) are far from equal in most series."""
    profile = _typical(profiles)
    return bool(np.isfinite(profile).any() and np.nanmean(profile**2) >= _RHYTHM)


def _is_zero(means: Floats, zero: Floats | None) -> bool:
    """Return whether means (n_series, n_parts) are those of series that are 0 there."""
    if zero is None:
        return False
    at_zero = (np.abs(means - zero[:, None]) <= _NEARLY * np.abs(zero)[:, None]).all(axis=1)
    return bool(at_zero.mean() >= _MOST)


def _typical(profiles: Floats) -> Floats:
    """Return the median of each part, NaN where fewer than half of the series have it."""
    with quiet_nan():
        return np.where(np.isfinite(profiles).mean(axis=0) >= 0.5, np.nanmedian(profiles, axis=0), np.nan)


def _run(profiles: Floats) -> tuple[list[int], float] | None:
    """Return the parts around the highest one and their mean height, on a circle.

    None if they are not clearly above the mean, for most series, or another part is as high.
    """
    profile = _typical(profiles)
    top = int(np.argmax(np.nan_to_num(profile, nan=-np.inf)))
    if not profile[top] >= _LEAST:
        return None
    run = _around(profile, top, _AS_HIGH)
    others = np.delete(profile, run)
    others = others[np.isfinite(others)]
    if len(others) and others.max() > _RIVAL * profile[top]:
        return None
    with quiet_nan():
        above = np.nanmean(profiles[:, run], axis=1) > 0
    return (run, float(profile[run].mean())) if above.mean() >= _MOST else None


def _around(profile: Floats, top: int, part: float) -> list[int]:
    """Return the neighbours of a peak on a circle that reach a part of its height."""
    n, least = len(profile), part * profile[top]
    first = last = top
    while last - first + 1 < n and profile[(first - 1) % n] >= least:
        first -= 1
    while last - first + 1 < n and profile[(last + 1) % n] >= least:
        last += 1
    return [p % n for p in range(first, last + 1)]


def peaks_of(line: Floats, least: float) -> list[int]:
    """Return the middle of each run of parts of a circle that reach a height, in their order."""
    high = line >= least
    starts = np.flatnonzero(high & ~np.roll(high, 1)).tolist()
    lengths = [int(np.argmin(np.roll(high, -start))) for start in starts]  # up to the first that is not
    return sorted((start + (n - 1) // 2) % len(line) for start, n in zip(starts, lengths, strict=True))


def _several_times(line: Floats, cycle: str) -> Found:
    """Say how often a day (a year) is high or low, if that is often and at regular intervals.

    A rhythm faster than the day has no time of day.
    """
    if not np.isfinite(line).all():
        return None
    is_high = bool(-line.min() <= 1.2 * line.max())
    own = line if is_high else -line
    peaks = peaks_of(own, max(_LEAST, _AS_HIGH * float(own.max())))
    if len(peaks) < OFTEN or np.ptp(np.diff([*peaks, peaks[0] + len(own)])) > _UNEVEN:
        return None
    number = _NUMBERS.get(len(peaks), "Many")
    words = f"{number} {'peaks' if is_high else 'dips'} {cycle}"
    return Told(words, _strength(float(own[peaks].mean())), is_high=is_high)


def _strength(size: float) -> float:
    return float(np.clip(0.7 + 0.3 * (size - _LEAST) / (_CLEAR - _LEAST), 0.7, 1.0))


# ------------------------------------------------------------------------------- dates


def rough_time(portraits: Portraits, low: float, middle: float, high: float, *, exact: bool = True) -> str:
    """Return a rough date for steps of the calendar, "" if they lie too far apart for one.

    Steps that are not ``exact`` do not get a month in a calendar of several years.
    """
    first, when, last = (portraits.date(step) for step in (low, middle, high))
    apart = _days(last - first)
    whole = _days(portraits.date(portraits.n_steps - 1) - portraits.date(0))
    if apart > 0.25 * whole:
        return ""
    year, month, day = (int(part) for part in str(when.astype("M8[D]")).split("-"))
    if whole <= 100:
        around = "around " if apart > 2 else ""
        return f"{around}{day} {MONTHS[month - 1]}"
    if whole < 500:
        return f"{'around ' if apart > 45 else ''}{MONTHS[month - 1]} {year}"
    if whole > 366 * 12:
        return f"{'around ' if apart > 366 else ''}{year}"
    if exact and apart <= _TWO_MONTHS:
        same = first.astype("M8[M]") == last.astype("M8[M]")
        return f"{'' if same else 'around '}{MONTHS[month - 1]} {year}"
    third = ("early ", "mid-", "late ")[(month - 1) // 4]
    return f"{'around ' if apart > 120 else ''}{third}{year}"


def month_of(time: Any) -> str:
    """Return month and year of a datetime64: "November 2009"."""
    month = time.astype("M8[M]")
    return f"{MONTHS[int(month.astype(np.int64)) % 12]} {month.astype('M8[Y]')}"


def span_of_time(first: Any, last: Any, unit: str) -> str:
    """Return the time from one step to another, local and of steps of a unit, in words."""
    if unit == "months":
        one, other = month_of(first), month_of(last)
    elif unit == "years":
        one, other = (str(time.astype("M8[Y]")) for time in (first, last))
    else:
        one, other = time_text(first, None), time_text(last, None)
    if first != last:
        return f"from {one} to {other}"
    return f"{_ONE.get(unit, 'at')} {one}"


# Before the time of a single step.
_ONE = {"months": "in", "years": "in", "weeks": "in the week of", "days": "on", "business days": "on"}


def _days(difference: Any) -> float:
    return float(difference / np.timedelta64(1, "h")) / 24
