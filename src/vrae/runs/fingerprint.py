"""A fingerprint of a data file, by which a later command notices that it has changed."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from vrae.runs.table_files import read_run_table

__all__ = ["fingerprint", "has_changed", "ids_of_run"]

# Content that is read, at most. Later bytes count by their number.
_MOST_BYTES = 1 << 28
_BLOCK = 1 << 20


def fingerprint(data: str) -> dict[str, Any] | None:
    """Return number, size and hash of the files at a path, in a folder or of a pattern.

    None for standard input, for what is not on this machine, and for what cannot be read.
    """
    if data == "-" or "://" in data:
        return None
    try:
        files = _files(data)
        sizes = [file.stat().st_size for file in files]
        found = blake2b(repr(sizes).encode(), digest_size=16)
        for block in _blocks(files):
            found.update(block)
    except OSError:
        return None
    return {"files": len(files), "bytes": sum(sizes), "blake2b": found.hexdigest()} if files else None


def has_changed(source: dict[str, Any], data: str) -> bool:
    """Return whether the files are surely others than those of a run; see `source_of`."""
    earlier = source.get("fingerprint")
    return earlier is not None and (now := fingerprint(data)) is not None and now != earlier


def ids_of_run(run: Path) -> set[str]:
    """Return the ids of the series of a run, as text."""
    return set(map(str, read_run_table(run, "clusters")["id"].to_pylist()))


def _files(data: str) -> list[Path]:
    place = Path(data)
    if place.is_file():
        return [place]
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.is_file() and not path.name.startswith((".", "_")))
    return sorted(path for path in map(Path, glob.glob(data, recursive=True)) if path.is_file())


def _blocks(files: list[Path]) -> Iterator[bytes]:
    """Yield the content of files, and no more than `_MOST_BYTES`."""
    left = _MOST_BYTES
    for path in files:
        with path.open("rb") as file:
            while left > 0 and (block := file.read(min(_BLOCK, left))):
                left -= len(block)
                yield block
        if left <= 0:
            return
