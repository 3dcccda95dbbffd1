"""Group the series of a panel into batches of similar length; scale, pad and mask each batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.data.arrays import Array
from vrae.data.panel import Ints, Panel
from vrae.data.scaling import Scaler
from vrae.data.timing import Timing

__all__ = ["Batch", "collate", "inference_batches", "training_batches"]

Indices = Ints

# Maximum number of padded steps in a batch. It bounds memory for series of any length.
_MAX_STEPS = 1 << 18

# Scaled values are clipped to this range, so that sums of their squares do not overflow float32.
_MAX_SCALED = 1e12


@dataclass(frozen=True)
class Batch:
    """A batch of series, scaled and padded. ``values * spread + level`` is in the user's units."""

    values: Tensor  # (batch, time, channel), clipped to ±1e12; 0, the mean, where not observed
    mask: Tensor  # (batch, time, channel): 1 if observed, 0 if missing or padding
    lengths: Tensor  # (batch,), before padding
    level: Tensor  # (batch, channel), float64
    spread: Tensor  # (batch, channel), float64
    indices: Indices  # (batch,): positions in the panel
    patterns: Tensor | None = None  # (batch, n_patterns): pattern statistics, if computed
    timing: Tensor | None = None  # (batch, n_timing): when each series is high; see `vrae.data.timing`
    visible: Tensor | None = None  # (batch, time, channel): 1 if the encoder sees it. None: all observed

    @property
    def scale(self) -> Tensor:
        """Level and spread, shape (batch, 2, channel), on the device of ``values``."""
        return torch.stack([self.level, self.spread], dim=1).to(self.values.device)

    def take(self, positions: Indices) -> Batch:
        """Return the series at these positions of the batch, padded to the longest of them."""
        chosen = torch.from_numpy(positions)
        longest = int(self.lengths[chosen].max())
        return Batch(
            values=self.values[chosen, :longest],
            mask=self.mask[chosen, :longest],
            lengths=self.lengths[chosen],
            level=self.level[chosen],
            spread=self.spread[chosen],
            indices=self.indices[positions],
            patterns=None if self.patterns is None else self.patterns[chosen],
            timing=None if self.timing is None else self.timing[chosen],
            visible=None if self.visible is None else self.visible[chosen, :longest],
        )


def collate(
    panel: Panel,
    indices: Indices,
    scaler: Scaler,
    device: torch.device,
    patterns: Tensor | None = None,
    hidden: npt.NDArray[np.bool_] | None = None,
) -> Batch:
    """Gather, scale and pad some series of a panel.

    ``patterns`` (n_series, n_patterns) are those of the whole panel. ``hidden`` (total_steps,)
    marks steps that the encoder must not see.
    """
    lengths = panel.lengths[indices]  # (batch,)
    time = np.arange(lengths.max())  # (time,)
    inside = time < lengths[:, None]  # (batch, time)
    steps = np.where(inside, panel.offsets[:-1][indices, None] + time, panel.offsets[indices, None])
    values = panel.values[steps]  # (batch, time, channel)
    observed = inside[:, :, None] & ~np.isnan(values)
    level, spread = scaler.statistics(values, observed)
    scaled = np.where(observed, (values - level[:, None]) / spread[:, None], 0.0).clip(-_MAX_SCALED, _MAX_SCALED)
    visible = None if hidden is None else observed & ~hidden[steps][:, :, None]
    timing = None
    if patterns is None and scaler.timing is not None:  # else it is part of the patterns
        timing = _timing(panel, steps, scaled, observed if visible is None else visible, scaler.timing)
    return Batch(
        values=torch.from_numpy(scaled.astype(np.float32)).to(device),
        mask=torch.from_numpy(observed.astype(np.float32)).to(device),
        lengths=torch.from_numpy(lengths).to(device),
        level=torch.from_numpy(level),
        spread=torch.from_numpy(spread),
        indices=indices,
        patterns=None if patterns is None else patterns[torch.from_numpy(indices)].to(device),
        timing=None if timing is None else timing.to(device),
        visible=None if visible is None else torch.from_numpy(visible.astype(np.float32)).to(device),
    )


def _timing(panel: Panel, steps: Ints, scaled: Array, observed: Array, timing: Timing) -> Tensor:
    """Return the timing profiles of series; zero, which is no timing, without time stamps."""
    if panel.times is None or panel.times.dtype.kind != "M":
        return torch.zeros(len(steps), timing.n_bins * scaled.shape[2])
    return torch.from_numpy(timing.profile(scaled, observed, panel.times[steps]))


def training_batches(lengths: Ints, indices: Indices, batch_size: int, rng: np.random.Generator) -> list[Indices]:
    """Split series into shuffled batches of similar length. ``lengths`` are those of the panel."""
    shuffled = rng.permutation(indices)
    # Lengths within 10 % of each other count as equal, so that batches differ between epochs.
    bucket = np.round(np.log(lengths[shuffled]) / 0.1)
    # Batches of equal size: a small last batch would give a noisy gradient.
    size = math.ceil(len(indices) / math.ceil(len(indices) / batch_size))
    batches = _split(shuffled[np.argsort(bucket, kind="stable")], lengths, size)
    return [batches[b] for b in rng.permutation(len(batches))]


def inference_batches(lengths: Ints, indices: Indices, batch_size: int) -> list[Indices]:
    """Split series, sorted by length, into batches."""
    return _split(indices[np.argsort(lengths[indices], kind="stable")], lengths, batch_size)


def _split(ordered: Indices, lengths: Ints, batch_size: int) -> list[Indices]:
    """Split indices into batches of at most `_MAX_STEPS` padded steps, or of one series."""
    batches, start = [], 0
    while start < len(ordered):
        candidates = ordered[start : start + batch_size]
        padded = np.maximum.accumulate(lengths[candidates]) * np.arange(1, len(candidates) + 1)
        size = max(1, int(np.searchsorted(padded, _MAX_STEPS, side="right")))
        batches.append(candidates[:size])
        start += size
    return batches
