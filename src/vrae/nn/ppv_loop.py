"""The loop of `vrae.nn.ppv`, compiled by numba. Imported on first use, since numba loads slowly.

A kernel has nine taps, three of weight 2 ("heavy") and six of weight -1. Its response is three
times the sum of the heavy taps minus the sum of all taps. The sum of all taps is the same for every
kernel of a dilation (Dempster, Schmidt & Webb, "MiniRocket", KDD 2021, section 3.2). The 84 kernels
of series with one channel run in fours that share two heavy taps. A response then costs little more
than one addition, and is never stored.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from vrae.exceptions import VRAEWarning, warn

__all__ = ["count"]

Floats = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]

# Steps are processed in whole blocks: one by one, the last few took as long as all the others.
_BLOCK = 16

# Steps that pass through all kernels together. They and their taps stay in the processor's cache.
_TILE = 4096

# Sum of all taps at a step after the end of a series. Its response is far below any threshold.
_NEVER = np.float32(1e38)

# The 84 kernels in fours: the two heavy taps that four kernels share, then the third of each.
_FOURS = """
    01-4568 02-1478 03-2678 12-3458 13-0568 23-5678 45-0128 46-0123 47-0123 48-0123 56-1348
    57-0134 58-1237 67-0345 68-0134 78-0346 26-0158 27-1568 05-2368 17-0368 34-0125
"""
_PAIRS = np.array([[int(tap) for tap in four[:2]] for four in _FOURS.split()])  # (four, 2)
_THIRDS = np.array([[int(tap) for tap in four[3:]] for four in _FOURS.split()])  # (four, 4)
_HEAVY = np.array(list(itertools.combinations(range(9), 3)))  # (kernel, 3)
_ORDER = np.array(  # (four, 4): the place of each kernel
    [
        [_HEAVY.tolist().index(sorted([*pair, third])) for third in four]
        for pair, four in zip(_PAIRS, _THIRDS, strict=True)
    ]
)


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile a loop that releases the GIL, and keep the result where a folder can be written."""
    options: dict[str, Any] = {"nogil": True, "fastmath": True}  # sums may be reordered
    try:
        return njit(function, cache=True, **options)
    except RuntimeError:
        _say_uncached()
        return njit(function, **options)


@functools.cache  # once for all functions
def _say_uncached() -> None:
    warn(
        "numba cannot keep compiled code, because neither the folder of vrae nor the user's cache folder can be "
        "written. The first fit of every process takes some seconds longer. Set the environment variable "
        "NUMBA_CACHE_DIR to a folder that can be written.",
        VRAEWarning,
    )


def count(
    values: Floats,
    steps: Whole,
    kernels: Floats,
    dilations: Sequence[int],
    thresholds: Floats,
    circular: bool,
    steepness: float,
) -> Floats:
    """Return proportions (batch, dilation, threshold, kernel); see `vrae.nn.ppv.proportions`."""
    n_dilations, n_kernels, n_thresholds = thresholds.shape
    found = np.zeros((len(values), n_dilations, n_thresholds, n_kernels), np.float32)
    if not n_dilations:
        return found
    is_heavy = np.abs(kernels).max(axis=2) > 1.5  # (dilation, kernel, tap)
    heavy = np.nonzero(is_heavy)[2].reshape(n_dilations, n_kernels, 3)
    signs = np.sign(kernels[..., 0]) * np.where(is_heavy[..., :1], 1, -1)  # (dilation, kernel, channel)
    in_fours = (
        values.shape[1] == 1 and heavy.shape[1:] == _HEAVY.shape and (heavy == _HEAVY).all() and (signs == 1).all()
    )
    plan = np.asarray(dilations, np.int64), heavy, signs.astype(np.float32), bool(in_fours)
    _count(values, steps, *plan, np.float32(steepness) * thresholds, circular, np.float32(3 * steepness), found)
    return found


@_compiled
def _count(
    values: Floats,
    steps: Whole,
    dilations: Whole,
    heavy: Whole,
    signs: Floats,
    in_fours: bool,
    thresholds: Floats,
    circular: bool,
    weight: np.float32,
    found: Floats,
) -> None:
    """Fill ``found``, which is zero. Kernels have ``heavy`` taps and ``signs`` on the channels."""
    n_channels = values.shape[1]
    room = values.shape[2] + 8 * dilations.max() + _BLOCK
    signals = np.zeros((n_channels, room), np.float32)  # contribution of a heavy tap
    lights = np.zeros((n_channels, _TILE), np.float32)  # sum of all taps
    responses = np.zeros(_TILE, np.float32)
    for at in range(len(dilations)):
        dilation = dilations[at]
        for row in range(len(values)):
            n, total = steps[row], found[row, at]
            for channel in range(n_channels):
                _spread(values[row, channel], n, 4 * dilation, circular, weight, signals[channel])
            for start in range(0, n, _TILE):
                here = min(n - start, _TILE)
                whole = (here + _BLOCK - 1) // _BLOCK * _BLOCK
                for channel in range(n_channels):
                    _sum_taps(signals[channel][start:], here, whole, dilation, lights[channel])
                if in_fours:
                    _count_fours(signals[0][start:], lights[0], whole, dilation, thresholds[at], total)
                    continue
                for kernel in range(heavy.shape[1]):
                    is_first = True
                    for channel in range(n_channels):
                        sign = signs[at, kernel, channel]
                        if sign != 0:
                            signal, light, taps = signals[channel][start:], lights[channel], heavy[at, kernel]
                            _respond(signal, light, sign, dilation, taps, whole, is_first, responses)
                            is_first = False
                    responses[here:whole] = -_NEVER
                    _count_one(responses, whole, thresholds[at, kernel], total[:, kernel])
            beyond = (n + _BLOCK - 1) // _BLOCK * _BLOCK - n  # steps, which count -3 each
            for threshold in range(total.shape[0]):
                for kernel in range(total.shape[1]):
                    inside = total[threshold, kernel] + np.float32(3 * beyond)
                    total[threshold, kernel] = inside / np.float32(6 * n) + np.float32(0.5)


@_compiled
def _count_fours(signal: Floats, light: Floats, whole: int, dilation: int, least: Floats, total: Floats) -> None:
    """Add the clipped responses of all kernels to ``total`` (threshold, kernel)."""
    three = np.float32(3)
    light = light[:whole]
    for four in range(len(_ORDER)):
        first, second = signal[_PAIRS[four, 0] * dilation :][:whole], signal[_PAIRS[four, 1] * dilation :][:whole]
        a, b = signal[_THIRDS[four, 0] * dilation :][:whole], signal[_THIRDS[four, 1] * dilation :][:whole]
        c, d = signal[_THIRDS[four, 2] * dilation :][:whole], signal[_THIRDS[four, 3] * dilation :][:whole]
        at_a, at_b, at_c, at_d = _ORDER[four, 0], _ORDER[four, 1], _ORDER[four, 2], _ORDER[four, 3]
        for threshold in range(least.shape[1]):
            least_a, least_b = least[at_a, threshold], least[at_b, threshold]
            least_c, least_d = least[at_c, threshold], least[at_d, threshold]
            of_a, of_b, of_c, of_d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for step in range(whole):
                pair = first[step] + second[step] - light[step]
                of_a += min(max(pair + a[step] - least_a, -three), three)
                of_b += min(max(pair + b[step] - least_b, -three), three)
                of_c += min(max(pair + c[step] - least_c, -three), three)
                of_d += min(max(pair + d[step] - least_d, -three), three)
            total[threshold, at_a] += of_a
            total[threshold, at_b] += of_b
            total[threshold, at_c] += of_c
            total[threshold, at_d] += of_d


@_compiled
def _respond(
    signal: Floats,
    light: Floats,
    sign: np.float32,
    dilation: int,
    heavy: Whole,
    whole: int,
    is_first: bool,
    total: Floats,
) -> None:
    """Add the response to a channel to that to the channels before it, in ``total``."""
    a, b = signal[heavy[0] * dilation :][:whole], signal[heavy[1] * dilation :][:whole]
    c = signal[heavy[2] * dilation :][:whole]
    if is_first:
        for step in range(whole):
            total[step] = sign * (a[step] + b[step] + c[step] - light[step])
    else:
        for step in range(whole):
            total[step] += sign * (a[step] + b[step] + c[step] - light[step])


@_compiled
def _count_one(responses: Floats, whole: int, thresholds: Floats, total: Floats) -> None:
    """Add the clipped responses of one kernel to ``total`` (threshold,)."""
    three = np.float32(3)
    for threshold in range(len(thresholds)):
        least, clipped = thresholds[threshold], np.float32(0)
        for step in range(whole):
            clipped += min(max(responses[step] - least, -three), three)
        total[threshold] += clipped


@_compiled
def _spread(values: Floats, n: int, reach: int, circular: bool, weight: np.float32, signal: Floats) -> None:
    """Copy a channel with padding for the taps: zeros, or the other end."""
    for step in range(n):
        signal[reach + step] = weight * values[step]
    for step in range(reach):
        signal[step] = weight * values[(step - reach) % n] if circular else np.float32(0)
        signal[reach + n + step] = weight * values[step % n] if circular else np.float32(0)


@_compiled
def _sum_taps(signal: Floats, n: int, whole: int, dilation: int, light: Floats) -> None:
    """Add up all nine taps, each of weight one. Nothing exceeds a threshold from step n on."""
    third = np.float32(1 / 3)
    for step in range(whole):
        light[step] = signal[step] * third
    for tap in range(1, 9, 2):
        one, other = signal[tap * dilation :][:whole], signal[(tap + 1) * dilation :][:whole]
        for step in range(whole):
            light[step] += (one[step] + other[step]) * third
    light[n:whole] = _NEVER
