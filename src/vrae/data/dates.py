"""Read columns of dates, times and numbers as time stamps."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrae.data.arrays import Array
from vrae.data.columns import MISSING, Table, kind_of, refuse_missing, stamps_of
from vrae.exceptions import InvalidDataError

__all__ = ["Times", "as_times", "cast_to_first"]


class Times(NamedTuple):
    """The time of each row, and the zone of the table."""

    stamps: Array  # (n_rows,): datetime64, in UTC if there is a zone; or int64 or float64
    zone: str | None = None


def as_times(column: pa.ChunkedArray, name: str, table: Table, date_format: str | None = None) -> Times:
    """Convert a column to time stamps."""
    if kind_of(column.type) == "text":
        column = _parse_times(column, name, table)
    if kind_of(column.type) not in ("time", "number"):
        raise InvalidDataError(
            f"The time column {name!r} of {table.name} holds {column.type} values. Expected dates, times or numbers."
        )
    refuse_missing("time", pc.indices_nonzero(pc.is_null(column, nan_is_null=True)), name, table)
    if kind_of(column.type) == "time":
        return Times(stamps_of(column), getattr(column.type, "tz", None))
    number = pa.int64() if pa.types.is_integer(column.type) else pa.float64()
    return Times(np.asarray(column.cast(number, safe=False).to_numpy()))


def _parse_times(text: pa.ChunkedArray, name: str, table: Table) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(text)
    trimmed = pc.if_else(pc.is_in(pc.utf8_lower(trimmed), MISSING), pa.scalar(None, trimmed.type), trimmed)
    found = cast_to_first(trimmed, pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
    if found is not None:
        return found
    wrong = (text for text in trimmed if cast_to_first(text, pa.timestamp("us")) is None)
    example = next(wrong, trimmed[0]).as_py()
    raise InvalidDataError(
        f"The time column {name!r} of {table.name} holds text that is neither a number nor a date such as "
        f"2024-01-31 or 2024-01-31 12:00: {example!r:.60}. Convert it. If the rows are in order of time, you "
        f"can also drop the column and pass layout='long' and id= without time=."
    )


def cast_to_first(column: Any, *kinds: pa.DataType) -> Any:
    """Cast a column or scalar to the first type that fits all of its values; None if none does."""
    for kind in kinds:
        with suppress(pa.ArrowInvalid):
            return pc.cast(column, kind)
    return None
