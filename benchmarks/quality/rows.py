"""Rows of results: one JSON object per line, so that a run can be stopped and resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """Return all complete rows of a file, none if there is no file."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # the machine went down while it was written
            continue
    return rows


def append(path: Path, row: Row) -> None:
    """Append a row to a file in one write, so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, (json.dumps(row) + "\n").encode())
    finally:
        os.close(handle)


def keys(rows: Iterable[Row], names: Iterable[str]) -> set[tuple[Any, ...]]:
    """Return what identifies each row."""
    return {tuple(row.get(name) for name in names) for row in rows}
