"""Steps of time: how they are found from times, counted, named and continued."""

# mypy: disable-error-code="union-attr, arg-type, index, operator"
# Panels of these tests have times and a calendar, which others need not have.

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrae import read_panel
from vrae.data.calendar import Calendar, local_times, time_text, universal_times, zoned_times
from vrae.data.offsets import offset_of
from vrae.data.regularity import Regularity, find_calendar, lonely_times
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError


def find(*series: Any, zone: str | None = None, aligned: bool = True) -> Regularity:
    """Return what is found from the times of some series."""
    times = [np.asarray(pd.DatetimeIndex(s) if isinstance(s, (list, pd.DatetimeIndex)) else s) for s in series]
    codes = np.repeat(np.arange(len(times)), [len(own) for own in times])
    return find_calendar(codes, np.concatenate(times), zone, aligned)


def table(*series: Any) -> pd.DataFrame:
    """Return a long table of series with these times."""
    ids = np.repeat([f"s{i}" for i in range(len(series))], [len(own) for own in series])
    times = pd.concat([pd.Series(own) for own in series], ignore_index=True)
    return pd.DataFrame({"unique_id": ids, "ds": times, "y": np.arange(len(ids)) % 7 + 0.5})


WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")

# Name: (start, freq of pandas, freq that is found, words).
STEPS: dict[str, tuple[str, str, str, str]] = {
    "hours": ("2024-01-01", "h", "h", "hourly"),
    "hours at :20": ("2024-01-01 00:20", "h", "h", "hourly"),
    "half-hours": ("2024-01-01", "30min", "30min", "every 30 minutes"),
    "half-hours at :15": ("2024-01-01 00:15", "30min", "30min", "every 30 minutes"),
    "four hours": ("2024-01-01", "4h", "4h", "every 4 hours"),
    "seconds": ("2024-01-01", "s", "s", "every second"),
    "milliseconds": ("2024-01-01", "20ms", "20ms", "every 20 milliseconds"),
    "days": ("2024-01-01", "D", "D", "daily"),
    "days at 06:00": ("2024-01-01 06:00", "D", "D", "daily"),
    "three days": ("2024-01-01", "3D", "3D", "every 3 days"),
    "business days": ("2024-01-01", "B", "B", "every business day"),
    "two weeks": ("2024-01-03", "2W-WED", "2W-WED", "every 2 weeks (Wednesdays)"),
    "first days of months": ("2024-01-01", "MS", "MS", "monthly (first day)"),
    "last days of months": ("2024-01-01", "ME", "ME", "monthly (last day)"),
    "first business days": ("2024-01-01", "BMS", "BMS", "monthly (first business day)"),
    "last business days": ("2024-01-01", "BME", "BME", "monthly (last business day)"),
    "two months": ("2024-01-01", "2MS", "2MS", "every 2 months (first day)"),
    "quarters": ("2024-01-01", "QS-JAN", "QS-JAN", "quarterly (first day)"),
    "quarters from February": ("2024-02-01", "QS-FEB", "QS-FEB", "quarterly (first day)"),
    "ends of quarters": ("2024-01-01", "QE-MAR", "QE-MAR", "quarterly (last day)"),
    "years": ("2000-01-01", "YS-JAN", "YS-JAN", "yearly (first day)"),
    "ends of years": ("2000-01-01", "YE-DEC", "YE-DEC", "yearly (last day)"),
    "fiscal years": ("2000-04-01", "YS-APR", "YS-APR", "yearly (first day)"),
    **{
        f"weeks of {day}": ("2024-01-01", f"W-{day}", f"W-{day}", f"weekly ({name})")
        for day, name in zip(
            WEEKDAYS,
            ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"),
            strict=True,
        )
    },
}


def stamps_of(step: str, n: int = 24) -> np.ndarray:
    start, freq, *_ = STEPS[step]
    return pd.date_range(start, periods=n, freq=freq).to_numpy().astype("M8[us]")


# ---------------------------------------------------------------- found from times


@pytest.mark.parametrize("step", STEPS)
def test_steps_are_found_and_named(step):
    found = find(stamps_of(step))
    assert (found.calendar.freq, found.moved, found.suggestion) == (STEPS[step][2], False, "")
    assert found.calendar.describe() == STEPS[step][3]


@pytest.mark.parametrize("step", STEPS)
def test_steps_are_found_with_gaps_and_staggered_starts(step):
    stamps = stamps_of(step, 40)
    rng = np.random.default_rng(0)
    series = [np.delete(stamps[start:], rng.integers(1, 38 - start, 6)) for start in (0, 3, 7)]
    found = find(*series)
    assert (found.calendar.freq, found.moved) == (STEPS[step][2], False)
    assert found.calendar.is_met_by(stamps)


@pytest.mark.parametrize("step", STEPS)
def test_cells_and_times_are_inverse_and_go_on(step):
    stamps = stamps_of(step, 30)
    calendar = find(stamps[:20]).calendar
    np.testing.assert_array_equal(calendar.cells(stamps), np.arange(30))
    np.testing.assert_array_equal(calendar.times(np.arange(30), stamps), stamps)
    np.testing.assert_array_equal(calendar.after(stamps[19], 10), stamps[20:])
    assert calendar.times(np.arange(3), stamps).dtype == stamps.dtype
    assert calendar.is_met_by(stamps)
    assert not calendar.is_met_by(stamps + np.timedelta64(1, "us"))


@pytest.mark.parametrize("step", STEPS)
def test_steps_before_the_origin_are_negative(step):
    stamps = stamps_of(step, 30)
    calendar = find(stamps[12:]).calendar
    np.testing.assert_array_equal(calendar.cells(stamps), np.arange(-12, 18))
    np.testing.assert_array_equal(calendar.times(np.arange(-12, 18), stamps), stamps)


@settings(max_examples=150)
@given(step=st.sampled_from(sorted(STEPS)), cells=st.lists(st.integers(-60, 60), min_size=1, max_size=20))
def test_any_step_gives_its_time_and_back(step, cells):
    stamps = stamps_of(step)
    calendar = find(stamps).calendar
    times = calendar.times(np.array(cells), stamps)
    np.testing.assert_array_equal(calendar.cells(times), cells)
    assert Calendar(**calendar.to_dict()) == calendar


@pytest.mark.parametrize("step", ["h", "30min", "D", "B", "W", "W-SUN", "MS", "ME", "BMS", "QS", "YE", "2W-FRI", "2MS"])
@settings(max_examples=25)
@given(
    minutes=st.lists(st.integers(0, 3 * 365 * 1440), min_size=1, max_size=10),
    zone=st.sampled_from([None, "UTC", "Europe/Berlin", "America/Santiago", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_a_time_falls_in_the_step_that_holds_it(step, minutes, zone):
    times = np.datetime64("2022-01-01", "us") + np.sort(minutes) * np.timedelta64(1, "m")
    calendar = Calendar.from_freq(step, times, zone)
    cells = calendar.cells(times)
    at = local_times(calendar.times(cells, times), zone)
    wall = local_times(times, zone).astype("M8[D]" if calendar.hours >= 24 else "M8[us]")
    if calendar.ends:  # a step is named by its last day
        assert (wall <= at).all()
        assert (wall > local_times(calendar.times(cells - 1, times), zone)).all()
    elif calendar.hours >= 24:
        assert (at <= wall).all()
        assert (wall < local_times(calendar.times(cells + 1, times), zone)).all()
    else:
        own = calendar.times(cells, times)
        assert (own <= times).all()
        assert (times < calendar.times(cells + 1, times)).all()


def test_business_days_need_a_week_of_evidence():
    assert find(pd.bdate_range("2024-01-01", periods=5)).calendar.freq == "D"
    assert find(pd.bdate_range("2024-01-01", periods=12)).calendar.freq == "B"
    assert find(pd.date_range("2024-01-01", periods=12)).calendar.freq == "D"
    holidays = pd.bdate_range("2024-01-01", periods=60).delete([3, 17, 40])
    assert find(holidays).calendar.freq == "B"


def test_a_weekend_is_no_step_of_business_days():
    calendar = find(pd.bdate_range("2024-01-01", periods=10)).calendar  # two weeks, Monday to Friday
    friday = np.datetime64("2024-01-12", "us")
    assert calendar.after(friday, 2).astype("M8[D]").astype(str).tolist() == ["2024-01-15", "2024-01-16"]
    assert calendar.hours == pytest.approx(33.6)


def test_steps_have_words_and_hours():
    assert find(stamps_of("weeks of MON")).calendar.unit == "weeks"
    assert find(stamps_of("business days")).calendar.unit == "business days"
    assert find(stamps_of("two weeks")).calendar.unit == "steps"
    assert find(np.arange(5)).calendar.unit == "steps"
    assert find(stamps_of("weeks of MON")).calendar.hours == 168
    assert find(stamps_of("half-hours")).calendar.hours == 0.5
    assert find(stamps_of("quarters")).calendar.hours == pytest.approx(2191.5)
    assert find(stamps_of("years")).calendar.hours == pytest.approx(8766)
    assert np.isnan(find(np.arange(5)).calendar.hours)
    assert Calendar().describe() == "irregular"


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("times", "step", "words"),
    [
        (np.arange(3, 20), 1, "every 1"),
        (np.arange(0, 500, 25), 25, "every 25"),
        (np.delete(np.arange(0, 500, 25), [3, 4, 9]), 25, "every 25"),
        (np.arange(-5, 20, 5), 5, "every 5"),
        (np.arange(10) * 0.1, 0.1, "every 0.1"),
        (np.delete(7.3 + np.arange(60) * 0.1, [5, 30, 31]), 0.1, "every 0.1"),
        (np.linspace(0, 1, 1000), 1 / 999, "every 0.001001"),
    ],
)
def test_steps_of_numbers(times, step, words):
    calendar = find(times).calendar
    assert calendar.freq == pytest.approx(step)
    assert calendar.describe() == words
    cells = calendar.cells(times)
    np.testing.assert_array_equal(cells, np.round((times - times[0]) / step))
    np.testing.assert_allclose(calendar.times(cells, times), times, atol=1e-9)
    assert calendar.times(cells, times).dtype == times.dtype
    np.testing.assert_allclose(calendar.after(times[-1], 2), times[-1] + np.array([1, 2]) * step)


HOURS = np.round(45_000 + np.arange(5000) / 24, 5)  # as a spreadsheet rounds them


@pytest.mark.filterwarnings("ignore:Times in column 'ds' .* look like (the day numbers of Excel|seconds since 1970)")
@pytest.mark.parametrize(
    "times",
    [HOURS, np.delete(HOURS, [1, 2, 3, 4, 5, 6, 7, 70, 4000]), 1.7e9 + np.arange(100) * 0.1],
    ids=["rounded hours", "rounded hours with gaps", "seconds since 1970"],
)
def test_rounded_numbers_are_at_their_steps(times):
    expected = np.round((times - times[0]) * (24 if times[0] < 1e6 else 10))
    for duplicates in ("raise", "sum"):
        panel = read_panel(table(times), duplicates=duplicates)
        assert len(panel.values) == expected[-1] + 1
        assert np.flatnonzero(~np.isnan(panel.values[:, 0])).tolist() == expected.tolist()
    assert panel.calendar.is_met_by(times)


def test_a_step_of_large_floats_that_is_named():
    assert len(read_panel(table(1.7e9 + np.arange(100) * 0.1), freq=0.1).values) == 100


@pytest.mark.parametrize("shift", [3.0, 3.05])
def test_later_numbers_are_at_steps_or_between(shift):
    calendar = find(np.arange(50) * 0.1).calendar
    times = shift + np.arange(50) * 0.1
    assert calendar.is_met_by(times) == (shift == 3.0)
    np.testing.assert_array_equal(np.diff(calendar.cells(times)), 1)
    assert not calendar.is_met_by(times + 0.02)
    assert not find(np.arange(0, 500, 200)).calendar.is_met_by(np.array([1, 201]))  # integers are exact
    assert not Calendar().is_met_by(times)


def test_different_phases_of_numbers_are_said():
    series = [np.arange(40) * 0.1, np.arange(40) * 0.1 + 0.05]
    with pytest.warns(DataWarning, match=r"moved to the beginning of their steps.*every 0\.1"):
        panel = read_panel(table(*series))
    assert panel.lengths.tolist() == [40, 40]
    rounded = 0.1 + np.round(series[0] + np.random.default_rng(0).normal(0, 2e-5, 40), 6)  # on both sides of a step
    with pytest.warns(DataWarning, match="no regular step"):
        assert read_panel(table(*series, rounded)).lengths.tolist() == [40, 40, 40]


@given(
    step=st.floats(1e-3, 1e3),
    start=st.floats(-1e3, 1e3),
    cells=st.lists(st.integers(0, 200), min_size=2, max_size=40, unique=True),
)
def test_numbers_in_floats_are_in_their_steps(step, start, cells):
    cells = np.sort(cells)
    calendar = Calendar(step, None, start)
    np.testing.assert_array_equal(calendar.cells(start + cells * step), cells)


@given(step=st.integers(1, 10**6), start=st.integers(-(10**15), 10**15), n=st.integers(2, 50))
def test_large_integers_stay_exact(step, start, n):
    times = start + step * np.arange(n)
    calendar = find(times).calendar
    assert calendar.freq == (step if n > 1 else None)
    np.testing.assert_array_equal(calendar.times(calendar.cells(times), times), times)


def test_half_steps_of_integers_are_floats():
    panel = read_panel(table(np.array([1, 2, 4])), freq=0.5)
    assert panel.times.tolist() == [1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert read_panel(table(np.array([1, 2, 4])), freq=1.0).times.dtype == np.int64
    exact = read_panel(table(10**17 + np.array([1, 2, 4])), freq=1)
    assert (exact.times - 10**17).tolist() == [1, 2, 3, 4]


def test_numbers_without_a_step_are_irregular():
    found = find(np.array([0.0, 1.0, 2.7, 3.1, 9.4]))
    assert found.calendar.freq is None
    assert float(found.suggestion) > 0
    assert find(np.array([0, 1, 5_000_000])).calendar.freq is None  # too sparse for steps of 1
    assert find(np.array([0.0, 1.0, np.inf])).calendar.freq is None


def test_a_single_time_has_no_step():
    assert find(np.array([4])) == Regularity(Calendar(None, None, aligned=True))
    assert find(["2024-01-01"], ["2024-01-01"]) == Regularity(Calendar(None, None, aligned=True))


# ---------------------------------------------------------------- zones


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("freq", ["D", "W-SUN", "MS", "ME", "B", "QS-JAN", "h", "30min"])
def test_days_are_those_of_the_zone_also_when_clocks_change(zone, freq):
    local = pd.date_range("2023-01-01", periods=500, freq=freq, tz=zone)
    times = local.tz_convert("UTC").tz_localize(None).to_numpy().astype("M8[us]")
    calendar = find(times[:400], zone=zone).calendar
    assert (calendar.freq, calendar.zone) == (freq, zone)
    np.testing.assert_array_equal(calendar.cells(times), np.arange(500))
    np.testing.assert_array_equal(calendar.after(times[399], 100), times[400:])


def test_days_at_six_keep_their_hour_across_a_clock_change():
    local = pd.date_range("2024-03-20 06:00", periods=20, freq="D", tz="Europe/Berlin")
    times = local.tz_convert("UTC").tz_localize(None).to_numpy()
    calendar = find(times, zone="Europe/Berlin").calendar
    assert calendar.freq == "D"
    after = pd.DatetimeIndex(calendar.after(times[-1], 300)).tz_localize("UTC").tz_convert("Europe/Berlin")
    assert set(after.hour) == {6}


@pytest.mark.parametrize("zone", ["America/Santiago", "Asia/Beirut"])
def test_days_whose_midnight_clocks_skip_are_days(zone):
    days = pd.date_range("2023-01-01", periods=500).tz_localize(zone, nonexistent="shift_forward")
    assert set(days.hour) == {0, 1}
    panel = read_panel(table(days))
    assert (panel.calendar.freq, panel.calendar.zone) == ("D", zone)
    assert len(panel.values) == 500
    times = panel.times
    np.testing.assert_array_equal(pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(zone), days)
    assert panel.calendar.is_met_by(times)


def test_hours_run_through_clock_changes():
    """The day of the change has 23 or 25 hours, and all of them are steps."""
    local = pd.date_range("2024-03-30", "2024-04-01", freq="h", tz="Europe/Berlin")
    times = local.tz_convert("UTC").tz_localize(None).to_numpy()
    calendar = find(times, zone="Europe/Berlin").calendar
    assert calendar.freq == "h"
    assert len(times) == 48  # and not 49
    np.testing.assert_array_equal(calendar.cells(times), np.arange(len(times)))


def test_clocks_of_zones():
    utc = np.array(["2024-10-26T23:30", "2024-10-27T00:30", "2024-10-27T01:30"], "M8[us]")
    wall = local_times(utc, "Europe/Berlin")
    assert wall.astype("M8[m]").astype(str).tolist() == ["2024-10-27T01:30", "2024-10-27T02:30", "2024-10-27T02:30"]
    assert universal_times(wall, "Europe/Berlin")[1] == utc[1]  # of two equal times, the first
    skipped = np.array(["2024-03-31T02:30"], "M8[us]")
    assert universal_times(skipped, "Europe/Berlin")[0] == np.datetime64("2024-03-31T01:00")  # 03:00 there
    aware = zoned_times(utc[:1], "Europe/Berlin")[0]
    assert aware == pd.Timestamp("2024-10-27 01:30", tz="Europe/Berlin")
    np.testing.assert_array_equal(zoned_times(utc, None), utc)
    np.testing.assert_array_equal(local_times(utc, None), utc)


# ---------------------------------------------------------------- explicit freq


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("1d", "D"), ("D", "D"), ("d", "D"), ("3d", "3D"), ("h", "h"), ("1h", "h"), ("H", "h"), ("15min", "15min"),
        ("15m", "15min"), ("15T", "15min"), ("S", "s"), ("10s", "10s"), ("B", "B"), ("1w", "W-SUN"), ("W", "W-SUN"),
        ("W-MON", "W-MON"), ("2w", "2W-SUN"), ("1mo", "MS"), ("M", "MS"), ("MS", "MS"), ("ME", "ME"), ("BME", "BME"),
        ("1q", "QS-JAN"), ("Q", "QS-JAN"), ("QE", "QE-DEC"), ("1y", "YS-JAN"), ("A", "YS-JAN"), ("YE", "YE-DEC"),
        ("YS-APR", "YS-APR"),
        (timedelta(hours=1), "h"), (timedelta(minutes=90), "90min"), (timedelta(days=1), "D"),
        (timedelta(days=7), "W-SUN"), (timedelta(days=14), "2W-SUN"), (timedelta(days=3), "3D"),
        (pd.Timedelta("1D"), "D"), (pd.offsets.MonthBegin(), "MS"), (pd.offsets.Week(weekday=2), "W-WED"),
    ],
)  # fmt: skip
def test_names_of_steps(freq, expected):
    assert offset_of(freq).freqstr == expected


@pytest.mark.parametrize(
    "freq",
    [
        "x", "", "-1d", "0h", 1, 2.5, True, "day of rest", timedelta(0), timedelta(days=-1), "bh", "cbh", "C", "B+1h",
        "WOM-1MON", "LWOM-MON", "WOM-3MON", "RE-N-DEC-MON", "REQ-N-DEC-MON-1", pd.DateOffset(months=1),
        pd.offsets.CustomBusinessDay(holidays=["2024-01-01"]), "999999999999D", "99999999999999999999D", "9999999ME",
        "99999999999999h", 10**30,
    ],
)  # fmt: skip
def test_what_is_no_step_is_refused(freq):
    with pytest.raises(InvalidParameterError, match="is not a time step"):
        read_panel(table(pd.date_range("2024", periods=4)), freq=freq)


@pytest.mark.parametrize("freq", ["1d", 0, -1, np.nan, np.inf, True, 1e300, 10**30])
def test_what_is_no_distance_of_numbers_is_refused(freq):
    with pytest.raises(InvalidParameterError, match="not a positive number"):
        read_panel(table(np.arange(4)), freq=freq)


def test_plain_weeks_begin_on_the_weekday_of_the_earliest_row():
    rows = pd.DatetimeIndex(["2024-01-03", "2024-01-10", "2024-01-24"])  # Wednesdays
    assert Calendar.from_freq("1w", rows.to_numpy()).freq == "W-WED"
    assert Calendar.from_freq(timedelta(days=7), rows.to_numpy()).freq == "W-WED"
    named = Calendar.from_freq("W-SUN", rows.to_numpy())  # Monday to Sunday, named by Sunday
    assert (named.freq, named.ends) == ("W-SUN", True)
    assert named.times(named.cells(rows.to_numpy()), rows.to_numpy()).astype("M8[D]").astype(str).tolist() == [
        "2024-01-07",
        "2024-01-14",
        "2024-01-28",
    ]


def test_months_by_their_first_and_last_day():
    rows = pd.DatetimeIndex(["2024-01-17", "2024-02-02", "2024-04-30"]).to_numpy().astype("M8[us]")
    first, last = Calendar.from_freq("MS", rows), Calendar.from_freq("ME", rows)
    assert first.times(first.cells(rows), rows).astype("M8[D]").astype(str).tolist() == [
        "2024-01-01",
        "2024-02-01",
        "2024-04-01",
    ]
    assert last.times(last.cells(rows), rows).astype("M8[D]").astype(str).tolist() == [
        "2024-01-31",
        "2024-02-29",
        "2024-04-30",
    ]


@pytest.mark.parametrize(
    "freq",
    [
        "2ME",
        "3ME",
        "2QE",
        "2YE",
        "2BME",
        "2BQE",
        "2BYE",
        "2W-SUN",
        "W-WED",
        "ME",
        "BME",
        "QE-FEB",
        "YE",
        "MS",
        "QS-FEB",
    ],
)
def test_rows_fall_in_the_steps_of_pandas(freq):
    days = pd.date_range("2023-12-15", periods=900)
    rows = pd.DataFrame({"unique_id": "a", "ds": days, "y": np.arange(900.0)})
    panel = read_panel(rows, freq=freq, duplicates="sum")
    expected = rows.set_index("ds")["y"].resample(freq).sum()
    np.testing.assert_array_equal(panel.times, expected.index.to_numpy())
    np.testing.assert_array_equal(panel.values[:, 0], expected)


def test_weeks_of_an_offset_are_those_of_its_alias():
    rows = pd.DatetimeIndex(["2024-01-02", "2024-01-20"]).to_numpy().astype("M8[us]")
    for weekday, alias in ((2, "W-WED"), (6, "W-SUN")):
        assert Calendar.from_freq(pd.offsets.Week(weekday=weekday), rows) == Calendar.from_freq(alias, rows)
    assert Calendar.from_freq(pd.offsets.Week(), rows).freq == "W-TUE"


def test_duplicates_name_their_step_in_words():
    rows = table(pd.to_datetime(["2024-01-01 08:00", "2024-01-01 17:00", "2024-01-02 09:00"]))
    with pytest.raises(InvalidDataError, match=r"in one step of the calendar: daily\. A finer freq= separates"):
        read_panel(rows, freq="1d")


def test_rows_in_one_step_are_duplicates_to_be_merged():
    rows = table(pd.to_datetime(["2024-01-01 08:00", "2024-01-01 17:00", "2024-01-02 09:00"]))
    with pytest.raises(InvalidDataError, match=r"(?s)repeat the id and time.*duplicates="):
        read_panel(rows, freq="1d")
    panel = read_panel(rows, freq="1d", duplicates="sum")
    assert panel.values.ravel().tolist() == [2.0, 2.5]
    assert panel.times.astype("M8[D]").astype(str).tolist() == ["2024-01-01", "2024-01-02"]


def test_a_step_that_would_fill_memory_is_refused():
    with pytest.raises(InvalidDataError, match="Pass a coarser freq, or look for a wrong time"):
        read_panel(table(pd.to_datetime(["1900-01-01", "2024-01-01"])), freq="1s")


# ---------------------------------------------------------------- what is said


def jittered(n: int = 40) -> pd.DatetimeIndex:
    rng = np.random.default_rng(0)
    return pd.date_range("2024-01-01", periods=n, freq="h") + pd.to_timedelta(rng.integers(1, 1700, n), unit="s")


def test_jitter_is_irregular_and_said():
    rows = table(jittered())
    with pytest.warns(DataWarning, match=r"no regular step.*freq='1h'"):
        panel = read_panel(rows)
    assert panel.calendar.freq is None
    assert len(panel.values) == 40
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_panel(rows, freq="1h").calendar.freq == "h"


def test_too_sparse_rows_are_irregular_and_said():
    """Steps of a minute, of which one in ten thousand has a row, are those of the clock."""
    rng = np.random.default_rng(1)
    minutes = np.sort(rng.choice(400_000, 40, replace=False))
    with pytest.warns(DataWarning, match=r"no regular step.*Pass freq="):
        panel = read_panel(table(pd.Timestamp("2024-01-01") + pd.to_timedelta(minutes, unit="min")))
    assert panel.calendar.freq is None
    with pytest.warns(DataWarning, match=r"no regular step.*freq=\d"):
        assert read_panel(table(np.array([0, 1, 7_000_000]))).calendar.freq is None


def test_steps_of_several_are_not_those_of_one():
    """No rows are closer than twenty days, so a day is not the step."""
    days = np.cumsum(np.random.default_rng(2).integers(20, 40, 30))
    with pytest.warns(DataWarning, match="no regular step"):
        read_panel(table(pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D")))


@pytest.mark.parametrize(
    ("first", "step", "n_days", "expected"),
    [
        ("2024-01-01", "7D", 5, "W-MON"),  # business days
        ("2024-01-07", "7D", 7, "W-SUN"),
        ("2024-01-04", "7D", 7, "W-THU"),
        ("2024-01-01", "MS", 28, "MS"),
    ],
)
def test_one_row_on_any_day_of_a_week_or_month(first, step, n_days, expected):
    """Days on which orders were shipped, and on which meters were read."""
    rng = np.random.default_rng(3)
    begins = pd.date_range(first, periods=40, freq=step)
    series = [begins + pd.to_timedelta(rng.integers(0, n_days, 40), unit="D") for _ in range(3)]
    with pytest.warns(DataWarning, match="moved to the beginning of their steps, since rows are at different times"):
        panel = read_panel(table(*series))
    assert panel.calendar.freq == expected
    assert panel.lengths.tolist() == [40, 40, 40]
    assert (panel.times == np.tile(begins, 3)).all()
    assert panel.calendar.absent == 0


def test_rows_about_a_week_apart_are_irregular_and_sales_on_few_days_are_daily():
    rng = np.random.default_rng(4)
    start = pd.Timestamp("2024-01-01")
    with pytest.warns(DataWarning, match="no regular step.*freq='1w'"):
        read_panel(table(*(start + pd.to_timedelta(rng.integers(5, 10, 60).cumsum(), unit="D") for _ in range(3))))
    sales = [start + pd.to_timedelta(rng.geometric(1 / 9, 60).cumsum(), unit="D") for _ in range(3)]
    assert read_panel(table(*sales)).calendar.freq == "D"


@pytest.mark.parametrize("freq", ["W", "D", "h"])
def test_different_phases_are_moved_and_said(freq):
    """Weeks that begin on other days, days at other hours, hours at other minutes."""
    shifts = {"W": pd.Timedelta("2D"), "D": pd.Timedelta("5h"), "h": pd.Timedelta("17min")}[freq]
    size = {"W": "7D", "D": "1D", "h": "1h"}[freq]
    series = [pd.date_range("2024-01-01", periods=20, freq=size) + k * shifts for k in range(3)]
    with pytest.warns(DataWarning, match=r"moved to the beginning of their steps.*Pass freq="):
        panel = read_panel(table(*series))
    assert panel.calendar.freq == {"W": "W-MON", "D": "D", "h": "h"}[freq]
    assert panel.lengths.tolist() == [20, 20, 20]
    starts = panel.times[panel.offsets[:-1]]
    assert (starts == starts[0]).all()


def test_a_day_of_the_month_is_moved_to_its_month_and_said():
    months = pd.date_range("2024-01-01", periods=20, freq="MS") + pd.Timedelta(days=14)
    with pytest.warns(DataWarning, match=r"moved.*monthly \(first day\)"):
        panel = read_panel(table(months))
    assert panel.calendar.freq == "MS"
    assert len(panel.values) == 20


def test_few_gaps_move_nothing():
    """Series of two rows, a week apart, on Monday and on Wednesday: two gaps show no step."""
    found = find(["2024-01-01", "2024-01-08"], ["2024-01-03", "2024-01-10"])
    assert found == (Calendar(None), False, "1w")
    days = find(["2024-01-01", "2024-01-03"], ["2024-01-02", "2024-01-04"])
    assert (days.calendar.freq, days.moved) == ("D", False)


def test_the_last_day_is_part_of_its_step():
    """Rows with a time of day, on a calendar whose steps are named by their last day."""
    sunday = pd.to_datetime(["2024-01-03 05:00", "2024-01-07 15:00", "2024-01-08 01:00"])
    panel = read_panel(table(sunday), freq="W-SUN", duplicates="sum")
    assert panel.times.astype("M8[D]").astype(str).tolist() == ["2024-01-07", "2024-01-14"]
    assert panel.values.ravel().tolist() == [2.0, 2.5]


def test_regular_times_are_read_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in STEPS:
            assert read_panel(table(stamps_of(step))).calendar.freq == STEPS[step][2]


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (np.datetime64("2024-01-31T00:00", "us"), "2024-01-31"),
        (np.datetime64("2024-01-31T20:49", "us"), "2024-01-31 20:49"),
        (np.datetime64("2024-01-31T20:49:55", "us"), "2024-01-31 20:49:55"),
        (np.datetime64("2024-01-31T20:49:55.5", "us"), "2024-01-31 20:49:55.500"),
        (np.datetime64("2024-01-31T20:49:55.000002", "us"), "2024-01-31 20:49:55.000002"),
        (1700000000.5, "1700000000.5"),
        (0.1 + 0.2, "0.3"),
        (12, "12"),
    ],
)
def test_a_time_as_text_loses_nothing(time, text):
    assert time_text(time, None) == text


SLOW, FAST = np.arange(0, 400, 10), np.arange(400, 700, 5)


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("slow_first", [True, False])
def test_a_rate_that_changes_is_said(dated, slow_first):
    steps = np.concatenate([SLOW, FAST]) if slow_first else 1000 - np.concatenate([SLOW, FAST])[::-1]
    kept = np.delete(steps, [7, 70])  # a missing row here and there is no matter
    times = np.datetime64("2024-01-01", "s") + kept if dated else kept
    even = times[0] + 5 * np.arange(120) * (np.timedelta64(1, "s") if dated else 1)
    every = ["every 2 steps", "every step"][:: 1 if slow_first else -1]
    at = ("2024-01-01 00:06:40" if dated else "400") if slow_first else ("2024-01-01 00:10" if dated else "600")
    said = f"changes in 1 of 2 series. .* a row {every[0]} up to {at}, then {every[1]} .*freq=.*duplicates='mean'"
    rows = table(times, even)
    with pytest.warns(DataWarning, match=said):
        read_panel(rows, id="unique_id", time="ds")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_panel(rows, id="unique_id", time="ds", fill=0)
        read_panel(table(even[np.random.default_rng(0).random(120) > 0.4], even), id="unique_id", time="ds")
        panel = read_panel(rows, id="unique_id", time="ds", freq="10s" if dated else 10, duplicates="mean")
    assert panel.missing_share() < 0.05


DAYS = np.arange("2024-01-01", "2024-05-10", dtype="M8[D]").astype("M8[us]")


@pytest.mark.parametrize("wrong", [["2026-01-01"], ["2022-12-31"], ["2022-12-31", "2026-01-01"]])
@pytest.mark.parametrize("freq", [None, "1w"])
def test_a_lonely_time_is_named(wrong, freq):
    rows = table(DAYS, DAYS, np.sort(np.append(DAYS, np.array(wrong, "M8[us]"))))
    said = rf"far from all others: {', '.join(wrong)}, in {len(wrong)} of .* from 2024-01-01 to 2024-05-09"
    with pytest.warns(DataWarning, match=said):
        read_panel(rows, freq=freq, duplicates="sum")


def test_the_zone_of_a_lonely_time():
    days = pd.DatetimeIndex([*DAYS, np.datetime64("2026-01-01")]).tz_localize("Europe/Berlin")
    with pytest.warns(DataWarning, match="far from all others: 2026-01-01, in 1 of 131 rows"):
        read_panel(table(days))


def test_times_that_are_not_lonely():
    half = DAYS[:65]
    assert not len(lonely_times(np.append(DAYS, DAYS[-1] + np.timedelta64(128, "D"))))  # as far as the others are long
    assert len(lonely_times(np.append(DAYS, DAYS[-1] + np.timedelta64(130, "D")))) == 1
    assert not len(lonely_times(np.concatenate([half, half + np.timedelta64(365, "D")])))  # as many
    assert not len(lonely_times(np.append(DAYS[:10], np.datetime64("2026-01-01"))))  # among few
    assert lonely_times(np.append(np.arange(200), 10**15)).tolist() == [10**15]
    for few in (DAYS[:0], DAYS[:1], DAYS[[0, -1]]):
        assert not len(lonely_times(few))


def test_a_few_dates_on_other_weekdays_are_no_days():
    weeks = pd.date_range("2023-01-02", periods=60, freq="W-MON").to_series()
    weeks.iloc[30] += pd.Timedelta("1D")
    times = np.tile(weeks.to_numpy().astype("M8[us]"), 3)
    found = find_calendar(np.repeat(np.arange(3), 60), times, None, True)
    assert found.calendar.freq is None
    assert found.suggestion == "1w"
