"""Recurrent layers over series of unequal length, without packing.

A forward RNN never looks ahead, so padding after the end cannot change what it says before. A backward RNN is
a forward one over each series turned round within its own length. So both run as plain dense kernels (oneDNN,
cuDNN), which are several times faster than packed sequences on a CPU, and give the same numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vrae.config import NetworkConfig
from vrae.nn.draws import Draws, uniform
from vrae.nn.lstm import Spare, lstm, suits

__all__ = ["RNN", "dropout", "turn_round"]

State = list[tuple[Tensor, ...]]  # a layer: (h,) for GRU, (h, c) for LSTM; each (batch, hidden)


class RNN(nn.Module):
    """A stack of LSTM or GRU layers, one- or two-directional."""

    def __init__(self, config: NetworkConfig, input_size: int, bidirectional: bool) -> None:
        super().__init__()
        cell = {"lstm": nn.LSTM, "gru": nn.GRU}[config.cell]
        self.dropout = config.dropout
        self.bidirectional = bidirectional
        self.output_size = config.hidden_size * (2 if bidirectional else 1)
        sizes = [input_size] + [self.output_size] * (config.num_layers - 1)
        self.forwards = nn.ModuleList(cell(s, config.hidden_size, batch_first=True) for s in sizes)
        self.backwards = nn.ModuleList(cell(s, config.hidden_size, batch_first=True) for s in sizes if bidirectional)
        self._spare = Spare()

    def forward(
        self,
        x: Tensor,
        lengths: Tensor,
        state: State | None = None,
        generator: Draws | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run all layers.

        Parameters
        ----------
        x : Tensor, shape (batch, time, input)
        lengths : Tensor of int64, shape (batch,)
        state : list of initial states, a layer an entry; zeros by default
            Only for a one-directional stack.
        generator : torch.Generator, optional
            Draws the dropout; without it nothing is dropped.

        Returns
        -------
        outputs : Tensor, shape (batch, time, output)
            Of the top layer, meaningless after the end of a series. Nothing of them is dropped.
        last : Tensor, shape (batch, output)
            The last hidden state of the top layer, each direction at its own end.
        """
        at_end = lengths - 1
        for layer, forwards in enumerate(self.forwards):
            if layer:
                x = dropout(outputs, self.dropout, generator)
            outputs, last = self._run(forwards, x, at_end, state[layer] if state else None)
            if self.bidirectional:
                backwards = self._run(self.backwards[layer], turn_round(x, lengths), at_end, None)
                outputs = torch.cat([outputs, turn_round(backwards[0], lengths)], dim=2)
                last = torch.cat([last, backwards[1]], dim=1)
        return outputs, last

    def _run(self, cell: nn.Module, x: Tensor, at_end: Tensor, first: tuple[Tensor, ...] | None) -> tuple[Tensor, Tensor]:
        """Run one layer in one direction; return its outputs, and those of the last steps."""
        if suits(cell, x):
            return lstm(cell, x, at_end, first, self._spare)
        if first is not None:
            first = tuple(s[None] for s in first)  # torch counts layers first: (1, batch, hidden)
        outputs = cell(x, first if first is None or len(first) > 1 else first[0])[0]  # (batch, time, hidden)
        ends = at_end[:, None, None].expand(-1, 1, outputs.shape[2])  # (batch, 1, hidden)
        return outputs, outputs.gather(1, ends).squeeze(1)


def turn_round(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each series (batch, time, feature) within its own length; padding stays where it is."""
    time = torch.arange(x.shape[1], device=x.device)  # (time,)
    source = lengths[:, None] - 1 - time  # (batch, time)
    source = torch.where(source >= 0, source, time)
    return x.gather(1, source[:, :, None].expand_as(x))


def dropout(x: Tensor, rate: float, generator: Draws | None) -> Tensor:
    """Drop units of series (batch, time, unit), each with probability ``rate``, and scale up the rest.

    A series loses the same units at every step (Gal & Ghahramani, NIPS 2016, section 4). That is the better regulariser
    of the two for recurrent layers, and takes one draw a unit, not one a unit and step. torch's own draws from global
    state.
    """
    if rate == 0 or generator is None:
        return x
    kept = uniform((len(x), 1, x.shape[2]), generator, x.device) >= rate  # (batch, 1, unit)
    return x * (kept / (1 - rate))
