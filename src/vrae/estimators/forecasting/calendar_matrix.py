"""Items on one calendar: a matrix of items by time steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import Calendar, time_text
from vrae.data.panel import Panel
from vrae.data.regularity import find_calendar
from vrae.estimators.forecasting.categories import static_columns
from vrae.estimators.forecasting.open_steps import OpenSteps, date_notes
from vrae.estimators.forecasting.season_search import find_season
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, name_some, warn

__all__ = ["CalendarMatrix", "check_length", "infer_season_length", "season_of"]

Floats = npt.NDArray[np.float64]

# Clocks of zones end with the year 9999, in every zone less than two days later or earlier.
_END_OF_CLOCKS = np.datetime64("9999-12-30")

# An item that has had no value for more steps than this, and than the horizon, has ended.
_ENDED = 8
# If this many items were introduced while the calendar ran, they show what new items do.
_MIN_INTRODUCTIONS = 100
# Lowest and highest number of hours between steps, and steps of a season.
_SEASONS = (
    (0.5, 0.5, 48),  # half-hours
    (1, 1, 24),  # hours
    (24, 24, 7),  # days
    (33.6, 33.6, 5),  # business days
    (168, 168, 52),  # weeks
    (24 * 15, 24 * 16, 24),  # half-months
    (24 * 28, 24 * 31, 12),  # months
    (24 * 89, 24 * 92, 4),  # quarters
)


@dataclass(frozen=True)
class CalendarMatrix:
    """Values of items on one calendar. It lacks steps that never occur, such as Sundays."""

    values: Floats  # (n_items, n_steps), NaN before an item's introduction, in gaps, and after its end
    times: npt.NDArray[Any] | None = None  # (n_steps,)
    calendar: Calendar | None = None
    open_steps: OpenSteps | None = None  # None: all
    static: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)  # (n_items,) each, text or None
    fill: float | None = None  # value of steps without a row

    @classmethod
    def from_panel(
        cls,
        panel: Panel,
        max_steps: int,
        fitted: Calendar | None = None,
        open_steps: OpenSteps | Literal["find"] | None = "find",
    ) -> CalendarMatrix:
        """Align series by their time stamps, or at their ends if they have none.

        Only the last ``max_steps`` are kept. Series without a regular step of their own have that
        of the calendar ``fitted``, if their times are steps of it. Steps that are not
        ``open_steps`` are left out; by default, those that never occur.
        """
        if panel.n_channels != 1:
            raise InvalidDataError(
                f"Forecasts need one channel. Found {panel.n_channels} channels: "
                f"{', '.join(panel.channels)}. Name the one to forecast with value=."
            )
        item = np.repeat(np.arange(len(panel)), panel.lengths)
        calendar = _calendar_of(panel, fitted)
        if panel.times is None:
            times, n_steps = None, int(panel.lengths.max())
            step = n_steps - np.repeat(panel.offsets[1:], panel.lengths) + np.arange(len(item))
        elif calendar is None:
            times, step = np.unique(panel.times, return_inverse=True)
            n_steps = len(times)
        else:
            cells = calendar.cells(panel.times)
            step, n_steps = cells - cells.min(), int(np.ptp(cells)) + 1
            times = calendar.times(np.arange(cells.min(), cells.max() + 1), panel.times)
        kept, fill = np.ones(n_steps, bool), panel.reading.fill if panel.reading else None
        if times is None or calendar is None or times.dtype.kind != "M":
            open_steps = None
        elif open_steps == "find":
            observed = np.bincount(step, _had_row(panel.values[:, 0], fill), n_steps) > 0
            open_steps = OpenSteps.find(calendar, times, observed)
        if open_steps is not None and times is not None and calendar is not None:
            kept = open_steps.are_open(times, calendar)
            _say_closed(_had_row(panel.values[~kept[step], 0], fill))
            times, n_steps = times[kept], int(kept.sum())
        first = max(0, n_steps - max_steps)
        position = np.cumsum(kept) - 1 - first
        recent = kept[step] & (position[step] >= 0)
        values = np.full((len(panel), n_steps - first), np.nan)
        values[item[recent], position[step[recent]]] = panel.values[recent, 0]
        times = None if times is None else times[first:]
        return cls(values, times, calendar, open_steps, static_columns(panel), fill)

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
        times = None if self.times is None else self.times[:n_steps]
        return replace(self, values=self.values[:, :n_steps], times=times)

    def next_times(self, horizon: int) -> npt.NDArray[Any] | None:
        """Return the next time stamps, (horizon,), or None without a regular step.

        Clocks of zones end with the year 9999: there are no later ones.
        """
        if self.times is None or self.calendar is None:
            return None
        if self.calendar.zone is not None:
            left = (_END_OF_CLOCKS - self.times[-1]) / np.timedelta64(1, "h")
            if left < (horizon + 1) * self.calendar.hours:
                warn(
                    f"Forecasts have no times, since they would go beyond the year 9999: the last time of the series "
                    f"is {self.times[-1]}. Correct it if it is wrong.",
                    DataWarning,
                )
                return None
        if self.open_steps is not None:
            return self.open_steps.after(self.times[-1], horizon, self.calendar)
        return self.calendar.after(self.times[-1], horizon)

    def notes(self, ids: npt.NDArray[Any], horizon: int) -> list[str]:
        """Return what a reader of the forecasts of the items ``ids`` should know."""
        return self.date_notes(ids) + self.ended_notes(ids, horizon)

    def date_notes(self, ids: npt.NDArray[Any]) -> list[str]:
        """Return what a reader of `next_times` should know of the dates of the items ``ids``."""
        if self.times is None or not (self.times.dtype.kind == "M" or self.calendar is None):
            return []
        if self.calendar is None:
            return [
                "The forecasts have steps but no times, since the times of the series follow no regular step. Pass "
                "freq= to put them on one."
            ]
        return date_notes(_had_row(self.values, self.fill), self.times, self.calendar, ids)

    def ended_notes(self, ids: npt.NDArray[Any], horizon: int) -> list[str]:
        """Say which of the items ``ids`` ended long ago, since forecasts keep their old level."""
        if self.times is None or not self.n_steps:
            return []
        observed = ~np.isnan(self.values)
        last = self.n_steps - 1 - observed[:, ::-1].argmax(axis=1)
        ended = observed.any(axis=1) & (self.n_steps - 1 - last > max(horizon, _ENDED))
        if not ended.any():
            return []
        zone = None if self.calendar is None else self.calendar.zone
        n, time = int(ended.sum()), time_text(self.times[last[ended].max()], zone)
        hint = " Pass fill=0 if no row means no sales, or leave" if self.fill is None else " Leave"
        return [
            f"{n:,} item{'s have' if n > 1 else ' has'} no value after {time}{' or earlier' * (n > 1)} "
            f"({name_some(ids[ended])}), and the forecasts go on at {'their' if n > 1 else 'its'} old level.{hint} out "
            f"what is no longer sold."
        ]

    def horizon_after(self, horizon: int, fitted_times: npt.NDArray[Any] | None) -> tuple[npt.NDArray[Any] | None, int]:
        """Return the next time stamps, and by how many steps they are later than the fitted ones.

        ``fitted_times`` (horizon,) follow the calendar of the fitted items.
        """
        times = self.next_times(horizon)
        if fitted_times is None or times is None or (fitted_times.dtype.kind == "M") != (times.dtype.kind == "M"):
            return times, 0
        assert self.calendar is not None
        start, end = self.calendar.cells(np.array([fitted_times[0], times[0]], times.dtype))
        if self.open_steps is None or end == start:
            return times, int(end - start)
        between = self.calendar.times(np.arange(min(start, end), max(start, end)), times)
        n_open = int(self.open_steps.are_open(between, self.calendar).sum())
        return times, n_open if end > start else -n_open


def _calendar_of(panel: Panel, fitted: Calendar | None) -> Calendar | None:
    """Return the calendar of a panel with time stamps, if it has a regular step."""
    if panel.times is None:
        return None
    if panel.calendar is not None and panel.calendar.freq is not None:
        return panel.calendar
    if fitted is None or fitted.freq is None or isinstance(fitted.freq, str) != (panel.times.dtype.kind == "M"):
        zone = panel.zone
        found = find_calendar(np.repeat(np.arange(len(panel)), panel.lengths), panel.times, zone, True).calendar
        return None if found.freq is None else found
    return fitted if fitted.is_met_by(panel.times) else None


def season_of(calendar: CalendarMatrix, season_length: int | Literal["auto"]) -> int:
    """Return the season that a user gives in steps of the matrix, which lacks closed ones."""
    if season_length == "auto":
        return infer_season_length(calendar)
    season = season_length if calendar.open_steps is None else calendar.open_steps.count(season_length)
    if season > calendar.n_steps:
        raise InvalidParameterError(
            f"season_length={season_length} is longer than the series, which cover {calendar.n_steps} steps: no season "
            f"can be learned. Pass season_length=1 for none, or a longer past."
        )
    if season == season_length:
        return season
    warn(
        f"season_length={season_length} counts days or hours on which no series has a value. Forecasts skip them, so "
        f"{season} is taken.",
        DataWarning,
    )
    return season


def _had_row(values: npt.NDArray[Any], fill: float | None) -> npt.NDArray[np.bool_]:
    """Return which values are from a row of the table: neither missing nor filled."""
    known = ~np.isnan(values)
    return known if fill is None else known & (values != fill)


def _say_closed(had_row: npt.NDArray[np.bool_]) -> None:
    """Warn of values at steps that did not occur when the forecaster was fitted."""
    if left_out := int(had_row.sum()):
        warn(
            f"{left_out:,} values are on days or at hours at which the series of the model have none, so they were "
            f"left out. Fit again with these series.",
            DataWarning,
        )


def infer_season_length(calendar: CalendarMatrix) -> int:
    """Return the steps of a season from the time between steps. 1 if unknown.

    Without dates, the season is looked for in the values.
    """
    if calendar.times is not None and calendar.calendar is None:
        return 1  # no regular step
    if calendar.calendar is None or not isinstance(calendar.calendar.freq, str):
        season = find_season(calendar.values)
        if season > 1:
            warn(
                f"The series have no dates. Their values repeat every {season} steps, which is taken as the season. "
                f"Pass season_length={season} if that is right, or season_length=1 for none.",
                DataWarning,
            )
        return season
    if calendar.open_steps is not None:
        return calendar.open_steps.season
    hours = calendar.calendar.hours
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
