"""`vrae.VRAE.transform` as one module, from raw series to latent vectors, for an exported graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vrae.data.scaling import Scaler
from vrae.export.scaling_graph import observed_steps, scaling_module, without_level_ends
from vrae.nn.model import VRAENetwork

__all__ = ["Embedding"]


class Embedding(nn.Module):
    """Padded raw series to latent vectors: mask, scaling, pattern statistics and encoder."""

    def __init__(self, network: VRAENetwork, scaler: Scaler) -> None:
        super().__init__()
        self.network = network
        self.scaling = scaling_module(scaler)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Embed series.

        Parameters
        ----------
        values : Tensor of float32, shape (batch, time, channel)
            In the user's units. NaN is missing. Values after the end of a series are ignored.
        lengths : Tensor of int64, shape (batch,)

        Returns
        -------
        Tensor of float32, shape (batch, latent)
            NaN for a series without any observed value.
        """
        observed = observed_steps(values, lengths)  # (batch, time, channel)
        empty = observed.sum(dim=(1, 2)) == 0  # (batch,)
        if self.network.config.max_lag:
            observed = without_level_ends(values, observed, lengths)
        level, spread = self.scaling(values, observed)  # (batch, channel), float64
        scaled = (values.double() - level[:, None]) / spread[:, None]
        x = torch.where(observed, scaled, 0.0).float()  # (batch, time, channel)
        mask = observed.float()
        patterns = None
        if self.network.config.n_patterns:
            scale = torch.stack([level, spread], dim=1).float()  # (batch, 2, channel)
            patterns = self.network.statistics(x, mask, lengths, scale)  # (batch, n_patterns)
        mean, _ = self.network.encode(x, mask, lengths, patterns)
        return mean.masked_fill(empty[:, None], torch.nan)
