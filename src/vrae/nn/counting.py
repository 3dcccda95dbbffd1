"""The loop of `vrae.nn.shares`, compiled by numba; imported when it is first needed, for numba is slow to load.

A kernel of nine taps, three of weight 2 and six of -1, responds by three times the sum of its three heavy taps, less
the sum of all taps. The latter is the same for every kernel of a dilation (Dempster, Schmidt & Webb, "MiniRocket", KDD
2021, section 3.2), and neighbouring kernels share two heavy taps. So a response costs one addition, and its part of the
share a few instructions more, which the processor does for several steps at once.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from vrae.nn.compiled import compiled

__all__ = ["count"]

Floats = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]

# Steps are worked on in whole blocks: the few that would be left over take as long as all the others.
_BLOCK = 32

# What a step past the end of a series responds with: far below any threshold.
_NEVER = np.float32(-1e38)

_compiled = partial(compiled, fastmath=True)  # sums may be taken in any order


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
    """Fill ``found``, (batch, dilation, threshold, kernel); see `vrae.nn.shares.shares`."""
    n_channels, n_kernels, n_taps = values.shape[1], kernels.shape[1], kernels.shape[3]
    three, half = np.float32(3), np.float32(0.5)
    room = values.shape[2] + (n_taps - 1) * dilations.max() + _BLOCK
    signals = np.zeros((n_channels, room), np.float32)  # what a heavy tap gives, of each channel
    lights = np.zeros((n_channels, room), np.float32)  # what all taps take away
    signal, light = np.zeros(room, np.float32), np.zeros(room, np.float32)  # of the channels of a kernel together
    pair = np.zeros(room, np.float32)  # the first two heavy taps, less all taps
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
                    total = three * np.float32(whole - n)  # takes back the steps past the end
                    for step in range(whole):
                        total += min(max(pair[step] + third[step] - least, -three), three)
                    found[row, at, threshold, kernel] = total / (6 * n) + half


@_compiled
def _plan(kernels: Floats) -> tuple[Whole, Whole, Floats, Whole, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Say what each kernel needs: its heavy taps, its channels and their signs, and what differs from the last."""
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
    """Copy a channel with room for the taps on either side: zeros, or the other end. Heavy taps weigh three."""
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
