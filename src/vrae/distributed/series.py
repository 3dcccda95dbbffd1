"""The series of Parquet files, known by their metadata, ready to be worked on in parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.dataset as ds
from pyarrow import fs

from vrae.data.columns import Table
from vrae.data.io import table_options
from vrae.data.roles import Roles, TableOptions
from vrae.data.sources import estimated_series
from vrae.data.stream import earliest, settled_roles
from vrae.distributed import pool
from vrae.distributed.parts import (
    PART_VALUES,
    Group,
    Layout,
    Part,
    are_distinct,
    are_in_order,
    cut,
    readable_files,
    row_groups,
    whole,
)
from vrae.distributed.source import open_parquet
from vrae.distributed.work import Folder
from vrae.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["Series", "find_series"]

# A long table of up to so many values is one part, whatever the order of its rows.
_SMALL_VALUES = 1 << 24


@dataclass(frozen=True)
class Series:
    """Where the series are and how they are read.

    Attributes
    ----------
    layout : Layout
    parts : list of Part
    n_series : int
        About so many; of a table with a row a series, exactly.
    """

    layout: Layout
    parts: list[Part]
    n_series: int


def find_series(
    source: Any,
    workshop: Folder,
    tell: Callable[[str], None],
    part_values: int = PART_VALUES,
    **options: Any,
) -> Series:
    """Look at the metadata of Parquet files, and cut them into parts; Ray is connected already.

    Rows of a long table that are not known to stand together by series are sorted by Ray first, and written anew.

    Parameters
    ----------
    source : path, URL or pyarrow Dataset
        See `vrae.distributed.source.open_parquet`.
    workshop : Folder
        For rows that have to be sorted.
    tell : callable
        Is given a line where that takes a while.
    part_values : int
        Values of a part, about.
    **options
        As in `vrae.read_panel`.

    Raises
    ------
    InvalidDataError
        No series, files that cannot be read, ids that are not distinct.
    InvalidParameterError
        Options that do not go with the source.
    """
    given = table_options(**options)
    table = open_parquet(source, **options)
    data: ds.FileSystemDataset = table.data
    files = readable_files(data)
    roles = settled_roles(table, given)
    groups = row_groups(files, roles)
    if not groups:
        raise InvalidDataError(f"No series found: {table.name} has no rows. Pass at least two series.")
    n_series = estimated_series(table, roles, sum(group.n_rows for group in groups))
    if not roles.long:
        _check_distinct(data, groups, roles)
    elif roles.id is None or (not are_in_order(groups) and sum(g.n_values for g in groups) <= _SMALL_VALUES):
        return Series(Layout(data.schema, roles, given), [whole(groups)], n_series)
    else:
        if given.freq is not None and roles.time is not None:
            given = replace(given, origin=_earliest(groups, Layout(data.schema, roles, given)))
        if not are_in_order(groups):
            data = _sorted(table, groups, roles, given, workshop, tell)
            groups = row_groups(readable_files(data), roles)
    return Series(Layout(data.schema, roles, given), cut(groups, roles.long, part_values), n_series)


def _check_distinct(data: ds.FileSystemDataset, groups: list[Group], roles: Roles) -> None:
    """Raise if an id is in two parts; those within a part are looked at as it is read."""
    if roles.id is not None and len(groups) > 1 and not are_distinct(groups):
        pool.check_ids(data, roles.id)


def _earliest(groups: list[Group], layout: Layout) -> Any:
    """Return the earliest time of all, where the grid of every series begins."""
    parts = [whole([group]) for group in groups]
    return min(pool.each(lambda n: earliest(layout.source(parts[n]), layout.roles), range(len(parts))))


def _sorted(
    table: Table,
    groups: list[Group],
    roles: Roles,
    options: TableOptions,
    workshop: Folder,
    tell: Callable[[str], None],
) -> ds.FileSystemDataset:
    if roles.time is None or options.duplicates in ("first", "last"):
        what = "there is no time column" if roles.time is None else f"duplicates={options.duplicates!r} goes by it"
        raise InvalidParameterError(
            f"The rows of {table.name} have to be sorted by {roles.id!r}, since it is not known from the files' "
            f"metadata that those of a series stand together; that would lose their order, and {what}. Sort them by "
            f"{roles.id!r} and write them again with statistics, or name the time with time=."
        )
    tell(f"The rows are not in order of {roles.id!r}: Ray sorts them first.")
    place = workshop.at("sorted")
    of = {"of": whole(groups).digest(repr(roles))}
    if workshop.read_json("sorted.json") != of:  # those of other files, or of these as they were
        workshop.remove(["sorted.json"])
        workshop.system.create_dir(place, recursive=True)
        workshop.system.delete_dir_contents(place)
        pool.sort_by_id(table.data, roles, Folder(workshop.system, place))
        workshop.write_json("sorted.json", of)
    files = [f.path for f in workshop.system.get_file_info(fs.FileSelector(place, recursive=True)) if f.is_file]
    return ds.dataset(sorted(files), filesystem=workshop.system, format="parquet")
