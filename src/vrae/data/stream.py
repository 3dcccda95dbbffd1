"""Series of a file that is larger than memory: one panel after the other, in order, every series once.

Which column is what is settled by the first rows; from there on a part of the table is read at a time, by the same
code that reads a whole table. What fits into memory with ease is read whole, and cut into panels afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from vrae.config import check_int
from vrae.data.columns import ROW_LABELS, Table, as_times
from vrae.data.io import read_panel, table_options
from vrae.data.panel import Panel
from vrae.data.roles import Roles, TableOptions, find_roles
from vrae.data.sources import Source, open_source
from vrae.data.tables import panel_by_roles
from vrae.exceptions import InvalidDataError, OutputError, name_some

__all__ = ["STANDARD_INPUT", "earliest", "is_large", "settled_roles", "source_panels", "stream_panels", "without_pipe"]

STANDARD_INPUT = "-"

# A source of up to so many values is read whole: its rows may then stand in any order.
_WHOLE_VALUES = 1 << 24
# Values of a panel: of 100,000 steps each, fewer series than asked for make a panel.
_PANEL_VALUES = 1 << 22

Batches = Iterator[pa.RecordBatch]
Ints = npt.NDArray[np.int64]


def stream_panels(source: Any, *, series_per_panel: int = 4096, **options: Any) -> Iterator[Panel]:
    """Read time series panel by panel, in bounded memory.

    Parquet, Feather and Arrow files, folders and patterns of them, Arrow datasets, and csv are read in parts. Other
    formats, and tables in memory, are read whole and cut into panels.

    Parameters
    ----------
    source : path, "-", table or arrays
        As in `vrae.read_panel`; "-" is standard input: csv, or Parquet or Arrow, which are told by their first bytes.
        It is copied to a temporary file first.
    series_per_panel : int, default 4096
        Series of a panel; fewer where they are long.
    **options
        ``id``, ``time``, ``value``, ``layout``, ``static``, ``label``, ``freq``, ``duplicates`` as in
        `vrae.read_panel`. What is not named is guessed by the first rows.

    Yields
    ------
    Panel
        Joined (`join_panels`) they are what `vrae.read_panel` returns; but ids, labels and static columns of a csv
        that is too large to be read whole stay text.

    Raises
    ------
    InvalidDataError
        As in `vrae.read_panel`; and a large long table in which the rows of a series do not stand together.
    InvalidParameterError
        An option that is unknown or does not go with the source.

    Examples
    --------
    >>> from vrae.data.stream import stream_panels
    >>> [len(panel) for panel in stream_panels([[1.0, 2.0]] * 5, series_per_panel=2)]
    [2, 2, 1]
    """
    check_int("series_per_panel", series_per_panel, low=1)
    return _panels(source, table_options(**options), options, series_per_panel)


def is_large(source: Any, max_series: int, max_values: int, **options: Any) -> bool:
    """Tell, as cheaply as metadata or the file's size can, whether a source holds more than so much.

    Parameters
    ----------
    source
        As in `stream_panels`, but not standard input.
    max_series, max_values : int
    **options
        As in `stream_panels`.
    """
    opened = open_source(source, table_options(**options))
    if opened is None:
        return False
    roles = find_roles(opened.head, table_options(**options))
    series, values = opened.extent(roles)
    # Ids of a csv that is read in parts stay text, and they should do so in all that is made of it.
    return series > max_series or values > (_WHOLE_VALUES if opened.is_csv else max_values)


# -------------------------------------------------------------------- standard input


@contextmanager
def without_pipe(source: Any) -> Iterator[Any]:
    """Give a source that can be read more than once: a temporary copy of standard input, or what it was."""
    if str(source) != STANDARD_INPUT:
        yield source
        return
    with TemporaryDirectory(prefix="vrae-") as folder:
        try:
            file = _spool(Path(folder))
        except OSError as error:
            raise OutputError(f"Cannot keep standard input in a temporary file: {error.strerror or error}.") from error
        try:
            yield file
        except InvalidDataError as error:  # the user has never heard of the temporary file
            raise InvalidDataError(str(error).replace(str(file), "standard input")) from None


def _spool(folder: Path) -> Path:
    whole = folder / "input"
    with whole.open("wb") as file:
        copyfileobj(sys.stdin.buffer, file)
    with whole.open("rb") as file:
        start = file.read(6)
    magic = {b"PAR1": ".parquet", b"ARROW1": ".arrow", b"\xff\xff\xff\xff": ".arrow", b"\x1f\x8b": ".csv.gz"}
    suffix = next((suffix for mark, suffix in magic.items() if start.startswith(mark)), ".csv")
    return whole.rename(whole.with_name(whole.name + suffix))


# -------------------------------------------------------------------- panels


def _panels(source: Any, options: TableOptions, given: dict[str, Any], size: int) -> Iterator[Panel]:
    with without_pipe(source) as place:
        opened = open_source(place, options)
        roles = None if opened is None else settled_roles(opened.head, options)
        if opened is None or roles is None or _is_small(opened, roles):
            yield from _slices(read_panel(place, **given), size)
        else:
            yield from source_panels(opened, roles, options, size)


def settled_roles(head: Table, options: TableOptions) -> Roles:
    """Return which column is what, by the first rows, for all parts of a table alike."""
    roles = find_roles(head, options)
    return roles if roles.long or roles.id else replace(roles, id=_row_label(head))


def source_panels(
    opened: Source, roles: Roles, options: TableOptions, size: int = 4096, first: int = 0
) -> Iterator[Panel]:
    """Read the rows of a source, or of a part of one, panel by panel.

    Parameters
    ----------
    opened : Source
    roles : Roles
        See `settled_roles`.
    options : TableOptions
    size : int, default 4096
        Series of a panel at most.
    first : int, default 0
        Rows of the whole before those of ``opened``, by which series without ids are numbered.

    Raises
    ------
    InvalidDataError
        See `stream_panels`.
    """
    if not roles.long:
        yield from _wide_panels(opened, roles, options, size, first)
    elif roles.id is not None and not _is_small(opened, roles):
        yield from _long_panels(opened, roles, options, size)
    else:  # small enough for rows in any order; or one series alone, which cannot be cut
        batches = [batch for batch in opened.batches(roles, _PANEL_VALUES) if batch.num_rows]
        _check_any(len(batches), opened)
        whole = Table(opened.head.name, ds.dataset(pa.Table.from_batches(batches)))
        yield from _slices(panel_by_roles(whole, roles, options), size)


def _is_small(opened: Source, roles: Roles) -> bool:
    return opened.extent(roles).values <= _WHOLE_VALUES or (roles.long and roles.id is None)


def _slices(panel: Panel, size: int) -> Iterator[Panel]:
    start = 0
    while start < len(panel):
        room = int(np.searchsorted(panel.offsets, panel.offsets[start] + _PANEL_VALUES // panel.n_channels, "right"))
        end = min(start + size, max(start + 1, room - 1), len(panel))
        yield panel if end - start == len(panel) else panel.select(np.arange(start, end))
        start = end


def _wide_panels(opened: Source, roles: Roles, options: TableOptions, size: int, first: int) -> Iterator[Panel]:
    lists = opened.head.kinds[roles.values[0]] == "list"
    rows = size if lists else max(1, min(size, _PANEL_VALUES // len(roles.values)))
    seen, begin = _Seen(), first
    batches = opened.batches(roles, rows)
    for part in _cut(batches, rows, _list_lengths(roles) if lists else None):
        panel = panel_by_roles(_part(opened, part, first), roles, options)
        if roles.id is None:
            panel = replace(panel, ids=np.arange(first, first + len(panel)))
        elif (again := seen.add(panel.ids)).any():
            raise InvalidDataError(
                f"Ids {name_some(panel.ids[again])} stand more than once in column {roles.id!r} of "
                f"{opened.head.name}, which is read as wide (a row a series). Name a column without repeats with "
                f"id=. If a row is a step in time, name its time with time=."
            )
        first += part.num_rows
        yield panel
    _check_any(first - begin, opened)


def _long_panels(opened: Source, roles: Roles, options: TableOptions, size: int) -> Iterator[Panel]:
    if options.freq is not None and roles.time is not None and options.origin is None:
        options = replace(options, origin=earliest(opened, roles))
    assert roles.id is not None
    seen, first = _Seen(), 0
    max_rows = max(1, _PANEL_VALUES // len(roles.values))
    for part in _whole_series(opened.batches(roles, max_rows // 4), roles.id, size, max_rows):
        panel = panel_by_roles(_part(opened, part, first), roles, options)
        again = seen.add(panel.ids)
        if again.any():
            raise InvalidDataError(
                f"The rows of series {name_some(panel.ids[again])} stand in several places of {opened.head.name}, "
                f"which is too large to be read whole: there they must stand together. Sort it by {roles.id!r} "
                f"and write it again; or, where memory allows, read it whole with read_panel."
            )
        first += part.num_rows
        yield panel
    _check_any(first, opened)


def _check_any(n_rows: int, opened: Source) -> None:
    if n_rows == 0:
        raise InvalidDataError(f"No series found: {opened.head.name} has no rows. Pass at least two series.")


def _part(opened: Source, rows: pa.Table, first: int) -> Table:
    name = f"{opened.head.name}, rows {first} to {first + rows.num_rows - 1}"
    return Table(name, ds.dataset(rows))


def _row_label(head: Table) -> str | None:
    """Return the column of a nameless pandas index, if it tells the first rows apart."""
    for name in ROW_LABELS:
        if name in head.columns:
            column = head.read([name])[name]
            if column.null_count == 0 and len(column.unique()) == len(column):
                return name
    return None


def earliest(opened: Source, roles: Roles) -> Any:
    """Return the earliest time of all: where every series' grid begins."""
    assert roles.time is not None
    only = replace(roles, id=None, values=[], static=[], label=None)
    times = (
        as_times(pa.chunked_array([batch.column(0)]), roles.time, opened.head).min()
        for batch in opened.batches(only, _PANEL_VALUES)
        if batch.num_rows
    )
    return min(times, default=None)


class _Seen:
    """Ids that came already, at 8 bytes each: sorted runs of hashes, merged as they grow."""

    def __init__(self) -> None:
        self._runs: list[Ints] = []

    def add(self, ids: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Remember these ids; mark those that came before, shape (n,)."""
        keys = _keys(ids)
        again = np.zeros(len(keys), bool)
        for run in self._runs:
            again |= run[np.minimum(np.searchsorted(run, keys), len(run) - 1)] == keys
        merged = np.sort(keys)
        while self._runs and len(self._runs[-1]) <= len(merged):
            merged = np.sort(np.concatenate([self._runs.pop(), merged]), kind="stable")
        self._runs.append(merged)
        return again


def _keys(ids: npt.NDArray[Any]) -> Ints:
    if ids.dtype.kind in "iu":  # Python's hashes of -1 and -2 are the same
        return ids.astype(np.int64)
    if ids.dtype.kind in "fM" and ids.dtype.itemsize == 8:
        return ids.view(np.int64)
    return np.fromiter(map(hash, ids.tolist()), np.int64, len(ids))


# -------------------------------------------------------------------- parts of a table


def _cut(batches: Batches, size: int, weigh: Callable[[pa.RecordBatch], Ints] | None) -> Iterator[pa.Table]:
    """Cut rows anew: ``size`` at a time, fewer where they weigh more than `_PANEL_VALUES` together."""
    held: list[pa.RecordBatch] = []
    n, weight = 0, 0
    for batch in batches:
        while batch.num_rows:
            ends = np.cumsum(weigh(batch)) if weigh else np.zeros(batch.num_rows, np.int64)
            fitting = int(np.searchsorted(ends, _PANEL_VALUES - weight, side="right"))
            taken = min(size - n, max(fitting, not held), batch.num_rows)
            if taken:
                held.append(batch.slice(0, taken))
                n, weight = n + taken, weight + int(ends[taken - 1])
            if n == size or taken < batch.num_rows:
                yield pa.Table.from_batches(held)
                held, n, weight = [], 0, 0
            batch = batch.slice(taken)
    if held:
        yield pa.Table.from_batches(held)


def _list_lengths(roles: Roles) -> Callable[[pa.RecordBatch], Ints]:
    def weigh(batch: pa.RecordBatch) -> Ints:
        lengths = pc.fill_null(pc.list_value_length(batch.column(roles.values[0])), 0)
        return lengths.to_numpy(zero_copy_only=False).astype(np.int64) * len(roles.values)

    return weigh


def _whole_series(batches: Batches, id_column: str, size: int, max_rows: int) -> Iterator[pa.Table]:
    """Cut rows where one series ends and the next begins: up to ``size`` series and ``max_rows`` rows at a time.

    A series may begin in one batch and end in another; the last one is held back until the next begins.
    """
    held: list[pa.RecordBatch] = []
    starts = np.zeros(0, np.int64)  # of the series among the rows that are held
    n_held, last = 0, None
    for batch in batches:
        if batch.num_rows == 0:
            continue
        ids = batch.column(id_column)
        starts = np.append(starts, n_held + _run_starts(ids, last))
        last, n_held = ids[-1], n_held + batch.num_rows
        held.append(batch)
        cuts = _cut_points(starts, size, max_rows)
        if len(cuts):
            table, begin = pa.Table.from_batches(held), 0
            for cut in cuts:
                yield table.slice(begin, cut - begin)
                begin = cut
            held, n_held = table.slice(begin).to_batches(), n_held - begin
            starts = starts[starts >= begin] - begin
    if held:
        table, begin = pa.Table.from_batches(held), 0
        for cut in [*_cut_points(np.append(starts, n_held), size, max_rows), n_held]:
            if cut > begin:
                yield table.slice(begin, cut - begin)
            begin = cut


def _cut_points(starts: Ints, size: int, max_rows: int) -> list[int]:
    """Return the rows to cut at, as far as they are settled; the last start is that of a series still open."""
    cuts: list[int] = []
    i = 0  # the series that the next part begins with
    while i + 1 < len(starts):
        fitting = int(np.searchsorted(starts, starts[i] + max_rows, side="right")) - 1
        j = min(i + size, max(i + 1, fitting))
        full = j == i + size or starts[-1] > starts[i] + max_rows
        if j >= len(starts) or not full:
            break
        cuts.append(int(starts[j]))
        i = j
    return cuts


def _run_starts(ids: pa.Array, last: pa.Scalar | None) -> Ints:
    """Return the rows whose id is not that of the row before; ``last`` is the id before the first row."""
    if pa.types.is_dictionary(ids.type):
        ids = ids.cast(ids.type.value_type)
    changed = pc.fill_null(pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)), True)
    begins = last is None or not last.is_valid or last.as_py() != ids[0].as_py()
    return np.flatnonzero(np.concatenate([[begins], changed.to_numpy(zero_copy_only=False)])).astype(np.int64)
