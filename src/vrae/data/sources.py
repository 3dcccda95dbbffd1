"""Read tables larger than memory: first rows, approximate size, batches, and chunks of series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from vrae.data.columns import MANY_COLUMNS, Table, reading
from vrae.data.csv_files import csv_batches, csv_head
from vrae.data.files import csv_files, open_path
from vrae.data.frames import from_frame
from vrae.data.identity import with_joined_id
from vrae.data.packed import unpacked_size
from vrae.data.panel import Ints
from vrae.data.roles import Roles
from vrae.data.table_options import TableOptions

__all__ = [
    "DatasetSource",
    "Extent",
    "Source",
    "chunk_rows",
    "chunk_series",
    "estimated_series",
    "open_source",
    "row_group_values",
    "scan_options",
]

Batches = Iterator[pa.RecordBatch]

_HEAD_ROWS = 1 << 20  # rows that decide the roles of columns
_BATCH_VALUES = 1 << 21  # values of a batch

_CHARACTERS_PER_VALUE = 4  # estimate for csv files
_MOST_COUNTED = 1 << 27  # bytes up to which packed files are unpacked to learn their size
_BLOCK = 1 << 20  # bytes that Arrow reads at once


class Extent(NamedTuple):
    """Approximate number of series, of values and of rows of a source."""

    series: int
    values: int
    rows: int


class Source(Protocol):
    """A table that can be read batch by batch, any number of times."""

    is_csv: bool

    @property
    def head(self) -> Table:
        """A table of the first rows."""

    def extent(self, roles: Roles) -> Extent:
        """Estimate the size of the source without reading all of it."""

    def batches(self, roles: Roles, rows: int) -> Batches:
        """Yield the columns that have a role, in batches of at most ``rows`` rows, in order."""


def open_source(source: Any, options: TableOptions) -> Source | None:
    """Open a source that can be read in parts; None if it is in memory or must be read whole."""
    if isinstance(source, (ds.Dataset, Table)):
        opened: Any = source if isinstance(source, Table) else from_frame(source).written(options)
        return DatasetSource(with_joined_id(opened, options.id_parts))
    if not isinstance(source, (str, PathLike)):
        return None
    path = Path(source)
    if (csv := csv_files(path)) and not options.id_parts:  # joined ids need the whole table
        return CsvSource(str(source), csv, options)
    if path.is_file() and path.name.lower().endswith((".npz", ".npy", ".ts", ".arff", ".tsv")):
        return None  # arrays, not a table
    opened = open_path(path, options)
    return DatasetSource(with_joined_id(opened, options.id_parts)) if isinstance(opened, Table) else None


class DatasetSource:
    """Parquet, Feather or Arrow files, or an Arrow dataset."""

    is_csv = False

    def __init__(self, table: Table) -> None:
        self.whole = table
        self.head = replace(table, n_rows=_HEAD_ROWS)

    @property
    def head_is_whole(self) -> bool:
        """Whether ``head`` holds all rows."""
        with reading(self.head.name):
            return bool(self.whole.data.count_rows() <= _HEAD_ROWS)

    def extent(self, roles: Roles) -> Extent:
        """Return the size from the metadata of files, and from the first rows of a long table."""
        with reading(self.head.name):
            n_rows = self.whole.data.count_rows()
            n_values = sum(_values_of(fragment, roles) for fragment in self.whole.data.get_fragments())
        return Extent(estimated_series(self.head, roles, n_rows), n_values, n_rows)

    def batches(self, roles: Roles, rows: int) -> Batches:
        """Yield batches. Those of long lists have fewer rows, so that memory stays bounded."""
        row_values = max((_row_values(fragment, roles) for fragment in self.whole.data.get_fragments()), default=1)
        columns = list(dict.fromkeys(roles.all))
        with reading(self.head.name):
            yield from self.whole.data.to_batches(
                columns=columns,
                use_threads=len(columns) <= MANY_COLUMNS,
                batch_size=max(1, min(rows, _BATCH_VALUES // row_values)),
                batch_readahead=1,
                fragment_readahead=1,
                **scan_options(self.whole.data),
            )


def scan_options(data: ds.Dataset | ds.Fragment) -> dict[str, Any]:
    """Return options to read Parquet without buffering row groups. Empty for other formats."""
    if not isinstance(getattr(data, "format", None), ds.ParquetFileFormat):
        return {}
    options = ds.ParquetFragmentScanOptions(use_buffered_stream=True, buffer_size=_BLOCK, pre_buffer=False)
    return {"fragment_scan_options": options}


def estimated_series(head: Table, roles: Roles, n_rows: int) -> int:
    """Estimate the number of series in ``n_rows`` rows from the first rows of a table."""
    if not roles.long:
        return n_rows
    if roles.id is None or n_rows == 0:
        return 1
    ids = head.read([roles.id])[roles.id]
    if head.kinds[roles.id] in ("list", "other"):  # refused where it is read
        return n_rows
    return round(n_rows * len(ids.unique()) / len(ids))


def _values_of(fragment: ds.Fragment, roles: Roles) -> int:
    if isinstance(fragment, ds.ParquetFileFragment):
        return sum(sum(counts) for _, counts in row_group_values(fragment, roles))
    if hasattr(fragment, "path"):
        return int(Path(fragment.path).stat().st_size // 4)  # as if float32, uncompressed
    return int(sum(batch.nbytes for batch in fragment.to_batches(columns=roles.values)) // 4)


def _row_values(fragment: ds.Fragment, roles: Roles) -> int:
    """Return the number of values of a row, in the row group where it is largest."""
    if not isinstance(fragment, ds.ParquetFileFragment):
        return 1
    return max((-(-sum(counts) // rows) for rows, counts in row_group_values(fragment, roles) if rows), default=1) or 1


def row_group_values(fragment: ds.ParquetFileFragment, roles: Roles) -> Iterator[tuple[int, list[int]]]:
    """Yield, for each row group, its number of rows and the number of values per value column."""
    metadata, wanted = fragment.metadata, set(roles.values)
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        columns = (group.column(c) for c in range(group.num_columns))
        yield group.num_rows, [c.num_values for c in columns if c.path_in_schema.split(".")[0] in wanted]


class CsvSource:
    """csv files with the same columns."""

    is_csv = True

    def __init__(self, name: str, files: list[Path], options: TableOptions) -> None:
        self._files, self._options = files, options
        head, self._formats, self._head_size = csv_head(files[0], options)
        self.head = replace(head, name=name)
        self._encoding_is_known = False  # whether the user knows what encoding was assumed

    def extent(self, roles: Roles) -> Extent:
        """Estimate the size from the sizes of the files."""
        size = self._size
        n_head = self.head.data.count_rows()
        n_rows = round(n_head * max(1.0, size / self._head_size))
        return Extent(estimated_series(self.head, roles, n_rows), size // _CHARACTERS_PER_VALUE, n_rows)

    @cached_property
    def _size(self) -> int:
        with reading(self.head.name):
            return sum(unpacked_size(file, _MOST_COUNTED) for file in self._files)

    def batches(self, roles: Roles, rows: int) -> Batches:
        """Yield batches. Ids and static columns stay text, since later rows may not be numbers."""
        columns, schema = list(dict.fromkeys(roles.all)), self.head.data.schema
        types = dict.fromkeys(columns, pa.string())
        for name in roles.values:
            kind = schema.field(name).type
            types[name] = pa.float64() if pa.types.is_integer(kind) or pa.types.is_null(kind) else kind
        if roles.time and not pa.types.is_null(schema.field(roles.time).type):
            types[roles.time] = schema.field(roles.time).type
        formats = {name: self._formats[name] for name in roles.values if name in self._formats}
        quiet, self._encoding_is_known = self._encoding_is_known, True
        for file in self._files:
            yield from csv_batches(file, self._options, types, columns, formats, quiet)


# -------------------------------------------------------------------- chunks


def chunk_rows(batches: Batches, max_rows: int, lists: list[str], max_size: int) -> Iterator[pa.Table]:
    """Regroup rows into chunks of at most ``max_rows`` rows and ``max_size`` values.

    Values are counted in the columns of ``lists`` only. A single larger row is a chunk.
    """
    held: list[pa.RecordBatch] = []
    n_held, size = 0, 0
    for batch in batches:
        while batch.num_rows:
            ends = np.cumsum(_list_sizes(batch, lists)) if lists else np.zeros(batch.num_rows, np.int64)
            fitting = int(np.searchsorted(ends, max_size - size, side="right"))
            taken = min(max_rows - n_held, max(fitting, not held), batch.num_rows)
            if taken:
                held.append(batch.slice(0, taken))
                n_held, size = n_held + taken, size + int(ends[taken - 1])
            if n_held == max_rows or taken < batch.num_rows:
                yield pa.Table.from_batches(held)
                held, n_held, size = [], 0, 0
            batch = batch.slice(taken)
    if held:
        yield pa.Table.from_batches(held)


def _list_sizes(batch: pa.RecordBatch, columns: list[str]) -> Ints:
    """Return the number of values per row in columns of lists of equal lengths."""
    lengths = pc.fill_null(pc.list_value_length(batch.column(columns[0])), 0)
    return lengths.to_numpy(zero_copy_only=False).astype(np.int64) * len(columns)


def chunk_series(batches: Batches, id_column: str, max_series: int, max_rows: int) -> Iterator[pa.Table]:
    """Regroup rows into chunks of whole series. A single longer series is a chunk.

    A series is a run of rows with the same id. It may continue in the next batch, so the last
    series of a batch is held back until the next series begins.
    """
    held: list[pa.RecordBatch] = []
    starts = np.zeros(0, np.int64)  # first row of each series held
    n_held, last_id = 0, None
    for batch in batches:
        if batch.num_rows == 0:
            continue
        ids = batch.column(id_column)
        starts = np.append(starts, n_held + _run_starts(ids, last_id))
        last_id, n_held = ids[-1], n_held + batch.num_rows
        held.append(batch)
        cuts = _cut_points(starts, max_series, max_rows)
        if cuts:
            table, end = pa.Table.from_batches(held), cuts[-1]
            yield from _cut(table, cuts)
            held, n_held = table.slice(end).to_batches(), n_held - end
            starts = starts[starts >= end] - end
    if held:
        cuts = _cut_points(np.append(starts, n_held), max_series, max_rows)
        yield from _cut(pa.Table.from_batches(held), sorted({*cuts, n_held}))


def _cut(table: pa.Table, cuts: list[int]) -> Iterator[pa.Table]:
    return (table.slice(begin, end - begin) for begin, end in pairwise([0, *cuts]))


def _cut_points(starts: Ints, max_series: int, max_rows: int) -> list[int]:
    """Return the rows at which chunks end, as far as known: the last series may continue."""
    cuts: list[int] = []
    i = 0  # first series of the next chunk
    while i + 1 < len(starts):
        fitting = int(np.searchsorted(starts, starts[i] + max_rows, side="right")) - 1
        j = min(i + max_series, max(i + 1, fitting))
        full = j == i + max_series or starts[-1] > starts[i] + max_rows
        if j >= len(starts) or not full:
            break
        cuts.append(int(starts[j]))
        i = j
    return cuts


def _run_starts(ids: pa.Array, last_id: pa.Scalar | None) -> Ints:
    """Return the rows whose id differs from the row before. ``last_id`` precedes the first row."""
    if pa.types.is_dictionary(ids.type):
        ids = ids.cast(ids.type.value_type)
    changed = pc.fill_null(pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)), True)
    begins = last_id is None or not last_id.is_valid or last_id.as_py() != ids[0].as_py()
    return np.flatnonzero(np.concatenate([[begins], changed.to_numpy(zero_copy_only=False)])).astype(np.int64)
