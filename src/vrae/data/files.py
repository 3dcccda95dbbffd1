"""Open files as tables or panels: csv, Excel, JSON, Parquet, Arrow, UCR, UEA and NumPy formats."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from vrae.data.archives import is_number, read_arff, read_ts, read_ucr_tsv
from vrae.data.array_files import read_arrays
from vrae.data.columns import Rows, Table, reading
from vrae.data.csv_dialect import first_lines
from vrae.data.csv_files import read_csv
from vrae.data.json_files import read_json
from vrae.data.packed import PACKED
from vrae.data.panel import Panel
from vrae.data.spreadsheets import read_spreadsheet
from vrae.data.table_options import TableOptions
from vrae.exceptions import InvalidDataError, name_some

__all__ = ["csv_files", "open_path"]

DEFAULT_OPTIONS = TableOptions()

_CSV = tuple(kind + packed for kind in (".csv", ".tsv", ".txt") for packed in ("", *PACKED))
_EXCEL = (".xlsx", ".xlsm", ".xls")
_JSON = tuple(kind + packed for kind in (".jsonl", ".ndjson") for packed in ("", *PACKED))
_ARROW = (".feather", ".arrow", ".ipc")
_PARQUET = (".parquet", ".pq", ".parq")
_ARRAYS = (".npz", ".npy")
_ARCHIVES: dict[str, Callable[[Path], Panel]] = {".ts": read_ts, ".arff": read_arff}
_KNOWN = (*_CSV, *_EXCEL, *_JSON, *_PARQUET, *_ARROW, *_ARRAYS, *_ARCHIVES)


def open_path(path: str | Path, options: TableOptions = DEFAULT_OPTIONS) -> Table | Panel:
    """Open a file, a folder of files or a pattern such as ``"sales/*.parquet"``.

    csv, Excel, JSON lines, Parquet and Arrow files become a table, others a panel. Of the options,
    those about numbers, dates, the encoding and the roles of columns are used.
    """
    files = _find(Path(path).expanduser())
    name, suffix = str(path), _suffix(files[0])
    others = [file.name for file in files if _family(_suffix(file)) != _family(suffix)]
    if others:
        raise InvalidDataError(
            f"{name} holds files of several formats: {files[0].name!r} and {name_some(others, 3)}. Pass files of "
            f'one format, for example "{name}/*{suffix}".'
        )
    empty = [str(file) for file in files if file.stat().st_size == 0]
    if empty:
        raise InvalidDataError(f"No series found: {name_some(empty, 3)} is empty (0 bytes).")
    if suffix in _CSV and not (suffix == ".tsv" and _is_ucr(files[0])):
        return _joined([read_csv(file, options) for file in files], name)
    if suffix in _EXCEL:
        return _joined([read_spreadsheet(file).written(options) for file in files], name)
    if suffix in _JSON:
        return _joined([read_json(file).written(options) for file in files], name)
    if suffix in _PARQUET or suffix in _ARROW:
        return _arrow_table(files, name, Path(path).expanduser()).written(options)
    if len(files) > 1:
        raise InvalidDataError(f"{name} holds {len(files)} {suffix} files. Pass them one at a time.")
    return read_arrays(files[0]) if suffix in _ARRAYS else _ARCHIVES.get(suffix, read_ucr_tsv)(files[0])


# -------------------------------------------------------------------- finding files


def _suffix(file: Path) -> str:
    found = [suffix for suffix in _KNOWN if file.name.lower().endswith(suffix)]
    return max(found, key=len, default="")


def _family(suffix: str) -> tuple[str, ...]:
    return next((family for family in (_CSV, _EXCEL, _JSON, _PARQUET, _ARROW) if suffix in family), (suffix,))


def _find(path: Path) -> list[Path]:
    try:
        files = _matching_files(path)
    except OSError as error:  # a name that is too long, or a folder that vanishes or cannot be entered
        raise InvalidDataError(f"Cannot read {path}: {error.strerror or error}.") from None
    for file in files:  # Arrow accepts UTF-8 names only
        if (
            str(file).encode(errors="replace").decode() != str(file)
            and _suffix(file) in _CSV + _JSON + _PARQUET + _ARROW
        ):
            raise InvalidDataError(f"Cannot read {file}: its path is not UTF-8 text. Rename the file or its folder.")
    return files


def _matching_files(path: Path) -> list[Path]:
    """Return the files of a folder, of a pattern, or the file itself: at least one."""
    if path.is_dir():
        visible = [file for file in sorted(path.rglob("*")) if not file.name.startswith(("_", "."))]
        files = [file for file in visible if file.is_file() and _suffix(file)]
        if not files:
            raise InvalidDataError(f"No data files in the folder {path}. Known extensions: {', '.join(_KNOWN)}.")
        return files
    if path.is_file():
        if not _suffix(path):
            raise InvalidDataError(
                f"Unknown format: {path} has the extension {path.suffix!r}. Known extensions: {', '.join(_KNOWN)}."
            )
        return [path]
    files = [Path(found) for found in sorted(glob.glob(str(path), recursive=True)) if _suffix(Path(found))]
    if not files:
        others = sorted(file.name for file in path.parent.iterdir() if _suffix(file)) if path.parent.is_dir() else []
        hint = f" Its folder holds {name_some(others)}." if others else ""
        raise InvalidDataError(f"No such file or folder: {path}.{hint}")
    return files


# -------------------------------------------------------------------- Parquet and Arrow


def _arrow_table(files: list[Path], name: str, path: Path) -> Table:
    """Open files without reading them. Folders named ``store=3`` become a column."""
    names = [str(file) for file in files]
    base = str(path) if path.is_dir() else None
    kind = "parquet" if _suffix(files[0]) in _PARQUET else "ipc"
    with reading(name):
        try:
            if kind == "ipc":
                _check_arrow(names)
            data = ds.dataset(names, format=kind, partitioning="hive" if base else None, partition_base_dir=base)
        except pa.ArrowInvalid:
            if kind != "ipc":
                raise
            # Memory-mapped, so that values stay on disk until they are used.
            streams = [pa.ipc.open_stream(pa.memory_map(file)).read_all() for file in names]
            for stream in streams:
                stream.validate(full=True)
            data = ds.dataset(pa.concat_tables(streams))
    try:
        pandas = data.schema.pandas_metadata or {}
    except ValueError as error:
        raise InvalidDataError(f"{name} is damaged: its pandas metadata is not JSON ({error}).") from None
    index = pandas.get("index_columns") if isinstance(pandas, dict) else None
    known = set(data.schema.names)
    labels = [label for label in index if isinstance(label, str) and label in known] if isinstance(index, list) else []
    return Table(name, data, tuple(label for label in labels if not label.startswith("__index_level_")))


def _check_arrow(names: list[str]) -> None:
    """Raise if offsets or indices point outside of their data, which Arrow reads unchecked."""
    for name in names:
        with pa.memory_map(name) as mapped, pa.ipc.open_file(mapped) as file:
            for number in range(file.num_record_batches):
                file.get_batch(number).validate(full=True)


# -------------------------------------------------------------------- csv and JSON lines


def csv_files(path: str | Path) -> list[Path]:
    """Return the files of a path, folder or pattern if all are csv, else an empty list."""
    files = _find(Path(path).expanduser())
    usable = [file for file in files if _suffix(file) in _CSV and file.stat().st_size]
    return files if usable == files and not (_suffix(files[0]) == ".tsv" and _is_ucr(files[0])) else []


def _is_ucr(file: Path) -> bool:
    """Return whether a ``.tsv`` is a UCR file, which has no header, and not a table."""
    fields = first_lines(file)[1].strip().splitlines()[0].split("\t")
    return all(is_number(field) or field.strip() in ("?", "NA") for field in fields)


def _joined(tables: list[Table], name: str) -> Table:
    """Join the tables of several files. Their rows are counted from 0."""
    first = tables[0]
    if len(tables) == 1:
        return replace(first, name=name)
    for table in tables:
        if set(table.columns) != set(first.columns):
            raise InvalidDataError(
                f"{name} holds files with different columns: {name_some(first.columns)} in {first.name}, "
                f"{name_some(table.columns)} in {table.name}. Pass files with the same columns."
            )
    with reading(name):
        rows = pa.concat_tables([table.data.to_table() for table in tables], promote_options="permissive")
    unclear = [table.numbers for table in tables if table.numbers.commas]
    numbers = unclear[0] if unclear else first.numbers
    return replace(first, name=name, data=Rows(rows), first_row=None, numbers=numbers)
