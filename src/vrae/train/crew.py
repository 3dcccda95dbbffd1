"""Who trains: one process alone, or several that share every batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vrae.data.batching import Rows
from vrae.nn.draws import Draws, Share

__all__ = ["Alone", "Part", "Together"]


class Part(NamedTuple):
    """The rows of a batch that one process sees.

    Attributes
    ----------
    rows : ndarray of int64
        One at least, so that everyone has a gradient to give.
    weight : float
        What their mean counts beside those of the others: their share of the batch.
    draws : Draws
    """

    rows: Rows
    weight: float
    draws: Draws


class Alone:
    """One process, which sees all of a batch."""

    size = 1

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return what is called in training, in place of the network."""
        return network

    def part(self, rows: Rows, generator: torch.Generator) -> Part:
        """Return the rows of a batch that this process sees."""
        return Part(rows, 1.0, generator)

    def total(self, numbers: Tensor) -> Tensor:
        """Return the sum of everybody's numbers."""
        return numbers


class Together:
    """One of several processes of ``torch.distributed``, which has been set up.

    Parameters
    ----------
    rank, size : int
        Number of this process, and how many there are.
    wrap : callable
        Makes gradients of the network the mean of everybody's.
    """

    def __init__(self, rank: int, size: int, wrap: Callable[[nn.Module], nn.Module]) -> None:
        self.rank, self.size = rank, size
        self._wrap = wrap

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return what is called in training, in place of the network."""
        return self._wrap(network)

    def part(self, rows: Rows, generator: torch.Generator) -> Part:
        """Return the rows of a batch that this process sees: one stretch of them."""
        first, end = (len(rows) * r // self.size for r in (self.rank, self.rank + 1))
        if first == end:  # fewer rows than processes: one that counts nothing
            first, end = min(first, len(rows) - 1), min(first, len(rows) - 1) + 1
            return Part(rows[first:end], 0.0, Share(generator, first, len(rows)))
        return Part(rows[first:end], (end - first) / len(rows), Share(generator, first, len(rows)))

    def total(self, numbers: Tensor) -> Tensor:
        """Return the sum of everybody's numbers."""
        torch.distributed.all_reduce(numbers)
        return numbers
