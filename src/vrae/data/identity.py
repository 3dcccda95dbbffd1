"""Join several id columns of a table to one, such as store and item to ``store/item``; and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from vrae.data.arrays import Array, Ints
from vrae.data.columns import Rows, Table, encode_ids, reading
from vrae.exceptions import InvalidDataError, name_some

__all__ = ["split_ids", "with_joined_id"]

# The first one that is in no part of an id is used.
_SEPARATORS = ("/", " | ", " :: ", " ~ ")


def with_joined_id(table: Table, parts: Sequence[str]) -> Table:
    """Return a table in memory with a column that joins the values of several id columns.

    Parameters
    ----------
    table : Table
    parts : sequence of str
        Names of the id columns. They stay columns of the table.

    Returns
    -------
    Table
        The new column is text. Its name is the names of the parts, joined by ``/``, and so are its
        values, unless a part contains ``/``.

    Raises
    ------
    InvalidDataError
        If a column does not exist, if a part is missing in a row or holds no ids, if the table has
        a column of the new name, or if no separator tells the parts apart.
    """
    names = [table.require(name) for name in parts]
    if len(set(names)) < len(names):
        raise InvalidDataError(f"An id column of {table.name} is named twice: {name_some(names)}. Name each once.")
    if len(names) < 2 or table.parts == tuple(names):
        return table
    joined = "/".join(names)
    if joined in table.columns:
        raise InvalidDataError(
            f"{table.name} has a column {joined!r} already, which is the name of the joined id. Rename it, or use it "
            f"as the id column."
        )
    columns = table.read(names)
    encoded = [encode_ids(columns[name], name, table) for name in names]
    codes, rows = _combined([codes for codes, _ in encoded])
    texts = [_texts(ids)[codes[rows]] for codes, ids in encoded]
    combined = [tuple(str(text[row]) for text in texts) for row in range(len(rows))]
    ids = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(_joined(combined, names, table), pa.large_string()))
    with reading(table.name):
        everything = table.rows(list(table.columns))
    index = (joined, *(level for level in table.index if level not in names)) if table.index else ()
    data = Rows(everything.append_column(joined, ids))
    return replace(table, data=data, index=index, n_rows=None, parts=tuple(names))


def split_ids(ids: Array, names: Sequence[str]) -> dict[str, Array] | None:
    """Return the columns that `with_joined_id` joined to ids; None if that is not certain."""
    texts, n = [str(name) for name in ids.tolist()], len(names)
    fitting = [separator for separator in _SEPARATORS if all(len(t.split(separator)) == n for t in texts)]
    if n < 2 or len(fitting) != 1:
        return None
    columns = zip(*(text.split(fitting[0]) for text in texts), strict=True)
    return {name: np.array(column, object) for name, column in zip(names, columns, strict=True)}


def _combined(codes: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Return the number of the combination of codes in each row, and a row of each combination."""
    found = codes[0]
    for other in codes[1:]:
        found = np.unique(found * (other.max() + 1) + other, return_inverse=True)[1]
    _, rows, numbers = np.unique(found, return_index=True, return_inverse=True)
    return numbers.astype(np.int64), rows


def _texts(ids: Array) -> Array:
    """Return the ids of a part as text. Whole numbers have no decimal point, dates no time of 0."""
    if ids.dtype.kind == "f" and (ids == np.floor(ids)).all() and (np.abs(ids) < 2**53).all():
        return ids.astype(np.int64).astype(str)
    if ids.dtype.kind == "M" and (ids == ids.astype("M8[D]")).all():
        return ids.astype("M8[D]").astype(str)
    return ids.astype(str)


def _joined(combined: Sequence[tuple[str, ...]], names: Sequence[str], table: Table) -> list[str]:
    """Join the parts of ids with a separator by which they can be told apart."""
    for separator in _SEPARATORS:
        joined = [separator.join(parts) for parts in combined]
        if all(tuple(text.split(separator)) == parts for text, parts in zip(joined, combined, strict=True)):
            return joined
    raise InvalidDataError(
        f"The ids in the columns {name_some(names)} of {table.name} cannot be joined: each of the separators "
        f"{name_some(_SEPARATORS)} is part of an id. Remove one of them from the ids."
    )
