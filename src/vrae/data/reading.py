"""Read any table, file or array as a `Panel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vrae.data.containers import are_tables, is_table
from vrae.data.panel import Panel
from vrae.exceptions import DataTypeError, InvalidParameterError

if TYPE_CHECKING:
    from vrae.data.table_options import TableOptions

__all__ = ["as_panel", "read_panel", "read_source", "table_options"]

# Functions that need Arrow import it themselves, so that arrays can be read without it.


def as_panel(X: Any) -> Panel:
    """Convert the input of an estimator to a panel.

    Arrays are ``(n_series, n_steps)`` or ``(n_series, n_channels, n_steps)``. A list holds series:
    arrays ``(n_steps,)`` or ``(n_channels, n_steps)``, or tables with one row per time step.
    """
    if isinstance(X, Panel):
        return X
    if are_tables(X):
        from vrae.data.frames import frames_to_panel

        return frames_to_panel(X)
    if isinstance(X, (np.ndarray, list, tuple)):
        return Panel.from_arrays(X)
    if hasattr(X, "tocsr"):
        raise DataTypeError(
            "Found a sparse matrix; sparse data is not supported. Pass X.toarray() if it fits into memory."
        )
    if is_table(X):
        return read_panel(X)
    if isinstance(X, Mapping):
        raise DataTypeError("Found a dict of series; pass list(X.values()), or Panel.from_arrays with ids=list(X).")
    return Panel.from_arrays(np.asarray(X) if hasattr(X, "__array__") else X)


def read_panel(
    source: Any,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    value: str | Sequence[str] | None = None,
    layout: Literal["auto", "long", "wide"] = "auto",
    static: str | Sequence[str] | None = None,
    label: str | None = None,
    freq: str | float | None = None,
    duplicates: Literal["raise", "sum", "mean", "first", "last"] = "raise",
) -> Panel:
    """Read time series from a table or a file.

    Parameters
    ----------
    source : table, path or arrays
        - A pandas, polars or pyarrow table.
        - The path of a csv (also compressed: .gz, .bz2, .zst), Parquet, Feather or Arrow file, of a
          folder of such files, or a pattern such as ``"sales/*.parquet"``.
        - The path of a ``.ts``, ``.arff`` or UCR ``.tsv`` file, of an ``.npy`` file, or of an
          ``.npz`` file with ``X`` (or flat ``values`` and ``offsets``), optional ``ids`` and ``y``.
        - Any input of an estimator: arrays, lists of arrays, a `Panel`.
    id : str, optional
        Column that names the series. By default ``unique_id``, a named pandas index or the first
        text column. In a wide table, also a first column of distinct integers with a name like
        ``item_id``. Without any of these, a wide table is numbered by row, and a long table is a
        single series.
    time : str, optional
        Column of dates or numbers that orders the rows of a series. By default ``ds``, if there is
        an id column. Otherwise, the order of the rows is kept. Times with a zone are converted to
        UTC.
    value : str or list of str, optional
        Columns of values, with the wildcards ``*`` and ``?`` (``"W*"``). In a long table, each is a
        channel. In a wide table, each is a time step, or, if it holds lists, a channel. By default
        ``y`` in a long table; otherwise all number columns without another role.
    layout : {"auto", "long", "wide"}, default="auto"
        One row per time step (long) or one row per series (wide). "auto" is long if there is a time
        column, or an id column with repeats.
    static : str or list of str, optional
        Columns with one value per series (category, store), returned in ``Panel.static``. By
        default, the text columns without another role that do not change within a series. ``[]``
        keeps none.
    label : str, optional
        Column of known classes, returned as ``static["label"]``. Never used for training.
    freq : str or number, optional
        Step of a regular grid for the rows of a long table: ``"15min"``, ``"1h"``, ``"1d"``,
        ``"1w"``, ``"1mo"``, ``"1q"``, ``"1y"``, or a number if times are numbers. Gaps become NaN.
        Rows in the same step are duplicates. By default, no grid is used.
    duplicates : {"raise", "sum", "mean", "first", "last"}, default="raise"
        How to merge rows with the same series and time.

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
        id=id, time=time, value=value, layout=layout, static=static, label=label, freq=freq, duplicates=duplicates
    )
    return read_source(source, options)


def read_source(source: Any, options: TableOptions) -> Panel:
    """Read a source, or an opened `Table`, with checked options. See `read_panel`."""
    from vrae.data.columns import Table
    from vrae.data.files import open_path
    from vrae.data.frames import from_frame
    from vrae.data.table_options import TableOptions
    from vrae.data.tables import table_to_panel

    opened = source
    if isinstance(source, (str, PathLike)):
        opened = open_path(Path(source), [options.id or "unique_id"])
    elif not isinstance(source, Table):
        opened = from_frame(source) if is_table(source) else as_panel(source)
    if isinstance(opened, Table):
        return table_to_panel(opened, options)
    if options != TableOptions():
        name = source if isinstance(source, (str, PathLike)) else f"a {type(source).__name__}"
        raise InvalidParameterError(
            f"id=, time=, value= and similar options apply to tables, but {name} holds series already. Leave them out."
        )
    return opened


def table_options(**options: Any) -> TableOptions:
    """Return the options of `read_panel` as one object, with names as text."""
    from vrae.data.table_options import TableOptions

    for key in ("id", "time", "label"):
        if options.get(key) is not None:
            options[key] = str(options[key])
    for key in ("value", "static"):
        if options.get(key) is not None:
            names = [options[key]] if isinstance(options[key], (str, int, np.integer)) else options[key]
            options[key] = tuple(str(name) for name in names)
    return TableOptions(**options)
