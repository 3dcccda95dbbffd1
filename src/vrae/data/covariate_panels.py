"""Series with covariates, such as price and promotion: read from a table, and placed on steps.

A covariate is a channel of the panel, after the channel of values. It is read by its own rules: a
step without a row has no price, even if ``fill`` says that it has no sales.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import Calendar
from vrae.data.columns import Rows, Table
from vrae.data.columns import reading as naming_errors
from vrae.data.containers import are_tables, is_table
from vrae.data.files import open_path
from vrae.data.frames import from_frame
from vrae.data.identity import with_joined_id
from vrae.data.later_times import on_calendar_of_model
from vrae.data.long import RepeatedRowsError, Steps, merge_duplicates, put_on_grid, sort_order
from vrae.data.panel import Panel, offsets_of
from vrae.data.reading import as_panel, read_source
from vrae.data.table_options import TableOptions
from vrae.exceptions import InvalidDataError, name_some, unsaid

__all__ = ["place_on_steps", "read_covariates", "read_with_covariates", "split_covariates"]

Floats = npt.NDArray[np.float64]


def read_with_covariates(source: Any, options: TableOptions, names: Sequence[str]) -> Panel:
    """Read a table as a panel whose last channels are the covariates ``names``.

    Anything else, such as a `Panel` or an array, has its channels already.

    Raises
    ------
    InvalidDataError
        A covariate is no column, or the table is wide.
    """
    if not (is_table(source) or isinstance(source, (str, PathLike, Table))):
        if are_tables(source):
            raise InvalidDataError("Covariates need one table with an id column, not a list of tables. Join them.")
        return as_panel(source)
    table = _opened(source, options)
    if options.given is None:  # else a later table may lack them
        names = [table.require(name) for name in names]
    if options.value is not None:
        options = replace(options, value=tuple(name for name in options.value if name not in names) or None)
    target = _read_values(_without(table, names), options)
    reading = target.reading
    if reading is None or reading.layout != "long" or target.times is None:
        raise InvalidDataError(
            f"Covariates such as {names[0]!r} need a table with one row per series and step. {table.name} has one row "
            f"per series."
        )
    if target.n_channels != 1:
        raise InvalidDataError(
            f"Which column of {table.name} holds the values to forecast? Found {name_some(target.channels, 12)} beside "
            f"the covariates {name_some(list(names))}. Name it with value=, for example in read_panel."
        )
    known = [name for name in names if name in table.columns]
    return _joined(target, _read(table, reading, known, target.calendar) if known else None, names)


def read_covariates(
    source: Any, reading: TableOptions | None, names: Sequence[str], calendar: Calendar | None
) -> Panel:
    """Read covariates alone, such as future prices, as a panel with these channels.

    A table is read like that of the model, ``reading``. Without its id column, it holds for all
    series: the panel then has one, with the id ``"*"``.
    """
    if isinstance(source, (str, PathLike)) or is_table(source):
        options = TableOptions() if reading is None else reading.recalled()
        table = _opened(source, options)
        known = [name for name in names if name in table.columns]
        if not known:
            raise InvalidDataError(
                f"{table.name} has none of the covariates {name_some(names)}. Its columns: "
                f"{name_some(table.columns, 12)}."
            )
        for_all = bool(options.id) and not {options.id, *options.id_parts} & set(table.columns)
        if for_all:
            if options.time is not None:
                table.require(options.time)
            options = replace(options, id=None, id_parts=())
            table = _without(table, [name for name in table.columns if name not in (*known, options.time)])
        try:
            panel = _read(table, options, known, calendar)
        except RepeatedRowsError as error:  # nobody can say here how to merge them
            own = f" It has no column {reading.id!r}, so it holds for all series." if for_all and reading else ""
            raise InvalidDataError(f"{table.name}: {error.found}{own} Keep one row for each of them.") from None
        return replace(panel, ids=np.array(["*"])) if for_all else panel
    panel = as_panel(source)
    if not isinstance(source, Panel) and panel.n_channels == len(names):
        panel = replace(panel, channels=tuple(names))  # of an array, whose channels have no names
    if not set(names) & set(panel.channels):
        raise InvalidDataError(
            f"The future has none of the covariates {name_some(list(names))}. Its channels: "
            f"{name_some(panel.channels, 12)}."
        )
    return on_calendar_of_model(panel, calendar)


def split_covariates(panel: Panel, names: Sequence[str]) -> tuple[Panel, Panel]:
    """Return the series alone, up to their last value, and the covariates of all steps.

    Raises
    ------
    InvalidDataError
        There is not one channel beside the covariates.
    """
    targets = [c for c, name in enumerate(panel.channels) if name not in names]
    if len(targets) != 1:
        raise InvalidDataError(
            f"Forecasts need one channel of values beside the covariates {name_some(list(names))}. Found the channels "
            f"{name_some(panel.channels)}. Name the values with value=, and all others with covariates=."
        )
    absent = [name for name in names if name not in panel.channels]
    values = np.concatenate([panel.values, np.full((len(panel.values), len(absent)), np.nan)], axis=1)
    channels = [*panel.channels, *absent]
    covariates = replace(panel, values=values[:, [channels.index(name) for name in names]], channels=tuple(names))
    target = replace(panel, values=panel.values[:, targets], channels=(panel.channels[targets[0]],))
    return _until_last_value(target), covariates


def place_on_steps(
    panel: Panel,
    ids: npt.NDArray[Any],
    times: npt.NDArray[Any] | None,
    n_steps: int,
    calendar: Calendar | None,
    at_end: bool = False,
) -> Floats:
    """Return the values of a panel at steps of certain series, (n_series, n_steps, n_channels).

    NaN where it has none. Without times, series begin with the first step, or end with the last
    (``at_end``). A panel of one series with the id ``"*"`` holds for all.
    """
    found = np.full((len(ids), n_steps, panel.n_channels), np.nan)
    position = {str(series): row for row, series in enumerate(ids.tolist())}
    for_all = panel.ids.tolist() == ["*"] and "*" not in position
    rows = np.array([0 if for_all else position.get(str(series), -1) for series in panel.ids.tolist()], np.int64)
    item = np.repeat(rows, panel.lengths)
    if panel.times is None or times is None:
        first = n_steps - panel.lengths if at_end else np.zeros(len(panel), np.int64)
        step = np.arange(len(item)) + np.repeat(first - panel.offsets[:-1], panel.lengths)
    else:
        axis, own = (times, panel.times) if calendar is None else map(calendar.cells, (times, panel.times))
        step = np.searchsorted(axis, own)
        step[axis[np.minimum(step, n_steps - 1)] != own] = n_steps
    inside = (item >= 0) & (step >= 0) & (step < n_steps)
    found[item[inside], step[inside]] = panel.values[inside]
    return np.repeat(found[:1], len(ids), axis=0) if for_all else found


# -------------------------------------------------------------------- parts


def _read_values(table: Table, options: TableOptions) -> Panel:
    """Read the series alone. Steps without a row are filled up to the last value of all series."""
    if options.fill is None or options.end is not None:
        return read_source(table, options)
    with unsaid():  # the second time is the one that counts
        panel = read_source(table, replace(options, fill=None))
    known = ~np.isnan(panel.values).all(axis=1)
    end = panel.times[known].max() if panel.times is not None and known.any() else None
    return read_source(table, replace(options, end=end))


def _opened(source: Any, options: TableOptions) -> Table:
    opened: Any = source
    if isinstance(source, (str, PathLike)):
        opened = open_path(Path(source), options)
    elif not isinstance(source, Table):
        opened = from_frame(source).written(options)
    if not isinstance(opened, Table):
        raise InvalidDataError(f"Covariates need a table with a column for each. {source} holds arrays.")
    if all(name in opened.columns for name in options.id_parts):
        return with_joined_id(opened, options.id_parts)
    return opened


def _without(table: Table, names: Sequence[str]) -> Table:
    """Return a table in memory without some columns."""
    kept = [name for name in table.columns if name not in names]
    with naming_errors(table.name):
        data = table.data.to_table(columns=kept) if table.n_rows is None else table.head(table.n_rows, kept)
    return replace(table, data=Rows(data), n_rows=None)


def _read(table: Table, reading: TableOptions, names: Sequence[str], calendar: Calendar | None) -> Panel:
    """Read covariates like the series of ``reading``. Of repeated rows, the mean."""
    merged = "mean" if reading.duplicates == "sum" else reading.duplicates
    if texts := [name for name in names if table.kinds[name] not in ("number", "mixed")]:
        raise InvalidDataError(
            f"The covariates {name_some(texts)} of {table.name} hold no numbers. Make numbers of them, such as 1 for "
            f"a holiday and 0 for other days."
        )
    options = replace(
        reading, value=tuple(names), static=(), fill=None, duplicates=merged, calendar=calendar, given=None, end=None
    )
    return read_source(table, options)


def _joined(target: Panel, covariates: Panel | None, names: Sequence[str]) -> Panel:
    """Return one panel with all steps that the series or their covariates have."""
    parts = [target] if covariates is None else [target, covariates]
    position = {series: row for row, series in enumerate(target.ids.tolist())}
    codes, times, values = [], [], []
    for part in parts:
        rows = np.array([position.get(series, -1) for series in part.ids.tolist()], np.int64)
        channels = [["", *names].index(name if part is covariates else "") for name in part.channels]
        own = np.full((len(part.values), 1 + len(names)), np.nan)
        own[:, channels] = part.values
        codes.append(np.repeat(rows, part.lengths))
        times.append(np.asarray(part.times))
        values.append(own)
    steps = Steps(np.concatenate(codes), np.concatenate(values), np.concatenate(times))
    steps = steps.take(np.flatnonzero(steps.codes >= 0))
    steps = steps.take(sort_order(steps.codes, steps.times))
    steps = merge_duplicates(steps, "mean", target.ids)  # a channel has one value at most
    calendar = target.calendar
    if calendar is not None and calendar.freq is not None:
        steps, _ = put_on_grid(steps, calendar, "raise", target.ids)
    lengths = np.bincount(steps.codes, minlength=len(target))
    return replace(
        target,
        values=steps.values,
        offsets=offsets_of(lengths),
        times=steps.times,
        channels=(*target.channels, *names),
    )


def _until_last_value(panel: Panel) -> Panel:
    """Return a panel without the steps after the last value of all series."""
    known = ~np.isnan(panel.values[:, 0])
    if panel.times is None or not known.any():
        return panel
    kept = panel.times <= panel.times[known].max()
    kept[panel.offsets[:-1]] = True  # a series has at least one step
    item = np.repeat(np.arange(len(panel)), panel.lengths)
    lengths = np.bincount(item[kept], minlength=len(panel))
    return replace(panel, values=panel.values[kept], times=panel.times[kept], offsets=offsets_of(lengths))
