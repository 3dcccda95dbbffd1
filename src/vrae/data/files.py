"""Open files as tables or panels: csv, Parquet, Arrow, UCR and UEA formats and NumPy arrays."""

from __future__ import annotations

import csv
import glob
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.dataset as ds

from vrae.data.archives import is_number, read_arff, read_ts, read_ucr_tsv
from vrae.data.columns import Table, reading
from vrae.data.dates import cast_to_first
from vrae.data.panel import Array, Panel
from vrae.exceptions import InvalidDataError, name_some

__all__ = ["csv_batches", "csv_files", "open_path"]

_CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst", ".tsv", ".tsv.gz", ".txt")
_ARROW = (".feather", ".arrow", ".ipc")
_PARQUET = (".parquet", ".pq", ".parq")
_ARRAYS = (".npz", ".npy")
_ARCHIVES: dict[str, Callable[[Path], Panel]] = {".ts": read_ts, ".arff": read_arff}
_KNOWN = (*_CSV, *_PARQUET, *_ARROW, *_ARRAYS, *_ARCHIVES)

_SEPARATORS = ",;\t|"
_BLOCK = 1 << 16  # bytes
_NULLS = ["", "NA", "N/A", "#N/A", "<NA>", "nan", "NaN", "NAN", "-nan", "NaT", "null", "NULL", "None", "none", "?"]


def open_path(path: str | Path, id_columns: Sequence[str] = ()) -> Table | Panel:
    """Open a file, a folder of files or a pattern such as ``"sales/*.parquet"``.

    csv, Parquet and Arrow files become a table, others a panel. Leading zeros are kept in the
    ``id_columns`` of a csv.
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
        return _csv_table(files, name, id_columns)
    if suffix in _PARQUET or suffix in _ARROW:
        return _arrow_table(files, name, Path(path).expanduser())
    if len(files) > 1:
        raise InvalidDataError(f"{name} holds {len(files)} {suffix} files. Pass them one at a time.")
    return _read_arrays(files[0]) if suffix in _ARRAYS else _ARCHIVES.get(suffix, read_ucr_tsv)(files[0])


# -------------------------------------------------------------------- finding files


def _suffix(file: Path) -> str:
    found = [suffix for suffix in _KNOWN if file.name.lower().endswith(suffix)]
    return max(found, key=len, default="")


def _family(suffix: str) -> tuple[str, ...]:
    return next((family for family in (_CSV, _PARQUET, _ARROW) if suffix in family), (suffix,))


def _find(path: Path) -> list[Path]:
    files = _matching_files(path)
    for file in files:  # Arrow accepts UTF-8 names only
        if str(file).encode(errors="replace").decode() != str(file) and _suffix(file) in _CSV + _PARQUET + _ARROW:
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
            data = ds.dataset(names, format=kind, partitioning="hive" if base else None, partition_base_dir=base)
        except pa.ArrowInvalid:
            if kind != "ipc":
                raise
            # Memory-mapped, so that values stay on disk until they are used.
            data = ds.dataset(pa.concat_tables([pa.ipc.open_stream(pa.memory_map(file)).read_all() for file in names]))
    try:
        pandas = data.schema.pandas_metadata or {}
    except ValueError as error:
        raise InvalidDataError(f"{name} is damaged: its pandas metadata is not JSON ({error}).") from None
    labels = [label for label in pandas.get("index_columns", ()) if isinstance(label, str)]
    return Table(name, data, tuple(label for label in labels if not label.startswith("__index_level_")))


# -------------------------------------------------------------------- csv


def _csv_table(files: list[Path], name: str, id_columns: Sequence[str]) -> Table:
    tables = [_read_csv(file, id_columns) for file in files]
    for file, table in zip(files, tables, strict=True):
        if set(table.column_names) != set(tables[0].column_names):
            raise InvalidDataError(
                f"{name} holds files with different columns: {name_some(tables[0].column_names)} in "
                f"{files[0].name}, {name_some(table.column_names)} in {file.name}. Pass files with the same columns."
            )
    with reading(name):
        joined = pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]
    return Table(name, ds.dataset(joined))


class _Dialect(NamedTuple):
    """Format of a csv file, detected from its first lines."""

    separator: str
    names: list[str]  # column names
    header: bool  # whether the first line holds the names
    decimal: str  # decimal point


def _read_csv(file: Path, id_columns: Sequence[str]) -> pa.Table:
    dialect = _sniff(file)
    with reading(str(file)):
        try:
            table = _parse_csv(file, dialect, id_columns)
        except pa.ArrowInvalid as error:
            if "conversion error" not in str(error):
                raise
            # Arrow infers types from the first block. A later value does not match: read as text.
            table = _parse_csv(file, dialect, dialect.names)
            for column in set(table.column_names) - set(id_columns):
                table = _replace(table, column, _guess_type)
    binary = [field.name for field in table.schema if pa.types.is_binary(field.type)]
    if binary:
        raise InvalidDataError(f"{file} is not UTF-8 text (column {name_some(binary)}). Save it as UTF-8.")
    for column in set(id_columns) & set(table.column_names):
        table = _replace(table, column, _whole_numbers)
    return table


def _sniff(file: Path) -> _Dialect:
    head = _head(file)
    first = head.splitlines()[0]
    separator = max(_SEPARATORS, key=first.count)
    fields = next(csv.reader([first], delimiter=separator))
    count = [str(i) for i in range(len(fields) + 1)]
    # A first line of numbers is data, unless it counts from 0 or 1.
    header = not _all_numbers(fields) or fields in (count[:-1], count[1:])
    comma = separator != "," and re.search(r"\d,\d", head) and not re.search(r"\d\.\d", head)
    return _Dialect(separator, fields if header else count[:-1], header, "," if comma else ".")


def _parse_csv(file: Path, dialect: _Dialect, text_columns: Sequence[str]) -> pa.Table:
    table = arrow_csv.read_csv(file, *_csv_options(dialect, dict.fromkeys(text_columns, pa.string()), ()))
    _ = table.column_names  # names that are not UTF-8 raise here, where the error is handled
    return table


def _csv_options(dialect: _Dialect, types: Mapping[str, pa.DataType], columns: Sequence[str]) -> tuple[Any, ...]:
    read = arrow_csv.ReadOptions(column_names=None if dialect.header else dialect.names)
    convert = arrow_csv.ConvertOptions(
        column_types=types, include_columns=columns, null_values=_NULLS, decimal_point=dialect.decimal
    )
    return read, arrow_csv.ParseOptions(delimiter=dialect.separator), convert


def csv_files(path: str | Path) -> list[Path]:
    """Return the files of a path, folder or pattern if all are csv, else an empty list."""
    files = _find(Path(path).expanduser())
    usable = [file for file in files if _suffix(file) in _CSV and file.stat().st_size]
    return files if usable == files and not (_suffix(files[0]) == ".tsv" and _is_ucr(files[0])) else []


def csv_batches(file: Path, types: Mapping[str, pa.DataType], columns: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """Read a csv file in record batches of about one megabyte.

    Types that are not given are inferred from the first batch.
    """
    options = _csv_options(_sniff(file), types, columns)
    with reading(str(file)):
        try:
            stream = arrow_csv.open_csv(file, *options)
            _ = stream.schema.names  # as in _parse_csv
            yield from stream
        except pa.ArrowInvalid as error:
            if "conversion error" not in str(error) or "UTF8" in str(error):
                raise
            raise InvalidDataError(
                f"{file}: {str(error).splitlines()[0]:.300}. Earlier rows of this column have another type. Correct "
                f"the value, or leave the cell empty if it is missing."
            ) from None


def _replace(table: pa.Table, column: str, change: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> pa.Table:
    if table.column_names.count(column) > 1:  # Table reports this
        return table
    return table.set_column(table.column_names.index(column), column, change(table[column]))


def _head(file: Path) -> str:
    """Return the first lines of a file, compressed or not, including all of the first line."""
    with reading(str(file)), pa.input_stream(str(file), compression="detect") as stream:
        start = stream.read(_BLOCK)
        while b"\n" not in start and (more := stream.read(_BLOCK)):
            start += more
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InvalidDataError(f"{file} is UTF-16 text. Save it as UTF-8 (csv).")
    head: str = start.decode("utf-8-sig", errors="replace").lstrip("\r\n")
    if not head.strip():
        raise InvalidDataError(f"No series found: {file} is empty.")
    return head


def _all_numbers(fields: list[str]) -> bool:
    return all(is_number(field) or field.strip() in ("?", "NA") for field in fields)


def _is_ucr(file: Path) -> bool:
    """Return whether a ``.tsv`` is a UCR file, which has no header, and not a table."""
    return _all_numbers(_head(file).splitlines()[0].strip().split("\t"))


def _guess_type(text: pa.ChunkedArray) -> pa.ChunkedArray:
    present = pc.if_else(pc.is_in(text, pa.array(_NULLS)), pa.scalar(None, text.type), text)
    found = cast_to_first(present, pa.int64(), pa.float64(), pa.timestamp("us"))
    return text if found is None else found


def _whole_numbers(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert ids to int64 if nothing is lost. 007 stays text."""
    whole = pc.match_substring_regex(text, r"^(0|-?[1-9]\d{0,17})$")
    return pc.cast(text, pa.int64()) if pc.all(whole, min_count=0).as_py() else text


# -------------------------------------------------------------------- NumPy


def _read_arrays(file: Path) -> Panel:
    """Read ``.npy``, or ``.npz`` with ``X`` (or ``values``, ``offsets``), ``ids`` and ``y``."""
    arrays = _load_arrays(file)
    if "values" in arrays and "offsets" in arrays:
        return _flat_panel(arrays, file)
    X = arrays.get("X", next(iter(arrays.values())) if len(arrays) == 1 else None)
    if X is None:
        raise InvalidDataError(
            f"Expected the array 'X', or 'values' and 'offsets', in {file}. Found {name_some(arrays)}."
        )
    if "y" in arrays and arrays["y"].shape != (len(X),):
        raise InvalidDataError(f"Found y of shape {arrays['y'].shape} for {len(X)} series in {file}.")
    try:
        return Panel.from_arrays(X, arrays.get("ids"), static=_labels(arrays))
    except InvalidDataError as error:
        raise InvalidDataError(f"{file}: {error}") from None


def _load_arrays(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:  # given a path, np.load leaves a damaged file open
            loaded = np.load(stream, allow_pickle=False)
            return dict(loaded) if hasattr(loaded, "files") else {"X": loaded}
    except Exception as error:  # a damaged header can raise any exception
        hint = (
            "It holds Python objects, which are never read. Save series of unequal length as numbers, in flat "
            "'values' and 'offsets'."
            if "pickle" in str(error)
            else "The file may be truncated or not written by NumPy. Save it again with numpy.savez."
        )
        raise InvalidDataError(f"Cannot read {file}: {str(error) or type(error).__name__:.200}. {hint}") from None


def _flat_panel(arrays: dict[str, Array], file: Path) -> Panel:
    values, offsets = arrays["values"], arrays["offsets"]
    whole = offsets.ndim == 1 and len(offsets) > 1 and np.issubdtype(offsets.dtype, np.integer)
    if not whole or offsets[0] != 0 or (np.diff(offsets) <= 0).any() or offsets[-1] != len(values):
        raise InvalidDataError(
            f"The offsets in {file} must be increasing integers from 0 to {len(values)}, the number of steps in "
            f"'values'. Series i is values[offsets[i]:offsets[i + 1]]."
        )
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values) or values.ndim not in (1, 2):
        raise InvalidDataError(
            f"Expected real numbers of shape (total_steps,) or (total_steps, n_channels) as 'values' in "
            f"{file}. Found {values.dtype} of shape {values.shape}."
        )
    ids = arrays.get("ids", np.arange(len(offsets) - 1))
    flat = values.astype(np.float32).reshape(len(values), -1)
    return Panel(flat, offsets.astype(np.int64), ids, static=_labels(arrays))


def _labels(arrays: dict[str, Array]) -> dict[str, Array]:
    return {"label": arrays["y"]} if "y" in arrays else {}
