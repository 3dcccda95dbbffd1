"""Latent vector to series: the latent-to-decoder, decoder and output blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vrae.config import NetworkConfig
from vrae.nn.encoder import unfold
from vrae.nn.noise import RandomSource
from vrae.nn.recurrent import RNN

__all__ = ["Decoder", "LatentToDecoder", "Output"]


class LatentToDecoder(nn.Module):
    """A linear layer from the latent vector to the initial states of the decoder's layers."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.shape = (config.num_layers, 2 if config.cell == "lstm" else 1, config.hidden_size)
        self.linear = nn.Linear(config.latent_size, config.num_layers * self.shape[1] * config.hidden_size)

    def forward(self, z: Tensor) -> list[tuple[Tensor, ...]]:
        """Return the initial state of each layer: (h, c) or (h,), each (batch, hidden)."""
        states = self.linear(z).unflatten(1, self.shape)  # (batch, layer, part, hidden)
        return [layer.unbind(1) for layer in states.unbind(1)]


class Decoder(nn.Module):
    """A recurrent network whose initial state comes from the latent vector.

    Its inputs are a learned sequence that starts at zero and is updated by backpropagation. After
    the end of the longest training series they are zero.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.patch_size * config.n_channels
        self.feed_latent = config.feed_latent
        self.inputs = nn.Parameter(torch.zeros(config.n_steps, width))
        self.rnn = RNN(config, width + (config.latent_size if config.feed_latent else 0), bidirectional=False)

    def forward(
        self, z: Tensor, state: list[tuple[Tensor, ...]], n_steps: int, generator: RandomSource | None = None
    ) -> Tensor:
        """Unroll ``n_steps`` steps: z (batch, latent) -> (batch, n_steps, hidden)."""
        inputs = functional.pad(self.inputs[:n_steps], (0, 0, 0, max(0, n_steps - len(self.inputs))))
        x = inputs.expand(len(z), -1, -1)  # (batch, n_steps, width)
        if self.feed_latent:
            x = torch.cat([x, z[:, None].expand(-1, n_steps, -1)], dim=2)
        lengths = torch.full((len(z),), n_steps, device=z.device)
        return self.rnn(x, lengths, state, generator)[0]


class Output(nn.Module):
    """A linear layer from each hidden state back to ``patch_size`` steps of all channels."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.linear = nn.Linear(config.hidden_size, config.patch_size * config.n_channels)

    def forward(self, hidden: Tensor, n_steps: int) -> Tensor:
        """Return the series: (batch, patch, hidden) -> (batch, n_steps, channel)."""
        return unfold(self.linear(hidden), self.patch_size, n_steps)
