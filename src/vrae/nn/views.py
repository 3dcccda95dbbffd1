"""What pattern statistics look at: complete series and their first differences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Series", "fill_gaps", "mask_end", "observed_around", "pad", "views"]

Series = tuple[Tensor, Tensor, Tensor]  # values and mask (batch, time, channel), lengths (batch,)


def views(
    x: Tensor, mask: Tensor, lengths: Tensor, *, circular: bool, scale_differences: bool
) -> list[tuple[Tensor, Tensor]]:
    """Return the series (batch, time, channel) and its first differences, without gaps.

    Each is values (batch, channel, time), zero after the end, and lengths (batch,). If
    ``circular``, the last step is followed by the first. If ``scale_differences``, the differences
    of every series and channel have mean 0 and variance 1.
    """
    if not _holds(mask.all()):  # neither gaps nor padding
        x, mask, lengths = _trim(x, mask, lengths)
        x = fill_gaps(x, mask, lengths)
    values = x.transpose(1, 2)  # (batch, channel, time)
    following = pad(values, lengths, 1, circular)[:, :, 2:]  # one step later
    steps = lengths if circular else (lengths - 1).clamp(min=1)
    differences = mask_end(following - values, steps, 0.0)
    if scale_differences:
        differences = mask_end(_standardise(differences, steps), steps, 0.0)
    return [(values, lengths), (differences, steps)]


def fill_gaps(x: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
    """Interpolate missing values linearly; extrapolate flat within a series; 0 after its end.

    Shape (batch, time, channel). A channel without any observed value is 0.
    """
    n_steps = x.shape[1]
    time = torch.arange(n_steps, device=x.device)[None, :, None]  # (1, time, 1)
    inside = time < lengths[:, None, None]  # (batch, time, 1)
    observed = mask.bool()
    if _holds((observed | ~inside).all()):
        return x
    before, after = observed_around(observed)
    only_after, only_before = before < 0, after >= n_steps
    left = torch.where(only_after, after, before).clamp(0, n_steps - 1)
    right = torch.where(only_before, before, after).clamp(0, n_steps - 1)
    fraction = (time - left) / (right - left).clamp(min=1)
    filled = torch.lerp(x.gather(1, left), x.gather(1, right), fraction.clamp(0, 1).to(x.dtype))
    known = inside & (mask.sum(dim=1, keepdim=True) > 0)
    return torch.where(known, filled, 0.0)


def observed_around(observed: Tensor) -> tuple[Tensor, Tensor]:
    """Find, for every step, the last observed step up to it and the first from it on.

    All are (batch, time, channel). Where there is none, they are -1 and ``time``. Sorting and
    counting stand in for a running maximum, which ONNX does not have.
    """
    n_steps = observed.shape[1]
    time = torch.arange(n_steps, device=observed.device)[None, :, None].expand_as(observed)
    steps = torch.where(observed, time, n_steps).sort(dim=1).values  # observed steps first
    own = observed.long()
    count = own.cumsum(dim=1)  # observed so far
    before = torch.where(count > 0, steps.gather(1, (count - 1).clamp(min=0)), -1)
    return before, steps.gather(1, count - own)


def pad(values: Tensor, steps: Tensor, room: int, circular: bool) -> Tensor:
    """Pad series (batch, channel, time) on both sides by zeros or the other end."""
    if not circular:
        return functional.pad(values, (room, room))
    time = torch.arange(-room, values.shape[2] + room, device=values.device)
    return values.gather(2, (time % steps[:, None])[:, None].expand(-1, values.shape[1], -1))


def mask_end(responses: Tensor, steps: Tensor, value: float) -> Tensor:
    """Set responses (batch, kernel, time) to ``value`` after the end of each series."""
    past = torch.arange(responses.shape[2], device=responses.device) >= steps[:, None]  # (batch, time)
    return responses if _holds(~past.any()) else responses.masked_fill(past[:, None], value)


def _trim(x: Tensor, mask: Tensor, lengths: Tensor) -> Series:
    """Cut off steps before the first and after the last observed one."""
    n_steps = x.shape[1]
    time = torch.arange(n_steps, device=x.device)
    observed = (mask > 0).any(dim=2)  # (batch, time)
    first = torch.where(observed, time, n_steps).amin(dim=1)  # (batch,)
    last = torch.where(observed, time, -1).amax(dim=1)
    if _holds(((first == 0) & (last == lengths - 1)).all()):
        return x, mask, lengths
    first = first.clamp(max=n_steps - 1)
    source = (time + first[:, None]).clamp(max=n_steps - 1)[:, :, None].expand_as(x)
    span = (last - first + 1).clamp(min=1)
    inside = (time < span[:, None])[:, :, None]  # (batch, time, 1)
    return torch.where(inside, x.gather(1, source), 0.0), torch.where(inside, mask.gather(1, source), 0.0), span


def _standardise(values: Tensor, steps: Tensor) -> Tensor:
    """Give values (batch, channel, time), zero after the end, mean 0 and variance 1 up to it."""
    count = steps[:, None, None]
    mean = values.sum(dim=2, keepdim=True) / count
    square = values.square().sum(dim=2, keepdim=True) / count
    variance = (square - mean.square()).clamp(min=0.0)
    # Differences that are all alike have no variance but that of rounding.
    return torch.where(variance > 1e-6 * square, (values - mean) / variance.clamp(min=1e-30).sqrt(), 0.0)


def _holds(condition: Tensor) -> bool:
    """Return whether a shortcut applies to this batch; never in an exported graph."""
    return not torch.onnx.is_in_onnx_export() and bool(condition)
