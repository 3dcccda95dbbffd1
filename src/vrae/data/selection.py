"""Panels put together, and what of a panel is left out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from vrae.data.panel import Panel, invalid_series
from vrae.exceptions import DataWarning, InvalidDataError, name_some

__all__ = ["drop_invalid", "hide_level_ends", "join_panels"]


def join_panels(panels: Sequence[Panel]) -> Panel:
    """Return one panel of the series of several, in order.

    Raises
    ------
    InvalidDataError
        No panel, or panels that differ in their channels.
    """
    if not panels:
        raise InvalidDataError("No series found: there is no panel to join.")
    first = panels[0]
    if any(panel.channels != first.channels for panel in panels):
        raise InvalidDataError("Panels of different channels cannot be joined.")
    lengths = np.concatenate([panel.lengths for panel in panels])
    return Panel(
        values=np.concatenate([panel.values for panel in panels]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        ids=np.concatenate([panel.ids for panel in panels]),
        times=None if first.times is None else np.concatenate([panel.times for panel in panels]),
        channels=first.channels,
        static={name: np.concatenate([panel.static[name] for panel in panels]) for name in first.static},
    )


def drop_invalid(panel: Panel) -> Panel:
    """Leave out the series without a single observed value, and warn of it."""
    invalid = invalid_series(panel)
    if not invalid.any():
        return panel
    warnings.warn(
        f"Left out {invalid.sum()} of {len(panel)} series without any observed value (all NaN), ids "
        f"{name_some(panel.ids[invalid])}.",
        DataWarning,
        stacklevel=3,
    )
    return panel.select(np.flatnonzero(~invalid))


def hide_level_ends(panel: Panel) -> Panel:
    """Mark as missing all but one of the equal values with which a series begins or ends.

    What stands still before a series sets in, or after it has ended, fills up the window in which it was recorded. A
    series that never moves is left as it is.
    """
    first, end = panel.offsets[:-1], panel.offsets[1:]
    moves = np.flatnonzero((np.diff(panel.values, axis=0) != 0).any(axis=1))  # steps whose next one differs
    sets_in = np.searchsorted(moves, first)  # of each series, as places in ``moves``
    comes_to_rest = np.searchsorted(moves, end - 1) - 1
    moving = np.flatnonzero(sets_in <= comes_to_rest)
    hidden = np.zeros(len(panel.values) + 1, np.int64)  # +1 where a stretch begins, -1 where it is over
    for begin, over in (
        (first[moving], moves[sets_in[moving]]),
        (moves[comes_to_rest[moving]] + 2, end[moving]),
    ):
        some = begin < over
        np.add.at(hidden, begin[some], 1)
        np.add.at(hidden, over[some], -1)
    values = panel.values.copy()
    values[np.cumsum(hidden[:-1]) > 0] = np.nan
    return panel.with_values(values)
