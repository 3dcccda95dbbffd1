"""Read tables larger than memory: their first rows, their approximate size, and their batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.dataset as ds

from vrae.data.columns import Table, reading
from vrae.data.files import csv_batches, csv_files, open_path
from vrae.data.frames import from_frame
from vrae.data.roles import Roles, TableOptions

__all__ = ["DatasetSource", "Extent", "Source", "estimated_series", "open_source", "row_group_values", "scan_options"]

_HEAD_ROWS = 1 << 20  # rows that decide the roles of columns
_BATCH_VALUES = 1 << 21  # values of a batch

# Estimates for csv files.
_CHARACTERS_PER_VALUE = 4
_COMPRESSION_RATIO = 4
_BLOCK = 1 << 20  # bytes that Arrow reads at once


class Extent(NamedTuple):
    """Approximate number of series and of values of a source."""

    series: int
    values: int


class Source(Protocol):
    """A table that can be read batch by batch, any number of times."""

    is_csv: bool

    @property
    def head(self) -> Table:
        """A table of the first rows."""

    def extent(self, roles: Roles) -> Extent:
        """Estimate the size of the source without reading all of it."""

    def batches(self, roles: Roles, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the columns that have a role, in batches of at most ``rows`` rows, in order."""


def open_source(source: Any, options: TableOptions) -> Source | None:
    """Open a source that can be read in parts; None if it is in memory or must be read whole."""
    if isinstance(source, (ds.Dataset, Table)):
        return DatasetSource(source if isinstance(source, Table) else from_frame(source))
    if not isinstance(source, (str, PathLike)):
        return None
    text_columns = [options.id or "unique_id"]
    csv = csv_files(Path(source))
    if csv:
        return CsvSource(str(source), csv, text_columns)
    if _is_array_file(Path(source)):
        return None
    opened = open_path(Path(source), text_columns)
    return DatasetSource(opened) if isinstance(opened, Table) else None


def _is_array_file(path: Path) -> bool:
    """Return whether a file holds arrays, not a table. Such files are read whole."""
    return path.is_file() and path.name.lower().endswith((".npz", ".npy", ".ts", ".arff", ".tsv"))


class _Head(Table):
    """A table of which only the first rows are read."""

    def read(self, columns: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        """Return the first `_HEAD_ROWS` rows of these columns."""
        wanted = list(dict.fromkeys(columns))
        return Table(self.name, ds.dataset(self.head(_HEAD_ROWS, wanted))).read(wanted)


class DatasetSource:
    """Parquet, Feather or Arrow files, or an Arrow dataset."""

    is_csv = False

    def __init__(self, table: Table) -> None:
        self._data = table.data
        self.whole = table
        self.head = _Head(table.name, table.data, table.index)

    @property
    def head_is_whole(self) -> bool:
        """Whether ``head`` holds all rows."""
        with reading(self.head.name):
            return bool(self._data.count_rows() <= _HEAD_ROWS)

    def extent(self, roles: Roles) -> Extent:
        """Return the size from the metadata of files, and from the first rows of a long table."""
        with reading(self.head.name):
            n_rows = self._data.count_rows()
            n_values = sum(_values_of(fragment, roles) for fragment in self._data.get_fragments())
        return Extent(estimated_series(self.head, roles, n_rows), n_values)

    def batches(self, roles: Roles, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches. Those of long lists have fewer rows, so that memory stays bounded."""
        with reading(self.head.name):
            yield from self._data.to_batches(
                columns=list(dict.fromkeys(roles.all)),
                batch_size=max(1, min(rows, _BATCH_VALUES // self._row_values(roles))),
                batch_readahead=1,
                fragment_readahead=1,
                **scan_options(self._data),
            )

    def _row_values(self, roles: Roles) -> int:
        """Return the number of values of a row, in the row group where it is largest."""
        return max((_row_group_values(f, roles) for f in self._data.get_fragments()), default=1)


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
    return round(n_rows * len(ids.unique()) / len(ids))


def _values_of(fragment: ds.Fragment, roles: Roles) -> int:
    if isinstance(fragment, ds.ParquetFileFragment):
        return sum(sum(counts) for _, counts in row_group_values(fragment, roles))
    if hasattr(fragment, "path"):
        return int(Path(fragment.path).stat().st_size // 4)  # as if float32, uncompressed
    return int(sum(batch.nbytes for batch in fragment.to_batches(columns=roles.values)) // 4)


def _row_group_values(fragment: ds.Fragment, roles: Roles) -> int:
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

    def __init__(self, name: str, files: list[Path], text_columns: Sequence[str]) -> None:
        self._files = files
        self._text = dict.fromkeys(text_columns, pa.string())
        first = next(csv_batches(files[0], self._text), None)
        rows = pa.table({}) if first is None else pa.Table.from_batches([first])
        self.head = Table(name, ds.dataset(rows))

    def extent(self, roles: Roles) -> Extent:
        """Estimate the size from the sizes of the files."""
        packed = (".gz", ".bz2", ".zst")
        size = sum(f.stat().st_size * (_COMPRESSION_RATIO if f.suffix in packed else 1) for f in self._files)
        n_head = self.head.data.count_rows()
        n_rows = round(n_head * max(1.0, size / _BLOCK))
        return Extent(estimated_series(self.head, roles, n_rows), size // _CHARACTERS_PER_VALUE)

    def batches(self, roles: Roles, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches. Ids and static columns stay text, since later rows may not be numbers."""
        columns = list(dict.fromkeys(roles.all))
        types = self._types(roles, columns)
        for file in self._files:
            yield from csv_batches(file, types, columns)

    def _types(self, roles: Roles, columns: list[str]) -> Mapping[str, pa.DataType]:
        schema = self.head.data.schema
        types = {name: pa.string() for name in columns}
        for name in (*roles.values, *([roles.time] if roles.time else [])):
            kind = schema.field(name).type
            if pa.types.is_integer(kind) and name != roles.time:
                types[name] = pa.float64()
            elif not pa.types.is_null(kind):
                types[name] = kind
            elif name != roles.time:
                types[name] = pa.float64()
        return types
