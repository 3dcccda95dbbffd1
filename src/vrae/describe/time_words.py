"""Times in words: months, weekdays, hours of the day, and rough dates such as "mid-2011"."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.portraits import Portraits

__all__ = ["MONTHS", "hours_phrase", "months_phrase", "rough_time", "weekdays_phrase"]

Floats = npt.NDArray[np.floating[Any]]

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")

_CLEAR = 0.35  # standard deviations: by which a part must be above the mean
_SURE = 0.8


def months_phrase(profile: Floats) -> tuple[str, float] | None:
    """Say in which months a profile (12,) is highest or lowest, and how clearly (0 to 1)."""
    if np.isfinite(profile).sum() < 12:
        return _quarters_phrase(profile)
    high, low = _run(profile), _run(-profile)
    if high and len(high[0]) <= 6 and (not low or high[1] >= 0.8 * low[1] or len(high[0]) <= len(low[0])):
        return f"{'Peaks' if len(high[0]) <= 3 else 'Highest'} {_span(high[0])}", _strength(high[1])
    if low and len(low[0]) <= 6:
        return f"Lowest {_span(low[0])}", 0.9 * _strength(low[1])
    return None


def _quarters_phrase(profile: Floats) -> tuple[str, float] | None:
    known = np.flatnonzero(np.isfinite(profile))
    if len(known) != 4:
        return None
    found = _run(profile[known])
    if not found or len(found[0]) > 1:
        return None
    return f"Highest in quarter {known[found[0][0]] // 3 + 1}", _strength(found[1])


def weekdays_phrase(profile: Floats) -> tuple[str, float] | None:
    """Say on which weekdays a profile (7,) is highest."""
    if np.isfinite(profile).sum() < 5:
        return None
    week, weekend = profile[:5], profile[5:]
    if np.isfinite(weekend).all():
        gap = float(weekend.mean() - week.mean())
        if min(weekend) > max(week) + 0.1 and gap >= _CLEAR:
            return "Higher on weekends", _strength(gap)
        if max(weekend) < min(week) - 0.1 and gap <= -_CLEAR:
            return "Lower on weekends", _strength(-gap)
    found = _run(np.nan_to_num(profile, nan=-9.0))
    if found and len(found[0]) == 1:
        return f"Peaks on {WEEKDAYS[found[0][0]]}", _strength(found[1])
    return None


def hours_phrase(profile: Floats) -> tuple[str, float] | None:
    """Say at which hours a profile (24,) is highest; hours that do not occur are NaN."""
    known = np.flatnonzero(np.isfinite(profile))
    if len(known) < 4:
        return None
    hours = np.interp(np.arange(24), known, profile[known], period=24)
    found = _run(hours)
    if not found:
        return None
    run, size = found
    strength = _strength(size)
    second = hours.copy()
    second[[h % 24 for h in range(run[0] - 2, run[-1] + 3 + 24 * (run[-1] < run[0]))]] = -9.0
    other = int(np.argmax(second))
    if len(run) <= 5 and second[other] > 0.6 * size and _part_of_day(other) != _part_of_day(_middle(run)):
        parts = sorted((_part_of_day(other), _part_of_day(_middle(run))), key=_PARTS.index)
        if (other - _middle(run)) % 24 not in (1, 2, 22, 23):
            return f"Peaks in the {parts[0]} and {parts[1]}".replace("the night", "night"), strength
    if len(run) >= 7:
        middle = _middle(run)
        return (
            "Higher by day"
            if 9 <= middle <= 17
            else "Higher at night"
            if middle < 6 or middle > 21
            else f"Higher in the {_part_of_day(middle)}"
        ), strength
    part = _part_of_day(_middle(run))
    return f"Peaks {'at night' if part == 'night' else f'in the {part}'}", strength


_PARTS = ("morning", "afternoon", "evening", "night")


def _part_of_day(hour: int) -> str:
    return "night" if hour < 5 or hour >= 23 else "morning" if hour < 12 else "afternoon" if hour < 17 else "evening"


def _middle(run: list[int]) -> int:
    return int(run[len(run) // 2])


def _run(profile: Floats) -> tuple[list[int], float] | None:
    """Return the parts around the highest one that reach half of it, and their mean height.

    The profile is a circle. None if it is not clearly above the mean.
    """
    top = int(np.argmax(profile))
    if not profile[top] >= _CLEAR:
        return None
    n, least = len(profile), profile[top] / 2
    first = last = top
    while last - first + 1 < n and profile[(first - 1) % n] >= least:
        first -= 1
    while last - first + 1 < n and profile[(last + 1) % n] >= least:
        last += 1
    run = [p % n for p in range(first, last + 1)]
    outside = np.delete(profile, run)
    if len(outside) and outside.max() > 0.8 * profile[top]:
        return None  # another peak elsewhere is as high
    return run, float(profile[run].mean())


def _span(months: list[int]) -> str:
    names = [MONTHS[month] for month in months]
    if len(names) == 1:
        return f"in {names[0]}"
    return f"in {names[0]} and {names[1]}" if len(names) == 2 else f"from {names[0]} to {names[-1]}"


def _strength(size: float) -> float:
    return float(np.clip(0.7 + 0.3 * (size - _CLEAR) / (_SURE - _CLEAR), 0.7, 1.0))


def rough_time(portraits: Portraits, low: float, middle: float, high: float) -> str:
    """Return a rough date for steps of the calendar, "" if they lie too far apart for one."""
    first, when, last = (portraits.date(step) for step in (low, middle, high))
    apart = float((last - first) / np.timedelta64(1, "D"))
    whole = float((portraits.date(portraits.n_steps - 1) - portraits.date(0)) / np.timedelta64(1, "D"))
    if apart > 0.25 * whole:
        return ""
    year, month = int(str(when)[:4]), int(str(when)[5:7])
    if whole < 75:
        return f"{int(str(when)[8:10])} {MONTHS[month - 1]}" if apart <= 1 else ""
    if apart <= 45:
        return f"{MONTHS[month - 1]} {year}"
    if apart <= 183:
        return f"{('early', 'mid', 'late')[(month - 1) // 4]} {year}".replace("mid ", "mid-")
    return str(year)
