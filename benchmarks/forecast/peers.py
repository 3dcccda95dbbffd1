"""Peers: the seasonal naive rule, and exponential smoothing of each item by itself."""

from __future__ import annotations

import numpy as np


def seasonal_naive(known: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Return the value of a season ago, or the last value if that is not known."""
    n_steps = known.shape[1]
    last = np.array([(s[~np.isnan(s)] if (~np.isnan(s)).any() else np.zeros(1))[-1] for s in known])
    then = n_steps - season + np.arange(horizon) % season
    ago = np.where(then >= 0, known[:, np.maximum(then, 0)], np.nan)
    return np.where(np.isnan(ago), last[:, None], ago)


def auto_ets(known: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Return statsforecast's AutoETS of each item, or its mean if that fails or is impossible.

    AutoETS supports no season beyond 24 steps, so weekly items have none. Items that are mostly 0
    have none either. An item with fewer than four values gets its mean.
    """
    from statsforecast.models import AutoETS

    sparse = np.nanmean(known == 0) > 0.5
    model = AutoETS(season_length=1 if season > 24 or sparse else season)
    forecasts = np.zeros((len(known), horizon))
    for row, series in enumerate(known):
        series = series[~np.isnan(series)]
        forecasts[row] = series.mean() if len(series) else 0.0
        if len(series) >= 4 and np.ptp(series) > 0:
            try:
                found = model.forecast(series, horizon)["mean"]
            except Exception:
                continue
            if np.isfinite(found).all():
                forecasts[row] = found
    return np.maximum(forecasts, 0.0)
