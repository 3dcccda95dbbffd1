"""The series that are least like any others, and where each differs most from the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrae.data.calendar import time_text
from vrae.describe.curves import bin_means, quiet_nan
from vrae.describe.words import plain
from vrae.report.data import Floats, ReportData

__all__ = ["Anomaly", "describe_place", "most_anomalous", "score_of", "worst_place"]

_MOST = 12
_ENOUGH = 0.25  # of the median number of observed values
_CLEAR = 1.5  # times the typical error
_PLACES = 24  # a place is this fraction of a series, or one step of a short one


@dataclass(frozen=True)
class Anomaly:
    """A series and its worst place: ``times`` the model's typical error there, NaN = unknown."""

    index: int
    channel: int
    first: int
    last: int
    times: float

    @property
    def stands_out(self) -> bool:
        """Whether the error there is much larger than usual, so that the place tells something."""
        return self.times >= _CLEAR  # not if it is NaN


def most_anomalous(data: ReportData) -> list[Anomaly]:
    """Return the series with the lowest scores, lowest first, without those of very few values."""
    if data.scores is None or data.noise is None:
        return []
    observed = np.add.reduceat((~np.isnan(data.panel.values)).sum(axis=1), data.panel.offsets[:-1])
    known = np.flatnonzero(np.isfinite(data.scores) & (observed >= _ENOUGH * np.median(observed)))
    indices = known[np.argsort(data.scores[known], kind="stable")][:_MOST].tolist()
    return [Anomaly(i, *worst_place(data.series(i), data.reconstruction[i], data.noise[i])) for i in indices]


def worst_place(x: Floats, model: Floats, noise: Floats) -> tuple[int, int, int, float]:
    """Find where a series differs most from its reconstruction, both (n_channels, n_steps).

    ``noise`` (n_channels,) is the standard deviation of the model's error. Returns channel, first
    and last step, and the root mean squared error there as a multiple of ``noise``.
    """
    width = max(1, round(x.shape[1] / _PLACES))
    with quiet_nan():
        squares = ((x - model) / np.maximum(noise, 1e-12)[:, None]) ** 2
    means = bin_means(squares, width)  # (n_channels, n_places)
    if np.isnan(means).all():
        return 0, 0, x.shape[1] - 1, float("nan")
    channel, place = (int(i) for i in np.unravel_index(np.nanargmax(means), means.shape))
    last = min(x.shape[1], (place + 1) * width) - 1
    return channel, place * width, last, float(np.sqrt(means[channel, place]))


def score_of(data: ReportData, item: Anomaly) -> str:
    """Return how unusual a series is, as text."""
    assert data.scores is not None  # else there is no item
    return plain(round(-float(data.scores[item.index]), 1))


def describe_place(data: ReportData, item: Anomaly) -> str:
    """Say where the error of a series is largest, and how large it is."""
    if not np.isfinite(item.times):
        return "No value observed."
    if not item.stands_out:
        return "No place stands out: its shape as a whole is unusual."
    where = _place(data, item)
    channel = f" in {data.panel.channels[item.channel]}" if data.panel.n_channels > 1 else ""
    return f"Largest error {where}{channel}: {plain(round(item.times, 1))} times the typical error."


def _place(data: ReportData, item: Anomaly) -> str:
    """Return the dates of a place, or its times, or its steps counted from 1 as on the axes."""
    ends, times = [item.first, item.last], data.panel.times if data.times is None else data.times
    if times is None:
        words, unit = [f"{step + 1:,}" for step in ends], "step "
    else:
        words = [time_text(times[int(data.panel.offsets[item.index]) + step], None) for step in ends]
        unit = "" if data.times is not None else "time "
    first, last = words
    return f"at {unit}{first}" if first == last else f"from {unit}{first} to {last}"
