"""Rows of office files around the table: titles above it, empty rows and totals below it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrae.data.archives import is_number
from vrae.data.arrays import Array
from vrae.data.columns import cast_to_first, kind_of
from vrae.data.date_text import dates_of_digits
from vrae.exceptions import DataWarning, InvalidDataError, warn

__all__ = [
    "Header",
    "begin_like_totals",
    "check_totals",
    "find_header",
    "names_totals",
    "refuse_swallowed_rows",
    "without_empty_end",
    "without_nameless",
]

_TITLES = 30  # the header is among these rows
_TOTALS = pa.array(
    [
        *("total", "totals", "grand total", "subtotal", "sum", "sums", "\u03c3"),  # lower-case sigma
        *("summe", "gesamt", "gesamtsumme", "gesamtergebnis", "zwischensumme", "endsumme", "insgesamt"),
        *("totale", "totale generale", "total general", "total général", "total geral", "totaux", "somme"),
        *("suma", "soma", "totaal", "eindtotaal"),
    ]
)


class Header(NamedTuple):
    """Where a table begins. ``names`` is None if its first row holds values."""

    n_titles: int
    names: list[str] | None


def find_header(rows: Sequence[Sequence[str]], name: str) -> Header:
    """Find the row with the names of columns among the first rows of a file.

    Titles above it fill less than half of the columns. A row of numbers is data, unless the numbers
    count from 0 or 1 or are dates.
    """
    widths = [len(row) for row in rows if row]
    width = max(set(widths), key=lambda n: (widths.count(n), n), default=0)
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows[:_TITLES]]
    begin = next((i for i, n in enumerate(filled) if 2 * n > width), 0) if width > 1 else 0
    titled = begin > 0 and any(filled[:begin])
    names = [cell.strip() for cell in rows[begin]]
    numbers = [number for cell in names if (number := _number(cell)) is not None]
    only_numbers = all(_number(cell) is not None or cell in ("?", "NA", "nan", "NaN") for cell in names)
    if only_numbers:  # 1, 2, 3 are names, but 1.0, 2.0, 3.0 are values
        return Header(begin, names if all(map(str.isdigit, names)) and _are_names(numbers) else None)
    if _are_names(numbers) or _are_months(names):
        return Header(begin, names)
    if titled:
        raise InvalidDataError(
            f"Where does the table in {name} begin? Row {begin + 1} holds values, and the rows above it name fewer "
            f"columns. Write one name per column above the values, and remove titles."
        )
    if _rise(numbers):
        warn(
            f"The first row of {name} holds numbers such as {numbers[0]:g}. They are taken for the names of columns. "
            f"If they are values, add a row with names above them.",
            DataWarning,
        )
        return Header(begin, names)
    warn(f"{name} has no header: its first row holds values. Columns are numbered from 0.", DataWarning)
    return Header(begin, None)


def _number(cell: str) -> float | None:
    """Return the value of a cell with a number, also one with a decimal comma."""
    if is_number(cell):
        return float(cell) if np.isfinite(float(cell)) else None
    if re.fullmatch(r"[+-]?\d+([.' \u00a0]\d{3})*,\d+|[+-]?\d{1,3}([.,' \u00a0]\d{3})+", cell):
        return float(re.sub(r"[.' \u00a0]", "", cell).replace(",", "."))
    return None


def _are_names(numbers: Sequence[float]) -> bool:
    """Return whether numbers name columns: they count from 0 or 1, or are dates."""
    if not all(number == int(number) for number in numbers):
        return False
    whole = [int(number) for number in numbers]
    steps = set(np.diff(whole).tolist())
    if steps <= {1} and (not whole or whole[0] in (0, 1)):
        return True
    years = steps in ({1}, {-1}) and all(1900 <= number <= 2100 for number in whole)
    in_order = _rise(numbers) or _rise(numbers[::-1])
    return years or (in_order and len(whole) > 1 and dates_of_digits(np.array(whole)) is not None)


def _are_months(names: Sequence[str]) -> bool:
    """Return whether all names that are numbers are months such as 12.2024, and one is text."""
    numbers = [name for name in names if _number(name) is not None]
    return 0 < len(numbers) < len(names) and all(re.fullmatch(r"(0?[1-9]|1[0-2])\.(19|20)\d\d", n) for n in numbers)


def _rise(numbers: Sequence[float]) -> bool:
    return bool((np.diff(numbers) > 0).all())


# -------------------------------------------------------------------- below the table


def without_empty_end(table: pa.Table) -> pa.Table:
    """Drop rows without anything in them from the end of a table that has text.

    In a table of numbers, such a row is a series without values.
    """
    if not any(kind_of(field.type) == "text" for field in table.schema) or table.num_columns < 2:
        return table
    if not table.num_rows or not all(_is_empty(column[-1]) for column in table.columns):
        return table
    end = max(_n_filled(column) for column in table.columns)
    return table.slice(0, end)


def without_nameless(table: pa.Table) -> pa.Table:
    """Drop columns without a name or a value, which separators at the ends of all lines make."""
    kept = [i for i, name in enumerate(table.schema.names) if name.strip() or _n_filled(table.column(i))]
    return table if len(kept) == table.num_columns else table.select(kept)


def _n_filled(column: pa.ChunkedArray) -> int:
    """Return the number of rows up to the last one with something in it."""
    filled = pc.invert(pc.is_null(column, nan_is_null=True))
    if kind_of(column.type) == "text":
        filled = pc.and_(filled, pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(column), ""), False))
    rows = pc.indices_nonzero(filled)
    return int(rows[-1].as_py()) + 1 if len(rows) else 0


def _is_empty(cell: pa.Scalar) -> bool:
    value = cell.as_py()
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def check_totals(table: pa.Table, name: str, row: str) -> None:
    """Refuse a last row of totals. Warn of one that may be a series, and of a note.

    ``row`` words the last row for the message.
    """
    texts = [field.name for field in table.schema if kind_of(field.type) == "text"]
    if table.num_rows < 3 or table.schema.names.count("") > 1:
        return
    last = table.slice(table.num_rows - 1)
    filled = [c for c in table.column_names if not _is_empty(last[c][0])]
    if len(filled) == 1 and table.num_columns > 2 and filled[0] in texts:
        warn(
            f"The last row of {name} ({row}) holds {last[filled[0]][0].as_py()!r:.60} and nothing else. Remove it if "
            f"it is a note.",
            DataWarning,
        )
    found = [c for c in texts if pc.is_in(_lower(last[c]), _TOTALS)[0].as_py()]
    # A shop may have this name. It then has several rows, and not only the last one.
    found = [c for c in found if pc.sum(pc.equal(_lower(table[c]), _lower(last[c])[0])).as_py() == 1]
    if not found:
        return
    what = f"The last row of {name} ({row}) is named {last[found[0]][0].as_py()!r} in column {found[0]!r}"
    others = sorted(set(texts) - set(found))
    if any(_is_empty(last[c][0]) for c in others) or _holds_sums(table):
        raise InvalidDataError(f"{what}, and holds totals. Remove it: totals are no series.")
    warn(f"{what}. It is read like the others. Remove it if it holds totals.", DataWarning)


def names_totals(texts: Array) -> Array:
    """Return which texts, in lower case, name totals."""
    return np.isin(texts, _TOTALS.to_pylist())


def begin_like_totals(texts: Array) -> Array:
    """Return which texts, in lower case, begin with a word for totals, as "total garden" does."""
    words = "|".join(map(re.escape, _TOTALS.to_pylist()))
    found = pc.match_substring_regex(pa.array(texts, pa.large_string()), rf"^({words})([\s_:()-]|$)")
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)


def _lower(text: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_rtrim(pc.utf8_lower(pc.utf8_trim_whitespace(pc.cast(text, pa.string()))), ":")


def _holds_sums(table: pa.Table) -> bool:
    """Return whether the last row holds the sums of most columns of numbers."""
    right = total = 0
    for column in table.columns:
        usable = kind_of(column.type) in ("number", "text")
        values = cast_to_first(column, pa.float64()) if usable else None
        if values is None or values.null_count == len(values):
            continue
        numbers = values.to_numpy()
        above, last = numbers[:-1], numbers[-1]
        right += bool(np.isclose(np.nansum(above), last, rtol=1e-4))
        total += 1
    return 2 * right > total > 0


def refuse_swallowed_rows(table: pa.Table, name: str) -> None:
    """Refuse a cell that holds further rows of the file, because of a stray quote."""
    for field in table.schema:
        if kind_of(field.type) != "text":
            continue
        broken = pc.filter(table[field.name], pc.fill_null(pc.match_substring_regex(table[field.name], r"\n."), False))
        for text in broken[:100].to_pylist():
            line = text.split("\n")[1]
            separator = max(",;\t|", key=line.count)
            cells = line.split(separator)
            if len(cells) >= table.num_columns and any(is_number(cell) for cell in cells):
                raise InvalidDataError(
                    f"A cell of column {field.name!r} of {name} holds whole rows: {text!r:.60}. Look for a stray "
                    f'quote (") before them, and remove it.'
                )
