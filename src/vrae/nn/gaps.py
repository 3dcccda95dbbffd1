"""Which steps of a series are observed around a step, and shortcuts for batches in which all of them are."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["observed_around", "shortcut"]


def observed_around(observed: Tensor) -> tuple[Tensor, Tensor]:
    """Find, for every step, the last observed step up to it and the next one from it.

    By sorting and counting, since a running maximum has no counterpart in ONNX.

    Parameters
    ----------
    observed : Tensor of bool, shape (batch, time, channel)

    Returns
    -------
    before, after : Tensors of int64, shape (batch, time, channel)
        An observed step is its own; ``before`` is -1 and ``after`` is ``time`` where there is none.
    """
    n_steps = observed.shape[1]
    time = torch.arange(n_steps, device=observed.device)[None, :, None].expand_as(observed)
    steps = torch.where(observed, time, n_steps).sort(dim=1).values  # the observed ones, then n_steps
    own = observed.long()
    count = own.cumsum(dim=1)  # observed up to now
    before = torch.where(count > 0, steps.gather(1, (count - 1).clamp(min=0)), -1)
    return before, steps.gather(1, count - own)


def shortcut(condition: Tensor) -> bool:
    """Tell whether this batch lets a step be left out; never in a graph that is exported, which must do for all."""
    return not torch.onnx.is_in_onnx_export() and bool(condition)
