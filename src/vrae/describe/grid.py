"""Series on one grid of time, where their curves can be compared point by point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import local_times, time_text
from vrae.data.panel import Panel
from vrae.describe.curves import bin_means, quiet_nan
from vrae.describe.results import Window
from vrae.metrics import resample

__all__ = ["Grid"]

Floats = npt.NDArray[np.floating[Any]]

_POINTS = 200  # of the grid


@dataclass(frozen=True)
class Grid:
    """Curves of series on a common grid.

    ``values`` are of shape (n_series, n_channels, n_points). The grid covers ``n_steps``: those of
    a calendar, which have ``dates``, or those of a series of median length.
    """

    values: Floats
    channels: tuple[str, ...]
    n_steps: int
    dates: npt.NDArray[Any] | None = None

    @classmethod
    def of(cls, panel: Panel, shapes: bool) -> Grid:
        """Put series on a grid: by date if they share a calendar, else from start to end.

        With ``shapes``, they have mean 0 and standard deviation 1. A series has its mean where it
        does not exist.
        """
        common = panel.common_steps()
        if common is None or panel.times is None or panel.times.dtype.kind != "M":
            n_steps = int(np.median(panel.lengths))
            X: Floats = resample(panel.to_padded(), min(_POINTS, n_steps))
            return cls(_shapes(X) if shapes else X, panel.channels, n_steps)
        first, times = common
        X = _on_calendar(panel, first, len(times))
        return cls(_shapes(X) if shapes else X, panel.channels, len(times), local_times(times, panel.zone))

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
            dates = (
                None if self.dates is None else (time_text(self.dates[first], None), time_text(self.dates[last], None))
            )
            yield Window(self.channels[c], first, last, self.n_steps, size, dates)


def _shapes(X: Floats) -> Floats:
    centred = X - X.mean(axis=2, keepdims=True)
    spread = centred.std(axis=(1, 2), keepdims=True)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))


def _on_calendar(panel: Panel, first: npt.NDArray[np.int64], n_steps: int) -> Floats:
    """Return series (n_series, n_channels, n_points) by date, with their means elsewhere."""
    width = -(-n_steps // _POINTS)
    found = np.empty((len(panel), panel.n_channels, -(-n_steps // width)))
    row = np.full((panel.n_channels, n_steps), np.nan)
    for i, series in enumerate(panel):
        row[:] = np.nan
        row[:, first[i] : first[i] + series.shape[1]] = series
        found[i] = bin_means(row, width)
    with quiet_nan():
        mean = np.nan_to_num(np.nanmean(found, axis=2, keepdims=True))
    return np.where(np.isnan(found), mean, found)
