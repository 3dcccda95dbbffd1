"""Warn of values, ids and times that can be read, but probably mean something else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vrae.data.arrays import Array
from vrae.data.calendar import Calendar
from vrae.data.panel import Panel
from vrae.data.sheet_rows import names_totals
from vrae.exceptions import DataWarning, name_some, warn

__all__ = ["suspect_ids", "suspect_numbers_as_times", "suspect_values"]

# Numbers that often stand for a missing value.
_STAND_INS = (-999.0, -9999.0, -99999.0, -999999.0, -99.0)

# Days of Excel from 2000 to 2049.
_EXCEL_DAYS = (36526, 54788)

# A calendar of numbers with more steps without a row than this is probably one of codes.
_MANY_ABSENT = 0.5


# A series of totals has at least this fraction of the sum of all others.
_LEAST_TOTAL = 0.5


def suspect_values(values: Array, names: Sequence[str], table: str) -> None:
    """Warn of a number that is repeated far below all others, such as -9999."""
    lowest = np.nanmin(values, initial=0.0)
    for number in _STAND_INS:
        if lowest > number:
            continue
        found = values == np.asarray(number, values.dtype)
        others = values[~found & ~np.isnan(values)]
        if found.sum() > 1 and others.size and others.min() > number / 3:
            channel = names[int(found.any(axis=0).argmax())]
            warn(
                f"{number:g} is {found.sum():,} times among the values {channel!r} of {table}, far below all others. "
                f"If it stands for a missing value, pass missing={number:g}.",
                DataWarning,
            )
            return


def suspect_ids(panel: Panel, table: str) -> None:
    """Warn of ids that differ in blanks or case alone, and of totals among them.

    The mean of totals is about the sum of those of all others.
    """
    ids = panel.ids
    if ids.dtype.kind != "U" or not len(ids):
        return
    plain = np.char.lower(np.char.strip(ids))
    kinds, counts = np.unique(plain, return_counts=True)
    if (counts > 1).any():
        same = ids[plain == kinds[counts > 1][0]]
        warn(
            f"Ids {name_some(same)} of {table} differ in blanks or case alone. They are different series.", DataWarning
        )
    is_total = names_totals(plain)
    if not is_total.any():
        return
    sizes = _mean_values(panel)
    is_total &= sizes > _LEAST_TOTAL * np.nansum(sizes[~is_total])
    totals = ids[is_total]
    if len(totals) and len(ids) > 2:
        warn(f"The id {name_some(totals[:1])} of {table} looks like totals. It is read like the others.", DataWarning)


def suspect_numbers_as_times(calendar: Calendar, times: Array, name: str, table: str) -> None:
    """Warn of times that are numbers, and probably stand for dates."""
    if times.dtype.kind == "M" or not len(times):
        return
    low, high = times.min(), times.max()
    if _EXCEL_DAYS[0] <= low and high <= _EXCEL_DAYS[1]:
        what = "look like the day numbers of Excel"
    elif calendar.freq is not None and calendar.absent > _MANY_ABSENT:
        what = f"are read as numbers, and {100 * calendar.absent:.0f} % of steps of {calendar.freq:g} have no row"
    else:
        return
    warn(
        f"Times in column {name!r} of {table} {what}. If they stand for dates, convert them to dates, or pass "
        f"date_format=.",
        DataWarning,
    )


def _mean_values(panel: Panel) -> Array:
    """Return the mean of the first channel of each series, shape (n_series,)."""
    values = panel.values[:, 0]
    known = ~np.isnan(values)
    counts = np.add.reduceat(known, panel.offsets[:-1], dtype=np.int64)
    totals = np.add.reduceat(np.where(known, values, 0), panel.offsets[:-1], dtype=np.float64)
    return np.asarray(totals / np.maximum(counts, 1))
