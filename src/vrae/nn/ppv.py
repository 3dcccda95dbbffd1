"""Proportions of positive values (PPV): how often a convolution exceeds a threshold.

Pattern statistics spend most of their time here. torch passes over the responses several times. On
the CPU a compiled loop (`vrae.nn.ppv_loop`) counts while they are in the processor's cache. Both
give the same numbers up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vrae.nn.views import pad

__all__ = ["STEEPNESS", "by_convolution", "proportions"]

# A response within .05 of the threshold counts in part. Responses spread over a few units.
STEEPNESS = 60.0

# Responses that the convolution keeps at once: 128 MiB of floats.
_RESPONSES = 1 << 25


def proportions(
    values: Tensor, steps: Tensor, kernels: Tensor, dilations: Sequence[int], thresholds: Tensor, circular: bool
) -> Tensor:
    """Return the proportion of steps at which each kernel's response exceeds each threshold.

    Series (batch, channel, time), zero after their ``steps`` (batch,), kernels (dilation, kernel,
    channel, tap) and thresholds (dilation, kernel, threshold) give (batch, dilation * threshold *
    kernel). A kernel has the same nine taps on each of its channels, three of weight 2 and six of
    weight -1, or their negatives. It is zero on other channels. If ``circular``, the last step
    precedes the first. Otherwise zeros do.
    """
    if torch.onnx.is_in_onnx_export():  # one graph for batches of any size
        return _in_torch(values, steps, kernels, dilations, thresholds, circular)
    if values.device.type == "cpu":
        return _in_numba(values, steps, kernels, dilations, thresholds, circular)
    return by_convolution(values, steps, kernels, dilations, thresholds, circular)


def by_convolution(
    values: Tensor, steps: Tensor, kernels: Tensor, dilations: Sequence[int], thresholds: Tensor, circular: bool
) -> Tensor:
    """Compute `proportions` by torch, on any device, for a few series at a time."""
    few = max(1, _RESPONSES // (kernels.shape[1] * values.shape[2]))
    parts = zip(torch.split(values, few), torch.split(steps, few), strict=True)
    return torch.cat([_in_torch(x, n, kernels, dilations, thresholds, circular) for x, n in parts])


def _in_numba(
    values: Tensor, steps: Tensor, kernels: Tensor, dilations: Sequence[int], thresholds: Tensor, circular: bool
) -> Tensor:
    from vrae.nn.ppv_loop import count

    x, n, w, least = (tensor.contiguous().numpy() for tensor in (values, steps, kernels, thresholds))
    return torch.from_numpy(count(x, n, w, dilations, least, circular, STEEPNESS)).flatten(1)


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
