"""How an earlier result of vrae is recognised: by the columns of a table, or a mark in a file."""

from __future__ import annotations

import csv
import os
import struct
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["is_result"]

# Columns by which a table of vrae is known.
_TABLES = (
    {"cluster", "probability"},
    {"id", "vrae0"},
    {"anomaly", "score"},
    {"stretch", "start", "end", "score"},
    {"rank", "neighbor", "distance"},
    {"item", "other", "q_value"},
    {"step", "mean"},
    {"method", "silhouette", "seconds"},
    {"cluster", "name", "size", "proportion", "words"},
)
_PAGE = b"\xc2\xb7 vrae</title>"  # end of the title of a report
_GRAPH = b"vrae_version"  # in the facts at the end of an ONNX file
_PART = 1 << 16  # bytes that are looked at
_ROWS = 100
# Digits that write any float32. vrae writes its values with the digits of a float64.
_DIGITS = 9


def is_result(path: Path) -> bool:
    """Return whether a file is empty, or a table, report or graph that vrae wrote."""
    try:
        with path.open("rb") as file:
            head = file.read(_PART)
            file.seek(-min(_PART, path.stat().st_size), os.SEEK_END)
            tail = file.read()
    except OSError:
        return False
    if not head:
        return True
    if path.suffix == ".onnx":
        return _GRAPH in tail
    if path.suffix == ".parquet":
        return _is_parquet_of_vrae(path)
    if path.suffix in (".html", ".htm"):
        return _PAGE in head
    lines = head.decode(errors="replace").split("\n")
    with suppress(csv.Error):
        header, *rows = list(csv.reader(lines[:_ROWS] if len(lines) > _ROWS else lines[:-1])) or [[]]
        return _is_table(header) or _is_restored(header, rows)
    return False


def _is_table(columns: Collection[str]) -> bool:
    found = set(columns)
    by_step = {"id", "step"} <= found and any(name.partition(" ")[0] == "deviation" for name in found)
    return by_step or any(known <= found for known in _TABLES)


def _is_restored(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether these are the first rows of a table of rebuilt series: id, step and channels.

    The data themselves can have these columns. Their numbers are shorter, and no float32.
    """
    if list(header[:2]) != ["id", "step"] or len(header) < 3 or not rows:
        return False
    if any(len(row) != len(header) for row in rows) or not _steps_count(rows):
        return False
    cells = [cell for row in rows for cell in row[2:] if cell not in ("", "nan")]
    long = [cell for cell in cells if sum(map(str.isdigit, cell.partition("e")[0])) > _DIGITS]
    return 2 * len(long) > len(cells) and all(map(_is_float32, cells))


def _steps_count(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the steps of every id are 1, 2, ..."""
    name, step = None, 0
    for row in rows:
        step = step + 1 if row[0] == name else 1
        name = row[0]
        if row[1] != str(step):
            return False
    return True


def _is_float32(cell: str) -> bool:
    try:
        value = float(cell)
        return bool(struct.unpack("f", struct.pack("f", value))[0] == value)
    except (ValueError, OverflowError):
        return False


def _is_parquet_of_vrae(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from vrae.runs import WRITER

    try:
        with path.open("rb") as file:
            schema = pq.read_schema(file)
    except (pa.ArrowException, OSError, ValueError):
        return False
    is_marked = WRITER.items() <= (schema.metadata or {}).items()
    return _is_table(schema.names) or (is_marked and schema.names[:2] == ["id", "step"])
