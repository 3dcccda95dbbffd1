"""A list of tables, each a series with a row a step: sktime's ``df-list``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from vrae.data.columns import ROW_LABELS, Table, from_frame, reading
from vrae.data.panel import Panel
from vrae.data.roles import TableOptions
from vrae.data.tables import table_to_panel, values_by_row
from vrae.exceptions import InvalidDataError, name_some

__all__ = ["frames_like", "frames_to_panel"]


def frames_to_panel(frames: Sequence[Any]) -> Panel:
    """Read a list of tables, each a series, into a panel.

    Parameters
    ----------
    frames : sequence of table
        Of the same columns. A row is a step, in order of a column ``ds`` or of a pandas index of times, if there is
        one; the column ``y``, or else each column of numbers, is a channel.

    Returns
    -------
    Panel
        Ids are the positions in the list.

    Raises
    ------
    InvalidDataError
        Other things than tables in the list, other columns than in the first one, no rows, or see `table_to_panel`.
    """
    return table_to_panel(*_stack(frames))


def frames_like(frames: Sequence[Any], panel: Panel) -> list[Any]:
    """Return the list of tables with the values of ``panel`` in it; their other columns and their index stay.

    Raises
    ------
    InvalidDataError
        The panel has not the shape of the tables.
    """
    table, options = _stack(frames)
    replaced = values_by_row(table, panel, options)
    found, start = [], 0
    for frame in frames:
        known = nw.from_native(frame, eager_only=True)
        rows = slice(start, start + len(known))
        columns = [
            nw.new_series(column, replaced[str(column)][rows], backend=known.implementation)
            for column in known.columns
            if str(column) in replaced
        ]
        index = nw.maybe_get_index(known)
        changed = known.with_columns(*(c if index is None else nw.maybe_set_index(c, index=index) for c in columns))
        found.append(changed.to_native())
        start = rows.stop
    return found


def _stack(frames: Sequence[Any]) -> tuple[Table, TableOptions]:
    """Return all rows as one long table, and how it is to be read."""
    tables = [_table(frame, row) for row, frame in enumerate(frames)]
    first = tables[0]
    odd = [row for row, table in enumerate(tables) if set(table.columns) != set(first.columns)]
    if odd:
        raise InvalidDataError(
            f"All tables of a list need the columns of the first one, {name_some(first.columns, 12)}; not so those at "
            f"{name_some(odd)}: {name_some(tables[odd[0]].columns, 12)}."
        )
    parts = [table.data.to_table(columns=first.columns) for table in tables]
    empty = [row for row, part in enumerate(parts) if part.num_rows == 0]
    if empty:
        raise InvalidDataError(f"Found {len(empty)} series of 0 steps, the tables at {name_some(empty)}. Remove them.")
    series = "series"
    while series in first.columns:
        series += "_"
    owner = np.repeat(np.arange(len(parts)), [part.num_rows for part in parts])
    rows = _joined(parts).append_column(series, pa.array(owner))
    index = [name for name in first.columns if name in (*first.index, *ROW_LABELS)]
    times = [name for name in index if first.kinds[name] == "time"]
    # Numbers in an index more often count the rows of a larger table than steps in time.
    options = TableOptions(id=series, time=times[0] if times else None, layout="long", static=())
    return Table("the list of tables", ds.dataset(rows), first.index), options


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    """Join rows; a column that is text in one table becomes text in all, so that a message can show the odd value."""
    texts = {f.name for part in parts for f in part.schema if f.type in (pa.string(), pa.large_string())}
    with reading("the list of tables"):
        alike = [
            part.cast(pa.schema([(f.name, pa.large_string() if f.name in texts else f.type) for f in part.schema]))
            for part in parts
        ]
        return pa.concat_tables(alike, promote_options="permissive")


def _table(frame: Any, row: int) -> Table:
    try:
        return from_frame(nw.to_native(nw.from_native(frame, eager_only=True)))
    except TypeError:
        raise InvalidDataError(
            f"Found a {type(frame).__name__} at {row} in a list of tables; pass tables in memory only, or arrays only."
        ) from None
