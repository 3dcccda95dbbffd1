"""Times of later series on the calendar of a model: one rule for tables and for panels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vrae.data.arrays import Array
from vrae.data.calendar import Calendar, local_times, universal_times
from vrae.data.long import Steps, put_on_grid, sort_order
from vrae.data.panel import Panel, offsets_of
from vrae.data.timing import Timing
from vrae.exceptions import DataWarning, InvalidDataError, warn

__all__ = [
    "check_kind",
    "is_coarser",
    "on_calendar_of_model",
    "on_clock_of_model",
    "say_moved",
    "say_other_step",
    "say_unknown_dates",
]

# A warning says if more than this fraction of the steps has dates that the model does not know.
_MANY_UNKNOWN = 0.25


def say_unknown_dates(panel: Panel, timing: Timing | None) -> None:
    """Warn of series whose dates a model that compares series by date does not know."""
    if timing is None:
        return
    if panel.times is None or panel.times.dtype.kind != "M":
        warn(
            "The model compares series by date, but these have no dates: their time of year, week or day does not "
            "count. Pass a table with a time column, or fit with timing set to free.",
            DataWarning,
        )
        return
    outside = (panel.times < np.datetime64(timing.start)) | (panel.times > np.datetime64(timing.end))
    if outside.mean() > _MANY_UNKNOWN:
        start, end = (str(np.datetime64(time, "D")) for time in (timing.start, timing.end))
        warn(
            f"{100 * outside.mean():.0f} % of the steps are outside the dates of the training series, {start} to "
            f"{end}. What the model knows of these dates is the time of year, week and day alone, so clusters and "
            f"neighbours can be wrong. Fit it again with the new dates, or with timing set to free.",
            DataWarning,
        )


def on_clock_of_model(times: Array, zone: str | None, calendar: Calendar, what: str) -> tuple[Array, str | None]:
    """Return times and their zone as the series of a model have them, and say what was assumed.

    Parameters
    ----------
    times : ndarray
        datetime64 in UTC, or on the clock if there is no zone. Numbers are returned unchanged.
    zone : str or None
        Zone of the times.
    calendar : Calendar
        That of the model.
    what : str
        Names the times in messages.
    """
    known = calendar.zone
    if times.dtype.kind != "M" or zone == known or _counts(calendar):
        return times, zone
    if zone is None:
        assert known is not None
        warn(
            f"{what} have no zone. They are read on the clock of {known}, the zone of the series of the model.",
            DataWarning,
        )
        return universal_times(times, known), known
    if known is None:
        warn(
            f"{what} are in {zone}, but the series of the model have no zone. They are read on the clock of {zone}.",
            DataWarning,
        )
        return local_times(times, zone), None
    warn(
        f"{what} are in {zone}, but the series of the model are in {known}. They stay the same moments, and days are "
        f"days of {known}.",
        DataWarning,
    )
    return times, known


def check_kind(times: Array, calendar: Calendar) -> None:
    """Raise if times are numbers and those of a model are dates, or the reverse."""
    if calendar.freq is None or _counts(calendar) == (times.dtype.kind != "M"):
        return
    found, known = ("dates", "numbers") if _counts(calendar) else ("numbers", "dates")
    raise InvalidDataError(
        f"The times of these series are {found}, but those of the series of the model are {known}. Convert the times, "
        f"or train a new model."
    )


def say_moved(calendar: Calendar, hint: str = "") -> None:
    """Warn that times lie within the steps of the series of a model."""
    warn(f"Times were moved to the steps of the series of the model: {calendar.describe()}.{hint}", DataWarning)


def is_coarser(own: Calendar, known: Calendar) -> bool:
    """Return whether steps are at least twice as long as those of a model."""
    if own.freq is None or _counts(own) != _counts(known):
        return False
    longer, step = (own.freq, known.freq) if _counts(own) else (own.hours, known.hours)
    return bool(float(longer) > 1.99 * float(step))  # type: ignore[arg-type]


def say_other_step(own: Calendar, known: Calendar, what_happens: str) -> None:
    """Warn that series have other steps than those of a model."""
    warn(
        f"The steps of these series are {own.describe()}, but those of the series of the model are "
        f"{known.describe()}. {what_happens}",
        DataWarning,
    )


def on_calendar_of_model(panel: Panel, calendar: Calendar | None) -> Panel:
    """Return a panel on the calendar of a model, as its table would be read.

    A panel of other steps keeps its steps, and a warning names both.

    Raises
    ------
    InvalidDataError
        Times are numbers and those of the model are dates, or the reverse.
    """
    if panel.times is None or calendar is None or not len(panel):
        return panel
    check_kind(panel.times, calendar)
    own = panel.calendar or Calendar()
    known = replace(calendar, aligned=own.aligned, absent=own.absent)
    if own == known:
        return panel
    times, zone = on_clock_of_model(panel.times, own.zone, calendar, "Times of the panel")
    panel = replace(panel, times=times, calendar=None if panel.calendar is None else _in_zone(own, zone, times))
    if calendar.freq is None:
        return panel
    if own.freq is None:  # or none that these series show, as days of another zone when clocks change
        return _on_steps(panel, known) if _are_sorted(panel) and known.is_met_by(times) else panel
    if not _are_equal(own.freq, calendar.freq):
        say_other_step(own, calendar, "They are compared step by step, as if the steps were the same.")
        return panel
    if _counts(calendar):
        return panel
    is_met = known.is_met_by(times)
    if not is_met:
        say_moved(known)
    return replace(panel, calendar=known) if is_met and zone == own.zone else _on_steps(panel, known)


def _on_steps(panel: Panel, calendar: Calendar) -> Panel:
    """Put a panel on a calendar with the same step, which may begin at another time of day."""
    codes = np.repeat(np.arange(len(panel)), panel.lengths)
    steps, _ = put_on_grid(Steps(codes, panel.values, panel.times), calendar, "raise", panel.ids)
    lengths = np.bincount(steps.codes, minlength=len(panel))
    return replace(panel, values=steps.values, offsets=offsets_of(lengths), times=steps.times, calendar=calendar)


def _are_sorted(panel: Panel) -> bool:
    return sort_order(np.repeat(np.arange(len(panel)), panel.lengths), panel.times) is None


def _in_zone(calendar: Calendar, zone: str | None, times: Array) -> Calendar:
    """Return a calendar of these times in another zone."""
    moved = replace(calendar, zone=zone)
    if calendar.freq is None or zone == calendar.zone or moved.is_met_by(times):
        return moved
    return replace(moved, origin=str(times.min()))


def _counts(calendar: Calendar) -> bool:
    """Return whether the steps of a calendar are numbers."""
    return calendar.freq is not None and not isinstance(calendar.freq, str)


def _are_equal(first: Any, second: Any) -> bool:
    """Return whether two steps are the same; those of numbers are found with small errors."""
    return bool(first == second if isinstance(first, str) else np.isclose(first, second, rtol=1e-3, atol=0))
