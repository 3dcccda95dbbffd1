"""Find the role of each column of a table: id, time, value or static; long or wide layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa

from vrae.data.arrays import Array, Ints
from vrae.data.columns import ROW_LABELS, Table, encode_ids
from vrae.data.date_text import is_date
from vrae.data.table_options import TableOptions
from vrae.data.value_columns import channel_columns, ordered_steps, step_columns
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, name_some, warn

__all__ = ["Roles", "changing_series", "find_roles", "first_rows", "refuse_without_times"]

# This many number columns are more likely steps of a wide table than channels of a long one.
_MANY_NUMBERS = 24

# A table with this many columns that are named by dates is wide.
_FEWEST_DATES = 3

_ID_NAME = re.compile(
    r"(?i)(^|[\W_])(id|key|code|no|nr|number|item|part|product|series|sku|store|meter|sensor)$|[a-z](Id|ID)$"
)


@dataclass(frozen=True)
class Roles:
    """Roles of columns. ``long``: each row is a time step; otherwise, each row is a series."""

    long: bool
    id: str | None
    time: str | None
    values: list[str]
    static: list[str] = field(default_factory=list)
    label: str | None = None

    @property
    def all(self) -> list[str]:
        """Names of all columns that have a role."""
        return [name for name in (self.id, self.time, *self.values, *self.static, self.label) if name is not None]


def find_roles(table: Table, options: TableOptions) -> Roles:
    """Find the roles of columns, from the options first, then from names and contents."""
    if options.given is not None:
        options = _of_this_table(table, options)
    given = (options.id, options.time, options.label, *(options.static or ()))
    named = [table.require(name) for name in given if name is not None]
    id_, time = options.id, options.time
    if id_ is None and "unique_id" in table.columns:
        id_ = "unique_id"
    if time is None and "ds" in table.columns and id_ is not None and options.layout != "wide":
        time = "ds"
    may_be_index = time is None and id_ in (None, *table.index[:1]) and options.layout != "wide"
    if may_be_index and _index_has_steps(table, options):
        id_, time = table.index
    if time is None and options.layout == "auto":
        id_, time = _obvious_roles(table, id_, named)
    taken = {name for name in (*named, id_, time, *table.index, *table.parts, *ROW_LABELS) if name is not None}
    values = _named_values(table, options.value, taken)
    long = options.layout == "long" or (options.layout == "auto" and _looks_long(table, id_, time, named))
    if long and time is None:
        columns = name_some(table.columns, 12)
        refuse_without_times(options, f"needs a time column. Name it with time=. Columns of {table.name}: {columns}.")
    if id_ is None:
        id_ = _guess_id(table, long, taken | set(values))
        if id_ is not None and not long and not _serves_as_id(table, id_, options.layout):
            id_ = None
    if not values:
        values = _default_values(table, long, {*taken, id_}, id_, time)
    elif not long:
        values = ordered_steps(values, table.date_format)
    static = options.static
    if static is None:
        used = {*taken, *values, id_}
        static = [name for name, kind in table.kinds.items() if kind == "text" and name not in used]
        static = _constant(table, id_, static) if long and static else static
        if table.parts and id_ == "/".join(table.parts):
            static = [*table.parts, *static]
    return Roles(long, id_, time if long else None, values, list(static), options.label)


def _of_this_table(table: Table, options: TableOptions) -> TableOptions:
    """Return the options that a model remembers without columns that a table can do without."""
    assert options.given is not None
    changes: dict[str, Any] = {}
    if options.static and "static" not in options.given:
        changes["static"] = tuple(name for name in options.static if table.has(name))
    if options.layout == "wide" and "id" not in options.given and not _has(table, options.id):
        changes |= {"id": None, "layout": "auto"}
    is_wide = sum(map(is_date, table.columns)) >= _FEWEST_DATES
    if options.layout == "long" and "time" not in options.given and not _has(table, options.time) and is_wide:
        changes |= {"time": None, "value": None, "layout": "wide"}
    options = replace(options, **changes)
    _check_remembered(table, options)
    return options


def _has(table: Table, name: str | None) -> bool:
    return name is not None and table.has(name)


def _check_remembered(table: Table, options: TableOptions) -> None:
    """Raise if the table lacks columns that the model was fitted to."""
    assert options.given is not None
    named = {"id": (*options.id_parts, options.id)[:1], "time": (options.time,), "value": options.value or ()}
    for role, names in named.items():
        for name in names:
            exists = name is None or table.has(name) or any(character in name for character in "*?")
            if role not in options.given and not exists:
                near = get_close_matches(str(name), table.columns, n=1)
                hint = f" Did it get another name, such as {near[0]!r}?" if near else ""
                several = role == "value" and len(names) > 1  # channels are matched by name
                way = "Rename the column." if several else f"Name the column with {role}=."
                raise InvalidDataError(
                    f"The model reads the column {name!r} as {role}, and {table.name} has no such column.{hint} {way} "
                    f"Its columns: {name_some(table.columns, 12)}."
                )


def refuse_without_times(options: TableOptions, why: str) -> None:
    """Raise if options for times were given for a table without any: "freq='1d' " and ``why``."""
    for name in ("freq", "fill", "align", "timezone"):
        if (given := getattr(options, name)) is not None:
            raise InvalidParameterError(f"{name}={given!r} {why}")


def _index_has_steps(table: Table, options: TableOptions) -> bool:
    """Return whether a pandas index has two levels, series and time step, as in sktime."""
    if len(table.index) != 2:
        return False
    series, step = table.index
    if table.kinds[step] == "time" or options.layout == "long":
        return True
    if table.kinds[step] != "number" or _ID_NAME.search(step):
        return False
    return _looks_like_steps(table, *_codes(table, series))


def _obvious_roles(table: Table, id_: str | None, named: Sequence[str]) -> tuple[str | None, str | None]:
    """Return id and time of a table with one column of dates and an id that repeats, and say so."""
    dates = [name for name, kind in table.kinds.items() if kind == "time" and name not in named]
    texts = [name for name, kind in table.kinds.items() if kind == "text" and name not in named]
    candidate = id_ or (texts[0] if texts else None)
    if len(dates) != 1 or candidate is None or not _looks_like_steps(table, *_codes(table, candidate)):
        return id_, None
    taken = f"{dates[0]!r} of {table.name} for the time"
    taken += "" if id_ is not None else f" and {candidate!r} for the id"
    warn(f"Took {taken}. Name the columns with id= and time= to change this.", DataWarning)
    return candidate, dates[0]


def _looks_long(table: Table, id_: str | None, time: str | None, named: Sequence[str]) -> bool:
    """Return whether a table has a time column, or at least two rows per id."""
    if time is not None:
        return True
    dates = [name for name, kind in table.kinds.items() if kind == "time" and name not in named]
    if dates:
        raise InvalidDataError(
            f"Is {table.name} long or wide? It has a column of dates, {dates[0]!r}. If each row is a time step, "
            f"pass time={dates[0]!r}, and id= for several series. If each row is a series, pass layout='wide'. "
            f"If each column is a series, transpose the table."
        )
    if id_ is None or "list" in table.kinds.values():
        return False
    return _looks_like_steps(table, *_codes(table, id_))


def _codes(table: Table, id_: str) -> tuple[Ints, Array]:
    return encode_ids(table.read([id_])[id_], id_, table)


def _looks_like_steps(table: Table, codes: Ints, ids: Array) -> bool:
    """Return whether rows seem to be time steps: two or more per id, and few columns of numbers."""
    n_numbers = sum(kind == "number" for kind in table.kinds.values())
    return 2 * len(ids) <= len(codes) and n_numbers < _MANY_NUMBERS


def _serves_as_id(table: Table, column: str, layout: str) -> bool:
    """Return whether the presumed id column of a wide table has no repeats."""
    codes, ids = _codes(table, column)
    if len(ids) == len(codes):
        return True
    repeated = name_some(ids[np.bincount(codes) > 1])
    if layout != "wide" and _looks_like_steps(table, codes, ids):
        raise InvalidDataError(
            f"Is {table.name} long or wide? Column {column!r} has repeats: {repeated}. If each row is a time "
            f"step, name the columns with id= and time=. If each row is a series, pass layout='wide'."
        )
    warn(
        f"Column {column!r} of {table.name} has repeats ({repeated}), so ids are row numbers. "
        f"Name a column without repeats with id=.",
        DataWarning,
    )
    return False


def _named_values(table: Table, patterns: Sequence[str] | None, taken: set[str]) -> list[str]:
    found: list[str] = []
    for pattern in patterns or ():
        exact = table.has(pattern)
        names = [pattern] if exact else [n for n in table.columns if fnmatchcase(n, pattern) and n not in taken]
        found += names or [table.require(pattern)]
    return list(dict.fromkeys(found))


def _default_values(table: Table, long: bool, taken: set[str | None], id_: str | None, time: str | None) -> list[str]:
    free = [name for name in table.columns if name not in taken]
    if long and "y" in free:
        return ["y"]
    lists = [] if long else [name for name in free if table.kinds[name] == "list"]
    found = lists or [name for name in free if table.kinds[name] in ("number", "mixed")]
    if not found:
        raise InvalidDataError(
            f"Found no number column with values in {table.name}. "
            f"Its columns: {name_some(table.columns, 12)}. "
            f"Name the value columns with value=. In a csv, check the separator (one of , ; tab |)."
        )
    if lists:
        return found
    if not long:
        return step_columns(table, found)
    if id_ in table.index and time in table.index:
        return found  # as in sktime, all other columns are channels
    return channel_columns(table, found, None if id_ is None else _codes(table, id_)[0], time)


def _guess_id(table: Table, long: bool, taken: set[str]) -> str | None:
    if table.index:
        return table.index[0]
    free = [name for name in table.columns if name not in taken]
    if free and free[0] == table.columns[0] and _names_series(table, free[0], long):
        return free[0]
    texts = [name for name in free if table.kinds[name] == "text"]
    return texts[0] if texts and (not long or len(texts) == 1) else None


def _names_series(table: Table, column: str, long: bool) -> bool:
    """Return whether a column holds ids: mixed (7, 7B), or distinct integers named like item_id."""
    if table.kinds[column] == "mixed":
        return not table.is_like_others(column)
    if long or len(table.columns) < 3 or not _ID_NAME.search(column):
        return False
    return pa.types.is_integer(table.data.schema.field(column).type) and table.is_unique(column)


def _constant(table: Table, id_: str | None, static: list[str]) -> list[str]:
    """Return the text columns of a long table that do not change within a series."""
    if id_ is None:
        return []
    columns = table.read([id_, *static])
    codes, ids = encode_ids(columns[id_], id_, table)
    return [name for name in static if not len(changing_series(columns[name], codes, len(ids)))]


def changing_series(column: pa.ChunkedArray, codes: Ints, n_series: int) -> Ints:
    """Return the indices of the series within which a column changes."""
    encoded = column.dictionary_encode(null_encoding="encode")
    marks = np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks])
    return np.unique(codes[marks != marks[first_rows(codes, n_series)][codes]])


def first_rows(codes: Ints, n_series: int) -> Ints:
    """Return the first row of each series, shape (n_series,)."""
    rows = np.empty(n_series, np.int64)
    rows[codes[::-1]] = np.arange(len(codes))[::-1]  # the last write wins, so this keeps the first row
    return rows
