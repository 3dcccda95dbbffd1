"""Series on one time grid, and the ranges of steps in which they differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe.results import Window
from vrae.metrics import resample

__all__ = ["find_windows", "on_one_grid", "thinned"]

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

_SAMPLE = 4096  # series that are compared at most
_POINTS = 200  # points of the common time grid


def thinned(indices: Indices) -> Indices:
    """Return evenly spaced indices, 4,096 at most."""
    return indices[:: max(1, -(-len(indices) // _SAMPLE))]


def on_one_grid(panel: Panel, *, shapes: bool) -> Floats:
    """Resample series to one time grid.

    Parameters
    ----------
    panel : Panel
    shapes : bool
        Scale each series to mean 0 and standard deviation 1.

    Returns
    -------
    ndarray of shape (n_series, n_channels, n_points)
    """
    X = resample(panel.to_padded(), min(_POINTS, int(np.median(panel.lengths))))
    if not shapes:
        return X
    centred = X - X.mean(axis=2, keepdims=True)
    spread = centred.std(axis=(1, 2), keepdims=True)
    return centred / np.where(spread > 0, spread, 1.0)


def find_windows(difference: Floats, notable: npt.NDArray[np.bool_], panel: Panel) -> Iterator[Window]:
    """Yield the runs of notable points of one sign, largest total difference first.

    Parameters
    ----------
    difference : ndarray of shape (n_channels, n_points)
    notable : ndarray of bool, shape (n_channels, n_points)
    panel : Panel
        Gives the names of the channels and the median length.
    """
    n_steps, points = int(np.median(panel.lengths)), difference.shape[1]
    found = []
    for c, line in enumerate(np.where(notable, np.sign(difference), 0)):
        cuts = np.flatnonzero(np.diff(line)) + 1
        for run in np.split(np.arange(points), cuts):
            if line[run[0]]:
                found.append((float(np.abs(difference[c, run]).sum()), c, run))
    for _, c, run in sorted(found, key=lambda entry: (-entry[0], entry[1], entry[2][0])):
        first, last = (round(float(p) * (n_steps - 1) / max(points - 1, 1)) for p in (run[0], run[-1]))
        yield Window(panel.channels[c], first, last, n_steps, float(difference[c, run].mean()))
