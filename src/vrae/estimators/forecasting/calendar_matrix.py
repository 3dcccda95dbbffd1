"""Items on one calendar: a matrix of items by time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.exceptions import InvalidDataError, name_some

__all__ = ["CalendarMatrix", "check_length", "infer_season_length"]

Floats = npt.NDArray[np.float64]

# If this many items were introduced while the calendar ran, they show what new items do.
_MIN_INTRODUCTIONS = 100
# Lowest and highest number of hours between steps, and steps of a season.
_SEASONS = (
    (1, 1, 24),  # hours
    (24, 24, 7),  # days
    (168, 168, 52),  # weeks
    (24 * 28, 24 * 31, 12),  # months
    (24 * 89, 24 * 92, 4),  # quarters
)


@dataclass(frozen=True)
class CalendarMatrix:
    """Values of items on one calendar."""

    values: Floats  # (n_items, n_steps), NaN before an item's introduction, in gaps, and after its end
    times: npt.NDArray[Any] | None = None  # (n_steps,)

    @classmethod
    def from_panel(cls, panel: Panel, max_steps: int) -> CalendarMatrix:
        """Align series by their time stamps, or at their ends if they have none.

        Only the last ``max_steps`` of the calendar are kept.
        """
        if panel.n_channels != 1:
            raise InvalidDataError(
                f"GroupForecaster forecasts one channel. Found {panel.n_channels} channels: "
                f"{', '.join(panel.channels)}. Name the one to forecast with value=."
            )
        item = np.repeat(np.arange(len(panel)), panel.lengths)
        if panel.times is None:
            times, n_steps = None, int(panel.lengths.max())
            step = n_steps - np.repeat(panel.offsets[1:], panel.lengths) + np.arange(len(item))
        else:
            times, step = np.unique(panel.times, return_inverse=True)
            n_steps = len(times)
        first = max(0, n_steps - max_steps)
        recent = step >= first
        values = np.full((len(panel), n_steps - first), np.nan)
        values[item[recent], step[recent] - first] = panel.values[recent, 0]
        return cls(values, None if times is None else times[first:])

    @property
    def n_steps(self) -> int:
        """Number of steps of the calendar."""
        return self.values.shape[1]

    @property
    def first_observed(self) -> npt.NDArray[np.int64]:
        """First observed step of each item, (n_items,). ``n_steps`` for an item without any."""
        observed = ~np.isnan(self.values)
        return np.asarray(np.where(observed.any(axis=1), observed.argmax(axis=1), self.n_steps))

    def has_introductions(self) -> bool:
        """Return whether many items were introduced while the calendar ran.

        New items often start high and settle, or start from nothing. The last steps of an old item
        show neither.
        """
        first = self.first_observed
        return int(((first > 0) & (first < self.n_steps)).sum()) >= _MIN_INTRODUCTIONS

    def up_to(self, n_steps: int) -> CalendarMatrix:
        """Return what was known after the first ``n_steps``."""
        return CalendarMatrix(self.values[:, :n_steps], None if self.times is None else self.times[:n_steps])

    def next_times(self, horizon: int) -> npt.NDArray[Any] | None:
        """Return the next time stamps, (horizon,), or None without a regular rhythm."""
        if self.times is None or len(self.times) < 2:
            return None
        ahead = np.arange(1, horizon + 1)
        if self.times.dtype.kind == "M":
            # The last day of a month is the day before a first day.
            for early in (np.timedelta64(0, "D"), np.timedelta64(1, "D")):
                times = self.times + early
                months = times.astype("datetime64[M]")
                within = times - months.astype(times.dtype)
                gaps = np.unique(np.diff(months.astype(np.int64)))
                if len(gaps) == 1 and gaps[0] > 0 and len(np.unique(within)) == 1:
                    return (months[-1] + ahead * gaps[0]).astype(times.dtype) + within[0] - early
        gaps = np.unique(np.diff(self.times))
        if len(gaps) > 1 and not (gaps.dtype.kind == "f" and np.ptp(gaps) < 1e-6 * gaps.max()):
            return None
        return np.asarray(self.times[-1] + ahead * gaps[0])

    def horizon_after(self, horizon: int, fitted_times: npt.NDArray[Any] | None) -> tuple[npt.NDArray[Any] | None, int]:
        """Return the next time stamps, and the steps by which they are later than the fitted ones.

        ``fitted_times`` (horizon,) follow the calendar of the fitted items.
        """
        times = self.next_times(horizon)
        if fitted_times is None or self.times is None or fitted_times.dtype.kind != self.times.dtype.kind:
            return times, 0
        # An earlier end than that of the fitted items does not shift the horizon.
        shift = int((self.times[-1] >= fitted_times).sum())
        if len(fitted_times) > 1:
            gap = fitted_times[-1] - fitted_times[-2]
            if shift == len(fitted_times):
                shift += int((self.times[-1] - fitted_times[-1]) // gap)
            if times is None and shift == 0 and fitted_times[0] - self.times[-1] < 2 * gap:
                times = fitted_times  # a single step has no rhythm, but ends where the fitted items do
        return times, shift


def infer_season_length(times: npt.NDArray[Any] | None) -> int:
    """Return the steps of a season from the median time between steps. 1 if unknown."""
    if times is None or times.dtype.kind != "M" or len(times) < 3:
        return 1
    hours = np.median(np.diff(times).astype("timedelta64[s]").astype(np.float64)) / 3600
    return next((season for low, high, season in _SEASONS if low <= hours <= high), 1)


def check_length(calendar: CalendarMatrix, ids: npt.NDArray[Any], horizon: int) -> None:
    """Raise if the past is too short for a backtest of this horizon."""
    n_steps = calendar.n_steps
    if n_steps < 3:
        raise InvalidDataError(
            f"The series cover {n_steps} steps; a forecast needs at least 3: two to learn from, and one to try it on. "
            f"Pass a longer past."
        )
    if n_steps < 2 * horizon:
        raise InvalidDataError(
            f"horizon={horizon} is too long: the series cover {n_steps} steps, and backtests need twice the horizon. "
            f"Ask for at most horizon={n_steps // 2}, or pass a longer past."
        )
    early = ~np.isnan(calendar.values[:, : n_steps - horizon]).all(axis=1)
    late = ~np.isnan(calendar.values[:, n_steps - horizon :]).all(axis=1)
    if (early & late).sum() < 2:
        raise InvalidDataError(
            f"Fewer than 2 series have values both before and within the last {horizon} steps (ids of some others: "
            f"{name_some(ids[~(early & late)])}), so there can be no backtest. Ask for a shorter horizon."
        )
