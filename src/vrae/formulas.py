"""Cells of a csv table that a spreadsheet would take for a formula, ``=cmd()`` for one, made plain text on request.

A table tells what was in the data; whoever opens data of strangers in a spreadsheet may ask for more caution.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["escape_formulas", "safe_cells"]

# What makes a spreadsheet calculate, where a cell begins with it (OWASP, "CSV Injection").
_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")

_ESCAPED: ContextVar[bool] = ContextVar("formulas are escaped", default=False)


@contextmanager
def escape_formulas() -> Iterator[None]:
    """Have csv tables that are written inside escaped: text that begins like a formula gets an apostrophe before it."""
    token = _ESCAPED.set(True)
    try:
        yield
    finally:
        _ESCAPED.reset(token)


def safe_cells(cells: list[Any]) -> list[Any]:
    """Return the cells of a column, or of the head, as they are to be written; numbers stay as they are."""
    if not _ESCAPED.get():
        return cells
    return [f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell for cell in cells]


def _is_formula(cell: str) -> bool:
    if not cell.startswith(_BEGINNINGS):
        return False
    try:
        float(cell)  # "-5" is a number that is written as text
    except ValueError:
        return True
    return False
