"""The steps of time: found from time stamps, and used to put rows on a regular grid."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Calendar"]


@dataclass(frozen=True)
class Calendar:
    """The regular steps of the time stamps of a panel.

    ``freq`` is an alias of pandas ("W-MON", "MS", "h"), or a number if times are numbers; None if
    there is no regular step. ``zone`` is the name of the time zone, in which a day is a local day.
    If ``aligned``, steps of different series are compared by date, and otherwise by their position
    since the start of each series.
    """

    freq: str | float | None
    zone: str | None = None
    aligned: bool = True
    absent: float = 0.0  # fraction of the steps, from the first row of a series to its last, without a row
