"""Cross-correlations between the channels of a series.

The correlation of two channels at several lags shows whether they move together, oppose each other,
or which of them leads. It does not depend on the level or spread of a channel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vrae.nn.views import pad

__all__ = ["channel_pairs", "correlation_lags", "cross_correlations", "n_channel_pairs"]

# With many channels a random subset of this many pairs is used.
_MAX_PAIRS = 64


def channel_pairs(n_channels: int, n_pairs: int, generator: torch.Generator) -> Tensor:
    """Return pairs of channels, (n_pairs, 2), in random order."""
    pairs = torch.triu_indices(n_channels, n_channels, 1).T  # (pair, 2)
    return pairs[torch.randperm(len(pairs), generator=generator)[:n_pairs]]


def n_channel_pairs(n_channels: int) -> int:
    """Return the number of channel pairs in use: all, or 64."""
    return min(n_channels * (n_channels - 1) // 2, _MAX_PAIRS)


def correlation_lags(longest: int) -> tuple[int, ...]:
    """Return lags from ``-longest`` to ``longest`` steps, evenly on a logarithmic scale, with 0."""
    leads, lead = set(), 1.0
    while lead <= longest:
        leads.add(round(lead))
        lead *= 1.4
    return tuple(sorted({0, *leads, *(-lead for lead in leads)}))


def cross_correlations(values: Tensor, lengths: Tensor, pairs: Tensor, lags: tuple[int, ...], circular: bool) -> Tensor:
    """Correlate channels of gapless series: (batch, channel, time) -> (batch, lag * pair).

    The second channel of a pair (pair, 2) runs ``lag`` steps behind the first. If ``circular``, the
    last step is followed by the first. A constant channel has correlation 0.
    """
    n_steps = values.shape[2]
    time = torch.arange(n_steps, device=values.device)
    inside = (time < lengths[:, None])[:, None]  # (batch, 1, time)
    steps = lengths[:, None, None]  # (batch, 1, 1)
    centred = torch.where(inside, values - torch.where(inside, values, 0.0).sum(2, keepdim=True) / steps, 0.0)
    norm = centred.norm(dim=2, keepdim=True)  # (batch, channel, 1)
    # A constant channel leaves rounding errors only.
    unit = torch.where(norm > 1e-5 * values.abs().amax(2, keepdim=True) * steps.sqrt(), centred / norm, 0.0)
    first, second = unit[:, pairs[:, 0]], unit[:, pairs[:, 1]]  # (batch, pair, time)
    room = max(abs(lag) for lag in lags)
    around = pad(second, lengths, room, circular)  # (batch, pair, room + time + room)
    later = (around[:, :, room + lag :][:, :, :n_steps] for lag in lags)
    return torch.cat([(first * moved).sum(dim=2) for moved in later], dim=1)
