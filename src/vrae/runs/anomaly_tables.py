"""Tables of anomalies: one row per series, per time step, or both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import time_text, zoned_times
from vrae.data.panel import Panel
from vrae.data.sliding import SlidingWindows
from vrae.estimators.anomaly import VRAEAnomalyDetector
from vrae.phases import advance, announce
from vrae.runs.table_files import Columns, step_columns, table_writer

__all__ = ["find_segments", "score_names", "score_panel", "window_scores", "write_anomalies"]


def write_anomalies(
    detector: VRAEAnomalyDetector, panels: Iterable[Panel], target: Path | None, steps: Path | None = None
) -> tuple[int, int]:
    """Write the tables of `score_panel` for all panels. Return how many anomalies and series."""
    n_anomalies = n_series = 0
    announce("Scoring")
    with ExitStack() as files:
        scores = score_names(detector.model_.channels_)
        write = files.enter_context(table_writer(target, scores))
        write_steps = files.enter_context(table_writer(steps, scores)) if steps is not None else None
        for panel in panels:
            by_series, by_step = score_panel(detector, panel)
            write(by_series)
            if write_steps is not None:
                write_steps(by_step)
            n_anomalies += int(by_series["anomaly"].sum())
            n_series += len(by_series["id"])
            advance(n_series, None, "series")
    return n_anomalies, n_series


def score_names(channels: Sequence[str]) -> list[str]:
    """Return the names of the columns with scores and deviations."""
    return ["score", "deviation", *(f"deviation {name}" for name in channels)]


def score_panel(detector: VRAEAnomalyDetector, panel: Panel) -> tuple[Columns, Columns]:
    """Score a panel by series and by time step.

    Returns
    -------
    by_series : dict of str to ndarray of shape (n_series,)
        id, anomaly (1 or 0), score (positive for anomalies), the step (1, 2, ...) with the largest
        deviation, 0 without any value, and its time, that deviation in standard deviations, static
        columns.
    by_step : dict of str to ndarray of shape (total_steps,)
        id, step (1, 2, ...), time, and the deviation of each channel.
    """
    panel, _ = detector.model_.open(panel)  # without the series that it drops
    score = -detector.decision_function(panel)  # (n_series,)
    deviations = detector.step_scores(panel).values  # (total_steps, n_channels)
    step, largest = _largest_deviation(panel, deviations)
    anomaly = (score > 0).astype(np.int64)
    static = {name: np.asarray(column) for name, column in panel.static.items()}
    columns = {"id": panel.ids, "anomaly": anomaly, "score": score, "step": step + 1, **_time_of(panel, step)}
    return {**columns, "deviation": largest, **static}, {**step_columns(panel), **_channels(panel, deviations)}


def window_scores(detector: VRAEAnomalyDetector, windows: SlidingWindows) -> Columns:
    """Score the time steps of long series by the sliding windows that contain them.

    Returns id, step, time, anomaly (1 or 0), score (mean over the windows, positive for anomalies),
    and the deviation of each channel from its expectation, in standard deviations.
    """
    score = windows.to_steps(-detector.decision_function(windows.panel))
    deviations = windows.to_steps(detector.step_scores(windows.panel).values)
    columns = {**step_columns(windows.source), "anomaly": (score > 0).astype(np.int64), "score": score}
    return {**columns, **_channels(windows.source, deviations)}


class Segment(NamedTuple):
    """Consecutive anomalous steps of a series: the first, the last, and the highest score.

    ``times`` are those of the first and the last step, if the series have times.
    """

    id: Any
    first: int
    last: int
    score: float
    times: tuple[Any, Any] | None

    def __str__(self) -> str:
        first, last = self.times or (f"step {self.first:,}", f"step {self.last:,}")
        return f"{self.id}: {first} to {last}, score {self.score:.2f}"


def find_segments(columns: Columns) -> list[Segment]:
    """Join consecutive anomalous steps of `window_scores` to segments, highest score first."""
    marked = np.flatnonzero(columns["anomaly"])
    if len(marked) == 0:
        return []
    breaks = (np.diff(marked) > 1) | (columns["id"][marked[1:]] != columns["id"][marked[:-1]])
    segments = np.split(marked, np.flatnonzero(breaks) + 1)
    found = [_segment(columns, rows) for rows in segments]
    return sorted(found, key=lambda segment: -segment.score)


def _segment(columns: Columns, rows: npt.NDArray[np.int64]) -> Segment:
    first, last = int(rows[0]), int(rows[-1])
    own, steps, times = columns["id"][first], columns["step"], columns.get("time")
    ends = None if times is None else (time_text(times[first], None), time_text(times[last], None))
    return Segment(own, int(steps[first]), int(steps[last]), float(columns["score"][rows].max()), ends)


def _largest_deviation(
    panel: Panel, deviations: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the step with the largest deviation of each series, and its size; else -1 and NaN."""
    size = np.nan_to_num(np.abs(deviations), nan=-1.0).max(axis=1)  # (total_steps,)
    owner = np.repeat(np.arange(len(panel)), panel.lengths)
    order = np.lexsort((-np.arange(len(size)), size, owner))  # the first of equal steps comes last
    last = order[panel.offsets[1:] - 1]
    largest = size[last].astype(np.float64)
    return np.where(largest < 0, -1, last - panel.offsets[:-1]), np.where(largest < 0, np.nan, largest)


def _time_of(panel: Panel, step: npt.NDArray[np.int64]) -> Columns:
    """Return the time of one step of each series, as a column; none without times."""
    if panel.times is None:
        return {}
    times = zoned_times(panel.times[panel.offsets[:-1] + np.maximum(step, 0)], panel.zone)
    if (step < 0).any():  # no value observed
        times = times.astype(object)
        times[step < 0] = None
    return {"time": times}


def _channels(panel: Panel, deviations: npt.NDArray[Any]) -> Columns:
    names = ["deviation"] if panel.n_channels == 1 else [f"deviation {name}" for name in panel.channels]
    return dict(zip(names, deviations.astype(np.float64).T, strict=True))
