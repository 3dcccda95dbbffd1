"""Join panels, choose among their series, and mask constant stretches at the ends of series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vrae.data.batching import Indices
from vrae.data.ids import joined_ids
from vrae.data.panel import Ints, Panel, invalid_series, offsets_of
from vrae.exceptions import DataWarning, InvalidDataError, name_some, warn

__all__ = [
    "check_enough",
    "drop_invalid",
    "hide_level_ends",
    "join_panels",
    "match_channels",
    "observed_steps",
    "reservoir",
]


def join_panels(panels: Sequence[Panel]) -> Panel:
    """Concatenate panels with the same channels. Static columns are kept if all panels have them.

    The calendar is kept if it is the same in all of them.
    """
    if not panels:
        raise InvalidDataError("No series found: there is no panel to join.")
    first = panels[0]
    if any(panel.channels != first.channels for panel in panels):
        raise InvalidDataError("Panels with different channels cannot be joined.")
    undated = [panel.times is None for panel in panels]
    if any(undated) and not all(undated):
        raise InvalidDataError("Panels with and without times cannot be joined. Pass times for all series.")
    kinds = {_kind_of(panel) for panel in panels}
    if len(kinds) > 1:
        raise InvalidDataError("Panels whose times are dates and panels whose times are numbers cannot be joined.")
    common = [name for name in first.static if all(name in panel.static for panel in panels)]
    calendars = {panel.calendar and replace(panel.calendar, absent=0.0) for panel in panels}
    return Panel(
        values=np.concatenate([panel.values for panel in panels]),
        offsets=offsets_of(np.concatenate([panel.lengths for panel in panels])),
        ids=joined_ids([panel.ids for panel in panels]),
        times=None if first.times is None else np.concatenate([panel.times for panel in panels]),
        channels=first.channels,
        static={name: np.concatenate([panel.static[name] for panel in panels]) for name in common},
        calendar=first.calendar if len(calendars) == 1 else None,
        reading=first.reading,
    )


def _kind_of(panel: Panel) -> str:
    return "none" if panel.times is None else "dates" if panel.times.dtype.kind == "M" else "numbers"


def match_channels(panel: Panel, names: Sequence[str], n_channels: int) -> Panel:
    """Return a panel with its channels in the order of a model's, by name.

    Raises
    ------
    InvalidDataError
        Channels are missing or unknown, or their number differs.
    """
    named = not _are_numbered(names) and not _are_numbered(panel.channels)
    if panel.n_channels != n_channels:
        raise InvalidDataError(
            f"The model was fitted to {n_channels} channel{'s' * (n_channels != 1)} a series"
            f"{f' ({name_some(names, 12)})' if named else ''}; found {panel.n_channels}"
            f"{f' ({name_some(panel.channels, 12)})' if named else ''}."
        )
    if not named or n_channels == 1 or panel.channels == tuple(names):
        return panel
    if set(names) != set(panel.channels):
        known, own = set(names), set(panel.channels)
        missing = [name for name in names if name not in own]
        foreign = [name for name in panel.channels if name not in known]
        raise InvalidDataError(
            f"The series lack the channels {name_some(missing)} of the model, and have {name_some(foreign)}, which it "
            f"does not know. Rename or add the columns."
        )
    position = {name: place for place, name in enumerate(panel.channels)}
    order = [position[name] for name in names]
    return replace(panel, values=panel.values[:, order], channels=tuple(names))


def _are_numbered(channels: Sequence[str]) -> bool:
    """Return whether channels have the names that arrays get, or none."""
    return set(channels) <= {"value", *(f"value{i}" for i in range(len(channels)))}


def drop_invalid(panel: Panel) -> Panel:
    """Drop the series without any observed value, and warn about them."""
    invalid = invalid_series(panel)
    if not invalid.any():
        return panel
    names = name_some(panel.ids[invalid])
    warn(
        f"Left out {invalid.sum()} of {len(panel)} series without any observed value (all missing), ids {names}.",
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


def check_enough(panel: Panel, indices: Indices) -> None:
    """Raise if the series at ``indices`` are too few or too short to learn from."""
    if len(indices) < 2:
        across = " If each of its channels is a series, transpose the table." if panel.n_channels > 1 else ""
        raise InvalidDataError(
            f"Found {len(indices)} usable series (one sample is not enough): learning what series have in "
            f"common takes at least 2.{across} For one long series, use LongSeriesDetector, or cut it into windows "
            f"first."
        )
    if panel.lengths[indices].max() < 2:
        raise InvalidDataError(
            "Every series has one step only (1 feature(s)): there is nothing to learn over time. Pass longer "
            "series, or use an ordinary clusterer on the values."
        )


def reservoir(most: int, n_earlier: int, n_new: int, n_seen: int, seed: int) -> Indices:
    """Choose which series to keep, of earlier ones (a sample of ``n_seen``) and new ones."""
    if n_earlier + n_new <= most:
        return np.arange(n_earlier + n_new)
    rng = np.random.default_rng([seed, n_seen])
    of_new = min(n_new, max(most - n_earlier, round(most * n_new / (n_seen + n_new))))
    kept = rng.permutation(n_earlier)[: most - of_new], n_earlier + rng.permutation(n_new)[:of_new]
    return np.sort(np.concatenate(kept))


def observed_steps(panel: Panel) -> Ints:
    """Return the number of steps with a value of each series, (n_series,)."""
    known = [~np.isnan(part).all(axis=1) for part in panel.slices()]
    total = np.cumsum(np.concatenate([[False], *known]), dtype=np.int64)
    return np.diff(total[panel.offsets])
