"""Scale series to a common level and spread.

``scaled = (values - level) / spread``, with one level and one spread per series and channel. They
are computed for each batch, so scaling never copies the panel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.config import check_choice
from vrae.data.panel import Array, Panel, Values
from vrae.data.precision import COARSE, FINE, rounding_noise
from vrae.data.timing import Timing
from vrae.exceptions import DataWarning, warn

__all__ = ["CONSTANT", "IQR_OF_NORMAL", "SCALINGS", "Scaler"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SCALINGS = ("series", "channel", "robust")

# Unscaled values beyond this are too large to learn from.
_LARGE = 1e6

# Interquartile range of a normal distribution, in standard deviations.
IQR_OF_NORMAL = 1.349

# A spread below this fraction of the level is rounding error: the series is constant. For values
# from float32; see `rounding_noise` for others.
CONSTANT = COARSE

# Lowest size that a level counts as, so that spreads stay far from underflow: float32, float64.
_LEAST_LEVELS = 1e-30, 1e-270


class Scaler:
    """Compute the level and spread of series.

    - "series": mean and standard deviation of each series. Values next to a gap also represent
      half of the gap. The channels of a series, each first standardized over all training
      series, share one level and spread. So differences between them are kept.
    - "channel": mean and standard deviation of each channel over all training series. So
      differences in level between series are kept.
    - "robust": median and interquartile range (divided by 1.349) of each series and channel,
      which outliers do not affect.

    ``level`` and ``spread`` (n_channels,) are those of the training series, if `fit` learns them.
    ``bridges_gaps`` is False in models of format 1. ``timing`` is what to look at in the time
    stamps of series on one calendar; None if time does not matter.
    """

    def __init__(self, scaling: str | None = "series") -> None:
        if scaling is not None:
            check_choice("scaling", scaling, SCALINGS)
        self.scaling = scaling
        self.level: Floats | None = None
        self.spread: Floats | None = None
        self.bridges_gaps = True
        self.timing: Timing | None = None

    def fit(self, panel: Panel) -> Scaler:
        """Learn the level and spread of the channels, if ``scaling`` uses them.

        Warn if nothing is scaled, and the values are too large for a network.
        """
        if self.scaling is None:
            _warn_of_large_values(panel)
        if self.scaling == "channel" or (self.scaling == "series" and panel.n_channels > 1):
            observed = sum(np.sum(~np.isnan(part), axis=0) for part in panel.slices())
            count = np.maximum(observed, 1)
            total = sum(np.nansum(part, axis=0, dtype=np.float64) for part in panel.slices())
            self.level = total / count
            squares = sum(np.nansum((part - self.level) ** 2, axis=0) for part in panel.slices())
            noise = np.full(self.level.shape, COARSE if panel.values.dtype == np.float32 else FINE)
            self.spread = _safe_spread(np.sqrt(squares / count), self.level, noise)
        return self

    def statistics(self, values: Values, observed: Mask) -> tuple[Floats, Floats]:
        """Return the level and spread (batch, channel) of padded series (batch, time, channel).

        They are 0 and 1 for a channel without observed values. The spread of a constant one is 1.
        """
        batch, _, channels = values.shape
        if self.scaling is None:
            return np.zeros((batch, channels)), np.ones((batch, channels))
        noise = rounding_noise(values, observed)
        if self.scaling == "robust":
            return _median_and_iqr(values, observed, noise)
        if self.scaling == "channel":
            assert self.level is not None
            assert self.spread is not None
            return np.tile(self.level, (batch, 1)), np.tile(self.spread, (batch, 1))
        weights = _gap_weights(observed) if self.bridges_gaps else observed.astype(np.float32)
        if self.level is None or self.spread is None:  # one channel, or a model of format 1
            return _mean_and_deviation(values, weights, noise, over=(1,))
        standardized = (values - self.level) / self.spread  # (batch, time, channel)
        common = noise.min(axis=1, keepdims=True)  # (batch, 1)
        level, spread = _mean_and_deviation(standardized, weights, common, over=(1, 2))  # (batch, 1)
        return self.level + self.spread * level, self.spread * spread

    def to_dict(self) -> dict[str, Any]:
        """Return the state as values that JSON can hold."""
        return {
            "scaling": self.scaling,
            "level": None if self.level is None else self.level.tolist(),
            "spread": None if self.spread is None else self.spread.tolist(),
            "bridges_gaps": self.bridges_gaps,
            "timing": None if self.timing is None else self.timing.to_dict(),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Scaler:
        """Restore a scaler from the result of `to_dict`."""
        scaler = cls(state["scaling"])
        scaler.bridges_gaps = state["bridges_gaps"]
        scaler.timing = state["timing"] and Timing.from_dict(state["timing"])
        if state["level"] is not None:
            scaler.level, scaler.spread = np.asarray(state["level"]), np.asarray(state["spread"])
        return scaler


def _mean_and_deviation(values: Array, weights: Values, noise: Floats, over: tuple[int, ...]) -> tuple[Floats, Floats]:
    total = np.maximum(weights.sum(axis=over, keepdims=True), 1)
    # In float64, so that values close to the maximum of float32 do not overflow.
    weighted = np.multiply(np.where(weights > 0, values, 0.0), weights, dtype=np.float64)
    level = weighted.sum(axis=over, keepdims=True) / total
    centred = np.where(weights > 0, values - level, 0.0)
    spread = np.sqrt((np.square(centred) * weights).sum(axis=over, keepdims=True) / total)
    return level[:, 0], _safe_spread(spread[:, 0], level[:, 0], noise)


def _gap_weights(observed: Mask) -> Values:
    """Return the number of steps that each value represents: its own, and half of adjacent gaps.

    Without weights, two similar series with different gaps would be scaled differently.
    """
    if observed[:, :-1].all():  # a missing last step is not a gap
        return observed.astype(np.float32)
    n_steps = observed.shape[1]
    time = np.arange(n_steps)[None, :, None]
    # The last observed step up to now (-1: none), and the next one from now on (n_steps: none).
    previous = np.maximum.accumulate(np.where(observed, time, -1), axis=1)
    following = np.minimum.accumulate(np.where(observed, time, n_steps)[:, ::-1], axis=1)[:, ::-1]
    gap_before, gap_after = np.zeros(observed.shape, np.float32), np.zeros(observed.shape, np.float32)
    gap_before[:, 1:] = np.where(previous[:, :-1] >= 0, time[:, 1:] - previous[:, :-1] - 1, 0)
    gap_after[:, :-1] = np.where(following[:, 1:] < n_steps, following[:, 1:] - time[:, :-1] - 1, 0)
    return np.where(observed, 1 + (gap_before + gap_after) / 2, 0).astype(np.float32)


def _median_and_iqr(values: Values, observed: Mask, noise: Floats) -> tuple[Floats, Floats]:
    known = np.where(observed, values, np.nan).astype(np.float64)
    empty = ~observed.any(axis=1, keepdims=True)
    known = np.where(empty, 0.0, known)  # nanquantile would warn about channels without values
    low, level, high = np.nanquantile(known, (0.25, 0.5, 0.75), axis=1)
    spread = (high - low) / IQR_OF_NORMAL
    # For mostly constant series (intermittent sales) it is 0. Use the mean absolute deviation.
    mean_deviation = np.nanmean(np.abs(known - level[:, None]), axis=1)
    spread = np.where(spread > noise * np.abs(level), spread, mean_deviation)
    return level, _safe_spread(spread, level, noise)


def _safe_spread(spread: Floats, level: Floats, noise: Floats) -> Floats:
    """Return the spread, or 1 if it is rounding noise: below a fraction ``noise`` of the level."""
    least = np.where(noise >= COARSE, *_LEAST_LEVELS)
    return np.where(spread > noise * np.maximum(np.abs(level), least), spread, 1.0)


def _warn_of_large_values(panel: Panel) -> None:
    """Warn that values which are used as they are lose their steps, or cannot be learned."""
    largest = max((float(np.fmax.reduce(np.abs(part), axis=None, initial=0.0)) for part in panel.slices()), default=0.0)
    if largest > _LARGE or panel.values.dtype != np.float32:
        too_fine = "" if panel.values.dtype == np.float32 else " and steps that are too small for float32 beside them"
        warn(
            f"scaling=None leaves the values as they are, and found values up to {largest:.3g}{too_fine}. A network "
            f"learns little from these. Use scaling='series', 'channel' or 'robust', or subtract the level first.",
            DataWarning,
        )
