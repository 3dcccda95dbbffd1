"""Whether the anomalies are series that begin later or end earlier than most."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe.words import percent

__all__ = ["active_ends", "count_ends", "note_of_counts", "note_on_ends"]

Floats = npt.NDArray[np.float64]

# A series begins later, or ends earlier, by this fraction of the usual length.
_CLEARLY = 0.1
# A note needs at least this many anomalies, of which more than this fraction differ, and this many
# times the fraction among all series.
_LEAST, _MAJORITY, _MORE = 3, 0.5, 2.0


def active_ends(panel: Panel) -> Floats:
    """Return the first and the last time with a value other than 0, (2, n_series); NaN without any.

    An item that is not sold any more has zeros, if missing rows are 0. Times are numbers, or steps
    of the series if the panel has none.
    """
    found = np.full((2, len(panel)), np.nan)
    active = np.flatnonzero((np.nan_to_num(panel.values) != 0).any(axis=1))
    first, after = np.searchsorted(active, panel.offsets[:-1]), np.searchsorted(active, panel.offsets[1:])
    known = np.flatnonzero(first < after)
    times = panel.times
    if times is not None and times.dtype.kind == "M":
        times = times.astype(np.int64)
    for side, rows in zip(found, (active[first[known]], active[after[known] - 1]), strict=True):
        side[known] = rows - panel.offsets[known] if times is None else times[rows]
    return found


def note_on_ends(ends: Floats, is_anomaly: npt.NDArray[np.bool_]) -> str:
    """Say how many anomalies begin or end otherwise than most series.

    Empty unless that is so for most of them, and for clearly more than of all series. A series of
    zeros alone does neither. ``ends`` is what `active_ends` returns, ``is_anomaly`` has shape
    (n_series,).
    """
    return note_of_counts(count_ends(ends, is_anomaly))


def count_ends(ends: Floats, is_anomaly: npt.NDArray[np.bool_]) -> list[list[Any]]:
    """Return rows of begin, end, whether they are anomalies, and how many series are alike in this.

    Values of JSON, null for the ends of series without any. Rows of several panels are a list
    together.
    """
    rows, counts = np.unique([*np.nan_to_num(ends, nan=np.inf), is_anomaly], axis=1, return_counts=True)
    alike = zip(*rows.tolist(), counts.tolist(), strict=True)
    return [[None if begin == np.inf else begin, None if end == np.inf else end, *rest] for begin, end, *rest in alike]


def note_of_counts(counted: list[list[Any]]) -> str:
    """Return what `note_on_ends` says of series that `count_ends` counted."""
    first, last, flags, counts = np.array(counted, np.float64).reshape(-1, 4).T
    is_anomaly, known = flags > 0, ~np.isnan(first)
    n = int(counts[is_anomaly].sum())
    if n < _LEAST or not known.any():
        return ""
    begin, end = (_median(side[known], counts[known]) for side in (first, last))
    margin = _CLEARLY * (end - begin)
    differs = (first > begin + margin) | (last < end - margin)  # NaN does not
    n_differ, of_all = int(counts[differs & is_anomaly].sum()), float(counts[differs].sum() / counts.sum())
    if n_differ <= _MAJORITY * n or n_differ < _MORE * of_all * n:
        return ""
    return (
        f"{n_differ:,} of the {n:,} anomalies begin later or end earlier than most series; of all series, "
        f"{percent(of_all)} do."
    )


def _median(values: Floats, counts: Floats) -> float:
    """Return the median of values that occur several times."""
    order = np.argsort(values)
    until = np.cumsum(counts[order])
    middle = until.searchsorted([(until[-1] - 1) // 2, until[-1] // 2], side="right")
    return float(values[order[middle]].mean())
