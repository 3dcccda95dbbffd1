"""The calendar of a table: that of its times, that of ``freq``, or that of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrae.data.arrays import Array
from vrae.data.calendar import Calendar, local_times, time_text, universal_times
from vrae.data.columns import Table, refuse_missing
from vrae.data.dates import Times, as_times, column_dates
from vrae.data.later_times import check_kind, is_coarser, on_clock_of_model, say_moved, say_other_step
from vrae.data.long import Steps, check_cells
from vrae.data.regularity import EVIDENCE, Regularity, find_calendar, lonely_times, rate_changes
from vrae.data.table_options import TableOptions
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, warn

__all__ = ["calendar_of", "name_times", "row_times"]

_YEARS = (np.datetime64("0001-01-01"), np.datetime64("9999-12-31T23:59:59"))


def row_times(column: pa.ChunkedArray, name: str, table: Table, options: TableOptions) -> Times:
    """Return the time of each row, on the clock of the model that remembers ``options``, if any."""
    what = f"Times in column {name!r} of {table.name}"
    if pa.types.is_uint64(column.type) and (pc.max(column).as_py() or 0) >= 2**63:
        raise InvalidDataError(f"{what} go up to {pc.max(column)}. Numbers of 2**63 and more are too large for times.")
    return _known_times(_read(column, name, table, options), what, options)


def name_times(names: Sequence[str], table: Table, options: TableOptions) -> Times | None:
    """Return the times that columns of a wide table are named by, as `row_times` does."""
    times = column_dates(names, table.date_format)
    if times is None:
        return None
    if table.label_zone is not None:  # of labels that are time stamps of pandas
        stamps = universal_times(times.stamps, table.label_zone) if times.zone is None else times.stamps
        times = Times(stamps, table.label_zone)
    return _known_times(times, f"The times that name the columns of {table.name}", options)


def _known_times(times: Times, what: str, options: TableOptions) -> Times:
    """Check times, and return them on the clock of the model that remembers ``options``, if any."""
    _check_times(times, what)
    times = _in_zone_of_user(times, what, options.timezone)
    if options.given is None or options.calendar is None:
        return times
    return Times(*on_clock_of_model(times.stamps, times.zone, options.calendar, what))


def _in_zone_of_user(times: Times, what: str, timezone: str | None) -> Times:
    """Return times in the zone that the user names. Those without a zone are on its clock."""
    stamps, zone = times.stamps, times.zone
    if timezone is None and times.has_offsets:
        warn(
            f"{what} have several offsets from UTC, as with summer time, and no zone. Hours and days are those of UTC. "
            f"Name their zone, such as timezone='Europe/Berlin', or timezone='UTC' if that is right.",
            DataWarning,
        )
    if timezone is None or zone == timezone:
        return times
    if stamps.dtype.kind != "M":
        raise InvalidParameterError(f"timezone={timezone!r} applies to dates. {what} are numbers: leave it out.")
    return Times(universal_times(stamps, timezone) if zone is None else stamps, timezone)


def _check_times(times: Times, what: str) -> None:
    """Raise if times are infinite, beyond the years of Python's dates, or in an unknown zone."""
    stamps, zone = times.stamps, times.zone
    if stamps.dtype.kind == "f" and not np.isfinite(stamps).all():
        raise InvalidDataError(f"{what} are infinite in some rows. Correct or remove those rows.")
    if stamps.dtype.kind != "M" or not len(stamps):
        return
    first, last = stamps.min(), stamps.max()
    if first < _YEARS[0] or last > _YEARS[1]:
        raise InvalidDataError(f"{what} range from {first} to {last}. Years go from 1 to 9999: look for a wrong time.")
    try:
        local_times(stamps[:1], zone)
    except (KeyError, ValueError):  # KeyError: zoneinfo.ZoneInfoNotFoundError
        raise InvalidDataError(
            f"{what} are in the time zone {zone!r}, which is not known. Convert them to one such as 'Europe/Berlin'."
        ) from None


def _read(column: pa.ChunkedArray, name: str, table: Table, options: TableOptions) -> Times:
    """Return the times of a column; those of a part of a table are read like the whole column."""
    if options.written is None:
        return as_times(column, name, table, options.date_format)
    values, times = options.written
    place = pc.index_in(column.cast(values.type), values)
    refuse_missing("time", pc.indices_nonzero(pc.is_null(place)), name, table)
    return Times(times.stamps[place.to_numpy()], times.zone)  # offsets are said of all times already


def calendar_of(steps: Steps, zone: str | None, options: TableOptions) -> Calendar:
    """Return the calendar of sorted rows with times, and say what was assumed."""
    assert steps.times is not None
    dated = steps.times.dtype.kind == "M"
    aligned = (options.align or ("calendar" if dated else "start")) == "calendar"
    if options.calendar is not None:
        if options.given is not None and options.calendar.freq is not None:
            _check_remembered(options.calendar, steps, options)
        return options.calendar
    if options.freq is not None:
        calendar = Calendar.from_freq(options.freq, steps.times, zone, aligned)
        check_cells(calendar, steps.times)
        _say_lonely(steps.times, zone)
        return calendar
    found = find_calendar(steps.codes, steps.times, zone, aligned)
    _say_calendar(found, steps, options)
    _say_rates(found.calendar, steps, options)
    _say_lonely(steps.times, zone)
    return found.calendar


def _check_remembered(calendar: Calendar, steps: Steps, options: TableOptions) -> None:
    """Check that the times of a later table fit the calendar of a model; say what was assumed."""
    assert steps.times is not None
    check_kind(steps.times, calendar)
    if options.freq is not None:
        return
    if not calendar.is_met_by(np.unique(steps.times)):
        say_moved(calendar, " Pass freq= for other steps.")
    if (np.diff(steps.codes) == 0).sum() >= EVIDENCE:
        own = find_calendar(steps.codes, steps.times, calendar.zone, calendar.aligned).calendar
        if is_coarser(own, calendar):
            rest = "missing values" if options.fill is None else f"{options.fill:g}, the value of fill="
            say_other_step(own, calendar, f"Steps of the model without a row are {rest}.")


def _say_calendar(found: Regularity, steps: Steps, options: TableOptions) -> None:
    """Warn if times have no regular step, or were moved to the beginning of theirs."""
    calendar = found.calendar
    if found.moved:
        warn(
            f"Times were moved to the beginning of their steps, since rows are at different times within a step: "
            f"{calendar.describe()}. Pass freq= for other steps.",
            DataWarning,
        )
    if calendar.freq is None and found.suggestion:
        freq = found.suggestion
        shown = f"'{freq}'" if freq[-1].isalpha() else freq
        unused = "" if options.fill is None else f" fill={options.fill:g} is not used, since no step is without a row."
        warn(
            f"The times follow no regular step, so the rows of a series are read as neighbours, whatever the time "
            f"between them. Pass freq=, for example freq={shown}, to put them on regular steps; steps without a row "
            f"are then missing values.{unused}",
            DataWarning,
        )


def _say_rates(calendar: Calendar, steps: Steps, options: TableOptions) -> None:
    """Warn if series have a row every second step, say, and later one every step."""
    if calendar.freq is None or options.fill is not None or steps.times is None:
        return
    found = rate_changes(steps.codes, calendar.cells(steps.times))
    if not found:
        return
    change, n = found[0], len(np.unique(steps.codes))
    every = [f"every {gap:,} steps" if gap > 1 else "every step" for gap in (change.before, change.after)]
    warn(
        f"The time between rows changes in {len(found):,} of {n:,} series. In the first of them there is a row "
        f"{every[0]} up to {time_text(steps.times[change.row], calendar.zone)}, then {every[1]} "
        f"({calendar.describe()}). Steps without a row are missing values, which can look like a change. Pass the "
        f"longer step with freq=, and duplicates='mean', to read all rows alike.",
        DataWarning,
    )


def _say_lonely(times: Array, zone: str | None) -> None:
    """Warn if few times, such as one with a wrong year, are far from all others."""
    lonely = lonely_times(times)
    if not len(lonely):
        return
    others = times[np.isin(times, lonely, invert=True)]
    shown = ", ".join(time_text(time, zone) for time in lonely)
    warn(
        f"Some times are far from all others: {shown}, in {len(times) - len(others):,} of {len(times):,} rows. All "
        f"others are from {time_text(others.min(), zone)} to {time_text(others.max(), zone)}. Steps between have no "
        f"values, or those of fill=. Correct or remove these rows if their times are wrong.",
        DataWarning,
    )
