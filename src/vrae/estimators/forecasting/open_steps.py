"""Steps of a week that occur in the data: a shop has no Sundays, and no nights.

Forecasts skip the other steps. Holidays follow no such rule, so a warning names what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import Calendar, day_times, local_times, time_text
from vrae.data.offsets import is_tick, kind_of_step, offset_of
from vrae.exceptions import name_some

__all__ = ["OpenSteps", "date_notes"]

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

# A step of the week is closed if it could have occurred at least this many times, and never did ...
_LEAST_CHANCES = 3
# ... which happens to less than this many of all steps of a week by chance.
_BY_CHANCE = 0.01
# Steps of the week occur at least as often as this quantile of those that do occur.
_RARE = 0.05

_DAY = np.timedelta64(1, "D")
_DAY_NAMES = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


@dataclass(frozen=True)
class OpenSteps:
    """The steps of a week, and which of them never occur.

    Parameters
    ----------
    per_day : int
        Number of steps of a day.
    closed : tuple of int
        Steps without values, from 0, the first of a Monday.
    """

    per_day: int
    closed: tuple[int, ...] = ()

    @classmethod
    def find(cls, calendar: Calendar, times: npt.NDArray[Any], observed: Mask) -> Self | None:
        """Return the open steps of a calendar. None if it has no steps of a day, or all are open.

        Parameters
        ----------
        calendar : Calendar
        times : ndarray, shape (n_steps,)
            Its steps, from the first to the last.
        observed : ndarray of bool, shape (n_steps,)
            Whether any series has a value.
        """
        per_day = _steps_per_day(calendar)
        if per_day is None:
            return None
        every = cls(per_day)
        step = every.step_of_week(times, calendar)
        day = np.cumsum(np.diff(step // per_day, prepend=step[0] // per_day) != 0)
        seen_days = np.bincount(day, observed) > 0
        day_of_week = step[np.unique(day, return_index=True)[1]] // per_day
        closed = np.zeros((7, per_day), bool)
        closed |= _never(day_of_week, seen_days, 7)[:, None]
        if per_day > 1:
            closed |= _never(step % per_day, observed, per_day)
            closed |= _never(step, observed, 7 * per_day).reshape(7, per_day)
        if closed.any():
            closed.ravel()[np.setdiff1d(np.arange(closed.size), step)] = len(times) > 7 * per_day  # of business days
        found = cls(per_day, tuple(np.flatnonzero(closed).tolist()))
        return found if found.closed else None

    def step_of_week(self, times: npt.NDArray[Any], calendar: Calendar) -> Ints:
        """Return the number of each step in its week on the clock of the calendar, from 0."""
        wall = (day_times if self.per_day == 1 else local_times)(times, calendar.zone)
        days = wall.astype("M8[D]")
        within = (wall - days) * self.per_day // _DAY
        return np.asarray((days.astype(np.int64) + 3) % 7 * self.per_day + within, np.int64)  # 1970-01-01: a Thursday

    def are_open(self, times: npt.NDArray[Any], calendar: Calendar) -> Mask:
        """Return which steps can occur, (n_steps,)."""
        return np.isin(self.step_of_week(times, calendar), self.closed, invert=True)

    def after(self, last: Any, n_steps: int, calendar: Calendar) -> npt.NDArray[Any]:
        """Return the times of the next open steps, shape (n_steps,)."""
        n_open = 7 * self.per_day - len(self.closed)
        weeks = n_steps // max(n_open, 1) + 2  # of at most 7 * per_day steps
        times = calendar.after(last, weeks * 7 * self.per_day)
        return times[self.are_open(times, calendar)][:n_steps]

    @property
    def season(self) -> int:
        """Open steps of a day if all open days are alike, else of a week."""
        opened = np.ones(7 * self.per_day, bool)
        opened[list(self.closed)] = False
        hours = opened.reshape(7, self.per_day)
        if self.per_day == 1:
            return int(hours.sum())
        kinds = np.unique(hours[hours.any(axis=1)], axis=0)
        return int(kinds.sum() if len(kinds) == 1 else hours.sum())

    def count(self, n_steps: int) -> int:
        """Return the open steps among all steps of whole weeks or days; other numbers unchanged."""
        week = 7 * self.per_day
        if n_steps % week == 0:
            return n_steps // week * (week - len(self.closed))
        if n_steps % self.per_day == 0 and self.season < self.per_day:
            return n_steps // self.per_day * self.season
        return n_steps

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as values that JSON can hold."""
        return {"per_day": self.per_day, "closed": list(self.closed)}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore what `to_dict` returned."""
        return cls(int(state["per_day"]), tuple(int(step) for step in state["closed"]))


def _steps_per_day(calendar: Calendar) -> int | None:
    """Return the number of steps of a day, if each step is a day or a part that divides it."""
    if not isinstance(calendar.freq, str):
        return None
    offset = offset_of(calendar.freq)
    if is_tick(offset):
        size = np.timedelta64(offset.nanos, "ns")
        return int(_DAY // size) if size < _DAY and _DAY % size == np.timedelta64(0, "ns") else None
    return 1 if kind_of_step(offset) in ("D", "B") and offset.n == 1 else None


def _never(step: Ints, observed: Mask, n_steps: int) -> Mask:
    """Return which of ``n_steps`` kinds of steps never occur, and not by chance, (n_steps,)."""
    chances = np.bincount(step, minlength=n_steps)
    found = np.bincount(step[observed], minlength=n_steps)
    return _not_by_chance(chances[None], found[None])[0]


def _not_by_chance(chances: npt.NDArray[Any], found: npt.NDArray[Any]) -> Mask:
    """Return which steps never occur, and not by chance, from counts (n, n_steps)."""
    share = np.where(found > 0, found / np.maximum(chances, 1), np.nan)
    some = (found > 0).any(axis=1)
    usual = np.zeros(len(share))
    if some.any():
        usual[some] = np.nanquantile(share[some], _RARE, axis=1)
    by_chance = (1 - usual)[:, None] ** chances
    never = (found == 0) & (chances >= _LEAST_CHANCES)
    return np.asarray(never & (share.shape[1] * by_chance < _BY_CHANCE))


# -------------------------------------------------------------------- what dates cannot say


def date_notes(observed: Mask, times: npt.NDArray[Any], calendar: Calendar, ids: npt.NDArray[Any]) -> list[str]:
    """Return what a reader of the dates of a forecast should know.

    Parameters
    ----------
    observed : ndarray of bool, shape (n_series, n_steps)
        Whether a series has a value.
    times : ndarray of datetime64, shape (n_steps,)
    calendar : Calendar
    ids : ndarray, shape (n_series,)
    """
    return [*_without_values(observed, times, calendar), *_without_weekdays(observed, times, calendar, ids)]


def _without_values(observed: Mask, times: npt.NDArray[Any], calendar: Calendar) -> list[str]:
    """Say which dates have no value in any series, such as holidays."""
    empty = np.flatnonzero(~observed.any(axis=0))
    if not len(empty):
        return []
    shown = ", ".join(time_text(time, calendar.zone) for time in times[empty[-3:]])
    return [
        f"{len(empty):,} of the last {len(times):,} {calendar.unit} have no value in any series, such as {shown}. vrae "
        f"knows no holidays or closing days that follow no weekly rule, so the forecasts have all "
        f"{calendar.unit}. Leave out those that will not occur."
    ]


def _without_weekdays(observed: Mask, times: npt.NDArray[Any], calendar: Calendar, ids: npt.NDArray[Any]) -> list[str]:
    """Say which series never have a value on a weekday or at an hour at which others have."""
    per_day = _steps_per_day(calendar)
    if per_day is None or not observed.any():
        return []
    step = OpenSteps(per_day).step_of_week(times, calendar)
    lacking, kinds = np.zeros(len(observed), bool), []
    weekdays = _never_in(observed, step // per_day, 7)
    if weekdays.any():
        lacking |= weekdays.any(axis=1)
        kinds.append(", ".join(_DAY_NAMES[day] for day in np.flatnonzero(weekdays.any(axis=0))))
    if per_day > 1 and (hours := _never_in(observed, step % per_day, per_day)).any():
        lacking |= hours.any(axis=1)
        kinds.append("some times of the day")
    if not kinds:
        return []
    return [
        f"{lacking.sum():,} of {len(ids):,} series never have a value on {' or at '.join(kinds)}, on which others "
        f"have, ids {name_some(ids[lacking])}. Their forecasts have these dates too. Leave those rows out, or forecast "
        f"these series by themselves."
    ]


def _never_in(observed: Mask, kind: Ints, n_kinds: int) -> Mask:
    """Return which kinds of steps each series lacks within its life, (n_series, n_kinds)."""
    columns = np.zeros((len(kind), n_kinds), np.float32)
    columns[np.arange(len(kind)), kind] = 1
    since, until = np.maximum.accumulate(observed, axis=1), np.maximum.accumulate(observed[:, ::-1], axis=1)[:, ::-1]
    chances, found = ((mask.astype(np.float32) @ columns).round() for mask in (since & until, observed))
    others = (found > 0).any(axis=0)
    return _not_by_chance(chances, found) & others
