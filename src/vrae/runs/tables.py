"""Tables that are written part by part: csv or Parquet, a file or standard output."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vrae.data.panel import Panel
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.explanations import ClusterDescription
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidDataError
from vrae.formulas import safe_cells
from vrae.persistence import atomic_file
from vrae.runs.assignment import assign

__all__ = [
    "ParquetTable",
    "embedding_columns",
    "embedding_table",
    "table_writer",
    "write_assignments",
    "write_descriptions",
    "write_embeddings",
    "write_history",
]

Columns = dict[str, npt.NDArray[Any]]

# Rows of a Parquet row group: small ones are slow to read, large ones wait in memory.
_ROW_GROUP = 1 << 16


def write_assignments(clusterer: VRAEClusterer, panels: Iterable[Panel], target: Path | None) -> None:
    """Place the series of all panels in clusters; one row a series: id, cluster, probability, lag, static columns.

    Parameters
    ----------
    clusterer : VRAEClusterer
    panels : iterable of Panel
    target : Path or None
        See `table_writer`.
    """
    with table_writer(target) as write:
        for panel in panels:
            write(assign(clusterer, panel).columns())


def write_embeddings(model: VRAE, panels: Iterable[Panel], target: Path | None) -> None:
    """Embed the series of all panels; one row a series: id, vrae0, vrae1, ... and static columns."""
    with table_writer(target) as write:
        for panel in panels:
            write(embedding_table(model, panel))


def embedding_table(model: VRAE, panel: Panel) -> Columns:
    """Return the table of `write_embeddings` for one panel."""
    static = {name: np.asarray(column) for name, column in panel.static.items()}
    return {**embedding_columns(model, panel.ids, np.asarray(model.transform(panel))), **static}


def write_descriptions(described: Sequence[ClusterDescription], target: Path | None) -> None:
    """Write what there is to say of clusters, a row each: cluster, size, share, words, steps, medoids, traits."""
    rows = [entry.to_dict() for entry in described]
    with table_writer(target) as write:
        write({name: np.array([row[name] for row in rows]) for name in rows[0]})


def write_history(model: VRAE, target: Path) -> None:
    """Write how training went, a row an epoch; NaN is what a record does not have."""
    names = list(dict.fromkeys(name for record in model.history_ for name in record))
    with table_writer(target) as write:
        write({name: np.array([record.get(name, np.nan) for record in model.history_]) for name in names})


def embedding_columns(model: VRAE, ids: npt.NDArray[Any], Z: npt.NDArray[np.float32]) -> Columns:
    """Return latent vectors (n_series, latent_size) as columns: id, vrae0, vrae1, ..."""
    return {"id": ids, **{str(name): Z[:, d] for d, name in enumerate(model.get_feature_names_out())}}


@contextmanager
def table_writer(target: Path | None) -> Iterator[Callable[[Columns], None]]:
    """Give a function that writes the next rows of a table, all of them with the same columns.

    Parameters
    ----------
    target : Path or None
        csv, or Parquet by the name's ending, that is there when all went well, or not at all. None is csv to
        standard output, as it goes.

    Raises
    ------
    InvalidDataError
        Later rows are of another type than the first.
    OutputError
        The disk is full, or the place cannot be written.
    """
    if target is None:
        yield _CsvTable(sys.stdout).write
        return
    with atomic_file(target) as partial:
        if target.suffix == ".parquet":
            with partial.open("wb") as place, ParquetTable(place) as table:
                yield table.write
        else:
            # Half a character, which an id of Python's may hold, is no text anywhere else: it is spelt out, \ud800.
            with partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
                yield _CsvTable(file).write


class _CsvTable:
    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._types = _Types()

    def write(self, columns: Columns) -> None:
        if not self._types.known:
            self._writer.writerow(safe_cells(list(columns)))
        cells = [safe_cells(column.tolist()) for column in self._types.fit(columns).values()]
        self._writer.writerows(zip(*cells, strict=True))
        self._file.flush()


class ParquetTable:
    """A Parquet file, written part by part into an open file, of Python's or of an Arrow file system."""

    def __init__(self, place: Any) -> None:
        self._place = place
        self._types = _Types()
        self._writer: Any = None
        self._held: list[pa.Table] = []

    def __enter__(self) -> ParquetTable:
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def write(self, columns: Columns) -> None:
        """Write the next rows."""
        self._held.append(pa.table({name: _array(column) for name, column in self._types.fit(columns).items()}))
        if sum(table.num_rows for table in self._held) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow.parquet as pq

        if not self._held:
            return
        table = pa.concat_tables(self._held, promote_options="permissive")
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._place, table.schema)
        self._writer.write_table(table.cast(self._writer.schema))
        self._held = []


class _Types:
    """What each column holds, by the first rows: the rest of a file can be nothing else."""

    def __init__(self) -> None:
        self.known: dict[str, np.dtype[Any]] = {}

    def fit(self, columns: Columns) -> Columns:
        """Return columns of the same kinds as the first ones."""
        if not self.known:
            self.known = {name: column.dtype for name, column in columns.items()}
        return {name: _fit(column, self.known[name], name) for name, column in columns.items()}


def _fit(column: npt.NDArray[Any], wanted: np.dtype[Any], name: str) -> npt.NDArray[Any]:
    if column.dtype.kind == wanted.kind:
        return column if wanted.kind in "OU" else column.astype(wanted, copy=False)
    if wanted.kind in "OU":
        return column.astype(str)
    if wanted.kind in "iub" and column.dtype.kind == "f":  # whole numbers, some of them missing
        cells = [None if cell != cell else wanted.type(cell).item() for cell in column.tolist()]
        return np.array(cells, dtype=object)
    try:
        return column.astype(wanted)
    except (TypeError, ValueError):
        raise InvalidDataError(
            f"Column {name!r} holds {wanted} in the first rows and {column.dtype} in later ones, such as "
            f"{column[0].item()!r}. Make it text everywhere, or leave it out."
        ) from None


def _array(column: npt.NDArray[Any]) -> pa.Array:
    try:
        return pa.array(column.tolist()) if column.dtype == object else pa.array(column)
    except UnicodeError:  # as in csv
        cells = column.tolist()
        return pa.array([c.encode(errors="backslashreplace").decode() if isinstance(c, str) else c for c in cells])
