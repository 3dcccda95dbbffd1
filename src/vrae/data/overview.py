"""What was read, in three lines: series, time, channels and gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vrae.data.arrays import Array, Ints
from vrae.data.calendar import Calendar, time_text
from vrae.exceptions import name_some, shortened

__all__ = ["Overview", "last_times_of", "short_ones"]

_SHOWN_CHANNELS = 8

# A series ends before the others if it lacks more than this part of the calendar, but at least 3
# and at most 30 steps. If more than this part of the series do, it is usual.
_LACKED_PART, _FEWEST_STEPS, _MOST_STEPS, _USUAL_PART = 0.1, 3, 30, 0.2

# Series of so few steps have no shape. It is usual if more than `_USUAL_PART` are, or none is long.
_SHORT, _LONG = 3, 12

Ends = Mapping[Any, tuple[int, Any]]  # by the last time of a series: how many series, and the id of one


@dataclass(frozen=True)
class Overview:
    """Facts about some series of one table. Those of its parts can be `merged`."""

    n_series: int
    shortest: int
    longest: int
    n_steps: int  # of all series together
    n_values: int
    n_missing: int
    channels: tuple[str, ...]
    first: Any = None  # time, or None without times
    last: Any = None
    calendar: Calendar | None = None
    ends: Ends = field(default_factory=dict)
    id_column: str | None = None
    fill: float | None = None  # value of steps without a row
    short: tuple[int, Any] = (0, None)  # how many series are too short for a shape, and the id of one

    def merged(self, other: Overview) -> Overview:
        """Return the facts about the series of both."""
        calendar, n_steps = self.calendar, self.n_steps + other.n_steps
        # A part without any step has no times.
        starts = [first for first in (self.first, other.first) if first is not None]
        ends = [last for last in (self.last, other.last) if last is not None]
        if calendar is not None and other.calendar is not None:
            absent = calendar.absent * self.n_steps + other.calendar.absent * other.n_steps
            calendar = replace(calendar, absent=absent / max(n_steps, 1))
        return replace(
            self,
            n_series=self.n_series + other.n_series,
            shortest=min(self.shortest, other.shortest),
            longest=max(self.longest, other.longest),
            n_steps=n_steps,
            n_values=self.n_values + other.n_values,
            n_missing=self.n_missing + other.n_missing,
            first=min(starts, default=None),
            last=max(ends, default=None),
            calendar=calendar,
            ends=_both(self.ends, other.ends),
            short=(self.short[0] + other.short[0], (self.short if self.short[0] else other.short)[1]),
        )

    @property
    def filled_in(self) -> float:
        """Fraction of the steps that had no row and got the value ``fill``."""
        return self.calendar.absent if self.calendar is not None and self.fill is not None else 0.0

    def lines(self) -> list[str]:
        """Return three lines of text."""
        return [self._series(), self._time(), self._channels()]

    def _series(self) -> str:
        steps = f"{self.longest:,}" if self.shortest == self.longest else f"{self.shortest:,} to {self.longest:,}"
        named = f", named by {self.id_column}" if self.id_column else ""
        return f"{self.n_series:,} series of {steps} steps{named}{self._too_short()}"

    def _too_short(self) -> str:
        """Say which series are too short for a shape, if they are few among long ones."""
        n, one = self.short
        if not 0 < n <= _USUAL_PART * self.n_series or self.longest < _LONG:
            return ""
        named = f"{':' if n == 1 else ', such as'} {shortened(one)}"
        has = "has" if n == 1 else "have"
        return f"; {n:,} of {self.n_series:,} series {has} {_SHORT} steps or fewer, too few for a shape{named}"

    def _time(self) -> str:
        calendar = self.calendar
        if self.first is None:
            return "No times: steps are in the order of the data"
        zone = calendar.zone if calendar else None
        span = f"{time_text(self.first, zone)} to {time_text(self.last, zone)}{f' ({zone})' if zone else ''}"
        if calendar is None or calendar.freq is None:
            return f"No regular step, {span}: rows are read as neighbours"
        compared = "" if calendar.aligned else "; series are compared from their starts"
        step = calendar.describe()
        return f"{step[0].upper()}{step[1:]}, {span}{compared}{self._ended()}"

    def _ended(self) -> str:
        """Say which series end before the others, if they are few."""
        if self.calendar is None or len(self.ends) < 2:
            return ""
        times = np.array(sorted(self.ends))
        first, last = self.calendar.cells(np.array([self.first, self.last]))
        most = min(max(_LACKED_PART * (last - first), _FEWEST_STEPS), _MOST_STEPS)
        early = times[last - self.calendar.cells(times) > most]
        n = sum(self.ends[time][0] for time in early)
        if not 0 < n <= _USUAL_PART * self.n_series:
            return ""
        named = f"{':' if n == 1 else ', such as'} {shortened(self.ends[early[-1]][1])}"
        after = f"after {time_text(early[-1], self.calendar.zone)}{' or earlier' if n > 1 else ''}"
        return f"; {n:,} of {self.n_series:,} series end{'s' if n == 1 else ''} before the others{named}, {after}"

    def _channels(self) -> str:
        n = len(self.channels)
        text = f"{n} channel{'s' * (n != 1)}: {name_some(self.channels, _SHOWN_CHANNELS)}"
        absent = self.calendar.absent if self.calendar else 0.0
        other = self.n_missing / max(self.n_values, 1) - (absent if self.fill is None else 0.0)
        gaps = []
        if self.calendar is not None and absent > 0:
            filled = "" if self.fill is None else f" and are {self.fill:g}"
            gaps.append(f"{100 * absent:.1f} % of {self.calendar.unit} have no row{filled}")
        if other > 5e-4 or not gaps:
            gaps.append(f"{100 * max(other, 0.0):.1f} % of values are missing")
        return f"{text}; {', '.join(gaps)}"


def _both(ends: Ends, others: Ends) -> Ends:
    new = {time: found for time, found in others.items() if time not in ends}
    return new | {time: (n + others.get(time, (0, None))[0], one) for time, (n, one) in ends.items()}


def last_times_of(ids: Array, offsets: Ints, times: Array | None, calendar: Calendar | None) -> Ends:
    """Return how many series end at each time, and the id of one. Nothing without a calendar."""
    if times is None or calendar is None or calendar.freq is None or not calendar.aligned:
        return {}
    known = np.flatnonzero(np.diff(offsets))
    last, one, counts = np.unique(np.asarray(times)[offsets[known + 1] - 1], return_index=True, return_counts=True)
    return dict(zip(last, zip(counts.tolist(), ids[known[one]].tolist(), strict=True), strict=True))


def short_ones(ids: Array, lengths: Ints) -> tuple[int, Any]:
    """Return how many series are too short for a shape, and the id of the first."""
    found = np.flatnonzero(lengths <= _SHORT)
    return (len(found), ids[found[:1]].tolist()[0]) if len(found) else (0, None)
