"""Tell what the columns of a table hold: numbers, text, times or lists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrae.data.arrays import Ints
from vrae.data.date_text import is_date
from vrae.data.number_text import unlike_numbers

__all__ = [
    "are_dates",
    "has_leading_zeros",
    "kind_of",
    "number_stems",
    "stem_of",
    "text_kinds",
    "unlike_by_column",
]

# Columns, of which a table may have a hundred thousand, are looked at together up to these cells.
_CELLS = 1 << 20

_TESTS = {
    "number": ("is_integer", "is_floating", "is_boolean", "is_decimal", "is_null"),
    "text": ("is_string", "is_large_string", "is_string_view"),
    "time": ("is_timestamp", "is_date"),
    "list": ("is_list", "is_large_list", "is_fixed_size_list"),
}


@lru_cache(maxsize=1024)
def kind_of(kind: pa.DataType) -> str:
    """Return the kind of an Arrow type: number, text, time, list or other."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for name, checks in _TESTS.items():
        if any(getattr(pa.types, check)(kind) for check in checks if hasattr(pa.types, check)):
            return name
    return "other"


def text_kinds(columns: Mapping[str, pa.ChunkedArray], first: str | None, kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds of columns of text: number, mixed, text or time.

    Parameters
    ----------
    columns : mapping of str to pyarrow.ChunkedArray of large_string
        Columns of equal lengths.
    first : str or None
        Name of the first column of the table. If it has numbers such as 007, it holds names.
    kinds : mapping of str to str
        Kinds of all columns of the table, where these are "text".
    """
    found: dict[str, str] = {}
    counts = unlike_by_column(list(columns.values()), units=True)
    stems = number_stems(kinds)
    for (name, text), count in zip(columns.items(), counts.tolist(), strict=True):
        unlike = count
        if name == first:
            if has_leading_zeros(text):
                found[name] = "text"
                continue
            unlike = int(unlike_by_column([text], units=False)[0])
        if unlike == 0:
            found[name] = "number"
        elif unlike < len(text) / 2:
            found[name] = "mixed"
        else:
            found[name] = "time" if are_dates(text) else "text"
    stems.update(number_stems({name: found[name] for name in found}))
    # A step of a wide table with more errors than numbers is a step still.
    for (name, text), count in zip(columns.items(), counts.tolist(), strict=True):
        if found[name] == "text" and stems[stem_of(name)] and count < len(text) - text.null_count:
            found[name] = "mixed"
    return found


def number_stems(kinds: Mapping[str, str]) -> Counter[str]:
    """Count the number columns whose names are alike, as t0 and t1 are."""
    stems = (stem_of(name) for name, kind in kinds.items() if kind == "number")
    return Counter(stem for stem in stems if "#" in stem)


@lru_cache(maxsize=1 << 14)
def stem_of(name: str) -> str:
    """Return the name of a column with numbers and dates replaced by #."""
    return "#" if is_date(name) else re.sub(r"\d+", "#", name)


def unlike_by_column(columns: Sequence[pa.ChunkedArray], *, units: bool) -> Ints:
    """Return how many values of each column, all of equal length, are not meant as numbers."""
    if not columns or not len(columns[0]):
        return np.zeros(len(columns), np.int64)
    n_rows = len(columns[0])
    width = max(1, _CELLS // n_rows)
    found = []
    for start in range(0, len(columns), width):
        group = columns[start : start + width]
        unlike = unlike_numbers(pa.chunked_array(_chunks(group)), units)
        found.append(unlike.reshape(len(group), n_rows).sum(axis=1))
    return np.concatenate(found)


def _chunks(columns: Iterable[pa.ChunkedArray]) -> list[pa.Array]:
    return [pa.concat_arrays([chunk for column in columns for chunk in column.chunks])]


def has_leading_zeros(text: pa.ChunkedArray) -> bool:
    """Return whether a value such as 007 would lose zeros as a number."""
    return bool(pc.any(pc.match_substring_regex(text, r"^0\d+$"), min_count=0).as_py())


def are_dates(text: pa.ChunkedArray) -> bool:
    """Return whether most of the text is dates."""
    present = text.drop_null()
    if not len(present) or not any(is_date(value) for value in present[:3].to_pylist()):
        return False
    unique = present.unique().to_pylist()
    return 2 * sum(map(is_date, unique)) > len(unique)
