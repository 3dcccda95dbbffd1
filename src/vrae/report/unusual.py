"""The series that the model finds hardest to explain, and the place in each where it fails most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vrae.plots.compute import bin_means, quiet_nan
from vrae.report.data import Floats, ReportData
from vrae.report.describe import plain

__all__ = ["Unusual", "most_unusual", "place_in_words", "unusual_place"]

MOST = 12
_ENOUGH = 0.25  # of the usual number of observed values
_PLACES = 24  # a place is about this share of a series, or a step of a short one


@dataclass(frozen=True)
class Unusual:
    """A series and its worst place.

    Attributes
    ----------
    row : int
    channel : int
    first, last : int
        Steps between which the model is furthest off.
    times : float
        The error there, in the model's usual ones (root mean squares); NaN = unknown.
    """

    row: int
    channel: int
    first: int
    last: int
    times: float


def most_unusual(data: ReportData) -> list[Unusual]:
    """Return the series with the lowest scores, the most unusual first; none where there are no scores.

    Series of far fewer values than usual are passed over: there is nothing to see in them.
    """
    if data.scores is None or data.noise is None:
        return []
    observed = np.add.reduceat((~np.isnan(data.panel.values)).sum(axis=1), data.panel.offsets[:-1])
    known = np.flatnonzero(np.isfinite(data.scores) & (observed >= _ENOUGH * np.median(observed)))
    rows = known[np.argsort(data.scores[known], kind="stable")][:MOST]
    return [
        Unusual(int(row), *unusual_place(data.series(row), data.reconstruction[int(row)].T, data.noise[row]))
        for row in rows
    ]


def unusual_place(x: Floats, model: Floats, noise: Floats) -> tuple[int, int, int, float]:
    """Find where a series departs most from the model's version of it.

    Parameters
    ----------
    x, model : ndarray of shape (n_channels, n_steps)
    noise : ndarray of shape (n_channels,)
        Usual size of the model's error.

    Returns
    -------
    channel, first, last : int
        ``last`` belongs to the place.
    times : float
        Error there, in usual ones.
    """
    width = max(1, round(x.shape[1] / _PLACES))
    with quiet_nan():
        squares = ((x - model) / np.maximum(noise, 1e-12)[:, None]) ** 2
    means = bin_means(squares, width)  # (n_channels, n_places)
    if np.isnan(means).all():
        return 0, 0, x.shape[1] - 1, float("nan")
    channel, place = np.unravel_index(np.nanargmax(means), means.shape)
    last = min(x.shape[1], (int(place) + 1) * width) - 1
    return int(channel), int(place) * width, last, float(np.sqrt(means[channel, place]))


def place_in_words(data: ReportData, item: Unusual) -> str:
    """Say where a series is furthest off, and by how much: by its time stamps where it has them."""
    if not np.isfinite(item.times):
        return "No value observed."
    if item.times < 1:
        return "No place stands out: it is the course as a whole that is unusual."
    first, last, unit = f"{item.first:,}", f"{item.last:,}", "step"
    if data.panel.times is not None:
        start = int(data.panel.offsets[item.row])
        first, last = (_stamp(data.panel.times[start + step]) for step in (item.first, item.last))
        unit = "time"
    where = f"at {unit} {first}" if first == last else f"from {unit} {first} to {last}"
    channel = f" in {data.panel.channels[item.channel]}" if data.panel.n_channels > 1 else ""
    return f"Furthest off {where}{channel}: {plain(round(item.times, 1))} times the usual error."


def _stamp(time: Any) -> str:
    """Write a time stamp for reading: a date without a time of day where there is none."""
    if not np.issubdtype(np.asarray(time).dtype, np.datetime64):
        return str(time)
    return str(np.datetime64(time, "s")).removesuffix("T00:00:00").replace("T", " ")
