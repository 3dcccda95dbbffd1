"""Training in one process, or in several that share every batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vrae.data.batching import Indices
from vrae.nn.noise import BatchSlice, RandomSource

__all__ = ["BatchPart", "ProcessGroup", "SingleProcess"]


class BatchPart(NamedTuple):
    """The series of a batch that one process sees."""

    indices: Indices  # at least one series, so that every process has a gradient
    weight: float  # fraction of the batch: weight of this part's mean loss
    source: RandomSource


class SingleProcess:
    """One process, which sees whole batches."""

    size = 1

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the module to call in training instead of the network."""
        return network

    def part(self, indices: Indices, generator: torch.Generator) -> BatchPart:
        """Return the part of a batch that this process sees."""
        return BatchPart(indices, 1.0, generator)

    def total(self, numbers: Tensor) -> Tensor:
        """Return the sum over all processes."""
        return numbers


class ProcessGroup:
    """One of several processes of ``torch.distributed``, which must be initialised.

    ``wrap`` wraps the network so that gradients are averaged over processes.
    """

    def __init__(self, rank: int, size: int, wrap: Callable[[nn.Module], nn.Module]) -> None:
        self.rank, self.size = rank, size
        self._wrap = wrap

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the module to call in training instead of the network."""
        return self._wrap(network)

    def part(self, indices: Indices, generator: torch.Generator) -> BatchPart:
        """Return the part of a batch that this process sees: a contiguous slice."""
        first, end = (len(indices) * r // self.size for r in (self.rank, self.rank + 1))
        weight = (end - first) / len(indices)
        if first == end:  # fewer series than processes: one series with weight 0
            first = min(first, len(indices) - 1)
            end = first + 1
        return BatchPart(indices[first:end], weight, BatchSlice(generator, first, len(indices)))

    def total(self, numbers: Tensor) -> Tensor:
        """Return the sum over all processes."""
        torch.distributed.all_reduce(numbers)
        return numbers
