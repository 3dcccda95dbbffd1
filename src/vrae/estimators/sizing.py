"""The latent size that series call for, and the axes of the linear path: a sample of a panel in, `axes` asked."""

from __future__ import annotations

import math

import numpy as np
import torch

from vrae.data.batching import Batch, Rows, collate
from vrae.data.panel import Panel
from vrae.data.scaling import Scaler
from vrae.estimators.axes import choose_size, fit_axes, size_curve
from vrae.nn.linear import LinearPath

__all__ = ["choose_latent_size", "set_axes"]

# Series, and values of them with their padding, from which axes are worked out; most dimensions that are tried.
_SERIES = 2048
_VALUES = 1 << 24
_LARGEST_SIZE = 32


def choose_latent_size(panel: Panel, rows: Rows, scaler: Scaler) -> tuple[int, list[dict[str, float]]]:
    """Return a latent size for the series at ``rows``, and the curve that it was chosen by."""
    batch = _sample(panel, rows, scaler)
    curve = size_curve(batch.values.double().numpy(), batch.mask.bool().numpy(), _LARGEST_SIZE)
    return choose_size(curve), curve


def set_axes(path: LinearPath, panel: Panel, rows: Rows, scaler: Scaler) -> None:
    """Give a linear path the axes of the series at ``rows``."""
    batch = _sample(panel, rows, scaler)
    x, mask = batch.values, batch.mask  # (series, time, channel)
    found = fit_axes(x.double().numpy(), mask.bool().numpy(), path.axes.shape[2])
    device = path.center.device
    path.cpu().set_axes(*(torch.from_numpy(np.ascontiguousarray(part)).float() for part in vars(found).values()))
    with torch.inference_mode():
        missed = (path.decode(path.encode(x, mask), x.shape[1]) - x) * mask
    path.left.fill_(max(float(missed.square().sum() / mask.sum()) ** 0.5, 1e-4))
    path.to(device)


def _sample(panel: Panel, rows: Rows, scaler: Scaler) -> Batch:
    """Return evenly spaced series as one batch."""
    most = max(2, min(_SERIES, _VALUES // int(panel.lengths[rows].max() * panel.n_channels)))
    return collate(panel, rows[:: math.ceil(len(rows) / most)], scaler, torch.device("cpu"))
