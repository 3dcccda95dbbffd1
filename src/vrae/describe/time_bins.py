"""Bins of time: months, weekdays and hours that come again, and the parts of a calendar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import Calendar, local_times, time_text
from vrae.data.panel import Panel

__all__ = ["MONTHS", "WEEKDAYS", "Bins", "calendar_bins", "seasonal_bins"]

Array = npt.NDArray[Any]

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_DAY = np.timedelta64(1, "D")
_YEAR = 300  # days that are about a year
_MAX_COLUMNS = 120  # of a calendar

# Parts of a calendar: datetime64 unit, hours. A week of datetime64 begins on a Thursday.
_PARTS = {"hour": ("h", 1.0), "day": ("D", 24.0), "week": ("W", 168.0), "month": ("M", 730.5), "year": ("Y", 8766.0)}


@dataclass(frozen=True, eq=False)
class Bins:
    """The bin of every step of a panel.

    Attributes
    ----------
    view : str
        "month", "weekday", "hour" or "hour of the week"; along a calendar "step", "day", ...
    names : tuple of str
        Name of every bin, such as "December" or "week of 2024-12-02".
    codes : ndarray of int64, shape (total_steps,)
        Bin of each step; -1 is none.
    cycles : ndarray of float64, shape (total_steps,)
        Time of each step in cycles of the season: years, weeks or days.
    starts : ndarray of datetime64, shape (n_bins,), optional
        Along a calendar: the time at which each bin begins.
    """

    view: str
    names: tuple[str, ...]
    codes: npt.NDArray[np.int64]
    cycles: npt.NDArray[np.float64]
    starts: Array | None = None

    @property
    def is_seasonal(self) -> bool:
        """Whether the bins come again in every cycle."""
        return self.starts is None


def hours_of_step(calendar: Calendar | None, wall: Array) -> float:
    """Return the hours of a step: those of the calendar, else the usual distance of time stamps."""
    if calendar is not None and isinstance(calendar.freq, str):
        return calendar.hours
    apart = np.diff(wall) / np.timedelta64(1, "h")
    return float(np.median(apart[apart > 0])) if (apart > 0).any() else float("inf")


def seasonal_bins(calendar: Calendar | None, wall: Array) -> Iterator[Bins]:
    """Yield the seasons that these local times can show.

    Months need steps of at most a month, over about a year. Weekdays need steps of days or less,
    over two weeks. Hours need steps of at most six hours, over two days.
    """
    hours, days = hours_of_step(calendar, wall), _days(wall)
    middle = middle_of_steps(calendar, wall, hours)
    if hours <= 31 * 24 and days >= _YEAR:
        month = middle.astype("M8[M]").astype(np.int64) % 12
        yield Bins("month", MONTHS, month, _cycles(middle, 365.25))
    day = wall.astype("M8[D]")
    weekday = (day.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    if hours < 48 and days >= 13:  # days of business have 33.6 hours
        yield Bins("weekday", WEEKDAYS, weekday, _cycles(wall, 7))
    width = max(1, round(hours)) if hours <= 6 else 24
    if width <= 6 and 24 % width == 0 and days > 2 - 1.5 * hours / 24:
        hour = (wall - day) // np.timedelta64(width, "h")
        names = tuple(f"{start:02d}:00" for start in range(0, 24, width))
        yield Bins("hour", names, hour, _cycles(wall, 1))
        if days >= 13:
            both = tuple(f"{name} {start}" for name in WEEKDAYS for start in names)
            yield Bins("hour of the week", both, weekday * len(names) + hour, _cycles(wall, 7))


def calendar_bins(panel: Panel, wall: Array) -> Bins | None:
    """Return the shortest parts of the calendar of which it has at most 120. None for a single one.

    ``wall`` are the local times of all steps.
    """
    calendar, hours = panel.calendar, hours_of_step(panel.calendar, wall)
    found = None if calendar is None else _steps(panel, calendar)
    middle = middle_of_steps(calendar, wall, hours)
    for view, (unit, size) in _PARTS.items():
        if found is not None:
            break
        if size >= 0.9 * hours:
            found = _parts(view, unit, middle if size > hours else wall)
    return found if found is not None and len(found.names) > 1 else None


def middle_of_steps(calendar: Calendar | None, wall: Array, hours: float) -> Array:
    """Return a time within each step: the middle of a week, which decides its month."""
    if not 2 * 24 <= hours <= 15 * 24:
        return wall
    half = np.timedelta64(round(1800 * hours), "s")
    ends = calendar is not None and calendar.ends  # named by the last day, which is part of the step
    return np.asarray(wall.astype("M8[s]") + (_DAY - half if ends else half))


def _days(wall: Array) -> float:
    return float((wall.max() - wall.min()) / _DAY)


def _cycles(wall: Array, days: float) -> npt.NDArray[np.float64]:
    return np.asarray((wall - wall.min()) / _DAY / days)


def _steps(panel: Panel, calendar: Calendar) -> Bins | None:
    """Return the steps of the calendar themselves; None if there are too many."""
    times = np.asarray(panel.times)
    if calendar.freq is None:
        return None
    cells = calendar.cells(times)
    n_steps = int(cells.max() - cells.min()) + 1
    if n_steps > _MAX_COLUMNS:
        return None
    steps = calendar.times(cells.min() + np.arange(n_steps), times)
    starts = local_times(steps, panel.zone)
    unit = calendar.unit
    view = unit[:-1] if unit != "steps" else "step"
    names = tuple(_name(view, start, calendar.ends) for start in starts)
    return Bins(view, names, cells - cells.min(), np.zeros(len(times)), starts)


def _parts(view: str, unit: str, wall: Array) -> Bins | None:
    """Return the parts of one length from first to last time; None if there are too many."""
    number = _number(wall, unit)
    n_parts = int(number.max() - number.min()) + 1
    if n_parts > _MAX_COLUMNS and view != "year":
        return None
    starts = _start(number.min() + np.arange(n_parts), unit)
    return Bins(view, tuple(_name(view, s) for s in starts), number - number.min(), np.zeros(len(wall)), starts)


def _number(wall: Array, unit: str) -> npt.NDArray[np.int64]:
    if unit == "W":
        return (wall.astype("M8[D]").astype(np.int64) + 3) // 7  # from Monday to Sunday
    return wall.astype(f"M8[{unit}]").astype(np.int64)


def _start(number: npt.NDArray[np.int64], unit: str) -> Array:
    if unit == "W":
        return (7 * number - 3).astype("M8[D]").astype("M8[s]")
    return number.astype(f"M8[{unit}]").astype("M8[s]")


def _name(view: str, start: Any, ends: bool = False) -> str:
    """Return a bin in words, such as "December 2024" or "week of 2024-12-02"."""
    if view == "month":
        return f"{MONTHS[int(start.astype('M8[M]').astype(int)) % 12]} {start.astype('M8[Y]')}"
    if view == "year":
        return str(start.astype("M8[Y]"))
    text = time_text(start, None)
    if view == "week":
        return f"week {'ending' if ends else 'of'} {text}"
    if view in ("day", "business day"):
        return f"{WEEKDAYS[int((start.astype('M8[D]').astype(np.int64) + 3) % 7)]} {text}"
    return text
