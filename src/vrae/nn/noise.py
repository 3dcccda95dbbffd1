"""Random numbers for a batch, or for one process's part of a batch.

When several processes share a batch, each draws the numbers for the whole batch and keeps its own
rows. The result does not depend on how the batch is split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BatchSlice", "RandomSource", "normal", "uniform"]


@dataclass(frozen=True)
class BatchSlice:
    """Some rows of a batch, with the generator that all processes have in the same state."""

    generator: torch.Generator
    first: int  # rows before this slice
    total: int  # rows in the batch


RandomSource = torch.Generator | BatchSlice


def normal(shape: Sequence[int], source: RandomSource, device: torch.device) -> Tensor:
    """Draw standard normal numbers. The first dimension of ``shape`` is the batch."""
    return _draw(torch.randn, shape, source, device)


def uniform(shape: Sequence[int], source: RandomSource, device: torch.device) -> Tensor:
    """Draw uniform numbers in [0, 1). The first dimension of ``shape`` is the batch."""
    return _draw(torch.rand, shape, source, device)


def _draw(draw: Callable[..., Tensor], shape: Sequence[int], source: RandomSource, device: torch.device) -> Tensor:
    if isinstance(source, torch.Generator):
        return draw(tuple(shape), generator=source, device=device)
    numbers = draw((source.total, *shape[1:]), generator=source.generator, device=device)
    return numbers[source.first : source.first + shape[0]]
