"""Long series made comparable: one level and spread each, soft extremes, gaps bridged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.data.scaling import IQR_OF_NORMAL

__all__ = ["SeriesScale", "Tail", "bridge", "scale_of", "soften", "soften_panel", "tails_of"]

Floats = npt.NDArray[np.floating]

# A spread below this fraction of the level is rounding error.
_ROUNDING = 1e-6


class SeriesScale(NamedTuple):
    """Median and spread of the channels of a series, (n_channels,) each."""

    level: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]


class Tail(NamedTuple):
    """The last steps of a series that goes on: softened, and which values are missing."""

    values: npt.NDArray[np.float32]  # (n_steps, n_channels)
    missing: npt.NDArray[np.bool_]  # (n_steps, n_channels)


def scale_of(x: Floats) -> SeriesScale:
    """Return the scale of a series (n_steps, n_channels), whose extremes do not affect it.

    The spread is the interquartile range, as that of a normal distribution. If most values are
    equal, it is the standard deviation.
    """
    known = np.where(np.isnan(x).all(axis=0), 0.0, x.astype(np.float64))
    low, level, high = np.nanquantile(known, (0.25, 0.5, 0.75), axis=0)
    spread = (high - low) / IQR_OF_NORMAL
    least = _ROUNDING * np.maximum(np.abs(level), 1e-30)
    spread = np.where(spread > least, spread, np.nanstd(known, axis=0))
    return SeriesScale(level, np.where(spread > least, spread, 1.0))


def soften(x: Floats, scale: SeriesScale) -> npt.NDArray[np.float32]:
    """Return scaled values whose size is logarithmic far from the level: 1 is .7, and 100 is 4.6.

    So a spike of any height is a spike, and the rest of a window still counts.
    """
    scaled = (x - scale.level) / scale.spread
    return np.asarray(np.sign(scaled) * np.log1p(np.abs(scaled)), np.float32)


def bridge(x: npt.NDArray[np.float32], last: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
    """Fill gaps of a softened series (n_steps, n_channels).

    Without ``last`` (n_channels,), by straight lines. With it, which is the value before the first
    step, by the last known value, since a stream does not know what comes.
    """
    missing = np.isnan(x)
    if not missing.any():
        return x
    filled = x.copy()
    steps = np.arange(len(x))
    for channel, gap in enumerate(missing.T):
        if last is not None:
            known = np.maximum.accumulate(np.where(gap, -1, steps))
            filled[:, channel] = np.where(known < 0, last[channel], x[np.maximum(known, 0), channel])
        elif gap.all():
            filled[:, channel] = 0
        else:
            filled[gap, channel] = np.interp(steps[gap], steps[~gap], x[~gap, channel])
    return filled


def soften_panel(panel: Panel, scales: list[SeriesScale]) -> tuple[Panel, npt.NDArray[np.bool_]]:
    """Return scaled series without gaps, and which values (total_steps, n_channels) are missing."""
    parts = [bridge(soften(x.T, scale)) for x, scale in zip(panel, scales, strict=True)]
    return panel.with_values(np.concatenate(parts)), np.isnan(panel.values)


def tails_of(panel: Panel, missing: npt.NDArray[np.bool_], n_steps: int) -> list[Tail]:
    """Return the last steps of the series of a softened panel, ``n_steps`` of each at most."""
    bounds = zip(np.maximum(panel.offsets[:-1], panel.offsets[1:] - n_steps), panel.offsets[1:], strict=True)
    return [Tail(panel.values[a:b].copy(), missing[a:b].copy()) for a, b in bounds]
