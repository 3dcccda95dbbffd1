"""Find the regular step of time stamps: hours, days, business days, weeks, months, numbers, ..."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vrae.data.arrays import Array, Ints
from vrae.data.calendar import NEAR, Calendar, day_times, weekday_name, without_weekday

__all__ = ["EVIDENCE", "Regularity", "find_calendar", "keeps_apart", "lonely_times"]

# Rows must fill at least this fraction of the steps of a calendar that was found from them. With
# fewer, the step is that of the clock (every second) rather than that of the data.
_LEAST_FILLED = 0.05

# ... and the closest rows of a series must be at most this many steps apart.
_MOST_APART = 4

# Times are moved to the beginning of a step only if this many gaps between rows show the step.
EVIDENCE = 10

# Times are lonely if they are as few, have as few rows, and are further from all others than these
# are from each other. A single row is lonely among as many.
_LONELY_TIMES = 5
_LONELY_ROWS = 0.01
_LONELY_AMONG = 20

# If this fraction of all dates has one weekday, the others are probably wrong.
_ALMOST_ALL = 0.9

# Rows that are mostly this far apart may be one a week or month, on any day of it. That is the step
# if none has two rows of a series, and this fraction of them has one.
_FAR_APART = np.timedelta64(6, "D")
_ONCE_FILLED = 0.8

# As many dates as this without a Saturday or Sunday show business days.
_BUSINESS_DAYS = 6

# This many rows, of which this fraction is equally far apart, have a rate.
_RATE_GAPS, _SAME_RATE = 20, 0.95

_DAY = np.timedelta64(1, "D")
_NICE = ("1s", "5s", "10s", "15s", "30s", "1min", "5min", "10min", "15min", "30min", "1h", "2h", "6h", "12h", "1d")
_NICE_SECONDS = (1, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)


class Regularity(NamedTuple):
    """What was found about the steps of time stamps."""

    calendar: Calendar  # with freq None if there is no regular step
    moved: bool = False  # rows lie within steps, not at their beginnings
    suggestion: str = ""  # a freq to try if there is no regular step


def find_calendar(codes: Ints, times: Array, zone: str | None, aligned: bool) -> Regularity:
    """Find the calendar of rows that are sorted by series and time.

    Parameters
    ----------
    codes : ndarray of int64, shape (n_rows,)
        Number of the series of each row.
    times : ndarray, shape (n_rows,)
        datetime64 in UTC, or on the clock if there is no zone; or numbers.
    zone : str or None
        Zone in which a day is a day.
    aligned : bool
        See `Calendar`.
    """
    none = Regularity(Calendar(None, zone, aligned=aligned))
    distinct = np.unique(times)
    if len(distinct) < 2:
        return none
    if times.dtype.kind != "M":
        return _number_steps(codes, times, distinct, none)
    walls = day_times(distinct, zone)
    if _are_almost_weekly(walls):
        return none._replace(suggestion="1w")
    found = _day_steps(codes, times, walls, zone, aligned) or _clock_steps(codes, times, distinct, zone, aligned)
    found = found and _once_steps(codes, times, found)
    if found is not None and _fits(codes, times, found):
        return found
    return none._replace(suggestion=_suggestion(codes, times))


# -------------------------------------------------------------------- days and longer


def _are_almost_weekly(distinct: Array) -> bool:
    """Return whether nearly all days are of one weekday, and a few are not."""
    days = distinct.astype("M8[D]")
    counts = np.bincount((days.astype(np.int64) + 3) % 7, minlength=7)
    return bool(len(days) >= 2 * EVIDENCE and _ALMOST_ALL * len(days) <= counts.max() < len(days))


def _day_steps(codes: Ints, times: Array, walls: Array, zone: str | None, aligned: bool) -> Regularity | None:
    """Return steps of days, weeks or months, if each series has one time of day.

    ``walls`` are the distinct times on the clock of the zone.
    """
    wall = day_times(times, zone)
    gaps = _gaps(codes, wall)
    if len(gaps) and (gaps % _DAY != np.timedelta64(0)).any():
        return None
    own = np.unique(walls)
    days = np.unique(own.astype("M8[D]"))
    if len(days) < 2:
        return None
    hour = own[0] - own[0].astype("M8[D]")
    moved = bool((own - own.astype("M8[D]") != hour).any())
    alias = _month_alias(days) or _half_month_alias(days) or _week_alias(days) or _days_alias(days, gaps)
    if alias is None:
        return None
    name, within_steps = alias
    if (moved or within_steps) and len(gaps) < EVIDENCE:
        return None
    if not (moved or within_steps):
        return Regularity(Calendar(name, zone, str((days[0] + hour).astype("M8[us]")), aligned))
    return Regularity(Calendar.from_freq(without_weekday(name), times, zone, aligned), moved=True)


def _month_alias(days: Array) -> tuple[str, bool] | None:
    """Return the alias of monthly, quarterly or yearly steps."""
    months = days.astype("M8[M]")
    number = months.astype(np.int64)
    if len(np.unique(number)) < len(days):
        return None
    first = months.astype("M8[D]")
    last = (months + 1).astype("M8[D]") - _DAY
    gcd = int(np.gcd.reduce(np.diff(number)))
    if (days == first).all():
        rule = "S"
    elif (days == last).all():
        rule = "E"
    elif len(days) > 2 and (days == np.busday_offset(first, 0, roll="forward")).all():
        rule = "BS"
    elif len(days) > 2 and (days == np.busday_offset(last, 0, roll="backward")).all():
        rule = "BE"
    elif len(np.unique(days - first)) == 1 and len(days) > 2:
        return _of_months(gcd, "S", int(number[0])), True
    else:
        return None
    return _of_months(gcd, rule, int(number[0])), False


def _half_month_alias(days: Array) -> tuple[str, bool] | None:
    """Return the alias of two steps a month: the first and another day, or that and the last."""
    months = days.astype("M8[M]")
    first, last = days == months.astype("M8[D]"), days == (months + 1).astype("M8[D]") - _DAY
    for name, edge in (("SMS", first), ("SME", last)):
        other = np.unique((days - months.astype("M8[D]"))[~edge] // _DAY) + 1
        if len(other) == 1 and edge.sum() > 1 and (~edge).sum() > 1 and 2 <= other[0] <= 27:
            return f"{name}-{other[0]}", False
    return None


def _of_months(gcd: int, rule: str, first: int) -> str:
    business, edge = rule[:-1], rule[-1]
    names = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    if gcd % 12 == 0:
        return f"{gcd // 12 if gcd > 12 else ''}{business}Y{edge}-{names[first % 12]}"
    if gcd % 3 == 0:
        return f"{gcd // 3 if gcd > 3 else ''}{business}Q{edge}-{names[first % 12]}"
    return f"{gcd if gcd > 1 else ''}{business}M{edge}"


def _week_alias(days: Array) -> tuple[str, bool] | None:
    number = days.astype(np.int64)
    gcd = int(np.gcd.reduce(np.diff(number)))
    if gcd % 7:
        return None
    weeks = gcd // 7
    return f"{weeks if weeks > 1 else ''}W-{weekday_name(days[0])}", False


def _days_alias(days: Array, gaps: Array) -> tuple[str, bool] | None:
    number = days.astype(np.int64)
    within = int(np.gcd.reduce(gaps // _DAY)) if len(gaps) else 0
    if within % 7 == 0 and len(gaps) >= EVIDENCE:  # weeks that begin on different days in different series
        return f"{within // 7 if within > 7 else ''}W-{weekday_name(days[0])}", True
    gcd = int(np.gcd.reduce(np.diff(number)))
    if gcd == 1 and len(days) >= _BUSINESS_DAYS and np.is_busday(days).all() and np.ptp(number) >= 7:
        return "B", False
    return f"{gcd if gcd > 1 else ''}D", False


def _once_steps(codes: Ints, times: Array, found: Regularity) -> Regularity | None:
    """Return weeks or months if each has one row of a series, on any of its days; else ``found``.

    None if rows are about as far apart as each other, so that a day is not their step.
    """
    gaps, known = _gaps(codes, times), found.calendar
    if len(gaps) < EVIDENCE or known.hours >= 48 or np.median(gaps) < _FAR_APART:
        return found
    first = day_times(times.min()[None], known.zone)[0].astype("M8[D]")
    days = first - np.arange(7)
    weeks = sorted(days, key=lambda day: (weekday_name(day) != "MON", weekday_name(day) != "SUN"))
    calendars = [Calendar(f"W-{weekday_name(day)}", known.zone, _midnight(day), known.aligned) for day in weeks]
    months = Calendar("MS", known.zone, _midnight(first.astype("M8[M]")), known.aligned)
    for calendar in (*calendars, months):
        cells = calendar.cells(times)
        steps = np.diff(cells)[np.diff(codes) == 0]
        if _are_in_own(codes, times, cells) and (steps > 0).sum() >= _ONCE_FILLED * steps.sum():
            return Regularity(calendar, moved=True)
    few, middle = np.quantile(gaps.astype("m8[s]").astype(np.int64), [0.2, 0.5])
    return None if 2 * few >= middle else found


def _midnight(day: Any) -> str:
    return str(day.astype("M8[us]"))


# -------------------------------------------------------------------- parts of a day


def _clock_steps(codes: Ints, times: Array, distinct: Array, zone: str | None, aligned: bool) -> Regularity | None:
    gaps = _gaps(codes, times)
    unit = np.ones(1, gaps.dtype)[0]
    between = int(np.gcd.reduce(np.diff(distinct) // unit))
    within = int(np.gcd.reduce(gaps // unit)) if len(gaps) else between
    together = between == within or len(gaps) < EVIDENCE
    alias = _tick_alias(int(((between if together else within) * unit).astype("m8[ns]").astype(np.int64)))
    if together:  # the stamps of all series are on one grid, which may begin at any minute
        return Regularity(Calendar(alias, zone, str(distinct[0]), aligned))
    return Regularity(Calendar.from_freq(alias, times, zone, aligned), moved=True)


def _tick_alias(nanoseconds: int) -> str:
    units = (("h", 3_600_000_000_000), ("min", 60_000_000_000), ("s", 1_000_000_000), ("ms", 10**6), ("us", 1000))
    name, size = next(((n, s) for n, s in units if nanoseconds % s == 0), ("ns", 1))
    count = nanoseconds // size
    return f"{count if count > 1 else ''}{name}"


# -------------------------------------------------------------------- numbers


def _number_steps(codes: Ints, times: Array, distinct: Array, none: Regularity) -> Regularity:
    gaps = _gaps(codes, times)
    gaps = gaps if len(gaps) else np.diff(distinct)
    aligned = none.calendar.aligned
    found: Regularity | None
    if np.issubdtype(times.dtype, np.integer):
        found = Regularity(Calendar(int(np.gcd.reduce(np.diff(distinct))), None, distinct[0].item(), aligned))
    else:
        found = _float_steps(distinct, gaps, aligned)
    if found is not None and _fits(codes, times, found):
        return found
    return none._replace(suggestion=f"{float(np.median(gaps)):g}")


def _float_steps(distinct: Array, gaps: Array, aligned: bool) -> Regularity | None:
    """Return steps of numbers in floats, which can be rounded."""
    if not np.isfinite(distinct).all():
        return None
    step = gaps[gaps < 1.5 * gaps.min()].mean()
    if (_off_steps(gaps / step) > 1e-3).any():
        return None
    step = gaps.sum() / np.round(gaps / step).sum()
    away = distinct - distinct[0]
    exact = away[-1] / np.round(away[-1] / step)
    if (_off_steps(away / exact) <= NEAR).all():
        return Regularity(Calendar(float(exact), None, float(distinct[0]), aligned, nearest=True))
    if len(gaps) < EVIDENCE:
        return None
    return Regularity(Calendar.from_freq(float(step), distinct, None, aligned), moved=True)


def _off_steps(place: Array) -> Array:
    """Return how far numbers are from whole ones."""
    return np.asarray(np.abs(place - np.round(place)))


# -------------------------------------------------------------------- shared


def _gaps(codes: Ints, times: Array) -> Array:
    """Return the times between rows of the same series, without those of repeated times."""
    gaps = np.diff(times)[np.diff(codes) == 0]
    return gaps[gaps != gaps.dtype.type(0)]


def _fits(codes: Ints, times: Array, found: Regularity) -> bool:
    """Return whether a step can be that of the data.

    Rows must be dense enough on its calendar, and those with different times in different steps.
    """
    cells = found.calendar.cells(times)
    if not _are_in_own(codes, times, cells):
        return False
    gaps = np.diff(cells)[np.diff(codes) == 0]
    if not (gaps > 0).any():
        return True
    lengths = gaps.sum(dtype=np.float64) + len(np.unique(codes))
    # One weekday, or one day of the month, is no accident.
    close = gaps[gaps > 0].min() <= _MOST_APART or found.calendar.hours > 24
    return bool(close and len(times) >= _LEAST_FILLED * lengths)


def keeps_apart(codes: Ints, times: Array, calendar: Calendar) -> bool:
    """Return whether rows of a series with different times are in different steps."""
    return _are_in_own(codes, times, calendar.cells(times))


def _are_in_own(codes: Ints, times: Array, cells: Ints) -> bool:
    same = (np.diff(codes) == 0) & (np.diff(cells) == 0)
    return not (times[1:] != times[:-1])[same].any()


def _suggestion(codes: Ints, times: Array) -> str:
    """Return a step close to what lies between rows mostly."""
    gaps = _gaps(codes, times)
    if not len(gaps):
        return "1d"
    seconds = float(np.median(gaps / np.timedelta64(1, "s")))
    if seconds >= 27 * 86400:
        return "1mo"
    if seconds >= 6 * 86400:
        return "1w"
    return _NICE[int(np.abs(np.log(np.array(_NICE_SECONDS) / max(seconds, 1))).argmin())]


class RateChange(NamedTuple):
    """A series whose rows are `before` steps apart up to one row, and `after` steps from there."""

    code: int
    row: int  # the last before the change
    before: int
    after: int


def rate_changes(codes: Ints, cells: Ints) -> list[RateChange]:
    """Find series whose rows change from one distance to another once, and keep it.

    ``cells`` are the steps of rows that are sorted by series and time. Rows that are missing here
    and there change nothing.
    """
    bounds = np.flatnonzero(np.diff(codes, prepend=codes[:1] - 1, append=codes[-1:] + 1))
    gaps = np.diff(cells)
    turns = np.concatenate([[0], np.cumsum(np.diff(gaps) != 0)])  # up to each gap
    begins, ends = bounds[:-1], bounds[1:] - 1  # of the gaps of each series
    long = ends - begins >= 2 * _RATE_GAPS
    begins, ends = begins[long], ends[long]
    turned = turns[ends - 1] - turns[begins]
    may_change = (turned > 0) & (turned <= 2 * (1 - _SAME_RATE) * (ends - begins))
    found = []
    for begin, end in zip(begins[may_change], ends[may_change], strict=True):
        n = int(end - begin)
        few = (1 - _SAME_RATE) * n
        own = gaps[begin:end]
        before, after = (int(np.median(part)) for part in (own[:_RATE_GAPS], own[-_RATE_GAPS:]))
        agree = np.cumsum(own == before) + (own == after).sum() - np.cumsum(own == after)
        first = int(agree.argmax()) + 1  # number of gaps before the change
        if 0 < before != after > 0 and agree[first - 1] >= n - few and min(first, n - first) >= _RATE_GAPS:
            found.append(RateChange(int(codes[begin]), int(begin) + first, before, after))
    return found


def lonely_times(times: Array) -> Array:
    """Return the few times that are far from all others, such as a wrong year."""
    distinct, rows = np.unique(times, return_counts=True)
    n, most = len(distinct), max(_LONELY_ROWS * len(times), len(times) >= _LONELY_AMONG)
    if n < 3:
        return distinct[:0]
    away = np.concatenate([[-np.inf], (distinct - distinct[0]).astype(np.float64), [np.inf]])
    few = min(_LONELY_TIMES, n - 2)
    sides = [(n_early, n_lonely - n_early) for n_lonely in range(few, 0, -1) for n_early in range(n_lonely + 1)]
    for n_early, n_late in sides:
        first, last = n_early + 1, n - n_late  # others, in ``away``
        gap = min(away[first] - away[first - 1], away[last + 1] - away[last])
        if 0 < away[last] - away[first] < gap and len(times) - rows[first - 1 : last].sum() <= most:
            return np.concatenate([distinct[:n_early], distinct[n - n_late :]])
    return distinct[:0]
