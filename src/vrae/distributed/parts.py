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
from vrae.data.roles import Roles, TableOptions
from vrae.data.sources import Extent, Source, row_group_values, scan_options
from vrae.data.stream import source_panels
from vrae.exceptions import InvalidDataError

__all__ = [
    "PART_VALUES",
    "Group",
    "Layout",
    "Part",
    "are_distinct",
    "are_in_order",
    "divide",
    "readable_files",
    "row_groups",
    "single_part",
]

PART_VALUES = 1 << 23  # approximate number of values of a part
_BATCH_VALUES = 1 << 21
_READERS = 16  # files whose metadata are read at the same time
_EXACT = 64  # some writers store only the beginning of ids with at least this many characters


@dataclass(frozen=True)
class Group:
    """A row group of a Parquet file.

    Attributes
    ----------
    fragment : ParquetFileFragment
        The file.
    number, n_rows, n_values : int
        Position in the file, and size.
    version : str
        Version of the file. It changes when the file does.
    low, high : Any
        Lowest and highest id, or None if unknown.
    """

    fragment: ds.ParquetFileFragment
    number: int
    n_rows: int
    n_values: int
    version: str
    low: Any = None
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
    """Rows that hold complete series.

    Attributes
    ----------
    pieces : tuple of Piece
    first : int
        Number of rows of the table before this part.
    """

    pieces: tuple[Piece, ...]
    first: int

    @property
    def n_values(self) -> int:
        """Upper bound of the number of values."""
        return sum(piece.group.n_values for piece in self.pieces)

    @property
    def name(self) -> str:
        """Name for messages: its files."""
        files = list(dict.fromkeys(str(piece.group.fragment.path) for piece in self.pieces))
        return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"

    def digest(self, fingerprint: str) -> str:
        """Return a hash of these rows and of the ``fingerprint`` of the job that processes them."""
        pieces = [(p.group.fragment.path, p.group.version, p.group.number, p.only, p.without) for p in self.pieces]
        return sha256(repr((fingerprint, self.first, pieces)).encode()).hexdigest()


@dataclass(frozen=True)
class Layout:
    """How rows become series, in all parts of a table."""

    schema: pa.Schema
    roles: Roles
    options: TableOptions

    def source(self, part: Part) -> Source:
        """Return the rows of a part, as a source that is read batch by batch."""
        return _PartSource(part, self)

    def panels(self, part: Part) -> Iterator[Panel]:
        """Yield the series of a part, in order."""
        return source_panels(self.source(part), self.roles, self.options, first=part.first)


class _PartSource:
    """The rows of a part, read batch by batch."""

    is_csv = False

    def __init__(self, part: Part, layout: Layout) -> None:
        self._part = part
        self._schema = layout.schema
        self.head = Table(part.name, ds.dataset(layout.schema.empty_table()))

    def extent(self, roles: Roles) -> Extent:
        """Return the size. The number of series is unknown."""
        return Extent(0, self._part.n_values)

    def batches(self, roles: Roles, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the columns that have a role, row by row in order."""
        for piece in self._part.pieces:
            group = piece.group
            row_values = max(1, -(-group.n_values // max(1, group.n_rows)))
            with reading(str(group.fragment.path)):
                yield from group.fragment.subset(row_group_ids=[group.number]).to_batches(
                    schema=self._schema,
                    columns=list(dict.fromkeys(roles.all)),
                    filter=piece.rows(roles.id),
                    batch_size=max(1, min(rows, _BATCH_VALUES // row_values)),
                    batch_readahead=1,
                    **scan_options(group.fragment),
                )


# -------------------------------------------------------------------- row groups


def readable_files(data: ds.FileSystemDataset) -> list[ds.ParquetFileFragment]:
    """Return all files, and read their metadata.

    Raises
    ------
    InvalidDataError
        The metadata of some files cannot be read. The message names these files.
    """
    fragments = list(data.get_fragments())
    with ThreadPoolExecutor(_READERS) as pool:
        broken = [reason for reason in pool.map(_broken, fragments) if reason is not None]
    if broken:
        raise InvalidDataError(
            f"{len(broken)} of {len(fragments)} files cannot be read: {'; '.join(broken[:5])}"
            f"{f'; and {len(broken) - 5} more' if len(broken) > 5 else ''}. Replace or remove them. "
            f"No series has been processed yet."
        )
    return fragments


def _broken(fragment: ds.ParquetFileFragment) -> str | None:
    try:
        fragment.ensure_complete_metadata()
    except (pa.ArrowException, OSError) as error:
        return f"{fragment.path} ({str(error).strip().splitlines()[0]:.150})"
    return None


def row_groups(files: Sequence[ds.ParquetFileFragment], roles: Roles) -> list[Group]:
    """Return the row groups of all files, in order. Only metadata are read."""
    return [group for fragment in files for group in _groups_of(fragment, roles) if group.n_rows]


def _groups_of(fragment: ds.ParquetFileFragment, roles: Roles) -> Iterator[Group]:
    version = _version(fragment.filesystem, fragment.path)
    for number, (n_rows, values) in enumerate(row_group_values(fragment, roles)):
        yield Group(fragment, number, n_rows, sum(values), version, *_bounds(fragment, number, roles.id))


def _version(system: fs.FileSystem, path: str) -> str:
    if isinstance(system, fs.PyFileSystem):  # fsspec: its stores report times under different names
        return str(system.handler.fs.ukey(path))
    info = system.get_file_info(path)
    return f"{info.size} {info.mtime_ns}"


def _bounds(fragment: ds.ParquetFileFragment, number: int, id_column: str | None) -> tuple[Any, Any]:
    group = fragment.metadata.row_group(number)
    for c in range(group.num_columns):
        column = group.column(c)
        if column.path_in_schema == id_column:
            stats = column.statistics
            known = stats is not None and stats.has_min_max and stats.has_null_count and stats.null_count == 0
            if known and max(len(str(stats.min)), len(str(stats.max))) < _EXACT:
                return stats.min, stats.max
    return None, None


def are_in_order(groups: Sequence[Group]) -> bool:
    """Return whether row groups are known to be sorted by id, so that series stay together."""
    known = all(group.low is not None for group in groups)
    return known and all(a.high <= b.low for a, b in pairwise(groups))


def are_distinct(groups: Sequence[Group]) -> bool:
    """Return whether it is known that no id is in two row groups."""
    return are_in_order(groups) and all(a.high != b.low for a, b in pairwise(groups))


# -------------------------------------------------------------------- parts


def divide(groups: Sequence[Group], long: bool, part_values: int = PART_VALUES) -> list[Part]:
    """Combine row groups into parts. The result does not depend on the number of workers.

    Parameters
    ----------
    groups : sequence of Group
        In a long table, they must be in order; see `are_in_order`.
    long : bool
        Whether each row is a time step, so that a series may cross a border.
    part_values : int
        Approximate number of values of a part.

    Returns
    -------
    list of Part
    """
    parts: list[Part] = []
    held: list[Piece] = []
    first, values = 0, 0
    for number, group in enumerate(groups):
        held.append(Piece(group, without=_crossing(groups, number - 1) if long and not held else None))
        values += group.n_values
        following = groups[number + 1] if number + 1 < len(groups) else None
        # A row group that holds only the crossing series would leave an empty part.
        through = long and following is not None and following.high == group.high
        if following is not None and (values < part_values or through):
            continue
        crossing = _crossing(groups, number) if long else None
        pieces = (*held, Piece(groups[number + 1], only=crossing)) if crossing is not None else tuple(held)
        parts.append(Part(pieces, first))
        first += sum(piece.group.n_rows for piece in held)
        held, values = [], 0
    return parts


def single_part(groups: Sequence[Group]) -> Part:
    """Return one part with all rows of the row groups."""
    return Part(tuple(Piece(group) for group in groups), first=0)


def _crossing(groups: Sequence[Group], before: int) -> Any:
    """Return the id of the series that crosses the border after row group ``before``, or None."""
    if not 0 <= before < len(groups) - 1:
        return None
    high, low = groups[before].high, groups[before + 1].low
    return high if high is not None and high == low else None
