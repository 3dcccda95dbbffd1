"""Read any table, file or array as a `Panel`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vrae.config import check_real
from vrae.data.array_likes import refuse_sparse
from vrae.data.containers import are_tables, is_table
from vrae.data.offsets import plain_step
from vrae.data.panel import Panel
from vrae.exceptions import DataTypeError, InvalidParameterError, shortened

if TYPE_CHECKING:
    from vrae.data.table_options import TableOptions

__all__ = ["as_panel", "read_panel", "read_source", "table_options", "with_static"]

# Functions that need Arrow import it themselves, so that arrays can be read without it.


def as_panel(X: Any, remembered: TableOptions | None = None) -> Panel:
    """Convert the input of an estimator to a panel.

    Arrays are ``(n_series, n_steps)`` or ``(n_series, n_channels, n_steps)``. A list holds series:
    arrays ``(n_steps,)`` or ``(n_channels, n_steps)``, or tables with one row per time step. A
    table is read with the options that a model remembers, if there are any.
    """
    if isinstance(X, Panel):
        return X
    if are_tables(X):
        from vrae.data.frames import frames_to_panel

        return frames_to_panel(X)
    if isinstance(X, (np.ndarray, list, tuple)):
        return Panel.from_arrays(X)
    refuse_sparse(X)
    if is_table(X):
        return read_panel(X) if remembered is None else read_source(X, remembered.recalled())
    if isinstance(X, Mapping):
        raise DataTypeError("Found a dict of series; pass list(X.values()), or Panel.from_arrays with ids=list(X).")
    return Panel.from_arrays(X)


def read_panel(
    source: Any,
    *,
    id: str | Sequence[str] | None = None,  # noqa: A002
    time: str | None = None,
    value: str | Sequence[str] | None = None,
    layout: Literal["auto", "long", "wide"] = "auto",
    static: str | Sequence[str] | None = None,
    label: str | None = None,
    freq: str | float | timedelta | None = None,
    align: Literal["calendar", "start"] | None = None,
    fill: float | None = None,
    missing: float | None = None,
    duplicates: Literal["raise", "sum", "mean", "first", "last"] = "raise",
    decimal: str | None = None,
    thousands: str | None = None,
    date_format: str | None = None,
    encoding: str | None = None,
    timezone: str | None = None,
) -> Panel:
    """Read time series from a table or a file.

    Times are put on a calendar. Its step (hours, days, business days, weeks, months, numbers) is
    found from the times. Steps between the first and the last row of a series that have no row are
    missing values, and so are empty cells. A series begins with its first value and ends with its
    last. Long and wide tables of the same series give the same panel.

    Parameters
    ----------
    source : table, path or arrays
        - A pandas, polars or pyarrow table.
        - The path of a csv (also compressed: .gz, .bz2, .zst, .xz), Excel (.xlsx), JSON lines
          (.jsonl), Parquet, Feather or Arrow file, of a folder of such files, or a pattern such as
          ``"sales/*.parquet"``.
        - The path of a ``.ts``, ``.arff`` or UCR ``.tsv`` file, of an ``.npy`` file, or of an
          ``.npz`` file with ``X`` (or flat ``values`` and ``offsets``), optional ``ids`` and ``y``.
        - Any input of an estimator: arrays, lists of arrays, a `Panel`.
    id : str or list of str, optional
        Column that names the series, or several that name them together (``["store", "item"]``). By
        default ``unique_id``, the levels of a named pandas index or the first text column. In a
        wide table, also a first column of distinct integers with a name like ``item_id``. Without
        any of these, a wide table is numbered by row, and a long table is a single series.
    time : str, optional
        Column of dates or numbers that orders the rows of a series. By default ``ds``, if there is
        an id column. Otherwise, the order of the rows is kept. Whole numbers such as 20240131,
        202401 (month) and 202405 (week, if some end above 12) are dates. A time zone is kept:
        a day is then a day of this zone.
    value : str or list of str, optional
        Columns of values, with the wildcards ``*`` and ``?`` (``"W*"``). In a long table, each is a
        channel. In a wide table, each is a time step, or, if it holds lists, a channel. By default
        ``y`` in a long table, the only number column that is no code, or the one with a usual name
        such as ``qty``. In a wide table, all number columns that are named like steps.
    layout : {"auto", "long", "wide"}, default="auto"
        One row per time step (long) or one row per series (wide). "auto" is long if there is a time
        column, or an id column with repeats.
    static : str or list of str, optional
        Columns with one value per series (category, store), returned in ``Panel.static``. By
        default, the text columns without another role that do not change within a series. ``[]``
        keeps none.
    label : str, optional
        Column of known classes, returned as ``static["label"]``. Never used for training.
    freq : str, number or timedelta, optional
        The step, if it shall not be found from the times: an alias of pandas such as ``"15min"``,
        ``"h"``, ``"D"``, ``"B"``, ``"W-SUN"`` or ``"MS"``, also ``"1d"``, ``"1w"`` and ``"1mo"``.
        A number if times are numbers. Rows in the same step are duplicates.
    align : {"calendar", "start"}, optional
        Whether steps of different series are compared by their date, or by their position since the
        start of each series ("since launch"). By default "calendar" for dates and "start" for
        numbers.
    fill : float, optional
        Value of the steps without a row, for example 0 for sales. It is used from the first row of
        a series to the end of the table. By default, these steps are missing values. A step at
        which no series has a row stays missing, where there are 20 rows per step and this is rare:
        then everything was closed, and a warning names it.
    missing : float, optional
        Number that stands for a missing value, for example -9999.
    duplicates : {"raise", "sum", "mean", "first", "last"}, default="raise"
        How to merge rows with the same series and time.
    decimal, thousands : str, optional
        Decimal sign (``","``) and separator of thousands (``"."``) of numbers in text. By default
        recognised where only one reading is possible.
    date_format : str, optional
        Format of dates in text, such as ``"%d/%m/%Y"``; see `datetime.datetime.strptime`. By
        default recognised where only one reading is possible.
    encoding : str, optional
        Encoding of text files, such as ``"cp1252"``. By default UTF-8, or what the file shows.
    timezone : str, optional
        Zone in which hours and days are meant, such as ``"Europe/Berlin"``. Times with an offset
        are converted to it, times without one are on its clock. By default, a single offset is kept
        as the zone, and times with several offsets, as of winter and summer, are in UTC.

    Returns
    -------
    Panel
        Series in order of the first appearance of their ids. NaN, null, empty cells and ``NA`` are
        missing values.

    Raises
    ------
    InvalidDataError
        If the source cannot be read. The message says what was found, where, and what to do.
    InvalidParameterError
        If an option is unknown or does not apply to the source.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"item": ["a", "a", "b"], "week": [2, 1, 1], "sold": [5.0, 3.0, 4.0]})
    >>> panel = read_panel(table, id="item", time="week", value="sold")
    >>> panel
    Panel(2 series, 1 channel, 1 to 2 steps, 0.0 % missing)
    >>> panel[0].ravel().tolist()
    [3.0, 5.0]
    """
    options = table_options(
        id=id,
        time=time,
        value=value,
        layout=layout,
        static=static,
        label=label,
        freq=freq,
        align=align,
        fill=fill,
        missing=missing,
        duplicates=duplicates,
        decimal=decimal,
        thousands=thousands,
        date_format=date_format,
        encoding=encoding,
        timezone=timezone,
    )
    return read_source(source, options)


def read_source(source: Any, options: TableOptions) -> Panel:
    """Read a source, or an opened `Table`, with checked options. See `read_panel`."""
    from pyarrow import default_memory_pool

    from vrae.data.columns import Table, reading
    from vrae.data.files import open_path
    from vrae.data.frames import from_frame
    from vrae.data.identity import with_joined_id
    from vrae.data.table_options import TableOptions
    from vrae.data.tables import table_to_panel

    opened = source
    if isinstance(source, (str, PathLike)):
        opened = open_path(Path(source), options)
    elif not isinstance(source, Table):
        opened = as_panel(source) if not is_table(source) else from_frame(source).written(options)
    if isinstance(opened, Table):
        with reading(opened.name):  # types for which Arrow lacks a function
            panel = table_to_panel(with_joined_id(opened, options.id_parts), options)
        del opened
        default_memory_pool().release_unused()  # a table takes many times the memory of its panel
        return panel
    if options.given or (options.given is None and options != TableOptions()):
        name = source if isinstance(source, (str, PathLike)) else f"a {type(source).__name__}"
        raise InvalidParameterError(
            f"id=, time=, value= and similar options apply to tables, but {name} holds series already. Leave them out."
        )
    return opened


def table_options(remembered: TableOptions | None = None, **options: Any) -> TableOptions:
    """Return the options of `read_panel` as one object, with names as text.

    With ``remembered``, the options of a model, only those that are not None replace these.
    """
    from vrae.data.table_options import TableOptions

    options = {name: value for name, value in options.items() if value is not None}
    for key in ("time", "label"):
        if key in options:
            options[key] = str(options[key])
    for key in ("id", "value", "static"):
        if key in options:
            names = [options[key]] if isinstance(options[key], (str, int, np.integer)) else options[key]
            if not isinstance(names, Iterable) or isinstance(names, bytes):
                raise InvalidParameterError(
                    f"{key} must be the name of a column, or a list of names; found {shortened(names)}."
                )
            options[key] = tuple(str(name) for name in names)
    if "id" in options:
        names = options["id"]
        options |= {"id": "/".join(names), "id_parts": names if len(names) > 1 else ()}
    for key in ("fill", "missing"):
        if key in options:
            options[key] = check_real(key, options[key], low=-math.inf)
    if "freq" in options:
        options["freq"] = plain_step(options["freq"])
    return TableOptions(**options) if remembered is None else remembered.recalled(**options)


def with_static(source: str | Path, options: TableOptions, names: Sequence[str]) -> tuple[Any, TableOptions]:
    """Return options of a file with static columns beside those that it shows by itself.

    The file is returned too, opened if that was needed: `read_source` then goes on with it.
    """
    from vrae.data.columns import Table
    from vrae.data.files import open_path
    from vrae.data.identity import with_joined_id
    from vrae.data.roles import find_roles

    if not names:
        return source, options
    static = options.static
    opened = open_path(Path(source), replace(options, static=tuple(names))) if static is None else None
    if isinstance(opened, Table):
        table = with_joined_id(opened, options.id_parts)
        named = find_roles(table, replace(options, static=tuple(names)))
        found = replace(options, id=named.id, time=named.time, value=tuple(named.values))
        static = find_roles(table, found).static
    kept = opened if isinstance(opened, Table) else source
    return kept, replace(options, static=tuple(dict.fromkeys([*(static or ()), *names])))
