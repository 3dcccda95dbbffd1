"""Warn of values, ids and times that can be read, but probably mean something else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from vrae.data.arrays import Array
from vrae.data.calendar import Calendar
from vrae.data.columns import Table
from vrae.data.kinds import stem_of
from vrae.data.panel import Panel
from vrae.data.roles import Roles
from vrae.data.sheet_rows import begin_like_totals, names_totals
from vrae.data.table_options import TableOptions
from vrae.exceptions import DataWarning, name_some, warn

__all__ = ["say_suspicions"]

# Numbers that often stand for a missing value.
_STAND_INS = (-999.0, -9999.0, -99999.0, -999999.0, -99.0)

# Series of at least this many steps each, of which at most this fraction goes down, may be those of
# counters. What is counted in a step varies. A part of the values shows it. One or two series that
# go up may as well have a trend.
_COUNTER_SERIES = 3
_COUNTER_STEPS, _COUNTER_FALLS, _COUNTER_VARIES, _COUNTER_VALUES = 20, 0.01, 0.1, 1 << 18

# Days of Excel from 2000 to 2049.
_EXCEL_DAYS = (36526, 54788)

# Seconds since 1970, of the years 2000 to 2049, and what else may be counted.
_SINCE_1970 = (946_684_800, 2_524_608_000)
_PARTS_OF_SECOND = {1: "seconds", 10**3: "milliseconds", 10**6: "microseconds", 10**9: "nanoseconds"}

# A year beside another number, as in "5. KW/2024". Names such as 2024_1 are steps in their order.
_YEAR_AND_PART = re.compile(r".*\d\D*[^\w_](19|20)\d\d(?!\d)|.*(?<!\d)(19|20)\d\d[^\w_]\D*\d")

# A calendar of numbers with more steps without a row than this is probably one of codes.
_MANY_ABSENT = 0.5


# A series of totals has at least this fraction of the sum of all others.
_LEAST_TOTAL = 0.5

# One that only begins with such a word differs by at most this fraction from a sum of others.
_MOST_DIFFERENT = 1e-3


def say_suspicions(panel: Panel, roles: Roles, options: TableOptions, source: Table) -> None:
    """Warn of what was read, but probably means something else."""
    table = source.name
    _suspect_ids(panel, table)
    if not roles.long and panel.times is None and panel.n_channels == 1:
        _suspect_dates(roles, source)
    _suspect_groups(panel.static, table)
    if not roles.long and panel.times is None:
        _suspect_names(roles.values, table)
    if options.missing is None:
        _suspect_values(panel.values, panel.channels, table)
    _suspect_counters(panel, table)
    if roles.time is not None and panel.times is not None and panel.calendar is not None and options.freq is None:
        _suspect_numbers_as_times(panel.calendar, panel.times, roles.time, table)


def _suspect_values(values: Array, names: Sequence[str], table: str) -> None:
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


def _suspect_counters(panel: Panel, table: str) -> None:
    """Warn of values that go up nearly always, by different amounts, as readings of a meter do."""
    if len(panel) < _COUNTER_SERIES:
        return
    rows = slice(0, _COUNTER_VALUES // panel.n_channels)
    n_series = int(np.searchsorted(panel.offsets, rows.stop))
    owners = np.repeat(np.arange(min(n_series, len(panel))), panel.lengths[:n_series])[rows]
    for channel, name in enumerate(panel.channels):
        known = np.isfinite(panel.values[rows, channel])
        series, values = owners[known], panel.values[rows, channel][known].astype(np.float64)
        steps = np.diff(values)[np.diff(series) == 0]
        n_falls, rises = int((steps < 0).sum()), steps[steps > 0]
        if len(steps) < _COUNTER_STEPS * len(np.unique(series)) or n_falls > _COUNTER_FALLS * len(steps):
            continue
        if 2 * len(rises) > len(steps) > 0 and np.ptp(rises) > _COUNTER_VARIES * np.median(rises):
            warn(
                f"The values {name!r} of {table} go up from step to step, and hardly ever down. If they are readings "
                f"of counters, pass what was counted in each step: the differences.",
                DataWarning,
            )


def _suspect_ids(panel: Panel, table: str) -> None:
    """Warn of ids that differ in blanks or case alone, and of totals among them.

    The mean of totals is about the sum of those of all others.
    """
    ids = panel.ids
    if ids.dtype.kind != "U" or not len(ids):
        return
    plain = np.char.lower(np.char.strip(ids))
    same = _alike(ids, plain)
    if len(same):
        warn(
            f"Ids {name_some(same)} of {table} differ in blanks or case alone. They are different series.", DataWarning
        )
    named, begun = names_totals(plain), begin_like_totals(plain)
    if not begun.any() or len(ids) < 3:
        return
    totals, means = _totals_and_means(panel)
    named &= means > _LEAST_TOTAL * np.nansum(means[~named])
    found = ids[named | _are_sums(totals, begun, panel)]
    if len(found) == 1:
        warn(f"The id {name_some(found)} of {table} looks like totals. It is read like the others.", DataWarning)
    elif len(found):
        warn(f"Ids {name_some(found)} of {table} look like totals. They are read like the others.", DataWarning)


def _suspect_dates(roles: Roles, table: Table) -> None:
    """Warn of series that are named by dates, and whose steps are named like items, not like steps.

    Steps such as h0 to h23 make each day a series, which may be meant.
    """
    used = set(roles.all)
    columns = [name for name in table.columns if name not in used] if roles.id is None else [roles.id]
    dated = [name for name in columns if table.kinds.get(name) == "time"]
    if not dated or len(set(map(stem_of, roles.values))) == 1:
        return
    found = [name for name in dated if table.is_unique(name)]
    if found:
        first, last = roles.values[0], roles.values[-1]
        warn(
            f"Each row of {table.name} is read as a series, but column {found[0]!r} holds another date in each row. If "
            f"each row is a time step and each column, from {first!r} to {last!r}, a series, transpose the table.",
            DataWarning,
        )


def _suspect_groups(static: Mapping[str, Array], table: str) -> None:
    """Warn of values of static columns that differ in blanks or case alone, such as "garden "."""
    for name, column in static.items():
        if column.dtype.kind != "U" or not len(column):
            continue
        values = np.unique(column)
        same = _alike(values, np.char.lower(np.char.strip(values)))
        if len(same):
            warn(
                f"Values {name_some(same)} in column {name!r} of {table} differ in blanks or case alone. They are "
                f"different groups: write them alike if they mean the same.",
                DataWarning,
            )


def _alike(values: Array, plain: Array) -> Array:
    """Return the first of the values that are the same when they are written plainly."""
    kinds, counts = np.unique(plain, return_counts=True)
    return values[plain == kinds[counts > 1][0]] if (counts > 1).any() else values[:0]


def _suspect_names(names: Sequence[str], table: str) -> None:
    """Warn of steps without times whose names look like dates, but cannot be read."""
    if len(names) > 1 and all(map(_YEAR_AND_PART.match, names)):
        warn(
            f"Columns of {table} such as {names[0]!r} look like dates, but cannot be read, so the steps have no times. "
            f"Rename them, such as 2024-01 or 2024-W05, or pass date_format=.",
            DataWarning,
        )


def _suspect_numbers_as_times(calendar: Calendar, times: Array, name: str, table: str) -> None:
    """Warn of times that are numbers, and probably stand for dates."""
    if times.dtype.kind == "M" or not len(times):
        return
    low, high, way = times.min(), times.max(), "."
    if _EXCEL_DAYS[0] <= low and high <= _EXCEL_DAYS[1]:
        what = "look like the day numbers of Excel"
    elif unit := _unit_since_1970(float(low), float(high)):
        what = f"look like {unit} since 1970"
    elif calendar.freq is not None and calendar.absent > _MANY_ABSENT:
        what = f"are read as numbers, and {100 * calendar.absent:.0f} % of steps of {calendar.freq:g} have no row"
        way = ", or pass date_format=."
    else:
        return
    warn(
        f"Times in column {name!r} of {table} {what}. If they stand for dates, convert them to dates{way}",
        DataWarning,
    )


def _unit_since_1970(low: float, high: float) -> str:
    """Return the unit of times that are counted since 1970, or ""."""
    first, last = _SINCE_1970
    return next((unit for n, unit in _PARTS_OF_SECOND.items() if first <= low / n and high / n < last), "")


def _are_sums(totals: Array, begun: Array, panel: Panel) -> Array:
    """Return which of the series that are named like totals are the sums of others.

    Of all others, of those with one value of a static column, or all of them together of the rest.
    """
    own, rest = totals[begun], totals[~begun]
    sums = [np.array([rest.sum()])]
    for column in panel.static.values():
        groups, counts = np.unique(column[~begun], return_inverse=True, return_counts=True)[1:]
        sums.append(np.bincount(groups, rest, len(counts))[counts > 1])
    known = np.sort(np.concatenate(sums))
    above = np.searchsorted(known, own)
    near = [known[np.minimum(above, len(known) - 1)], known[np.maximum(above - 1, 0)], totals.sum() - own]
    found = np.zeros(len(totals), bool)
    found[begun] = np.any([_are_close(own, one) for one in near], axis=0) | _are_close(own.sum(), rest.sum())
    return found


def _are_close(totals: Array, sums: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(totals - sums) <= _MOST_DIFFERENT * np.abs(sums)) & (sums != 0))


def _totals_and_means(panel: Panel) -> tuple[Array, Array]:
    """Return the sum and the mean of the first channel of each series, each (n_series,)."""
    values = panel.values[:, 0]
    known = ~np.isnan(values)
    counts = np.add.reduceat(known, panel.offsets[:-1], dtype=np.int64)
    totals = np.add.reduceat(np.where(known, values, 0), panel.offsets[:-1], dtype=np.float64)
    return np.asarray(totals), np.asarray(totals / np.maximum(counts, 1))
