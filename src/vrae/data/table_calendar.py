"""The calendar of a table: that of its times, that of ``freq``, or that of a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from vrae.data.arrays import Array
from vrae.data.calendar import Calendar, local_times, universal_times
from vrae.data.columns import Table
from vrae.data.dates import Times, as_times
from vrae.data.long import Steps, check_cells
from vrae.data.regularity import Regularity, find_calendar
from vrae.data.table_options import TableOptions
from vrae.exceptions import DataWarning, InvalidDataError, warn

__all__ = ["calendar_of", "count_steps", "row_times"]


def row_times(column: pa.ChunkedArray, name: str, table: Table, options: TableOptions) -> Times:
    """Return the time of each row, on the clock of the model that remembers ``options``, if any."""
    times, calendar = as_times(column, name, table, options.date_format), options.calendar
    if options.given is None or calendar is None or calendar.freq is None or times.stamps.dtype.kind != "M":
        return times
    if (times.zone is None) == (calendar.zone is None):
        return times
    if times.zone is None:
        assert calendar.zone is not None
        warn(
            f"Times in column {name!r} of {table.name} have no zone. They are read on the clock of {calendar.zone}, "
            f"the zone of the series of the model.",
            DataWarning,
        )
        return Times(universal_times(times.stamps, calendar.zone), calendar.zone)
    warn(
        f"Times in column {name!r} of {table.name} are in {times.zone}, but the series of the model have no zone. "
        f"They are read on the clock of {times.zone}.",
        DataWarning,
    )
    return Times(local_times(times.stamps, times.zone))


def calendar_of(steps: Steps, zone: str | None, options: TableOptions) -> Calendar:
    """Return the calendar of sorted rows with times, and say what was assumed."""
    assert steps.times is not None
    dated = steps.times.dtype.kind == "M"
    aligned = (options.align or ("calendar" if dated else "start")) == "calendar"
    if options.calendar is not None:
        known = replace(options.calendar, zone=zone or options.calendar.zone)
        if options.given is not None and known.freq is not None:
            _check_remembered(known, steps.times, options)
        return known
    if options.freq is not None:
        calendar = Calendar.from_freq(options.freq, steps.times, zone, aligned)
        check_cells(calendar, steps.times)
        return calendar
    found = find_calendar(steps.codes, steps.times, zone, aligned)
    _say_calendar(found, steps)
    return found.calendar


def _check_remembered(calendar: Calendar, times: Array, options: TableOptions) -> None:
    """Check that the times of a later table fit the calendar of a model."""
    kinds = ("numbers", "dates") if isinstance(calendar.freq, str) else ("dates", "numbers")
    if kinds[1] != ("dates" if times.dtype.kind == "M" else "numbers"):
        raise InvalidDataError(
            f"The times of these series are {kinds[0]}, but those of the series of the model are {kinds[1]}. Convert "
            f"the times, or train a new model."
        )
    if options.freq is None and not calendar.is_met_by(np.unique(times)):
        warn(
            f"Times were moved to the steps of the series of the model: {calendar.describe()}. Pass freq= for "
            f"other steps.",
            DataWarning,
        )


def _say_calendar(found: Regularity, steps: Steps) -> None:
    """Warn if times have no regular step, or were moved to the beginning of theirs."""
    calendar = found.calendar
    if found.moved:
        warn(
            f"Times were moved to the beginning of their steps, since different series have different times within "
            f"a step: {calendar.describe()}. Pass freq= for other steps.",
            DataWarning,
        )
    if calendar.freq is None and found.suggestion:
        freq = found.suggestion
        shown = f"'{freq}'" if freq[-1].isalpha() else freq
        warn(
            f"The times follow no regular step, so the rows of a series are read as neighbours, whatever the time "
            f"between them. Pass freq=, for example freq={shown}, to put them on regular steps; steps without a row "
            f"are then missing values.",
            DataWarning,
        )


def count_steps(steps: Steps, calendar: Calendar) -> int:
    """Return the number of steps of all series that have a row."""
    assert steps.times is not None
    cells = calendar.cells(steps.times)
    return 1 + int(((np.diff(steps.codes) != 0) | (np.diff(cells) != 0)).sum())
