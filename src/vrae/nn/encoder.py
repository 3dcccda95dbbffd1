"""Series to latent distribution: the encoder and the encoder-to-latent block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vrae.config import NetworkConfig
from vrae.nn.noise import RandomSource
from vrae.nn.recurrent import RNN

__all__ = ["Encoder", "EncoderToLatent", "fold", "unfold"]

# Far beyond trained values. Keeps exp() finite after a bad training step.
_LOG_VARIANCE = (-12.0, 12.0)


def fold(x: Tensor, patch_size: int) -> Tensor:
    """Fold ``p`` consecutive steps into one: (batch, time, c) -> (batch, ceil(time/p), p*c)."""
    batch, time, channels = x.shape
    x = functional.pad(x, (0, 0, 0, -time % patch_size))
    return x.reshape(batch, -1, patch_size * channels)


def unfold(x: Tensor, patch_size: int, n_steps: int) -> Tensor:
    """Undo `fold`: (batch, patches, p*c) -> (batch, n_steps, c)."""
    batch, patches, width = x.shape
    return x.reshape(batch, patches * patch_size, width // patch_size)[:, :n_steps]


class Encoder(nn.Module):
    """A recurrent network that reads a series and returns one vector, ``h_end``."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.mask_input = config.mask_input
        self.pooling = config.pooling
        width = config.patch_size * config.n_channels
        self.rnn = RNN(config, width * (2 if config.mask_input else 1), config.bidirectional)

    def forward(self, x: Tensor, mask: Tensor, lengths: Tensor, generator: RandomSource | None = None) -> Tensor:
        """Return ``h_end``: x, mask (batch, time, channel) -> (batch, hidden * directions).

        It is the last hidden state, or the mean of the hidden states over the steps of the series.
        """
        folded = fold(x, self.patch_size)  # (batch, patch, p * channel)
        if self.mask_input:
            folded = torch.cat([folded, fold(mask, self.patch_size)], dim=2)
        patches = (lengths + self.patch_size - 1) // self.patch_size  # (batch,)
        outputs, last = self.rnn(folded, patches, generator=generator)
        if self.pooling == "last":
            return last
        inside = torch.arange(outputs.shape[1], device=x.device) < patches[:, None]  # (batch, patch)
        # A mask, not a product: padding may hold anything, and 0 * inf is not 0.
        total = outputs.masked_fill(~inside[:, :, None], 0.0).sum(dim=1)  # (batch, hidden)
        return total / patches[:, None]


class EncoderToLatent(nn.Module):
    """Two linear layers: ``h_end`` to the mean and the log-variance of the latent vector.

    Of the mean they leave out the first ``neighbour_size`` dimensions.
    """

    def __init__(self, input_size: int, latent_size: int, neighbour_size: int) -> None:
        super().__init__()
        self.mean = nn.Linear(input_size, latent_size - neighbour_size)
        self.log_variance = nn.Linear(input_size, latent_size)

    def forward(self, h_end: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (batch, latent - neighbour_size) and log-variance (batch, latent)."""
        return self.mean(h_end), self.log_variance(h_end).clamp(*_LOG_VARIANCE)
