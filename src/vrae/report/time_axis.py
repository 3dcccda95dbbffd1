"""How the page counts and names time: by dates, or by the steps of the calendar."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.report.data import ReportData

__all__ = ["positions_of", "step_hours", "step_word", "time_axis"]


def step_word(data: ReportData) -> str:
    """Return the word for a step of the series: "week" on a weekly calendar, else "step"."""
    calendar = data.panel.calendar
    return "step" if calendar is None or data.times is None else calendar.unit.removesuffix("s")


def positions_of(data: ReportData, steps: npt.NDArray[Any], base: int | None) -> list[float]:
    """Return the positions of steps of the calendar in seconds since ``base``; else the steps.

    ``base`` is in milliseconds since 1970.
    """
    if data.common_steps is None or base is None:
        return list(steps.tolist())
    seconds = data.common_steps[1].astype("M8[s]").astype(np.int64) - base // 1000
    return list(np.interp(steps, np.arange(len(seconds)), seconds).round(1).tolist())


def step_hours(data: ReportData) -> float | None:
    """Return the hours of a step of a regular calendar, None without one."""
    calendar = data.panel.calendar
    if calendar is None or data.times is None or not np.isfinite(calendar.hours):
        return None
    return float(calendar.hours)


def time_axis(data: ReportData) -> dict[str, Any]:
    """Return the words of the axes of time, for the page's script.

    ``title`` is that of an axis of dates: the name of the column where the reading knows it.
    ``unit`` names a step, which has ``seconds`` on average, and steps are counted from ``first``.
    """
    unit = step_word(data)
    if data.times is None:
        return {"title": unit, "unit": unit, "first": 1}
    reading = data.panel.reading
    whole_days = bool((data.times == data.times.astype("M8[D]")).all())
    column = None if reading is None else reading.time
    title = column or ("date" if whole_days else "time")
    return {"title": title, "unit": unit, "first": 1, "seconds": _seconds(data)}


def _seconds(data: ReportData) -> float:
    """Return the average time from one step to the next, at least a microsecond."""
    calendar, times = data.panel.calendar, data.panel.times
    if calendar is not None and np.isfinite(calendar.hours):
        return 3600 * calendar.hours
    gaps = np.diff(np.asarray(times, "M8[us]"))[np.diff(np.repeat(np.arange(len(data.panel)), data.panel.lengths)) == 0]
    return max(1e-6, float(np.median(gaps.astype(np.int64))) / 1e6) if len(gaps) else 1.0
