"""Peers: simple rules, classical models of each item by itself, and one global LightGBM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# AutoETS has no season of more steps.
_LONGEST_ETS_SEASON = 24


def seasonal_naive(known: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Return the value of a season ago, or the last value if that is not known."""
    n_steps = known.shape[1]
    last = np.array([(s[~np.isnan(s)] if (~np.isnan(s)).any() else np.zeros(1))[-1] for s in known])
    then = n_steps - season + np.arange(horizon) % season
    ago = np.where(then >= 0, known[:, np.maximum(then, 0)], np.nan)
    return np.where(np.isnan(ago), last[:, None], ago)


def auto_ets(known: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Return statsforecast's AutoETS of each item.

    AutoETS supports no season beyond 24 steps, so weekly items have none. Items that are mostly 0
    have none either.
    """
    from statsforecast.models import AutoETS

    seasonal = AutoETS(season_length=season if season <= _LONGEST_ETS_SEASON else 1)
    plain = AutoETS(season_length=1)
    return _each(known, horizon, lambda series: plain if np.mean(series == 0) > 0.5 else seasonal)


def theta(known: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Return statsforecast's Theta of each item, with a season where two are known."""
    from statsforecast.models import Theta

    seasonal, plain = Theta(season_length=season), Theta(season_length=1)
    return _each(known, horizon, lambda series: seasonal if len(series) >= 2 * season else plain)


def mstl_ets(known: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Return statsforecast's MSTL with ETS of the rest. ETS where two seasons are not known."""
    from statsforecast.models import MSTL, AutoETS

    seasonal = MSTL(season_length=season, trend_forecaster=AutoETS(model="ZZN"))
    plain = AutoETS(season_length=1)
    return _each(known, horizon, lambda series: seasonal if len(series) >= 2 * season + 1 else plain)


def _each(known: np.ndarray, horizon: int, choose: Callable[[np.ndarray], Any]) -> np.ndarray:
    """Forecast each item with the model that ``choose`` gives for its observed values.

    Its mean is the forecast where the model fails, or where fewer than four values are known.
    """
    forecasts = np.zeros((len(known), horizon))
    for row, series in enumerate(known):
        series = series[~np.isnan(series)]
        forecasts[row] = series.mean() if len(series) else 0.0
        if len(series) >= 4 and np.ptp(series) > 0:
            try:
                found = choose(series).forecast(series, horizon)["mean"]
            except Exception:
                continue
            if np.isfinite(found).all():
                forecasts[row] = found
    return np.maximum(forecasts, 0.0)


def lightgbm(known: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Return mlforecast's recursive forecasts with one LightGBM for all items.

    Values are divided by the item's mean. Lags, rolling means, the item's age and the step of the
    season are its features.
    """
    import pandas as pd
    from lightgbm import LGBMRegressor
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import ExponentiallyWeightedMean, RollingMean

    n, n_steps = known.shape
    size = np.nanmean(np.abs(known), axis=1)
    size = np.where(np.nan_to_num(size) > 0, size, 1.0)
    first = np.where(~np.isnan(known).all(axis=1), np.argmax(~np.isnan(known), axis=1), n_steps)
    rows, steps = np.nonzero(np.arange(n_steps) >= first[:, None])
    values = np.nan_to_num(known)[rows, steps] / size[rows]
    table = pd.DataFrame({"unique_id": rows, "ds": steps, "y": values})
    # A season's lag is known for items of more than a season only; LightGBM takes missing values.
    lags = [*range(1, 9), 13] + ([season] if season > 1 and n_steps > season + 2 * horizon else [])
    forecaster = MLForecast(
        models=LGBMRegressor(n_estimators=300, learning_rate=0.05, num_leaves=31, verbose=-1, n_jobs=1, seed=0),
        freq=1,
        lags=sorted({lag for lag in lags if lag < n_steps - 1}),
        lag_transforms={
            1: [RollingMean(4, min_samples=1), RollingMean(13, min_samples=1), ExponentiallyWeightedMean(0.2)]
        },
        date_features=[_step_of_season(season)] if season > 1 else [],
    )
    forecaster.fit(table, static_features=[], dropna=False)
    predicted = forecaster.predict(horizon)
    found = np.zeros((n, horizon))
    found[np.unique(rows)] = predicted.sort_values(["unique_id", "ds"])["LGBMRegressor"].to_numpy().reshape(-1, horizon)
    return np.maximum(found * size[:, None], 0.0)


def _step_of_season(season: int) -> Callable[[Any], Any]:
    """Return a feature of the calendar for mlforecast."""

    def step_of_season(steps: Any) -> Any:
        return steps % season

    return step_of_season


PEERS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "seasonal naive": seasonal_naive,
    "ETS": auto_ets,
    "Theta": theta,
    "MSTL + ETS": mstl_ets,
    "LightGBM": lightgbm,
}
