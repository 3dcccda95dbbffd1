"""Escaping of csv cells that a spreadsheet would run as a formula, such as ``=cmd()``.

Tables show the data unchanged by default. Escaping is an option for those who open data from
untrusted sources in a spreadsheet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["are_escaped", "escape_formulas", "safe_cells"]

# A spreadsheet calculates cells that start with these (OWASP, "CSV Injection").
_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")

_ESCAPED: ContextVar[bool] = ContextVar("formulas are escaped", default=False)


@contextmanager
def escape_formulas() -> Iterator[None]:
    """Escape formulas in csv tables written in this context, with a leading apostrophe."""
    token = _ESCAPED.set(True)
    try:
        yield
    finally:
        _ESCAPED.reset(token)


def are_escaped() -> bool:
    """Return whether formulas are escaped in this context, for tables that are written later."""
    return _ESCAPED.get()


def safe_cells(cells: list[Any]) -> list[Any]:
    """Return the cells of a column, escaped if asked for. Numbers stay unchanged."""
    if not _ESCAPED.get():
        return cells
    return [f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell for cell in cells]


def _is_formula(cell: str) -> bool:
    if not cell.startswith(_BEGINNINGS):
        return False
    try:
        float(cell)  # "-5" is a number stored as text
    except ValueError:
        return True
    return False
