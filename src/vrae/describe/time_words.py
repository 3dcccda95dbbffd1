"""Times in words: months, weekdays, hours of the day, and rough dates such as "mid-2011"."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import time_text
from vrae.describe.curves import quiet_nan
from vrae.describe.portraits import Portraits
from vrae.describe.time_bins import MONTHS, WEEKDAYS

__all__ = ["hours_phrase", "month_of", "months_phrase", "rough_time", "span_of_time", "weekdays_phrase"]

Floats = npt.NDArray[np.floating[Any]]
Found = tuple[str, float] | None  # words, and how clear they are: 0.7 to 1

_PARTS = ("morning", "afternoon", "evening", "night")

_LEAST = 0.35  # standard deviations of a series: by which a part must be above its mean
_CLEAR = 0.8
_MOST = 0.65  # of the series, which must be above their means there
_AS_HIGH = 0.7  # of the highest part: neighbours of this height are named with it
_RIVAL = 0.8  # of the highest part: another peak of this height makes it one of several


def months_phrase(profiles: Floats) -> Found:
    """Say in which months recurring means (n_series, 12) are highest or lowest."""
    profile = _median(profiles)
    occurs = np.flatnonzero(np.isfinite(profile))
    if len(occurs) not in (4, 12):
        return None
    high, low = _run(profiles[:, occurs]), _run(-profiles[:, occurs])
    longest = len(occurs) // 2
    is_high = high is not None and len(high[0]) <= longest
    if low is not None and len(low[0]) <= longest and (high is None or not is_high or low[1] > 1.2 * high[1]):
        return f"Lowest {_months(occurs[low[0]])}", 0.9 * _strength(low[1])
    if high is None or not is_high:
        return None
    return f"{'Peaks' if len(high[0]) <= 2 else 'Highest'} {_months(occurs[high[0]])}", _strength(high[1])


def _months(months: Any) -> str:
    names = [MONTHS[month] for month in months]
    if len(names) <= 2:
        return f"in {' and '.join(names)}"
    return f"from {names[0]} to {names[-1]}"


def weekdays_phrase(profiles: Floats) -> Found:
    """Say on which weekdays recurring means (n_series, 7) are highest."""
    profile = _median(profiles)
    if np.isfinite(profile[:5]).sum() < 5:
        return None
    found = _run(profiles[:, np.isfinite(profile)])
    if found and len(found[0]) == 1:
        return f"Peaks on {WEEKDAYS[found[0][0]]}s", _strength(found[1])
    week, weekend = profile[:5], profile[5:]
    if not np.isfinite(weekend).all():
        return None
    gap = float(weekend.mean() - week.mean())
    if weekend.min() > week.max() and gap >= _LEAST:
        return "Higher on weekends", _strength(gap)
    if weekend.max() < week.min() and gap <= -_LEAST:
        return "Lower on weekends", _strength(-gap)
    return None


def hours_phrase(profiles: Floats) -> Found:
    """Say at which hours recurring means (n_series, 24) are highest."""
    profile = _median(profiles)
    known = np.flatnonzero(np.isfinite(profile))
    if len(known) < 4:
        return None
    hours = np.interp(np.arange(24), known, profile[known], period=24)
    top = int(np.argmax(hours))
    if hours[top] < _LEAST:
        return None
    run = _around(hours, top, 0.5)
    strength = _strength(float(hours[run].mean()))
    middle = _part_of_day(run[len(run) // 2])
    if len(run) >= 7:
        by_day = 6 <= run[0] <= 12 and 12 <= run[-1] <= 20
        by_night = run[0] >= 19 or run[-1] <= 8
        return (
            "Higher by day" if by_day else "Higher at night" if by_night else f"Higher {_in_part(middle)}"
        ), strength
    rest = hours.copy()
    rest[run] = -np.inf
    second = int(np.argmax(rest))
    is_peak = rest[second] >= max(rest[(second - 1) % 24], rest[(second + 1) % 24], 0.6 * hours[top])
    other = _part_of_day(second)
    if is_peak and other != middle and not {(second - 1) % 24, (second + 1) % 24} & set(run):
        first, last = sorted((middle, other), key=_PARTS.index)
        return f"Peaks {_in_part(first)} and {'at night' if last == 'night' else last}", strength
    return f"Peaks {_in_part(middle)}", strength


def _part_of_day(hour: int) -> str:
    return "night" if hour < 5 or hour >= 23 else "morning" if hour < 12 else "afternoon" if hour < 17 else "evening"


def _in_part(part: str) -> str:
    return "at night" if part == "night" else f"in the {part}"


# ------------------------------------------------------------------------------- profiles


def _median(profiles: Floats) -> Floats:
    with quiet_nan():
        return np.asarray(np.nanmedian(profiles, axis=0))


def _run(profiles: Floats) -> tuple[list[int], float] | None:
    """Return the parts around the highest one and their mean height, on a circle.

    None if they are not clearly above the mean, for most series, or another part is as high.
    """
    profile = _median(profiles)
    top = int(np.argmax(profile))
    if profile[top] < _LEAST:
        return None
    run = _around(profile, top, _AS_HIGH)
    others = np.delete(profile, run)
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


def _strength(size: float) -> float:
    return float(np.clip(0.7 + 0.3 * (size - _LEAST) / (_CLEAR - _LEAST), 0.7, 1.0))


# ------------------------------------------------------------------------------- dates


def rough_time(portraits: Portraits, low: float, middle: float, high: float) -> str:
    """Return a rough date for steps of the calendar, "" if they lie too far apart for one."""
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
