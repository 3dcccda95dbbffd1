"""Forecasts of each item by itself: the seasonal naive rule, and statsforecast's models."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.forecast_windows import ForecastWindows
from vrae.exceptions import check_installed

__all__ = ["check_statsforecast", "seasonal_naive", "smoothed_level"]

Floats = npt.NDArray[np.float64]

# Smoothing needs at least this many observed steps.
_MIN_STEPS = 4
# Demand is intermittent if more than this fraction of the steps is zero.
_INTERMITTENT = 0.5


def check_statsforecast() -> None:
    """Raise a MissingDependencyError if statsforecast is not installed."""
    otherwise = "Or leave it out: classical=False, --no-classical."
    check_installed("statsforecast", "forecast", "A classical forecast of each item", otherwise)


def seasonal_naive(windows: ForecastWindows, season: int) -> Floats:
    """Return the scaled values of a season ago, (n, horizon). 0, the item's level, if not known."""
    n_context, horizon = windows.context.shape[1], windows.future.shape[1]
    if season > n_context:
        return np.zeros_like(windows.future)
    return np.nan_to_num(windows.context[:, n_context - season + np.arange(horizon) % season])


def smoothed_level(windows: ForecastWindows) -> Floats:
    """Return constant forecasts from statsforecast's models.

    Exponential smoothing with the best parameter, or ADIDA (Nikolopoulos et al. 2011, demand
    aggregated over longer steps) for intermittent demand. Gaps are closed up.

    Returns
    -------
    ndarray of float64, shape (n, horizon)
        Scaled. 0, the item's level, for an item with fewer than 4 observed steps.
    """
    from statsforecast.models import ADIDA, SimpleExponentialSmoothingOptimized

    forecast = np.zeros_like(windows.future)
    zero = windows.scale.zero
    observed = ~np.isnan(windows.context)
    is_zero = (np.abs(windows.context - zero[:, None]) < 1e-6) & observed
    intermittent = is_zero.sum(axis=1) > _INTERMITTENT * observed.sum(axis=1)
    smoothing, adida = SimpleExponentialSmoothingOptimized(), ADIDA()
    for i in np.flatnonzero(windows.age >= _MIN_STEPS):  # the models take one series each
        series = windows.context[i, observed[i]]
        if intermittent[i]:
            value = adida.forecast(series - zero[i], 1)["mean"][0] + zero[i]
        else:
            value = smoothing.forecast(series, 1)["mean"][0]
        forecast[i] = value if np.isfinite(value) else 0.0
    return forecast
