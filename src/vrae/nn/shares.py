"""The share of a series' steps at which a convolution exceeds a threshold, for many kernels and thresholds at once.

All the time of pattern statistics goes into this. torch passes over the responses several times; on the CPU a compiled
loop does it while they are in the processor's cache. Both give the same, but for rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["STEEPNESS", "shares"]

# A response less than .05 from the threshold counts in part; responses have a spread of a few units.
STEEPNESS = 60.0

# Responses that torch works on together: 1 MiB of floats.
_CACHED = 1 << 18

Floats = npt.NDArray[np.float32]


def shares(padded: Tensor, steps: Tensor, kernels: Tensor, dilation: int, thresholds: Tensor) -> Tensor:
    """Count, for each series, the steps at which each kernel's response exceeds each of its thresholds.

    Parameters
    ----------
    padded : Tensor, shape (batch, channel, reach * dilation + time + reach * dilation)
        With room for a kernel, which reaches ``reach`` taps to either side, before the first and after the last step.
    steps : Tensor of int64, shape (batch,)
        Length of each series, up to ``time``.
    kernels : Tensor, shape (kernel, channel, tap)
        On each of its channels a kernel has the same taps, three of weight 2 and the others of weight -1, or the
        negative of that; on other channels zeros.
    dilation : int
        Steps between taps.
    thresholds : Tensor, shape (kernel, threshold)

    Returns
    -------
    Tensor, shape (batch, threshold * kernel)
        In [0, 1].
    """
    if torch.onnx.is_in_onnx_export():  # one graph for batches of any size
        return _in_torch(padded, steps, kernels, dilation, thresholds)
    if padded.device.type == "cpu":
        arrays = (padded.contiguous(), steps, kernels.contiguous(), thresholds.contiguous())
        found = np.empty((len(padded), thresholds.shape[1], len(kernels)), np.float32)
        _compiled()(*(a.numpy() for a in arrays), dilation, np.float32(STEEPNESS), found)
        return torch.from_numpy(found).flatten(1)
    few = max(1, _CACHED // (len(kernels) * padded.shape[2]))
    parts = zip(torch.split(padded, few), torch.split(steps, few), strict=True)
    return torch.cat([_in_torch(x, n, kernels, dilation, thresholds) for x, n in parts])


def _in_torch(padded: Tensor, steps: Tensor, kernels: Tensor, dilation: int, thresholds: Tensor) -> Tensor:
    responses = functional.conv1d(padded, kernels * STEEPNESS, dilation=dilation)  # (batch, kernel, time)
    past = torch.arange(responses.shape[2], device=responses.device) >= steps[:, None]  # (batch, time)
    responses = responses.masked_fill(past[:, None], -torch.inf)
    found = []
    for each in thresholds.unbind(dim=1):  # (kernel,)
        exceeds = responses - STEEPNESS * each[:, None]
        # 0 below -3, 1 above 3 and straight in between.
        found.append(functional.hardsigmoid(exceeds, inplace=True).sum(dim=2) / steps[:, None])
    return torch.cat(found, dim=1)


@functools.cache
def _compiled() -> Callable[..., None]:
    """Compile the loop, once for all times where the machine lets the result be kept."""
    from numba import njit

    # Sums may be taken in any order, so that several steps are added at once.
    options: dict[str, Any] = {"nogil": True, "fastmath": True}
    try:
        return njit(_count, cache=True, **options)
    except RuntimeError:  # no folder to keep it in
        return njit(_count, **options)


def _count(
    padded: Floats,
    steps: npt.NDArray[np.int64],
    kernels: Floats,
    thresholds: Floats,
    dilation: int,
    steepness: np.float32,
    found: Floats,
) -> None:
    """Fill ``found``, (batch, threshold, kernel); see `shares`. Loops are what the compiler wants."""
    n_kernels, n_channels, n_taps = kernels.shape
    three, zero, half = np.float32(3), np.float32(0), np.float32(0.5)
    signal = np.empty(padded.shape[2], np.float32)  # the sum of a kernel's channels
    light = np.empty(padded.shape[2], np.float32)  # its sum over all taps
    responses = np.empty(padded.shape[2], np.float32)
    heavy = np.zeros((n_kernels, 3), np.int64)  # places of the larger taps; their sign is the kernel's
    signs = np.zeros((n_kernels, n_channels), np.float32)
    for kernel in range(n_kernels):
        for channel in range(n_channels):
            place = 0
            for tap in range(n_taps):
                if abs(kernels[kernel, channel, tap]) > 1.5:
                    heavy[kernel, place] = tap * dilation
                    signs[kernel, channel] = np.sign(kernels[kernel, channel, tap])
                    place += 1
    for row in range(len(padded)):
        n = steps[row]
        width = n + (n_taps - 1) * dilation
        for kernel in range(n_kernels):
            if kernel == 0 or (signs[kernel] != signs[kernel - 1]).any():
                signal[:width] = zero
                for channel in range(n_channels):
                    sign, values = signs[kernel, channel], padded[row, channel]
                    if sign != zero:
                        for step in range(width):
                            signal[step] += sign * values[step]
                light[:n] = signal[:n]
                for tap in range(1, n_taps):
                    later = signal[tap * dilation : tap * dilation + n]
                    for step in range(n):
                        light[step] += later[step]
            a, b, c = heavy[kernel]
            first, second, third = signal[a : a + n], signal[b : b + n], signal[c : c + n]
            for step in range(n):
                responses[step] = steepness * (three * (first[step] + second[step] + third[step]) - light[step])
            for threshold in range(thresholds.shape[1]):
                least = steepness * thresholds[kernel, threshold]
                total = zero
                for step in range(n):
                    above = responses[step] - least
                    above = -three if above < -three else above
                    total += three if above > three else above
                found[row, threshold, kernel] = total / (6 * n) + half
