"""Whether the anomalies are series that begin later or end earlier than most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe.words import percent

__all__ = ["active_ends", "note_on_ends"]

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
    n = int(is_anomaly.sum())
    if n < _LEAST or np.isnan(ends).all():
        return ""
    begin, end = np.nanmedian(ends, axis=1)
    margin = _CLEARLY * (end - begin)
    differs = (ends[0] > begin + margin) | (ends[1] < end - margin)  # NaN does not
    n_differ, of_all = int(differs[is_anomaly].sum()), float(differs.mean())
    if n_differ <= _MAJORITY * n or n_differ < _MORE * of_all * n:
        return ""
    return (
        f"{n_differ:,} of the {n:,} anomalies begin later or end earlier than most series; of all series, "
        f"{percent(of_all)} do."
    )
