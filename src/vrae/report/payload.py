"""The data a report carries: columns packed small, so that 200,000 series fit into one page.

Everything here ends as JSON in a script tag that is never executed. Numbers travel as base64 of plain
arrays; lines are brought to 16 bits each within its own range, more than a screen can show.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.plots.compute import Course, Floats, bin_means, decimate
from vrae.plots.maps import MAX_ARRANGED, METHODS, available_methods, project
from vrae.report.data import Traversal

__all__ = [
    "colorings",
    "drawn_lines",
    "latent_maps",
    "levels",
    "pack",
    "pack_courses",
    "pack_lines",
    "pack_scaled",
    "pack_traversal",
    "to_json",
]

_GAP = 65535  # code of a missing value in 16 bits
_TOP = 65534
_MAX_CATEGORIES = 20
_MAX_COLUMNS = 8
_LINE_STEPS = 300
_MAX_LEVELS = 400_000  # numbers in the columns of levels, a column a channel
_TRAVERSAL_STEPS = 120

Packed = dict[str, Any]


def to_json(payload: Mapping[str, Any]) -> str:
    """Write a payload as JSON that is safe inside an HTML script tag: no ``<``, no ``>``, no ``&``."""
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def pack(values: npt.ArrayLike, dtype: str) -> Packed:
    """Pack a column as base64 of little-endian ``dtype`` ("u1", "u2", "u4", "i4" or "f4")."""
    array = np.asarray(values).astype(f"<{dtype}")
    return {"type": dtype, "data": base64.b64encode(array.tobytes()).decode("ascii")}


def pack_scaled(values: Floats) -> Packed:
    """Pack a column of numbers in 16 bits within its own range; NaN is kept."""
    return pack_lines([values])


def pack_lines(lines: Sequence[Floats], positions: Sequence[npt.NDArray[Any]] | None = None) -> Packed:
    """Pack lines of any lengths, each in 16 bits within its own range.

    Parameters
    ----------
    lines : sequence of ndarray of shape (n_points,)
    positions : sequence of ndarray of shape (n_points,), optional
        Whole numbers from 0 to 2**32; without them, a line's points are its steps 0, 1, 2, ...
    """
    counts = np.array([len(line) for line in lines], np.int64)
    flat = np.concatenate([*lines, np.empty(0)])
    starts = np.cumsum(counts) - counts
    low, high = np.zeros(len(lines)), np.zeros(len(lines))
    for number, (start, count) in enumerate(zip(starts, counts, strict=True)):
        line = flat[start : start + count]
        observed = line[np.isfinite(line)]
        if len(observed):
            low[number], high[number] = observed.min(), observed.max()
    width = np.where(high > low, high - low, 1.0)
    scaled = (flat - np.repeat(low, counts)) / np.repeat(width, counts) * _TOP
    codes = np.where(np.isfinite(scaled), np.rint(np.nan_to_num(scaled)), _GAP)
    packed = {
        "count": pack(counts, "u4"),
        "low": pack(low, "f4"),
        "high": pack(low + width, "f4"),
        "values": pack(codes, "u2"),
    }
    if positions is not None:
        packed["positions"] = pack(np.concatenate([*positions, np.empty(0)]), "u4")
    return packed


def pack_courses(courses: Sequence[Course]) -> Packed:
    """Pack typical courses: of each cluster its low, middle and high line, channel by channel."""
    lines = [line for course in courses for part in (course.low, course.middle, course.high) for line in part]
    return pack_lines(lines)


def pack_traversal(traversal: Traversal) -> Packed:
    """Pack the curves of a traversal: lines in the order (direction, position, channel), brought to few steps."""
    n_steps = traversal.curves.shape[3]
    width = -(-n_steps // _TRAVERSAL_STEPS)
    curves = bin_means(traversal.curves.reshape(-1, n_steps).astype(np.float64), width)
    return {
        "positions": traversal.positions.round(4).tolist(),
        "steps": (np.arange(curves.shape[1]) * width + (width - 1) / 2).tolist(),
        "lines": pack_lines(list(curves)),
    }


def levels(panel: Panel) -> list[Floats]:
    """Return the mean of every series, (n_series,), for each channel: of as many channels as a page has room for."""
    n_channels = max(1, min(panel.n_channels, _MAX_LEVELS // len(panel)))
    starts = panel.offsets[:-1]
    found = []
    for channel in range(n_channels):
        values = panel.values[:, channel]
        observed = ~np.isnan(values)
        counts = np.add.reduceat(observed, starts, dtype=np.int64)
        sums = np.add.reduceat(np.where(observed, values, 0.0), starts, dtype=np.float64)
        means = np.divide(sums, counts, out=np.full(len(panel), np.nan), where=counts > 0)
        largest = np.maximum.reduceat(np.where(observed, np.abs(values), 0.0), starts)
        found.append(np.where(np.abs(means) < 1e-6 * largest, 0.0, means))  # what is left of float32's rounding
    return found


def latent_maps(Z: Floats, random_state: int = 0) -> list[dict[str, Any]]:
    """Return the maps of latent vectors (n_points, latent_size), by every method that is installed."""
    maps = []
    for method in available_methods():
        shown = project(Z, method, random_state=random_state, max_points=MAX_ARRANGED)
        everyone = len(shown.rows) == len(Z)
        maps.append(
            {
                "method": method,
                "name": METHODS[method],
                "titles": shown.titles,
                "note": shown.note,
                "x": pack_scaled(shown.points[:, 0]),
                "y": pack_scaled(shown.points[:, 1]),
                "points": None if everyone else pack(shown.rows, "u4"),
            }
        )
    return maps


def drawn_lines(
    panel: Panel, reconstruction: Panel, rows: npt.NDArray[np.int64], budget: int
) -> tuple[npt.NDArray[np.int64], Packed]:
    """Pack the first of ``rows`` that fit into ``budget`` numbers, originals and reconstructions.

    Returns
    -------
    ndarray of int, shape (n_drawn,)
        Which series are drawn.
    Packed
        Lines in the order (series, original or reconstruction, channel). With time stamps, positions are
        seconds since ``base`` (milliseconds since 1970).
    """
    dated = panel.times is not None and np.issubdtype(panel.times.dtype, np.datetime64)
    costs = 2 * panel.n_channels * np.minimum(panel.lengths[rows], _LINE_STEPS)
    crowded = bool((panel.lengths[rows] > _LINE_STEPS).any())
    if dated or crowded:
        costs = costs * 3  # positions of 32 bits beside values of 16
    rows = rows[: max(1, int(np.searchsorted(np.cumsum(costs), budget, side="right")))]
    seconds, base = _seconds(panel.times) if dated else (None, None)
    lines, positions = [], []
    for row in rows.tolist():
        start = int(panel.offsets[row])
        for series in (panel[row], reconstruction[row]):
            for line in series.T.astype(np.float64):
                steps = decimate(line, _LINE_STEPS)
                lines.append(line[steps])
                positions.append(steps if seconds is None else seconds[start + steps])
    return rows, {**pack_lines(lines, positions if dated or crowded else None), "base": base}


def _seconds(times: Any) -> tuple[npt.NDArray[np.int64], int]:
    """Return time stamps as seconds since the first, and the first in milliseconds since 1970."""
    stamps = times.astype("datetime64[s]").astype(np.int64)
    first = int(stamps.min())
    return stamps - first, 1000 * first


def colorings(columns: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """Return what the map can be coloured by besides the clusters: columns of shape (n_points,).

    Numbers become a scale; anything else, categories: the most frequent, the rest as "other".
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
