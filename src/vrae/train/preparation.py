"""What is computed once from the training series, before the network exists."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.config import NetworkConfig
from vrae.data.batching import Batch, Indices, collate, inference_batches
from vrae.data.panel import Panel
from vrae.data.scaling import Scaler
from vrae.nn.linear import LinearPath
from vrae.nn.patterns import PatternStatistics
from vrae.runtime import torch_generator, work_threads
from vrae.train.axes import choose_size, fit_axes, size_curve
from vrae.train.inference import BATCH_SIZE, pattern_table

__all__ = ["TrainingData", "choose_latent_size", "fit_patterns", "sample_indices", "set_axes"]

# Upper bounds of the sample on which statistics of the training series are computed.
_SAMPLE_STEPS = 1 << 22
_SAMPLE_SERIES = 4096

# Draws kernels and thresholds. The same for every fit: statistics depend on the series alone, and
# results of different seeds differ less.
_PATTERN_SEED = 0

# Upper bounds of the sample from which principal axes are computed, and largest latent size tried.
_AXES_SERIES = 2048
_AXES_VALUES = 1 << 24
_LARGEST_SIZE = 32


@dataclass(frozen=True)
class TrainingData:
    """The series to learn from, prepared once."""

    panel: Panel
    indices: Indices  # series to learn from; the others are left out
    scaler: Scaler
    patterns: Tensor | None = None  # (n_series, n_patterns): pattern statistics of all series
    # (total_steps,): steps that the encoder must not see. The loss counts them, so the network
    # learns to complete series.
    hidden: npt.NDArray[np.bool_] | None = None

    @property
    def visible(self) -> Panel:
        """The panel as the encoder sees it: hidden steps are missing."""
        if self.hidden is None:
            return self.panel
        return self.panel.with_values(np.where(self.hidden[:, None], np.nan, self.panel.values))


def sample_indices(panel: Panel, indices: Indices) -> Indices:
    """Return an evenly spaced sample of ``indices``, of bounded size."""
    stride = max(len(indices) / _SAMPLE_SERIES, panel.lengths[indices].sum() / _SAMPLE_STEPS, 1.0)
    return indices[:: math.ceil(stride)]


def fit_patterns(
    config: NetworkConfig, panel: Panel, indices: Indices, scaler: Scaler, device: torch.device
) -> tuple[PatternStatistics, Tensor]:
    """Fit pattern statistics to a sample of series, and compute them for all.

    Patterns (n_series, n_patterns) are on the CPU, and zero outside ``indices``.
    """
    cpu = torch.device("cpu")
    statistics = PatternStatistics(config)
    parts = inference_batches(panel.lengths, sample_indices(panel, indices), BATCH_SIZE)
    batches = [collate(panel, part, scaler, cpu) for part in parts]
    scale = torch.cat([b.scale for b in batches])
    with work_threads(cpu, hidden_size=1):
        of_sample = statistics.fit(
            [(b.values, b.mask, b.lengths) for b in batches],
            scale,
            torch_generator(_PATTERN_SEED),
            torch.cat([b.timing for b in batches if b.timing is not None]) if scaler.timing else None,
        )
    sampled = np.concatenate(parts)
    rest = np.setdiff1d(indices, sampled, assume_unique=True)
    patterns = pattern_table(statistics.to(device), panel, rest, scaler, device)
    patterns[torch.from_numpy(sampled)] = of_sample
    return statistics, patterns


def choose_latent_size(panel: Panel, indices: Indices, scaler: Scaler) -> tuple[int, list[dict[str, float]]]:
    """Return a latent size for the series, and the curve from which it was chosen."""
    batch = _axes_sample(panel, indices, scaler)
    curve = size_curve(batch.values.double().numpy(), batch.mask.bool().numpy(), _LARGEST_SIZE)
    return choose_size(curve), curve


def set_axes(path: LinearPath, panel: Panel, indices: Indices, scaler: Scaler) -> None:
    """Set a linear path to the principal axes of the series."""
    batch = _axes_sample(panel, indices, scaler)
    x, mask = batch.values, batch.mask  # (series, time, channel)
    found = fit_axes(x.double().numpy(), mask.bool().numpy(), path.axes.shape[2])
    device = path.center.device
    path.cpu().set_axes(*(torch.from_numpy(np.ascontiguousarray(part)).float() for part in vars(found).values()))
    with torch.inference_mode():
        missed = (path.decode(path.encode(x, mask), x.shape[1]) - x) * mask
    path.left.fill_(max(float(missed.square().sum() / mask.sum()) ** 0.5, 1e-4))
    path.to(device)


def _axes_sample(panel: Panel, indices: Indices, scaler: Scaler) -> Batch:
    """Return evenly spaced series as one batch."""
    most = max(2, min(_AXES_SERIES, _AXES_VALUES // int(panel.lengths[indices].max() * panel.n_channels)))
    return collate(panel, indices[:: math.ceil(len(indices) / most)], scaler, torch.device("cpu"))
