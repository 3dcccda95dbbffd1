"""When dated series are high: by hour, weekday and month, and by part of the whole calendar."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from vrae.data.arrays import Array
from vrae.data.calendar import Calendar, local_times

__all__ = ["Timing"]

# Bins of each way to look at the time of a step.
_BINS = {"hour": 24, "weekday": 7, "month": 12, "part": 24}

# A calendar of at least this many days shows the months of a year.
_YEAR = 300


@dataclass(frozen=True)
class Timing:
    """Ways to look at the time of a step, for the series of one calendar.

    Parameters
    ----------
    views : tuple of str
        Of "hour" of the day, "weekday", "month" of the year and "part" of the calendar.
    start, end : str
        First and last time of the calendar of the training series, which has 24 parts.
    zone : str or None
        Zone in which a day is a day.
    """

    views: tuple[str, ...]
    start: str
    end: str
    zone: str | None = None

    @classmethod
    def of(cls, calendar: Calendar, times: Array) -> Self:
        """Return what to look at for the steps of a calendar: what is longer than a step."""
        start, end = times.min(), times.max()
        days = float((end - start) / np.timedelta64(1, "D"))
        shorter = {"hour": calendar.hours < 24, "weekday": calendar.hours < 24 * 7, "month": days >= _YEAR}
        return cls((*(view for view, holds in shorter.items() if holds), "part"), str(start), str(end), calendar.zone)

    @property
    def n_bins(self) -> int:
        """Number of values of a profile, per channel."""
        return sum(_BINS[view] for view in self.views)

    def profile(self, values: Array, observed: Array, times: Array) -> Array:
        """Return when each series is high, shape (batch, channel * n_bins).

        For every view, the squares of its values sum to about the fraction of the variance of the
        series that the view explains, less the fraction that chance explains.

        Parameters
        ----------
        values, observed : ndarray, shape (batch, time, channel)
            Values count where observed.
        times : ndarray of datetime64, shape (batch, time)
        """
        count = np.maximum(observed.sum(axis=1, keepdims=True), 1)  # (batch, 1, channel)
        centred = np.where(observed, values, 0.0)
        centred = np.where(observed, centred - centred.sum(axis=1, keepdims=True) / count, 0.0)
        spread = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / count)
        z = centred / np.where(spread > 0, spread, 1.0)
        found = [_bin_means(z, observed, code, _BINS[view], count[:, 0]) for view, code in self._codes(times)]
        return np.concatenate(found, axis=2).reshape(len(values), -1).astype(np.float32)

    def _codes(self, times: Array) -> list[tuple[str, Array]]:
        """Return the bin of every step (batch, time) in each view; -1 is none."""
        wall = local_times(times.ravel(), self.zone).reshape(times.shape)
        days = wall.astype("M8[D]")
        start, end = np.datetime64(self.start), np.datetime64(self.end)
        part = np.floor((times - start) / (end - start) * _BINS["part"] * (1 - 1e-9)).astype(np.int64)
        codes = {
            "hour": (wall - days) // np.timedelta64(1, "h"),
            "weekday": (days.astype(np.int64) + 3) % 7,
            "month": wall.astype("M8[M]").astype(np.int64) % 12,
            "part": np.where((part >= 0) & (part < _BINS["part"]), part, -1),
        }
        return [(view, codes[view].astype(np.int64)) for view in self.views]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore what `to_dict` returned."""
        return cls(**{**state, "views": tuple(state["views"])})


def _bin_means(z: Array, observed: Array, code: Array, n_bins: int, count: Array) -> Array:
    """Return the weighted means of standardised values by bin, shape (batch, channel, bin).

    They are shrunk by what means of unrelated values would be (James & Stein, "Estimation with
    quadratic loss", 1961), so that few values show no timing.
    """
    batch, _, channels = z.shape
    row = np.arange(batch)[:, None] * (n_bins + 1) + np.where(code < 0, n_bins, code)  # the last bin is dropped
    size = batch * (n_bins + 1)
    found = np.empty((batch, channels, n_bins))
    for channel in range(channels):
        total = np.bincount(row.ravel(), z[:, :, channel].ravel(), size).reshape(batch, -1)[:, :n_bins]
        seen = np.bincount(row.ravel(), observed[:, :, channel].ravel(), size).reshape(batch, -1)[:, :n_bins]
        found[:, channel] = total / np.sqrt(np.maximum(seen, 1) * count[:, [channel]])
        explained = np.square(found[:, channel]).sum(axis=1)  # (batch,)
        by_chance = ((seen > 0).sum(axis=1) - 1) / count[:, channel]
        shrinkage = 1 - by_chance / np.maximum(explained, 1e-12)
        found[:, channel] *= np.clip(shrinkage, 0, 1)[:, None]
    return found
