"""Dates and steps on the horizontal axis of a chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import local_times
from vrae.data.panel import Panel

__all__ = ["StepAxis", "common_axis", "own_axes"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StepAxis:
    """A horizontal axis: its title, and the time of each step, shape (n_steps,), if it is known.

    Dates are on the clock of their zone.
    """

    title: str
    times: Array | None = None

    def at(self, steps: npt.NDArray[Any]) -> Array:
        """Return the places of steps, 0, 1, ..., which may lie between two others.

        Without times, the first step is at 1, as in tables and sentences.
        """
        if self.times is None:
            return steps + 1
        if np.issubdtype(steps.dtype, np.integer):
            return self.times[steps]
        is_date = self.times.dtype.kind == "M"
        numbers = self.times.astype(np.int64 if is_date else np.float64)
        found = np.interp(steps, np.arange(len(numbers)), numbers - numbers[0])  # exact, also after 1970
        places = found.astype(np.int64) + numbers[0] if is_date else found + numbers[0]
        return np.asarray(places.astype(self.times.dtype))


def common_axis(X: Any) -> tuple[StepAxis, Ints | None]:
    """Return one axis for all series, and the first step of each of them on it, (n_series,).

    Series on one calendar have dates, others are counted from their start: there is no first step
    then.
    """
    if not isinstance(X, Panel) or X.times is None:
        return StepAxis("step"), None
    common = X.common_steps()
    if common is not None:
        return StepAxis(_time_title(X), local_times(common[1], X.zone)), common[0]
    shared = _same_times(X)
    if shared is not None:
        return StepAxis(_time_title(X), local_times(shared, X.zone)), None
    has_unit = X.calendar is not None and isinstance(X.calendar.freq, str)
    return StepAxis(f"{X.calendar.unit if has_unit and X.calendar else 'steps'} since the start"), None


def own_axes(X: Any, n_series: int) -> list[StepAxis]:
    """Return the axis of each of the first series of X: the times of the series, if it has any."""
    if not isinstance(X, Panel) or X.times is None:
        return [StepAxis("step")] * n_series
    title = _time_title(X)
    ends = zip(X.offsets[:n_series].tolist(), X.offsets[1 : n_series + 1].tolist(), strict=True)
    return [StepAxis(title, local_times(X.times[start:end], X.zone)) for start, end in ends]


def _same_times(panel: Panel) -> Array | None:
    """Return the times of all series, if they are the same for each of them."""
    lengths = panel.lengths
    if panel.times is None or not len(panel) or (lengths != lengths[0]).any():
        return None
    times = panel.times.reshape(len(panel), -1)
    return times[0] if (times == times[0]).all() else None


def _time_title(panel: Panel) -> str:
    """Return the name of the time column, if it is known, and the zone."""
    is_date = panel.times is not None and panel.times.dtype.kind == "M"
    known = None if panel.reading is None else panel.reading.time
    name = known or ("date" if is_date else "time")
    return f"{name} ({panel.zone})" if panel.zone else name
