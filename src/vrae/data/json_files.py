"""Read files with one JSON object per line."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.json as arrow_json

from vrae.data.columns import Rows, Table, reading
from vrae.data.packed import limited
from vrae.exceptions import InvalidDataError, shortened

__all__ = ["read_json"]

_BLOCK = 1 << 28  # bytes; a line must fit into a block
_PART = 1 << 22  # bytes that are looked at together

# A table has a cell for each line and key. In most files, they are fewer than bytes.
_FREE_CELLS = 1 << 23
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_KEY = re.compile(_STRING.pattern + rb"\s*:")

# Something else than an object after the line that ends one: objects may have several lines. Arrow
# ends the process if the first of a block is null.
_OTHER = re.compile(rb"\}[ \t\r]*\n\s*([^{\s,\]}][^\n]{0,40})")

_MOST_DEPTH = 64  # of lists in lists; Arrow reads thousands on the stack
_OTHER_BYTES = bytes(byte for byte in range(256) if byte not in b"[]{}")


def read_json(file: Path) -> Table:
    """Read a file with one JSON object per line as a table."""
    with reading(str(file)):
        size = _check(file)
        options = arrow_json.ReadOptions(block_size=max(1 << 20, min(size + 1, _BLOCK)))
        with limited(file) as source:
            rows = arrow_json.read_json(source, options)
        _ = rows.column_names  # names that are not UTF-8 raise here, and values below
        rows.validate(full=True)
    return Table(str(file), Rows(rows), first_row=1)


def _check(file: Path) -> int:
    """Return the size of a file.

    Raise if a line is no object, or if a few bytes would make many cells or deep lists.
    """
    keys: set[bytes] = set()
    n_lines = size = 0
    ended = b"}"  # the last byte before, but for blanks; a file begins as if an object had ended
    with limited(file) as source:
        for part in _parts(source.open("rb") if isinstance(source, Path) else source):
            text = ended + b"\n" + (part if size else part.removeprefix(BOM_UTF8))
            ended = text.rstrip()[-1:]
            if other := _OTHER.search(text):
                line = n_lines + text.count(b"\n", 0, other.start(1))
                found = shortened(other[1].decode(errors="replace"), 40)
                raise InvalidDataError(
                    f"Cannot read {file}: line {line:,} is not a JSON object, but begins with {found}. "
                    f'Write one object per line, such as {{"id": "a", "time": 1, "value": 2.5}}.'
                )
            n_lines, size = n_lines + part.count(b"\n"), size + len(part)
            keys.update(_KEY.findall(part))
            if n_lines * len(keys) > max(_FREE_CELLS, 4 * size):
                raise InvalidDataError(
                    f"The first {n_lines:,} lines of {file} have {len(keys):,} different keys, and each would be a "
                    f"column. Write one line per step, with the keys id, time and value."
                )
            if _depth(part) > _MOST_DEPTH:
                raise InvalidDataError(f"{file} holds more than {_MOST_DEPTH} lists or objects in each other.")
    return size


def _parts(stream: Any) -> Iterator[bytes]:
    """Yield whole lines, several at a time."""
    held: list[bytes] = []
    with stream:
        while block := stream.read(_PART):
            end = block.rfind(b"\n") + 1
            if end:
                yield b"".join([*held, block[:end]])
                held = []
            held.append(block[end:])
    yield b"".join(held)


def _depth(part: bytes) -> int:
    """Return how deep lists and objects are in each other, at most."""
    if max(line.count(b"[") + line.count(b"{") for line in part.split(b"\n")) <= _MOST_DEPTH:
        return 0  # as it is mostly, so that strings need no look
    brackets = np.frombuffer(_STRING.sub(b"", part).translate(None, _OTHER_BYTES), np.uint8)
    depths = np.cumsum(np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1))
    return int(depths.max(initial=0) - depths.min(initial=0))
