"""Read columns of dates, times and numbers as time stamps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrae.data.arrays import Array
from vrae.data.columns import MISSING, Table, cast_to_first, kind_of, refuse_missing, stamps_of
from vrae.data.date_text import (
    NotDatesError,
    Written,
    are_parts_of_years,
    dates_of_digits,
    read_dates,
    read_dates_as,
)
from vrae.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["WEEK_NAME", "Times", "as_times", "column_dates", "refuse_other_types"]

# Columns with such a name hold weeks: 202405 is the fifth week of 2024 and not its May.
WEEK_NAME = re.compile(r"(?i)week|woche|semaine|semana|(?<![a-z])(?:wk|kw)(?![a-z])")


class Times(NamedTuple):
    """The time of each row, and the zone of the table."""

    stamps: Array  # (n_rows,): datetime64, in UTC if there is a zone; or int64 or float64
    zone: str | None = None
    has_offsets: bool = False  # several, as of a place with summer time, which only the user can name


def as_times(column: pa.ChunkedArray, name: str, table: Table, date_format: str | None = None) -> Times:
    """Convert a column to time stamps.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Dates, times, numbers or text. Numbers such as 20240131 and 202401 are dates if all are.
    name : str
    table : Table
        For messages.
    date_format : str, optional
        How text and numbers are written, as for `datetime.strptime`. By default, it is recognised.
    """
    if kind_of(column.type) == "text":
        column = _trimmed(column)
    text = column if kind_of(column.type) == "text" else None
    refuse_other_types(column.type, name, table)
    refuse_missing("time", pc.indices_nonzero(pc.is_null(column, nan_is_null=True)), name, table)
    if kind_of(column.type) == "time":
        return Times(stamps_of(column), getattr(column.type, "tz", None))
    if date_format is not None:
        return _text_times(_as_text(column), name, table, date_format)
    if kind_of(column.type) == "text":
        # The fast way: numbers, and ISO dates without a zone.
        found = cast_to_first(column, pa.int64(), pa.float64(), pa.timestamp("us"))
        if found is None:
            return _text_times(column, name, table, None)
        column = found
        if kind_of(column.type) == "time":
            return Times(stamps_of(column))
    numbers = _number_times(column, name)
    if not are_parts_of_years(numbers.stamps):
        return numbers
    if text is None or not _are_months(text, name):
        raise _unclear_parts(numbers.stamps, name, table)
    return _text_times(text, name, table, None)


def refuse_other_types(kind: pa.DataType, name: str, table: Table) -> None:
    """Raise if a column has a type that holds no times."""
    if kind_of(kind) not in ("time", "number", "text"):
        raise InvalidDataError(
            f"The time column {name!r} of {table.name} holds {kind} values. Expected dates, times or numbers."
        )


def column_dates(names: Sequence[str], date_format: str | None = None) -> Times | None:
    """Return the times that the columns of a wide table are named by; None if not all are dates.

    Names such as 2024-01-31, Jan 2024, 2024-W05 and 202401 are dates; numbers from 1 to 52, and
    years, are not. Words that all names begin or end with, as in "Sales 01/2024 [pcs]", do not
    count. Names that do not fit ``date_format`` are read without it.
    """
    if not names:
        return None
    found = _dates_of(names, date_format)
    bare = _without_words(names) if found is None else None
    return found if bare is None else _dates_of(bare, date_format)


def _without_words(names: Sequence[str]) -> list[str] | None:
    """Return names without the words before and after them that are common to all; None if none."""
    before = re.match(r"\D*[\s_\])]", _common_start(names))
    after = re.search(r"[\s_\[(]\D*$", _common_start([name[::-1] for name in names])[::-1])
    n_before, n_after = (0 if found is None else len(found[0]) for found in (before, after))
    if n_before + n_after == 0 or min(map(len, names)) <= n_before + n_after:
        return None
    return [name[n_before : len(name) - n_after].strip() for name in names]


def _common_start(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _dates_of(names: Sequence[str], date_format: str | None) -> Times | None:
    if date_format is not None:
        with suppress(NotDatesError):
            return _zoned(_formatted(names, date_format))
    if all(re.fullmatch(r"\d{1,9}", name) for name in names):
        stamps = dates_of_digits(np.array([int(name) for name in names], np.int64))
        return None if stamps is None else Times(stamps)
    try:
        return _zoned(read_dates(names))
    except NotDatesError as error:
        if not error.formats:
            return None
        raise InvalidDataError(
            f"The columns are named by dates such as {error.text!r}, which can be read in two ways. {_choice(error)}"
        ) from None


# -------------------------------------------------------------------- text


def _trimmed(text: pa.ChunkedArray) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.is_in(pc.utf8_lower(trimmed), MISSING), pa.scalar(None, trimmed.type), trimmed)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers as text: 20240131.0 as 20240131."""
    if kind_of(column.type) == "text":
        return column
    whole = cast_to_first(column, pa.int64())
    if whole is None and are_parts_of_years(np.asarray(pc.cast(column, pa.float64()).to_numpy())):
        padded = np.char.mod("%07.4f", column.to_numpy().astype(np.float64))  # 1.202 is 01.2020
        return pa.chunked_array([pa.array(padded, pa.large_string())])
    return pc.cast(column if whole is None else whole, pa.large_string())


def _text_times(text: pa.ChunkedArray, name: str, table: Table, date_format: str | None) -> Times:
    encoded = pc.dictionary_encode(text.combine_chunks())
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    texts, rows = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    if not texts:
        return Times(np.empty(0, "M8[us]"))
    try:
        written = read_dates(texts) if date_format is None else _formatted(texts, date_format)
    except NotDatesError as error:
        row = table.row(int(np.flatnonzero(rows == texts.index(error.text))[0]))
        raise _not_dates(error, row, name, table, date_format) from None
    times = _zoned(written)
    return times._replace(stamps=times.stamps[rows])


def _are_months(text: pa.ChunkedArray, name: str) -> bool:
    """Return whether all texts are months such as 01.2023, and the name is not one of weeks."""
    months = pc.match_substring_regex(text, r"^(0[1-9]|1[0-2])\.(19|20)\d\d$")
    return bool(pc.all(months).as_py()) and not WEEK_NAME.search(name)


def _unclear_parts(numbers: Array, name: str, table: Table) -> InvalidDataError:
    example = np.max(numbers)
    where = f"The time column {name!r} of {table.name} holds"
    if example >= 13 or WEEK_NAME.search(name):
        return InvalidDataError(
            f"{where} weeks with their years, such as {example:07.4f}, which cannot be read as decimals. Pass "
            f'date_format="%V.%G", or write them as 2024-W05.'
        )
    return InvalidDataError(
        f"{where} the number {numbers[0]:g}, and all others are like it: months with their years that were read as "
        f'decimals. Pass date_format="%m.%Y", or keep them as text such as {numbers[0]:07.4f}.'
    )


def _formatted(texts: Sequence[str], date_format: str) -> Written:
    try:
        return read_dates_as(texts, date_format)
    except NotDatesError:
        raise
    except (ValueError, re.error) as error:
        raise InvalidParameterError(
            f"date_format={date_format!r} cannot be used: {error}. Pass a format of Python's strptime, such as "
            f'"%d/%m/%Y" or "%Y-%m-%d %H:%M".'
        ) from None


def _not_dates(error: NotDatesError, row: str, name: str, table: Table, date_format: str | None) -> InvalidDataError:
    where = f"The time column {name!r} of {table.name}"
    if error.formats:
        return InvalidDataError(
            f"{where} holds dates such as {error.text!r}, which can be read in two ways. {_choice(error)}"
        )
    if date_format is not None:
        return InvalidDataError(f"{where} holds {error.text!r:.60} in {row}, which is not date_format={date_format!r}.")
    return InvalidDataError(
        f"{where} holds text that is neither a number nor a date such as 2024-01-31 or 2024-01-31 12:00, or that is "
        f"not written like the dates before it: {error.text!r:.60} in {row}. Correct it, or pass date_format=. If the "
        f"rows are in order of time, you can also drop the column and pass layout='long' and id= without time=."
    )


def _choice(error: NotDatesError) -> str:
    day_first, month_first = error.formats
    return f'Pass date_format="{day_first}" if the day is first, or date_format="{month_first}" if the month is first.'


def _zoned(written: Written) -> Times:
    """Convert to UTC if there are offsets.

    Several offsets with a single time of day are days on the clock of a place with summer time.
    They stay as they are written.
    """
    if written.offsets is None:
        return Times(written.stamps)
    found = np.unique(written.offsets)
    if len(found) > 1 and len(np.unique(written.stamps - written.stamps.astype("M8[D]"))) == 1:
        return Times(written.stamps)
    stamps = written.stamps - written.offsets.astype("m8[m]")
    if len(found) > 1:
        return Times(np.asarray(stamps), "UTC", has_offsets=True)
    return Times(np.asarray(stamps), _zone_name(int(found[0])) if found[0] else "UTC")


def _zone_name(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


# -------------------------------------------------------------------- numbers


def _number_times(column: pa.ChunkedArray, name: str) -> Times:
    number = pa.int64() if pa.types.is_integer(column.type) else pa.float64()
    values = np.asarray(column.cast(number, safe=False).to_numpy())
    whole = values.astype(np.int64) if len(values) and np.isfinite(values).all() and _are_whole(values) else None
    stamps = None if whole is None else dates_of_digits(whole, weeks=bool(WEEK_NAME.search(name)))
    return Times(values if stamps is None else stamps)


def _are_whole(values: Array) -> bool:
    return values.dtype.kind == "i" or bool(((values == np.round(values)) & (np.abs(values) < 1e15)).all())
