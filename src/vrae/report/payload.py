"""The data in the page, packed so that 200,000 series fit into one file.

Everything here becomes JSON in a script tag that is never executed. Numbers are base64 of plain
arrays. Lines are quantised to 16 bits, each within its own range: more than a screen can show.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.data.precision import float_type
from vrae.describe.curves import MAX_STEPS, means_of_runs, steps_of_mean, whole_means
from vrae.plots.charts import Floats, decimate
from vrae.plots.maps import MAX_FITTED, METHODS, available_methods, project
from vrae.report.data import DirectionCurves

__all__ = [
    "colorings",
    "drawn_lines",
    "latent_maps",
    "levels",
    "pack",
    "pack_directions",
    "pack_lines",
    "pack_scaled",
    "to_json",
]

_GAP = 65535  # code of a missing value in 16 bits
_TOP = 65534
_MAX_CATEGORIES = 20
_MAX_COLUMNS = 8
_LINE_STEPS = 300
_MAX_LEVELS = 400_000  # numbers in the columns of levels, one column per channel
_DIRECTION_NUMBERS = 200_000  # packed values of the curves along directions

Packed = dict[str, Any]


def to_json(payload: Mapping[str, Any]) -> str:
    """Serialise to JSON that is safe in an HTML script tag: without ``<``, ``>`` and ``&``."""
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def pack(values: npt.ArrayLike, dtype: str) -> Packed:
    """Pack a column as base64 of little-endian ``dtype`` ("u1", "u2", "u4", "i4", "f4" or "f8")."""
    array = np.asarray(values).astype(f"<{dtype}")
    return {"type": dtype, "data": base64.b64encode(array.tobytes()).decode("ascii")}


def pack_scaled(values: Floats) -> Packed:
    """Pack a column of numbers in 16 bits within its own range, keeping NaN."""
    return pack_lines([values])


def pack_lines(lines: Sequence[Floats], positions: Sequence[npt.NDArray[Any]] | None = None) -> Packed:
    """Pack lines of any lengths, each in 16 bits within its own range.

    ``positions`` of the points are integers below 2**32. Default: the steps 0, 1, 2, ...
    """
    counts = np.array([len(line) for line in lines], np.int64)
    low, high = np.zeros(len(lines)), np.zeros(len(lines))
    for number, line in enumerate(lines):
        observed = line[np.isfinite(line)]
        if len(observed):
            low[number], high[number] = observed.min(), observed.max()
    flat = np.concatenate([*lines, np.empty(0)])
    width = np.where(high > low, high - low, 1.0)
    scaled = (flat - np.repeat(low, counts)) / np.repeat(width, counts) * _TOP
    codes = np.where(np.isfinite(scaled), np.rint(np.nan_to_num(scaled)), _GAP)
    ends = "f8" if float_type(low, width) is np.float64 else "f4"
    packed = {
        "count": pack(counts, "u4"),
        "low": pack(low, ends),
        "high": pack(low + width, ends),
        "values": pack(codes, "u2"),
    }
    if positions is not None:
        packed["positions"] = pack(np.concatenate([*positions, np.empty(0)]), "u4")
    return packed


def pack_directions(directions: DirectionCurves, step_hours: float | None = None) -> Packed:
    """Pack curves along directions: lines in the order (direction, position, channel).

    ``step_hours`` are the hours of a step, if they are known.
    """
    n_steps = directions.curves.shape[3]
    n_lines = max(1, directions.curves.size // n_steps)
    width = steps_of_mean(n_steps, int(np.clip(_DIRECTION_NUMBERS // n_lines, 120, MAX_STEPS)), step_hours)
    curves = whole_means(directions.curves.reshape(-1, n_steps).astype(np.float64), width)
    steps = np.minimum(np.arange(curves.shape[1]) * width + (width - 1) / 2, n_steps - 1)
    return {
        "positions": directions.positions.round(4).tolist(),
        "steps": steps.tolist(),
        "lines": pack_lines(list(curves)),
    }


def levels(panel: Panel) -> list[Floats]:
    """Return the means of all series, (n_series,), for as many channels as the page can hold."""
    starts = panel.offsets[:-1]
    found = []
    for channel in range(max(1, min(panel.n_channels, _MAX_LEVELS // len(panel)))):
        values = panel.values[:, channel].astype(np.float64)
        means = means_of_runs(values[None], starts)[0]
        largest = np.maximum.reduceat(np.abs(np.nan_to_num(values)), starts)
        found.append(np.where(np.abs(means) < 1e-6 * largest, 0.0, means))  # float32 rounding noise
    return found


def latent_maps(Z: Floats) -> list[dict[str, Any]]:
    """Return a map of latent vectors (n_points, latent_size) by every available method."""
    maps = []
    for method in available_methods():
        shown = project(Z, method, max_points=MAX_FITTED)
        x, y = (pack_scaled(coordinate) for coordinate in shown.points.T)
        points = None if len(shown.indices) == len(Z) else pack(shown.indices, "u4")
        parts = {"method": method, "name": METHODS[method], "titles": shown.titles, "note": shown.note}
        maps.append({**parts, "x": x, "y": y, "points": points})
    return maps


def drawn_lines(
    panel: Panel,
    reconstruction: Panel,
    times: npt.NDArray[Any] | None,
    indices: npt.NDArray[np.int64],
    budget: int,
) -> tuple[npt.NDArray[np.int64], Packed]:
    """Pack series and their reconstructions: the first of ``indices`` that fit into ``budget``.

    ``budget`` is a number of packed values. Returns which series are packed, and their lines in the
    order (series, original or reconstruction, channel). With ``times``, the dates of all steps,
    positions are seconds since ``base``, which is in milliseconds since 1970.
    """
    dated = times is not None
    costs = 2 * panel.n_channels * np.minimum(panel.lengths[indices], _LINE_STEPS)
    crowded = bool((panel.lengths[indices] > _LINE_STEPS).any())
    if dated or crowded:
        costs = costs * 3  # positions of 32 bits in addition to values of 16 bits
    indices = indices[: max(1, int(np.searchsorted(np.cumsum(costs), budget, side="right")))]
    seconds = np.asarray(times, "M8[s]").astype(np.int64) if dated else np.zeros(1, np.int64)
    base = int(seconds.min())
    lines, positions = [], []
    for index in indices.tolist():
        start = int(panel.offsets[index])
        for series in (panel[index], reconstruction[index]):
            for line in series.astype(np.float64):
                steps = decimate(line, _LINE_STEPS)
                lines.append(line[steps])
                positions.append(seconds[start + steps] - base if dated else steps)
    packed = pack_lines(lines, positions if dated or crowded else None)
    return indices, {**packed, "base": 1000 * base if dated else None}


def colorings(columns: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """Pack the columns, each of shape (n_points,), that the map can be coloured by.

    Numbers become a scale. Anything else becomes categories: the most frequent ones and "other".
    """
    return [_coloring(str(name), np.asarray(values)) for name, values in list(columns.items())[:_MAX_COLUMNS]]


def _coloring(name: str, values: npt.NDArray[Any]) -> dict[str, Any]:
    is_number = np.issubdtype(values.dtype, np.number) and not np.iscomplexobj(values)
    if is_number and len(np.unique(values)) > _MAX_CATEGORIES:
        return {"name": name, "kind": "number", "values": pack_scaled(values.astype(np.float64))}
    texts = np.array([str(value) for value in values.tolist()])
    kinds, codes, counts = np.unique(texts, return_inverse=True, return_counts=True)
    if len(kinds) > _MAX_CATEGORIES:
        kept = np.sort(np.argsort(-counts, kind="stable")[: _MAX_CATEGORIES - 1])
        place = np.full(len(kinds), len(kept))
        place[kept] = np.arange(len(kept))
        kinds, codes = np.append(kinds[kept], f"other ({len(kinds) - len(kept):,} more)"), place[codes]
    return {"name": name, "kind": "category", "categories": kinds.tolist(), "codes": pack(codes, "u1")}
