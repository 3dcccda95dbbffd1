"""Tables written part by part: CSV or Parquet, to a file or to standard output."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from vrae.data.calendar import zoned_times
from vrae.data.panel import Panel
from vrae.exceptions import InvalidDataError
from vrae.io.atomic import atomic_file
from vrae.io.formulas import safe_cells
from vrae.io.interrupts import streaming

__all__ = [
    "WRITER",
    "Columns",
    "ParquetTable",
    "csv_writer",
    "read_run_table",
    "read_table",
    "step_columns",
    "table_writer",
    "write_columns",
]

Columns = dict[str, npt.NDArray[Any]]

# In the metadata of Parquet tables: a command may replace its earlier results.
WRITER = {b"writer": b"vrae"}

# Rows per Parquet row group. Small groups are slow to read; large ones take memory.
_ROW_GROUP = 1 << 16
_LARGEST_BLOCK = 1 << 30  # bytes of CSV that Arrow reads at once: a row must fit


@contextmanager
def table_writer(target: Path | None, scores: Collection[str] = ()) -> Iterator[Callable[[Columns], None]]:
    """Yield a function that writes the next rows of a table. All rows have the same columns.

    The target is Parquet if its name ends in ``.parquet``, else CSV. It appears when it is
    complete. None writes CSV to standard output, without waiting for the end. In CSV, the columns
    ``scores`` have six significant digits.
    """
    if target is None:
        with ExitStack() as ending:
            yield _to_stdout(scores, ending)
        return
    with atomic_file(target) as partial:
        if target.suffix == ".parquet":
            with partial.open("wb") as binary, ParquetTable(binary) as table:
                yield table.write
        else:
            # An id may hold a lone surrogate, which UTF-8 cannot encode. It becomes text: \ud800.
            with partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
                yield _CsvTable(file, scores).write


def _to_stdout(scores: Collection[str], ending: ExitStack) -> Callable[[Columns], None]:
    """Return a function that writes to standard output, which is begun with the first rows."""
    begun: list[_CsvTable] = []

    def write(columns: Columns) -> None:
        if not begun:
            ending.enter_context(streaming("standard output"))
            begun.append(_CsvTable(sys.stdout, scores))
        begun[0].write(columns)

    return write


def write_columns(columns: Columns, target: Path | None, scores: Collection[str] = ()) -> None:
    """Write a complete table; see `table_writer`."""
    with table_writer(target, scores) as write:
        write(columns)


def step_columns(panel: Panel) -> Columns:
    """Return the columns of a table with one row per time step: id, step (1, 2, ...) and time.

    Wherever people read a step, the first one is 1.
    """
    step = np.arange(1, panel.offsets[-1] + 1) - np.repeat(panel.offsets[:-1], panel.lengths)
    columns = {"id": np.repeat(panel.ids, panel.lengths), "step": step}
    if panel.times is None:
        return columns
    return {**columns, "time": zoned_times(panel.times, panel.zone)}


def read_table(file: Path, *, as_text: bool = False) -> pa.Table:
    """Read a table of a run. Ids in CSV are text, since 007 is not 7, or all cells if asked for."""
    if file.is_dir():  # many parts
        return pq.read_table(file)
    with file.open("rb") as opened:  # Arrow itself opens only names that are valid UTF-8
        if file.suffix == ".parquet":
            return pq.read_table(opened)
        names = _header(file) if as_text else ["id"]
        return arrow_csv.read_csv(
            opened,
            arrow_csv.ReadOptions(block_size=min(max(file.stat().st_size, 1), _LARGEST_BLOCK)),
            arrow_csv.ParseOptions(newlines_in_values=True),  # as in an id
            arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )


def _header(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8") as opened:
        return next(csv.reader(opened), [])


def read_run_table(run: Path, name: str) -> pa.Table:
    """Read a table of a run folder: Parquet if it is large, else csv."""
    parquet = run / f"{name}.parquet"
    return read_table(parquet if parquet.exists() else run / f"{name}.csv")


def csv_writer(file: TextIO) -> Any:
    """Return a writer of rows that end in a newline. A cell with a carriage return is quoted."""
    return csv.writer(_Newlines(file), lineterminator="\r\n")  # with "\n", Python 3.12 does not quote "\r"


@dataclass(frozen=True)
class _Newlines:
    """Writes rows with a newline at their ends. The writer of csv gives them one by one."""

    file: TextIO

    def write(self, row: str) -> int:
        return self.file.write(row.removesuffix("\r\n") + "\n")


class _Table:
    """A table whose columns keep the types of the first rows."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._types: dict[str, np.dtype[Any]] = {}

    def _convert(self, columns: Columns) -> Columns:
        if not self._types:
            self._types = {name: column.dtype for name, column in columns.items()}
        return {name: _convert(column, self._types[name], name) for name, column in columns.items()}


class _CsvTable(_Table):
    def __init__(self, file: TextIO, scores: Collection[str]) -> None:
        super().__init__(file)
        self._scores = frozenset(scores)
        self._writer = csv_writer(file)

    def write(self, columns: Columns) -> None:
        if not self._types:
            self._writer.writerow(safe_cells(list(columns)))
        cells = [self._cells(name, column) for name, column in self._convert(columns).items()]
        self._writer.writerows(zip(*cells, strict=True))
        self._file.flush()

    def _cells(self, name: str, column: npt.NDArray[Any]) -> list[Any]:
        if name in self._scores and column.dtype.kind == "f":
            return [float(f"{score:.6g}") for score in column.tolist()]
        return safe_cells(_plain_dates(column).tolist())


class ParquetTable(_Table):
    """A Parquet table written part by part to a Python file or one of an Arrow file system."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self._writer: Any = None
        self._pending: list[pa.Table] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def write(self, columns: Columns) -> None:
        """Write the next rows."""
        self._pending.append(pa.table({n: _to_arrow(column) for n, column in self._convert(columns).items()}))
        if sum(table.num_rows for table in self._pending) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        table = pa.concat_tables(self._pending, promote_options="permissive")
        if self._writer is None:
            repeated = [column.name for column in table.schema if not pa.types.is_floating(column.type)]
            schema = table.schema.with_metadata(WRITER)
            self._writer = pq.ParquetWriter(self._file, schema, use_dictionary=repeated)
        self._writer.write_table(table.cast(self._writer.schema))
        self._pending = []


def _convert(column: npt.NDArray[Any], wanted: np.dtype[Any], name: str) -> npt.NDArray[Any]:
    if column.dtype.kind == wanted.kind:
        return column if wanted.kind in "OU" else column.astype(wanted, copy=False)
    if wanted.kind in "OU":
        return column.astype(str)
    if wanted.kind in "iub" and column.dtype.kind == "f":  # integers with missing values
        cells = [None if cell != cell else wanted.type(cell).item() for cell in column.tolist()]
        return np.array(cells, dtype=object)
    try:
        return column.astype(wanted)
    except (TypeError, ValueError):
        raise InvalidDataError(
            f"Column {name!r} is {wanted} in the first rows and {column.dtype} in later ones, such as "
            f"{column[0].item()!r}. Make it text in all rows, or leave it out."
        ) from None


def _plain_dates(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return times that are all at midnight as dates, which have no time of day."""
    if column.dtype.kind != "M":
        return column
    days = column.astype("M8[D]")
    return days if (days == column).all() else column.astype("M8[us]")  # Python has no nanoseconds


def _to_arrow(column: npt.NDArray[Any]) -> pa.Array:
    if column.dtype.kind == "M" and np.datetime_data(column.dtype)[0] not in ("D", "s", "ms", "us", "ns"):
        column = column.astype("M8[us]")
    try:
        if column.dtype.kind == "U":  # Arrow would end the text of an array of numpy at a null character
            return pa.array(column.tolist(), pa.string())
        return pa.array(column.tolist() if column.dtype == object else column)
    except UnicodeError:  # a lone surrogate, as in CSV
        cells = column.tolist()
        return pa.array([c.encode(errors="backslashreplace").decode() if isinstance(c, str) else c for c in cells])
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # ids of several types
        return pa.array([None if cell is None else str(cell) for cell in column.tolist()])
