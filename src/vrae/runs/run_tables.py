"""The tables of clusters and latent vectors of a run: read, joined, written with new clusters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vrae.estimators.assignment import OWN_COLUMNS, Assignment, static_name
from vrae.exceptions import ModelFileError, name_some
from vrae.io.formulas import safe_cells
from vrae.runs.table_files import Columns, csv_writer, read_run_table, read_table

__all__ = ["positions", "read_assignment", "write_clusters"]

_OLDER_COLUMNS = tuple(name for name in OWN_COLUMNS if name != "name")  # runs before clusters had names


def read_assignment(run: Path) -> Assignment:
    """Read the tables of a run folder and join them by id."""
    try:
        table, latent = _read_columns(run, "clusters"), _read_columns(run, "embedding")
        ids = latent.pop("id")
        rows = _join(table["id"], ids)
        return Assignment(
            ids=ids[rows],
            labels=_numbers(table, "cluster", -1, 1 << 31).astype(np.int64),
            probabilities=_numbers(table, "probability", 0, 1, whole=False),
            lags=_numbers(table, "lag", -(1 << 53), 1 << 53).astype(np.int64),
            static={name: column for name, column in table.items() if name not in _own_columns(table)},
            embedding=np.stack([_latent(latent, name) for name in latent], axis=1)[rows],
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError, pa.ArrowException) as error:
        raise ModelFileError(f"{run}: the tables of the run cannot be read ({error}). Cluster again.") from None


def _numbers(table: Columns, name: str, low: float, high: float, *, whole: bool = True) -> npt.NDArray[np.float64]:
    """Return a column of numbers within bounds. Raise a ValueError for others."""
    column = np.asarray(table[name])
    if column.dtype.kind not in "iuf":
        raise ValueError(f"the column {name!r} holds no numbers")
    found = column.astype(np.float64)
    is_whole = not whole or (found == np.round(found)).all()
    if not ((found >= low) & (found <= high)).all() or not is_whole:  # NaN is neither
        kind = "whole numbers" if whole else "numbers from 0 to 1"
        raise ValueError(f"the column {name!r} holds something else than {kind} of a run")
    return found


def _latent(table: Columns, name: str) -> npt.NDArray[np.float32]:
    column = np.asarray(table[name])
    if column.dtype.kind not in "iuf" or np.isinf(column).any():
        raise ValueError(f"the column {name!r} of the embedding holds no finite numbers")
    return column.astype(np.float32)


def positions(known: npt.NDArray[Any], ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the row of every id among known ids, -1 for one that is not there.

    Ids are compared as text: those from csv and JSON are text. Dates are compared as dates.
    """
    dated = "M" in (known.dtype.kind, ids.dtype.kind)
    row_of = {text: row for row, text in enumerate(_texts(known, dated))}
    if len(row_of) < len(known):
        raise ValueError("the same id occurs twice")
    return np.array([row_of.get(text, -1) for text in _texts(ids, dated)], np.int64)


def write_clusters(run: Path, folder: Path, assignment: Assignment) -> None:
    """Write the table of clusters of a run to a folder, with new clusters.

    All other cells stay as they are, as text.
    """
    columns = assignment.columns()
    changed = {name: columns[name] for name in ("cluster", "name", "probability")}
    if (run / "clusters.parquet").exists():
        table = read_table(run / "clusters.parquet")
        header = _new_header(table.column_names)
        arrays = {new: pa.array(changed[new].tolist()) if new in changed else table[old] for new, old in header.items()}
        with (folder / "clusters.parquet").open("wb") as file:
            pq.write_table(pa.table(arrays), file)
        return
    table = read_table(run / "clusters.csv", as_text=True)
    header = _new_header(table.column_names)
    cells = {name: safe_cells(column.tolist()) for name, column in changed.items()}
    columns_of_text = [cells[new] if new in cells else table[old].to_pylist() for new, old in header.items()]
    with (folder / "clusters.csv").open("w", newline="", encoding="utf-8") as target:
        writer = csv_writer(target)
        writer.writerow(header)
        writer.writerows(zip(*columns_of_text, strict=True))


def _new_header(columns: Iterable[str]) -> dict[str, str]:
    """Return the columns of a new table of clusters, and the name of each in the earlier table."""
    columns = list(columns)
    header = {name: name for name in OWN_COLUMNS}
    for name in columns[len(_own_columns(columns)) :]:
        header[static_name(name, header)] = name
    return header


def _own_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Return which columns of a table of clusters are no static columns."""
    return OWN_COLUMNS if tuple(columns)[: len(OWN_COLUMNS)] == OWN_COLUMNS else _OLDER_COLUMNS


def _join(ids: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the row in ``others`` of every id."""
    if len(ids) != len(others):
        raise ValueError(f"clusters lists {len(ids)} series and embedding {len(others)}")
    rows = positions(others, ids)
    texts, known = _texts(ids, dated=False), _texts(others, dated=False)
    if all(text in (name, f"'{name}") for text, name in zip(texts, known, strict=True)):  # as they were written
        return np.arange(len(ids))
    for row in np.flatnonzero(rows < 0).tolist():  # an escaped formula, see vrae.io.formulas
        text = str(ids[row])
        rows[row] = positions(others, np.array([text.removeprefix("'")]))[0] if text.startswith("'") else -1
    if (rows < 0).any() or len(np.unique(rows)) < len(rows):
        raise ValueError(
            f"clusters and embedding list different series: {name_some(ids[rows < 0] if (rows < 0).any() else ids)}"
        )
    return rows


def _texts(ids: npt.NDArray[Any], dated: bool) -> list[str]:
    if ids.dtype.kind == "M":
        ids = ids.astype("M8[us]")  # nanoseconds would become numbers
    return [_date(name) for name in ids.tolist()] if dated else [str(name) for name in ids.tolist()]


def _date(name: Any) -> str:
    """Return a date as text in one format; an id that is no date as it is."""
    try:
        return str(np.datetime64(name, "us"))
    except ValueError:
        return str(name)


def _read_columns(run: Path, name: str) -> Columns:
    table = read_run_table(run, name)
    return {column: table[column].to_numpy() for column in table.column_names}
