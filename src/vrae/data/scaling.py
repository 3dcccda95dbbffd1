"""Put every series on a common scale, and back.

A series' level and spread are two numbers a channel: ``scaled = (values - level) / spread``. They are worked
out where they are needed, a batch at a time, so scaling never copies the panel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.config import check_choice
from vrae.data.panel import Panel

__all__ = ["CONSTANT", "IQR_OF_NORMAL", "SCALINGS", "Scaler"]

SCALINGS = ("series", "channel", "robust")

# Half of the values of a normal distribution lie within its interquartile range of 1.349 standard deviations.
IQR_OF_NORMAL = 1.349

# A spread below this share of the level is rounding noise of float32: the series is constant.
CONSTANT = 1e-6


class Scaler:
    """Level and spread of series.

    Parameters
    ----------
    scaling : {"series", "channel", "robust"} or None
        "series": mean and standard deviation of each series, in which a value beside a gap also stands for half
        of it. Its channels, each brought to a common scale first,
        are scaled as one, so that it keeps which of them is higher, or moves more. "robust": median and interquartile
        range (over 1.349) of each series and channel; outliers do not move them. "channel": one mean and
        standard deviation a channel, learned from all training series, so differences in level between series
        are kept. None: leave the values as they are.
    """

    def __init__(self, scaling: str | None = "series") -> None:
        if scaling is not None:
            check_choice("scaling", scaling, SCALINGS)
        self.scaling = scaling
        self.level: npt.NDArray[np.float64] | None = None  # (channels,), usual ones, where they are learned
        self.spread: npt.NDArray[np.float64] | None = None
        self.bridges_gaps = True  # a model of format 1 goes by the observed values alone

    def fit(self, panel: Panel) -> Scaler:
        """Learn what is common to all series: the usual level and spread of the channels, where they matter."""
        if self.scaling == "channel" or (self.scaling == "series" and panel.n_channels > 1):
            observed = sum(np.sum(~np.isnan(part), axis=0) for part in panel.slices())
            count = np.maximum(observed, 1)
            total = sum(np.nansum(part, axis=0, dtype=np.float64) for part in panel.slices())
            self.level = total / count
            squares = sum(np.nansum((part - self.level) ** 2, axis=0) for part in panel.slices())
            self.spread = _safe_spread(np.sqrt(squares / count), self.level)
        return self

    def statistics(
        self, values: npt.NDArray[np.float32], observed: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return level and spread of padded series.

        Parameters
        ----------
        values : ndarray of shape (batch, time, channel)
            Anything where not observed.
        observed : ndarray of bool, same shape

        Returns
        -------
        level, spread : ndarrays of float64, shape (batch, channel)
            0 and 1 for a channel without observed values; spread 1 for a constant one.
        """
        batch, _, channels = values.shape
        if self.scaling is None:
            return np.zeros((batch, channels)), np.ones((batch, channels))
        if self.scaling == "channel":
            assert self.level is not None
            assert self.spread is not None
            return np.tile(self.level, (batch, 1)), np.tile(self.spread, (batch, 1))
        if self.scaling == "robust":
            return _median_and_iqr(values, observed)
        return self._mean_and_deviation(values, observed)

    def _mean_and_deviation(
        self, values: npt.NDArray[np.float32], observed: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        weights = _steps_spoken_for(observed) if self.bridges_gaps else observed.astype(np.float32)
        if self.level is None or self.spread is None:  # one channel, or a model of format 1: each channel by itself
            return _mean_and_deviation(values, weights, over=(1,))
        alike = (values - self.level) / self.spread  # (batch, time, channel)
        level, spread = _mean_and_deviation(alike, weights, over=(1, 2))  # (batch, 1)
        return self.level + self.spread * level, self.spread * spread

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON-ready values."""
        return {
            "scaling": self.scaling,
            "level": None if self.level is None else self.level.tolist(),
            "spread": None if self.spread is None else self.spread.tolist(),
            "bridges_gaps": self.bridges_gaps,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Scaler:
        """Build the scaler that `to_dict` described."""
        scaler = cls(state["scaling"])
        scaler.bridges_gaps = state["bridges_gaps"]
        if state["level"] is not None:
            scaler.level, scaler.spread = np.asarray(state["level"]), np.asarray(state["spread"])
        return scaler


def _mean_and_deviation(
    values: npt.NDArray[Any], weights: npt.NDArray[np.float32], over: tuple[int, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    total = np.maximum(weights.sum(axis=over, keepdims=True), 1)
    spoken = np.multiply(np.where(weights > 0, values, 0.0), weights, dtype=np.float64)  # near the end of float32 too
    level = spoken.sum(axis=over, keepdims=True) / total
    centred = np.where(weights > 0, values - level, 0.0)
    spread = np.sqrt((np.square(centred) * weights).sum(axis=over, keepdims=True) / total)
    return level[:, 0], _safe_spread(spread[:, 0], level[:, 0])


def _steps_spoken_for(observed: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return the steps each value (batch, time, channel) stands for: itself, and half of the gap on either side.

    Level and spread are then nearly those of the whole course. By the observed values alone they would depend on where
    it happened to be observed, and series of one course be scaled each in its own way.
    """
    if observed[:, :-1].all():  # nothing but the last step to bridge
        return observed.astype(np.float32)
    n_steps = observed.shape[1]
    time = np.arange(n_steps)[None, :, None]
    last = np.maximum.accumulate(np.where(observed, time, -1), axis=1)  # observed up to now, -1: none
    coming = np.minimum.accumulate(np.where(observed, time, n_steps)[:, ::-1], axis=1)[:, ::-1]  # from now on
    gap_before, gap_after = np.zeros(observed.shape, np.float32), np.zeros(observed.shape, np.float32)
    gap_before[:, 1:] = np.where(last[:, :-1] >= 0, time[:, 1:] - last[:, :-1] - 1, 0)
    gap_after[:, :-1] = np.where(coming[:, 1:] < n_steps, coming[:, 1:] - time[:, :-1] - 1, 0)
    return np.where(observed, 1 + (gap_before + gap_after) / 2, 0).astype(np.float32)


def _median_and_iqr(
    values: npt.NDArray[np.float32], observed: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    known = np.where(observed, values, np.nan).astype(np.float64)
    empty = ~observed.any(axis=1, keepdims=True)
    known = np.where(empty, 0.0, known)  # nanquantile warns about channels without a value
    low, level, high = np.nanquantile(known, (0.25, 0.5, 0.75), axis=1)
    spread = (high - low) / IQR_OF_NORMAL
    # Mostly constant series (intermittent sales) have no interquartile range, yet are not constant.
    mean_departure = np.nanmean(np.abs(known - level[:, None]), axis=1)
    spread = np.where(spread > CONSTANT * np.abs(level), spread, mean_departure)
    return level, _safe_spread(spread, level)


def _safe_spread(spread: npt.NDArray[np.float64], level: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(spread > CONSTANT * np.maximum(np.abs(level), 1e-30), spread, 1.0)
