"""Tell what the columns of a table hold: numbers, text, times or lists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrae.data.arrays import Array, Ints
from vrae.data.date_text import is_date
from vrae.data.number_text import joined, unlike_numbers

__all__ = [
    "are_dates",
    "count_by_column",
    "has_leading_zeros",
    "kind_of",
    "number_stems",
    "stem_of",
    "text_kinds",
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
    counts = count_by_column(list(columns.values()), unlike_numbers)
    for (name, text), count in zip(columns.items(), counts.tolist(), strict=True):
        unlike = count
        if name == first:
            if has_leading_zeros(text):
                found[name] = "text"
                continue
            unlike = int(unlike_numbers(text, units=False).sum())
        if unlike == 0:
            found[name] = "number"
        elif unlike < len(text) / 2:
            found[name] = "mixed"
        else:
            found[name] = "time" if are_dates(text) else "text"
    # A step of a wide table with more errors than numbers is a step still.
    some = [
        name
        for (name, text), count in zip(columns.items(), counts.tolist(), strict=True)
        if found[name] == "text" and count < len(text) - text.null_count
    ]
    stems = number_stems({**kinds, **found}) if some else Counter()
    return found | {name: "mixed" for name in some if stems[stem_of(name)]}


def number_stems(kinds: Mapping[str, str]) -> Counter[str]:
    """Count the number columns whose names are alike, as t0 and t1 are."""
    stems = (stem_of(name) for name, kind in kinds.items() if kind == "number")
    return Counter(stem for stem in stems if "#" in stem)


@lru_cache(maxsize=1 << 14)
def stem_of(name: str) -> str:
    """Return the name of a column with numbers and dates replaced by #."""
    return "#" if is_date(name) else re.sub(r"\d+", "#", name)


def count_by_column(columns: Sequence[pa.ChunkedArray], mask_of: Callable[[pa.ChunkedArray], Array]) -> Ints:
    """Return for how many values of each column, all of equal length, ``mask_of`` is true."""
    if not columns or not len(columns[0]):
        return np.zeros(len(columns), np.int64)
    n_rows = len(columns[0])
    width = max(1, _CELLS // n_rows)
    groups = [columns[start : start + width] for start in range(0, len(columns), width)]
    found = [mask_of(pa.chunked_array([joined(group)])).reshape(len(group), n_rows).sum(axis=1) for group in groups]
    return np.concatenate(found)


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
