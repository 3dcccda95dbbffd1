"""Forecasts of each item by itself: seasonal naive, statsforecast's models, and the network's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from vrae.estimators.forecasting.forecast_windows import INTERMITTENT, ForecastWindows, observed_mean
from vrae.estimators.forecasting.plan import new_until
from vrae.estimators.head import clone_model
from vrae.estimators.vrae import VRAE
from vrae.exceptions import PosteriorCollapseWarning, check_installed, unsaid
from vrae.runtime import work_threads

__all__ = [
    "RECENT",
    "check_statsforecast",
    "decode_future",
    "encode_contexts",
    "fit_completion",
    "recent_level",
    "seasonal_naive",
    "smoothing",
]

Floats = npt.NDArray[np.float64]

# Smoothing needs at least this many observed steps.
_MIN_STEPS = 4
# Steps of a recent level.
RECENT = 8
# Latent vectors per batch of the decoder.
_BATCH_SIZE = 4096


def check_statsforecast() -> None:
    """Raise a MissingDependencyError if statsforecast is not installed."""
    otherwise = "Or leave it out: classical=False, --no-classical."
    check_installed("statsforecast", "forecast", "A classical forecast of each item", otherwise)


def seasonal_naive(windows: ForecastWindows, season: int, level: Floats) -> Floats:
    """Return the scaled values of a season ago, (n, horizon). The level if not known."""
    is_new = windows.age <= new_until(windows.context.shape[1])
    return np.where(is_new[:, None], level, np.nan_to_num(windows.a_season_ago(season)))


def recent_level(windows: ForecastWindows) -> Floats:
    """Return the mean of the last steps, (n, horizon): the level without statsforecast."""
    mean = np.nan_to_num(observed_mean(windows.context[:, -RECENT:]))
    return np.broadcast_to(mean[:, None], windows.future.shape)


def smoothing(windows: ForecastWindows) -> Floats:
    """Return constant scaled forecasts (n, horizon) from statsforecast's models.

    Exponential smoothing with the best parameter, or ADIDA (Nikolopoulos et al. 2011, demand
    aggregated over longer steps) for intermittent demand. Gaps are closed up. 0, the item's level,
    for an item with fewer than 4 observed steps.
    """
    from statsforecast.models import ADIDA, SimpleExponentialSmoothingOptimized

    forecast = np.zeros_like(windows.future)
    zero, intermittent = windows.scale.zero, windows.zero_share > INTERMITTENT
    exponential, adida = SimpleExponentialSmoothingOptimized(), ADIDA()
    for i in np.flatnonzero(windows.age >= _MIN_STEPS):  # the models take one series each
        series = windows.context[i][~np.isnan(windows.context[i])]
        if intermittent[i]:
            value = adida.forecast(series - zero[i], 1)["mean"][0] + zero[i]
        else:
            value = exponential.forecast(series, 1)["mean"][0]
        forecast[i] = value if np.isfinite(value) else 0.0
    return forecast


# -------------------------------------------------------------------- completion


def fit_completion(model: VRAE, windows: ForecastWindows) -> VRAE:
    """Fit a clone of a model to windows. The encoder sees the contexts alone.

    A posterior collapse causes no warning: if items have nothing in common, backtests choose one
    group, and give the completion a small weight.
    """
    n_context, horizon = windows.context.shape[1], windows.future.shape[1]
    hidden = np.tile(np.arange(n_context + horizon) >= n_context, len(windows))
    panel = windows.panel(with_future=True)
    with unsaid(PosteriorCollapseWarning):
        return clone_model(model).fit_panel(panel, np.arange(len(panel)), hidden=hidden)


def encode_contexts(model: VRAE, windows: ForecastWindows) -> tuple[Floats, Floats]:
    """Return mean and variance, each (n, latent), of the latent vectors given the contexts."""
    panel = windows.panel()
    mean = np.zeros((len(panel), model.network_.config.latent_size))
    variance = np.ones_like(mean)
    inference = model.inference_
    for batch, (z, log_variance) in inference.batches(panel, np.arange(len(panel)), inference.encode):
        mean[batch.indices] = z.double().cpu().numpy()
        variance[batch.indices] = log_variance.double().exp().cpu().numpy()
    return mean, variance


def decode_future(model: VRAE, Z: Floats, n_context: int, horizon: int) -> Floats:
    """Return the future (n, horizon) that latent vectors (n, latent) decode to."""
    network, device = model.network_, model.inference_.device
    future = np.empty((len(Z), horizon))
    with work_threads(device, network.config.hidden_size), torch.inference_mode():
        for start in range(0, len(Z), _BATCH_SIZE):
            part = torch.from_numpy(Z[start : start + _BATCH_SIZE].astype(np.float32)).to(device)
            decoded = network.decode(part, n_context + horizon)[:, n_context:, 0]  # (batch, horizon)
            future[start : start + _BATCH_SIZE] = decoded.double().cpu().numpy()
    return future
