"""Read csv files: whole, or batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from vrae.data.columns import Rows, Table, cast_to_first, reading
from vrae.data.csv_dialect import WESTERN, Dialect, find_dialect, not_decoded, warn_of_encoding
from vrae.data.date_text import are_parts_of_years, is_date
from vrae.data.kinds import count_by_column, has_leading_zeros
from vrae.data.number_text import (
    MISSING,
    NumberFormat,
    joined,
    parse_numbers,
    parse_together,
    unlike_numbers,
    unlike_plain,
)
from vrae.data.packed import limited, opened
from vrae.data.sheet_rows import check_totals, refuse_swallowed_rows, without_empty_end, without_nameless
from vrae.data.table_options import TableOptions
from vrae.exceptions import InvalidDataError, first_line

__all__ = ["csv_batches", "csv_head", "read_csv"]

_NULLS = ["", "NA", "N/A", "#N/A", "<NA>", "nan", "NaN", "NAN", "-nan", "NaT", "null", "NULL", "None", "none", "?"]
_NULLS += ["#NV", "k.A.", "n.a."]  # of spreadsheets
# Arrow keeps several kilobytes per column for all of these.
_FEW_NULLS = ["", "NA", "nan", "NaN"]

Change = Callable[[pa.ChunkedArray], pa.ChunkedArray]


def read_csv(file: Path, options: TableOptions) -> Table:
    """Read a csv file. Leading zeros are kept in ids and in the first column."""
    dialect = find_dialect(file, options)
    try:
        table = _parsed(file, dialect, options)
    except _NotUtf8Error:
        dialect = dialect._replace(encoding=WESTERN)
        table = _parsed(file, dialect, options)
    warn_of_encoding(file, dialect, options)
    found = _table(file, table, dialect, options)
    refuse_swallowed_rows(table, str(file))
    table = without_empty_end(table)
    check_totals(table, str(file), found.row(table.num_rows - 1))
    return replace(found, data=Rows(table))


def _table(file: Path, rows: pa.Table, dialect: Dialect, options: TableOptions) -> Table:
    return replace(Table(str(file), Rows(rows)).written(options), first_row=dialect.first_row, numbers=dialect.numbers)


class _NotUtf8Error(Exception):
    """The file is not UTF-8 text, and its encoding was not named."""


def _parsed(file: Path, dialect: Dialect, options: TableOptions) -> pa.Table:
    changes = _changes(dialect, options)
    with reading(str(file)):
        try:
            table = _parse(file, dialect, changes)
        except UnicodeError:
            raise not_decoded(file, dialect.encoding) from None
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error) and dialect.encoding == "utf-8" and options.encoding is None:
                raise _NotUtf8Error from None
            if "conversion error" not in str(error):
                raise _unparsed(error, file) from None
            # Arrow infers types from the first block. A later value does not match: read as text.
            changes = _changes(dialect._replace(closer=True), options)
            table = _parse(file, dialect, changes)
    if any(pa.types.is_binary(field.type) for field in table.schema):
        if options.encoding is None:
            raise _NotUtf8Error
        raise not_decoded(file, dialect.encoding)
    found = _converted(table, dialect, changes)
    if not _may_be_months(found, options):
        return found
    changes[options.time or "ds"] = _unchanged
    with reading(str(file)):
        return _converted(_parse(file, dialect, changes), dialect, changes)


def _may_be_months(table: pa.Table, options: TableOptions) -> bool:
    """Return whether times that were read as decimals may be months such as 01.2023."""
    places = table.schema.get_all_field_indices(options.time or "ds")
    if len(places) != 1 or not pa.types.is_floating(table.schema.field(places[0]).type):
        return False
    return are_parts_of_years(pc.unique(table.column(places[0]).drop_null()).to_numpy(zero_copy_only=False))


def _converted(table: pa.Table, dialect: Dialect, changes: Mapping[str, Change]) -> pa.Table:
    """Return the table with the types of columns that were read as text."""
    names, columns = table.column_names, table.columns
    if len(set(names)) < len(names):  # Table reports repeated names
        return table
    left = []
    for place, (name, column) in enumerate(zip(names, columns, strict=True)):
        if name in changes:
            columns[place] = changes[name](column)
        elif dialect.is_wide and pa.types.is_string(column.type):
            left.append(place)
    for place, column in zip(left, _guess_types([columns[place] for place in left], dialect.numbers), strict=True):
        columns[place] = column
    return pa.table(columns, names=names)


def _unparsed(error: pa.ArrowInvalid, file: Path) -> Exception:
    """Return what to raise if Arrow cannot divide a file into rows and columns."""
    if "straddling" in str(error):
        return InvalidDataError(
            f"Cannot read {file}: a line is far longer than its first lines. Look for a missing line break, or for a "
            f'quote (") without its partner.'
        )
    if '"' not in str(error):
        return error
    return InvalidDataError(
        f"Cannot read {file}: {first_line(error)}. A stray quote joins cells, also of several lines. Look "
        f'for a quote (") without its partner, and remove it.'
    )


def _as_text(dialect: Dialect, changes: Mapping[str, Change]) -> dict[str, pa.DataType]:
    """Return the columns to read as text: all of a wide table that needs a closer look."""
    return dict.fromkeys(dialect.names if dialect.is_wide and dialect.closer else changes, pa.string())


def _parse(file: Path, dialect: Dialect, changes: Mapping[str, Change]) -> pa.Table:
    types = _as_text(dialect, changes)
    table = _read(file, dialect, types)
    _ = table.column_names  # names that are not UTF-8 raise here, where the error is handled
    zoned = [field.name for field in table.schema if getattr(field.type, "tz", None)]
    if zoned:  # Arrow would forget the zone
        types.update(dict.fromkeys(zoned, pa.string()))
        table = _read(file, dialect, types)
    return without_nameless(table)


def _read(file: Path, dialect: Dialect, types: Mapping[str, pa.DataType]) -> pa.Table:
    with limited(file) as source:
        return arrow_csv.read_csv(source, *_csv_options(dialect, types, ()))


def _csv_options(dialect: Dialect, types: Mapping[str, pa.DataType], columns: Sequence[str]) -> tuple[Any, ...]:
    read = arrow_csv.ReadOptions(
        column_names=None if dialect.header else dialect.names,
        skip_rows=dialect.n_skipped,
        encoding="utf8" if dialect.encoding == "utf-8" else dialect.encoding,
        block_size=dialect.block,
    )
    convert = arrow_csv.ConvertOptions(
        column_types=types,
        include_columns=columns,
        null_values=_FEW_NULLS if dialect.is_wide else _NULLS,
        decimal_point=dialect.decimal,
    )
    if dialect.is_wide:
        convert.true_values = convert.false_values = []
    return read, arrow_csv.ParseOptions(delimiter=dialect.separator), convert


# -------------------------------------------------------------------- types of columns


def _changes(dialect: Dialect, options: TableOptions) -> dict[str, Change]:
    """Return the columns to read as text, and how to convert each afterwards."""

    def guess(text: pa.ChunkedArray) -> pa.ChunkedArray:
        return _guess_type(text, dialect.numbers)

    ids = {options.id or "unique_id", *options.id_parts}
    names = {*dialect.names[:1], *(options.static or ()), *([options.label] if options.label else [])}
    times = {options.time or "ds"} if options.date_format is not None else set()
    changes: dict[str, Change] = {}
    for name in dialect.names:
        if name in ids:
            changes[name] = _whole_numbers
        elif name in times:
            changes[name] = _unchanged
        elif name in names:
            changes[name] = lambda text: text if has_leading_zeros(text) else guess(text)
        elif dialect.closer and (not dialect.is_wide or name == (options.time or "ds")):
            changes[name] = guess
    return changes


def _unchanged(text: pa.ChunkedArray) -> pa.ChunkedArray:
    return text


def _guess_type(text: pa.ChunkedArray, style: NumberFormat) -> pa.ChunkedArray:
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(text))
    present = pc.if_else(pc.is_in(lower, pc.cast(MISSING, text.type)), pa.scalar(None, text.type), text)
    found = cast_to_first(present, pa.int64(), *([pa.float64()] if style.is_plain else []))
    if found is None and not style.is_plain:
        parsed = parse_numbers(present, style)
        found = parsed.numbers if parsed.wrong is None else None
    found = cast_to_first(present, pa.timestamp("us")) if found is None else found
    return text if found is None else found


def _guess_types(columns: list[pa.ChunkedArray], style: NumberFormat) -> list[pa.ChunkedArray]:
    """Return columns of a wide table with their types. Those of numbers are converted together."""
    found = list(columns)
    if not columns or not len(columns[0]):
        return found
    is_other = unlike_plain if style.is_plain else partial(unlike_numbers, units=False)
    unlike = count_by_column([column.cast(pa.large_string()) for column in columns], is_other).tolist()
    alike = [place for place, count in enumerate(unlike) if not count]
    # Columns that cannot be read together stay text. They are read one by one if they are used.
    for place, column in zip(alike, _numbers_together([columns[p] for p in alike], style), strict=False):
        found[place] = column
    for place in (place for place, count in enumerate(unlike) if count):
        found[place] = _guess_other(columns[place], style)
    return found


def _numbers_together(columns: list[pa.ChunkedArray], style: NumberFormat) -> list[pa.ChunkedArray]:
    if not columns:
        return []
    if not style.is_plain:
        matrix = parse_together(columns, style)
        return [] if matrix is None else [pa.chunked_array([pa.array(row, from_pandas=True)]) for row in matrix]
    found = _guess_type(pa.chunked_array([joined(columns)]), style)
    return [found.slice(start, len(columns[0])) for start in range(0, len(found), len(columns[0]))]


def _guess_other(text: pa.ChunkedArray, style: NumberFormat) -> pa.ChunkedArray:
    """Return a column of dates or truth values with its type, others unchanged."""
    first = next((value for value in text[:100].to_pylist() if value), "")
    if is_date(first):
        return _guess_type(text, style)
    truth = cast_to_first(text, pa.bool_()) if first.lower() in ("true", "false") else None
    return text if truth is None else truth


def _whole_numbers(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert ids to int64 if nothing is lost. 007 stays text."""
    whole = pc.match_substring_regex(text, r"^(0|-?[1-9]\d{0,17})$")
    return pc.cast(text, pa.int64()) if pc.all(whole, min_count=0).as_py() else text


# -------------------------------------------------------------------- in parts


def csv_head(file: Path, options: TableOptions) -> tuple[Table, dict[str, NumberFormat], int]:
    """Return the first rows of a large csv file, and the formats of its number columns.

    Only of those that are read as text. The third result is the number of bytes that these rows
    take, unless the file is smaller.
    """
    dialect = find_dialect(file, options)
    changes = _changes(dialect, options)
    first = next(_batches(file, dialect, _as_text(dialect, changes), ()), None)
    if first is None:
        raw = rows = pa.table({name: pa.array([], pa.null()) for name in dialect.names})
    else:
        raw = without_nameless(pa.Table.from_batches([first]))
        rows = _converted(raw, dialect, changes)
        if _may_be_months(rows, options):
            changes[options.time or "ds"] = _unchanged
            raw = without_nameless(
                pa.Table.from_batches([next(_batches(file, dialect, _as_text(dialect, changes), ()))])
            )
            rows = _converted(raw, dialect, changes)
    head = _table(file, rows, dialect, options)
    texts = [name for name in head.columns if head.kinds[name] == "number" and pa.types.is_string(raw[name].type)]
    parsed = {name: parse_numbers(raw[name].cast(pa.large_string()), dialect.numbers) for name in texts}
    return head, {name: found.format for name, found in parsed.items() if found.wrong is None}, dialect.block


def csv_batches(
    file: Path,
    options: TableOptions,
    types: Mapping[str, pa.DataType],
    columns: Sequence[str] = (),
    formats: Mapping[str, NumberFormat] | None = None,
    quiet: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Read a csv file in record batches of about one megabyte.

    Parameters
    ----------
    file : Path
    options : TableOptions
    types : mapping of str to pyarrow.DataType
        Types that are not given are inferred from the first batch.
    columns : sequence of str
        Columns to read, by default all.
    formats : mapping of str to NumberFormat, optional
        Columns to read as text and to parse as numbers of this format.
    quiet : bool, default=False
        Do not say again what encoding was assumed.
    """
    dialect = find_dialect(file, options)
    if not quiet:
        warn_of_encoding(file, dialect, options)
    types = {**types, **dict.fromkeys(formats or (), pa.string())}
    row = dialect.first_row or 0
    held: pa.RecordBatch | None = None
    for batch in _batches(file, dialect, types, columns):
        if held is not None:
            yield _numbers(held, formats or {}, file, row)
            row += held.num_rows
        refuse_swallowed_rows(pa.Table.from_batches([batch]), str(file))
        held = batch
    if held is None:
        return
    end = without_empty_end(pa.Table.from_batches([held])).combine_chunks()
    if end.num_rows:
        check_totals(end, str(file), f"row {row + end.num_rows - 1}")
        yield _numbers(end.to_batches()[0], formats or {}, file, row)


def _batches(
    file: Path, dialect: Dialect, types: Mapping[str, pa.DataType], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    with reading(str(file)):
        try:
            with opened(file) as source:
                stream = arrow_csv.open_csv(source, *_csv_options(dialect, types, columns))
                _ = stream.schema.names  # as in _parse
                yield from stream
        except UnicodeError:
            raise not_decoded(file, dialect.encoding) from None
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                raise not_decoded(file, dialect.encoding) from None
            if "conversion error" not in str(error):
                raise _unparsed(error, file) from None
            raise InvalidDataError(
                f"{file}: {first_line(error)}. Earlier rows of this column have another type. Correct "
                f"the value, or leave the cell empty if it is missing."
            ) from None


def _numbers(batch: pa.RecordBatch, formats: Mapping[str, NumberFormat], file: Path, row: int) -> pa.RecordBatch:
    """Parse the columns of text that hold numbers of a known format."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in formats.keys() & columns.keys():
        parsed = parse_numbers(pa.chunked_array([columns[name]]), formats[name])
        if parsed.wrong is not None:
            found = parsed.wrong.slice(0, 1).to_pylist()[0]
            raise InvalidDataError(
                f"Found {found['text']!r:.60} in the number column {name!r} of {file}, row {row + found['row']}. "
                f"Numbers of earlier rows are written in another way. Correct it, or leave the cell empty."
            )
        columns[name] = parsed.numbers.combine_chunks()
    return pa.RecordBatch.from_pydict(columns)
