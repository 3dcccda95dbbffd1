"""A VRAE that completes windows: it sees the context, and reconstructs the future too."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import torch

from vrae.data.batching import Batch
from vrae.estimators.forecasting.forecast_windows import ForecastWindows
from vrae.estimators.head import clone_model
from vrae.estimators.vrae import VRAE
from vrae.exceptions import PosteriorCollapseWarning
from vrae.runtime import work_threads

__all__ = ["decode_future", "encode_contexts", "fit_completion"]

Floats = npt.NDArray[np.float64]

# Latent vectors per batch of the decoder.
_BATCH_SIZE = 4096


def fit_completion(model: VRAE, windows: ForecastWindows) -> VRAE:
    """Fit a clone of a model to windows. The encoder sees the contexts alone.

    A posterior collapse causes no warning: if items have nothing in common, backtests choose one
    group, and give the completion a small weight.
    """
    n_context, horizon = windows.context.shape[1], windows.future.shape[1]
    hidden = np.tile(np.arange(n_context + horizon) >= n_context, len(windows))
    panel = windows.panel(with_future=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        return clone_model(model).fit_panel(panel, np.arange(len(panel)), hidden=hidden)


def encode_contexts(model: VRAE, windows: ForecastWindows) -> tuple[Floats, Floats]:
    """Return mean and variance, each (n, latent), of the latent vectors given the contexts."""
    panel, network = windows.panel(), model.network_
    mean = np.zeros((len(panel), network.config.latent_size))
    variance = np.ones_like(mean)

    def encode(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return network.encode(batch.values, batch.mask, batch.lengths, batch.patterns)

    for batch, (z, log_variance) in model.inference_.batches(panel, np.arange(len(panel)), encode):
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
