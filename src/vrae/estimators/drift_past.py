"""The past within a later table: equally long parts of it show what is usual."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import Calendar, time_text
from vrae.data.panel import Ints, Panel, offsets_of
from vrae.estimators.vrae import VRAE
from vrae.exceptions import name_some

__all__ = ["MOST_CHANGE", "Past", "mean_levels", "other_end", "texts_of", "whole_texts"]

Floats = npt.NDArray[np.float64]

_MOST_PARTS = 200
_LEAST_YEARS = 4  # as many parts need a part one year before. Otherwise, each is compared with the one before it
# Of one part, this fraction of the steps is known. A level of 0 is a large change of the logarithm.
_KNOWN, MOST_CHANGE = 0.5, 7.0
# Items are visited so that their steps fill an array of at most this many numbers.
_MOST_NUMBERS = 1 << 18
_FLOAT = re.compile(r"^(-?\d+)\.0$")


@dataclass(frozen=True)
class Past:
    """The steps of a later table that are newer than the fit, and earlier parts of the same length.

    ``n_new`` steps are new. ``last`` is the number of the newest step of the ``calendar``, or of
    all series, which are as long, if there is none. A part is compared with that ``lag`` steps
    before it. ``starts`` (n_parts,) is by how many steps each part ends before the newest step.
    """

    n_new: int
    last: int
    lag: int
    starts: Ints
    unit: str
    is_year: bool
    calendar: Calendar | None = None

    @classmethod
    def of(cls, model: VRAE, panel: Panel) -> Past | None:
        """Return what is new in a table, as its first panel shows. None if nothing is."""
        if not len(panel):
            return None
        timing, calendar, times = model.scaler_.timing, panel.calendar, panel.times
        unit, year = "steps", 0
        if timing is not None and calendar is not None and times is not None and times.dtype.kind == "M":
            cells = calendar.cells(np.array([times.max(), np.datetime64(timing.end)]).astype(times.dtype))
            last, n_new, unit, year = int(cells[0]), int(cells[0] - cells[1]), calendar.unit, _year(calendar.hours)
            span = last - int(calendar.cells(times.min()[None])[0]) + 1
        else:
            calendar, span = None, int(panel.lengths.max(initial=0))
            last = span - 1
            n_new = span - model.n_steps_ if span == panel.lengths.min(initial=span) else 0
        if n_new < 1 or span < 2 * n_new:
            return None
        is_year = year >= n_new and span >= year + _LEAST_YEARS * n_new
        lag = year if is_year else n_new
        starts = np.arange(0, span - lag - n_new + 1, max(1, n_new // 4))[:_MOST_PARTS]
        return cls(n_new, last, lag, starts, unit, is_year, calendar)

    def is_of(self, panel: Panel) -> bool:
        """Return whether a further panel has the same new steps: none newer, or as many."""
        if self.calendar is None:
            return bool((panel.lengths == self.last + 1).all())
        is_dated = panel.times is not None and panel.times.dtype.kind == "M"
        return is_dated and int(self.ages(panel).min(initial=0)) >= 0

    def ages(self, panel: Panel) -> Ints:
        """Return by how many steps each value (total_steps,) is older than the newest one."""
        if self.calendar is not None and panel.times is not None:
            return np.asarray(self.last - self.calendar.cells(panel.times))
        return self.last + np.repeat(panel.offsets[:-1], panel.lengths) - np.arange(len(panel.values))

    def without(self, panel: Panel, n_steps: int) -> tuple[Panel, Ints]:
        """Return the series without the newest steps, and the positions of those that are left."""
        if not len(panel):
            return panel, np.empty(0, np.int64)
        kept = self.ages(panel) >= n_steps
        lengths = np.add.reduceat(kept, panel.offsets[:-1]).astype(np.int64)
        rows = np.flatnonzero(lengths)
        cut = Panel(
            panel.values[kept],
            offsets_of(lengths[rows]),
            panel.ids[rows],
            None if panel.times is None else panel.times[kept],
            panel.channels,
            calendar=panel.calendar,
        )
        return cut, rows

    def changes(self, panel: Panel) -> Floats:
        """Return the log ratio of the level of each part to that before it, (n_series, n_parts).

        NaN where either is not known, is negative, or both are 0.
        """
        n = max(1, _MOST_NUMBERS // (int(self.starts[-1]) + self.lag + self.n_new))
        parts = [self._changes(panel.select(slice(first, first + n))) for first in range(0, len(panel), n)]
        return np.concatenate([np.empty((0, len(self.starts))), *parts])

    def _changes(self, panel: Panel) -> Floats:
        ages, owner = self.ages(panel), np.repeat(np.arange(len(panel)), panel.lengths)
        first = panel.values[:, 0].astype(np.float64)
        inside = (ages >= 0) & ~np.isnan(first)
        span = int(self.starts[-1]) + self.lag + self.n_new
        inside &= ages < span
        dense = np.zeros((2, len(panel), span + 1))  # sums and numbers of values, by age
        place = owner[inside], ages[inside] + 1
        np.add.at(dense[0], place, first[inside])
        np.add.at(dense[1], place, 1.0)
        sums = dense.cumsum(axis=2)
        found = []
        for start in (self.starts, self.starts + self.lag):
            value, known = sums[..., start + self.n_new] - sums[..., start]
            level = value / np.maximum(known, 1)
            level[(known < _KNOWN * self.n_new) | (level < 0)] = np.nan
            found.append(level)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.clip(np.log(found[0] / found[1]), -MOST_CHANGE, MOST_CHANGE))

    @property
    def words(self) -> str:
        """What the new steps are compared with."""
        steps = f"{self.n_new} {self.unit}" if self.n_new > 1 else self.unit.removesuffix("s")
        return f"in the same {steps} of the year before" if self.is_year else f"in the {steps} before"


def other_end(past: Past | None, model: VRAE, panel: Panel) -> str:
    """Say how a further panel ends otherwise than the first one of its table, which shows the past.

    Empty if it does not.
    """
    if past is None:
        own = Past.of(model, panel)
        is_alike = own is None or own.calendar is None  # without dates, some lengths differ: no past
    else:
        is_alike = not len(panel) or past.is_of(panel)
    if is_alike:
        return ""
    if past is not None and past.calendar is None:
        row = int(np.argmax(panel.lengths != past.last + 1))
        found = f"has {panel.lengths[row]:,} steps, and those before it have {past.last + 1:,}"
        hint = "Without dates, all series need the same number."
    elif panel.times is None or panel.times.dtype.kind != "M":
        row, found = 0, "has no dates, and those before it have"
        hint = "Pass all series with dates."
    else:
        step = int(np.argmax(panel.times))
        row = int(np.searchsorted(panel.offsets, step, "right")) - 1
        found = f"ends at {time_text(panel.times[step], panel.zone)}, later than those before it"
        hint = "Sort the series so that one with the latest end comes first."
    return f"series {name_some(panel.ids[[row]])} {found}. {hint}"


def _year(hours: float) -> int:
    """Return the steps of a year: whole weeks if steps are short, so that weekdays fit."""
    if not hours > 0:
        return 0
    return round((8736.0 if hours <= 168 else 8766.0) / hours)


def texts_of(*tables: npt.NDArray[Any]) -> list[list[str]]:
    """Return the ids of tables as text. 100.0 is 100, unless a table has both.

    Whole numbers become floats in a column with gaps, and 100.0 is what a csv then holds.
    """
    whole = [whole_texts(ids) for ids in tables]
    if all(len(set(table)) == len(table) for table in whole):
        return whole
    return [[str(name) for name in ids.tolist()] for ids in tables]


def whole_texts(ids: npt.NDArray[Any]) -> list[str]:
    """Return ids as text, 100.0 as 100."""
    return [_FLOAT.sub(r"\1", str(name)) for name in ids.tolist()]


def mean_levels(panel: Panel, past: Past | None) -> Floats:
    """Return the mean of each series before its new steps, of the first channel, or NaN."""
    if not len(panel):
        return np.zeros(0)
    values = panel.values[:, 0].astype(np.float64)
    known = ~np.isnan(values) if past is None else ~np.isnan(values) & (past.ages(panel) >= past.n_new)
    counts = np.add.reduceat(known, panel.offsets[:-1], dtype=np.int64)
    return np.asarray(
        np.add.reduceat(np.where(known, values, 0.0), panel.offsets[:-1]) / np.where(counts, counts, np.nan)
    )
