"""Recurrent layers over series of unequal length, without packing.

A forward RNN never looks ahead, so padding after the end cannot change what it says before. A backward RNN is
a forward one over each series turned round within its own length. So both run as plain dense kernels (torch's, or
`vrae.nn.lstm`), which are several times faster than packed sequences on a CPU, and give the same numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vrae.config import NetworkConfig
from vrae.nn.draws import Draws, uniform
from vrae.nn.lstm import lstm, suits
from vrae.nn.workshop import Workshop

__all__ = ["RNN", "kept_units", "turn_round"]

State = list[tuple[Tensor, ...]]  # a layer: (h,) for GRU, (h, c) for LSTM; each (batch, hidden)


class RNN(nn.Module):
    """A stack of LSTM or GRU layers, one- or two-directional."""

    def __init__(self, config: NetworkConfig, input_size: int, bidirectional: bool) -> None:
        super().__init__()
        cell = {"lstm": nn.LSTM, "gru": nn.GRU}[config.cell]
        self.dropout = config.dropout
        self.output_size = config.hidden_size * (2 if bidirectional else 1)
        sizes = [input_size] + [self.output_size] * (config.num_layers - 1)
        self.forwards = nn.ModuleList(cell(s, config.hidden_size, batch_first=True) for s in sizes)
        self.backwards = nn.ModuleList(cell(s, config.hidden_size, batch_first=True) for s in sizes if bidirectional)
        self.workshop = Workshop()

    def forward(
        self,
        x: Tensor,
        lengths: Tensor,
        state: State | None = None,
        generator: Draws | None = None,
        whole: bool = True,
    ) -> tuple[Tensor | None, Tensor]:
        """Run all layers.

        Parameters
        ----------
        x : Tensor, shape (batch, time, input)
        lengths : Tensor of int64, shape (batch,)
        state : list of initial states, a layer an entry; zeros by default
            Only for a one-directional stack.
        generator : torch.Generator, optional
            Draws the dropout; without it nothing is dropped.
        whole : bool, default=True
            Return all outputs, and not the last alone.

        Returns
        -------
        outputs : Tensor, shape (batch, time, output), or None
            Meaningless after the end of a series.
        last : Tensor, shape (batch, output)
            The last hidden state of the top layer, each direction at its own end.
        """
        at_end = lengths - 1
        for layer, forwards in enumerate(self.forwards):
            wanted = whole or layer + 1 < len(self.forwards)
            kept = kept_units(len(x), self.output_size, self.dropout, generator, x.device) if wanted else None
            halves = (None, None) if kept is None else kept.tensor_split(2 if self.backwards else 1, dim=2)
            outputs, last = self._run(forwards, x, at_end, state[layer] if state else None, halves[0], wanted)
            for backwards in self.backwards[layer : layer + 1]:
                turned = turn_round(x, lengths)
                others, first = self._run(backwards, turned, at_end, None, halves[1], wanted)
                last = torch.cat([last, first], dim=1)
                if outputs is not None and others is not None:
                    outputs = torch.cat([outputs, turn_round(others, lengths)], dim=2)
            x = x if outputs is None else outputs
        return outputs, last

    def _run(
        self,
        cell: nn.Module,
        x: Tensor,
        at_end: Tensor,
        first: tuple[Tensor, ...] | None,
        kept: Tensor | None,
        whole: bool,
    ) -> tuple[Tensor | None, Tensor]:
        """Run one layer in one direction; see `vrae.nn.lstm.lstm`."""
        if suits(cell, x):
            return lstm(cell, x, at_end, first, kept, whole, self.workshop)
        if first is not None:
            first = tuple(s[None] for s in first)  # torch counts layers first: (1, batch, hidden)
        outputs = cell(x, first if first is None or len(first) > 1 else first[0])[0]  # (batch, time, hidden)
        last = outputs.gather(1, at_end[:, None, None].expand(-1, 1, outputs.shape[2])).squeeze(1)  # (batch, hidden)
        if not whole:
            return None, last
        return outputs if kept is None else outputs * kept, last


def turn_round(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each series (batch, time, feature) within its own length; padding stays where it is."""
    time = torch.arange(x.shape[1], device=x.device)  # (time,)
    source = lengths[:, None] - 1 - time  # (batch, time)
    source = torch.where(source >= 0, source, time)
    return x.gather(1, source[:, :, None].expand_as(x))


def kept_units(batch: int, units: int, rate: float, generator: Draws | None, device: torch.device) -> Tensor | None:
    """Draw what the outputs of a layer are multiplied with, (batch, 1, unit), if any are to be dropped.

    Each unit is dropped with probability ``rate``, the others are scaled up. A series loses the same units at every
    step (Gal & Ghahramani, NIPS 2016, section 4). That is the better regulariser of the two for recurrent layers, and
    takes one draw a unit, not one a unit and step. torch's own draws from global state.
    """
    if rate == 0 or generator is None:
        return None
    return (uniform((batch, 1, units), generator, device) >= rate) / (1 - rate)
