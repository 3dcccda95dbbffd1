"""`vrae.data.scaling.Scaler` as tensor operations, for an exported graph.

The scaler works on arrays. These modules give the same result for a padded batch of tensors. A test
compares them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vrae.data.scaling import CONSTANT, IQR_OF_NORMAL, Scaler
from vrae.nn.views import observed_around

__all__ = ["observed_steps", "scaling_module", "without_level_ends"]


def observed_steps(values: Tensor, lengths: Tensor) -> Tensor:
    """Return which values (batch, time, channel) are observed: not NaN, and before the end."""
    time = torch.arange(values.shape[1], device=values.device)
    return (time < lengths[:, None])[:, :, None] & ~values.isnan()


def without_level_ends(values: Tensor, observed: Tensor, lengths: Tensor) -> Tensor:
    """Treat all but one of the equal values at either end as missing; see `hide_level_ends`."""
    n_steps = values.shape[1]
    time = torch.arange(n_steps, device=values.device)
    following = torch.cat([values[:, 1:], values[:, -1:]], dim=1)
    moves = (values != following).any(dim=2) & (time < lengths[:, None] - 1)  # (batch, time): the next step differs
    first = torch.where(moves, time, n_steps).amin(dim=1, keepdim=True)  # (batch, 1)
    last = torch.where(moves, time, -1).amax(dim=1, keepdim=True)
    moving = ((time >= first) & (time <= last + 1)) | (last < 0)  # a constant series is left unchanged
    return observed & moving[:, :, None]


def scaling_module(scaler: Scaler) -> nn.Module:
    """Return the module that computes level and spread, each (batch, channel), for a scaler."""
    if scaler.scaling is None:
        return _Identity()
    if scaler.scaling == "channel":
        return _Learned(scaler)
    return _Robust() if scaler.scaling == "robust" else _OfSeries(scaler)


class _Identity(nn.Module):
    def forward(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        level = torch.zeros_like(values[:, 0]).double()  # (batch, channel)
        return level, torch.ones_like(level)


class _Learned(nn.Module):
    """Level and spread of each channel over all training series."""

    def __init__(self, scaler: Scaler) -> None:
        super().__init__()
        self.level: Tensor
        self.spread: Tensor
        self.register_buffer("level", torch.as_tensor(scaler.level, dtype=torch.float64))  # (channel,)
        self.register_buffer("spread", torch.as_tensor(scaler.spread, dtype=torch.float64))

    def forward(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        zeros = torch.zeros_like(values[:, 0]).double()  # (batch, channel)
        return zeros + self.level, zeros + self.spread


class _OfSeries(nn.Module):
    """Mean and deviation of each series. A value next to a gap stands for half of it."""

    def __init__(self, scaler: Scaler) -> None:
        super().__init__()
        self.common = _Learned(scaler) if scaler.level is not None else None
        self.bridges_gaps = scaler.bridges_gaps

    def forward(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        weights = _represented_steps(observed) if self.bridges_gaps else observed.double()  # (batch, time, channel)
        values = torch.where(observed, values, 0.0).double()
        if self.common is None:
            return _mean_and_deviation(values, weights, over=(1,))
        alike = (values - self.common.level) / self.common.spread
        level, spread = _mean_and_deviation(alike, weights, over=(1, 2))  # (batch, 1)
        return self.common.level + self.common.spread * level, self.common.spread * spread


class _Robust(nn.Module):
    """Median and interquartile range of each series and channel."""

    def forward(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        values = values.double()
        ordered = torch.where(observed, values, torch.inf).sort(dim=1).values  # observed values first
        count = observed.sum(dim=1)  # (batch, channel)
        low, level, high = (_quantile(ordered, count, q) for q in (0.25, 0.5, 0.75))
        spread = (high - low) / IQR_OF_NORMAL
        departures = torch.where(observed, (values - level[:, None]).abs(), 0.0)
        mean_departure = departures.sum(dim=1) / count.clamp(min=1)
        spread = torch.where(spread > CONSTANT * level.abs(), spread, mean_departure)
        return level, _safe(spread, level)


def _quantile(ordered: Tensor, count: Tensor, q: float) -> Tensor:
    """Return an interpolated quantile of the first ``count`` (batch, channel) of sorted values."""
    place = (q * (count - 1).clamp(min=0).double())[:, None]  # (batch, 1, channel)
    below = place.floor().long()
    above = torch.minimum(below + 1, (count - 1).clamp(min=0)[:, None])
    low, high = ordered.gather(1, below), ordered.gather(1, above)
    found = (low + (place - below.double()) * (high - low))[:, 0]  # (batch, channel)
    return torch.where(count > 0, found, 0.0)


def _mean_and_deviation(values: Tensor, weights: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    total = weights.sum(dim=over, keepdim=True).clamp(min=1)
    level = (values * weights).sum(dim=over, keepdim=True) / total
    squares = ((values - level) * (values - level) * weights).sum(dim=over, keepdim=True) / total
    level, spread = level[:, 0], squares.sqrt()[:, 0]
    return level, _safe(spread, level)


def _represented_steps(observed: Tensor) -> Tensor:
    """Return the steps that each value represents: itself and half of the gap on either side."""
    n_steps = observed.shape[1]
    time = torch.arange(n_steps, device=observed.device)[None, :, None].expand_as(observed)
    before, after = observed_around(observed)
    # The previous step looks back, the next step looks ahead.
    earlier = torch.cat([torch.full_like(before[:, :1], -1), before[:, :-1]], dim=1)
    later = torch.cat([after[:, 1:], torch.zeros_like(after[:, :1]) + n_steps], dim=1)
    gap_before = torch.where(earlier >= 0, time - earlier - 1, 0)
    gap_after = torch.where(later < n_steps, later - time - 1, 0)
    return torch.where(observed, 1 + (gap_before + gap_after).double() / 2, 0.0)


def _safe(spread: Tensor, level: Tensor) -> Tensor:
    return torch.where(spread > CONSTANT * level.abs().clamp(min=1e-30), spread, 1.0)
