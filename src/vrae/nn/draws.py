"""Random numbers of a batch, or of a share of one.

Where several processes share a batch, each draws the numbers of all of its rows, and takes those of its own: so it does
not matter into how many shares a batch is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Draws", "Share", "normal", "uniform"]


@dataclass(frozen=True)
class Share:
    """Some rows of a batch, beside the generator that all who share it have alike.

    Attributes
    ----------
    generator : torch.Generator
    first : int
        Rows before the first of this share.
    total : int
        Rows of the batch.
    """

    generator: torch.Generator
    first: int
    total: int


Draws = torch.Generator | Share


def normal(shape: Sequence[int], draws: Draws, device: torch.device) -> Tensor:
    """Return standard normal numbers; the first dimension of the shape is that of rows."""
    if isinstance(draws, torch.Generator):
        return torch.randn(tuple(shape), generator=draws, device=device)
    numbers = torch.randn((draws.total, *shape[1:]), generator=draws.generator, device=device)
    return numbers[draws.first : draws.first + shape[0]]


def uniform(shape: Sequence[int], draws: Draws, device: torch.device) -> Tensor:
    """Return numbers from 0 to 1; the first dimension of the shape is that of rows."""
    if isinstance(draws, torch.Generator):
        return torch.rand(tuple(shape), generator=draws, device=device)
    numbers = torch.rand((draws.total, *shape[1:]), generator=draws.generator, device=device)
    return numbers[draws.first : draws.first + shape[0]]
