"""Prepare the rows of long tables: sort them, merge duplicates, put them on a regular time grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vrae.data.arrays import Array, Ints, Values
from vrae.data.calendar import Calendar, time_text
from vrae.exceptions import DataWarning, InvalidDataError, warn

__all__ = [
    "RepeatedRowsError",
    "Steps",
    "check_cells",
    "check_length",
    "merge_duplicates",
    "put_on_grid",
    "say_merged",
    "sort_order",
    "trim_ends",
]

# A grid with more cells per row than this is probably a mistake in ``freq``. It would fill memory.
_MAX_CELLS_PER_ROW = 1000
_MAX_CELLS = 1e15  # well within int64


class RepeatedRowsError(InvalidDataError):
    """Rows have the same series and time. ``found`` says which, without what to do about it."""

    found = ""


@dataclass(frozen=True)
class Steps:
    """Rows of a long table: series number, values (n_rows, n_channels) and time of each.

    Most functions expect them sorted by series, then by time. Without times, rows are in order.
    """

    codes: Ints
    values: Values
    times: Array | None = None

    def take(self, rows: Ints | None) -> Steps:
        """Return these rows, in this order. None returns all rows unchanged."""
        if rows is None:
            return self
        times = None if self.times is None else self.times[rows]
        return Steps(self.codes[rows], self.values[rows], times)


def sort_order(codes: Ints, times: Array | None) -> Ints | None:
    """Return the stable order of rows by series, then time. None if they are already sorted."""
    same = codes[1:] == codes[:-1]
    in_order = codes[1:] >= codes[:-1]
    if times is not None:
        in_order &= ~same | (times[1:] >= times[:-1])
    if in_order.all():
        return None
    return np.argsort(codes, kind="stable") if times is None else np.lexsort((times, codes))


def merge_duplicates(steps: Steps, how: str, ids: Array, hint: str = "", zone: str | None = None) -> Steps:
    """Merge rows, which must be sorted, with the same series and time.

    "sum" and "mean" use observed values; without any, the result is missing. "first" and "last"
    refer to the order of rows in the table.
    """
    if steps.times is None:
        return steps
    repeated = _repeats(steps)
    if not repeated.any():
        return steps
    if how == "raise":
        raise _duplicate_error(steps, np.flatnonzero(repeated), ids, hint, zone)
    starts = np.flatnonzero(np.concatenate([[True], ~repeated]))
    if how in ("first", "last"):
        kept = starts if how == "first" else np.append(starts[1:], len(steps.codes)) - 1
        values = steps.values[kept]
    else:
        values = _total(steps.values, starts, mean=how == "mean")
    return Steps(steps.codes[starts], values, steps.times[starts])


def say_merged(steps: Steps, how: str, ids: Array, hint: str = "", zone: str | None = None) -> None:
    """Warn of sorted rows with the same series and time, which are merged as the user said."""
    if how == "raise":
        return
    rows = np.flatnonzero(_repeats(steps))
    if len(rows):
        warn(f"Merged {_named_repeats(steps, rows, ids, zone)}, by duplicates={how!r}.{hint}", DataWarning)


def _repeats(steps: Steps) -> Array:
    """Return which rows, from the second on, repeat the series and time of the row before."""
    assert steps.times is not None
    return np.asarray((steps.codes[1:] == steps.codes[:-1]) & (steps.times[1:] == steps.times[:-1]))


def _named_repeats(steps: Steps, rows: Ints, ids: Array, zone: str | None) -> str:
    assert steps.times is not None
    first = rows[np.diff(rows, prepend=-2) > 1]  # of those with the same series and time
    examples = ", ".join(f"{ids[steps.codes[i]].item()!r} at {time_text(steps.times[i], zone)}" for i in first[:3])
    more = f" and {len(first) - 3:,} more" if len(first) > 3 else ""
    series = f"{len(np.unique(steps.codes[rows])):,} of {len(ids):,} series"
    return f"{len(rows):,} rows that repeat the id and time of another row, in {series}: {examples}{more}"


def _duplicate_error(steps: Steps, rows: Ints, ids: Array, hint: str, zone: str | None) -> RepeatedRowsError:
    found = f"Found {_named_repeats(steps, rows, ids, zone)}."
    error = RepeatedRowsError(f'{found} Remove them, or pass duplicates="sum", "mean", "first" or "last".{hint}')
    error.found = found
    return error


def _total(values: Values, starts: Ints, *, mean: bool) -> Values:
    observed = ~np.isnan(values)
    counts = np.add.reduceat(observed, starts, axis=0, dtype=np.int64)
    totals = np.add.reduceat(np.where(observed, values, 0), starts, axis=0, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        totals = totals / np.maximum(counts, 1) if mean else totals
        return np.where(counts > 0, totals, np.nan).astype(values.dtype)


# -------------------------------------------------------------------- a regular grid


def put_on_grid(
    steps: Steps,
    calendar: Calendar,
    how: str,
    ids: Array,
    fill: float | None = None,
    end: Any = None,
    closed: Ints | None = None,
) -> tuple[Steps, int]:
    """Put the sorted rows of each series on a calendar, from its first row to its last.

    Rows in the same step are duplicates. Steps without a row become NaN. With ``fill``, they become
    this value, up to the step of the time ``end``, except for the steps ``closed``. The second
    result is the number of steps, of all series, that have a row or are closed.
    """
    assert steps.times is not None
    cells = calendar.cells(steps.times)
    binned = replace(steps, times=calendar.times(cells, steps.times))
    hint = f" They are in one step of the calendar: {calendar.describe()}. A finer freq= separates them."
    merged = merge_duplicates(binned, how, ids, hint, calendar.zone)
    # The cell of each merged row: merging keeps the first row of each run of duplicates.
    first = np.concatenate([[True], (np.diff(steps.codes) != 0) | (np.diff(cells) != 0)])
    last = None if fill is None else int(calendar.cells(np.asarray(end, steps.times.dtype)[None])[0])
    value = np.nan if fill is None else fill
    filled, n_closed = _fill(merged, calendar, cells[first], value, last, closed)
    return filled, len(merged.codes) + n_closed


def check_cells(calendar: Calendar, times: Array) -> None:
    """Raise if a step that the user named is so short that the steps would fill memory."""
    assert calendar.freq is not None
    if times.dtype.kind == "M":
        needed = float((times.max() - times.min()) / np.timedelta64(1, "h")) / calendar.hours
    else:
        needed = (float(times.max()) - float(times.min())) / float(calendar.freq)
    if not needed < _MAX_CELLS:  # also true for infinite times
        raise _too_fine(times, len(times), calendar, needed)


def check_length(times: Array, calendar: Calendar, n_steps: float, n_rows: int) -> None:
    """Raise if rows, or columns of a wide table, would make so many steps that they fill memory."""
    if n_steps > _MAX_CELLS_PER_ROW * (n_rows + 1000):
        raise _too_fine(times, n_rows, calendar, n_steps)


def _fill(
    steps: Steps, calendar: Calendar, cells: Ints, value: float, last: int | None, closed: Ints | None
) -> tuple[Steps, int]:
    """Return one row per step up to the step ``last``, with ``value`` where there is none.

    It is NaN at the steps ``closed``, which are counted.
    """
    assert steps.times is not None
    begins = _begins(steps.codes)
    ends = cells[np.append(begins[1:], len(cells)) - 1]
    if last is not None:
        ends = np.maximum(ends, last)
    lengths = ends - cells[begins] + 1
    # In float, since cells of nanoseconds can overflow int64.
    check_length(steps.times, calendar, lengths.sum(dtype=np.float64), len(cells))
    owners = np.repeat(np.arange(len(begins)), lengths)
    firsts = np.cumsum(lengths) - lengths  # first output row of each series
    all_cells = np.arange(len(owners)) - firsts[owners] + cells[begins][owners]
    series = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(cells))))
    values = np.full((len(owners), steps.values.shape[1]), value, steps.values.dtype)
    is_closed = np.isin(all_cells, [] if closed is None else closed)
    values[is_closed] = np.nan
    values[firsts[series] + cells - cells[begins][series]] = steps.values
    filled = Steps(steps.codes[begins][owners], values, calendar.times(all_cells, steps.times))
    return filled, int(is_closed.sum())


def _too_fine(times: Array, n_rows: int, calendar: Calendar, cells: float) -> InvalidDataError:
    return InvalidDataError(
        f"freq={calendar.freq!r} would make {cells:.3g} steps from {n_rows} rows. Pass a coarser freq, or look for "
        f"a wrong time: times range from {times.min()} to {times.max()}."
    )


def _begins(codes: Ints) -> Ints:
    """Return the first row of each series."""
    return np.flatnonzero(np.concatenate([[True], np.diff(codes) != 0]))


def trim_ends(steps: Steps) -> Steps:
    """Drop the rows before the first and after the last value of each series.

    All rows of a series without any value are kept.
    """
    known = (~np.isnan(steps.values)).any(axis=1)
    if known.all():
        return steps
    begins = _begins(steps.codes)
    ends = np.append(begins[1:], len(steps.codes))
    rows = np.arange(len(steps.codes))
    first = np.minimum.reduceat(np.where(known, rows, len(rows)), begins)
    last = np.maximum.reduceat(np.where(known, rows, -1), begins)
    empty = last < 0
    first, last = np.where(empty, begins, first), np.where(empty, ends - 1, last)
    lengths = ends - begins
    inside = (rows >= np.repeat(first, lengths)) & (rows <= np.repeat(last, lengths))
    return steps.take(np.flatnonzero(inside))
