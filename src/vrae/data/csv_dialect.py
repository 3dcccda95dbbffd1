"""Find how a csv file is written: encoding, separator, header and decimal mark."""

from __future__ import annotations

import codecs
import csv
import io
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from vrae.data.columns import reading
from vrae.data.number_text import NumberFormat, marks_of
from vrae.data.packed import opened
from vrae.data.sheet_rows import find_header
from vrae.data.table_options import TableOptions
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, warn

__all__ = ["BLOCK", "WESTERN", "Dialect", "find_dialect", "first_lines", "not_decoded", "warn_of_encoding"]

WESTERN = "cp1252"  # what Windows writes in western Europe and America, where it does not write UTF-8

_WIDE = 5000  # columns; those of a table with more are handled together

_MAX_COLUMNS = 250_000  # each takes a few kilobytes, whatever is in it
_SEPARATORS = "\t;|,"
BLOCK = 1 << 20  # bytes that Arrow reads at once
_START = 1 << 16  # bytes
_MAX_HEAD = 1 << 25  # bytes
_ROWS = 200  # rows that decide
_CELLS = 20_000  # cells that decide


class Dialect(NamedTuple):
    """Format of a csv file, found from its first lines."""

    encoding: str
    separator: str
    n_skipped: int  # lines above the header
    names: list[str]  # names of columns
    header: bool  # whether there is a line with the names
    decimal: str  # decimal mark of numbers that Arrow reads
    closer: bool  # numbers need a closer look than Arrow's: read all columns as text
    numbers: NumberFormat
    has_gaps: bool  # whether there are empty lines between the rows
    block: int  # bytes to read at once: several lines, and at least a megabyte

    @property
    def is_wide(self) -> bool:
        """Whether there are so many columns that each of them must be handled quickly."""
        return len(self.names) > _WIDE

    @property
    def first_row(self) -> int | None:
        """Number of the first row of values in a spreadsheet; None if numbers would be wrong."""
        return None if self.has_gaps else self.n_skipped + self.header + 1


def find_dialect(file: Path, options: TableOptions) -> Dialect:
    """Find the format of a csv file from its first lines and the options."""
    encoding, head = first_lines(file, options.encoding)
    separator, n_skipped = _named_separator(head)
    lines = head.splitlines(keepends=True)[n_skipped:]
    separator = separator or _separator(lines)
    _check_width(lines, separator, file)
    rows, ends = _rows(lines, separator, file)
    header = find_header(rows, str(file))
    begin = ends[header.n_titles - 1] if header.n_titles else 0
    body = rows[header.n_titles + (header.names is not None) :]
    asked = NumberFormat(options.decimal, options.thousands)
    decimal, closer, numbers = _number_format(body, separator, asked)
    first, has_header = rows[header.n_titles], header.names is not None
    names = first if has_header else [str(i) for i in range(len(first))]
    gaps = any(not row and after for row, after in pairwise(body))
    block = max(BLOCK, 4 * max(len(line.encode(errors="replace")) for line in lines))
    return Dialect(encoding, separator, n_skipped + begin, names, has_header, decimal, closer, numbers, gaps, block)


def _check_width(lines: list[str], separator: str, file: Path) -> None:
    n_columns = max(line.count(separator) for line in lines[:_ROWS]) + 1
    if n_columns > _MAX_COLUMNS:
        raise InvalidDataError(
            f"{file} has {n_columns:,} columns, and at most {_MAX_COLUMNS:,} can be read. Write one row per step, with "
            f"an id and a time, or save the series as .npz."
        )


# -------------------------------------------------------------------- encoding


def first_lines(file: Path, encoding: str | None = None) -> tuple[str, str]:
    """Return the encoding of a file, compressed or not, and its first lines as text."""
    with reading(str(file)), opened(file) as stream:
        start = stream.read(_START)
        more = start
        while more and len(start) < _MAX_HEAD and start.count(b"\n") + start.count(b"\r") < 5:
            start += (more := stream.read(len(start)))
        whole = not stream.read(1)
    if not whole and not start.count(b"\n") + start.count(b"\r"):
        raise InvalidDataError(
            f"The first line of {file} is longer than {len(start):,} bytes. Check that rows end with a line break."
        )
    found = _encoding(start, file) if encoding is None else _checked(encoding)
    text = _decoded(start, found, whole, file)
    if not whole and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    if not text.strip():
        raise InvalidDataError(f"No series found: {file} is empty.")
    return found, text


def _checked(encoding: str) -> str:
    try:
        "a".encode(encoding)
    except (LookupError, UnicodeError):
        raise InvalidParameterError(
            f'encoding={encoding!r} is unknown. Pass an encoding of Python, such as "utf-8", "cp1252" or "utf-16".'
        ) from None
    name = codecs.lookup(encoding).name
    return "utf-8" if name in ("utf-8-sig", "ascii") else name  # Arrow takes a byte order mark off


def _encoding(start: bytes, file: Path) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if 3 * start.count(b"\0") > len(start):
        raise InvalidDataError(
            f'{file} seems to be UTF-16 text without a byte order mark. Pass encoding="utf-16-le" or "utf-16-be".'
        )
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)  # may end within a character
    except UnicodeDecodeError:
        return WESTERN
    return "utf-8"


def _decoded(start: bytes, encoding: str, whole: bool, file: Path) -> str:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(start, final=whole)
    except UnicodeError as error:
        raise not_decoded(file, encoding) from error
    return text.removeprefix("\ufeff")


def not_decoded(file: Path, encoding: str) -> InvalidDataError:
    """Return the error about a file that is not in this encoding."""
    tried = "neither UTF-8 nor cp1252 text" if encoding == WESTERN else f"not {encoding.upper()} text"
    return InvalidDataError(f"{file} is {tried}. Name its encoding with encoding=, or save it as UTF-8.")


def warn_of_encoding(file: Path, dialect: Dialect, options: TableOptions) -> None:
    """Say that an encoding was assumed."""
    if dialect.encoding == WESTERN and options.encoding is None:
        warn(
            f"{file} is not UTF-8 text, so it is read as {WESTERN}. Name its encoding with encoding= if letters are "
            f"wrong.",
            DataWarning,
        )


# -------------------------------------------------------------------- separator and rows


def _named_separator(head: str) -> tuple[str, int]:
    """Return the separator of a first line such as ``sep=;``, and the number of lines it takes."""
    found = re.match(r'"?sep=(.)"?[;,\t ]*\r?\n', head, re.IGNORECASE)
    return (found[1], 1) if found else ("", 0)


def _separator(lines: list[str]) -> str:
    """Return the separator that divides the most lines into the same number of fields."""
    sample = [line for line in lines[:_ROWS] if line.strip()]

    def agreement(separator: str) -> tuple[int, bool, int]:
        counts = [line.count(separator) for line in sample]
        common = max({n for n in counts if n} or {0}, key=counts.count)
        # A comma may be a decimal mark, so other separators come first.
        return (counts.count(common) if common else 0, separator != ",", common)

    return max(_SEPARATORS, key=agreement)


def _rows(lines: list[str], separator: str, file: Path) -> tuple[list[list[str]], list[int]]:
    """Return the first rows, and the number of lines up to the end of each."""
    rows, ends = [], []
    reader = csv.reader(io.StringIO("".join(lines), newline=""), delimiter=separator)
    try:
        for row in reader:
            rows.append(row)
            ends.append(reader.line_num)
            if len(rows) >= _ROWS or (len(rows) > 2 and len(row) * len(rows) > _CELLS):
                break
    except csv.Error as error:
        raise InvalidDataError(f'Cannot read {file}: {error}. Look for a stray quote (").') from None
    return rows, ends


# -------------------------------------------------------------------- numbers


def _number_format(rows: list[list[str]], separator: str, asked: NumberFormat) -> tuple[str, bool, NumberFormat]:
    """Return Arrow's decimal mark, whether it must not read numbers, and the format of numbers."""
    if asked.thousands is not None:
        return ".", True, asked
    if asked.decimal is not None:
        return asked.decimal, False, asked
    cells = [cell.strip().lower() for row in rows for cell in row if cell and cell.strip()[-1:].isdigit()][:_CELLS]
    marks = marks_of(pa.array(cells, pa.string()))
    commas = NumberFormat(commas=True)
    if marks.comma:
        return ",", marks.point, commas
    zeros = any(re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d\d0", cell) for cell in cells)
    if separator == ";" and marks.unclear_point and not marks.point and zeros:
        return ".", True, commas  # 8.100 may be the German way to write 8100
    return ".", False, asked
