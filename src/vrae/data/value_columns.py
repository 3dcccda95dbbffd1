"""Choose the columns of values of a table when the user names none."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrae.data.arrays import Array, Ints
from vrae.data.columns import Table
from vrae.data.date_text import is_date
from vrae.data.dates import column_dates, refuse_other_types
from vrae.data.sheet_rows import names_totals
from vrae.exceptions import DataWarning, InvalidDataError, name_some, warn

__all__ = ["channel_columns", "ordered_steps", "step_columns"]

# Names of columns that hold what is measured, and not a code, a price or a date.
_CONVENTIONAL = re.compile(
    r"(?i)y|values?|qty|quantity|sales|sold|units|units_sold|amount|demand|consumption|volume|count|target|reading"
)
_DIGITS = re.compile(r"\d+")
_COUNTS_BACK = re.compile(r"(?i)lag|(^|[^a-z])t *[-\u2212]|minus|back|ago")

# Longer numbers in names are no steps.
_MOST_DIGITS = 18

# Groups of columns that a message shows.
_SHOWN = 4

# Fewer columns than this with names of one kind are no steps.
_FEWEST_STEPS = 3


# -------------------------------------------------------------------- wide


def step_columns(table: Table, names: Sequence[str]) -> list[str]:
    """Return the number columns of a wide table that are steps, in order of time.

    A column that is not named like the others, such as a price beside w1, w2, ..., is left out with
    a warning.

    Raises
    ------
    InvalidDataError
        Several groups of columns are named like steps.
    """
    names = _without_totals(table, names)
    if table.date_format is not None:  # the user says that the names are dates
        return ordered_steps(names, table.date_format)
    groups = sorted(_groups(names), key=len, reverse=True)
    steps = groups[0] if groups else []
    if len(steps) < len(names) and column_dates(names) is not None:  # as "Sales Jan 2024"
        return ordered_steps(names)
    rivals = [group for group in groups[1:] if 2 * len(group) > len(steps)]
    if rivals:
        shown = ", ".join(f"{group[0]!r} to {group[-1]!r}" for group in groups[: min(1 + len(rivals), _SHOWN)])
        raise InvalidDataError(
            f"Which columns of {table.name} are the steps? {1 + len(rivals)} groups have names of steps: {shown}. Name "
            f"one with value=, for example value={_DIGITS.split(steps[0])[0] + '*'!r}."
        )
    if len(steps) == len(names) or 2 * len(steps) < len(names):
        return ordered_steps(names)
    known = set(steps)
    others = [name for name in names if name not in known]
    warn(
        f"Left out the columns {name_some(others)} of {table.name}, which are not named like the steps "
        f"{steps[0]!r} to {steps[-1]!r}. Name the columns of values with value= to change this.",
        DataWarning,
    )
    return ordered_steps(steps)


def _without_totals(table: Table, names: Sequence[str]) -> list[str]:
    """Leave out columns that are named like totals, with a warning, if enough others remain."""
    found = names_totals(np.array([name.strip().rstrip(":").lower() for name in names], str))
    totals = [name for name, is_total in zip(names, found, strict=True) if is_total]
    if not totals or len(names) - len(totals) < _FEWEST_STEPS:
        return list(names)
    like = "is named like totals and is no step" if len(totals) == 1 else "are named like totals and are no steps"
    warn(
        f"Left out {name_some(totals)} of {table.name}, which {like}. Name the columns of values with value= to change "
        f"this.",
        DataWarning,
    )
    return [name for name in names if name not in totals]


def _groups(names: Sequence[str]) -> list[list[str]]:
    """Return groups of columns that are named like steps: dates, and one text with numbers."""
    dated = []
    stems: dict[str, list[str]] = {}
    for name in names:
        if is_date(name):
            dated.append(name)
        elif _DIGITS.search(name):
            stems.setdefault(_DIGITS.sub("#", name), []).append(name)
    return [group for group in (dated, *stems.values()) if len(group) >= _FEWEST_STEPS]


def ordered_steps(names: Sequence[str], date_format: str | None = None) -> list[str]:
    """Return the columns of a wide table in order of time, if their names show it.

    Names show it if all are dates, or one text with different numbers: w1, w2, ..., w10, or
    11_2023, 12_2023, 01_2024. Names such as lag3 and t-3 count back.
    """
    dates = column_dates(names, date_format)
    if dates is not None:
        return [names[i] for i in np.argsort(dates.stamps, kind="stable")]
    stems = {_DIGITS.sub("#", name) for name in names}
    if len(stems) > 1 or "#" not in "".join(stems):
        return list(names)
    if any(len(digits) > _MOST_DIGITS for name in names for digits in _DIGITS.findall(name)):
        return list(names)
    numbers = np.array([[int(digits) for digits in _DIGITS.findall(name)] for name in names], object)  # (name, number)
    varying = [column for column in numbers.T if len(set(column)) > 1]
    if len(varying) == 1 and not _are_decimals(names):
        if _wraps(varying[0]):
            return list(names)
        sign = -1 if _COUNTS_BACK.search(names[0]) else 1
        keys = [(sign * number,) for number in varying[0]]
    elif varying and _are_years(varying[0]):
        keys = list(zip(*varying, strict=True))
    elif varying and _are_years(varying[-1]):
        keys = list(zip(*varying[::-1], strict=True))
    elif _are_decimals(names):
        keys = [(float(name),) for name in names]
    else:
        return list(names)
    ordered = sorted(range(len(names)), key=keys.__getitem__)
    return [names[i] for i in ordered] if len(set(keys)) == len(names) else list(names)


def _wraps(numbers: Array) -> bool:
    """Return whether numbers begin anew once and end below the first: week 41 ... 52, 1 ... 18."""
    return int((np.diff(numbers) < 0).sum()) == 1 and numbers[-1] < numbers[0] and len(numbers) > 2


def _are_years(numbers: Array) -> bool:
    return all(1900 <= number <= 2100 for number in numbers)


def _are_decimals(names: Sequence[str]) -> bool:
    return all(re.fullmatch(r"\d+\.\d+", name) for name in names)


# -------------------------------------------------------------------- long


def channel_columns(table: Table, names: Sequence[str], codes: Ints | None, time: str | None) -> list[str]:
    """Return the number columns of a long table that are measured, and so are its channels.

    Parameters
    ----------
    table : Table
    names : sequence of str
        Number columns without another role.
    codes : ndarray of int64, shape (n_rows,), optional
        Number of the series of each row.
    time : str, optional
        The time column.

    Raises
    ------
    InvalidDataError
        Several columns may be meant.
    """
    if len(names) < 2:
        return list(names)
    columns = table.read([*names, *([] if time is None else [time])])
    if time is not None:
        refuse_other_types(columns[time].type, time, table)
    not_measured = {name: "without any value" for name in names if _is_empty(columns[name])}
    names = [name for name in names if name not in not_measured]
    if len(names) > 1:
        reasons_of = {name: _why_not_measured(columns, name, codes, time) for name in names}
        not_measured |= {name: why for name, why in reasons_of.items() if why}
    measured = [name for name in names if name not in not_measured]
    named = [name for name in measured if _CONVENTIONAL.fullmatch(name)]
    if len(measured) > 1 and len(named) == 1:
        others = [name for name in measured if name != named[0]]
        warn(
            f"Took {named[0]!r} of {table.name} for the values, by its name, and left out {name_some(others)}. Name "
            f"the column of values with value=, or several for a channel each.",
            DataWarning,
        )
        return named
    if len(measured) > 1 and {"unique_id", "ds"} <= set(table.columns):
        warn(
            f"Took the {len(measured)} number columns {name_some(measured)} of {table.name} for channels. Name those "
            f"that are with value=.",
            DataWarning,
        )
    elif len(measured) != 1:
        is_one = codes is None and len(measured) > 1  # one series, if its columns are channels
        across = " If each column is a series, transpose the table." if is_one else ""
        found = name_some(measured or names or not_measured, 12)
        raise InvalidDataError(
            f"Which column of {table.name} holds the values? Found {found}. Name it with value=, or name several for "
            f"a channel each.{across}"
        )
    if not_measured:
        reasons = ", ".join(f"{name!r} ({why})" for name, why in list(not_measured.items())[:5])
        warn(
            f"Took {name_some(measured)} of {table.name} for the values, and left out {reasons}. Name the columns of "
            f"values with value= to change this.",
            DataWarning,
        )
    return measured


def _is_empty(column: pa.ChunkedArray) -> bool:
    """Return whether there are rows, and none has a value."""
    return len(column) > 0 and bool(pc.all(pc.is_null(column, nan_is_null=True)).as_py())


def _why_not_measured(
    columns: dict[str, pa.ChunkedArray], name: str, codes: Ints | None, time: str | None
) -> str | None:
    """Return why a column of whole numbers is not what was measured; None if it may be."""
    column = columns[name]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)) or not len(column):
        return None
    values = np.asarray(pc.cast(column, pa.float64()).to_numpy())
    known = ~np.isnan(values)
    if (values[known] != np.round(values[known])).any():
        return None
    if codes is not None and codes.max(initial=0) and _is_function_of(values, codes):
        return "the same all along in every series"
    if time is not None and len(values) > 1:
        stamps = pc.dictionary_encode(columns[time])
        times = np.concatenate([chunk.indices.to_numpy() for chunk in stamps.chunks]).astype(np.int64)
        if len(np.unique(times)) < len(times) and _is_function_of(values, times):
            return "the same in all series at any time"
    return None


def _is_function_of(values: np.ndarray, groups: Ints) -> bool:
    """Return whether values are equal within each group."""
    first = np.full(int(groups.max()) + 1, np.nan)
    first[groups[::-1]] = values[::-1]
    return bool(np.array_equal(values, first[groups], equal_nan=True))
