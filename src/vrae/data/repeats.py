"""Rows that repeat an id and a time for a known reason: clocks go back, or a year is missing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrae.data.arrays import Array, Ints
from vrae.data.calendar import local_times, time_text, universal_times
from vrae.data.columns import Table, kind_of
from vrae.data.dates import WEEK_NAME, Times
from vrae.data.roles import Roles
from vrae.exceptions import DataWarning, InvalidDataError, warn

__all__ = ["id_hint", "repeat_hint", "told_apart"]

_YEARS = (1900, 2100)
# What numbers up to the first one may be, of what, and how to write it.
_PARTS_OF = {
    12: ("months", "year", "2024-05"),
    31: ("days or hours", "date", "2024-01-31"),
    53: ("weeks", "year", "2024-W05"),
    366: ("days", "year", "2024-01-31"),
}

# Numbers are parts of a year without it if at least this fraction of rows repeats another one.
_MANY_REPEATS = 0.1


def told_apart(codes: Ints, ids: Array, times: Times, order: Ints | None, table: Table, roles: Roles) -> Array:
    """Return the time stamps of rows, with those of a second hour moved behind the first.

    Clocks that go back show an hour twice. Rows in order of time tell which is which. ``order`` is
    the order of rows by series and time, as `vrae.data.long.sort_order` returns it.

    Raises
    ------
    InvalidDataError
        Rows repeat an id and a time for a reason that is known.
    """
    stamps = times.stamps
    if times.zone is None and stamps.dtype.kind == "M":  # neither clocks that go back nor bare years
        return stamps
    rows = _repeated(codes, stamps, order)
    if not len(rows):
        return stamps
    if times.zone is not None and _are_twice(stamps[rows], stamps, times.zone):
        moved = _second_hours(codes, stamps, times.zone)
        if moved is None:
            raise _unclear_hour(codes, ids, stamps, rows, times.zone)
        day = time_text(local_times(stamps[rows[:1]], times.zone)[0].astype("M8[D]"), None)
        warn(
            f"Clocks of {times.zone} go back on {day}, and an hour comes twice. Its rows in {table.name} are read in "
            f"their order: first the hour before the change, then the hour after it.",
            DataWarning,
        )
        return moved
    _refuse_years_apart(codes, stamps, len(rows), table, roles)
    return stamps


def id_hint(table: Table, roles: Roles) -> str:
    """Return what to do if rows of several series have the same id."""
    if roles.id is None:
        return f" If {table.name} holds several series, name their column with id=."
    used = set(roles.all)
    other = next((name for name, kind in table.kinds.items() if kind == "text" and name not in used), None)
    return "" if other is None else f" If an id stands for several series, name {other!r} with id= too."


def repeat_hint(codes: Ints, times: Times, order: Ints | None, table: Table, roles: Roles) -> str:
    """Return why rows may repeat the id and time of another one, and what to do; "" if unknown."""
    if times.zone is not None:
        return ""
    if times.stamps.dtype.kind != "M":
        return _year_hint(codes, times.stamps, order, table, roles)
    rows = _repeated(codes, times.stamps, order)
    return (_clock_hint(times.stamps[rows]) or _day_hint(codes, times.stamps, table, roles)) if len(rows) else ""


def _clock_hint(repeated: Array) -> str:
    """Return what to do if times come twice in an hour in which clocks go back.

    That is one hour between 0:00 and 4:00 of one Sunday a year.
    """
    found = np.unique(repeated)
    dates = found.astype("M8[D]")
    days, in_day = np.unique(dates), found - dates
    sundays = (days.astype(np.int64) + 3) % 7 == 6
    if not sundays.all() or len(days) > len(np.unique(days.astype("M8[Y]"))):
        return ""
    if in_day.max() >= np.timedelta64(4, "h") or np.ptp(in_day) >= np.timedelta64(1, "h") or not in_day.any():
        return ""
    when = f"Sunday, {days[0]}" if len(days) == 1 else f"a Sunday of each year, such as {days[0]}"
    return (
        f" All of them are in one hour of {when}. If clocks went back then, name the zone of the times, such as "
        f"timezone='Europe/Berlin', so that the hour counts twice."
    )


def _day_hint(codes: Ints, stamps: Array, table: Table, roles: Roles) -> str:
    """Return what to do if times are days, and another column has the time of day."""
    if (stamps != stamps.astype("M8[D]")).any():
        return ""
    used = set(roles.all)
    for name in table.columns:
        if name not in used and _holds_hours(codes, stamps, table, name):
            return (
                f" Column {name!r} looks like the time of day of {roles.time!r}. Join both into one column, such as "
                f"2024-01-31 13:00, and name it with time=."
            )
    return ""


def _holds_hours(codes: Ints, stamps: Array, table: Table, name: str) -> bool:
    """Return whether a column has times such as 13:00, or hours that tell rows of a day apart."""
    kind = table.data.schema.field(name).type
    if pa.types.is_time(kind):
        return True
    if kind_of(kind) == "text":
        text = pc.utf8_trim_whitespace(table.read([name])[name].drop_null())
        return len(text) > 0 and bool(pc.all(pc.match_substring_regex(text, r"^\d{1,2}:\d\d(:\d\d)?$")).as_py())
    hours = _whole_numbers(table, name)
    if hours is None or not _are_within(hours, 0, 24):
        return False
    return _are_unique(codes, stamps.astype("M8[D]").astype(np.int64), hours)


def _year_hint(codes: Ints, stamps: Array, order: Ints | None, table: Table, roles: Roles) -> str:
    """Return what to do if times are numbers of weeks, months or days, and their year is missing.

    Rows of different years then have the same time. If they have not, but the numbers begin again
    within the series, a warning says so, since the end of a year would come after the next one.
    """
    name = str(roles.time)
    if not _are_within(stamps, 1, 366) or stamps.max() < 12 or 53 < stamps.max() < 365:
        return ""
    rows = _repeated(codes, stamps, order)
    if len(rows) < _MANY_REPEATS * len(stamps) and (len(rows) or not _begin_again(codes, stamps)):
        return ""
    parts, whole, example = _parts_of(name, stamps.max())
    year = next((one for one in table.columns if one not in (roles.id, name) and _holds_years(table, one)), None)
    if year is not None:
        known = f" Column {year!r} looks like the year of {name!r}."
        known += f" Join them into one column, such as {example}, and name it with time=."
    else:
        known = f" If the numbers in column {name!r}, {stamps.min():g} to {stamps.max():g}, are {parts} without their"
        known += f" {whole}, rows of different {whole}s are taken for one: write the {whole} too, such as {example}."
    if not len(rows):
        warn(f"Times of {table.name} go from {stamps.max():g} to {stamps.min():g} within series.{known}", DataWarning)
    return known


def _parts_of(name: str, largest: float) -> tuple[str, str, str]:
    """Return what the numbers of a column are, of what they are parts, and how to write them."""
    least = 53 if WEEK_NAME.search(name) else 0
    return next(of for most, of in _PARTS_OF.items() if max(largest, least) <= most)


def _begin_again(codes: Ints, stamps: Array) -> bool:
    """Return whether the last week or month is followed by the first, in the order of rows."""
    order = np.argsort(codes, kind="stable")
    own, at = codes[order], stamps[order]
    back = np.flatnonzero((own[1:] == own[:-1]) & (at[1:] < at[:-1]))
    ends = at.max() in (12, 52, 53, 365, 366)
    return bool(len(back) and ends and (at[back + 1] == at.min()).all() and (at[back] >= at.max() - 1).all())


def _holds_years(table: Table, name: str) -> bool:
    years = _whole_numbers(table, name)
    return years is not None and _are_within(years, *_YEARS)


def _whole_numbers(table: Table, name: str) -> Array | None:
    """Return a column of integers as float64 (n_rows,), NaN where one is missing; else None.

    Integers above 2**53 are rounded. They are no parts of a date.
    """
    if not pa.types.is_integer(table.data.schema.field(name).type):
        return None
    return np.asarray(table.read([name])[name].cast(pa.float64(), safe=False).to_numpy())


def _repeated(codes: Ints, stamps: Array, order: Ints | None) -> Ints:
    """Return the rows that repeat the series and time of another one."""
    rows = np.arange(len(codes)) if order is None else order
    own, at = (codes, stamps) if order is None else (codes[order], stamps[order])
    return rows[1:][(own[1:] == own[:-1]) & (at[1:] == at[:-1])]


# -------------------------------------------------------------------- clocks that go back


def _are_twice(repeated: Array, stamps: Array, zone: str) -> bool:
    """Return whether all of these times come twice on the clock, and no row is at a second one."""
    if stamps.dtype.kind != "M" or (_later(repeated, zone) == repeated).any():
        return False
    distinct = np.unique(stamps)
    return bool((universal_times(local_times(distinct, zone), zone) == distinct).all())


def _later(stamps: Array, zone: str) -> Array:
    """Return the last time at which the clock shows the same."""
    return universal_times(local_times(stamps, zone), zone, second=True)


def _second_hours(codes: Ints, stamps: Array, zone: str) -> Array | None:
    """Return stamps with the rows of second hours moved; None if the order does not show them.

    In the rows of a series, the same times then follow one another twice, or rise and come once.
    """
    order = np.argsort(codes, kind="stable")
    own, later = stamps[order], _later(stamps[order], zone)
    twice = np.flatnonzero(later != own)
    days = np.unique(own[twice].astype("M8[D]"), return_inverse=True)[1]
    hours = codes[order][twice] * (days.max() + 1) + days
    by_hour = np.argsort(hours, kind="stable")
    moved = own.copy()
    for group in np.split(twice[by_hour], np.flatnonzero(np.diff(hours[by_hour])) + 1):
        half, odd = divmod(len(group), 2)
        if _rise(own[group]):
            continue
        second = group[half:]
        if odd or not _rise(own[second]) or not np.array_equal(own[group[:half]], own[second]):
            return None
        moved[second] = later[second]
    found = np.empty_like(moved)
    found[order] = moved
    return found


def _rise(stamps: Array) -> bool:
    return bool((stamps[1:] > stamps[:-1]).all())


def _unclear_hour(codes: Ints, ids: Array, stamps: Array, rows: Ints, zone: str) -> InvalidDataError:
    row = rows[0]
    return InvalidDataError(
        f"Found {len(rows)} rows that repeat the id and time of another row, the first {ids[codes[row]].item()!r} at "
        f"{time_text(stamps[row], zone)}. On this day, the clocks of {zone} go back, and an hour comes twice. Write "
        f"times with their offset, such as +02:00, or in UTC, to tell its rows apart."
    )


# -------------------------------------------------------------------- a year in another column


def _refuse_years_apart(codes: Ints, stamps: Array, n_rows: int, table: Table, roles: Roles) -> None:
    """Raise if a year in another column, or weeks beside the year, tell rows apart."""
    is_year = _are_within(stamps, *_YEARS)
    if not is_year and not _are_within(stamps, 1, 366):
        return
    low, high = (1, 366) if is_year else _YEARS
    for name in table.columns:
        other = None if name in (roles.id, roles.time) else _whole_numbers(table, name)
        if other is not None and _are_within(other, low, high) and _are_unique(codes, stamps, other):
            year, part = (str(roles.time), name) if is_year else (name, str(roles.time))
            example = _parts_of(part, (other if is_year else stamps).max())[2]
            raise InvalidDataError(
                f"Found {n_rows} rows of {table.name} that repeat the id and time of another row, but column {year!r} "
                f"looks like the year of {part!r}. Join both into one column, such as {example}, and name it with "
                f"time=."
            )


def _are_within(numbers: Array, low: int, high: int) -> bool:
    """Return whether all are whole numbers of a range."""
    if numbers.dtype.kind not in "iuf":
        return False
    return bool(((numbers >= low) & (numbers <= high) & (numbers == np.round(numbers))).all())


def _are_unique(codes: Ints, stamps: Array, parts: Array) -> bool:
    order = np.lexsort((parts, stamps, codes))
    keys = np.stack([codes, stamps, parts])[:, order]
    return bool((np.diff(keys, axis=1) != 0).any(axis=0).all())
