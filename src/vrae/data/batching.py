"""Cut a panel into batches of series of about the same length; pad, scale and mask them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.data.panel import Panel
from vrae.data.scaling import Scaler

__all__ = ["Batch", "collate", "inference_rows", "training_rows"]

Rows = npt.NDArray[np.int64]

# Padded steps of one batch, so that memory stays bounded whatever the lengths.
_MAX_STEPS = 1 << 18

# Scaled values beyond this are cut: their squares, summed over a series, are still far from the end of float32.
_LARGEST = 1e12


@dataclass(frozen=True)
class Batch:
    """Some series of a panel, scaled and padded.

    Attributes
    ----------
    values : Tensor, shape (batch, time, channel)
        Scaled, and at most 1e12 from 0; 0, the mean, where not observed.
    mask : Tensor of float, same shape
        1 where observed, 0 where missing or beyond the end.
    lengths : Tensor of int64, shape (batch,)
    level, spread : Tensor of float64, shape (batch, channel)
        ``values * spread + level`` is in the user's units.
    rows : ndarray of int64, shape (batch,)
        Where the series stand in the panel.
    patterns : Tensor of shape (batch, n_patterns), or None
        Statistics of the series' local patterns, where they are known already.
    seen : Tensor of float, shape (batch, time, channel), or None
        1 for what the encoder may see, where that is not all that was observed.
    """

    values: Tensor
    mask: Tensor
    lengths: Tensor
    level: Tensor
    spread: Tensor
    rows: Rows
    patterns: Tensor | None = None
    seen: Tensor | None = None

    @property
    def scale(self) -> Tensor:
        """Level and spread, (batch, 2, channel), on the device of the values."""
        return torch.stack([self.level, self.spread], dim=1).to(self.values.device)

    def take(self, places: Rows) -> Batch:
        """Return the series at some places of the batch, padded to the longest of them."""
        chosen = torch.from_numpy(places)
        longest = int(self.lengths[chosen].max())
        return Batch(
            values=self.values[chosen, :longest],
            mask=self.mask[chosen, :longest],
            lengths=self.lengths[chosen],
            level=self.level[chosen],
            spread=self.spread[chosen],
            rows=self.rows[places],
            patterns=None if self.patterns is None else self.patterns[chosen],
            seen=None if self.seen is None else self.seen[chosen, :longest],
        )


def collate(
    panel: Panel,
    rows: Rows,
    scaler: Scaler,
    device: torch.device,
    patterns: Tensor | None = None,
    hidden: npt.NDArray[np.bool_] | None = None,
) -> Batch:
    """Gather, scale and pad the series at ``rows``.

    ``patterns``, if any, has a row for each of the panel's series; ``hidden`` marks, for each of its steps, those
    that the encoder may not see.
    """
    lengths = panel.lengths[rows]  # (batch,)
    time = np.arange(lengths.max())  # (time,)
    inside = time < lengths[:, None]  # (batch, time)
    steps = np.where(inside, panel.offsets[:-1][rows, None] + time, panel.offsets[rows, None])
    values = panel.values[steps]  # (batch, time, channel)
    observed = inside[:, :, None] & ~np.isnan(values)
    level, spread = scaler.statistics(values, observed)
    scaled = np.where(observed, (values - level[:, None]) / spread[:, None], 0.0).clip(-_LARGEST, _LARGEST)
    seen = None if hidden is None else observed & ~hidden[steps][:, :, None]
    return Batch(
        values=torch.from_numpy(scaled.astype(np.float32)).to(device),
        mask=torch.from_numpy(observed.astype(np.float32)).to(device),
        lengths=torch.from_numpy(lengths).to(device),
        level=torch.from_numpy(level),
        spread=torch.from_numpy(spread),
        rows=rows,
        patterns=None if patterns is None else patterns[torch.from_numpy(rows)].to(device),
        seen=None if seen is None else torch.from_numpy(seen.astype(np.float32)).to(device),
    )


def training_rows(lengths: npt.NDArray[np.int64], rows: Rows, batch_size: int, rng: np.random.Generator) -> list[Rows]:
    """Cut all ``rows``, shuffled, into batches whose series are of about the same length."""
    shuffled = rng.permutation(rows)
    # Lengths within a tenth of each other count as equal, so that company changes from epoch to epoch.
    bucket = np.round(np.log(lengths[shuffled]) / 0.1)
    # Batches of equal size, rather than full ones and a rest: one series alone makes a poor step.
    size = math.ceil(len(rows) / math.ceil(len(rows) / batch_size))
    batches = _cut(shuffled[np.argsort(bucket, kind="stable")], lengths, size)
    return [batches[b] for b in rng.permutation(len(batches))]


def inference_rows(lengths: npt.NDArray[np.int64], rows: Rows, batch_size: int) -> list[Rows]:
    """Cut all ``rows``, by length, into batches."""
    return _cut(rows[np.argsort(lengths[rows], kind="stable")], lengths, batch_size)


def _cut(ordered: Rows, lengths: npt.NDArray[np.int64], batch_size: int) -> list[Rows]:
    """Cut rows into batches of at most ``batch_size`` series and ``_MAX_STEPS`` padded steps.

    A single series longer than that is a batch of its own.
    """
    batches = []
    start = 0
    while start < len(ordered):
        ahead = ordered[start : start + batch_size]
        padded = np.maximum.accumulate(lengths[ahead]) * np.arange(1, len(ahead) + 1)
        size = max(1, int(np.searchsorted(padded, _MAX_STEPS, side="right")))
        batches.append(ahead[:size])
        start += size
    return batches
