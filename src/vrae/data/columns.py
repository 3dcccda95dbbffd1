"""Read the columns of a table as numbers, names or time stamps.

Every table, in memory or on disk, becomes a `Table` of Arrow columns. pandas, polars, Arrow, csv
and Parquet then share the same code, so the same rows give the same panel.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from lzma import LZMAError
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from vrae.data.arrays import Array, Ints
from vrae.data.ids import text_array
from vrae.data.kinds import has_leading_zeros, kind_of, number_stems, stem_of, text_kinds
from vrae.data.number_text import (
    ANY_FORMAT,
    MISSING,
    NumberFormat,
    ParsedNumbers,
    parse_numbers,
    parse_together,
    sign_in,
)
from vrae.data.packed import check_rows
from vrae.data.table_options import TableOptions
from vrae.exceptions import InvalidDataError, first_line, name_some

__all__ = [
    "MANY_COLUMNS",
    "MISSING",
    "ROW_LABELS",
    "Rows",
    "Table",
    "as_names",
    "as_numbers",
    "cast_to_first",
    "encode_ids",
    "has_leading_zeros",
    "kind_of",
    "number_matrix",
    "reading",
    "refuse_missing",
    "stamps_of",
]

# Names that pandas gives to an unnamed index: in Arrow and Parquet, in a csv, in a csv read back.
ROW_LABELS = ("__index_level_0__", "", "Unnamed: 0")

# With threads, Arrow may take memory for each pair of columns: gigabytes for tens of thousands.
MANY_COLUMNS = 1000

_MANY_EMPTY = 10  # this many rows without an id are no accident

_SAMPLE = 100_000  # rows that decide whether a column is text, or numbers with some errors


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Convert Arrow's errors about a table or file into an `InvalidDataError` that names it."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, LZMAError, UnicodeError) as error:
        raise InvalidDataError(
            f"Cannot read {name}: {first_line(error)}. The file may be truncated, not UTF-8 text, or in another "
            f"format than its extension says. Write it again, or check its separators and encoding."
        ) from None


class Rows(ds.InMemoryDataset):  # type: ignore[misc]
    """A table in memory as a dataset. Its columns are taken from it without a scan."""

    def __init__(self, table: pa.Table) -> None:
        super().__init__(table)
        self.table = table


@dataclass(frozen=True)
class Table:
    """A table of named Arrow columns, in memory or on disk, read on demand.

    ``name`` is for messages: a path, or "the pandas table". ``index`` names the columns that were
    levels of a named pandas index. Only the first ``n_rows`` rows are read, by default all.
    ``parts`` names the columns that were joined to an id. ``first_row`` is the number of the first
    row in the file, None for a table without a file to look into. ``numbers`` and ``date_format``
    say how numbers and dates are written in text. ``label_zone`` is the zone of time stamps of
    pandas that name the columns.
    """

    name: str
    data: ds.Dataset
    index: tuple[str, ...] = ()
    n_rows: int | None = None
    parts: tuple[str, ...] = ()
    first_row: int | None = None
    numbers: NumberFormat = ANY_FORMAT
    date_format: str | None = None
    label_zone: str | None = None

    def __post_init__(self) -> None:
        repeated = [name for name, count in Counter(self.columns).items() if count > 1]
        if any(not name.strip() for name in repeated):
            places = [i for i, name in enumerate(self.columns, 1) if not name.strip()]
            raise InvalidDataError(
                f"Columns {name_some(places)} of {self.name} have no name. Write one row above the values, with a name "
                f"for each column. Merged cells name only their first column."
            )
        if repeated:
            raise InvalidDataError(f"Two columns of {self.name} have the same name: {name_some(repeated)}. Rename one.")

    def written(self, options: TableOptions) -> Table:
        """Return the table with text that is written as the options say."""
        numbers = NumberFormat(options.decimal, options.thousands)
        return replace(self, numbers=numbers, date_format=options.date_format)

    def with_rows(self, name: str, rows: pa.Table, begin: int) -> Table:
        """Return rows of the same file, of which the first is row ``begin``, as a table."""
        first_row = None if self.first_row is None else self.first_row + begin
        return replace(self, name=name, data=Rows(rows), index=(), n_rows=None, parts=(), first_row=first_row)

    @cached_property
    def columns(self) -> list[str]:
        """Names of all columns, in table order."""
        return list(self.data.schema.names)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Kind of each column: number, mixed, text, time, list or other.

        Text that is meant as numbers or as dates is "number" or "time", or "mixed" if only most of
        it can be numbers. But a first column with numbers such as 007 holds names.
        """
        kinds = {field.name: kind_of(field.type) for field in self.data.schema}
        texts = [name for name, kind in kinds.items() if kind == "text"]
        if texts:
            first = next((name for name in kinds if name not in ROW_LABELS), None)
            sample = self.head(_SAMPLE, texts).columns
            plain = {name: _plain(column) for name, column in zip(texts, sample, strict=True)}
            kinds.update(text_kinds(plain, first, kinds))
        return kinds

    def has(self, name: str) -> bool:
        """Return whether there is a column of this name."""
        return name in self._places

    @cached_property
    def _places(self) -> dict[str, int]:
        """Position of each column. Arrow does not find names with a zero byte."""
        return {name: place for place, name in enumerate(self.columns)}

    def _selected(self, rows: pa.Table, columns: Sequence[str]) -> pa.Table:
        return rows.select([self._places[name] for name in columns])

    @cached_property
    def _stems(self) -> Counter[str]:
        return number_stems(self.kinds)

    def is_like_others(self, name: str) -> bool:
        """Return whether a column is named like another number column, as t0 is beside t1."""
        return self._stems[stem_of(name)] > (self.kinds[name] == "number")

    def row(self, index: int, series: str = "") -> str:
        """Word a row for a message, as a spreadsheet counts it if the table is a file."""
        if self.first_row is None:
            return f"row {index}{series}, counted from 0"
        return f"row {self.first_row + index}{series}"

    def head(self, n_rows: int, columns: Sequence[str]) -> pa.Table:
        """Return the first ``n_rows`` rows of these columns. Errors name the file."""
        if isinstance(self.data, Rows):
            return self._selected(self.data.table, columns).slice(0, n_rows)
        threads = len(columns) <= MANY_COLUMNS
        parts: list[pa.Table] = []
        for fragment in self.data.get_fragments():
            with reading(str(getattr(fragment, "path", self.name))):
                scanner = fragment.scanner(schema=self.data.schema, columns=list(columns), use_threads=threads)
                parts.append(scanner.head(n_rows))
            n_rows -= parts[-1].num_rows
            if n_rows <= 0:
                break
        return pa.concat_tables(parts) if parts else self._selected(self.data.schema.empty_table(), columns)

    def is_unique(self, name: str) -> bool:
        """Return whether a column has neither missing values nor repeats."""
        column = self.read([name])[name]
        if kind_of(column.type) in ("list", "other") or column.null_count:
            return False
        return len(column.unique()) == len(column)

    def row_label(self) -> str | None:
        """Return the column of an unnamed pandas index, if it can name the rows."""
        return next((name for name in ROW_LABELS if name in self.columns and self.is_unique(name)), None)

    def read(self, columns: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        """Return these columns."""
        wanted = list(dict.fromkeys(columns))
        with reading(self.name):
            table = self.rows(wanted)
        if table.num_rows == 0:
            raise InvalidDataError(
                f"No series found: {self.name} has a header (columns {name_some(self.columns, 12)}) but no rows. Pass "
                f"at least two series."
            )
        return {name: _plain(column) for name, column in zip(wanted, table.columns, strict=True)}

    def rows(self, columns: list[str]) -> pa.Table:
        """Return these columns as an Arrow table, if they may be read whole."""
        if self.n_rows is not None:
            return self.head(self.n_rows, columns)
        if isinstance(self.data, Rows):
            return self._selected(self.data.table, columns)
        check_rows(self.data, columns, self.name)
        return self.data.to_table(columns=columns, use_threads=len(columns) <= MANY_COLUMNS)

    def require(self, name: str) -> str:
        """Return ``name`` if the table has such a column, or raise with the most similar name."""
        if self.has(name):
            return name
        near = get_close_matches(name, self.columns, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        parts = [part.strip() for part in re.split("[,;]", name)]
        if len(parts) > 1 and all(map(self.has, parts)):
            hint = " Name several columns one by one: repeat the option for each, or pass a list in Python."
        raise InvalidDataError(f"No column {name!r} in {self.name}.{hint} Its columns: {name_some(self.columns, 12)}.")


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decode dictionaries and cast text to large_string, so that all text has one type."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    return column.cast(pa.large_string()) if kind_of(kind) == "text" else column


# -------------------------------------------------------------------- numbers


def as_numbers(column: pa.ChunkedArray, name: str, table: Table, ids: pa.ChunkedArray | None) -> Array:
    """Convert a column to float64 (n_rows,). ``ids`` of the rows are for messages."""
    if kind_of(column.type) == "text":
        parsed = parse_numbers(column, table.numbers)
        if parsed.wrong is not None:
            raise _text_error(parsed, name, table, ids)
        column = parsed.numbers
    if kind_of(column.type) != "number":
        raise InvalidDataError(
            f"Column {name!r} of {table.name} holds {column.type} values, not numbers. "
            f"Name the value columns with value=."
        )
    with reading(table.name):
        return np.asarray(pc.cast(column, pa.float64(), safe=False))


def number_matrix(columns: dict[str, pa.ChunkedArray], table: Table) -> Array | None:
    """Convert many columns at once to float64, (n_rows, n_columns); None if they are not alike."""
    kinds = {column.type for column in columns.values()}
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        try:
            rows = pa.table(list(columns.values()), names=list(map(str, range(len(columns))))).combine_chunks()
            return rows.to_batches()[0].to_tensor(null_to_nan=True).to_numpy().astype(np.float64)
        except (pa.ArrowException, TypeError):  # half floats
            return None
    if {kind_of(kind) for kind in kinds} == {"text"}:
        found = parse_together(list(columns.values()), table.numbers)
        return None if found is None else found.T
    return None


def _text_error(parsed: ParsedNumbers, name: str, table: Table, ids: pa.ChunkedArray | None) -> InvalidDataError:
    assert parsed.wrong is not None
    row, text = parsed.wrong["row"][0].as_py(), parsed.wrong["text"][0].as_py()
    series = f" (series {ids[row].as_py()!r})" if ids is not None else ""
    where = f"the number column {name!r} of {table.name}: {text!r:.60} in {table.row(row, series)}."
    n_more = parsed.wrong.num_rows - 1
    more = f" {n_more} more row{'s' * (n_more > 1)} {'hold' if n_more > 1 else 'holds'} text too." if n_more else ""
    if parsed.reason:
        return InvalidDataError(f"Found unclear numbers in {where} {parsed.reason}")
    if "\n" in text.strip():
        where += " It goes on in the next line: look for a stray quote."
    if re.fullmatch(r"\s*\d[\d.,]*-\s*", text):
        return InvalidDataError(f"Found a minus behind its number in {where}{more} Write it before the number.")
    if re.fullmatch(r"\s*\d[\d.,]*\s*[/x]\s*\d[\d.,]*\s*", text):
        return InvalidDataError(f"Found two numbers in {where}{more} Write each of them in a column of its own.")
    sign = sign_in(text)
    if sign:
        return InvalidDataError(f"Found {sign!r} in {where}{more} Write plain numbers, and the unit in the header.")
    others = [one for one in parsed.wrong["text"].unique().to_pylist() if one != text]
    more = more if not others else f"{more[:-1]}, such as {name_some(others[:3])}."
    return InvalidDataError(
        f"Found text in {where}{more} Replace it with a number, or leave the cell empty if the value is missing."
    )


# -------------------------------------------------------------------- names


def as_names(column: pa.ChunkedArray) -> Array:
    """Convert ids or categories to a NumPy array of int64, float64, bool, text or dates."""
    kind = column.type
    if kind_of(kind) == "time":
        return stamps_of(column)
    if (pa.types.is_boolean(kind) and column.null_count == 0) or pa.types.is_floating(kind):
        return np.asarray(column.to_numpy())
    if pa.types.is_integer(kind):
        try:
            return np.asarray(column.cast(pa.float64() if column.null_count else pa.int64()).to_numpy())
        except pa.ArrowInvalid:  # beyond int64: keep as text
            pass
    texts = column.to_pylist() if kind_of(kind) != "text" else pc.fill_null(column, "").to_pylist()
    return text_array(["" if text is None else str(text) for text in texts])


def encode_ids(column: pa.ChunkedArray, name: str, table: Table) -> tuple[Ints, Array]:
    """Return the series number of each row (n_rows,), and ids in order of first appearance."""
    if kind_of(column.type) in ("list", "other"):
        raise InvalidDataError(
            f"The id column {name!r} of {table.name} holds {column.type} values. Convert the ids to text or numbers."
        )
    missing = pc.is_null(column, nan_is_null=True)
    if kind_of(column.type) == "text":
        missing = pc.or_(missing, pc.equal(pc.fill_null(column, ""), ""))
    refuse_missing("id", pc.indices_nonzero(missing), name, table)
    encoded = pc.dictionary_encode(column)
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks], dtype=np.int64)
    return codes, as_names(pa.chunked_array([encoded.chunks[-1].dictionary]))


def refuse_missing(what: str, rows: pa.Array, name: str, table: Table) -> None:
    """Raise if there are rows without an id or a time."""
    if len(rows):
        merged = what == "id" and rows[0].as_py() > 0 and len(rows) > _MANY_EMPTY  # as where cells were merged
        hint = " Where only the first row of a series has its id, fill it down." if merged else ""
        raise InvalidDataError(
            f"The {what} is missing in {len(rows)} row{'s' * (len(rows) != 1)} of {table.name} (column {name!r}), "
            f"first in {table.row(rows[0].as_py())}. Fill it in or remove those rows.{hint}"
        )


def stamps_of(column: pa.ChunkedArray) -> Array:
    """Convert to microseconds, so that all libraries agree. Use nanoseconds only if needed."""
    try:
        column = column.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        if getattr(column.type, "unit", "") != "ns":
            raise InvalidDataError(
                f"Found dates far beyond the years 1 to 9999, in a column of type {column.type}. Look for wrong dates, "
                f"or for seconds that are milliseconds."
            ) from None
        column = column.cast(pa.timestamp("ns"))
    return np.asarray(column.to_numpy())


def cast_to_first(column: Any, *kinds: pa.DataType) -> Any:
    """Cast a column or scalar to the first type that fits all of its values; None if none does."""
    for kind in kinds:
        with suppress(pa.ArrowInvalid):
            return pc.cast(column, kind)
    return None
