"""Recognise dates and times that are written as text, such as 31.01.2024, Jan 2024 or 2024-W05."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from vrae.data.arrays import Array, Ints

__all__ = [
    "NotDatesError",
    "Written",
    "are_parts_of_years",
    "dates_of_digits",
    "is_date",
    "read_dates",
    "read_dates_as",
]


class NotDatesError(ValueError):
    """Text that holds no dates, or dates that can be read in two ways.

    ``text`` is an example. ``formats`` are the formats that fit, if there are two.
    """

    def __init__(self, text: str, formats: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.text, self.formats = text, formats


class Written(NamedTuple):
    """Dates as they are written: on the clock of the place, with the distance to UTC."""

    stamps: Array  # (n,): datetime64
    offsets: Ints | None = None  # (n,): minutes, or None if no text has an offset


# Months in English, German, French, Spanish, Italian, Portuguese and Dutch, as they are written.
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar jän jänner janv janvier ene enero gen gennaio janeiro januari",
            "feb february februar fév févr février fevrier febrero febbraio fev fevereiro februari",
            "mar march mär märz mrz mars marzo março mrt maart",
            "apr april avr avril abr abril aprile",
            "may mai mayo mag maggio maio mei",
            "jun june juni juin junio giu giugno junho",
            "jul july juli juil juillet julio lug luglio julho",
            "aug august aoû août aout ago agosto augustus",
            "sep sept september septembre septiembre setiembre set sett settembre setembro",
            "oct october okt oktober octobre octubre ott ottobre out outubro",
            "nov november novembre noviembre novembro",
            "dec december dez dezember déc décembre decembre dic diciembre dicembre dezembro",
        ),
        start=1,
    )
    for name in names.split()
}
_NAMES = sorted(_MONTHS, key=len, reverse=True)
_NAME = rf"(?P<name>{'|'.join(_NAMES)})\.?"
# Without a mark before a year of two digits, some are other words: out 10, out. 10, set 11, gen12.
_CLEAR = r"(?<!\b(?:gen|out|set))(?<!\b(?:gen|out|set)\.)"
_OF = r"(?: de |[-/ .,']*)"
_YEAR = r"(?P<year>\d{4})"
_WEEK = r"(?:w|kw|wk|week|woche)"
# The ways to write a date. All texts of a column are written in the same way.
_WAYS = [
    re.compile(way)
    for way in (
        rf"{_YEAR}[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})",
        rf"{_YEAR}(?P<month>\d{{2}})(?P<day>\d{{2}})",
        rf"{_YEAR}[-/](?P<month>\d{{1,2}})",
        rf"(?P<month>\d{{1,2}})[-/]{_YEAR}",
        r"(?P<month>0[1-9]|1[0-2])\.(?P<year>(?:19|20)\d{2})",
        r"(?P<first>\d{1,2})(?P<mark>[-/.])(?P<second>\d{1,2})[-/.](?P<year>\d{4}|\d{2})",
        rf"(?P<day>\d{{1,2}})\.?{_OF}{_NAME}{_OF}(?P<year>\d{{4}}|\d{{2}})",
        rf"{_NAME}[-/ ]*(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,|[-/ ]) *{_YEAR}",
        rf"{_NAME}{_OF}{_YEAR}",
        rf"{_NAME}(?:[-/']|{_CLEAR}[- ]?)'?(?P<year>\d{{2}})",
        rf"{_YEAR}[-/ .]*{_NAME}",
        rf"{_YEAR}[-/ .]*{_NAME}[-/ .]*(?P<day>\d{{1,2}})",
        rf"{_YEAR}[- ]?w(?P<week>\d{{1,2}})(?:-?(?P<weekday>[1-7]))?",
        rf"{_YEAR}[-/ ]?{_WEEK} ?(?P<week>\d{{1,2}})",
        rf"{_WEEK} ?(?P<week>\d{{1,2}})[-/ ]{_YEAR}",
        rf"{_YEAR}[-/ ]?q(?P<quarter>[1-4])",
        rf"q(?P<quarter>[1-4])[-/ ]?{_YEAR}",
    )
]
_TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[ap]\.?m\.?)?\s*(?P<offset>z|utc|gmt|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
)
_PARTS = re.compile(rf"(?P<date>[^:]*?[^:\s,])(?:(?:t|,?\s+){_TIME})?")

# How all dates begin. Most texts that are none are found out here.
_MAY_BE = re.compile(r"[\djfmasondqeglkw][^:]*?\d\d")

Fields = dict[str, list[str | None]]


def is_date(text: str) -> bool:
    """Return whether one text is written as a date, with or without a time of day."""
    if re.fullmatch(r"\d{6}|\d{8}", text):
        return dates_of_digits(np.array([int(text)])) is not None
    plain = text.strip().lower()
    found = _PARTS.fullmatch(plain) if _MAY_BE.match(plain) else None
    return found is not None and any(way.fullmatch(found["date"]) for way in _WAYS)


def read_dates(texts: Sequence[str]) -> Written:
    """Read texts that are all written in one way.

    Raises
    ------
    NotDatesError
        With the first text that holds no date, or with the two formats that fit all texts.
    """
    parts = _matches(texts, [text.strip().lower() for text in texts], _PARTS)
    dates = [str(date) for date in parts["date"]]
    way = next((way for way in _WAYS if way.fullmatch(dates[0])), None)
    if way is None:
        raise NotDatesError(texts[0])
    days = _days(texts, _matches(texts, dates, way))
    return Written(_with_time(texts, days, parts), _offsets(texts, parts["offset"]))


def _matches(texts: Sequence[str], candidates: Iterable[str], pattern: re.Pattern[str]) -> Fields:
    """Return the groups of a pattern in every text, as lists."""
    found = [pattern.fullmatch(candidate) for candidate in candidates]
    wrong = next((i for i, match in enumerate(found) if match is None), None)
    if wrong is not None:
        raise NotDatesError(texts[wrong])
    return {group: [match[group] for match in found if match] for group in pattern.groupindex}


def _check(texts: Sequence[str], right: Array) -> None:
    if not right.all():
        raise NotDatesError(texts[int(np.flatnonzero(~right)[0])])


def _ints(fields: Sequence[str | None], default: int = 0) -> Ints:
    return np.array([default if field is None else int(field) for field in fields], np.int64)


# -------------------------------------------------------------------- days


def _days(texts: Sequence[str], fields: Fields) -> Array:
    """Return the days of dates, as datetime64[D]."""
    year = _ints(fields["year"])
    short = np.array([len(str(field)) == 2 for field in fields["year"]])
    year = np.where(short, year + np.where(year < 69, 2000, 1900), year)  # as strptime does
    _check(texts, year > 0)
    if "week" in fields:
        return _weeks(texts, year, _ints(fields["week"]), _ints(fields.get("weekday", [None] * len(year)), 1))
    if "quarter" in fields:
        return _calendar_days(texts, year, 3 * _ints(fields["quarter"]) - 2, np.ones_like(year))
    if "first" in fields:
        month, day = _month_and_day(texts, fields, short)
        return _calendar_days(texts, year, month, day)
    month = np.array([_MONTHS[str(name)] for name in fields["name"]]) if "name" in fields else _ints(fields["month"])
    return _calendar_days(texts, year, month, _ints(fields["day"]) if "day" in fields else np.ones_like(year))


def _calendar_days(texts: Sequence[str], year: Ints, month: Ints, day: Ints) -> Array:
    _check(texts, _is_day(year, month, day))
    return _to_days(year, month, day)


def _is_day(year: Ints, month: Ints, day: Ints) -> Array:
    in_year = (month >= 1) & (month <= 12)
    begins = _to_days(year, np.where(in_year, month, 1), np.ones_like(day))
    following = (begins.astype("M8[M]") + 1).astype("M8[D]")
    return in_year & (day >= 1) & (day <= (following - begins).astype(np.int64))


def _to_days(year: Ints, month: Ints, day: Ints) -> Array:
    months = ((year - 1970) * 12 + month - 1).astype("M8[M]")
    return np.asarray(months.astype("M8[D]") + (day - 1))


def _month_and_day(texts: Sequence[str], fields: Fields, short: Array) -> tuple[Ints, Ints]:
    """Tell 31/01/2024 from 01/31/2024. With points, the day is always first."""
    first, second = _ints(fields["first"]), _ints(fields["second"])
    if all(mark == "." for mark in fields["mark"]):
        return second, first
    mark, year = fields["mark"][0], "%y" if short.any() else "%Y"
    day_first, month_first = f"%d{mark}%m{mark}{year}", f"%m{mark}%d{mark}{year}"
    days = np.flatnonzero((first > 12) | (second > 12))  # of these, one part can only be the day
    if short.any() or not (len(days) or (first == second).all()):
        raise NotDatesError(texts[0], (day_first, month_first))
    return (first, second) if len(days) and second[days[0]] > 12 else (second, first)


def _weeks(texts: Sequence[str], year: Ints, week: Ints, weekday: Ints) -> Array:
    _check(texts, _is_week(year, week))
    return np.asarray(_first_monday(year) + (7 * (week - 1) + weekday - 1))


def _first_monday(year: Ints) -> Array:
    """Return the Monday of the first ISO week of a year, which holds the 4th of January."""
    fourth = _to_days(year, np.ones_like(year), np.full_like(year, 4))
    return np.asarray(fourth - (fourth.astype(np.int64) + 3) % 7)  # day 0 is a Thursday


def _is_week(year: Ints, week: Ints) -> Array:
    n_weeks = (_first_monday(year + 1) - _first_monday(year)).astype(np.int64) // 7
    return (week >= 1) & (week <= n_weeks)


# -------------------------------------------------------------------- times of day


def _with_time(texts: Sequence[str], days: Array, parts: Fields) -> Array:
    """Add the times of day: microseconds, or nanoseconds if a fraction has more than six digits."""
    if not any(parts["hour"]):
        return days.astype("M8[us]")
    hour, minute, second = (_ints(parts[unit]) for unit in ("hour", "minute", "second"))
    half = np.array(["" if text is None else text[0] for text in parts["half"]])
    _check(texts, (half == "") | ((hour >= 1) & (hour <= 12)))
    hour = np.where(half == "", hour, hour % 12 + 12 * (half == "p"))
    nanos = _ints([(text or "0").ljust(9, "0") for text in parts["fraction"]])
    midnight = (hour == 24) & (minute == 0) & (second == 0) & (nanos == 0)  # the end of a day
    _check(texts, ((hour < 24) | midnight) & (minute < 60) & (second < 60))
    stamps = days.astype("M8[us]") + (((hour * 60 + minute) * 60 + second) * 1_000_000 + nanos // 1000)
    return np.asarray(stamps if not (nanos % 1000).any() else stamps.astype("M8[ns]") + nanos % 1000)


def _offsets(texts: Sequence[str], fields: Sequence[str | None]) -> Ints | None:
    if not any(fields):
        return None
    _check(texts, np.array([bool(field) for field in fields]))
    return np.array([_minutes(str(field)) for field in fields], np.int64)


def _minutes(offset: str) -> int:
    if offset[0] not in "+-":
        return 0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    return (-1 if offset[0] == "-" else 1) * (60 * int(digits[:2]) + int(digits[2:]))


# -------------------------------------------------------------------- formats and digits


def read_dates_as(texts: Sequence[str], date_format: str) -> Written:
    """Read texts in a format of `datetime.strptime`. An ISO week (%G-W%V) is its Monday.

    Raises
    ------
    NotDatesError
        With the first text that does not fit.
    ValueError
        If the format itself is wrong.
    """
    monday = "%V" in date_format and not re.search("%[uwaA]", date_format)
    wanted = date_format + (" %u" if monday else "")
    datetime.strptime(datetime(2024, 1, 1, tzinfo=UTC).strftime(wanted), wanted)  # raises if the format is wrong
    parse: Callable[[str], datetime] = lambda text: datetime.strptime(text + (" 1" if monday else ""), wanted)  # noqa: E731
    found = []
    for text in texts:
        try:
            found.append(parse(text.strip()))
        except ValueError:
            raise NotDatesError(text) from None
    stamps = np.array([moment.replace(tzinfo=None) for moment in found], "M8[us]")
    shifts = [moment.utcoffset() for moment in found]
    known = [round(shift.total_seconds() / 60) for shift in shifts if shift is not None]
    return Written(stamps, np.array(known, np.int64) if known else None)


def dates_of_digits(numbers: Ints, weeks: bool = False) -> Array | None:
    """Read integers written as YYYYMMDD, YYYYMM or YYYYWW, of the years 1900 to 2100.

    Six digits are months, unless some cannot be months or ``weeks`` is set. Then they are ISO
    weeks, at their Mondays. Returns None if some number is no date.
    """
    if not len(numbers):
        return None
    low, high = int(numbers.min()), int(numbers.max())
    if low >= 1900_01_01 and high <= 2100_12_31:
        year, month, day = numbers // 10000, numbers // 100 % 100, numbers % 100
        right = _is_day(year, month, day)
    elif low >= 1900_01 and high <= 2100_53:
        year, part = numbers // 100, numbers % 100
        if not weeks and (part >= 1).all() and (part <= 12).all():
            return _to_days(year, part, np.ones_like(part)).astype("M8[us]")
        return (_first_monday(year) + 7 * (part - 1)).astype("M8[us]") if _is_week(year, part).all() else None
    else:
        return None
    return _to_days(year, month, day).astype("M8[us]") if right.all() else None


def are_parts_of_years(numbers: Array) -> bool:
    """Return whether decimals are months or weeks with their years: 1.2023 for 01.2023."""
    if numbers.dtype.kind != "f" or not len(numbers) or not ((numbers >= 1) & (numbers < 54)).all():
        return False
    scaled = np.round(numbers * 10_000)
    year = scaled % 10_000
    exact = np.abs(numbers * 10_000 - scaled) < 1e-6
    return bool((exact & (year >= 1900) & (year <= 2100)).all() and (year % 10 > 0).any())
