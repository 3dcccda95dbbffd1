"""Plan how to read the series of Parquet files in parts, from their metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.dataset as ds
from pyarrow import fs

from vrae.data.columns import Table
from vrae.data.reading import table_options
from vrae.data.roles import Roles, TableOptions
from vrae.data.sources import estimated_series
from vrae.data.stream import earliest, settled_roles
from vrae.distributed.parts import (
    PART_VALUES,
    Group,
    Layout,
    Part,
    are_distinct,
    are_in_order,
    divide,
    readable_files,
    row_groups,
    single_part,
)
from vrae.distributed.pool import check_ids, ordered_tasks, sort_by_id
from vrae.distributed.source import open_parquet
from vrae.distributed.staging import SharedFolder
from vrae.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["SeriesParts", "find_series"]

# A long table of up to this many values is one part, whatever the order of its rows.
_SMALL_VALUES = 1 << 24


@dataclass(frozen=True)
class SeriesParts:
    """All series of a table, in parts.

    Attributes
    ----------
    layout : Layout
    parts : list of Part
    n_series : int
        Approximate number of series. Exact for a wide table.
    """

    layout: Layout
    parts: list[Part]
    n_series: int


def find_series(
    source: Any,
    staging: SharedFolder,
    log: Callable[[str], None],
    part_values: int = PART_VALUES,
    **options: Any,
) -> SeriesParts:
    """Read the metadata of Parquet files, and divide their series into parts.

    Ray must be connected. If the rows of a long table are not known to be sorted by id, it first
    writes a sorted copy.

    Parameters
    ----------
    source : path, URL or pyarrow Dataset
        See `vrae.distributed.source.open_parquet`.
    staging : SharedFolder
        Folder for sorted rows.
    log : callable
        Called with a line of text before rows are sorted.
    part_values : int, default=8388608
        Approximate number of values of a part.
    **options
        Options of `vrae.read_panel`.

    Returns
    -------
    SeriesParts

    Raises
    ------
    InvalidDataError
        There are no series, files cannot be read, or ids are not unique.
    InvalidParameterError
        The options do not fit the source.
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
        return SeriesParts(Layout(data.schema, roles, given), [single_part(groups)], n_series)
    else:
        if given.freq is not None and roles.time is not None:
            given = replace(given, origin=_earliest(groups, Layout(data.schema, roles, given)))
        if not are_in_order(groups):
            data = _sorted(table, groups, roles, given, staging, log)
            groups = row_groups(readable_files(data), roles)
    return SeriesParts(Layout(data.schema, roles, given), divide(groups, roles.long, part_values), n_series)


def _check_distinct(data: ds.FileSystemDataset, groups: list[Group], roles: Roles) -> None:
    """Raise if an id is in two parts. Ids within a part are checked when it is read."""
    if roles.id is not None and len(groups) > 1 and not are_distinct(groups):
        check_ids(data, roles.id)


def _earliest(groups: list[Group], layout: Layout) -> Any:
    """Return the earliest time of all series, at which their grids begin."""
    parts = [single_part([group]) for group in groups]
    return min(ordered_tasks(lambda n: earliest(layout.source(parts[n]), layout.roles), range(len(parts))))


def _sorted(
    table: Table,
    groups: list[Group],
    roles: Roles,
    options: TableOptions,
    staging: SharedFolder,
    log: Callable[[str], None],
) -> ds.FileSystemDataset:
    """Return a copy of the rows, sorted by id and time, from this call or an interrupted one."""
    if roles.time is None or options.duplicates in ("first", "last"):
        what = "there is no time column" if roles.time is None else f"duplicates={options.duplicates!r} depends on it"
        raise InvalidParameterError(
            f"The rows of {table.name} must be sorted by {roles.id!r}: the metadata of the files do not show that the "
            f"rows of a series are contiguous. Sorting here would lose the order of the rows, and {what}. Sort them by "
            f"{roles.id!r} and write them again with statistics, or name the time column with time=."
        )
    log(f"The rows are not sorted by {roles.id!r}: Ray sorts them first.")
    folder = staging.at("sorted")
    record = {"digest": single_part(groups).digest(repr(roles))}
    if staging.read_json("sorted.json") != record:  # no copy, or a copy of other files
        staging.remove(["sorted.json"])
        staging.system.create_dir(folder, recursive=True)
        staging.system.delete_dir_contents(folder)
        sort_by_id(table.data, roles, SharedFolder(staging.system, folder))
        staging.write_json("sorted.json", record)
    files = [f.path for f in staging.system.get_file_info(fs.FileSelector(folder, recursive=True)) if f.is_file]
    return ds.dataset(sorted(files), filesystem=staging.system, format="parquet")
