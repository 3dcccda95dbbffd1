"""A calendar: regular steps of time, by pandas' rules for dates or by a distance of numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from vrae.data.arrays import Array, Ints
from vrae.data.offsets import OFFSETS, TICKS, is_tick, kind_of_step, offset_of, plain_step
from vrae.exceptions import InvalidParameterError

__all__ = [
    "NEAR",
    "Calendar",
    "day_times",
    "local_times",
    "time_text",
    "universal_times",
    "weekday_name",
    "without_weekday",
    "zoned_times",
]

# A number is at a step if it differs by at most this fraction of the distance between steps.
NEAR = 0.01

_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_WEEKDAY_NAMES = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


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
    nearest : bool, default=False
        For times that are numbers: whether each is at the nearest step, as if it was rounded.
        Otherwise, it is at the step in which it falls.
    """

    freq: str | float | None = None
    zone: str | None = None
    origin: Any = None
    aligned: bool = True
    absent: float = 0.0
    ends: bool = False
    nearest: bool = False

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
        wall = times.min() if is_tick(offset) else local_times(times.min()[None], zone)[0]
        ends = kind_of_step(offset).endswith("E")
        if kind_of_step(offset) == "W":
            ends = "-" in str(plain_step(freq))  # "W-SUN" names weeks by their last day
            if not ends:  # plain weeks begin on the weekday of the earliest row
                offset = offset_of(offset.freqstr.replace("SUN", weekday_name(wall)))
        return cls(offset.freqstr, zone, _origin(offset, wall, zone, ends), aligned, ends=ends)

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
        away, n = where[:-1] - where[-1], self._offset.n
        return np.asarray(-(-away // n) if self.ends else away // n, np.int64)

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
        return wall if self.zone is None or is_tick(self._offset) else universal_times(wall, self.zone)

    def after(self, last: Any, n_steps: int) -> Array:
        """Return the times of the next steps, shape (n_steps,)."""
        times = np.asarray(last)[None]
        return self.times(self.cells(times)[0] + np.arange(1, n_steps + 1), times)

    def is_met_by(self, times: Array) -> bool:
        """Return whether all times are those of a step, or in floats close to them."""
        if self.freq is None:
            return False
        found = self.times(self.cells(times), times)
        if found.dtype.kind == "f":
            return bool((np.abs(found - times) <= NEAR * float(self.freq)).all())
        return bool(np.array_equal(found, times))

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
        day = self._words[3] if len(self._words) > 3 else ""
        if kind_of_step(self._offset) == "W":
            day = _WEEKDAY_NAMES[self._offset.weekday]
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
        known = {"business day": 24 * 7 / 5, "half-month": 365.25, "month": 730.5, "quarter": 2191.5, "year": 8766.0}
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
        offset = self._offset
        if is_tick(offset):
            size = np.timedelta64(offset.nanos, "ns")
            return size if offset.nanos % 1000 else size.astype("m8[us]")
        days = {"D": 1, "W": 7}.get(kind_of_step(offset))
        return None if days is None else np.timedelta64(days * offset.n, "D").astype("m8[us]")

    @property
    def _words(self) -> tuple[str, ...]:
        kind = kind_of_step(self._offset)
        return TICKS[kind] if kind in TICKS else OFFSETS[kind]

    def _wall(self, times: Array) -> Array:
        return times if is_tick(self._offset) else day_times(times, self.zone)

    def _number_cells(self, times: Array) -> Ints:
        step: Any = self.freq
        if np.issubdtype(times.dtype, np.integer) and float(step).is_integer() and float(self.origin).is_integer():
            return np.asarray((times - int(self.origin)) // int(step), np.int64)
        place = (times - self.origin) / step
        if self.nearest:
            return np.floor(place + 0.501).astype(np.int64)  # those half-way, in floats, all to the later step
        rounding = 1e-6 + 2 * np.spacing(np.abs(times).astype(np.float64)) / step  # in floats, 0.3 / 0.1 < 3
        return np.floor(place + rounding).astype(np.int64)


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


def universal_times(wall: Array, zone: str, *, second: bool = False) -> Array:
    """Convert times on the clock of a zone to UTC. A time that clocks skip becomes the next one.

    When clocks are set back, a time comes twice: the first is meant, or the ``second``.
    """
    import pandas as pd

    first = np.full(len(wall), not second)
    there = pd.DatetimeIndex(wall).tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return np.asarray(there.tz_convert("UTC").tz_localize(None).to_numpy().astype(wall.dtype))


def zoned_times(times: Array, zone: str | None) -> Array:
    """Return times in UTC as datetimes of their zone, dtype object; without a zone unchanged."""
    if zone is None or times.dtype.kind != "M":
        return times
    import pandas as pd

    aware = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(zone)
    return np.asarray(aware.to_pydatetime(), object)


def time_text(time: Any, zone: str | None) -> str:
    """Return a time, which is in UTC if there is a zone, without parts that are zero."""
    if not isinstance(time, np.datetime64):
        return f"{time:.15g}" if isinstance(time, float) else str(time)
    local = local_times(np.asarray(time)[None], zone)[0]
    for unit in ("D", "m", "s", "ms"):
        if (short := local.astype(f"M8[{unit}]")) == local:
            return str(short).replace("T", " ")
    return str(local.astype("M8[us]")).replace("T", " ")


def weekday_name(time: Any) -> str:
    """Return the weekday of a datetime64 as pandas abbreviates it, such as "MON"."""
    return _WEEKDAYS[int((time.astype("M8[D]").astype(np.int64) + 3) % 7)]  # 1970-01-01 was a Thursday


def without_weekday(freq: Any) -> Any:
    """Return a step of weeks without its weekday, which is then that of the earliest time."""
    return freq.split("-")[0] if isinstance(freq, str) and "W-" in freq else freq


def _origin(offset: Any, wall: Any, zone: str | None, ends: bool) -> str:
    """Return the first step of a calendar whose earliest time is ``wall``."""
    import pandas as pd

    name = kind_of_step(offset)
    if name in TICKS:  # begins with a full unit of the clock, such as 12:00
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


def _positive(freq: Any) -> float:
    if isinstance(freq, (str, bool)) or not isinstance(freq, (int, float, np.number)) or not 0 < freq < 2**63:
        raise InvalidParameterError(
            f"freq={freq!r} is not a positive number below 2**63. For times that are numbers, pass the distance "
            f"between steps."
        )
    return int(freq) if float(freq).is_integer() else float(freq)
