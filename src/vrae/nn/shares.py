"""The share of a series' steps at which a convolution exceeds a threshold, for many kernels and thresholds at once.

Most of the time of pattern statistics goes into this. torch passes over the responses several times; on the CPU a
compiled loop (`vrae.nn.counting`) does it while they are in the processor's cache. Both give the same, but for
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["STEEPNESS", "pad", "shares"]

# A response less than .05 from the threshold counts in part; responses have a spread of a few units.
STEEPNESS = 60.0

# Responses that torch works on together: 1 MiB of floats.
_CACHED = 1 << 18


def shares(
    values: Tensor, steps: Tensor, kernels: Tensor, dilations: Sequence[int], thresholds: Tensor, circular: bool
) -> Tensor:
    """Count, for each series, the steps at which each kernel's response exceeds each of its thresholds.

    Parameters
    ----------
    values : Tensor, shape (batch, channel, time)
    steps : Tensor of int64, shape (batch,)
        Length of each series, up to ``time``; what follows is zero.
    kernels : Tensor, shape (dilation, kernel, channel, tap)
        On each of its channels a kernel has the same taps, three of weight 2 and the others of weight -1, or the
        negative of that; on other channels zeros.
    dilations : sequence of int
        Steps between taps.
    thresholds : Tensor, shape (dilation, kernel, threshold)
    circular : bool
        Before the first step comes the last one; otherwise zeros do.

    Returns
    -------
    Tensor, shape (batch, dilation * threshold * kernel)
        In [0, 1].
    """
    if torch.onnx.is_in_onnx_export():  # one graph for batches of any size
        return _in_torch(values, steps, kernels, dilations, thresholds, circular)
    if values.device.type == "cpu":
        return _in_numba(values, steps, kernels, dilations, thresholds, circular)
    few = max(1, _CACHED // (kernels.shape[1] * values.shape[2]))
    parts = zip(torch.split(values, few), torch.split(steps, few), strict=True)
    return torch.cat([_in_torch(x, n, kernels, dilations, thresholds, circular) for x, n in parts])


def pad(values: Tensor, steps: Tensor, room: int, circular: bool) -> Tensor:
    """Make ``room`` before and after series (batch, channel, time): zeros, or the other end."""
    if not circular:
        return functional.pad(values, (room, room))
    time = torch.arange(-room, values.shape[2] + room, device=values.device)
    return values.gather(2, (time % steps[:, None])[:, None].expand(-1, values.shape[1], -1))


def _in_numba(
    values: Tensor, steps: Tensor, kernels: Tensor, dilations: Sequence[int], thresholds: Tensor, circular: bool
) -> Tensor:
    from vrae.nn.counting import count

    n_dilations, n_kernels, n_thresholds = thresholds.shape
    found = np.empty((len(values), n_dilations, n_thresholds, n_kernels), np.float32)
    if n_dilations:
        x, n, w, least = (tensor.contiguous().numpy() for tensor in (values, steps, kernels, thresholds))
        count(x, n, w, np.asarray(dilations, np.int64), least, circular, np.float32(STEEPNESS), found)
    return torch.from_numpy(found).flatten(1)


def _in_torch(
    values: Tensor, steps: Tensor, kernels: Tensor, dilations: Sequence[int], thresholds: Tensor, circular: bool
) -> Tensor:
    past = torch.arange(values.shape[2], device=values.device) >= steps[:, None]  # (batch, time)
    found = []
    for kernel, dilation, threshold in zip(kernels, dilations, thresholds, strict=True):
        padded = pad(values, steps, kernels.shape[3] // 2 * dilation, circular)
        responses = functional.conv1d(padded, kernel * STEEPNESS, dilation=dilation)  # (batch, kernel, time)
        responses = responses.masked_fill(past[:, None], -torch.inf)
        for each in threshold.unbind(dim=1):  # (kernel,)
            exceeds = responses - STEEPNESS * each[:, None]
            # 0 below -3, 1 above 3 and straight in between.
            found.append(functional.hardsigmoid(exceeds, inplace=True).sum(dim=2) / steps[:, None])
    return torch.cat(found, dim=1)
