"""Prepare the rows of long tables: sort them, merge duplicates, put them on a regular time grid."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from vrae.data.panel import Array, Ints, Values
from vrae.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["Steps", "merge_duplicates", "put_on_grid", "sort_order"]

# Spellings of polars and pandas. Each is a NumPy unit and a number of these units.
_UNITS = {
    **{unit: (unit, 1) for unit in ("ns", "us", "ms")},
    **dict.fromkeys(("s", "S"), ("s", 1)),
    **dict.fromkeys(("m", "min", "T"), ("m", 1)),
    **dict.fromkeys(("h", "H"), ("h", 1)),
    **dict.fromkeys(("d", "D"), ("D", 1)),
    **dict.fromkeys(("w", "W"), ("D", 7)),
    **dict.fromkeys(("mo", "M", "MS", "ME"), ("M", 1)),
    **dict.fromkeys(("q", "Q", "QS", "QE"), ("M", 3)),
    **dict.fromkeys(("y", "Y", "YS", "YE"), ("Y", 1)),
}
# A grid with more cells per row than this is probably a mistake in ``freq``. It would fill memory.
_MAX_CELLS_PER_ROW = 1000
_MAX_CELLS = 1e15  # well within int64


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


def merge_duplicates(steps: Steps, how: str, ids: Array, hint: str = "") -> Steps:
    """Merge rows, which must be sorted, with the same series and time.

    "sum" and "mean" use observed values; without any, the result is missing. "first" and "last"
    refer to the order of rows in the table.
    """
    if steps.times is None:
        return steps
    repeated = (steps.codes[1:] == steps.codes[:-1]) & (steps.times[1:] == steps.times[:-1])
    if not repeated.any():
        return steps
    if how == "raise":
        raise _duplicate_error(steps, np.flatnonzero(repeated), ids, hint)
    starts = np.flatnonzero(np.concatenate([[True], ~repeated]))
    if how in ("first", "last"):
        kept = starts if how == "first" else np.append(starts[1:], len(steps.codes)) - 1
        values = steps.values[kept]
    else:
        values = _total(steps.values, starts, mean=how == "mean")
    return Steps(steps.codes[starts], values, steps.times[starts])


def _duplicate_error(steps: Steps, rows: Ints, ids: Array, hint: str) -> InvalidDataError:
    assert steps.times is not None
    examples = ", ".join(f"{ids[steps.codes[row]].item()!r} at {steps.times[row]}" for row in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return InvalidDataError(
        f"Found {len(rows)} rows that repeat the id and time of another row, in "
        f"{len(np.unique(steps.codes[rows]))} of {len(ids)} series: {examples}{more}. "
        f'Remove them, or pass duplicates="sum", "mean", "first" or "last".{hint}'
    )


def _total(values: Values, starts: Ints, *, mean: bool) -> Values:
    observed = ~np.isnan(values)
    counts = np.add.reduceat(observed, starts, axis=0, dtype=np.int64)
    totals = np.add.reduceat(np.where(observed, values, 0), starts, axis=0, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        totals = totals / np.maximum(counts, 1) if mean else totals
        return np.where(counts > 0, totals, np.nan).astype(np.float32)


# -------------------------------------------------------------------- a regular grid


class _Grid(NamedTuple):
    cells: Ints  # cell of each row; the earliest row is in cell 0
    start: Any  # time of cell 0
    step: Any  # time between cells

    def times(self, cells: Ints, like: Array) -> Array:
        return np.asarray((self.start + cells * self.step).astype(like.dtype))


def put_on_grid(steps: Steps, freq: str | float, how: str, ids: Array, origin: Any = None) -> Steps:
    """Put the sorted rows of each series on a regular grid from its first row to its last.

    Grid cells begin with the units of the calendar; weeks begin on the weekday of the earliest
    row, or of ``origin`` if the rows are a part of a table. Rows in the same cell are duplicates.
    Cells without a row become NaN.
    """
    assert steps.times is not None
    dated = np.issubdtype(steps.times.dtype, np.datetime64)
    start = steps.times.min() if origin is None else steps.times.dtype.type(origin)
    grid = _calendar_grid(steps.times, start, freq) if dated else _number_grid(steps.times, start, freq)
    binned = replace(steps, times=grid.times(grid.cells, steps.times))
    merged = merge_duplicates(
        binned, how, ids, hint=f" They are in one step of freq={freq!r}. A finer freq separates them."
    )
    # The cell of each merged row: merging keeps the first row of each run of duplicates.
    first = np.concatenate([[True], (np.diff(steps.codes) != 0) | (np.diff(grid.cells) != 0)])
    return _fill(merged, grid, grid.cells[first], freq)


def _fill(steps: Steps, grid: _Grid, cells: Ints, freq: str | float) -> Steps:
    assert steps.times is not None
    begins = np.flatnonzero(np.concatenate([[True], np.diff(steps.codes) != 0]))
    ends = np.append(begins[1:], len(cells)) - 1
    lengths = cells[ends] - cells[begins] + 1
    total = lengths.sum(dtype=np.float64)  # float, since cells of nanoseconds can overflow int64
    if total > _MAX_CELLS_PER_ROW * (len(cells) + 1000):
        raise _too_fine(steps.times, freq, total)
    owners = np.repeat(np.arange(len(begins)), lengths)
    firsts = np.cumsum(lengths) - lengths  # first output row of each series
    all_cells = np.arange(len(owners)) - firsts[owners] + cells[begins][owners]
    series = np.repeat(np.arange(len(begins)), ends - begins + 1)
    values = np.full((len(owners), steps.values.shape[1]), np.nan, np.float32)
    values[firsts[series] + cells - cells[begins][series]] = steps.values
    return Steps(steps.codes[begins][owners], values, grid.times(all_cells, steps.times))


def _calendar_grid(times: Array, earliest: Any, freq: str | float) -> _Grid:
    found = re.fullmatch(r"(\d*)\s*([A-Za-z]+)", freq) if isinstance(freq, str) else None
    if found is None or found[2] not in _UNITS or found[1].strip("0") == "" != found[1]:
        raise InvalidParameterError(
            f"freq={freq!r} is not a time step. For dates, pass a number and a unit, such as "
            f'"15min", "1h", "1d", "1w", "1mo", "1q" or "1y".'
        )
    unit, factor = _UNITS[found[2]]
    size = factor * int(found[1] or 1)
    counts = times.astype(f"datetime64[{unit}]").astype(np.int64)
    start = earliest.astype(f"datetime64[{unit}]").astype(np.int64)
    if unit == "M":
        start -= start % factor  # quarters begin in January, April, ...
    first = np.array(start).astype(f"datetime64[{unit}]")
    return _Grid((counts - start) // size, first, np.array(size).astype(f"timedelta64[{unit}]"))


def _number_grid(times: Array, start: Any, freq: str | float) -> _Grid:
    if isinstance(freq, (str, bool)) or not 0 < freq < np.inf:
        raise InvalidParameterError(
            f"freq={freq!r} is not a positive number. For times that are numbers, pass the distance between steps."
        )
    step = float(freq)
    cells_needed = (float(times.max()) - float(start)) / step
    if not cells_needed < _MAX_CELLS:  # also true for infinite times
        raise _too_fine(times, freq, cells_needed)
    if np.issubdtype(times.dtype, np.integer) and step.is_integer():
        return _Grid((times - start) // int(step), start, int(step))
    cells = np.floor((times - start) / step + 1e-6).astype(np.int64)  # in floats, 0.3 / 0.1 < 3
    return _Grid(cells, start, step)


def _too_fine(times: Array, freq: str | float, cells: float) -> InvalidDataError:
    return InvalidDataError(
        f"freq={freq!r} would make {cells:.3g} steps from {len(times)} rows. Pass a coarser freq, or look for a "
        f"wrong time: times range from {times.min()} to {times.max()}."
    )
