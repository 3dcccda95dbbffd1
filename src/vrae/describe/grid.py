"""Series on one grid of time, where their curves can be compared point by point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import local_times
from vrae.data.panel import Panel
from vrae.describe.curves import bin_means, quiet_nan
from vrae.describe.results import Window
from vrae.describe.time_words import span_of_time
from vrae.metrics import resample

__all__ = ["Grid"]

Floats = npt.NDArray[np.floating[Any]]

_POINTS = 200  # of the grid
_ENOUGH = 0.5  # of the series of a group, which must have a value where the group is spoken of


@dataclass(frozen=True)
class Grid:
    """Curves of series on a common grid.

    ``values`` (n_series, n_channels, n_points) are NaN where a series has none. The grid covers
    ``n_steps``: those of a calendar, which have ``times``, or those of series of one length. Series
    of different lengths are compared from start to end: ``n_steps`` is their median length then,
    and ``relative`` is True.
    """

    values: Floats
    channels: tuple[str, ...]
    n_steps: int
    relative: bool = False
    times: npt.NDArray[Any] | None = None
    unit: str = "steps"

    @classmethod
    def of(cls, panel: Panel, shapes: bool) -> Grid:
        """Put series on a grid: by date if they share a calendar, else from start to end.

        With ``shapes``, they have mean 0 and standard deviation 1.
        """
        common = panel.common_steps()
        if common is None or panel.calendar is None or panel.times is None or panel.times.dtype.kind != "M":
            n_steps = int(np.median(panel.lengths))
            X: Floats = resample(panel.to_padded(), min(_POINTS, n_steps))
            relative = bool(np.ptp(panel.lengths) > 0)
            return cls(_shapes(X) if shapes else X, panel.channels, n_steps, relative)
        first, times = common
        X = _on_calendar(panel, first, len(times))
        local = local_times(times, panel.zone)
        return cls(_shapes(X) if shapes else X, panel.channels, len(times), times=local, unit=panel.calendar.unit)

    def mean(self, rows: npt.NDArray[Any]) -> Floats:
        """Return the mean curve (n_channels, n_points), NaN where too few of the series exist."""
        with quiet_nan():
            mean = np.nanmean(self.values[rows], axis=0)
        return np.where(self._covered(rows), mean, np.nan)

    def deviation(self, rows: npt.NDArray[Any]) -> Floats:
        """Return the standard deviation from the mean curve, NaN as in `mean`."""
        with quiet_nan():
            deviation = np.nanstd(self.values[rows], axis=0)
        return np.where(self._covered(rows), deviation, np.nan)

    def _covered(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        known = ~np.isnan(self.values[rows])
        return np.asarray(known.sum(axis=0) >= max(1, _ENOUGH * len(known)))

    def windows(self, difference: Floats, notable: npt.NDArray[np.bool_]) -> Iterator[Window]:
        """Yield the runs of notable points of one sign (n_channels, n_points), largest first."""
        points = difference.shape[1]
        found = []
        for c, line in enumerate(np.where(notable, np.sign(difference), 0)):
            for run in np.split(np.arange(points), np.flatnonzero(np.diff(line)) + 1):
                if line[run[0]]:
                    found.append((-float(np.abs(difference[c, run]).sum()), c, run[0], run[-1]))
        for _, c, *ends in sorted(found):
            first, last = (round(float(p) * (self.n_steps - 1) / max(points - 1, 1)) for p in ends)
            size = float(difference[c, ends[0] : ends[1] + 1].mean())
            yield Window(
                self.channels[c],
                first,
                last,
                self.n_steps,
                size,
                time=None if self.times is None else span_of_time(self.times[first], self.times[last], self.unit),
                relative=self.relative,
                several_channels=len(self.channels) > 1,
            )


def _shapes(X: Floats) -> Floats:
    with quiet_nan():
        centred = X - np.nanmean(X, axis=2, keepdims=True)
        spread = np.nanstd(centred, axis=(1, 2), keepdims=True)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))


def _on_calendar(panel: Panel, first: npt.NDArray[np.int64], n_steps: int) -> Floats:
    """Return series (n_series, n_channels, n_points) by date, NaN where they do not exist."""
    width = -(-n_steps // _POINTS)
    found = np.empty((len(panel), panel.n_channels, -(-n_steps // width)))
    row = np.full((panel.n_channels, n_steps), np.nan)
    for i, series in enumerate(panel):
        row[:] = np.nan
        row[:, first[i] : first[i] + series.shape[1]] = series
        found[i] = bin_means(row, width)
    return found
