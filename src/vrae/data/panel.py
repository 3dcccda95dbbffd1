"""Panel: the container for series that all of vrae uses.

A panel concatenates all series in one flat array. ``offsets`` marks where each begins, as in
Arrow's list layout. Series of unequal lengths need no padding, and the array can be a
memory-mapped file. Only batches are padded (`vrae.data.batching`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import index as as_index
from types import EllipsisType
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from vrae.data.arrays import Array, Ints, Values, flatten
from vrae.data.calendar import Calendar, local_times
from vrae.data.display import draw_series, html_table, long_table
from vrae.data.ids import as_ids, check_unique, ids_of
from vrae.data.overview import Overview, last_times_of, short_ones
from vrae.data.panel_times import as_panel_times, check_parts
from vrae.data.positions import positions_of
from vrae.data.table_options import TableOptions
from vrae.exceptions import InvalidDataError, name_some, shortened

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Array", "Ints", "Panel", "Values", "invalid_series", "offsets_of"]

# Checks visit this many values at a time, so that a memory-mapped panel is never loaded whole.
_SLICE_VALUES = 1 << 22


@dataclass(frozen=True, eq=False, repr=False)
class Panel:
    """An ordered collection of time series of any lengths, with ids.

    ``panel[0]`` is one series, an array of shape (n_channels, n_steps). A slice, a list of
    positions or a mask of shape (n_series,) selects a Panel, as scikit-learn's splitters do.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (total_steps, n_channels)
        All series, concatenated. NaN is a missing value. float64 if float32 is too coarse.
    offsets : ndarray of int64, shape (n_series + 1,)
        Series ``i`` is ``values[offsets[i]:offsets[i + 1]]``.
    ids : ndarray, shape (n_series,)
        A unique name for each series: text, numbers or dates. Results have the same order.
    times : ndarray of shape (total_steps,), optional
        Time stamp of each step: datetime64, datetime objects or numbers. UTC, if there is a zone.
    channels : tuple of str, optional
        Names of the channels. By default ``("value",)``, or ``("value0", "value1", ...)``.
    static : mapping of str to ndarray of shape (n_series,), optional
        One value per series (category, store, ...). Results include these columns.
    calendar : Calendar, optional
        The regular steps of ``times``, and their zone.
    reading : TableOptions, optional
        How the series were read from a table, so that later tables are read alike.

    Raises
    ------
    InvalidDataError
        If the parts do not match, if two series have the same id, or if an id cannot be saved.

    Examples
    --------
    >>> panel = Panel.from_arrays([[1.0, 2.0, 3.0], [4.0, 5.0]], ids=["a", "b"])
    >>> panel
    Panel(2 series, 1 channel, 2 to 3 steps, 0.0 % missing)
    >>> panel[1].tolist()
    [[4.0, 5.0]]
    >>> panel[:1].ids.tolist()
    ['a']
    """

    values: Values
    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[Any]
    times: npt.NDArray[Any] | None = None
    channels: tuple[str, ...] = ()
    static: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    calendar: Calendar | None = None
    reading: TableOptions | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] == 0:
            raise InvalidDataError(
                f"The values of a panel must have shape (total_steps, n_channels). Found {self.values.shape}."
            )
        object.__setattr__(self, "ids", as_ids(self.ids))
        check_parts(self.times, self.channels, self.static)
        if self.times is not None:
            self._take_times()
        n, steps = len(self.ids), len(self.values)
        if len(self.offsets) != n + 1 or self.offsets[0] != 0 or self.offsets[-1] != steps:
            raise InvalidDataError(
                f"The parts of a panel do not fit together: offsets must have {n + 1} entries (one more than ids) and "
                f"increase from 0 to {steps} (the number of steps). Found {len(self.offsets)} entries from "
                f"{self.offsets[0]} to {self.offsets[-1]}."
            )
        if (np.diff(self.offsets) < 1).any():
            empty = self.ids[np.diff(self.offsets) < 1]
            raise InvalidDataError(f"Found series of 0 steps, ids {name_some(empty)}. Remove them.")
        wrong = [name for name, column in self.static.items() if len(column) != n]
        if wrong or (self.times is not None and len(self.times) != steps):
            raise InvalidDataError(
                f"The parts of a panel do not fit together: times must have {steps} entries and static columns {n}. "
                f"Wrong length: {name_some(wrong or ['times'])}."
            )
        if not self.channels:
            names = ("value",) if self.n_channels == 1 else tuple(f"value{i}" for i in range(self.n_channels))
            object.__setattr__(self, "channels", names)
        if len(set(self.channels)) != len(self.channels) or len(self.channels) != self.n_channels:
            raise InvalidDataError(
                f"A panel of {self.n_channels} channel{'s' * (self.n_channels != 1)} needs as many different names. "
                f"Found channels={tuple(self.channels)!r:.200}."
            )
        check_unique(self.ids)

    def _take_times(self) -> None:
        """Replace ``times`` by datetime64 or numbers. Their zone becomes that of the calendar."""
        times, zone = as_panel_times(self.times)
        object.__setattr__(self, "times", times)
        if zone is not None and self.zone is None:
            object.__setattr__(self, "calendar", replace(self.calendar or Calendar(), zone=zone))

    # ---------------------------------------------------------------- construction

    @classmethod
    def from_arrays(cls, X: Any, ids: Sequence[Any] | Array | None = None, **parts: Any) -> Panel:
        """Build a panel from arrays.

        Parameters
        ----------
        X : ndarray or list of arrays
            An array ``(n_series, n_steps)`` or ``(n_series, n_channels, n_steps)``, or a list of
            series ``(n_steps,)`` or ``(n_channels, n_steps)`` of any lengths. Arrays may be masked,
            tensors of PyTorch, or columns of a table library. What is masked or null is missing.
        ids : sequence of length n_series, optional
            Text, whole numbers, finite floats, dates or UUIDs, which become text. By default
            0, 1, 2, ...
        **parts
            ``times``, ``channels`` and ``static``, as in `Panel`.

        Returns
        -------
        Panel

        Raises
        ------
        InvalidDataError
            If ``X`` is not numeric or has a wrong number of dimensions, if a series is empty or
            has another number of channels than the others, or if an id cannot be saved.
        """
        given = None if ids is None else as_ids(ids)
        values, lengths = flatten(X, given)
        return cls(values, offsets_of(lengths), ids_of(given, len(lengths)), **parts)

    # ---------------------------------------------------------------- access

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Values: ...

    @overload
    def __getitem__(self, index: slice | Sequence[int] | Array | tuple[Any, EllipsisType]) -> Panel: ...

    def __getitem__(self, index: Any) -> Values | Panel:
        """Return a view of one series, (n_channels, n_steps), or a panel of several."""
        if isinstance(index, tuple) and index[1:] == (Ellipsis,):
            index = index[0]  # as scikit-learn indexes what has a shape
        if isinstance(index, tuple):
            raise IndexError("A panel has one index. For steps of a series: panel[i][channel, step].")
        if isinstance(index, (bool, np.bool)) or not hasattr(index, "__index__") or np.ndim(index):
            return self.select(index)
        index = as_index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"Series {index} is out of range for a panel of {len(self)} series.")
        index %= len(self)
        return self.values[self.offsets[index] : self.offsets[index + 1]].T

    def __iter__(self) -> Iterator[Values]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        channels = f"{self.n_channels} channel{'s' * (self.n_channels != 1)}"
        if len(self) == 0:
            return f"Panel(0 series, {channels})"
        low, high = self.lengths.min(), self.lengths.max()
        steps = f"{low}" if low == high else f"{low} to {high}"
        return f"Panel({len(self)} series, {channels}, {steps} steps, {100 * self.missing_share():.1f} % missing)"

    def _repr_html_(self) -> str:
        """Return a table of the first series for notebooks."""
        shown = self.head()
        return html_table(repr(self), shown.ids, list(shown), shown._local_times(), self.channels, len(self))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of series, channels and steps of the longest series, as in `to_padded`."""
        return len(self), self.n_channels, int(self.lengths.max(initial=0))

    @cached_property
    def lengths(self) -> Ints:
        """Number of steps of each series, shape (n_series,)."""
        lengths = np.diff(self.offsets)
        lengths.flags.writeable = False  # it is the same array every time
        return lengths

    @property
    def n_channels(self) -> int:
        """Number of channels, equal for all series."""
        return int(self.values.shape[1])

    @property
    def nbytes(self) -> int:
        """Size of ``values`` in bytes."""
        return int(self.values.nbytes)

    @property
    def zone(self) -> str | None:
        """Time zone of ``calendar``, if there is one: ``times`` are in UTC then."""
        return None if self.calendar is None else self.calendar.zone

    def missing_share(self) -> float:
        """Return the fraction of values that are missing, from 0 to 1."""
        missing = sum(int(np.isnan(part).sum()) for part in self.slices())
        return missing / self.values.size if self.values.size else 0.0

    def slices(self) -> Iterator[Values]:
        """Yield all values in consecutive slices (n_steps, n_channels) of bounded size."""
        steps = max(1, _SLICE_VALUES // self.n_channels)
        return (self.values[start : start + steps] for start in range(0, len(self.values), steps))

    def position(self, series_id: Any) -> int:
        """Return the index of the series with this id."""
        found = np.flatnonzero(self.ids == series_id) if np.ndim(series_id) == 0 else np.array([], np.int64)
        if len(found) == 0:
            raise InvalidDataError(f"No series has the id {shortened(series_id)}. Known ids: {name_some(self.ids)}.")
        return int(found[0])

    def overview(self) -> Overview:
        """Return the facts that `summary` tells."""
        lengths, dated = self.lengths, self.times is not None and len(self.times) > 0
        return Overview(
            n_series=len(self),
            shortest=int(lengths.min(initial=self.values.shape[0])),
            longest=int(lengths.max(initial=0)),
            n_steps=len(self.values),
            n_values=self.values.size,
            n_missing=sum(int(np.isnan(part).sum()) for part in self.slices()),
            channels=self.channels,
            first=np.asarray(self.times).min() if dated else None,
            last=np.asarray(self.times).max() if dated else None,
            calendar=self.calendar,
            ends=last_times_of(self.ids, self.offsets, self.times, self.calendar),
            id_column=None if self.reading is None else self.reading.id,
            fill=None if self.reading is None else self.reading.fill,
            short=short_ones(self.ids, lengths),
        )

    def summary(self) -> list[str]:
        """Return what the panel holds in three lines: series, time, channels and gaps."""
        return self.overview().lines()

    def head(self, n: int = 5) -> Panel:
        """Return a panel of the first ``n`` series."""
        return self.select(slice(max(0, n)))

    def plot(self, n: int = 5, ax: Axes | None = None) -> Axes:
        """Draw the first ``n`` series with matplotlib, each in a colour of its own.

        Several channels are drawn in lines of different styles. Returns the Axes.
        """
        shown = self.head(n)
        return draw_series(shown.ids, list(shown), shown._local_times(), self.channels, ax)

    def _local_times(self) -> list[Array] | None:
        """Return the times of each series, in the zone of the calendar."""
        if self.times is None:
            return None
        local = local_times(np.asarray(self.times), self.zone)
        return [local[start:end] for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True)]

    # ---------------------------------------------------------------- conversion

    def to_pandas(self) -> pd.DataFrame:
        """Return a long table: a row per series and step.

        Returns
        -------
        pandas.DataFrame
            Columns: ``unique_id``; ``ds``, or ``step`` (1, 2, ...) without times; one per channel;
            and the static columns. Times are in the zone of ``calendar``, if it has one.
        """
        channels = {name: self.values[:, channel] for channel, name in enumerate(self.channels)}
        return long_table(self.ids, self.lengths, self.times, self.zone, channels, self.static)

    def common_steps(self, most: int = 100_000) -> tuple[Ints, Array] | None:
        """Find the steps that the series of one calendar share.

        Returns
        -------
        first : ndarray of int64, shape (n_series,)
            Position of the first step of each series among them.
        times : ndarray
            Time of each of these steps.

            None instead of both if series are not compared by date, or if the steps are more than
            ``most``.
        """
        calendar = self.calendar
        if self.times is None or calendar is None or calendar.freq is None or not calendar.aligned or not len(self):
            return None
        first = calendar.cells(self.times[self.offsets[:-1]])
        n_steps = int((first + self.lengths).max() - first.min())
        if n_steps > most:
            return None
        return first - first.min(), calendar.times(first.min() + np.arange(n_steps), self.times)

    def steps_of(self, indices: npt.ArrayLike) -> Ints:
        """Return the positions in ``values`` of all steps of these series, one after another."""
        indices = np.asarray(indices)
        lengths = self.lengths[indices]
        ends = np.cumsum(lengths)
        shift = np.repeat(self.offsets[:-1][indices] - (ends - lengths), lengths)
        return np.arange(ends[-1] if len(ends) else 0) + shift

    def select(self, indices: npt.ArrayLike | slice) -> Panel:
        """Return a panel of the series at these positions, in a slice, or in a mask (n_series,)."""
        indices = positions_of(indices, len(self))
        starts, ends = self.offsets[:-1][indices].tolist(), self.offsets[1:][indices].tolist()

        def selected(steps: Array) -> Array:
            # Slices: an index array of steps would need several times the memory of the values.
            return np.concatenate([steps[:0], *(steps[a:b] for a, b in zip(starts, ends, strict=True))])

        return Panel(
            values=selected(self.values),
            offsets=offsets_of(self.lengths[indices]),
            ids=self.ids[indices],
            times=None if self.times is None else selected(self.times),
            channels=self.channels,
            static={name: np.asarray(column)[indices] for name, column in self.static.items()},
            calendar=self.calendar,
            reading=self.reading,
        )

    def with_values(self, values: Values) -> Panel:
        """Return a panel with the same series and new values, shape (total_steps, n_channels)."""
        return replace(self, values=values)

    def to_padded(self) -> Values:
        """Return an array (n_series, n_channels, max_length), padded with NaN at the end."""
        lengths = self.lengths
        padded = np.full((len(self), lengths.max(initial=0), self.n_channels), np.nan, self.values.dtype)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = self.values
        return padded.transpose(0, 2, 1)

    def to_list(self) -> list[Values]:
        """Return a list of arrays of shape (n_channels, n_steps)."""
        return list(self)


def offsets_of(lengths: Ints) -> Ints:
    """Return the offsets (n_series + 1,) of series of these lengths."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def invalid_series(panel: Panel) -> npt.NDArray[np.bool_]:
    """Return which series (n_series,) have no observed value. Raise if any value is infinite."""
    if len(panel) == 0:
        raise InvalidDataError("No series found: the input is empty. Pass at least two series.")
    observed, infinite = np.zeros((2, len(panel)), bool)
    first = 0
    for part in panel.slices():
        if np.isfinite(part).all():  # the series that begin in this part, and the one before them
            own = np.searchsorted(panel.offsets, [first + 1, first + len(part)])
            observed[own[0] - 1 : own[1]] = True
        else:
            owner = np.searchsorted(panel.offsets, np.arange(first, first + len(part)), side="right") - 1
            observed[owner[~np.isnan(part).all(axis=1)]] = True
            infinite[owner[np.isinf(part).any(axis=1)]] = True
        first += len(part)
    if infinite.any():
        raise InvalidDataError(
            f"Found infinite values (inf), or values beyond the float32 range of 3.4e38, in "
            f"{infinite.sum()} of {len(panel)} series, ids {name_some(panel.ids[infinite])}. "
            f"Replace them by NaN (missing) or by finite numbers."
        )
    return ~observed
