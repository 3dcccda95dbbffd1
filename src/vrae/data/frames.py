"""Read tables in memory: one table, or a list with one table per series (sktime's ``df-list``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from vrae.data.array_likes import is_dated_series, is_indexed_series, is_missing
from vrae.data.columns import ROW_LABELS, Rows, Table, reading
from vrae.data.identity import with_joined_id
from vrae.data.panel import Panel
from vrae.data.table_options import TableOptions
from vrae.data.tables import table_to_panel, values_by_row
from vrae.exceptions import InvalidDataError, first_line, name_some

__all__ = ["frame_like", "frames_like", "frames_to_panel", "from_frame"]


def from_frame(frame: Any) -> Table:
    """Convert a pandas, polars or pyarrow table, or any other that narwhals supports.

    An index with three or more levels becomes an id, which joins levels, and a time.
    """
    if isinstance(frame, ds.Dataset):
        return Table("the Arrow dataset", frame)
    frame = _as_frame(frame)
    try:
        known: Any = nw.from_native(frame)
    except nw.exceptions.DuplicateError as error:
        raise InvalidDataError(
            f"Two columns of the table share a name: {str(error).splitlines()[-1].strip(' -')}. Rename one."
        ) from None
    eager = _computed(known) if isinstance(known, nw.LazyFrame) else known
    name = f"the {str(eager.implementation).lower()} table"
    names = [_label(column) for column in eager.columns]
    index = {level: values for level, values in _index_columns(eager).items() if level not in names}
    columns = [_arrow(eager.get_column(column)) for column in eager.columns]
    with reading(name):
        table = pa.table([*index.values(), *columns], names=[*index, *names])
    levels = tuple(level for level in index if level not in ROW_LABELS)
    return _with_two_levels(Table(name, Rows(table), levels, label_zone=_label_zone(eager.columns)))


def _computed(known: Any) -> Any:
    """Compute a lazy table."""
    try:
        return known.collect(backend="pyarrow")
    except Exception as error:  # of the library, whatever its version raises
        raise InvalidDataError(f"The lazy table cannot be computed: {first_line(error)}.") from error


def _as_frame(series: Any) -> Any:
    """Return a Series of pandas as a table with a single column; other tables with plain labels."""
    if is_indexed_series(series):
        return series.to_frame("value" if series.name is None else series.name)
    has_levels = nw.dependencies.is_pandas_dataframe(series) and series.columns.nlevels > 1
    return _with_plain_labels(series) if has_levels else series


def _with_plain_labels(frame: Any) -> Any:
    """Return a table of pandas with one level of columns; ``unstack`` of a table makes two.

    A column without a name in the last level, as after ``reset_index``, has that of the first.
    """
    first, last = frame.columns.get_level_values(0), frame.columns.get_level_values(-1)
    is_plain = np.array([is_missing(label) or str(label) == "" for label in last])
    groups = list(dict.fromkeys(first[~is_plain]))
    if frame.columns.nlevels > 2 or len(groups) > 1:
        raise InvalidDataError(
            f"The columns of the table have {frame.columns.nlevels} levels, with {name_some(groups)} in the first. "
            f"Pass one of them, such as table[{groups[0]!r}], or move the last level into the rows with table.stack()."
        )
    return frame.set_axis([a if plain else b for a, b, plain in zip(first, last, is_plain, strict=True)], axis=1)


def _label(column: Any) -> str:
    """Return the label of a column as text; a week of pandas as its first day."""
    is_week = getattr(column, "freqstr", "").startswith("W-") and hasattr(column, "start_time")
    return str(column.start_time.date() if is_week else column)


def _label_zone(columns: Sequence[Any]) -> str | None:
    """Return the time zone of labels that are time stamps; None without, or with several."""
    zones = {pa.scalar(label).type.tz for label in columns if isinstance(label, datetime) and label.tzinfo is not None}
    return zones.pop() if len(zones) == 1 else None


def _with_two_levels(table: Table) -> Table:
    """Join the levels of an index that name series: all but the last, or all of them."""
    if len(table.index) < 3:
        return table
    *first, last = table.index
    joined = with_joined_id(table, first)
    if table.kinds[last] == "time":
        return joined
    if table.kinds[last] == "number" and joined.data.count_rows() >= 2 * _n_ids(joined):
        return joined
    return with_joined_id(table, table.index)


def _n_ids(table: Table) -> int:
    return len(table.read([table.index[0]])[table.index[0]].unique())


def _index_columns(frame: Any) -> dict[str, Any]:
    """Return the levels of a pandas index as Arrow columns. A default index has none."""
    index = nw.maybe_get_index(frame)
    if index is None or (index.name is None and type(index).__name__ == "RangeIndex"):
        return {}
    rows = index.to_frame(index=False)
    without_name = [ROW_LABELS[0]] if index.nlevels == 1 else [f"level_{i}" for i in range(index.nlevels)]
    rows.columns = [n if name is None else str(name) for n, name in zip(without_name, index.names, strict=True)]
    levels = nw.from_native(rows, eager_only=True)
    return {str(level): _arrow(levels.get_column(level)) for level in levels.columns}


def _arrow(series: nw.Series[Any]) -> pa.Array | pa.ChunkedArray:
    """Convert a column to Arrow. Mixed types become text, so that messages can show the value."""
    try:
        if series.dtype == nw.Object:  # for these, polars' to_arrow gives pointers
            # A cell can hold a whole series, as in sktime's nested tables.
            cells = [cell.to_numpy() if hasattr(cell, "to_numpy") else cell for cell in series.to_list()]
            return pa.array(cells, from_pandas=True)
        # A pandas period becomes the time at which it begins.
        if str(getattr(series.to_native(), "dtype", "")).startswith("period["):
            return nw.from_native(series.to_native().dt.to_timestamp(), series_only=True).to_arrow()
        return series.to_arrow()
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        missing = series.is_null().to_list()
        texts = [None if empty else str(value) for value, empty in zip(series.to_list(), missing, strict=True)]
        return pa.array(texts, pa.large_string())


def frames_to_panel(frames: Sequence[Any]) -> Panel:
    """Read a list of tables with the same columns, one per series. Ids are positions in the list.

    Rows are sorted by the column ``ds`` or by a pandas index of times, if there is one.
    """
    panel = table_to_panel(*_stack(frames))
    assert panel.reading is not None
    # A later table names series and times in its own way.
    return replace(panel, reading=replace(panel.reading, id=None, time=None, layout="auto", static=None))


def frame_like(frame: Any, panel: Panel) -> Any:
    """Return a table in memory with the values of ``panel``, which was read from one like it.

    Other columns are kept.
    """
    if is_indexed_series(frame):
        return _as_series(frame_like(_as_frame(frame), panel), frame)
    plain = _as_frame(frame)
    known: Any = nw.from_native(plain, pass_through=True)
    if isinstance(known, nw.LazyFrame):
        known = known.collect()
    if not isinstance(known, nw.DataFrame):
        raise InvalidDataError(f"Cannot put series back into a {type(frame).__name__}. Pass a table in memory.")
    options = TableOptions() if panel.reading is None else panel.reading.recalled()
    table = with_joined_id(from_frame(frame).written(options), options.id_parts)
    found = _with_columns(known, values_by_row(table, panel, replace(options, static=())))
    return found if plain is frame else found.set_axis(frame.columns, axis=1)


def frames_like(frames: Sequence[Any], panel: Panel) -> list[Any]:
    """Return the tables with the values of ``panel``. Other columns and the index are kept."""
    table, options = _stack(frames)
    replaced = values_by_row(table, panel, options)
    found, start = [], 0
    for frame in frames:
        known = nw.from_native(_as_unnamed(frame), eager_only=True)
        end = start + len(known)
        result = _with_columns(known, {name: column[start:end] for name, column in replaced.items()})
        found.append(_as_series(result, frame) if is_dated_series(frame) else result)
        start = end
    return found


def _as_series(frame: Any, like: Any) -> Any:
    """Return the only column of a table of pandas, named as the Series ``like``."""
    return frame.iloc[:, 0].rename(like.name)


def _as_unnamed(frame: Any) -> Any:
    """Return a Series in a list as a table. Its name would be another channel for each series."""
    return frame.to_frame("value") if is_dated_series(frame) else frame


def _with_columns(frame: nw.DataFrame[Any], values: dict[str, Any]) -> Any:
    """Return the native table with new values in some columns."""
    index = nw.maybe_get_index(frame)
    names = [name for name in frame.columns if _label(name) in values]
    columns = [nw.new_series(name, values[_label(name)], backend=frame.implementation) for name in names]
    if index is not None:
        columns = [nw.maybe_set_index(column, index=index) for column in columns]
    return frame.with_columns(*columns).to_native()


def _stack(frames: Sequence[Any]) -> tuple[Table, TableOptions]:
    """Return all rows as one long table, and the options to read it with."""
    tables = [_table(frame, position) for position, frame in enumerate(frames)]
    first = tables[0]
    other = [position for position, table in enumerate(tables) if set(table.columns) != set(first.columns)]
    if other:
        raise InvalidDataError(
            f"The tables of a list need the same columns. The first table has {name_some(first.columns, 12)}; the "
            f"tables at positions {name_some(other)} differ and have {name_some(tables[other[0]].columns, 12)}."
        )
    parts = [table.data.to_table(columns=first.columns) for table in tables]
    empty = [position for position, part in enumerate(parts) if part.num_rows == 0]
    if empty:
        raise InvalidDataError(
            f"Found {len(empty)} series of 0 steps, the tables at positions {name_some(empty)}. Remove them."
        )
    series = "series"
    while series in first.columns:
        series += "_"
    owner = np.repeat(np.arange(len(parts)), [part.num_rows for part in parts])
    rows = _joined(parts).append_column(series, pa.array(owner))
    index = [name for name in first.columns if name in (*first.index, *ROW_LABELS)]
    times = [name for name in index if first.kinds[name] == "time"]
    # An index of numbers is ignored: mostly, it numbers the rows of a larger table.
    time = times[0] if times else "ds" if "ds" in first.columns else None
    numbers = [
        name for name in first.columns if first.kinds[name] in ("number", "mixed") and name not in (time, *index)
    ]
    value = ("y",) if "y" in numbers else tuple(numbers) or None
    options = TableOptions(id=series, time=time, value=value, layout="long", static=())
    return Table("the list of tables", Rows(rows), first.index), options


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    """Join the rows. A column that is text in one table becomes text in all, for clear messages."""
    texts = {f.name for part in parts for f in part.schema if f.type in (pa.string(), pa.large_string())}
    with reading("the list of tables"):
        alike = [
            part.cast(pa.schema([(f.name, pa.large_string() if f.name in texts else f.type) for f in part.schema]))
            for part in parts
        ]
        return pa.concat_tables(alike, promote_options="permissive")


def _table(frame: Any, position: int) -> Table:
    try:
        return from_frame(nw.to_native(nw.from_native(_as_unnamed(frame), eager_only=True)))
    except TypeError:
        raise InvalidDataError(
            f"Found a {type(frame).__name__} at position {position} of a list of tables. Pass tables in memory only, "
            f"or arrays only."
        ) from None
