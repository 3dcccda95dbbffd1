"""Return results in the kind of container that the user passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from vrae.config import check_choice
from vrae.data.array_likes import holds_array, is_dated_series, is_indexed_series, to_numpy
from vrae.data.panel import Array, Panel, Values
from vrae.data.table_options import TableOptions
from vrae.exceptions import InvalidDataError

__all__ = ["TableKind", "are_tables", "index_like", "is_table", "like"]

# Libraries with tables in memory, by their names in narwhals.
_LIBRARIES = ("cudf", "modin", "pandas", "polars", "pyarrow")


def like(X: Any, panel: Panel) -> Any:
    """Return the values of ``panel`` (float32) in the same kind of container as ``X``.

    For a table, the order of rows and the other columns are kept.
    """
    if isinstance(X, Panel):
        return panel
    if is_table(X) or are_tables(X):
        from vrae.data.frames import frame_like, frames_like

        return frame_like(X, panel) if is_table(X) else type(X)(frames_like(X, panel))
    if isinstance(X, (list, tuple)):
        return _list_like(X, panel)
    if not holds_array(X):
        return panel.to_list()  # of an iterator, which is used up
    array = to_numpy(X)
    return _list_like(array, panel) if array.dtype == object else _array_like(array, panel)


@dataclass(frozen=True)
class TableKind:
    """Library and names of the id and time columns (or index levels) of a table."""

    library: str
    id: str | None
    time: str | None

    def __post_init__(self) -> None:
        check_choice("library", self.library, _LIBRARIES)  # narwhals would import any module a model file names

    @classmethod
    def of(cls, X: Any, reading: TableOptions | None = None) -> Self | None:
        """Return the kind of the table ``X``, or None if ``X`` is not a table.

        ``reading`` says how it was read, if that is known.
        """
        if not is_table(X):
            return None
        import narwhals as nw

        from vrae.data.frames import from_frame
        from vrae.data.roles import find_roles

        known: Any = nw.from_native(X, pass_through=True, allow_series=True)
        library = str(getattr(known, "implementation", "pyarrow"))
        if library not in _LIBRARIES:
            library = "pyarrow"  # lazy tables are collected into Arrow
        roles = reading or find_roles(from_frame(X), TableOptions(static=()))
        return cls(library, roles.id, roles.time)

    def table(self, columns: Mapping[str, Any], zone: str | None = None) -> Any:
        """Build such a table. Columns "id" and "time" get its names, unless these are taken.

        With a zone, the time is in UTC, and is shown on the clock of the zone.
        """
        import narwhals as nw

        names = {"id": self.id, "time": self.time}
        renamed = {new if (new := names.get(n)) and new not in columns else n: c for n, c in columns.items()}
        backend: Any = self.library
        table = nw.from_dict(renamed, backend=backend)
        if zone is not None and "time" in columns:
            time = nw.col(list(renamed)[list(columns).index("time")])
            table = table.with_columns(time.dt.replace_time_zone("UTC").dt.convert_time_zone(zone))
        return table.to_native()


def index_like(X: Any, ids: Array) -> Any:
    """Return the index for a pandas table with one row per series of ``X``.

    This is the index of ``X``, if it is such a table. Otherwise the ids, named like its id column.
    """
    import pandas as pd

    if isinstance(X, pd.DataFrame) and len(X) == len(ids):
        return X.index
    kind = TableKind.of(X)
    return pd.Index(ids, name=kind and kind.id)


def is_table(X: Any) -> bool:
    """Return whether ``X`` is a table that narwhals supports, such as pandas or polars.

    A Series of pandas is one if its index has levels, such as item and date.
    """
    if isinstance(X, (Panel, np.ndarray, list, tuple, str)):
        return False
    if is_indexed_series(X):
        return True
    import narwhals as nw

    try:
        known = nw.from_native(X, pass_through=True)
    except nw.exceptions.DuplicateError:  # a table, though reading it will fail
        return True
    return isinstance(known, (nw.DataFrame, nw.LazyFrame)) or type(X).__module__.startswith("pyarrow._dataset")


def are_tables(X: Any) -> bool:
    """Return whether ``X`` is a list of tables, or of columns with an index of times."""
    if not isinstance(X, (list, tuple)) or len(X) == 0:
        return False
    # hasattr first: for a list of arrays, no table library is imported.
    return is_dated_series(X[0]) or (hasattr(X[0], "columns") and is_table(X[0]))


def _array_like(X: Array, panel: Panel) -> Values:
    n_series, n_steps = len(X), X.shape[-1]
    n_channels = 1 if X.ndim == 2 else X.shape[1]
    if panel.values.shape != (n_series * n_steps, n_channels) or (panel.lengths != n_steps).any():
        raise InvalidDataError(f"Cannot put {panel} back into an array of shape {X.shape}.")
    cube = panel.values.reshape(n_series, n_steps, n_channels).transpose(0, 2, 1)
    return np.ascontiguousarray(cube).reshape(X.shape)


def _list_like(X: Any, panel: Panel) -> Any:
    shapes = [to_numpy(x).shape for x in X]
    fits = [shape[-1] == length for shape, length in zip(shapes, panel.lengths, strict=False)]
    if len(shapes) != len(panel) or not all(fits):
        raise InvalidDataError(f"Cannot put {panel} back into a list of {len(shapes)} series of other lengths.")
    series = [x[0] if len(shape) == 1 else x for x, shape in zip(panel, shapes, strict=True)]
    if isinstance(X, np.ndarray):
        array = np.empty(len(series), object)
        array[:] = series
        return array
    return type(X)(series)
