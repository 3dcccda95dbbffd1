"""Pattern statistics: which local patterns a series contains, wherever they occur.

A statistic is the proportion of steps at which a small dilated convolution exceeds a threshold (the
"proportion of positive values" of Dempster, Schmidt & Webb, "MiniRocket", KDD 2021), of the series
and of its first differences. A step very close to the threshold counts in part, so that rounding,
which differs between batches, cannot flip it. The 84 kernels have nine taps, three of weight 2 and
six of weight -1. Thresholds are quantiles of the kernels' responses to training series. Series with
several channels have a second kind of statistic: cross-correlations between channels. A few
principal components of all statistics are kept.
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
from vrae.nn.ppv import proportions
from vrae.nn.views import Series, mask_end, pad, views

__all__ = ["PatternStatistics", "dilations_for", "thresholds_for"]

_TAPS = 9
_REACH = _TAPS // 2
_KERNELS = math.comb(_TAPS, 3)

# About this many statistics of the series, and as many of its differences.
_PER_VIEW = 1000

# Weight of the differences, which are noisier than the values.
_DIFFERENCE_WEIGHT = 0.7

# Weight of all cross-correlations together, relative to all proportions together.
_CORRELATION_WEIGHT = 0.7

# Correlations are mapped by Fisher's transformation, atanh, which evens out their sampling
# variance. This factor keeps those of noiseless series finite.
_LARGEST_CORRELATION = 0.97

# Weight of timing relative to the proportions, which have variance 1 each.
_TIMING_WEIGHT = 0.7

_MAX_DILATIONS = 32

# Levels above a tenth of the typical one are compared by their logarithms.
_LEVEL_STEEPNESS = 10.0


class PatternStatistics(nn.Module):
    """Position-free statistics of series, standardised and reduced to ``n_patterns`` components.

    There are no weights to train: `fit` sets the buffers once, before training. The output is
    scaled so that the components have a mean variance of 1.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.dilations = config.pattern_dilations
        # Series under circular shifts have no ends: kernels continue from the last step to the
        # first.
        self.circular = config.max_lag > 0
        self.scale_differences = config.scale_differences
        shape = (2, len(self.dilations), _KERNELS)  # 2: the series and its differences
        thresholds = config.pattern_thresholds or math.ceil(_PER_VIEW / (_KERNELS * max(1, len(self.dilations))))
        self.lags = correlation_lags(max(self.dilations, default=0))
        pairs = config.n_channel_pairs
        self.level_weight = config.level_weight
        n_levels = 2 * config.n_channels if self.level_weight else 0
        self.n_timing = config.n_timing
        n_statistics = math.prod(shape) * thresholds + shape[0] * pairs * len(self.lags) + n_levels + self.n_timing
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
    def forward(
        self, x: Tensor, mask: Tensor, lengths: Tensor, scale: Tensor | None = None, timing: Tensor | None = None
    ) -> Tensor:
        """Return the statistics (batch, n_patterns) of series (batch, time, channel).

        ``scale`` (batch, 2, channel) holds their level and spread before scaling. It is required
        with ``level_weight``. ``timing`` (batch, n_timing) holds when they are high. It is required
        with ``n_timing``.
        """
        return self.reduce(self.raw(x, mask, lengths, scale, timing))

    @torch.no_grad()
    def fit(
        self, sample: Sequence[Series], scale: Tensor, generator: torch.Generator, timing: Tensor | None = None
    ) -> Tensor:
        """Set kernels, thresholds and components from a sample of series, in batches.

        ``scale`` (n_sample, 2, channel) holds their level and spread, and ``timing`` (n_sample,
        n_timing) when they are high. Return the statistics of the sample (n_sample, n_patterns).
        """
        self.kernels.copy_(self._draw_kernels(generator))
        self.thresholds.copy_(self._draw_thresholds(sample, generator))
        self.pairs.copy_(channel_pairs(self.kernels.shape[3], len(self.pairs), generator))
        self.usual_scale.copy_(scale.abs().median(dim=0).values[:, : self.usual_scale.shape[1]])
        sizes = [len(lengths) for _, _, lengths in sample]
        scales = torch.split(scale, sizes)
        timings = [None] * len(sizes) if timing is None else torch.split(timing, sizes)
        parts = zip(sample, scales, timings, strict=True)
        sampled = torch.cat([self.raw(*batch, own, when) for batch, own, when in parts])  # (n, statistic)
        raw = sampled.double()
        center = raw.mean(dim=0)
        weight = self.weights(raw.std(dim=0, correction=0))
        standardised = (raw - center) * weight
        axes = _principal_axes(standardised, self.components.shape[1], generator)  # (statistic, component)
        total = standardised.var(dim=0, correction=0).sum().clamp(min=1e-12)
        self.center.copy_(center)
        self.components.copy_(weight[:, None] * axes * (self.components.shape[1] / total).sqrt())
        return self.reduce(sampled)

    @torch.no_grad()
    def raw(
        self, x: Tensor, mask: Tensor, lengths: Tensor, scale: Tensor | None = None, timing: Tensor | None = None
    ) -> Tensor:
        """Return all statistics of series, (batch, statistic); see `forward`."""
        found = self._of_views(x, mask, lengths)
        if self.level_weight:
            if scale is None:
                raise ValueError("level_weight needs the level and spread of the series")
            found.append(self._levels(scale))
        if self.n_timing:
            if timing is None:
                raise ValueError("n_timing needs the timing of the series")
            found.append(timing)
        return torch.cat(found, dim=1)

    @torch.no_grad()
    def reduce(self, raw: Tensor) -> Tensor:
        """Return principal components: raw (batch, statistic) -> (batch, n_patterns)."""
        return (raw - self.center) @ self.components

    # ---------------------------------------------------------------- parts

    def weights(self, spread: Tensor) -> Tensor:
        """Return the weight of each statistic for its spread between series, both (statistic,)."""
        n_proportions = self.thresholds[0].numel()
        n_levels, n_timing = self.usual_scale.numel(), self.n_timing
        by_view, levels, timing = torch.split(spread, [len(spread) - n_levels - n_timing, n_levels, n_timing])
        proportion, correlation = by_view.view(2, -1)[:, :n_proportions], by_view.view(2, -1)[:, n_proportions:]
        standardising = torch.where(proportion > 1e-6, 1 / proportion.clamp(min=1e-6), 0.0)
        # Not standardised one by one: the correlation of channels that truly move together varies
        # most.
        common = _CORRELATION_WEIGHT * math.sqrt(n_proportions) / correlation.norm(dim=1, keepdim=True).clamp(min=1e-6)
        weight = torch.cat([standardising, common.expand_as(correlation)], dim=1)  # (view, statistic)
        weight[1] *= _DIFFERENCE_WEIGHT
        of_levels = self.level_weight * math.sqrt(n_proportions) / levels.norm().clamp(min=1e-6)
        # Not standardised: the variance of timing is the fraction of that of the series.
        of_timing = torch.full_like(timing, _TIMING_WEIGHT * math.sqrt(n_proportions))
        return torch.cat([weight.flatten(), of_levels.expand_as(levels), of_timing])

    def _levels(self, scale: Tensor) -> Tensor:
        """Return level and spread (batch, statistic), on a log scale except near zero."""
        typical = torch.where(self.usual_scale > 0, self.usual_scale, 1.0)
        return torch.asinh(_LEVEL_STEEPNESS * scale / typical).flatten(1).float()

    def _views(self, x: Tensor, mask: Tensor, lengths: Tensor) -> list[tuple[Tensor, Tensor]]:
        return views(x, mask, lengths, circular=self.circular, scale_differences=self.scale_differences)

    def _of_views(self, x: Tensor, mask: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return the statistics of series and differences, each (batch, statistic)."""
        found = []
        for view, (values, steps) in enumerate(self._views(x, mask, lengths)):
            kernels, thresholds = self.kernels[view], self.thresholds[view]
            found.append(proportions(values, steps, kernels, self.dilations, thresholds, self.circular))
            if len(self.pairs):
                correlations = cross_correlations(values, steps, self.pairs, self.lags, self.circular)
                found.append(torch.atanh(_LARGEST_CORRELATION * correlations))
        return found

    def _draw_kernels(self, generator: torch.Generator) -> Tensor:
        """Return fixed kernels on random channels: (view, dilation, kernel, channel, tap)."""
        taps = torch.full((_KERNELS, _TAPS), -1.0)
        for kernel, heavy in enumerate(itertools.combinations(range(_TAPS), 3)):
            taps[kernel, list(heavy)] = 2.0
        n_views, dilations, _, channels, _ = self.kernels.shape
        # One to nine channels, small subsets more often.
        most = math.log2(min(channels, 9) + 1)
        size = 2 ** (torch.rand(n_views, dilations, _KERNELS, generator=generator) * most)
        rank = torch.rand(n_views, dilations, _KERNELS, channels, generator=generator).argsort(3).argsort(3)
        chosen = rank < size.floor().clamp(min=1)[..., None]  # (view, dilation, kernel, channel)
        # Random signs, so that channels that move together and channels that oppose each other
        # differ.
        sign = 1.0 - 2.0 * torch.randint(2, rank.shape, generator=generator)
        sign = torch.where(rank == 0, 1.0, sign)  # a single channel keeps the kernels as they are
        return (chosen * sign)[..., None] * taps[:, None, :]

    def _draw_thresholds(self, sample: Sequence[Series], generator: torch.Generator) -> Tensor:
        """Return quantiles of responses to random series: (view, dilation, kernel, threshold)."""
        drawn = torch.zeros_like(self.thresholds)
        sizes = torch.tensor([len(lengths) for _, _, lengths in sample])
        first = torch.cumsum(sizes, 0) - sizes
        kernel = torch.arange(_KERNELS)
        # A low-discrepancy sequence over [0, 1) spreads the quantiles evenly over the kernels.
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
                    picked = rows[here] - first[batch]  # one series per kernel
                    both = self._views(x[picked], mask[picked], lengths[picked])
                    for view, (values, steps) in enumerate(both):
                        padded = pad(values, steps, _REACH * dilation, self.circular)
                        own = _convolve_each(padded, self.kernels[view, place][here], dilation)  # (picked, time)
                        own = mask_end(own[:, None], steps, torch.inf)[:, 0].sort(dim=1).values
                        at = (quantile[here] * steps).long()
                        drawn[view, place, here, threshold] = own.gather(1, at[:, None]).squeeze(1)
        return drawn


def dilations_for(n_steps: int) -> tuple[int, ...]:
    """Choose dilations from 1 up to the length of a series, evenly on a logarithmic scale."""
    most = math.log2(max(1.0, (n_steps - 1) / (_TAPS - 1)))
    count = min(_PER_VIEW // _KERNELS, _MAX_DILATIONS)
    return tuple(sorted({int(2 ** (most * i / (count - 1))) for i in range(count)}))


def thresholds_for(n_dilations: int) -> int:
    """Choose the number of thresholds per kernel; short series have few dilations."""
    return max(1, round(_PER_VIEW / (_KERNELS * n_dilations)))


def _convolve_each(padded: Tensor, kernels: Tensor, dilation: int) -> Tensor:
    """Convolve series i with kernel i; returns (series, time)."""
    count, channels, time = padded.shape
    series = padded.reshape(1, count * channels, time)
    return functional.conv1d(series, kernels, dilation=dilation, groups=count)[0]


def _principal_axes(X: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return the leading principal axes (column, count) of centred X (row, column).

    Subspace iteration: Halko, Martinsson & Tropp, SIAM Review 2011, algorithm 4.4. With fewer rows
    than axes the rest are zero.
    """
    reachable = min(count, len(X) - 1, X.shape[1])
    width = min(reachable + 8, *X.shape)
    basis = torch.randn(X.shape[1], width, dtype=X.dtype, generator=generator)
    for _ in range(6):
        basis = torch.linalg.qr(X.T @ (X @ basis)).Q  # (column, width)
    _, _, rotation = torch.linalg.svd(X @ basis, full_matrices=False)
    axes = (basis @ rotation.T)[:, :reachable]
    # The sign of an axis is arbitrary. Fixing it makes the result reproducible.
    axes = axes * torch.sign(axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)))
    return functional.pad(axes, (0, count - reachable))
