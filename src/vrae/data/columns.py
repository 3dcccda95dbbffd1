"""Columns of a table, wherever they lie, and what is in them: numbers, names or time stamps.

Every table, in memory or on disk, becomes one `Table` over Arrow columns. So pandas, polars, Arrow, csv and
Parquet go one way from here on, and the same rows give the same panel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from vrae.exceptions import InvalidDataError, name_some

__all__ = ["Table", "as_names", "as_numbers", "as_times", "encode_ids", "from_frame", "reading"]

# How pandas calls an index without a name: in Arrow and Parquet, in a csv, and in a csv read back.
ROW_LABELS = ("__index_level_0__", "", "Unnamed: 0")

_MISSING = pa.array(["", "nan", "-nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none", "?"], pa.large_string())
_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)$"
_SAMPLE = 100_000  # rows looked at to tell a column of numbers with a slip in it from a column of text


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what Arrow says about a broken table or file into one `InvalidDataError` that names it."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidDataError(
            f"Cannot read {name}: {reason[0]:.300} The file may be cut off, of another format than its name "
            f"says, or not UTF-8 text. Write it again, or check its separators and encoding."
        ) from None


@dataclass(frozen=True)
class Table:
    """Named Arrow columns, read only when asked for.

    Parameters
    ----------
    name : str
        What messages call it: a path, or ``"the pandas table"``.
    data : pyarrow.dataset.Dataset
        A table in memory or files on disk.
    index : tuple of str, default ()
        Columns that were a pandas index with a name.

    Raises
    ------
    InvalidDataError
        Two columns share a name.
    """

    name: str
    data: ds.Dataset
    index: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(self.columns).items() if count > 1]
        if twice:
            raise InvalidDataError(f"Two columns of {self.name} have the same name: {name_some(twice)}. Rename one.")

    @cached_property
    def columns(self) -> list[str]:
        """Names of all columns, in order."""
        return list(self.data.schema.names)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What each column holds.

        ``"number"`` (text that reads as numbers too), ``"mixed"`` (text, most of which reads as numbers),
        ``"text"``, ``"time"``, ``"list"`` or ``"other"``.
        """
        kinds = {field.name: _kind(field.type) for field in self.data.schema}
        texts = [name for name, kind in kinds.items() if kind == "text"]
        if texts:
            sample = self.head(_SAMPLE, texts)
            kinds.update({name: _text_kind(_plain(sample[name])) for name in texts})
        return kinds

    def head(self, n_rows: int, columns: Sequence[str]) -> pa.Table:
        """Return the first rows of these columns.

        Raises
        ------
        InvalidDataError
            The message names the file that cannot be read.
        """
        held: list[pa.Table] = []
        for fragment in self.data.get_fragments():
            with reading(str(getattr(fragment, "path", self.name))):
                held.append(fragment.scanner(schema=self.data.schema, columns=list(columns)).head(n_rows))
            n_rows -= held[-1].num_rows
            if n_rows <= 0:
                break
        return pa.concat_tables(held) if held else self.data.schema.empty_table().select(columns)

    def is_whole(self, name: str) -> bool:
        """Tell whether a column holds whole numbers."""
        return bool(pa.types.is_integer(self.data.schema.field(name).type))

    def read(self, columns: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        """Return these columns.

        Raises
        ------
        InvalidDataError
            The file is truncated, corrupt or not what its name says; or it has no rows.
        """
        wanted = list(dict.fromkeys(columns))
        with reading(self.name):
            table = self.data.to_table(columns=wanted)
        if table.num_rows == 0:
            raise InvalidDataError(f"No series found: {self.name} has no rows. Pass at least two series.")
        return {name: _plain(table[name]) for name in wanted}

    def require(self, name: str) -> str:
        """Return ``name`` if it is a column.

        Raises
        ------
        InvalidDataError
            There is no such column; the message has the nearest one.
        """
        if name in self.columns:
            return name
        near = get_close_matches(name, self.columns, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidDataError(f"No column {name!r} in {self.name}.{hint} Its columns: {name_some(self.columns, 12)}.")


def from_frame(frame: Any) -> Table:
    """Wrap a pandas, polars or pyarrow table, or any other that narwhals knows.

    Raises
    ------
    InvalidDataError
        Columns that share a name.
    """
    if isinstance(frame, ds.Dataset):
        return Table("the Arrow dataset", frame)
    try:
        known: Any = nw.from_native(frame)
    except nw.exceptions.DuplicateError as error:
        raise InvalidDataError(
            f"Two columns of the table share a name: {str(error).splitlines()[-1].strip(' -')}. Rename one."
        ) from None
    eager = known.collect(backend="pyarrow") if isinstance(known, nw.LazyFrame) else known
    name = f"the {str(eager.implementation).lower()} table"
    names = [str(column) for column in eager.columns]
    index = {level: values for level, values in _index_columns(eager).items() if level not in names}
    columns = [_arrow(eager.get_column(column)) for column in eager.columns]
    with reading(name):
        table = pa.table([*index.values(), *columns], names=[*index, *names])
    return Table(name, ds.dataset(table), tuple(level for level in index if level not in ROW_LABELS))


def _index_columns(frame: Any) -> dict[str, Any]:
    """Arrow columns of a pandas index, unless it only counts the rows."""
    index = nw.maybe_get_index(frame)
    if index is None or (index.name is None and type(index).__name__ == "RangeIndex"):
        return {}
    rows = index.to_frame(index=False)
    without_name = [ROW_LABELS[0]] if index.nlevels == 1 else [f"level_{i}" for i in range(index.nlevels)]
    rows.columns = [n if name is None else str(name) for n, name in zip(without_name, index.names, strict=True)]
    levels = nw.from_native(rows, eager_only=True)
    return {str(level): _arrow(levels.get_column(level)) for level in levels.columns}


def _arrow(series: nw.Series[Any]) -> pa.Array | pa.ChunkedArray:
    """Return the values as Arrow; a column of mixed types as text, so that messages can show the odd one."""
    try:
        if series.dtype == nw.Object:  # polars would hand out pointers
            # A cell may be a whole series, as in sktime's nested tables.
            cells = [cell.to_numpy() if hasattr(cell, "to_numpy") else cell for cell in series.to_list()]
            return pa.array(cells, from_pandas=True)
        if str(getattr(series.to_native(), "dtype", "")).startswith("period["):  # a pandas period is where it begins
            return nw.from_native(series.to_native().dt.to_timestamp(), series_only=True).to_arrow()
        return series.to_arrow()
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        missing = series.is_null().to_list()
        texts = [None if no else str(value) for value, no in zip(series.to_list(), missing, strict=True)]
        return pa.array(texts, pa.large_string())


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Undo dictionaries and short strings, so that each kind of column has one type."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    return column.cast(pa.large_string()) if _kind(kind) == "text" else column


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = {
        "number": ("is_integer", "is_floating", "is_boolean", "is_decimal", "is_null"),
        "text": ("is_string", "is_large_string", "is_string_view"),
        "time": ("is_timestamp", "is_date"),
        "list": ("is_list", "is_large_list", "is_fixed_size_list"),
    }
    for name, checks in tests.items():
        if any(getattr(pa.types, check)(kind) for check in checks if hasattr(pa.types, check)):
            return name
    return "other"


# -------------------------------------------------------------------- numbers


def as_numbers(
    column: pa.ChunkedArray, name: str, table: Table, ids: pa.ChunkedArray | None
) -> npt.NDArray[np.float32]:
    """Return a column as float32, NaN where a value is missing, shape (n_rows,).

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Numbers, truth values, or text that reads as numbers.
    name : str
        The column's name, for messages.
    table : Table
        Where it comes from, for messages.
    ids : pyarrow.ChunkedArray or None
        Id of every row, for messages.

    Raises
    ------
    InvalidDataError
        Text, dates or anything else that is not a number; names the row and the series.
    """
    kind = _kind(column.type)
    if kind == "text":
        column, wrong = _parse_numbers(column)
        if wrong is not None:
            raise _text_error(wrong, name, table, ids)
    elif kind != "number":
        raise InvalidDataError(
            f"Column {name!r} of {table.name} holds {column.type} values, not numbers. "
            f"Name the columns to use with value=."
        )
    with reading(table.name):
        numbers = pc.cast(column, pa.float32(), safe=False)
    return np.asarray(numbers.to_numpy(zero_copy_only=False) if isinstance(numbers, pa.Array) else numbers.to_numpy())


def _parse_numbers(text: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.Table | None]:
    """Parse text; the second result has the rows that are not numbers: columns ``row`` and ``text``."""
    trimmed = pc.utf8_trim_whitespace(text)
    lower = pc.utf8_lower(trimmed)
    missing = pc.or_kleene(pc.is_in(lower, _MISSING), pc.is_null(lower))
    number = pc.match_substring_regex(lower, _NUMBER)
    wrong = pc.indices_nonzero(pc.and_(pc.invert(missing), pc.invert(pc.fill_null(number, False))))
    if len(wrong):
        return text, pa.table({"row": wrong, "text": text.take(wrong)})
    present = pc.if_else(missing, pa.scalar(None, trimmed.type), trimmed)
    return pc.cast(present, pa.float64()), None


def _text_kind(text: pa.ChunkedArray) -> str:
    wrong = _parse_numbers(text)[1]
    if wrong is None:
        return "number"
    return "mixed" if wrong.num_rows < len(text) / 2 else "text"


def _text_error(wrong: pa.Table, name: str, table: Table, ids: pa.ChunkedArray | None) -> InvalidDataError:
    row, text = wrong["row"][0].as_py(), wrong["text"][0].as_py()
    series = f" (series {ids[row].as_py()!r})" if ids is not None else ""
    more = f", and text in {wrong.num_rows - 1} more rows" if wrong.num_rows > 1 else ""
    comma = " A decimal comma must be a point." if "," in text else ""
    return InvalidDataError(
        f"Found text in the number column {name!r} of {table.name}: {text!r:.60} in row {row}{series}, "
        f"the first row being 0{more}.{comma} Make it a number, or leave it empty where the value is missing."
    )


# -------------------------------------------------------------------- names


def as_names(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return ids, categories or other single values as a NumPy array: int64, float64, bool, text or dates."""
    kind = column.type
    if _kind(kind) == "time":
        return _stamps(column)
    if (pa.types.is_boolean(kind) and column.null_count == 0) or pa.types.is_floating(kind):
        return np.asarray(column.to_numpy())
    if pa.types.is_integer(kind):
        try:
            return np.asarray(column.cast(pa.float64() if column.null_count else pa.int64()).to_numpy())
        except pa.ArrowInvalid:  # beyond int64: as text
            pass
    texts = column.to_pylist() if _kind(kind) != "text" else pc.fill_null(column, "").to_numpy()
    return np.asarray(["" if text is None else str(text) for text in texts], dtype=str)


def encode_ids(column: pa.ChunkedArray, name: str, table: Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Give each series a number, in the order in which they first appear.

    Returns
    -------
    codes : ndarray of int64, shape (n_rows,)
        The series that each row belongs to.
    ids : ndarray, shape (n_series,)

    Raises
    ------
    InvalidDataError
        A row without an id, or ids that are neither text, numbers nor dates.
    """
    if _kind(column.type) in ("list", "other"):
        raise InvalidDataError(f"The id column {name!r} of {table.name} holds {column.type}; make ids text or numbers.")
    missing = pc.is_null(column, nan_is_null=True)
    if _kind(column.type) == "text":
        missing = pc.or_(missing, pc.equal(pc.fill_null(column, ""), ""))
    rows = pc.indices_nonzero(missing)
    if len(rows):
        raise InvalidDataError(
            f"The id is missing in {len(rows)} rows of {table.name} (column {name!r}), for example rows "
            f"{name_some(rows[:3].to_pylist())}, the first row being 0. Fill it in or remove those rows."
        )
    encoded = pc.dictionary_encode(column)
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    return codes.astype(np.int64), as_names(pa.chunked_array([encoded.chunks[-1].dictionary]))


# -------------------------------------------------------------------- time stamps


def as_times(column: pa.ChunkedArray, name: str, table: Table) -> npt.NDArray[Any]:
    """Return time stamps, shape (n_rows,): datetime64 (UTC where there is a zone), int64 or float64.

    Raises
    ------
    InvalidDataError
        Missing time stamps, or text that is neither a number nor an ISO 8601 date.
    """
    if _kind(column.type) == "text":
        column = _parse_times(column, name, table)
    if _kind(column.type) not in ("time", "number"):
        raise InvalidDataError(
            f"The time column {name!r} of {table.name} holds {column.type}; expected dates, times or numbers."
        )
    missing = pc.indices_nonzero(pc.is_null(column, nan_is_null=True))
    if len(missing):
        raise InvalidDataError(
            f"The time is missing in {len(missing)} rows of {table.name} (column {name!r}), for example rows "
            f"{name_some(missing[:3].to_pylist())}, the first row being 0. Fill it in or remove those rows."
        )
    if _kind(column.type) == "time":
        return _stamps(column)
    return np.asarray(
        column.cast(pa.int64() if pa.types.is_integer(column.type) else pa.float64(), safe=False).to_numpy()
    )


def _stamps(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Microseconds for all, so that each library's default gives the same; finer only where it is needed."""
    try:
        column = column.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        column = column.cast(pa.timestamp("ns"), safe=False)
    return np.asarray(column.to_numpy())


def _parse_times(text: pa.ChunkedArray, name: str, table: Table) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(text)
    trimmed = pc.if_else(pc.is_in(pc.utf8_lower(trimmed), _MISSING), pa.scalar(None, trimmed.type), trimmed)
    for kind in (pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return pc.cast(trimmed, kind)
        except pa.ArrowInvalid:
            continue
    example = next((value for value in trimmed.to_pylist() if not _is_time(value)), trimmed[0].as_py())
    raise InvalidDataError(
        f"The time column {name!r} of {table.name} holds text that is neither a number nor a date such as "
        f"2024-01-31 or 2024-01-31 12:00: {example!r:.60}. Convert it; or, where rows lie in order of time, "
        f"drop the column and pass layout='long' and id= without time=."
    )


def _is_time(value: str | None) -> bool:
    try:
        pc.cast(pa.scalar(value, pa.string()), pa.timestamp("us"))
    except pa.ArrowInvalid:
        return False
    return True
