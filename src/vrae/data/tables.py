"""Convert long and wide tables to panels, and panels back to columns of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrae.data.arrays import Array, Ints
from vrae.data.calendar import Calendar
from vrae.data.closures import closed_cells
from vrae.data.columns import Table, as_names, as_numbers, encode_ids, number_matrix
from vrae.data.dates import Times
from vrae.data.long import Steps, check_length, merge_duplicates, put_on_grid, say_merged, sort_order, trim_ends
from vrae.data.panel import Panel, offsets_of
from vrae.data.precision import narrowed
from vrae.data.repeats import id_hint, repeat_hint, told_apart
from vrae.data.roles import Roles, changing_series, find_roles, first_rows, refuse_without_times
from vrae.data.suspicions import say_suspicions
from vrae.data.table_calendar import calendar_of, name_times, row_times
from vrae.data.table_options import TableOptions
from vrae.exceptions import DataWarning, InvalidDataError, name_some, warn

__all__ = ["panel_by_roles", "repeated_ids", "table_to_panel", "values_by_row"]

Columns = dict[str, pa.ChunkedArray]

_MANY = 100  # more columns of values than this are converted together, where they are alike
_EMPTY = 1 << 24  # lists of nulls take no space in a file, and may not be longer than this in all


def table_to_panel(table: Table, options: TableOptions) -> Panel:
    """Convert a long or wide table to a panel."""
    return panel_by_roles(table, find_roles(table, options), options)


def panel_by_roles(table: Table, roles: Roles, options: TableOptions) -> Panel:
    """Convert a table with known roles of columns to a panel. See `table_to_panel`."""
    columns = table.read(roles.all)
    panel = _long_panel(table, roles, columns, options) if roles.long else _wide_panel(table, roles, columns, options)
    say_suspicions(panel, roles, options, table)
    return replace(panel, reading=_remembered(table, roles, options, panel.calendar))


def _remembered(table: Table, roles: Roles, options: TableOptions, calendar: Calendar | None) -> TableOptions:
    """Return the options that read a later table in the same way."""
    return replace(
        options,
        id=roles.id,
        id_parts=table.parts,
        time=roles.time,
        value=tuple(roles.values) if roles.long else _wide_names(options.value, table),
        layout="long" if roles.long else "wide",
        static=tuple(roles.static),
        label=None,
        calendar=None if calendar is None else replace(calendar, absent=0.0),
        end=None,
        closed=None,
        written=None,
    )


def _wide_names(names: Sequence[str] | None, table: Table) -> Sequence[str] | None:
    """Return the names that a user gave for steps, but not those of channels of a long table."""
    has_all = names is None or all(table.has(name) or set(name) & {*"*?"} for name in names)
    return names if has_all else None


def values_by_row(table: Table, panel: Panel, options: TableOptions) -> dict[str, Any]:
    """Return new value columns for a table, in its order of rows, with the values of a panel.

    The value is missing where the panel has no step: before the first value of a series, and after
    its last.
    """
    roles = find_roles(table, options)
    columns = table.read(roles.all)
    if roles.long:
        codes, ids = _series(table, roles, columns)
        times = _times(table, roles, columns, options)
        place = _places(panel, codes, len(ids), *_ordered(codes, ids, times, table, roles, options))
    else:
        place = _wide_places(panel, roles, table, options)
    if place is None:
        raise InvalidDataError(f"Cannot put {panel} back into {table.name}, which holds other series or steps.")
    if not roles.long:
        return _wide_columns(panel, roles, table, place)
    values = np.append(panel.values, np.full((1, panel.n_channels), np.nan, panel.values.dtype), axis=0)[place]
    channels = panel.channels if set(panel.channels) == set(roles.values) else roles.values
    return {name: values[:, channel] for channel, name in enumerate(channels)}


def _places(panel: Panel, codes: Ints, n_series: int, times: Array | None, order: Ints | None) -> Ints | None:
    """Return the position in the values of a panel of each row of a long table; -1 is none."""
    if len(panel) != n_series:
        return None
    if times is None or panel.calendar is None or panel.calendar.freq is None:
        if len(codes) != len(panel.values):
            return None
        place = np.arange(len(codes))
        place[slice(None) if order is None else order] = np.arange(len(codes))
        return place
    assert panel.times is not None
    return _on_steps(panel, codes, panel.calendar.cells(times))


def _on_steps(panel: Panel, series: Ints, cells: Ints) -> Ints:
    """Return the position in the values of a panel of steps of a calendar; -1 is none."""
    assert panel.times is not None
    assert panel.calendar is not None
    first = panel.calendar.cells(panel.times[panel.offsets[:-1]])
    step = cells - first[series]
    inside = (step >= 0) & (step < panel.lengths[series])
    return np.where(inside, panel.offsets[:-1][series] + step, -1)


# -------------------------------------------------------------------- long


def _series(table: Table, roles: Roles, columns: Columns) -> tuple[Ints, Array]:
    if roles.id is None:  # a single series
        return np.zeros(len(next(iter(columns.values()))), np.int64), np.zeros(1, np.int64)
    return encode_ids(columns[roles.id], roles.id, table)


def _times(table: Table, roles: Roles, columns: Columns, options: TableOptions) -> Times | None:
    return None if roles.time is None else row_times(columns[roles.time], roles.time, table, options)


def _ordered(
    codes: Ints, ids: Array, times: Times | None, table: Table, roles: Roles, options: TableOptions
) -> tuple[Array | None, Ints | None]:
    """Return the time of each row, and the order of rows by series and time."""
    stamps = None if times is None else times.stamps
    order = sort_order(codes, stamps)
    if times is None or options.duplicates != "raise":
        return stamps, order
    stamps = told_apart(codes, ids, times, order, table, roles)
    return stamps, order if stamps is times.stamps else sort_order(codes, stamps)


def _values(table: Table, roles: Roles, columns: Columns, missing: float | None) -> Array:
    """Return the value columns in float64, shape (n_rows, n_columns)."""
    row_ids = columns[roles.id] if roles.id is not None else None
    many = {name: columns[name] for name in roles.values} if len(roles.values) > _MANY else {}
    matrix = number_matrix(many, table) if many else None
    values = np.empty((len(next(iter(columns.values()))), len(roles.values))) if matrix is None else matrix
    for column, name in enumerate(roles.values if matrix is None else ()):
        values[:, column] = as_numbers(columns[name], name, table, row_ids)
    if missing is not None:
        values[values == missing] = np.nan
    return values


def _long_panel(table: Table, roles: Roles, columns: Columns, options: TableOptions) -> Panel:
    codes, ids = _series(table, roles, columns)
    times = _times(table, roles, columns, options)
    stamps, order = _ordered(codes, ids, times, table, roles, options)
    steps = Steps(codes, _values(table, roles, columns, options.missing), stamps).take(order)
    static = _long_static(table, roles, columns, codes, ids)
    if times is None:
        calendar = None
    else:
        hint = repeat_hint(codes, times, order, table, roles)
        say_merged(steps, options.duplicates, ids, hint, times.zone)
        steps, calendar = _on_calendar(steps, times.zone, options, ids, hint or id_hint(table, roles))
    return _panel(steps, ids, static, calendar, tuple(roles.values))


def _panel(
    steps: Steps, ids: Array, static: dict[str, Array], calendar: Calendar | None, channels: tuple[str, ...] = ()
) -> Panel:
    """Return the panel of rows that are sorted by series and time."""
    lengths = np.bincount(steps.codes, minlength=len(ids))
    values = narrowed(steps.values, lengths)
    return Panel(values, offsets_of(lengths), ids, steps.times, channels, static, calendar)


def _on_calendar(
    steps: Steps, zone: str | None, options: TableOptions, ids: Array, hint: str
) -> tuple[Steps, Calendar]:
    """Put sorted rows on their calendar: a known one, that of ``freq``, or that of their times."""
    assert steps.times is not None
    calendar = calendar_of(steps, zone, options)
    if calendar.freq is None:
        return merge_duplicates(steps, options.duplicates, ids, hint, zone), calendar
    end = steps.times.max() if options.end is None else options.end
    merged = merge_duplicates(steps, options.duplicates, ids, hint, zone) if options.freq is None else steps
    closed = closed_cells(calendar, steps.times, len(steps.codes), options)
    gridded, n_rows = put_on_grid(merged, calendar, options.duplicates, ids, options.fill, end, closed)
    trimmed = trim_ends(gridded) if calendar.aligned else gridded
    return trimmed, calendar.without_rows(1 - n_rows / len(gridded.codes))


def _long_static(table: Table, roles: Roles, columns: Columns, codes: Ints, ids: Array) -> dict[str, Array]:
    first = first_rows(codes, len(ids))
    static = {}
    for key, name in _static_columns(roles):
        changing = changing_series(columns[name], codes, len(ids))
        if len(changing):
            raise InvalidDataError(
                f"The static column {name!r} of {table.name} changes within {len(changing)} series, ids "
                f"{name_some(ids[changing])}. A static column has one value per series: leave it out."
            )
        static[key] = as_names(columns[name].take(pa.array(first)))
    return static


def _static_columns(roles: Roles) -> list[tuple[str, str]]:
    """Return pairs of the name in the panel and the name of the column."""
    pairs = [(name, name) for name in roles.static]
    return pairs if roles.label is None else [*pairs, ("label", roles.label)]


# -------------------------------------------------------------------- wide


def _wide_panel(table: Table, roles: Roles, columns: Columns, options: TableOptions) -> Panel:
    ids = _wide_ids(table, roles, columns)
    static = {key: as_names(columns[name]) for key, name in _static_columns(roles)}
    if table.kinds[roles.values[0]] == "list":
        values, lengths = _nested_values(table, roles.values, columns)
        _refuse_grid(options, table)
        known = narrowed(_without(values, options.missing), lengths)
        return Panel(known, offsets_of(lengths), ids, channels=tuple(roles.values), static=static)
    matrix = _values(table, roles, columns, options.missing)
    dates = name_times(roles.values, table, options)
    if dates is None:
        _refuse_grid(replace(options, fill=None), table)
        n_series, n_steps = matrix.shape
        lengths = np.full(n_series, n_steps)
        values = _filled(matrix, options.fill).reshape(-1, 1)
        return Panel(narrowed(values, lengths), offsets_of(lengths), ids, static=static)
    own = Steps(np.zeros(len(dates.stamps), np.int64), matrix.T, dates.stamps)
    steps, calendar = _wide_steps(own, dates.zone, options, table)
    return _panel(steps, ids, static, calendar)


def _filled(matrix: Array, fill: float | None) -> Array:
    """Return series (n_series, n_steps) with ``fill`` where values are missing after the first."""
    if fill is None:
        return matrix
    begun = np.maximum.accumulate(~np.isnan(matrix), axis=1)
    return np.where(begun & np.isnan(matrix), fill, matrix)


def _without(values: Array, missing: float | None) -> Array:
    return values if missing is None else np.where(values == missing, np.nan, values)


def _refuse_grid(options: TableOptions, table: Table) -> None:
    """Raise if options for dates were given for a wide table without any."""
    refuse_without_times(
        options,
        f"needs times. {table.name} is read as wide (one row per series), and its columns are not named by dates. If "
        f"it is long, name the time column with time=.",
    )


def _wide_steps(columns: Steps, zone: str | None, options: TableOptions, table: Table) -> tuple[Steps, Calendar]:
    """Put columns, with a value per series each, on their calendar. Empty ends are left out."""
    assert columns.times is not None
    calendar = calendar_of(columns, zone, options)
    first = last = 0
    if calendar.freq is not None:
        cells = calendar.cells(columns.times)
        first, last = int(cells[0]), int(cells[-1])
        n_series = columns.values.shape[1]
        check_length(columns.times, calendar, (float(last) - first + 1) * n_series, len(cells) * n_series)
        columns = replace(columns, times=calendar.times(cells, columns.times))
    columns = _merged_columns(columns, calendar, options, table)
    assert columns.times is not None
    full, times = columns.values.T, columns.times
    if calendar.freq is not None:
        times = calendar.times(np.arange(first, last + 1), times)
        full = np.full((full.shape[0], len(times)), np.nan)
        full[:, np.unique(cells) - first] = columns.values.T
    n_rows = int((~np.isnan(full)).sum())
    n_series = len(full)
    values = _filled(full, options.fill)
    if calendar.freq is not None and n_rows:
        closed = closed_cells(calendar, times[~np.isnan(full).all(axis=0)], n_rows, options)
        if closed is not None:
            n_rows += int((~np.isnan(values[:, closed - first])).sum())
            values[:, closed - first] = np.nan
    steps = Steps(np.repeat(np.arange(n_series), len(times)), values.reshape(-1, 1), np.tile(times, n_series))
    inside = trim_ends(steps)
    return inside, calendar.without_rows(1 - n_rows / len(inside.codes))


def _merged_columns(columns: Steps, calendar: Calendar, options: TableOptions, table: Table) -> Steps:
    """Merge the columns of one step."""
    assert columns.times is not None
    repeated = np.flatnonzero(columns.times[1:] == columns.times[:-1])
    if len(repeated) and options.duplicates == "raise":
        step = "" if options.freq is None else f" of freq={calendar.freq!r}"
        finer = "" if options.freq is None else ", or a finer freq"
        raise InvalidDataError(
            f"Several columns of {table.name} are in one step{step}, the first two at {columns.times[repeated[0]]}. "
            f'Pass duplicates="sum", "mean", "first" or "last"{finer}.'
        )
    if len(repeated) and options.freq is None:
        warn(
            f"Merged {len(repeated)} columns of {table.name} that repeat the time of another one, the first at "
            f"{columns.times[repeated[0]]}, by duplicates={options.duplicates!r}.",
            DataWarning,
        )
    return merge_duplicates(columns, options.duplicates, np.zeros(1, np.int64))


def _wide_ids(table: Table, roles: Roles, columns: Columns) -> Array:
    """Return the ids. Without an id column: the index if it is unique, else the row numbers."""
    n_rows = len(next(iter(columns.values())))
    if roles.id is None:
        label = table.row_label()
        return np.arange(n_rows) if label is None else as_names(table.read([label])[label])
    codes, ids = encode_ids(columns[roles.id], roles.id, table)
    if len(ids) == n_rows:
        return ids
    raise repeated_ids(ids[np.bincount(codes) > 1], roles, table.name)


def repeated_ids(ids: Array, roles: Roles, name: str) -> InvalidDataError:
    """Return the error for ids that name several rows of a wide table."""
    return InvalidDataError(
        f"Ids {name_some(ids)} appear more than once in column {roles.id!r} of {name}, which is read as wide (one row "
        f"per series). Name a column without repeats with id=. If each row is a time step, name the time column with "
        f"time=, or pass layout='long' if the rows are in order."
    )


def _nested_values(table: Table, names: Sequence[str], columns: Columns) -> tuple[Array, Ints]:
    """Return the values and lengths of columns of lists, one per channel."""
    channels, lengths = [], None
    for name in names:
        if table.kinds[name] != "list":
            raise InvalidDataError(
                f"Column {names[0]!r} of {table.name} holds lists, but column {name!r} does not. Name the columns "
                f"of lists with value=."
            )
        column = columns[name]
        own = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        if not own.all():
            rows = np.flatnonzero(own == 0)
            raise InvalidDataError(
                f"Found {len(rows)} series of 0 steps in column {name!r} of {table.name}, rows "
                f"{name_some(rows)} counted from 0. Remove them."
            )
        if pa.types.is_null(column.type.value_type) and own.sum() > _EMPTY:
            raise InvalidDataError(
                f"The lists in column {name!r} of {table.name} hold {own.sum():,} nulls, and no values."
            )
        lengths = own if lengths is None else lengths
        if not np.array_equal(lengths, own):
            raise InvalidDataError(
                f"Columns {names[0]!r} and {name!r} of {table.name} have lists of different lengths in row "
                f"{np.flatnonzero(lengths != own)[0]}, counted from 0. All channels of a series need the same length."
            )
        channels.append(as_numbers(pc.list_flatten(column), name, table, None))
    assert lengths is not None
    return np.stack(channels, axis=1), lengths.astype(np.int64)


def _wide_places(panel: Panel, roles: Roles, table: Table, options: TableOptions) -> Ints | None:
    """Return the position in the values of a panel of each cell of a wide table; -1 is none."""
    if len(panel) != len(next(iter(table.read(roles.values[:1]).values()))):
        return None
    if table.kinds[roles.values[0]] == "list":
        return np.arange(len(panel.values))
    n_steps = len(roles.values)
    dates = name_times(roles.values, table, options)
    if dates is None or panel.calendar is None or panel.times is None:
        return np.arange(len(panel.values)) if len(panel.values) == len(panel) * n_steps else None
    series = np.repeat(np.arange(len(panel)), n_steps)
    if panel.calendar.freq is not None:
        return _on_steps(panel, series, np.tile(panel.calendar.cells(dates.stamps), len(panel)))
    first = np.searchsorted(dates.stamps, panel.times[panel.offsets[:-1]])
    step = np.tile(np.arange(n_steps), len(panel)) - first[series]
    return np.where((step >= 0) & (step < panel.lengths[series]), panel.offsets[:-1][series] + step, -1)


def _wide_columns(panel: Panel, roles: Roles, table: Table, place: Ints) -> dict[str, Any]:
    if table.kinds[roles.values[0]] == "list":
        parts = np.split(panel.values, panel.offsets[1:-1])
        return {name: [part[:, channel].tolist() for part in parts] for channel, name in enumerate(roles.values)}
    values = np.append(panel.values[:, 0], np.array(np.nan, panel.values.dtype))[place]
    return dict(zip(roles.values, values.reshape(-1, len(roles.values)).T, strict=True))
