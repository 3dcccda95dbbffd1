"""Join panels, drop series without values, and mask constant stretches at the ends of series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vrae.data.panel import Panel, invalid_series, offsets_of
from vrae.exceptions import DataWarning, InvalidDataError, name_some, warn

__all__ = ["drop_invalid", "hide_level_ends", "join_panels"]


def join_panels(panels: Sequence[Panel]) -> Panel:
    """Concatenate panels with the same channels."""
    if not panels:
        raise InvalidDataError("No series found: there is no panel to join.")
    first = panels[0]
    if any(panel.channels != first.channels for panel in panels):
        raise InvalidDataError("Panels with different channels cannot be joined.")
    return Panel(
        values=np.concatenate([panel.values for panel in panels]),
        offsets=offsets_of(np.concatenate([panel.lengths for panel in panels])),
        ids=np.concatenate([panel.ids for panel in panels]),
        times=None if first.times is None else np.concatenate([panel.times for panel in panels]),
        channels=first.channels,
        static={name: np.concatenate([panel.static[name] for panel in panels]) for name in first.static},
    )


def drop_invalid(panel: Panel) -> Panel:
    """Drop the series without any observed value, and warn about them."""
    invalid = invalid_series(panel)
    if not invalid.any():
        return panel
    names = name_some(panel.ids[invalid])
    warn(
        f"Left out {invalid.sum()} of {len(panel)} series without any observed value (all NaN), ids {names}.",
        DataWarning,
    )
    return panel.select(np.flatnonzero(~invalid))


def hide_level_ends(panel: Panel) -> Panel:
    """Mask all but one of the equal values at the start and the end of each series.

    Such a series was often recorded for longer than it lasted. Constant series are unchanged.
    """
    first, end = panel.offsets[:-1], panel.offsets[1:]
    changes = np.flatnonzero((np.diff(panel.values, axis=0) != 0).any(axis=1))  # the next step differs
    first_change = np.searchsorted(changes, first)  # of each series, as positions in ``changes``
    last_change = np.searchsorted(changes, end - 1) - 1
    varying = np.flatnonzero(first_change <= last_change)
    hidden = np.zeros(len(panel.values) + 1, np.int64)  # +1 where a stretch begins, -1 after its end
    for start, stop in (
        (first[varying], changes[first_change[varying]]),
        (changes[last_change[varying]] + 2, end[varying]),
    ):
        nonempty = start < stop
        np.add.at(hidden, start[nonempty], 1)
        np.add.at(hidden, stop[nonempty], -1)
    values = panel.values.copy()
    values[np.cumsum(hidden[:-1]) > 0] = np.nan
    return panel.with_values(values)
