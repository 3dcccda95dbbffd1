"""Steps of dates as pandas names them: which there are, their spellings and their words."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import numpy as np

from vrae.exceptions import InvalidParameterError, Silence

__all__ = ["OFFSETS", "TICKS", "is_tick", "kind_of_step", "offset_of", "plain_step"]

# Spellings of polars, and former ones of pandas, for aliases that pandas knows today. Months and
# longer begin with their first day.
_SPELLINGS = {
    **dict.fromkeys(("ns", "us", "ms", "s", "min", "h"), None),
    "S": "s",
    "m": "min",
    "T": "min",
    "H": "h",
    "d": "D",
    "w": "W",
    "mo": "MS",
    "M": "MS",
    "q": "QS",
    "Q": "QS",
    "y": "YS",
    "Y": "YS",
    "A": "YS",
}

# A step of days or longer has at most this many days, months, ...; more would leave the calendar.
_LONGEST = 10_000
_OLD_NAMES = Silence(message=r"'\w+' is deprecated")  # of steps, in pandas

# Words for steps: (one, several, every one).
TICKS = {
    "h": ("hour", "hours", "hourly"),
    "min": ("minute", "minutes", "every minute"),
    "s": ("second", "seconds", "every second"),
    "ms": ("millisecond", "milliseconds", "every millisecond"),
    "us": ("microsecond", "microseconds", "every microsecond"),
    "ns": ("nanosecond", "nanoseconds", "every nanosecond"),
}
OFFSETS = {
    "D": ("day", "days", "daily", ""),
    "B": ("business day", "business days", "every business day", ""),
    "W": ("week", "weeks", "weekly", ""),
    "SMS": ("half-month", "half-months", "twice a month", "first half from the first day"),
    "SME": ("half-month", "half-months", "twice a month", "second half to the last day"),
    "MS": ("month", "months", "monthly", "first day"),
    "ME": ("month", "months", "monthly", "last day"),
    "BMS": ("month", "months", "monthly", "first business day"),
    "BME": ("month", "months", "monthly", "last business day"),
    "QS": ("quarter", "quarters", "quarterly", "first day"),
    "QE": ("quarter", "quarters", "quarterly", "last day"),
    "BQS": ("quarter", "quarters", "quarterly", "first business day"),
    "BQE": ("quarter", "quarters", "quarterly", "last business day"),
    "YS": ("year", "years", "yearly", "first day"),
    "YE": ("year", "years", "yearly", "last day"),
    "BYS": ("year", "years", "yearly", "first business day"),
    "BYE": ("year", "years", "yearly", "last business day"),
}


def plain_step(freq: Any) -> Any:
    """Return a step as text or a number, which can be saved."""
    if isinstance(freq, timedelta) and freq % timedelta(days=1) == timedelta(0):
        return f"{freq.days // 7}W" if freq.days % 7 == 0 else f"{freq.days}D"
    if isinstance(freq, timedelta):
        from pandas.tseries.frequencies import to_offset

        return to_offset(freq).freqstr
    return freq.item() if isinstance(freq, np.number) else getattr(freq, "freqstr", freq)


def offset_of(freq: Any) -> Any:
    """Return pandas' offset for an alias, such as "1w", "W-SUN", "MS" or a Timedelta."""
    from pandas.tseries.frequencies import to_offset

    text = plain_step(freq)
    if isinstance(freq, str):
        found = re.fullmatch(r"\s*(\d*)\s*([A-Za-z]+)\s*", freq)
        if found and found[2] in _SPELLINGS:
            text = found[1] + (_SPELLINGS[found[2]] or found[2])
    try:
        with _OLD_NAMES():
            offset = to_offset(text)
    except (ValueError, TypeError, AttributeError, OverflowError):
        offset = None
    if isinstance(freq, (int, float)) or not _is_step(offset):
        raise InvalidParameterError(
            f"freq={freq!r} is not a time step. For dates, pass a number and a unit, such as "
            f'"15min", "1h", "1d", "1w", "1mo", "1q" or "1y", or an alias of pandas such as "W-SUN", "B" or "ME".'
        )
    return offset


def _is_step(offset: Any) -> bool:
    """Return whether an offset of pandas is one of those that a calendar can have."""
    if offset is None or offset.n < 1:
        return False
    if is_tick(offset):
        return bool(offset.nanos < 2**63)
    return kind_of_step(offset) in OFFSETS and offset.n <= _LONGEST


def kind_of_step(offset: Any) -> str:
    """Return the alias of an offset without number and anchor: "W" for "2W-SUN"."""
    return str(offset.freqstr.lstrip("0123456789").split("-")[0])


def is_tick(offset: Any) -> bool:
    """Return whether an offset is a fixed part of a day."""
    return kind_of_step(offset) in TICKS
