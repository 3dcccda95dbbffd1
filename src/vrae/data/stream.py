"""Read the series of large sources in bounded memory: panel by panel, each series once, in order.

The first rows decide the roles of columns. Then the table is read in parts, by the code that reads
whole tables. A source that fits easily into memory is read whole and then cut into panels.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vrae.config import check_int
from vrae.data.calendar import Calendar, without_weekday
from vrae.data.closures import closed_cells
from vrae.data.columns import Table, encode_ids, kind_of, reading
from vrae.data.dates import Times, refuse_other_types
from vrae.data.long import Steps, sort_order
from vrae.data.panel import Array, Ints, Panel
from vrae.data.reading import read_source, table_options
from vrae.data.regularity import keeps_apart
from vrae.data.roles import Roles, find_roles
from vrae.data.sources import DatasetSource, Extent, Source, chunk_rows, chunk_series, open_source
from vrae.data.table_calendar import calendar_of, row_times
from vrae.data.table_options import TableOptions
from vrae.data.tables import panel_by_roles, repeated_ids
from vrae.exceptions import DataWarning, InvalidDataError, OutputError, name_some, unsaid, warn

__all__ = [
    "OpenedSource",
    "distinct_times",
    "open_data",
    "settled_roles",
    "source_panels",
    "stream_panels",
    "with_calendar",
    "without_pipe",
]

# A source of at most this many values is read whole, so its rows may be in any order.
_WHOLE_VALUES = 1 << 24
# Maximum number of values of a panel. Panels of long series hold fewer series than requested.
_PANEL_VALUES = 1 << 22


def stream_panels(source: Any, *, series_per_panel: int = 4096, **options: Any) -> Iterator[Panel]:
    """Read time series panel by panel, in bounded memory.

    Parquet, Feather, Arrow and csv files, folders and patterns of them, and Arrow datasets are read
    in parts; a long table must be sorted by series. Other sources are read whole and then cut.

    Parameters
    ----------
    source : path, "-", table or arrays
        As in `vrae.read_panel`. "-" is standard input: csv, Parquet or Arrow, as its first bytes
        show. It is copied to a temporary file.
    series_per_panel : int, default=4096
        Maximum number of series of a panel. Panels of long series hold fewer.
    **options
        As in `vrae.read_panel`. Roles of columns are found from the first rows.

    Yields
    ------
    Panel
        Joined, they equal the result of `vrae.read_panel`. But ids, labels and static columns of a
        large csv are text.

    Examples
    --------
    >>> from vrae.data.stream import stream_panels
    >>> [len(panel) for panel in stream_panels([[1.0, 2.0]] * 5, series_per_panel=2)]
    [2, 2, 1]
    """
    size = check_int("series_per_panel", series_per_panel, low=1)
    return _stream(source, table_options(**options), size)


def _stream(source: Any, options: TableOptions, size: int) -> Iterator[Panel]:
    with without_pipe(source) as readable:
        yield from OpenedSource(readable, options, open_source(readable, options)).panels(size)


def open_data(source: Any, **options: Any) -> OpenedSource:
    """Open a source once, to learn its size and then read it whole or in parts."""
    parsed = table_options(**options)
    return OpenedSource(source, parsed, open_source(source, parsed))


@dataclass(frozen=True)
class OpenedSource:
    """A source of series. ``table`` is None if it is in memory or must be read whole."""

    source: Any
    options: TableOptions
    table: Source | None

    def is_large(self, max_series: int, max_values: int) -> bool:
        """Estimate from metadata or file sizes whether the source exceeds a size."""
        if self.table is None:
            return False
        # A csv counts as large as soon as it is read in parts: its ids are then text, everywhere.
        limit = _WHOLE_VALUES if self.table.is_csv else max_values
        return self._extent.series > max_series or self._extent.values > limit

    def panel(self) -> Panel:
        """Read all series."""
        if not isinstance(self.table, DatasetSource):
            return read_source(self.source, self.options)
        if self.table.head_is_whole:
            return panel_by_roles(self.table.whole, self._roles, self.options)
        return read_source(self.table.whole, self.options)

    def panels(self, series_per_panel: int = 4096) -> Iterator[Panel]:
        """Read the series panel by panel; see `stream_panels`. Each call starts again."""
        if self.table is None:
            yield from _slices(self.panel(), series_per_panel)
            return
        roles = _with_row_label(self.table.head, self._roles)
        if self._extent.values <= _WHOLE_VALUES or (roles.long and roles.id is None):
            yield from _slices(self.panel(), series_per_panel)
        else:
            with reading(self.table.head.name):  # types for which Arrow lacks a function
                yield from source_panels(self.table, roles, self.options, series_per_panel)

    @cached_property
    def _roles(self) -> Roles:
        assert self.table is not None
        with reading(self.table.head.name):
            return find_roles(self.table.head, self.options)

    @cached_property
    def _extent(self) -> Extent:
        assert self.table is not None
        return self.table.extent(self._roles)


# -------------------------------------------------------------------- standard input


@contextmanager
def without_pipe(source: Any) -> Iterator[Any]:
    """Yield a source that can be read more than once: standard input is copied to a file."""
    if str(source) != "-":
        yield source
        return
    with TemporaryDirectory(prefix="vrae-") as folder:
        try:
            file = _copy_input(Path(folder))
        except OSError as error:
            raise OutputError(f"Cannot copy standard input to a temporary file: {error.strerror or error}.") from error
        try:
            yield file
        except InvalidDataError as error:  # the user does not know the temporary file
            raise InvalidDataError(str(error).replace(str(file), "standard input")) from None


def _copy_input(folder: Path) -> Path:
    copy = folder / "input"
    with copy.open("wb") as file:
        copyfileobj(sys.stdin.buffer, file)
    with copy.open("rb") as file:
        start = file.read(6)
    magic = {b"PAR1": ".parquet", b"ARROW1": ".arrow", b"\xff\xff\xff\xff": ".arrow", b"\x1f\x8b": ".csv.gz"}
    magic |= {b"PK\x03\x04": ".xlsx", b"{": ".jsonl", b"\xfd7zXZ\0": ".csv.xz", b"\x28\xb5\x2f\xfd": ".csv.zst"}
    magic |= {f"BZh{level}1A".encode(): ".csv.bz2" for level in range(1, 10)}
    suffix = next((suffix for mark, suffix in magic.items() if start.startswith(mark)), ".csv")
    return copy.rename(copy.with_name(copy.name + suffix))


# -------------------------------------------------------------------- panels


def settled_roles(head: Table, options: TableOptions) -> Roles:
    """Find the roles of columns from the first rows of a table, for all of its parts."""
    return _with_row_label(head, find_roles(head, options))


def _with_row_label(head: Table, roles: Roles) -> Roles:
    return roles if roles.long or roles.id else replace(roles, id=head.row_label())


def source_panels(
    opened: Source, roles: Roles, options: TableOptions, size: int = 4096, first: int = 0
) -> Iterator[Panel]:
    """Read a source, or a part of one that begins at the row ``first``, panel by panel."""
    if not roles.long:
        yield from _wide_panels(opened, roles, options, size, first)
    elif roles.id is not None and opened.extent(roles).values > _WHOLE_VALUES:
        yield from _long_panels(opened, roles, options, size)
    else:  # small, so that rows can be in any order; or a single series
        batches = [batch for batch in opened.batches(roles, _PANEL_VALUES) if batch.num_rows]
        _check_any(len(batches), opened)
        whole = opened.head.with_rows(opened.head.name, pa.Table.from_batches(batches), 0)
        yield from _slices(panel_by_roles(whole, roles, options), size)


def _slices(panel: Panel, size: int) -> Iterator[Panel]:
    start = 0
    while start < len(panel):
        fitting = int(np.searchsorted(panel.offsets, panel.offsets[start] + _PANEL_VALUES // panel.n_channels, "right"))
        end = min(start + size, max(start + 1, fitting - 1), len(panel))
        yield panel if end - start == len(panel) else panel.select(np.arange(start, end))
        start = end


def _wide_panels(opened: Source, roles: Roles, options: TableOptions, size: int, first: int) -> Iterator[Panel]:
    lists = roles.values if opened.head.kinds[roles.values[0]] == "list" else []
    rows = size if lists else max(1, min(size, _PANEL_VALUES // len(roles.values)))
    chunks = chunk_rows(opened.batches(roles, rows), rows, lists, _PANEL_VALUES)
    yield from _chunk_panels(opened, roles, options, chunks, first, size)


def _long_panels(opened: Source, roles: Roles, options: TableOptions, size: int) -> Iterator[Panel]:
    if roles.time is not None and _needs_all_times(opened.head, roles.time, options):
        options = with_calendar(opened.head, roles, options, distinct_times(opened, roles), opened.extent(roles).rows)
    assert roles.id is not None
    rows = max(1, _PANEL_VALUES // len(roles.values))
    chunks = chunk_series(opened.batches(roles, rows // 4), roles.id, size, rows)
    yield from _chunk_panels(opened, roles, options, chunks, 0, size)


def _chunk_panels(
    opened: Source, roles: Roles, options: TableOptions, chunks: Iterator[pa.Table], first: int, size: int
) -> Iterator[Panel]:
    """Yield the series of each chunk of rows. ``first`` is the row at which they begin.

    A panel is smaller than a chunk if steps without a row make its series long.
    """
    known_ids, row = _KnownIds(), first
    for chunk in chunks:
        begin = row + (opened.head.first_row or 0)
        name = f"{opened.head.name}, rows {begin} to {begin + chunk.num_rows - 1}"
        panel = panel_by_roles(opened.head.with_rows(name, chunk, row), roles, options)
        if roles.id is None:
            panel = replace(panel, ids=np.arange(row, row + len(panel)))
        elif (repeated := known_ids.add(panel.ids)).any():
            error = _scattered_series if roles.long else repeated_ids
            raise error(panel.ids[repeated], roles, opened.head.name)
        row += chunk.num_rows
        yield from _slices(panel, size)
    _check_any(row - first, opened)


def _scattered_series(ids: Array, roles: Roles, name: str) -> InvalidDataError:
    return InvalidDataError(
        f"The rows of series {name_some(ids)} are in several places of {name}, which is too large to be read whole. "
        f"There, the rows of a series must be contiguous. Sort it by {roles.id!r} and write it again, or read it whole "
        f"with read_panel if memory allows."
    )


def _check_any(n_rows: int, opened: Source) -> None:
    if n_rows == 0:
        raise InvalidDataError(f"No series found: {opened.head.name} has no rows. Pass at least two series.")


def _needs_all_times(head: Table, time: str, options: TableOptions) -> bool:
    """Return whether a part of a table cannot be read without the times of the others."""
    is_written = kind_of(head.data.schema.field(time).type) != "time"  # as text or numbers
    needs_end = options.fill is not None and options.end is None
    return options.calendar is None or needs_end or (is_written and options.written is None)


def distinct_times(opened: Source, roles: Roles) -> pa.Array:
    """Return the values that occur in the time column of a source, as they are written."""
    assert roles.time is not None
    refuse_other_types(opened.head.data.schema.field(roles.time).type, roles.time, opened.head)
    only_time = replace(roles, id=None, values=[], static=[], label=None)
    found: pa.Array = None
    for batch in opened.batches(only_time, _PANEL_VALUES):
        column = batch.column(0)
        own = pc.unique(column.dictionary_decode() if pa.types.is_dictionary(column.type) else column)
        own = own.cast(pa.float64()) if pa.types.is_float16(own.type) else own
        found = own if found is None else pc.unique(pa.concat_arrays([found, own.cast(found.type)]))
    return pa.array([], pa.int64()) if found is None else found


def with_calendar(head: Table, roles: Roles, options: TableOptions, distinct: pa.Array, n_rows: int) -> TableOptions:
    """Return the options to read all parts of a table of about ``n_rows`` rows alike.

    Its times are read once: ``distinct`` are all that occur. Its calendar is found from the rows of
    ``head``, and from these times.
    """
    assert roles.time is not None
    if not len(distinct):
        return options
    written = _all_times(distinct, roles.time, head, options)
    if kind_of(distinct.type) != "time":
        options = replace(options, written=(distinct, written))
    times = np.unique(written.stamps)
    calendar = _calendar_of_parts(_head_steps(head, roles, options), times, written.zone, options)
    closed = None if calendar.freq is None else closed_cells(calendar, times, n_rows, options)
    return replace(options, calendar=calendar, end=None if options.fill is None else times[-1], closed=closed)


def _all_times(distinct: pa.Array, name: str, head: Table, options: TableOptions) -> Times:
    try:
        return row_times(pa.chunked_array([distinct]), name, head, options)
    except InvalidDataError as error:  # the row is that among the distinct values
        raise InvalidDataError(re.sub(r" in row [\d,]+(, counted from 0)?", "", str(error))) from None


def _head_steps(head: Table, roles: Roles, options: TableOptions) -> Steps:
    """Return the times of the first rows, sorted by series and time."""
    assert roles.time is not None
    columns = head.read([roles.time, *([roles.id] if roles.id else [])])
    with unsaid():  # said of all times already
        stamps = row_times(columns[roles.time], roles.time, head, options).stamps
    codes = np.zeros(len(stamps), np.int64) if roles.id is None else encode_ids(columns[roles.id], roles.id, head)[0]
    return Steps(codes, np.empty((len(stamps), 0)), stamps).take(sort_order(codes, stamps))


def _calendar_of_parts(first: Steps, times: Array, zone: str | None, options: TableOptions) -> Calendar:
    """Return the calendar of a table from the steps of its first rows and all of its times."""
    assert first.times is not None
    everything = Steps(np.zeros(len(times), np.int64), np.empty((len(times), 0)), times)
    if options.freq is not None or options.calendar is not None:
        return calendar_of(everything, zone, options)
    calendar = calendar_of(first, zone, options)
    if calendar.freq is None or calendar.is_met_by(times):
        return calendar
    if not calendar.is_met_by(first.times):  # rows lie within the steps
        plain = without_weekday(calendar.freq)
        moved = Calendar.from_freq(plain, times, zone, calendar.aligned)
        of_first = Calendar.from_freq(plain, first.times, zone, calendar.aligned).freq == calendar.freq
        # Keep the weeks of the first rows unless they begin on the weekday of the earliest row.
        return moved if of_first and keeps_apart(first.codes, first.times, moved) else calendar
    found = calendar_of(everything, zone, options)
    warn(
        f"The first rows have the step {calendar.describe()}, but later rows have other times. All rows are read as "
        f"{found.describe()}. Pass freq= to set the step.",
        DataWarning,
    )
    return found


class _KnownIds:
    """The ids read so far, as sorted runs of 8-byte hashes. Runs are merged as they grow."""

    def __init__(self) -> None:
        self._runs: list[Ints] = []

    def add(self, ids: Array) -> npt.NDArray[np.bool_]:
        """Add ids. Return which of them were known before, shape (n_ids,)."""
        keys = _keys(ids)
        merged = np.sort(keys)  # memory is then searched from start to end, which is fast
        found = np.zeros(len(keys), bool)
        for run in self._runs:
            found |= run[np.minimum(np.searchsorted(run, merged), len(run) - 1)] == merged
        known = np.isin(keys, merged[found]) if found.any() else found
        while self._runs and len(self._runs[-1]) <= len(merged):
            merged = np.sort(np.concatenate([self._runs.pop(), merged]), kind="stable")
        self._runs.append(merged)
        return known


def _keys(ids: Array) -> Ints:
    if ids.dtype.kind in "iu":  # Python gives -1 and -2 the same hash
        return ids.astype(np.int64)
    if ids.dtype.kind in "fM" and ids.dtype.itemsize == 8:
        return ids.view(np.int64)
    return np.fromiter(map(hash, ids.tolist()), np.int64, len(ids))
