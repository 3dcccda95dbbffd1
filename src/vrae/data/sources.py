"""Tables that need not fit into memory: their first rows, how much they hold, and their rows batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.dataset as ds

from vrae.data.columns import Table, from_frame, reading
from vrae.data.files import csv_batches, csv_files, open_path
from vrae.data.roles import Roles, TableOptions

__all__ = ["Extent", "Source", "estimated_series", "open_source", "row_group_values", "scan_options"]

_HEAD_ROWS = 1 << 20  # rows by which the roles of columns are settled
_BATCH_VALUES = 1 << 21  # values of a batch that is read at once

# Of a csv: characters a value, how much smaller packing makes it, and bytes of a block that Arrow reads.
_CSV_VALUE = 4
_PACKED = 4
_BLOCK = 1 << 20


class Extent(NamedTuple):
    """How much a source holds, about: number of series and of values."""

    series: int
    values: int


class Source(Protocol):
    """A table to be read batch by batch, as often as one likes."""

    is_csv: bool

    @property
    def head(self) -> Table:
        """The first rows."""

    def extent(self, roles: Roles) -> Extent:
        """Return how much there is, without reading it all."""

    def batches(self, roles: Roles, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the columns that have a role, in order, up to ``rows`` rows at a time."""


def open_source(source: Any, options: TableOptions) -> Source | None:
    """Open what can be read in parts; None where it cannot, or is in memory already.

    Raises
    ------
    InvalidDataError
        See `vrae.data.files.open_path`.
    """
    if isinstance(source, (ds.Dataset, Table)):
        return _Dataset(source if isinstance(source, Table) else from_frame(source))
    if not isinstance(source, (str, PathLike)):
        return None
    text_columns = [options.id or "unique_id"]
    csv = csv_files(Path(source))
    if csv:
        return _Csv(str(source), csv, text_columns)
    if _holds_no_table(Path(source)):
        return None
    opened = open_path(Path(source), text_columns)
    return _Dataset(opened) if isinstance(opened, Table) else None


def _holds_no_table(path: Path) -> bool:
    """Tell formats of arrays and archives, which are read whole, and once."""
    return path.is_file() and path.name.lower().endswith((".npz", ".npy", ".ts", ".arff", ".tsv"))


class _Head(Table):
    """The first rows of a table: what is asked of its columns is answered by them."""

    def read(self, columns: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        """Return the first rows of these columns."""
        wanted = list(dict.fromkeys(columns))
        return Table(self.name, ds.dataset(self.head(_HEAD_ROWS, wanted))).read(wanted)


class _Dataset:
    """Parquet, Feather or Arrow files."""

    is_csv = False

    def __init__(self, table: Table) -> None:
        self._data = table.data
        self.head = _Head(table.name, table.data, table.index)

    def extent(self, roles: Roles) -> Extent:
        """Return rows and values by the files' metadata; series of a long table by its first rows."""
        with reading(self.head.name):
            n_rows = self._data.count_rows()
            n_values = sum(_values_of(fragment, roles) for fragment in self._data.get_fragments())
        return Extent(estimated_series(self.head, roles, n_rows), n_values)

    def batches(self, roles: Roles, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches such that one of long lists takes no more memory than one of single values."""
        with reading(self.head.name):
            yield from self._data.to_batches(
                columns=list(dict.fromkeys(roles.all)),
                batch_size=max(1, min(rows, _BATCH_VALUES // self._row_values(roles))),
                batch_readahead=1,
                fragment_readahead=1,
                **scan_options(self._data),
            )

    def _row_values(self, roles: Roles) -> int:
        """Return the values of a row, in the row group in which they are most."""
        return max((_row_group_values(f, roles) for f in self._data.get_fragments()), default=1)


def scan_options(data: ds.Dataset | ds.Fragment) -> dict[str, Any]:
    """Return how to read Parquet without whole row groups waiting in memory; nothing for other files."""
    if not isinstance(getattr(data, "format", None), ds.ParquetFileFormat):
        return {}
    options = ds.ParquetFragmentScanOptions(use_buffered_stream=True, buffer_size=_BLOCK, pre_buffer=False)
    return {"fragment_scan_options": options}


def estimated_series(head: Table, roles: Roles, n_rows: int) -> int:
    """Return how many series so many rows hold, if they are like the first ones."""
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
        return int(Path(fragment.path).stat().st_size // 4)  # float32, not packed
    return int(sum(batch.nbytes for batch in fragment.to_batches(columns=roles.values)) // 4)


def _row_group_values(fragment: ds.Fragment, roles: Roles) -> int:
    if not isinstance(fragment, ds.ParquetFileFragment):
        return 1
    return max((-(-sum(counts) // rows) for rows, counts in row_group_values(fragment, roles) if rows), default=1) or 1


def row_group_values(fragment: ds.ParquetFileFragment, roles: Roles) -> Iterator[tuple[int, list[int]]]:
    """Yield rows, and values of each value column, of every row group; a list counts by its elements."""
    metadata, wanted = fragment.metadata, set(roles.values)
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        columns = (group.column(c) for c in range(group.num_columns))
        yield group.num_rows, [c.num_values for c in columns if c.path_in_schema.split(".")[0] in wanted]


class _Csv:
    """Csv files with the same columns."""

    is_csv = True

    def __init__(self, name: str, files: list[Path], text_columns: Sequence[str]) -> None:
        self._files = files
        self._text = dict.fromkeys(text_columns, pa.string())
        first = next(csv_batches(files[0], self._text), None)
        rows = pa.table({}) if first is None else pa.Table.from_batches([first])
        self.head = Table(name, ds.dataset(rows))

    def extent(self, roles: Roles) -> Extent:
        """Return what the files' sizes let expect."""
        size = sum(f.stat().st_size * (_PACKED if f.suffix in (".gz", ".bz2", ".zst") else 1) for f in self._files)
        n_head = self.head.data.count_rows()
        n_rows = round(n_head * max(1.0, size / _BLOCK))
        return Extent(estimated_series(self.head, roles, n_rows), size // _CSV_VALUE)

    def batches(self, roles: Roles, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield numbers as numbers, and names as text: the first rows do not tell what comes later."""
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
