"""Tables of anomalies: one row per series, per time step, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import zoned_times
from vrae.data.panel import Panel
from vrae.data.sliding import SlidingWindows
from vrae.estimators.anomaly import VRAEAnomalyDetector
from vrae.estimators.anomaly_ends import active_ends, count_ends, note_of_counts
from vrae.estimators.stretches import Stretch
from vrae.phases import advance, announce
from vrae.runs.result_tables import map_panels
from vrae.runs.table_files import Columns, step_columns, table_writer

__all__ = [
    "long_series_columns",
    "score_names",
    "score_panel",
    "stretch_columns",
    "window_scores",
    "write_anomalies",
]

Floats = npt.NDArray[np.float64]


def write_anomalies(
    detector: VRAEAnomalyDetector,
    panels: Iterable[Panel],
    target: Path | None,
    steps: Path | None = None,
    *,
    tell: Callable[[str], None],
) -> tuple[int, int]:
    """Write the tables of `score_panel` for all panels. Return how many anomalies and series.

    ``tell`` gets a sentence about the anomalies, if there is something to say of all of them.
    """
    n_anomalies = n_series = 0
    ends: list[list[Any]] = []
    announce("Scoring")
    with ExitStack() as files:
        scores = score_names(detector.model_.channels_)
        write = files.enter_context(table_writer(target, scores))
        write_steps = files.enter_context(table_writer(steps, scores)) if steps is not None else None
        for by_series, by_step, part in map_panels(detector.model_, partial(score_panel, detector), panels):
            write(by_series)
            if write_steps is not None:
                write_steps(by_step)
            ends += part
            n_anomalies += int(by_series["anomaly"].sum())
            n_series += len(by_series["id"])
            advance(n_series, None, "series")
    if note := note_of_counts(ends):
        tell(note)
    return n_anomalies, n_series


def score_names(channels: Sequence[str]) -> list[str]:
    """Return the names of the columns with scores and deviations."""
    return ["score", "deviation", *(f"deviation {name}" for name in channels)]


def score_panel(detector: VRAEAnomalyDetector, panel: Panel) -> tuple[Columns, Columns, list[list[Any]]]:
    """Score a panel by series and by time step, without the series that the model drops.

    Returns
    -------
    by_series : dict of str to ndarray of shape (n_series,)
        id, anomaly (1 or 0), score (positive for anomalies), the step (1, 2, ...) with the largest
        deviation, 0 without any value, and its time, that deviation in standard deviations, static
        columns.
    by_step : dict of str to ndarray of shape (total_steps,)
        id, step (1, 2, ...), time, and the deviation of each channel.
    ends : list
        Counts of when series begin and end; see `vrae.estimators.anomaly_ends.count_ends`.
    """
    panel, _ = detector.model_.open(panel)
    usual, by_step = detector.score_series_and_steps(panel)
    score, deviations = detector.offset_ - usual, by_step.values  # (n_series,), (total_steps, n_channels)
    step, largest = _largest_deviation(panel, deviations)
    anomaly = (score > 0).astype(np.int64)
    static = {name: np.asarray(column) for name, column in panel.static.items()}
    columns = {"id": panel.ids, "anomaly": anomaly, "score": score, "step": step + 1, **_time_of(panel, step)}
    steps = {**step_columns(panel), **_channels(panel, deviations)}
    return {**columns, "deviation": largest, **static}, steps, count_ends(active_ends(panel), anomaly > 0)


def window_scores(detector: VRAEAnomalyDetector, windows: SlidingWindows) -> Columns:
    """Score the time steps of long series by the sliding windows that contain them.

    Returns id, step, time, anomaly (1 or 0), score (mean over the windows, positive for anomalies),
    and the deviation of each channel from its expectation, in standard deviations.
    """
    usual, by_step = detector.score_series_and_steps(windows.panel)
    score, deviations = windows.to_steps(detector.offset_ - usual), windows.to_steps(by_step.values)
    columns = {**step_columns(windows.source), "anomaly": (score > 0).astype(np.int64), "score": score}
    return {**columns, **_channels(windows.source, deviations)}


def long_series_columns(panel: Panel, scores: Floats, by_channel: Floats) -> Columns:
    """Return one row per step of long series: id, step, time, anomaly (1 or 0), and scores.

    Scores are positive for anomalies. Several channels have a score each.
    """
    columns = {**step_columns(panel), "anomaly": (scores > 0).astype(np.int64), "score": scores}
    names = [f"score {name}" for name in panel.channels] if panel.n_channels > 1 else []
    return {**columns, **{name: by_channel[:, channel] for channel, name in enumerate(names)}}


def stretch_columns(stretches: Sequence[Stretch], channels: Sequence[str]) -> Columns:
    """Return one row per stretch: its number, id, start, end, score and channel, if several."""
    names = Stretch._fields if len(channels) > 1 else Stretch._fields[:-1]
    columns = {name: _column([getattr(each, name) for each in stretches]) for name in names}
    return {"stretch": np.arange(1, 1 + len(stretches)), **columns}


def _column(values: list[Any]) -> npt.NDArray[Any]:
    """Return values of one type as an array of their own, datetimes of a zone as objects."""
    if not values or isinstance(values[0], datetime):
        column = np.empty(len(values), object)
        column[:] = values
        return column
    return np.array(values)


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
