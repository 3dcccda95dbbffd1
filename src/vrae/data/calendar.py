"""A calendar: regular steps of time, by pandas' rules for dates or by a distance of numbers."""

from __future__ import annotations

import re
import warnings
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np

from vrae.data.arrays import Array, Ints
from vrae.exceptions import InvalidParameterError

__all__ = ["Calendar", "day_times", "local_times", "offset_of", "plain_step", "universal_times", "zoned_times"]

# Spellings of polars, and former ones of pandas, for aliases that pandas knows today. Months and
# longer begin with their first day.
_SPELLINGS = {
    **dict.fromkeys(("ns", "us", "ms", "s", "min", "h"), None),
    "S": "s",
    "m": "min",
    "T": "min",
    "H": "h",
    "d": "D",
    "w": "W",
    "mo": "MS",
    "M": "MS",
    "q": "QS",
    "Q": "QS",
    "y": "YS",
    "Y": "YS",
    "A": "YS",
}
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_WEEKDAY_NAMES = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")

# Words for steps: (one, several, every one).
_TICKS = {
    "h": ("hour", "hours", "hourly"),
    "min": ("minute", "minutes", "every minute"),
    "s": ("second", "seconds", "every second"),
    "ms": ("millisecond", "milliseconds", "every millisecond"),
    "us": ("microsecond", "microseconds", "every microsecond"),
    "ns": ("nanosecond", "nanoseconds", "every nanosecond"),
}
_OFFSETS = {
    "D": ("day", "days", "daily", ""),
    "B": ("business day", "business days", "every business day", ""),
    "W": ("week", "weeks", "weekly", ""),
    "MS": ("month", "months", "monthly", "first day"),
    "ME": ("month", "months", "monthly", "last day"),
    "BMS": ("month", "months", "monthly", "first business day"),
    "BME": ("month", "months", "monthly", "last business day"),
    "QS": ("quarter", "quarters", "quarterly", "first day"),
    "QE": ("quarter", "quarters", "quarterly", "last day"),
    "BQS": ("quarter", "quarters", "quarterly", "first business day"),
    "BQE": ("quarter", "quarters", "quarterly", "last business day"),
    "YS": ("year", "years", "yearly", "first day"),
    "YE": ("year", "years", "yearly", "last day"),
    "BYS": ("year", "years", "yearly", "first business day"),
    "BYE": ("year", "years", "yearly", "last business day"),
}


@dataclass(frozen=True)
class Calendar:
    """The regular steps of the time stamps of a panel.

    Parameters
    ----------
    freq : str, number or None
        Alias of pandas ("W-MON", "MS", "h"), or a distance if times are numbers. None if the time
        stamps have no regular step.
    zone : str, optional
        Time zone. Time stamps are in UTC then, and a day is a day of this zone.
    origin : str or number, optional
        Time of step 0: on the clock of the zone for steps of a day or longer, else in UTC.
    aligned : bool, default=True
        Whether steps of different series are compared by date. Otherwise, by their position since
        the start of each series.
    absent : float, default=0.0
        Fraction of the steps, from the first row of a series to its last, that have no row.
    ends : bool, default=False
        Whether a step is named by its last day, as pandas does with month ends and "W-SUN".
    """

    freq: str | float | None = None
    zone: str | None = None
    origin: Any = None
    aligned: bool = True
    absent: float = 0.0
    ends: bool = False

    @classmethod
    def from_freq(cls, freq: Any, times: Array, zone: str | None = None, aligned: bool = True) -> Calendar:
        """Return the calendar with a step that the user names, for these time stamps.

        Raises
        ------
        InvalidParameterError
            ``freq`` is no step of dates, or no positive number for times that are numbers.
        """
        if times.dtype.kind != "M":
            return cls(_positive(freq), None, times.min().item(), aligned)
        offset = offset_of(freq)
        alias = offset.freqstr
        wall = times.min() if _is_tick(offset) else local_times(times.min()[None], zone)[0]
        ends = alias.split("-")[0].endswith("E") or "-" in str(freq)
        if alias.endswith("W-SUN") and not ends:
            # Plain weeks begin on the weekday of the earliest row.
            alias = alias.replace("SUN", _WEEKDAYS[_weekday(wall)])
        offset = offset_of(alias)
        ends &= not alias.split("-")[0].endswith("S")
        return cls(alias, zone, _origin(offset, wall, zone, ends), aligned, ends=ends)

    # ---------------------------------------------------------------- steps and times

    def cells(self, times: Array) -> Ints:
        """Return the number of the step in which each time falls, counted from the origin."""
        if times.dtype.kind != "M":
            return self._number_cells(times)
        wall, origin = self._wall(times), np.datetime64(self.origin)
        if self._size is not None:
            away = (wall.astype("M8[D]") if self.ends else wall) - origin  # the last day is part of its step
            return np.asarray(-(-away // self._size) if self.ends else away // self._size, np.int64)
        days = wall.astype("M8[D]")
        axis = _axis(self._single, min(days.min(), origin.astype("M8[D]")), max(days.max(), origin.astype("M8[D]")))
        points = np.append(days, origin.astype("M8[D]"))
        where = axis.searchsorted(points) if self.ends else axis.searchsorted(points, side="right") - 1
        return np.asarray((where[:-1] - where[-1]) // self._offset.n, np.int64)

    def times(self, cells: Ints, like: Array) -> Array:
        """Return the time of each step, in the type of ``like``; parts of integers as floats."""
        if like.dtype.kind != "M":
            step: Any = self.freq
            found = np.asarray(self.origin + cells * step)
            exact = found.astype(like.dtype)
            return exact if np.array_equal(exact, found) else found
        origin = np.datetime64(self.origin)
        if self._size is not None:
            wall = origin + cells * self._size
        else:
            import pandas as pd

            steps, start = cells * self._offset.n, pd.Timestamp(origin)
            low, high = int(min(steps.min(initial=0), 0)), int(max(steps.max(initial=0), 0))
            earlier = pd.date_range(end=start, periods=1 - low, freq=self._single).to_numpy()
            later = pd.date_range(start, periods=1 + high, freq=self._single).to_numpy()
            wall = np.concatenate([earlier[:-1], later])[steps - low]
        wall = wall.astype(like.dtype)
        return wall if self.zone is None or _is_tick(self._offset) else universal_times(wall, self.zone)

    def after(self, last: Any, n_steps: int) -> Array:
        """Return the times of the next steps, shape (n_steps,)."""
        times = np.asarray(last)[None]
        return self.times(self.cells(times)[0] + np.arange(1, n_steps + 1), times)

    def is_met_by(self, times: Array) -> bool:
        """Return whether all times are those of a step."""
        return bool(np.array_equal(self.times(self.cells(times), times), times))

    # ---------------------------------------------------------------- words

    @property
    def unit(self) -> str:
        """Plural of the step: "weeks", or "steps" of 2 weeks and of numbers."""
        if not isinstance(self.freq, str) or self._offset.n != 1:
            return "steps"
        return str(self._words[1])

    def describe(self) -> str:
        """Return the step in words, such as "weekly (Mondays)"."""
        if self.freq is None:
            return "irregular"
        if not isinstance(self.freq, str):
            return f"every {self.freq:g}"
        several, every = self._words[1:3]
        base = self.freq.lstrip("0123456789")
        day = self._words[3] if len(self._words) > 3 else ""
        if base.startswith("W-"):
            day = _WEEKDAY_NAMES[_WEEKDAYS.index(base[2:])]
        n = self._offset.n
        text = every if n == 1 else f"every {n} {several}"
        return f"{text} ({day})" if day else text

    @property
    def hours(self) -> float:
        """Hours from one step to the next, on average; NaN if steps are numbers."""
        if not isinstance(self.freq, str):
            return float("nan")
        if self._size is not None:
            return float(self._size / np.timedelta64(1, "h"))
        known = {"business day": 24 * 7 / 5, "month": 730.5, "quarter": 2191.5, "year": 8766.0}
        return known.get(self._words[0], 24.0) * float(self._offset.n)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as values that JSON can hold."""
        return asdict(self)

    def without_rows(self, absent: float) -> Calendar:
        """Return this calendar with another fraction of steps without a row."""
        return replace(self, absent=absent)

    # ---------------------------------------------------------------- parts

    @cached_property
    def _offset(self) -> Any:
        return offset_of(self.freq)

    @cached_property
    def _single(self) -> Any:
        """The offset of a single step of its kind."""
        return self._offset.base

    @cached_property
    def _size(self) -> Any:
        """Length of a step that is always as long, else None."""
        offset, name = self._offset, self._offset.freqstr.lstrip("0123456789")
        if _is_tick(offset):
            size = np.timedelta64(offset.nanos, "ns")
            return size if offset.nanos % 1000 else size.astype("m8[us]")
        days = {"D": 1, "W": 7}.get(name.split("-")[0])
        return None if days is None else np.timedelta64(days * offset.n, "D").astype("m8[us]")

    @property
    def _words(self) -> tuple[str, ...]:
        name = self._offset.freqstr.lstrip("0123456789").split("-")[0]
        return _TICKS.get(name) or _OFFSETS.get(name) or ("step", "steps", self._offset.freqstr)

    def _wall(self, times: Array) -> Array:
        return times if _is_tick(self._offset) else day_times(times, self.zone)

    def _number_cells(self, times: Array) -> Ints:
        step: Any = self.freq
        if np.issubdtype(times.dtype, np.integer) and float(step).is_integer() and float(self.origin).is_integer():
            return np.asarray((times - int(self.origin)) // int(step), np.int64)
        return np.floor((times - self.origin) / step + 1e-6).astype(np.int64)  # in floats, 0.3 / 0.1 < 3


def plain_step(freq: Any) -> Any:
    """Return a step as text or a number, which can be saved."""
    if isinstance(freq, timedelta) and freq % timedelta(days=1) == timedelta(0):
        return f"{freq.days // 7}W" if freq.days % 7 == 0 else f"{freq.days}D"
    if isinstance(freq, timedelta):
        from pandas.tseries.frequencies import to_offset

        return to_offset(freq).freqstr
    return freq.item() if isinstance(freq, np.number) else getattr(freq, "freqstr", freq)


def offset_of(freq: Any) -> Any:
    """Return pandas' offset for an alias, such as "1w", "W-SUN", "MS" or a Timedelta."""
    from pandas.tseries.frequencies import to_offset

    text = plain_step(freq)
    if isinstance(freq, str):
        found = re.fullmatch(r"\s*(\d*)\s*([A-Za-z]+)\s*", freq)
        if found and found[2] in _SPELLINGS:
            text = found[1] + (_SPELLINGS[found[2]] or found[2])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            offset = to_offset(text)
    except (ValueError, TypeError, AttributeError):
        offset = None
    if offset is None or isinstance(freq, (int, float)) or offset.n < 1:
        raise InvalidParameterError(
            f"freq={freq!r} is not a time step. For dates, pass a number and a unit, such as "
            f'"15min", "1h", "1d", "1w", "1mo", "1q" or "1y", or an alias of pandas such as "W-SUN", "B" or "ME".'
        )
    return offset


def local_times(times: Array, zone: str | None) -> Array:
    """Convert times in UTC to the clock of a zone."""
    if zone is None:
        return times
    import pandas as pd

    local = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    return np.asarray(local.to_numpy().astype(times.dtype))


def day_times(times: Array, zone: str | None) -> Array:
    """Convert times in UTC to the clock of a zone, for steps of days.

    Where clocks skip midnight, the first time of the day counts as midnight.
    """
    if zone is None:
        return times
    wall = local_times(times, zone)
    midnight = wall.astype("M8[D]").astype(wall.dtype)
    early = np.flatnonzero((wall > midnight) & (wall - midnight <= np.timedelta64(1, "h")))
    first = early[universal_times(midnight[early], zone) == times[early]]
    wall[first] = midnight[first]
    return wall


def universal_times(wall: Array, zone: str) -> Array:
    """Convert times on the clock of a zone to UTC. A time that clocks skip becomes the next one."""
    import pandas as pd

    first = np.ones(len(wall), bool)  # of two equal times, when clocks are set back
    there = pd.DatetimeIndex(wall).tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return np.asarray(there.tz_convert("UTC").tz_localize(None).to_numpy().astype(wall.dtype))


def zoned_times(times: Array, zone: str | None) -> Array:
    """Return times in UTC as datetimes of their zone, dtype object; without a zone unchanged."""
    if zone is None or times.dtype.kind != "M":
        return times
    import pandas as pd

    aware = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(zone)
    return np.asarray(aware.to_pydatetime(), object)


def _is_tick(offset: Any) -> bool:
    """Return whether an offset is a fixed part of a day."""
    return offset.freqstr.lstrip("0123456789") in _TICKS


def _origin(offset: Any, wall: Any, zone: str | None, ends: bool) -> str:
    """Return the first step of a calendar whose earliest time is ``wall``."""
    import pandas as pd

    name = offset.freqstr.lstrip("0123456789")
    if name in _TICKS:  # begins with a full unit of the clock, such as 12:00
        local = local_times(wall[None], zone)[0]
        floored = local.astype(f"M8[{'m' if name == 'min' else name}]")
        return str(wall - (local - floored))
    day = pd.Timestamp(wall).normalize()
    if name != "D":
        day = offset.base.rollforward(day) if ends else offset.base.rollback(day)
    return str(day.to_numpy().astype("M8[us]"))


def _axis(offset: Any, first: Any, last: Any) -> Array:
    """Return the days of all steps that cover the days from ``first`` to ``last``."""
    import pandas as pd

    low, high = offset.rollback(pd.Timestamp(first)), offset.rollforward(pd.Timestamp(last))
    return np.asarray(pd.date_range(low, high, freq=offset).to_numpy().astype("M8[D]"))


def _weekday(time: Any) -> int:
    return int((time.astype("M8[D]").astype(np.int64) + 3) % 7)  # 1970-01-01 was a Thursday


def _positive(freq: Any) -> float:
    if isinstance(freq, (str, bool)) or not isinstance(freq, (int, float, np.number)) or not 0 < freq < np.inf:
        raise InvalidParameterError(
            f"freq={freq!r} is not a positive number. For times that are numbers, pass the distance between steps."
        )
    return int(freq) if float(freq).is_integer() else float(freq)
