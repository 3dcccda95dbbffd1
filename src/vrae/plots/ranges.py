"""Charts of series with a range: what was expected, or what is forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.exceptions import InvalidDataError
from vrae.plots.charts import Chart, Line
from vrae.plots.palette import COLORS, INK
from vrae.plots.timeline import StepAxis

__all__ = ["expected_chart", "forecast_chart"]

Floats = npt.NDArray[np.floating[Any]]


def expected_chart(
    axis: StepAxis,
    x: npt.ArrayLike,
    low: npt.ArrayLike,
    middle: npt.ArrayLike,
    high: npt.ArrayLike,
    marked: npt.ArrayLike | None,
    title: str,
    unit: str,
) -> Chart:
    """Return a chart of one channel with its expected range, and with marked steps.

    All are of shape (n_steps,). By default, the steps outside the range are marked.
    """
    x, low, middle, high = (np.asarray(line, np.float64) for line in (x, low, middle, high))
    shapes = {np.shape(line) for line in (x, low, middle, high, x if marked is None else marked)}
    if len(shapes) > 1 or x.ndim != 1:
        raise InvalidDataError(
            f"Series, range and marks must be arrays of one length, (n_steps,); found the shapes {sorted(shapes)}. "
            "Draw one channel at a time."
        )
    outside = (x < low) | (x > high) if marked is None else np.asarray(marked, bool)
    places = axis.at(np.arange(len(x)))
    lines = [
        Line(places, high, COLORS[0], name="expected", opacity=0.16, low=low),
        Line(places, middle, COLORS[0], 1.2, "reconstruction"),
        Line(places, x, INK, 1.0, "series"),
    ]
    if outside.any():
        lines.append(Line(places[outside], x[outside], COLORS[3], 5, "anomalous", is_points=True))
    half = (places[1] - places[0]) / 2 if len(places) > 1 else 0
    spans = [(places[begin] - half, places[end] + half) for begin, end in _runs(outside)]
    return Chart(title, axis.title, unit, lines, spans)


def forecast_chart(
    past: npt.NDArray[Any],
    x: Floats,
    future: npt.NDArray[Any],
    mean: Floats,
    ranges: list[tuple[str, Floats, Floats]],
    titles: tuple[str, str, str],
) -> Chart:
    """Return a chart of an item: its past, its forecast and the ranges of outcomes, widest first.

    ``past`` (n_steps,) and ``future`` (horizon,) are places on the horizontal axis. ``titles`` are
    those of the chart and of both axes.
    """
    lines = [
        Line(future, high, COLORS[0], name=name, opacity=0.14 + 0.1 * n, low=low)
        for n, (name, low, high) in enumerate(ranges)
    ]
    known = np.flatnonzero(~np.isnan(x))
    if len(known) and _follows(past[known[-1]], future):
        future = np.concatenate([past[known[-1:]], future])
        mean = np.concatenate([x[known[-1:]], mean])
    lines += [Line(past, x, INK, 1.2, "past"), Line(future, mean, COLORS[0], 1.8, "forecast")]
    return Chart(titles[0], titles[1], titles[2], lines)


def _follows(last: Any, future: npt.NDArray[Any]) -> bool:
    """Return whether the first step of a forecast is the one after the last step."""
    return len(future) < 2 or bool(future[0] - last < 1.5 * (future[1] - future[0]))


def _runs(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the first and last step of every run of marked steps, (n_runs, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    return edges.reshape(-1, 2) - (0, 1)
