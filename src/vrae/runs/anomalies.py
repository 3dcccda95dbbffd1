"""Tables of what is unusual: a row a series, a row a step, or both."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.data.windows import Windows
from vrae.estimators.anomaly import VRAEAnomalyDetector
from vrae.runs.tables import table_writer

__all__ = ["judge_panel", "stretches", "window_steps", "write_anomalies", "write_columns"]

Columns = dict[str, npt.NDArray[Any]]


def write_anomalies(
    detector: VRAEAnomalyDetector, panels: Iterable[Panel], target: Path | None, steps: Path | None = None
) -> tuple[int, int]:
    """Judge the series of all panels; one row a series, and one a step if there is a place for them.

    Parameters
    ----------
    detector : VRAEAnomalyDetector
    panels : iterable of Panel
    target : Path or None
        id, anomaly (1 or 0), score (above 0 is an anomaly), the step that is furthest from what was expected, how far
        in standard deviations, static columns; see `table_writer`.
    steps : Path, optional
        id, step, time, and of every channel how far it is from what was expected.

    Returns
    -------
    n_anomalies, n_series : int
    """
    found = total = 0
    with ExitStack() as files:
        write = files.enter_context(table_writer(target))
        write_steps = files.enter_context(table_writer(steps)) if steps is not None else None
        for panel in panels:
            series, of_steps = judge_panel(detector, panel)
            write(series)
            if write_steps is not None:
                write_steps(of_steps)
            found, total = found + int(series["anomaly"].sum()), total + len(panel)
    return found, total


def judge_panel(detector: VRAEAnomalyDetector, panel: Panel) -> tuple[Columns, Columns]:
    """Return both tables of `write_anomalies` for one panel: a row a series, and a row a step."""
    score = -detector.decision_function(panel)  # (n_series,)
    away = detector.step_scores(panel).values  # (steps, channel)
    step, deviation = _furthest(panel, away)
    anomaly = (score > 0).astype(np.int64)
    static = {name: np.asarray(column) for name, column in panel.static.items()}
    columns = {"id": panel.ids, "anomaly": anomaly, "score": score, "step": step, "deviation": deviation}
    return {**columns, **static}, {**_step_columns(panel), **_by_channel(panel, away)}


def write_columns(columns: Columns, target: Path | None) -> None:
    """Write one table; see `table_writer`."""
    with table_writer(target) as write:
        write(columns)


def window_steps(detector: VRAEAnomalyDetector, cut: Windows) -> Columns:
    """Judge the steps of long series by the windows that they lie in.

    Returns
    -------
    dict of str to ndarray of shape (steps of all series,)
        id, step, time, anomaly (1 or 0), score: the mean of the windows' scores, above 0 is an anomaly; and of every
        channel how far it is from what was expected, in standard deviations.
    """
    score = cut.to_steps(-detector.decision_function(cut.panel))
    away = cut.to_steps(detector.step_scores(cut.panel).values)
    columns = {**_step_columns(cut.source), "anomaly": (score > 0).astype(np.int64), "score": score}
    return {**columns, **_by_channel(cut.source, away)}


def stretches(columns: Columns) -> list[tuple[Any, int, int, float]]:
    """Return the runs of anomalous steps in `window_steps`: id, first and last step, highest score; highest first."""
    marked = np.flatnonzero(columns["anomaly"])
    if len(marked) == 0:
        return []
    jumps = (np.diff(marked) > 1) | (columns["id"][marked[1:]] != columns["id"][marked[:-1]])
    runs = np.split(marked, np.flatnonzero(jumps) + 1)
    steps, score = columns["step"], columns["score"]
    found = [(columns["id"][r[0]], int(steps[r[0]]), int(steps[r[-1]]), float(score[r].max())) for r in runs]
    return sorted(found, key=lambda run: -run[3])


def _furthest(panel: Panel, away: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the step of each series that is furthest from what was expected, and how far; -1 and NaN for none."""
    size = np.nan_to_num(np.abs(away), nan=-1.0).max(axis=1)  # (steps,)
    owner = np.repeat(np.arange(len(panel)), panel.lengths)
    order = np.lexsort((-np.arange(len(size)), size, owner))  # of equal ones the first stands last
    last = order[panel.offsets[1:] - 1]
    far = size[last].astype(np.float64)
    return np.where(far < 0, -1, last - panel.offsets[:-1]), np.where(far < 0, np.nan, far)


def _step_columns(panel: Panel) -> Columns:
    lengths = panel.lengths
    step = np.arange(len(panel.values)) - np.repeat(panel.offsets[:-1], lengths)
    columns = {"id": np.repeat(panel.ids, lengths), "step": step}
    return columns if panel.times is None else {**columns, "time": panel.times}


def _by_channel(panel: Panel, away: npt.NDArray[Any]) -> Columns:
    names = ["deviation"] if panel.n_channels == 1 else [f"deviation {name}" for name in panel.channels]
    return {name: away[:, c].astype(np.float64) for c, name in enumerate(names)}
