"""Read tables from Excel files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from vrae.data.columns import Rows, Table
from vrae.data.packed import check_members
from vrae.data.sheet_rows import check_totals, find_header, without_empty_end
from vrae.exceptions import (
    DataWarning,
    InvalidDataError,
    MissingDependencyError,
    Silence,
    check_installed,
    first_line,
    name_some,
    warn,
)

__all__ = ["read_spreadsheet"]

_LARGEST = (1 << 63) - 1
_MOST_CELLS = 50_000_000  # a cell takes about 50 bytes
_MOST_ROWS = 1 << 20  # of a sheet in Excel
_STYLES = Silence(module="openpyxl")  # and other things that hold no data

Cells = list[tuple[Any, ...]]  # rows, which may be of different lengths


def read_spreadsheet(file: Path) -> Table:
    """Read the first sheet with data of an Excel file. Dates in cells are dates."""
    if file.suffix.lower() == ".xls":
        sheets = _old_sheets(file)
    else:
        check_installed("openpyxl", "excel", f"Reading {file}", "Or save it as csv.")
        sheets = _sheets(file)
    if not sheets:
        raise InvalidDataError(f"No series found: {file} has no sheet with data.")
    title, *others = sheets
    if others:
        warn(
            f"{file} has {len(sheets)} sheets with data. Only the first, {title!r}, is read, and not "
            f"{name_some(others)}. Save another one as a file of its own.",
            DataWarning,
        )
    return _table(file, title, sheets[title])


def _sheets(file: Path) -> dict[str, Cells]:
    """Return the rows of the sheets that have data, visible ones if there are any."""
    try:
        check_members(file)
        book = _opened(file, data_only=True)
        try:
            visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            found = {sheet.title: _rows(sheet) for sheet in visible or book.worksheets}
        finally:
            book.close()
    except InvalidDataError:
        raise
    except Exception as error:  # a damaged file can raise any exception, also of other packages
        raise _unreadable(file, error) from None
    return {title: rows for title, rows in found.items() if any(map(_has_data, rows))}


def _opened(file: Path, data_only: bool) -> Any:
    import openpyxl

    with _STYLES():
        return openpyxl.load_workbook(file, read_only=True, data_only=data_only)


def _rows(sheet: Any) -> Cells:
    sheet.reset_dimensions()  # some programs write wrong ones
    rows: Cells = []
    for row in sheet.iter_rows(values_only=True):  # also those that are not in the file, up to the last number
        if len(rows) == _MOST_ROWS:
            raise InvalidDataError(
                f"A row of sheet {sheet.title!r} has a number over {_MOST_ROWS:,}, the most of Excel. The file is "
                f"damaged: save it again as .xlsx or csv."
            )
        rows.append(tuple(row))
    return rows


def _old_sheets(file: Path) -> dict[str, Cells]:
    """Return the rows of the sheets of a ``.xls`` file."""
    try:
        import pandas as pd

        frames = pd.read_excel(file, sheet_name=None, header=None, dtype=object)
    except ImportError:
        raise MissingDependencyError(
            f"Reading {file}, which has the format of old Excel, needs the packages pandas and xlrd: pip install "
            f"pandas xlrd. Or save it as .xlsx or csv."
        ) from None
    except Exception as error:  # a damaged file can raise any exception
        raise _unreadable(file, error) from None
    found = {
        str(title): [tuple(None if cell != cell else cell for cell in row) for row in frame.itertuples(index=False)]
        for title, frame in frames.items()
    }
    return {title: rows for title, rows in found.items() if any(map(_has_data, rows))}


def _unreadable(file: Path, error: Exception) -> InvalidDataError:
    return InvalidDataError(
        f"Cannot read {file}: {first_line(error)}. It may be truncated, protected by a password or in another format "
        f"than its extension says. Save it again as .xlsx or csv."
    )


def _has_data(row: tuple[Any, ...]) -> bool:
    return any(cell is not None and str(cell).strip() for cell in row)


# -------------------------------------------------------------------- a table from rows


def _table(file: Path, sheet: str, rows: Cells) -> Table:
    while rows and not _has_data(rows[-1]):
        rows.pop()
    used = sorted({i for row in rows for i, cell in enumerate(row) if _has_data((cell,))})
    if len(rows) * len(used) > _MOST_CELLS:
        raise InvalidDataError(
            f"The sheet {sheet!r} of {file} has {len(rows):,} rows and {len(used):,} columns, and at most "
            f"{_MOST_CELLS:,} cells can be read. Look for stray cells far from the table, or save it as csv."
        )
    rows = [tuple(row[i] if i < len(row) else None for i in used) for row in rows]
    header = find_header([[_text(cell) for cell in row] for row in rows[:200]], str(file))
    begin = header.n_titles + (header.names is not None)
    names = header.names or [str(i) for i in range(len(used))]
    body = rows[begin:]
    columns = [_column(list(column)) for column in zip(*body, strict=True)] or [pa.array([], pa.null())] * len(names)
    table = without_empty_end(pa.table(columns, names=names))
    found = Table(str(file), Rows(table), first_row=begin + 1)
    _refuse_formulas(file, sheet, body, begin)
    check_totals(table, str(file), found.row(table.num_rows - 1))
    return found


def _column(cells: list[Any]) -> pa.Array:
    """Return a column of one type: numbers, dates or truth values; of several types, text."""
    cells = [None if isinstance(cell, str) and not cell.strip() else cell for cell in cells]
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int} and all(cell is None or -_LARGEST <= cell <= _LARGEST for cell in cells):
        return pa.array(cells, pa.int64())
    if kinds <= {int, float}:
        numbers = [cell if cell is None or isinstance(cell, float) else float(str(cell)) for cell in cells]
        return pa.array(numbers, pa.float64())
    if kinds == {bool}:
        return pa.array(cells, pa.bool_())
    if all(issubclass(kind, date) for kind in kinds):
        moments = [_moment(cell) for cell in cells]
        return pa.array(moments, pa.timestamp("us"))
    return pa.array([None if cell is None else _text(cell) for cell in cells], pa.large_string())


def _moment(cell: date | None) -> datetime | None:
    return cell if cell is None or isinstance(cell, datetime) else datetime(cell.year, cell.month, cell.day)


def _text(cell: Any) -> str:
    """Return a cell as text: 7.0 as 7, a date without a time of day as 2024-01-31."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime):
        return str(cell.date()) if cell.time().isoformat() == "00:00:00" else cell.isoformat(" ")
    return str(cell)


def _refuse_formulas(file: Path, sheet: str, body: Cells, begin: int) -> None:
    """Raise if an empty cell is a formula whose result was not saved."""
    if file.suffix.lower() == ".xls" or all(cell is not None for row in body for cell in row):
        return
    wrong = next(_formulas(file, sheet, begin), None)
    if wrong is not None:
        raise InvalidDataError(
            f"Cell {wrong} of {file} holds a formula without its result. Open the file in a spreadsheet program and "
            f"save it, or save it as csv."
        )


def _formulas(file: Path, sheet: str, begin: int) -> Iterator[str]:
    """Yield the places of formulas whose results are not in the file."""
    results, formulas = _opened(file, data_only=True), _opened(file, data_only=False)
    try:
        both = zip(
            results[sheet].iter_rows(min_row=begin + 1), formulas[sheet].iter_rows(min_row=begin + 1), strict=False
        )
        for values, texts in both:
            for value, text in zip(values, texts, strict=False):
                if value.value is None and isinstance(text.value, str) and text.value.startswith("="):
                    yield text.coordinate
    finally:
        results.close()
        formulas.close()
