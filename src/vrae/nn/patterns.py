"""Local patterns: what a series is made of, wherever in the series it stands.

A statistic is the share of a series' steps at which a small dilated convolution exceeds a threshold (the
"proportion of positive values" of Dempster, Schmidt & Webb, "MiniRocket", KDD 2021), of the series and of its
first differences. A step within a hair's breadth of the threshold counts in part, so that rounding, which differs
from batch to batch, cannot tip it over. The 84 kernels have nine taps, three of weight 2 and six of weight -1;
thresholds are quantiles of what the kernels give on training series. Series of several channels have one more kind of
statistic: how their channels move together. A few principal components of all of them are kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vrae.config import NetworkConfig
from vrae.nn.comovement import channel_pairs, correlation_lags, cross_correlations
from vrae.nn.gaps import observed_around, shortcut
from vrae.nn.shares import pad, shares

__all__ = ["PatternStatistics", "dilations_for", "fill_gaps", "thresholds_for"]

_TAPS = 9
_REACH = _TAPS // 2
_KERNELS = math.comb(_TAPS, 3)

# About so many statistics are worked out from the series, and as many from its differences; a few components are kept.
_PER_VIEW = 1000

# Differences are noisier than values, so they count for less.
_DIFFERENCE_WEIGHT = 0.7

# All correlations between channels together count so much beside all shares together.
_CORRELATION_WEIGHT = 0.7

# Correlations are spread out by Fisher's transformation, atanh, in which .9 and 1 are as far apart as chance ones are;
# those of noiseless series would be infinite.
_LARGEST_CORRELATION = 0.97

_MAX_DILATIONS = 32

# Levels of more than a tenth of the usual one are compared in proportion, as logarithms are.
_LEVEL_STEEPNESS = 10.0

Series = tuple[Tensor, Tensor, Tensor]  # values and mask (batch, time, channel), lengths (batch,)


class PatternStatistics(nn.Module):
    """Position-free statistics of series, standardised and reduced to ``n_patterns`` components.

    It has no weights to train: `fit` sets its buffers once, before training. Its output is scaled such that
    the statistics' variance, spread evenly over the components, would be 1 in each.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.dilations = config.pattern_dilations
        # Series that may be shifted in a circle have no ends: kernels run on from the last step to the first.
        self.circular = config.max_lag > 0
        shape = (2, len(self.dilations), _KERNELS)  # 2: the series and its differences
        thresholds = config.pattern_thresholds or math.ceil(_PER_VIEW / (_KERNELS * max(1, len(self.dilations))))
        self.lags = correlation_lags(max(self.dilations, default=0))
        pairs = config.n_channel_pairs
        self.level_weight = config.level_weight
        n_levels = 2 * config.n_channels if self.level_weight else 0
        n_statistics = math.prod(shape) * thresholds + shape[0] * pairs * len(self.lags) + n_levels
        self.kernels: Tensor
        self.thresholds: Tensor
        self.pairs: Tensor
        self.usual_scale: Tensor
        self.center: Tensor
        self.components: Tensor
        self.register_buffer("kernels", torch.zeros(*shape, config.n_channels, _TAPS))
        self.register_buffer("thresholds", torch.zeros(*shape, thresholds))
        self.register_buffer("pairs", torch.zeros(pairs, 2, dtype=torch.int64))
        self.register_buffer("usual_scale", torch.zeros(2, n_levels // 2))
        self.register_buffer("center", torch.zeros(n_statistics))
        self.register_buffer("components", torch.zeros(n_statistics, config.n_patterns))

    @torch.no_grad()
    def forward(self, x: Tensor, mask: Tensor, lengths: Tensor, scale: Tensor | None = None) -> Tensor:
        """Describe series (batch, time, channel) by (batch, n_patterns) numbers.

        ``scale``, (batch, 2, channel), is their level and spread before they were scaled; with ``level_weight`` it is
        needed.
        """
        statistics = self._shares(x, mask, lengths)
        if self.level_weight:
            if scale is None:
                raise ValueError("level_weight needs the level and spread of the series")
            statistics = torch.cat([statistics, self._levels(scale)], dim=1)
        return self._reduce(statistics)

    @torch.no_grad()
    def fit(self, sample: Sequence[Series], scale: Tensor, generator: torch.Generator) -> Tensor:
        """Set kernels, thresholds and components by a sample of training series, given in batches.

        ``scale``, (n_sample, 2, channel), is their level and spread.

        Returns
        -------
        Tensor, shape (n_sample, n_patterns)
            The sample's own statistics.
        """
        self.kernels.copy_(self._draw_kernels(generator))
        self.thresholds.copy_(self._draw_thresholds(sample, generator))
        self.pairs.copy_(channel_pairs(self.kernels.shape[3], len(self.pairs), generator))
        self.usual_scale.copy_(scale.abs().median(dim=0).values[:, : self.usual_scale.shape[1]])
        sampled = torch.cat([self._shares(*batch) for batch in sample])  # (n, statistic)
        if self.level_weight:
            sampled = torch.cat([sampled, self._levels(scale)], dim=1)
        shares = sampled.double()
        center = shares.mean(dim=0)
        weight = self._weights(shares.std(dim=0, correction=0))
        standardised = (shares - center) * weight
        axes = _principal_axes(standardised, self.components.shape[1], generator)  # (statistic, component)
        total = standardised.var(dim=0, correction=0).sum().clamp(min=1e-12)
        self.center.copy_(center)
        self.components.copy_(weight[:, None] * axes * (self.components.shape[1] / total).sqrt())
        return self._reduce(sampled)

    # ---------------------------------------------------------------- parts

    def _reduce(self, shares: Tensor) -> Tensor:
        return (shares - self.center) @ self.components

    def _weights(self, spread: Tensor) -> Tensor:
        """Return what each statistic, of this spread between series, is multiplied by; both (statistic,)."""
        n_shares = self.thresholds[0].numel()
        n_levels = self.usual_scale.numel()
        views, levels = spread[: len(spread) - n_levels], spread[len(spread) - n_levels :]
        shares, correlations = views.view(2, -1)[:, :n_shares], views.view(2, -1)[:, n_shares:]
        each_alike = torch.where(shares > 1e-6, 1 / shares.clamp(min=1e-6), 0.0)
        # Not each alike: that of two channels which truly move together varies more than all the chance ones.
        together = _CORRELATION_WEIGHT * math.sqrt(n_shares) / correlations.norm(dim=1, keepdim=True).clamp(min=1e-6)
        weight = torch.cat([each_alike, together.expand_as(correlations)], dim=1)  # (view, statistic)
        weight[1] *= _DIFFERENCE_WEIGHT
        of_levels = self.level_weight * math.sqrt(n_shares) / levels.norm().clamp(min=1e-6)
        return torch.cat([weight.flatten(), of_levels.expand_as(levels)])

    def _levels(self, scale: Tensor) -> Tensor:
        """Return level and spread of each channel, (batch, statistic): in proportion, unless they are next to zero."""
        usual = torch.where(self.usual_scale > 0, self.usual_scale, 1.0)
        return torch.asinh(_LEVEL_STEEPNESS * scale / usual).flatten(1).float()

    def _shares(self, x: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
        """Return every statistic of every series, (batch, statistic), in [0, 1]."""
        found = []
        for view, (values, steps) in enumerate(_views(x, mask, lengths, self.circular)):
            found.append(
                shares(values, steps, self.kernels[view], self.dilations, self.thresholds[view], self.circular)
            )
            if len(self.pairs):
                correlations = cross_correlations(values, steps, self.pairs, self.lags, self.circular)
                found.append(torch.atanh(_LARGEST_CORRELATION * correlations))
        return torch.cat(found, dim=1)

    def _draw_kernels(self, generator: torch.Generator) -> Tensor:
        """Return the fixed kernels, each on a random few of the channels: (view, dilation, kernel, channel, tap)."""
        taps = torch.full((_KERNELS, _TAPS), -1.0)
        for kernel, heavy in enumerate(itertools.combinations(range(_TAPS), 3)):
            taps[kernel, list(heavy)] = 2.0
        views, dilations, _, channels, _ = self.kernels.shape
        # Between one channel and nine, small numbers more often: the dynamics of channels together.
        most = math.log2(min(channels, 9) + 1)
        size = 2 ** (torch.rand(views, dilations, _KERNELS, generator=generator) * most)
        rank = torch.rand(views, dilations, _KERNELS, channels, generator=generator).argsort(3).argsort(3)
        chosen = rank < size.floor().clamp(min=1)[..., None]  # (view, dilation, kernel, channel)
        # With either sign, so that channels which go together and channels which oppose each other differ.
        sign = 1.0 - 2.0 * torch.randint(2, rank.shape, generator=generator)
        sign = torch.where(rank == 0, 1.0, sign)  # one channel alone has the kernels as they are
        return (chosen * sign)[..., None] * taps[:, None, :]

    def _draw_thresholds(self, sample: Sequence[Series], generator: torch.Generator) -> Tensor:
        """Return quantiles of each kernel's responses to a random series each: (view, dilation, kernel, threshold)."""
        drawn = torch.zeros_like(self.thresholds)
        sizes = torch.tensor([len(lengths) for _, _, lengths in sample])
        first = torch.cumsum(sizes, 0) - sizes
        kernel = torch.arange(_KERNELS)
        # A low-discrepancy sequence over [0, 1): kernels share the quantiles evenly among them.
        golden = 0.6180339887
        for place, dilation in enumerate(self.dilations):
            for threshold in range(drawn.shape[3]):
                count = place * drawn.shape[3] + threshold
                quantile = (golden * (count * _KERNELS + kernel + 1)) % 1
                rows = torch.randint(int(sizes.sum()), (_KERNELS,), generator=generator)
                for batch, (x, mask, lengths) in enumerate(sample):
                    here = (rows >= first[batch]) & (rows < first[batch] + sizes[batch])
                    if not here.any():
                        continue
                    picked = rows[here] - first[batch]  # one series a kernel
                    views = _views(x[picked], mask[picked], lengths[picked], self.circular)
                    for view, (values, steps) in enumerate(views):
                        padded = pad(values, steps, _REACH * dilation, self.circular)
                        own = _convolve_each(padded, self.kernels[view, place][here], dilation)  # (picked, time)
                        own = _end(own[:, None], steps, torch.inf)[:, 0].sort(dim=1).values
                        at = (quantile[here] * steps).long()
                        drawn[view, place, here, threshold] = own.gather(1, at[:, None]).squeeze(1)
        return drawn


def dilations_for(n_steps: int) -> tuple[int, ...]:
    """Choose dilations, evenly on a logarithmic scale, from 1 to what spans a series of ``n_steps``."""
    most = math.log2(max(1.0, (n_steps - 1) / (_TAPS - 1)))
    count = min(_PER_VIEW // _KERNELS, _MAX_DILATIONS)
    return tuple(sorted({int(2 ** (most * i / (count - 1))) for i in range(count)}))


def thresholds_for(n_dilations: int) -> int:
    """Choose the number of thresholds of a kernel: one, but for short series, which have few dilations."""
    return max(1, round(_PER_VIEW / (_KERNELS * n_dilations)))


def fill_gaps(x: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
    """Bridge missing values by straight lines; level before the first and after the last value, 0 past the end.

    Parameters
    ----------
    x, mask : Tensor, shape (batch, time, channel)
    lengths : Tensor of int64, shape (batch,)

    Returns
    -------
    Tensor, shape (batch, time, channel)
    """
    n_steps = x.shape[1]
    time = torch.arange(n_steps, device=x.device)[None, :, None]  # (1, time, 1)
    inside = time < lengths[:, None, None]  # (batch, time, 1)
    observed = mask.bool()
    if shortcut((observed | ~inside).all()):
        return x
    before, after = observed_around(observed)
    only_after, only_before = before < 0, after >= n_steps
    left = torch.where(only_after, after, before).clamp(0, n_steps - 1)
    right = torch.where(only_before, before, after).clamp(0, n_steps - 1)
    share = (time - left) / (right - left).clamp(min=1)
    filled = torch.lerp(x.gather(1, left), x.gather(1, right), share.clamp(0, 1).to(x.dtype))
    known = inside & (mask.sum(dim=1, keepdim=True) > 0)  # a channel without any value stays 0
    return torch.where(known, filled, 0.0)


def _views(x: Tensor, mask: Tensor, lengths: Tensor, circular: bool) -> list[tuple[Tensor, Tensor]]:
    """Return the series and its first differences, each (batch, channel, time), with their lengths."""
    x, mask, lengths = _trim(x, mask, lengths)
    values = fill_gaps(x, mask, lengths).transpose(1, 2)  # (batch, channel, time)
    following = pad(values, lengths, 1, circular)[:, :, 2:]  # one step later
    steps = lengths if circular else (lengths - 1).clamp(min=1)
    return [(values, lengths), (_end(following - values, steps, 0.0), steps)]


def _trim(x: Tensor, mask: Tensor, lengths: Tensor) -> Series:
    """Leave out what is missing before the first and after the last value: an item not yet sold has no pattern."""
    n_steps = x.shape[1]
    time = torch.arange(n_steps, device=x.device)
    observed = (mask > 0).any(dim=2)  # (batch, time)
    first = torch.where(observed, time, n_steps).amin(dim=1)  # (batch,)
    last = torch.where(observed, time, -1).amax(dim=1)
    if shortcut(((first == 0) & (last == lengths - 1)).all()):
        return x, mask, lengths
    first = first.clamp(max=n_steps - 1)
    source = (time + first[:, None]).clamp(max=n_steps - 1)[:, :, None].expand_as(x)
    span = (last - first + 1).clamp(min=1)
    inside = (time < span[:, None])[:, :, None]  # (batch, time, 1)
    return torch.where(inside, x.gather(1, source), 0.0), torch.where(inside, mask.gather(1, source), 0.0), span


def _end(responses: Tensor, steps: Tensor, value: float) -> Tensor:
    """Set responses (batch, kernel, time) to ``value`` past the end of each series."""
    past = torch.arange(responses.shape[2], device=responses.device) >= steps[:, None]  # (batch, time)
    return responses if shortcut(~past.any()) else responses.masked_fill(past[:, None], value)


def _convolve_each(padded: Tensor, kernels: Tensor, dilation: int) -> Tensor:
    """Run kernel i over series i alone: (series, channel, time) and (series, channel, tap) give (series, time)."""
    count, channels, time = padded.shape
    series = padded.reshape(1, count * channels, time)
    return functional.conv1d(series, kernels, dilation=dilation, groups=count)[0]


def _principal_axes(X: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return the leading principal axes (column, count) of centred X (row, column), by subspace iteration.

    Halko, Martinsson & Tropp, SIAM Review 2011, algorithm 4.4. With fewer rows than axes the rest are zero.
    """
    reachable = min(count, len(X) - 1, X.shape[1])
    width = min(reachable + 8, *X.shape)
    basis = torch.randn(X.shape[1], width, dtype=X.dtype, generator=generator)
    for _ in range(6):
        basis = torch.linalg.qr(X.T @ (X @ basis)).Q  # (column, width)
    _, _, rotation = torch.linalg.svd(X @ basis, full_matrices=False)
    axes = (basis @ rotation.T)[:, :reachable]
    # The sign of an axis is arbitrary; fixed, the same data give the same picture.
    axes = axes * torch.sign(axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)))
    return functional.pad(axes, (0, count - reachable))
