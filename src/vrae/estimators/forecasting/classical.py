"""Forecasts of one item by itself: the seasonal naive rule, and statsforecast's models."""

from __future__ import annotations

import numpy as np

from vrae.estimators.forecasting.windows import Floats, Windows
from vrae.optional import check_installed

__all__ = ["check_statsforecast", "intermittent_or_smoothed", "seasonal_naive"]

# Fewer observed steps than this say nothing about how to smooth.
_FEWEST = 4
# An item with more steps at zero than this share sells now and then.
_INTERMITTENT = 0.5


def check_statsforecast() -> None:
    """Raise if statsforecast is not installed."""
    otherwise = "Or leave it out: classical=False, --no-classical."
    check_installed("statsforecast", "forecast", "A classical forecast of each item", otherwise)


def seasonal_naive(windows: Windows, season: int) -> Floats:
    """Return the value of a season ago, (n, horizon), scaled; the item's level, 0, where it is not known."""
    n_context, horizon = windows.context.shape[1], windows.future.shape[1]
    if season > n_context:
        return np.zeros_like(windows.future)
    return np.nan_to_num(windows.context[:, n_context - season + np.arange(horizon) % season])


def intermittent_or_smoothed(windows: Windows) -> Floats:
    """Return level forecasts of each item by itself, (n, horizon), scaled.

    Exponential smoothing with the best parameter or, for items that sell now and then, ADIDA (Nikolopoulos et al.
    2011, demand summed over longer steps), both from statsforecast. Gaps are closed up; after fewer than 4 observed
    steps it is the item's level.
    """
    from statsforecast.models import ADIDA, SimpleExponentialSmoothingOptimized

    forecast = np.zeros_like(windows.future)
    zero = windows.scale.zero
    observed = ~np.isnan(windows.context)
    nothing = (np.abs(windows.context - zero[:, None]) < 1e-6) & observed
    now_and_then = nothing.sum(axis=1) > _INTERMITTENT * observed.sum(axis=1)
    smoothed, summed = SimpleExponentialSmoothingOptimized(), ADIDA()
    for row in np.flatnonzero(windows.age >= _FEWEST):  # one by one: these libraries know no panel of arrays
        series = windows.context[row, observed[row]]
        if now_and_then[row]:
            value = summed.forecast(series - zero[row], 1)["mean"][0] + zero[row]
        else:
            value = smoothed.forecast(series, 1)["mean"][0]
        forecast[row] = value if np.isfinite(value) else 0.0
    return forecast
