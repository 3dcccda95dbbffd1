"""Plan how to read the series of Parquet files in parts, and draw a sample from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from vrae.data.columns import Table
from vrae.data.panel import Panel
from vrae.data.reading import table_options
from vrae.data.roles import Roles
from vrae.data.selection import join_panels
from vrae.data.sources import estimated_series
from vrae.data.stream import distinct_times, settled_roles, with_calendar
from vrae.data.table_options import TableOptions
from vrae.distributed.engine import Log
from vrae.distributed.parts import PART_VALUES, Group, Layout, Part, are_in_order, divide, readable_files, row_groups
from vrae.distributed.pool import check_ids, ordered_tasks, sort_by_id
from vrae.distributed.source import open_parquet
from vrae.distributed.staging import SharedFolder
from vrae.exceptions import InvalidDataError, InvalidParameterError
from vrae.runs import sampling_keys, take_smallest
from vrae.runs.sample import MAX_VALUES

__all__ = ["SeriesParts", "draw_sample", "find_series"]

# A long table of up to this many values is one part, whatever the order of its rows.
_SMALL_VALUES = 1 << 24

# The largest key of the sample is unknown beforehand: keys are drawn up to an estimate plus this
# many standard deviations.
_MARGIN = 6


@dataclass(frozen=True)
class SeriesParts:
    """All series of a table, in parts."""

    layout: Layout
    parts: list[Part]
    n_series: int  # approximate in a long table


def find_series(
    source: Any, staging: SharedFolder, log: Log, part_values: int = PART_VALUES, **options: Any
) -> SeriesParts:
    """Read the metadata of Parquet files, and divide their series into parts.

    Ray must be connected. If the rows of a long table are not known to be sorted by id, a sorted
    copy is first written to the folder ``staging``, and ``log`` is called with a line of text.
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
        # Ids within a part are checked when it is read.
        if roles.id is not None and len(groups) > 1 and not are_in_order(groups, distinct=True):
            check_ids(data, roles.id)
    elif roles.id is None or (not are_in_order(groups) and sum(g.n_values for g in groups) <= _SMALL_VALUES):
        return SeriesParts(Layout(data.schema, roles, given), [Part.of_all(groups)], n_series)
    else:
        if roles.time is not None:
            layout = Layout(data.schema, roles, given)
            n_rows = sum(group.n_rows for group in groups)
            given = with_calendar(table, roles, given, _distinct_times(groups, layout), n_rows)
        if not are_in_order(groups):
            data = _sorted(table, groups, roles, given, staging, log)
            groups = row_groups(readable_files(data), roles)
    return SeriesParts(Layout(data.schema, roles, given), divide(groups, roles.long, part_values), n_series)


def _distinct_times(groups: list[Group], layout: Layout) -> pa.Array:
    """Return the times that occur in all readable row groups.

    A part that cannot be read fails later, when the others are processed.
    """

    def of_group(n: int) -> Any:
        try:
            return distinct_times(layout.source(Part.of_all([groups[n]])), layout.roles)
        except InvalidDataError as error:
            return error

    found = list(ordered_tasks(of_group, range(len(groups))))
    times = [part for part in found if not isinstance(part, InvalidDataError)]
    if not times:
        raise found[0]
    return pc.unique(pa.concat_arrays([part.cast(times[0].type) for part in times]))


def _sorted(
    table: Table, groups: list[Group], roles: Roles, options: TableOptions, staging: SharedFolder, log: Log
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
    record = {"digest": Part.of_all(groups).digest(repr(roles))}
    if staging.read_json("sorted.json") != record:  # no copy, or a copy of other files
        staging.remove(["sorted.json"])
        staging.system.create_dir(folder, recursive=True)
        staging.system.delete_dir_contents(folder)
        sort_by_id(table.data, roles, SharedFolder(staging.system, folder))
        staging.write_json("sorted.json", record)
    files = [f.path for f in staging.system.get_file_info(fs.FileSelector(folder, recursive=True)) if f.is_file]
    return ds.dataset(sorted(files), filesystem=staging.system, format="parquet")


def draw_sample(series: SeriesParts, n_series: int | None, seed: int) -> tuple[Panel, int]:
    """Draw the series that `vrae.runs.sample_series` would draw, and count all. None draws all.

    Workers read the series, and send only the sample.
    """
    n_values = max(1, sum(part.n_values for part in series.parts))
    # The total is an estimate until the first pass, which is usually the only one.
    total, factor = max(1, series.n_series), 1
    while True:
        wanted = float("inf") if n_series is None else min(n_series, MAX_VALUES * total / n_values)
        limit = min(1.0, factor * (wanted + _MARGIN * wanted**0.5 + _MARGIN**2) / total)
        found = list(ordered_tasks(partial(_below, series, limit, seed), range(len(series.parts))))
        panels = [panel for panel, _ in found if panel is not None]
        total = sum(n for _, n in found)
        enough = sum(map(len, panels)) >= min(n_series or total, total)
        if enough or limit == 1.0 or sum(panel.values.size for panel in panels) >= MAX_VALUES:
            break
        factor *= 2  # the estimate was far off, or the drawn series are short
    panel = join_panels(panels)
    del found, panels  # as large as the sample
    if n_series is None:
        return panel, total
    return take_smallest(panel, sampling_keys(panel.ids, seed), n_series)[0], total


def _below(series: SeriesParts, limit: float, seed: int, number: int) -> tuple[Panel | None, int]:
    """Return the series of a part with keys below the limit, if any, and the number of all."""
    kept, total = [], 0
    for panel in series.layout.panels(series.parts[number]):
        total += len(panel)
        chosen = sampling_keys(panel.ids, seed) < limit
        if chosen.any():
            kept.append(panel if chosen.all() else panel.select(chosen))
    return (join_panels(kept) if kept else None), total
