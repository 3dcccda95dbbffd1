"""The door for data: any table or file becomes a `Panel`."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vrae.data.columns import Table, from_frame
from vrae.data.containers import as_panel, is_table
from vrae.data.files import open_path
from vrae.data.panel import Panel
from vrae.data.roles import TableOptions
from vrae.data.tables import table_to_panel
from vrae.exceptions import InvalidParameterError

__all__ = ["read_panel", "table_options"]


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
        A pandas, polars or pyarrow table; the path of a csv (also packed: .gz, .bz2, .zst), Parquet, Feather
        or Arrow file, of a folder of them, or a pattern such as ``"sales/*.parquet"``; a ``.ts``, ``.arff``
        or UCR ``.tsv`` file; ``.npy``, or ``.npz`` with ``X`` or with flat ``values`` and ``offsets``, and
        ``ids`` and ``y`` if you like. Whatever an estimator takes as ``X`` is fine too.
    id : str, optional
        Column that names the series. Default: ``unique_id`` if there is one; else a pandas index with a name,
        the first text column, in a wide table also a first column of distinct whole numbers with a name like
        ``item_id``; else the row number (wide) or one series alone (long).
    time : str, optional
        Column of dates or numbers to sort by. Default: ``ds`` beside an id column; else the rows of a series
        count as in order already. Zones are converted to UTC.
    value : str or list of str, optional
        Columns with the values; ``*`` and ``?`` are wildcards (``"W*"``). In a long table each is a channel;
        in a wide one a step, or, if it holds lists, a channel. Default: ``y`` in a long table; else all
        number columns that have no other part.
    layout : {"auto", "long", "wide"}, default "auto"
        A row a step (long) or a row a series (wide). "auto" is long if there is a time column or an id column
        with repeats.
    static : str or list of str, optional
        Columns with one value a series (category, store), kept in ``Panel.static``. Default: text columns
        without another part that do not change within a series. ``[]`` keeps none.
    label : str, optional
        Column with known classes, kept as ``static["label"]`` and never used for training.
    freq : str or number, optional
        Put long rows on a regular grid, with NaN in the gaps: ``"15min"``, ``"1h"``, ``"1d"``, ``"1w"``,
        ``"1mo"``, ``"1q"``, ``"1y"``, or a number for times that are numbers. Rows that fall into the same
        step are duplicates.
    duplicates : {"raise", "sum", "mean", "first", "last"}, default "raise"
        What to do with several rows of the same series and time.

    Returns
    -------
    Panel
        Series in the order in which their ids first appear. NaN, null, empty cells and ``NA`` are missing.

    Raises
    ------
    InvalidDataError
        The source cannot be read as it is; the message says what was found, where, and what to do.
    InvalidParameterError
        An option that is unknown or does not go with the source.

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
    opened = _open(source, options)
    if isinstance(opened, Table):
        return table_to_panel(opened, options)
    if options != TableOptions():
        raise InvalidParameterError(
            f"id=, time=, value= and the other options are for tables; {_describe(source)} holds series "
            f"already. Leave them out."
        )
    return opened


def table_options(**options: Any) -> TableOptions:
    """Return the table options among the arguments of `read_panel`, names given in any of the ways it allows.

    Raises
    ------
    InvalidParameterError
        An unknown layout or rule for duplicates.
    """
    for key in ("id", "time", "label"):
        options[key] = _name(options.get(key))
    for key in ("value", "static"):
        options[key] = _names(options.get(key))
    return TableOptions(**options)


def _open(source: Any, options: TableOptions) -> Table | Panel:
    if isinstance(source, (str, PathLike)):
        return open_path(Path(source), [options.id or "unique_id"])
    return from_frame(source) if is_table(source) else as_panel(source)


def _name(name: Any) -> str | None:
    return None if name is None else str(name)


def _names(names: Any) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, (str, int, np.integer)):
        return (str(names),)
    return tuple(str(name) for name in names)


def _describe(source: Any) -> str:
    return str(source) if isinstance(source, (str, PathLike)) else f"a {type(source).__name__}"
