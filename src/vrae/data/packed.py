"""Compressed files: open them, estimate their size, and stop where they would fill memory.

A few kilobytes can hold gigabytes of zeros. A file may therefore unpack to 64 megabytes,
or to many times its size, and never to more than the memory of the machine.
"""

from __future__ import annotations

import io
import lzma
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Never

import pyarrow as pa
import pyarrow.dataset as ds

from vrae.exceptions import InvalidDataError

__all__ = [
    "PACKED",
    "check_members",
    "check_rows",
    "check_size",
    "is_packed",
    "largest_size",
    "limited",
    "opened",
    "unpacked_size",
]

PACKED = (".gz", ".bz2", ".zst", ".xz")

_FREE = 1 << 26  # bytes that any file may hold
_RATIO = 250  # of unpacked to packed bytes; zeros are packed to a thousandth, tables rarely to a hundredth
_BLOCK = 1 << 20  # bytes that are read at once
_BYTES = 8  # of a value in memory
_MOST_MEMBERS = 10_000  # of a zip file

# Estimates of packed files that are too large to be counted.
_USUAL_RATIO = 4


def is_packed(file: Path) -> bool:
    """Return whether a file is compressed, by its name."""
    return file.suffix.lower() in PACKED


def opened(file: Path) -> Any:
    """Open a file, compressed or not, to read its unpacked bytes."""
    if file.suffix.lower() == ".xz":  # Arrow has no decoder
        return lzma.open(file)
    return pa.input_stream(str(file), compression="detect")


@contextmanager
def limited(file: Path) -> Iterator[Any]:
    """Yield what Arrow reads: the path, or a stream that raises before it fills memory."""
    if not is_packed(file):
        yield file
        return
    with _Limited(opened(file), file) as stream:
        yield stream


def unpacked_size(file: Path, most: int) -> int:
    """Return the number of bytes in a file; if they are more than ``most``, an estimate.

    At most ``most`` bytes are unpacked, since sizes that a file states may be wrong.
    """
    size = file.stat().st_size
    if not is_packed(file) or _USUAL_RATIO * size > most:
        return size * (_USUAL_RATIO if is_packed(file) else 1)
    found = 0
    with opened(file) as stream:
        while found <= most and (block := stream.read(_BLOCK)):
            found += len(block)
    return found


def largest_size(packed: int, times_free: int = 1) -> int:
    """Return how many bytes a file of ``packed`` bytes may hold when it is read whole."""
    return min(max(times_free * _FREE, _RATIO * packed), memory())


def check_size(size: int, file: Path, what: str = "data") -> None:
    """Raise if a file says that it holds more bytes than is allowed."""
    if size > largest_size(file.stat().st_size):
        _refuse(size, file, what)


def check_members(file: Path) -> list[zipfile.ZipInfo]:
    """Return the members of a zip file. Raise if they unpack to more than is allowed."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    check_size(sum(member.file_size for member in members), file, "members")
    if len(members) > _MOST_MEMBERS:
        raise InvalidDataError(f"{file} has {len(members):,} members. At most {_MOST_MEMBERS:,} can be read.")
    return members


def check_rows(data: ds.Dataset, columns: Sequence[str], name: str) -> None:
    """Raise if columns of Parquet or Arrow files say that they hold more than is allowed."""
    files = [fragment for fragment in data.get_fragments() if hasattr(fragment, "path")]
    if not files:
        return
    packed = sum(file.filesystem.get_file_info(file.path).size or 0 for file in files)
    size = _BYTES * max(data.count_rows() * len(columns), sum(_n_values(file, set(columns)) for file in files))
    if size > largest_size(packed, times_free=8):
        raise InvalidDataError(
            f"{name} has {packed:,} bytes and says that it holds {size:,} bytes of values, over {_RATIO} times as "
            f"much or more than fits into memory. It may be damaged or made to fill memory. If it is right, read it "
            f"in parts: vrae.data.stream.stream_panels, or the command vrae cluster."
        )


def _n_values(file: ds.Fragment, columns: set[str]) -> int:
    """Return the number of values in columns of lists, of a Parquet file."""
    if not isinstance(file, ds.ParquetFileFragment):
        return 0
    nested = {field.name for field in file.physical_schema if field.name in columns and field.type.num_fields}
    groups = [file.metadata.row_group(g) for g in range(file.metadata.num_row_groups)] if nested else []
    parts = (group.column(c) for group in groups for c in range(group.num_columns))
    return sum(part.num_values for part in parts if part.path_in_schema.split(".")[0] in nested)


def memory() -> int:
    """Return the bytes of memory of the machine, or of those that this process may use."""
    limits = [1 << 62]
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    group = Path("/sys/fs/cgroup/memory.max")  # of a container
    if group.is_file() and (text := group.read_text().strip()).isdigit():
        limits.append(int(text))
    return min(limits)


def _refuse(size: int, file: Path, what: str) -> Never:
    packed = file.stat().st_size
    raise InvalidDataError(
        f"{file} has {packed:,} bytes and holds {what} of {size:,} bytes or more, over {_RATIO} times as much or more "
        f"than fits into memory. It may be damaged or made to fill memory. If it is right, unpack it, or save it "
        f"without compression."
    )


class _Limited(io.RawIOBase):
    """A stream that raises once it has given more bytes than its file may hold."""

    def __init__(self, stream: Any, file: Path) -> None:
        self._stream, self._file = stream, file
        self._most = largest_size(file.stat().st_size)
        self._given = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block: bytes = self._stream.read(_BLOCK if size < 0 else size)
        self._given += len(block)
        if self._given > self._most:
            _refuse(self._given, self._file, "text")
        return block

    def close(self) -> None:
        self._stream.close()
        super().close()
