"""The options for reading a table: arguments of `vrae.read_panel`, and what a model remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vrae.config import check_choice
from vrae.data.calendar import Calendar

__all__ = ["TableOptions"]


@dataclass(frozen=True)
class TableOptions:
    """Options for reading a table: the arguments of `vrae.read_panel`.

    Several id columns, ``id_parts``, are joined to one column of the name ``id``. ``calendar`` and
    ``end`` are set for a part of a larger table: the calendar of the whole table, and its last
    time.
    """

    id: str | None = None
    id_parts: Sequence[str] = ()
    time: str | None = None
    value: Sequence[str] | None = None
    layout: str = "auto"
    static: Sequence[str] | None = None
    label: str | None = None
    freq: str | float | None = None
    align: str | None = None
    fill: float | None = None
    missing: float | None = None
    duplicates: str = "raise"
    decimal: str | None = None
    thousands: str | None = None
    date_format: str | None = None
    encoding: str | None = None
    calendar: Calendar | None = None
    end: Any = None
    origin: Any = None

    def __post_init__(self) -> None:
        check_choice("layout", self.layout, ("auto", "long", "wide"))
        check_choice("duplicates", self.duplicates, ("raise", "sum", "mean", "first", "last"))
        if self.align is not None:
            check_choice("align", self.align, ("calendar", "start"))
