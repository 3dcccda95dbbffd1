"""Whatever a user passes as ``X`` becomes a panel, and results come back in the container they came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.config import check_choice
from vrae.data.panel import Panel
from vrae.exceptions import DataTypeError, InvalidDataError

__all__ = ["TableKind", "as_panel", "index_like", "is_table", "like"]

# Libraries of tables in memory, as narwhals calls them.
_LIBRARIES = ("cudf", "modin", "pandas", "polars", "pyarrow")


def as_panel(X: Any) -> Panel:
    """Return ``X`` as a panel.

    Parameters
    ----------
    X : Panel, ndarray, list of arrays or table
        A panel passes through uncopied. Arrays are ``(n_series, n_steps)`` or
        ``(n_series, n_channels, n_steps)``; a list holds series of any length, ``(n_steps,)`` or
        ``(n_channels, n_steps)`` each, or tables with a row a step (see `vrae.data.frames`). Tables are read by
        `vrae.read_panel` with its defaults.

    Raises
    ------
    InvalidDataError
        ``X`` is none of these, or what it holds cannot be used.
    """
    if isinstance(X, Panel):
        return X
    if _are_tables(X):
        from vrae.data.frames import frames_to_panel

        return frames_to_panel(X)
    if isinstance(X, (np.ndarray, list, tuple)):
        return Panel.from_arrays(X)
    if hasattr(X, "tocsr"):
        raise DataTypeError(
            "Found a sparse matrix; sparse data is not supported. Pass X.toarray() if it fits into memory."
        )
    if is_table(X):
        from vrae.data.io import read_panel  # Arrow is loaded for tables only

        return read_panel(X)
    if isinstance(X, Mapping):
        raise DataTypeError("Found a dict of series; pass list(X.values()), or Panel.from_arrays with ids=list(X).")
    return Panel.from_arrays(np.asarray(X) if hasattr(X, "__array__") else X)


def like(X: Any, panel: Panel) -> Any:
    """Return the values of ``panel`` in the container that ``X`` is.

    Parameters
    ----------
    X : Panel, ndarray, list of arrays or table
        As `as_panel` takes it. A table may be long or wide; its rows keep their order, and its other columns
        their values.
    panel : Panel
        The series of ``as_panel(X)``, with other values.

    Returns
    -------
    same container as X
        Values are float32.

    Raises
    ------
    InvalidDataError
        The panel has not the shape of ``X``.
    """
    if isinstance(X, Panel):
        return panel
    if is_table(X):
        return _table_like(X, panel)
    if _are_tables(X):
        from vrae.data.frames import frames_like

        return type(X)(frames_like(X, panel))
    if isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype == object):
        return _list_like(X, panel)
    return _array_like(np.asarray(X), panel)


@dataclass(frozen=True)
class TableKind:
    """What a table was, so that another one can be like it.

    Attributes
    ----------
    library : str
        One of those that have tables in memory: "pandas", "polars", "pyarrow", "modin" or "cudf".
    id, time : str or None
        Names of the columns, or levels of the index, with ids and times.
    """

    library: str
    id: str | None
    time: str | None

    def __post_init__(self) -> None:
        check_choice("library", self.library, _LIBRARIES)  # narwhals would load any module that a model file names

    @classmethod
    def of(cls, X: Any) -> Self | None:
        """Return the kind of ``X``, as `as_panel` takes it; None if it is no table."""
        if not is_table(X):
            return None
        import narwhals as nw

        from vrae.data.columns import from_frame
        from vrae.data.roles import TableOptions, find_roles

        known: Any = nw.from_native(X, pass_through=True)
        library = str(getattr(known, "implementation", "pyarrow"))
        if library not in _LIBRARIES:
            library = "pyarrow"  # what those without tables in memory are collected into
        roles = find_roles(from_frame(X), TableOptions(static=()))
        return cls(library, roles.id, roles.time)

    def table(self, columns: Mapping[str, Any]) -> Any:
        """Return columns as a table of this kind; ``id`` and ``time`` get its names, unless other columns have them."""
        import narwhals as nw

        names = {"id": self.id, "time": self.time}
        named = {own if (own := names.get(n)) and own not in columns else n: c for n, c in columns.items()}
        backend: Any = self.library
        return nw.from_dict(named, backend=backend).to_native()


def index_like(X: Any, ids: npt.NDArray[Any]) -> Any:
    """Return what a pandas table with a row for each series of ``X`` has as its index.

    Parameters
    ----------
    X : Panel, ndarray, list of arrays or table
    ids : ndarray, shape (n_series,)
        Of ``as_panel(X)``.

    Returns
    -------
    pandas.Index
        That of ``X``, if it is a pandas table with a row for each series; else the ids, named as the column that they
        come from.
    """
    import pandas as pd

    if isinstance(X, pd.DataFrame) and len(X) == len(ids):
        return X.index
    kind = TableKind.of(X)
    return pd.Index(ids, name=kind and kind.id)


def is_table(X: Any) -> bool:
    """Tell a table (pandas, polars, pyarrow or another that narwhals knows) from other containers."""
    if isinstance(X, (Panel, np.ndarray, list, tuple, str)):
        return False
    import narwhals as nw

    try:
        known = nw.from_native(X, pass_through=True)
    except nw.exceptions.DuplicateError:  # a table, if not one that can be read
        return True
    return isinstance(known, (nw.DataFrame, nw.LazyFrame)) or type(X).__module__.startswith("pyarrow._dataset")


def _are_tables(X: Any) -> bool:
    """Tell a list of tables, each a series, from a list of arrays."""
    # Most lists hold arrays, which takes no table library to see.
    return isinstance(X, (list, tuple)) and len(X) > 0 and hasattr(X[0], "columns") and is_table(X[0])


def _array_like(X: npt.NDArray[Any], panel: Panel) -> npt.NDArray[np.float32]:
    n_series, n_steps = len(X), X.shape[-1]
    n_channels = 1 if X.ndim == 2 else X.shape[1]
    if panel.values.shape != (n_series * n_steps, n_channels) or (panel.lengths != n_steps).any():
        raise InvalidDataError(f"Cannot put {panel} back into an array of shape {X.shape}.")
    cube = panel.values.reshape(n_series, n_steps, n_channels).transpose(0, 2, 1)
    return np.ascontiguousarray(cube).reshape(X.shape)


def _list_like(X: Any, panel: Panel) -> Any:
    shapes = [np.shape(x) for x in X]
    fits = [shape[-1] == length for shape, length in zip(shapes, panel.lengths, strict=False)]
    if len(shapes) != len(panel) or not all(fits):
        raise InvalidDataError(f"Cannot put {panel} back into a list of {len(shapes)} series of other lengths.")
    series = [x[:, 0] if len(shape) == 1 else x.T for x, shape in zip(panel, shapes, strict=True)]
    if isinstance(X, np.ndarray):
        array = np.empty(len(series), object)
        array[:] = series
        return array
    return type(X)(series)


def _table_like(X: Any, panel: Panel) -> Any:
    import narwhals as nw

    from vrae.data.columns import from_frame
    from vrae.data.roles import TableOptions
    from vrae.data.tables import values_by_row

    known: Any = nw.from_native(X, pass_through=True)
    if isinstance(known, nw.LazyFrame):
        known = known.collect()
    if not isinstance(known, nw.DataFrame):
        raise InvalidDataError(f"Cannot put series back into a {type(X).__name__}; pass a table in memory.")
    replaced = values_by_row(from_frame(X), panel, TableOptions(static=()))
    series = [
        nw.new_series(column, replaced[str(column)], backend=known.implementation)
        for column in known.columns
        if str(column) in replaced
    ]
    return nw.to_native(known.with_columns(*series))
