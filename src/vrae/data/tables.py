"""Convert long and wide tables to panels, and panels back to columns of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrae.data.columns import Table, as_names, as_numbers, encode_ids
from vrae.data.dates import as_times
from vrae.data.long import Steps, merge_duplicates, put_on_grid, sort_order
from vrae.data.panel import Array, Ints, Panel, Values, offsets_of
from vrae.data.roles import Roles, changing_series, find_roles, first_rows
from vrae.data.table_options import TableOptions
from vrae.exceptions import InvalidDataError, InvalidParameterError, name_some

__all__ = ["panel_by_roles", "repeated_ids", "table_to_panel", "values_by_row"]

Columns = dict[str, pa.ChunkedArray]


def table_to_panel(table: Table, options: TableOptions) -> Panel:
    """Convert a long or wide table to a panel."""
    return panel_by_roles(table, find_roles(table, options), options)


def panel_by_roles(table: Table, roles: Roles, options: TableOptions) -> Panel:
    """Convert a table with known roles of columns to a panel. See `table_to_panel`."""
    columns = table.read(roles.all)
    if roles.long:
        return _long_panel(table, roles, columns, options)
    if options.freq is not None:
        raise InvalidParameterError(
            f"freq={options.freq!r} needs a long table with a time column. {table.name} is read as wide (one row "
            f"per series). If it is long, pass time=."
        )
    return _wide_panel(table, roles, columns)


def values_by_row(table: Table, panel: Panel, options: TableOptions) -> dict[str, Any]:
    """Return new value columns for a table, in its order of rows, with the values of a panel."""
    roles = find_roles(table, options)
    shape = panel_by_roles(table, roles, options)
    if panel.values.shape != shape.values.shape or not np.array_equal(panel.offsets, shape.offsets):
        raise InvalidDataError(f"Cannot put {panel} back into {table.name}, which holds {shape}.")
    if not roles.long:
        return _wide_columns(panel, roles, table)
    columns = table.read(roles.all)
    codes, _ = _series(table, roles, columns)
    order = sort_order(codes, _times(table, roles, columns))
    unsorted = np.empty_like(panel.values)
    unsorted[slice(None) if order is None else order] = panel.values
    return {name: unsorted[:, channel] for channel, name in enumerate(roles.values)}


# -------------------------------------------------------------------- long


def _series(table: Table, roles: Roles, columns: Columns) -> tuple[Ints, Array]:
    if roles.id is None:  # a single series
        return np.zeros(len(next(iter(columns.values()))), np.int64), np.zeros(1, np.int64)
    return encode_ids(columns[roles.id], roles.id, table)


def _times(table: Table, roles: Roles, columns: Columns) -> Array | None:
    return None if roles.time is None else as_times(columns[roles.time], roles.time, table).stamps


def _values(table: Table, roles: Roles, columns: Columns) -> Values:
    """Return the value columns, shape (n_rows, n_columns)."""
    row_ids = columns[roles.id] if roles.id is not None else None
    values = np.empty((len(next(iter(columns.values()))), len(roles.values)), np.float32)
    for column, name in enumerate(roles.values):
        values[:, column] = as_numbers(columns[name], name, table, row_ids)
    return values


def _long_panel(table: Table, roles: Roles, columns: Columns, options: TableOptions) -> Panel:
    codes, ids = _series(table, roles, columns)
    times = _times(table, roles, columns)
    steps = Steps(codes, _values(table, roles, columns), times).take(sort_order(codes, times))
    steps = _regular(steps, options, ids, table, roles)
    return Panel(
        values=steps.values,
        offsets=offsets_of(np.bincount(steps.codes, minlength=len(ids))),
        ids=ids,
        times=steps.times,
        channels=tuple(roles.values),
        static=_long_static(table, roles, columns, codes, ids),
    )


def _regular(steps: Steps, options: TableOptions, ids: Array, table: Table, roles: Roles) -> Steps:
    if options.freq is None:
        hint = "" if roles.id else f" If {table.name} holds several series, name their column with id=."
        return merge_duplicates(steps, options.duplicates, ids, hint)
    if steps.times is None:
        raise InvalidParameterError(
            f"freq={options.freq!r} needs a time column. Name it with time=. "
            f"Columns of {table.name}: {name_some(table.columns, 12)}."
        )
    return put_on_grid(steps, options.freq, options.duplicates, ids, options.origin)


def _long_static(table: Table, roles: Roles, columns: Columns, codes: Ints, ids: Array) -> dict[str, Array]:
    first = first_rows(codes, len(ids))
    static = {}
    for key, name in _static_columns(roles):
        changing = changing_series(columns[name], codes, len(ids))
        if len(changing):
            raise InvalidDataError(
                f"The static column {name!r} of {table.name} changes within {len(changing)} series, ids "
                f"{name_some(ids[changing])}. A static column has one value per series. Remove it from static=."
            )
        static[key] = as_names(columns[name].take(pa.array(first)))
    return static


def _static_columns(roles: Roles) -> list[tuple[str, str]]:
    """Return pairs of the name in the panel and the name of the column."""
    pairs = [(name, name) for name in roles.static]
    return pairs if roles.label is None else [*pairs, ("label", roles.label)]


# -------------------------------------------------------------------- wide


def _wide_panel(table: Table, roles: Roles, columns: Columns) -> Panel:
    ids = _wide_ids(table, roles, columns)
    static = {key: as_names(columns[name]) for key, name in _static_columns(roles)}
    if table.kinds[roles.values[0]] == "list":
        values, offsets = _nested_values(table, roles.values, columns)
        return Panel(values, offsets, ids, channels=tuple(roles.values), static=static)
    matrix = _values(table, roles, columns)
    n_series, n_steps = matrix.shape
    return Panel(
        values=matrix.reshape(-1, 1),
        offsets=np.arange(n_series + 1, dtype=np.int64) * n_steps,
        ids=ids,
        times=_step_times(roles.values, n_series),
        static=static,
    )


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


def _step_times(names: Sequence[str], n_series: int) -> Array | None:
    """Return the time of each step if the columns are named by dates, such as 2024-01-31."""
    try:
        times = np.array([np.datetime64(name, "us") if name[4:5] == "-" else None for name in names])
    except ValueError:
        return None
    return None if None in times else np.tile(times.astype("datetime64[us]"), n_series)


def _nested_values(table: Table, names: Sequence[str], columns: Columns) -> tuple[Values, Ints]:
    """Return the values and offsets of columns of lists, one per channel."""
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
        lengths = own if lengths is None else lengths
        if not np.array_equal(lengths, own):
            raise InvalidDataError(
                f"Columns {names[0]!r} and {name!r} of {table.name} have lists of different lengths in row "
                f"{np.flatnonzero(lengths != own)[0]}, counted from 0. All channels of a series need the same length."
            )
        channels.append(as_numbers(pc.list_flatten(column), name, table, None))
    assert lengths is not None
    return np.stack(channels, axis=1), offsets_of(lengths)


def _wide_columns(panel: Panel, roles: Roles, table: Table) -> dict[str, Any]:
    if table.kinds[roles.values[0]] == "list":
        return {name: [series[:, channel].tolist() for series in panel] for channel, name in enumerate(roles.values)}
    matrix = panel.values.reshape(len(panel), -1)
    return {name: matrix[:, step] for step, name in enumerate(roles.values)}
