"""The scale of items: level and spread of what was observed of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CLIP", "ItemScale", "observed_mean", "typical_variation"]

Floats = npt.NDArray[np.float64]

# Scaled values are clipped to +-CLIP, so that one outlier cannot dominate a model.
CLIP = 10.0
# An outlier is further from the median than this multiple of the 75 % quantile of all deviations.
_OUTLIER = 6.0
# The prior of an item's variance counts as many steps.
_PRIOR_STEPS = 4.0


@dataclass(frozen=True)
class ItemScale:
    """Level and spread of items: ``(values - level) / spread`` has no unit.

    Attributes
    ----------
    level, spread : ndarray of float64, shape (n,)
    """

    level: Floats
    spread: Floats

    @classmethod
    def fit(cls, context: Floats, variation: float) -> ItemScale:
        """Estimate level and spread, robust to outliers.

        Parameters
        ----------
        context : ndarray of shape (n, n_context)
            NaN where not observed.
        variation : float
            `typical_variation` of all items. Its product with the mean absolute value of an item is
            the prior of the spread, which matters for items with few steps.
        """
        observed = ~np.isnan(context)
        count = np.maximum(observed.sum(axis=1), 1)
        level, size, variance = _moments(_clip_outliers(context), observed, count)
        prior = (variation * size) ** 2
        spread = np.sqrt((count * variance + _PRIOR_STEPS * prior) / (count + _PRIOR_STEPS))
        return cls(level, np.where(spread > 1e-9 * np.maximum(size, 1e-30), spread, 1.0))

    def transform(self, values: Floats) -> Floats:
        """Scale values (n, steps), and clip outliers."""
        return np.clip((values - self.level[:, None]) / self.spread[:, None], -CLIP, CLIP)

    def inverse_transform(self, scaled: Floats) -> Floats:
        """Return scaled values (n, steps) in the user's units."""
        return scaled * self.spread[:, None] + self.level[:, None]

    def select(self, indices: npt.NDArray[Any]) -> ItemScale:
        """Return the scales at ``indices``."""
        return ItemScale(self.level[indices], self.spread[indices])

    @property
    def zero(self) -> Floats:
        """Scaled value of 0 in the user's units, (n,)."""
        return np.clip(-self.level / self.spread, -CLIP, CLIP)


def typical_variation(context: Floats) -> float:
    """Return the median over items of the ratio of standard deviation to mean absolute value."""
    observed = ~np.isnan(context)
    count = np.maximum(observed.sum(axis=1), 1)
    _, size, variance = _moments(_clip_outliers(context), observed, count)
    known = (observed.sum(axis=1) >= 2 * _PRIOR_STEPS) & (size > 0)
    return float(np.median(np.sqrt(variance[known]) / size[known])) if known.any() else 1.0


def observed_mean(values: Floats, axis: int = 1) -> Floats:
    """Return the mean of the observed values, or NaN where there are none."""
    observed = ~np.isnan(values)
    count = observed.sum(axis=axis)
    total = np.where(observed, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _moments(context: Floats, observed: npt.NDArray[np.bool_], count: npt.NDArray[Any]) -> tuple[Floats, ...]:
    """Return mean, mean absolute value and variance of each row, each (n,)."""
    level = np.where(observed, context, 0.0).sum(axis=1) / count
    size = np.where(observed, np.abs(context), 0.0).sum(axis=1) / count
    variance = np.where(observed, (context - level[:, None]) ** 2, 0.0).sum(axis=1) / count
    return level, size, variance


def _clip_outliers(context: Floats) -> Floats:
    """Clip outliers of each row (n, n_context) to the limit for normal values."""
    median = _quantile(context, 0.5)[:, None]
    deviation = np.abs(context - median)
    # If most steps are equal (no sales), the others alone define what is normal.
    typical = _quantile(np.where(deviation > 0, deviation, np.nan), 0.75)[:, None]
    limit = _OUTLIER * np.where(np.isnan(typical), np.inf, typical)
    return np.clip(context, median - limit, median + limit)


def _quantile(values: Floats, q: float) -> Floats:
    """Return the quantile of the observed values of each row. Much faster than ``np.nanquantile``.

    NaN for a row without any.
    """
    ordered = np.sort(values, axis=1)  # NaN last
    last = np.maximum((~np.isnan(values)).sum(axis=1) - 1, 0)
    position = q * last
    low = np.floor(position).astype(np.int64)
    row = np.arange(len(values))
    left, right = ordered[row, low], ordered[row, np.minimum(low + 1, last)]
    return np.asarray(left + (position - low) * (right - left))
