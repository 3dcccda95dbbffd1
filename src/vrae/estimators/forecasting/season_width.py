"""How much harder this part of the year is to forecast than that of the backtests.

Intervals come from the errors of backtests. Where the horizon is a special part of the season, such
as the weeks before Christmas, errors are larger. Last season shows by how much.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.forecast_windows import windows_at
from vrae.estimators.forecasting.single_forecasts import RECENT, recent_level
from vrae.estimators.forecasting.stage import Stage

__all__ = ["season_width"]

Floats = npt.NDArray[np.float64]

# Quantile of the absolute errors that is compared.
_QUANTILE = 0.8
# Fewer items show nothing.
_MIN_ITEMS = 20
# Errors at as many steps before and after a step count for it too.
_AROUND = 2
# Highest factor.
_MAX_WIDTH = 2.0


def season_width(calendar: CalendarMatrix, origins: list[int], stage: Stage, seasonal_weight: float) -> Floats:
    """Return factors of the width of intervals, (horizon,): 1 where last season shows nothing.

    The errors of a simple forecast a season before the horizon, divided by those a season before
    the ``origins`` of the backtests. The simple forecast has ``seasonal_weight`` of the season that
    the forecasts know. Intervals are not narrowed for an easier part of the season.
    """
    plan = stage.plan
    then = calendar.n_steps - plan.season
    if plan.season < 2 * plan.horizon or then < RECENT:
        return np.ones(plan.horizon)
    now = _typical_errors(calendar, then, stage, seasonal_weight)
    before = [_typical_errors(calendar, origin - plan.season, stage, seasonal_weight) for origin in origins]
    known = [errors for errors in before if not np.isnan(errors).any()]
    if np.isnan(now).any() or not known:
        return np.ones(plan.horizon)
    ratio = np.log(np.maximum(now, 1e-9) / np.maximum(np.mean(known, axis=0), 1e-9))
    near = np.lib.stride_tricks.sliding_window_view(np.pad(ratio, _AROUND, mode="edge"), 2 * _AROUND + 1)
    return np.asarray(np.clip(np.exp(near.mean(axis=1)), 1.0, _MAX_WIDTH))


def _typical_errors(calendar: CalendarMatrix, origin: int, stage: Stage, seasonal_weight: float) -> Floats:
    """Return a high quantile of the absolute errors at each step, (horizon,). NaN if unknown."""
    plan, errors = stage.plan, np.full(stage.plan.horizon, np.nan)
    if origin < RECENT:
        return errors
    windows = windows_at(calendar, origin, plan, stage.variation)
    windows = windows.select(np.flatnonzero(windows.known() & (windows.age >= RECENT)))
    if len(windows) < _MIN_ITEMS:
        return errors
    forecast = recent_level(windows)
    if stage.courses is not None and seasonal_weight:
        course = stage.courses.later(origin - calendar.n_steps).courses(windows)
        recent = course[:, np.arange(-RECENT, 0) % plan.season].mean(axis=1, keepdims=True)
        forecast = forecast + seasonal_weight * (course[:, np.arange(plan.horizon) % plan.season] - recent)
    sizes = np.abs(windows.future - forecast)
    for step in range(plan.horizon):
        known = sizes[~np.isnan(sizes[:, step]), step]
        if len(known) >= _MIN_ITEMS:
            errors[step] = np.quantile(known, _QUANTILE)
    return errors
