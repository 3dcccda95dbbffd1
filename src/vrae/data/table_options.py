"""The options for reading a table: arguments of `vrae.read_panel`, and what a model remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from vrae.config import check_choice
from vrae.data.calendar import Calendar, local_times
from vrae.exceptions import InvalidParameterError, shortened

__all__ = ["TableOptions"]


@dataclass(frozen=True)
class TableOptions:
    """Options for reading a table: the arguments of `vrae.read_panel`.

    Several id columns, ``id_parts``, are joined to one column of the name ``id``. ``calendar``,
    ``end`` and ``closed`` are set for a part of a larger table: the calendar of the whole table,
    its last time, and the steps that `closed_cells` finds. So is ``written``, if times are text or
    numbers: all that occur in the whole table, and how they are read. ``given`` names the options
    that the user gave in addition to those that a model remembers; None if nothing is remembered.
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
    timezone: str | None = None
    calendar: Calendar | None = None
    end: Any = None
    closed: Any = None
    written: tuple[Any, Any] | None = None
    given: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_choice("layout", self.layout, ("auto", "long", "wide"))
        check_choice("duplicates", self.duplicates, ("raise", "sum", "mean", "first", "last"))
        if self.align is not None:
            check_choice("align", self.align, ("calendar", "start"))
        for name in ("decimal", "thousands", "date_format", "encoding"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise InvalidParameterError(f"{name} must be text; found {shortened(value)}.")
        if self.timezone is not None:
            _check_zone(self.timezone)

    def recalled(self, **given: Any) -> TableOptions:
        """Return these options for a later table, with what the user gives for it."""
        given = {name: value for name, value in given.items() if value is not None}
        options = replace(self, given=tuple(given), **given)
        if {"freq", "align", "time"} & set(given):
            options = replace(options, calendar=None)
        if given.get("layout", self.layout) != self.layout:
            options = replace(options, time=given.get("time"), value=given.get("value"))
        return options if "time" not in given or "layout" in given else replace(options, layout="auto")

    def to_dict(self) -> dict[str, Any]:
        """Return what a model remembers as values that JSON can hold."""
        names = {f.name for f in fields(self)} - {"label", "end", "closed", "written", "given"}
        state = {name: getattr(self, name) for name in sorted(names)}
        return {**state, "calendar": None if self.calendar is None else self.calendar.to_dict()}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore options from the result of `to_dict`."""
        calendar = state["calendar"]
        lists = {name: None if state[name] is None else tuple(state[name]) for name in ("value", "static")}
        parts = {"id_parts": tuple(state["id_parts"]), "calendar": None if calendar is None else Calendar(**calendar)}
        return cls(**{**state, **lists, **parts})


def _check_zone(timezone: str) -> None:
    try:
        known = isinstance(timezone, str) and timezone != ""
        local_times(np.array(["2000-01-01"], "M8[us]"), timezone if known else "unknown")
    except (KeyError, ValueError, OSError):  # KeyError: zoneinfo.ZoneInfoNotFoundError; OSError: too long for a file
        raise InvalidParameterError(
            f"timezone={shortened(timezone)} is not known. Pass a name such as 'Europe/Berlin', or 'UTC'."
        ) from None
