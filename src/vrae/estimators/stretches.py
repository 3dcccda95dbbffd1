"""Anomalous stretches: consecutive steps of a long series with scores above 0."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import time_text, zoned_times
from vrae.data.panel import Panel

__all__ = ["Stretch", "find_stretches"]

Floats = npt.NDArray[np.float64]


class Stretch(NamedTuple):
    """Anomalous steps of a series, one after another.

    Attributes
    ----------
    id
        Id of the series.
    start, end
        Times of the first and the last step. Without times, their numbers: 1, 2, ...
    score : float
        Highest score of its steps.
    channel : str
        Channel that differs most.
    """

    id: Any
    start: Any
    end: Any
    score: float
    channel: str

    def __str__(self) -> str:
        start, end = (_text(when) for when in (self.start, self.end))
        return f"{self.id}: {start} to {end}, score {self.score:.2f}"


def find_stretches(panel: Panel, scores: Floats, by_channel: Floats | None = None, gap: int = 0) -> list[Stretch]:
    """Join anomalous steps of each series to stretches, highest score first.

    Parameters
    ----------
    panel : Panel
    scores : ndarray of shape (total_steps,)
        Anomalous steps have scores above 0.
    by_channel : ndarray of shape (total_steps, n_channels), optional
        Scores of each channel. By default, the first channel is named.
    gap : int, default=0
        At most this many normal steps between anomalous ones belong to the stretch.
    """
    marked = np.flatnonzero(scores > 0)
    if len(marked) == 0:
        return []
    owners = np.searchsorted(panel.offsets, marked, side="right") - 1
    breaks = 1 + np.flatnonzero((np.diff(marked) > gap + 1) | (np.diff(owners) > 0))
    parts = zip(np.split(marked, breaks), owners[np.concatenate([[0], breaks])], strict=True)
    found = [_stretch(panel, steps, int(owner), scores, by_channel) for steps, owner in parts]
    return sorted(found, key=lambda stretch: -stretch.score)


def _stretch(
    panel: Panel, steps: npt.NDArray[np.int64], owner: int, scores: Floats, by_channel: Floats | None
) -> Stretch:
    first, last = int(steps[0]), int(steps[-1])
    channel = 0 if by_channel is None else int(np.nan_to_num(by_channel[steps], nan=-np.inf).max(axis=0).argmax())
    if panel.times is None:
        start, end = (1 + step - int(panel.offsets[owner]) for step in (first, last))
    else:
        start, end = zoned_times(panel.times[[first, last]], panel.zone)
    return Stretch(panel.ids[owner], start, end, float(scores[steps].max()), panel.channels[channel])


def _text(when: Any) -> str:
    return f"step {when:,}" if isinstance(when, int) else time_text(when, None)
