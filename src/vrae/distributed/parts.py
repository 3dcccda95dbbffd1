"""Divide a table into parts that can be processed independently. Each series is in one part.

Parquet files are divided between row groups. In a long table, a series may cross the border between
two row groups. Parquet stores the lowest and highest id of each row group, which identify that
series. All its rows go to the part in which it begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from vrae.data.columns import Table, reading
from vrae.data.panel import Panel
from vrae.data.roles import Roles
from vrae.data.sources import Extent, Source, row_group_values, scan_options
from vrae.data.stream import source_panels
from vrae.data.table_options import TableOptions
from vrae.exceptions import InvalidDataError, first_line

__all__ = ["PART_VALUES", "Group", "Layout", "Part", "are_in_order", "divide", "readable_files", "row_groups"]

PART_VALUES = 1 << 23  # approximate number of values of a part
_BATCH_VALUES = 1 << 21
_READERS = 16  # files whose metadata are read at the same time
_EXACT = 64  # some writers store only the beginning of ids with at least this many characters


@dataclass(frozen=True)
class Group:
    """A row group of a Parquet file."""

    file: ds.ParquetFileFragment
    number: int  # position in the file
    n_rows: int
    n_values: int
    version: str  # changes when the file does
    low: Any = None  # lowest and highest id, None if unknown
    high: Any = None


@dataclass(frozen=True)
class Piece:
    """Rows of a row group: all, ``only`` those of one series, or all ``without`` one series."""

    group: Group
    only: Any = None
    without: Any = None

    def rows(self, id_column: str | None) -> pc.Expression | None:
        """Return the filter that selects these rows, or None for all."""
        if self.only is not None:
            return pc.field(id_column) == pc.scalar(self.only)
        return None if self.without is None else pc.field(id_column) != pc.scalar(self.without)


@dataclass(frozen=True)
class Part:
    """Rows that hold complete series. ``first`` counts the rows of the table before them."""

    pieces: tuple[Piece, ...]
    first: int

    @classmethod
    def of_all(cls, groups: Sequence[Group]) -> Part:
        """Return one part with all rows of the row groups."""
        return cls(tuple(Piece(group) for group in groups), first=0)

    @property
    def n_values(self) -> int:
        """Upper bound of the number of values."""
        return sum(piece.group.n_values for piece in self.pieces)

    @property
    def name(self) -> str:
        """Name for messages: its files."""
        files = list(dict.fromkeys(str(piece.group.file.path) for piece in self.pieces))
        return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"

    def digest(self, fingerprint: str) -> str:
        """Return a hash of these rows and of the ``fingerprint`` of the job that processes them."""
        pieces = [(p.group.file.path, p.group.version, p.group.number, p.only, p.without) for p in self.pieces]
        return sha256(repr((fingerprint, self.first, pieces)).encode()).hexdigest()


@dataclass(frozen=True)
class Layout:
    """How rows become series, in all parts of a table."""

    schema: pa.Schema
    roles: Roles
    options: TableOptions

    def source(self, part: Part) -> Source:
        """Return the rows of a part, as a source that is read batch by batch."""
        return _PartSource(part, self.schema, self.options)

    def panels(self, part: Part) -> Iterator[Panel]:
        """Yield the series of a part, in order."""
        return source_panels(self.source(part), self.roles, self.options, first=part.first)


class _PartSource:
    """A `Source` of the rows of a part."""

    is_csv = False

    def __init__(self, part: Part, schema: pa.Schema, options: TableOptions) -> None:
        self._part, self._schema = part, schema
        self.head = Table(part.name, ds.dataset(schema.empty_table())).written(options)

    def extent(self, roles: Roles) -> Extent:
        """Return the size. The number of series is unknown."""
        return Extent(0, self._part.n_values, sum(piece.group.n_rows for piece in self._part.pieces))

    def batches(self, roles: Roles, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the columns that have a role, row by row in order."""
        for piece in self._part.pieces:
            group = piece.group
            row_values = max(1, -(-group.n_values // max(1, group.n_rows)))
            with reading(str(group.file.path)):
                yield from group.file.subset(row_group_ids=[group.number]).to_batches(
                    schema=self._schema,
                    columns=list(dict.fromkeys(roles.all)),
                    filter=piece.rows(roles.id),
                    batch_size=max(1, min(rows, _BATCH_VALUES // row_values)),
                    batch_readahead=1,
                    **scan_options(group.file),
                )


# -------------------------------------------------------------------- row groups


def readable_files(data: ds.FileSystemDataset) -> list[ds.ParquetFileFragment]:
    """Return all files, and read their metadata. Raise an error that names the unreadable ones."""
    files = list(data.get_fragments())
    with ThreadPoolExecutor(_READERS) as pool:
        broken = [reason for reason in pool.map(_broken, files) if reason is not None]
    if broken:
        raise InvalidDataError(
            f"{len(broken)} of {len(files)} files cannot be read: {'; '.join(broken[:5])}"
            f"{f'; and {len(broken) - 5} more' if len(broken) > 5 else ''}. Replace or remove them. "
            f"No series has been processed yet."
        )
    return files


def _broken(file: ds.ParquetFileFragment) -> str | None:
    try:
        file.ensure_complete_metadata()
    except (pa.ArrowException, OSError) as error:
        return f"{file.path} ({first_line(error, 150)})"
    return None


def row_groups(files: Sequence[ds.ParquetFileFragment], roles: Roles) -> list[Group]:
    """Return the row groups of all files that have rows, in order. Only metadata are read."""
    groups = []
    for file in files:
        version = _version(file.filesystem, file.path)
        for number, (n_rows, values) in enumerate(row_group_values(file, roles)):
            if n_rows:
                groups.append(Group(file, number, n_rows, sum(values), version, *_bounds(file, number, roles.id)))
    return groups


def _version(system: fs.FileSystem, path: str) -> str:
    if isinstance(system, fs.PyFileSystem):  # fsspec: its stores report times under different names
        return str(system.handler.fs.ukey(path))
    info = system.get_file_info(path)
    return f"{info.size} {info.mtime_ns}"


def _bounds(file: ds.ParquetFileFragment, number: int, id_column: str | None) -> tuple[Any, Any]:
    """Return the lowest and highest id of a row group, if its statistics have them in full."""
    group = file.metadata.row_group(number)
    for column in map(group.column, range(group.num_columns)):
        stats = column.statistics if column.path_in_schema == id_column else None
        if stats is not None and stats.has_min_max and stats.has_null_count and stats.null_count == 0:
            exact = max(len(str(stats.min)), len(str(stats.max))) < _EXACT
            return (stats.min, stats.max) if exact else (None, None)
    return None, None


def are_in_order(groups: Sequence[Group], distinct: bool = False) -> bool:
    """Return whether row groups are known to be sorted by id, and to share none if ``distinct``."""
    if any(group.low is None for group in groups):
        return False
    return all(a.high < b.low or (a.high == b.low and not distinct) for a, b in pairwise(groups))


# -------------------------------------------------------------------- parts


def divide(groups: Sequence[Group], long: bool, part_values: int = PART_VALUES) -> list[Part]:
    """Combine row groups into parts of about ``part_values`` values.

    ``long``: each row is a time step, so a series may cross a border. Row groups must be in order.
    """
    parts: list[Part] = []
    held: list[Piece] = []
    first, values = 0, 0
    crossing = None  # id of the series that an earlier part has taken from the next row group
    for group, following in zip(groups, [*groups[1:], None], strict=True):
        held.append(Piece(group, without=crossing))
        values, crossing = values + group.n_values, None
        rest: list[Piece] = []
        if following is not None:
            # A row group that holds only the crossing series would leave an empty part.
            through = long and following.high == group.high
            if values < part_values or through:
                continue
            if long and following.low == group.high:
                crossing = group.high
                rest = [Piece(following, only=crossing)]
        parts.append(Part((*held, *rest), first))
        first += sum(piece.group.n_rows for piece in held)
        held, values = [], 0
    return parts
