"""The loop of `vrae.nn.ppv`, compiled by numba. Imported on first use, since numba loads slowly.

A kernel has nine taps, three of weight 2 ("heavy") and six of weight -1. Its response is three
times the sum of the heavy taps minus the sum of all taps. The sum of all taps is the same for every
kernel of a dilation (Dempster, Schmidt & Webb, "MiniRocket", KDD 2021, section 3.2), and successive
kernels share two heavy taps. So a response costs one addition. Counting it takes a few vector
instructions more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["count"]

Floats = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]

# Steps are processed in whole blocks. A partial block would take as long as all the others.
_BLOCK = 32

# Response of a step after the end of a series: far below any threshold.
_NEVER = np.float32(-1e38)


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile a loop that releases the GIL, and cache the result where a folder can be written."""
    options: dict[str, Any] = {"nogil": True, "fastmath": True}  # sums may be reordered
    try:
        return njit(function, cache=True, **options)
    except RuntimeError:  # no writable cache folder
        return njit(function, **options)


@_compiled
def count(
    values: Floats,
    steps: Whole,
    kernels: Floats,
    dilations: Whole,
    thresholds: Floats,
    circular: bool,
    steepness: np.float32,
    found: Floats,
) -> None:
    """Fill ``found`` (batch, dilation, threshold, kernel); see `vrae.nn.ppv.proportions`."""
    n_channels, n_kernels, n_taps = values.shape[1], kernels.shape[1], kernels.shape[3]
    three, half = np.float32(3), np.float32(0.5)
    room = values.shape[2] + (n_taps - 1) * dilations.max() + _BLOCK
    signals = np.zeros((n_channels, room), np.float32)  # contribution of a heavy tap, per channel
    lights = np.zeros((n_channels, room), np.float32)  # sum of all taps, per channel
    signal, light = np.zeros(room, np.float32), np.zeros(room, np.float32)  # summed over a kernel's channels
    pair = np.zeros(room, np.float32)  # first two heavy taps minus all taps
    for at in range(len(dilations)):
        dilation = dilations[at]
        heavy, channels, signs, sizes, new_signal, new_pair = _plan(kernels[at])
        for row in range(len(values)):
            n = steps[row]
            width, whole = n + (n_taps - 1) * dilation, (n + _BLOCK - 1) // _BLOCK * _BLOCK
            for channel in range(n_channels):
                _spread(values[row, channel], n, dilation, n_taps, circular, steepness, signals[channel])
                _sum_taps(signals[channel], whole, dilation, n_taps, lights[channel])
            for kernel in range(n_kernels):
                if new_signal[kernel]:
                    signal[:width], light[:whole] = 0, 0
                    for place in range(sizes[kernel]):
                        _add(signals[channels[kernel, place]], signs[kernel, place], width, signal)
                        _add(lights[channels[kernel, place]], signs[kernel, place], whole, light)
                if new_pair[kernel]:
                    first = signal[heavy[kernel, 0] * dilation :][:whole]
                    second = signal[heavy[kernel, 1] * dilation :][:whole]
                    for step in range(whole):
                        pair[step] = first[step] + second[step] - light[step]
                    for step in range(n, whole):
                        pair[step] = _NEVER
                third = signal[heavy[kernel, 2] * dilation :][:whole]
                for threshold in range(thresholds.shape[2]):
                    least = steepness * thresholds[at, kernel, threshold]
                    total = three * np.float32(whole - n)  # cancels the steps after the end
                    for step in range(whole):
                        total += min(max(pair[step] + third[step] - least, -three), three)
                    found[row, at, threshold, kernel] = total / (6 * n) + half


@_compiled
def _plan(kernels: Floats) -> tuple[Whole, Whole, Floats, Whole, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return heavy taps, channels and signs of kernels, and changes between them."""
    n_kernels, n_channels, n_taps = kernels.shape
    heavy = np.zeros((n_kernels, 3), np.int64)
    channels = np.zeros((n_kernels, n_channels), np.int64)
    signs = np.zeros((n_kernels, n_channels), np.float32)
    sizes = np.zeros(n_kernels, np.int64)
    new_signal, new_pair = np.ones(n_kernels, np.bool_), np.ones(n_kernels, np.bool_)
    for kernel in range(n_kernels):
        for channel in range(n_channels):
            if kernels[kernel, channel, 0] == 0:
                continue
            place, size = 0, sizes[kernel]
            for tap in range(n_taps):
                weight = kernels[kernel, channel, tap]
                if abs(weight) > 1.5:
                    heavy[kernel, place] = tap
                    signs[kernel, size] = np.sign(weight)
                    place += 1
            channels[kernel, size] = channel
            sizes[kernel] += 1
        if kernel > 0:
            same = (channels[kernel] == channels[kernel - 1]) & (signs[kernel] == signs[kernel - 1])
            new_signal[kernel] = sizes[kernel] != sizes[kernel - 1] or not same.all()
            new_pair[kernel] = new_signal[kernel] or (heavy[kernel, :2] != heavy[kernel - 1, :2]).any()
    return heavy, channels, signs, sizes, new_signal, new_pair


@_compiled
def _spread(
    values: Floats, n: int, dilation: int, n_taps: int, circular: bool, steepness: np.float32, signal: Floats
) -> None:
    """Copy a channel with padding for the taps: zeros, or the other end. Heavy taps weigh three."""
    reach = n_taps // 2 * dilation
    weight = np.float32(3) * steepness
    for step in range(n):
        signal[reach + step] = weight * values[step]
    for step in range(reach):
        signal[step] = weight * values[(step - reach) % n] if circular else np.float32(0)
        signal[reach + n + step] = weight * values[step % n] if circular else np.float32(0)


@_compiled
def _sum_taps(signal: Floats, whole: int, dilation: int, n_taps: int, light: Floats) -> None:
    """Add up all taps, each of weight one."""
    for step in range(whole):
        light[step] = signal[step]
    for tap in range(1, n_taps):
        later = signal[tap * dilation :][:whole]
        for step in range(whole):
            light[step] += later[step]
    for step in range(whole):
        light[step] /= np.float32(3)


@_compiled
def _add(row: Floats, sign: np.float32, width: int, total: Floats) -> None:
    """Add a row, with a sign, to a total."""
    for step in range(width):
        total[step] += sign * row[step]
